use std::path::Path;

use argosy_core::tree::{self, Node, Tree as _, TreeError, TreePath};
use git2::{Oid, Repository, Signature};
use tempfile::TempDir;

use super::*;

/// Breaks a mirror.
type Damage = fn(&Path);

/// A repository that tests push to.
struct Upstream {
    home: TempDir,
    repo: Repository,
    clock: i64,
}

impl Upstream {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let mut options = git2::RepositoryInitOptions::new();
        options.bare(true).initial_head("main");
        let repo = Repository::init_opts(home.path().join("up.git"), &options).unwrap();
        Self { home, repo, clock: 1_700_000_000 }
    }

    fn url(&self) -> RepositoryUrl {
        RepositoryUrl::parse(&format!("file://{}", self.repo.path().display())).unwrap()
    }

    fn mirrors(&self) -> PathBuf {
        self.home.path().join("mirrors")
    }

    fn open(&self) -> Mirror {
        Mirror::open(&self.mirrors(), &self.url()).unwrap()
    }

    fn fetched(&self) -> Mirror {
        let mut mirror = self.open();
        fetch(&mut mirror);
        mirror
    }

    /// Commits files (path, content) as the whole tree; `mode` is theirs.
    fn commit_modes(&mut self, branch: &str, files: &[(&str, &str, i32)], parent: Option<Oid>) -> Oid {
        self.clock += 1;
        let mut index = git2::Index::new().unwrap();
        for (path, content, mode) in files {
            let id = self.repo.blob(content.as_bytes()).unwrap();
            index
                .add(&git2::IndexEntry {
                    ctime: git2::IndexTime::new(0, 0),
                    mtime: git2::IndexTime::new(0, 0),
                    dev: 0,
                    ino: 0,
                    mode: u32::try_from(*mode).unwrap(),
                    uid: 0,
                    gid: 0,
                    file_size: 0,
                    id,
                    flags: 0,
                    flags_extended: 0,
                    path: path.as_bytes().to_vec(),
                })
                .unwrap();
        }
        let tree = self.repo.find_tree(index.write_tree_to(&self.repo).unwrap()).unwrap();
        let who = Signature::new("t", "t@example.com", &git2::Time::new(self.clock, 0)).unwrap();
        let parents: Vec<_> = parent.iter().map(|id| self.repo.find_commit(*id).unwrap()).collect();
        let parents: Vec<_> = parents.iter().collect();
        let message = format!("change {}\n\nmore", self.clock);
        let id = self.repo.commit(None, &who, &who, &message, &tree, &parents).unwrap();
        self.repo.reference(&format!("refs/heads/{branch}"), id, true, "test").unwrap();
        id
    }

    fn commit(&mut self, branch: &str, files: &[(&str, &str)]) -> Oid {
        let parent = self.repo.refname_to_id(&format!("refs/heads/{branch}")).ok();
        let files: Vec<_> = files.iter().map(|(path, content)| (*path, *content, 0o100_644)).collect();
        self.commit_modes(branch, &files, parent)
    }
}

fn fetch(mirror: &mut Mirror) -> Fetched {
    mirror.fetch(&FetchLimits::default(), &|| true).unwrap()
}

fn read(mirror: &Mirror, revision: &str, path: &str) -> Result<String, TreeError> {
    let commit = mirror.resolve(revision).unwrap();
    let files = mirror.tree(&commit).unwrap();
    match tree::resolve(&files, &TreePath::parse(path)?)?.node {
        Node::File(id) => Ok(String::from_utf8(files.read(&id, 1000).unwrap()).unwrap()),
        Node::Dir(id) => {
            Ok(files.list(&id).unwrap().into_iter().map(|entry| entry.name).collect::<Vec<_>>().join(" "))
        }
    }
}

#[test]
fn branches_tags_and_commits_are_resolved() {
    let mut up = Upstream::new();
    let one = up.commit("main", &[("a.yaml", "1")]);
    let two = up.commit("main", &[("a.yaml", "2"), ("d/b.yaml", "x")]);
    up.commit("feature/x", &[("a.yaml", "f")]);
    let who = Signature::now("t", "t@example.com").unwrap();
    let object = up.repo.find_object(one, None).unwrap();
    up.repo.tag("v1", &object, &who, "annotated", false).unwrap();
    up.repo.tag_lightweight("light", &object, false).unwrap();
    let tree_of = up.repo.find_commit(one).unwrap().tree().unwrap().into_object();
    up.repo.tag_lightweight("a-tree", &tree_of, false).unwrap();
    drop((object, tree_of));

    let mirror = up.fetched();
    let sha = |revision: &str| mirror.resolve(revision).unwrap().sha;
    for revision in ["", "HEAD", "main", "refs/heads/main", &two.to_string(), &two.to_string()[..8]] {
        assert_eq!(sha(revision), two.to_string(), "{revision:?}");
    }
    for revision in ["v1", "light", "refs/tags/v1", &one.to_string()] {
        assert_eq!(sha(revision), one.to_string(), "{revision:?}");
    }
    let commit = mirror.resolve("main").unwrap();
    assert_eq!((commit.time, commit.summary.as_str()), (1_700_000_002, "change 1700000002"));
    assert_eq!(read(&mirror, "main", "a.yaml").unwrap(), "2");
    assert_eq!(read(&mirror, "v1", "a.yaml").unwrap(), "1");
    assert_eq!(read(&mirror, "feature/x", "a.yaml").unwrap(), "f");
    assert_eq!(read(&mirror, "main", ".").unwrap(), "a.yaml d");

    let refused = |revision: &str| mirror.resolve(revision).unwrap_err().to_string();
    assert!(refused("gone").contains("no branch, tag or commit"));
    assert!(refused(&"0".repeat(40)).contains("no branch, tag or commit"));
    assert!(refused("00000000").contains("no branch, tag or commit"));
    assert!(refused("1.*").contains("ranges of versions"));
    for expression in ["main~1", "main^{tree}", "main:a.yaml", "main..v1", "main@{1}", "a b", "\\x"] {
        assert!(refused(expression).contains("expressions are not supported"), "{expression}");
    }
    assert!(refused("a-tree").contains("does not name a commit"));
}

#[test]
fn a_fetch_brings_what_is_new_and_drops_what_is_gone() {
    let mut up = Upstream::new();
    up.commit("main", &[("a", "1")]);
    let old = up.commit("topic", &[("a", "t")]);
    let mut mirror = up.fetched();
    let again = fetch(&mut mirror);
    assert_eq!((again.changed, again.objects), (false, 0), "nothing new, nothing moved");
    let two = up.commit("main", &[("a", "2")]);
    let more = fetch(&mut mirror);
    assert!(more.changed && more.objects > 0 && more.objects <= 3, "{more:?}");
    assert_eq!(mirror.resolve("main").unwrap().sha, two.to_string());
    up.repo.find_reference("refs/heads/topic").unwrap().delete().unwrap();
    assert!(fetch(&mut mirror).changed);
    assert!(mirror.resolve("topic").is_err());
    assert_eq!(mirror.resolve(&old.to_string()).unwrap().sha, old.to_string(), "still known by its SHA");
    let forced = up.commit_modes("main", &[("a", "forced", 0o100_644)], None);
    assert!(fetch(&mut mirror).changed);
    assert_eq!(mirror.resolve("").unwrap().sha, forced.to_string());
}

#[test]
fn equal_content_has_equal_tree_ids_over_commits() {
    let mut up = Upstream::new();
    up.commit("main", &[("app/a", "1"), ("x", "1")]);
    let mut mirror = up.fetched();
    let id = |mirror: &Mirror| {
        let commit = mirror.resolve("main").unwrap();
        tree::resolve(&mirror.tree(&commit).unwrap(), &TreePath::parse("app").unwrap()).unwrap().node
    };
    let before = id(&mirror);
    up.commit("main", &[("app/a", "1"), ("x", "2")]);
    fetch(&mut mirror);
    assert_eq!(id(&mirror), before);
}

#[test]
fn links_and_submodules_obey_the_rules_of_the_tree() {
    let mut up = Upstream::new();
    let link = 0o120_000;
    up.commit_modes(
        "main",
        &[
            ("base/a", "base", 0o100_755),
            ("app/in", "../base/a", link),
            ("app/out", "../../etc/passwd", link),
            ("app/nul", "x\0y", link),
        ],
        None,
    );
    let mirror = up.fetched();
    assert_eq!(read(&mirror, "main", "app/in").unwrap(), "base");
    assert!(read(&mirror, "main", "app/out").unwrap_err().to_string().contains("out of bounds"));
    assert!(read(&mirror, "main", "app/nul").unwrap_err().to_string().contains("control characters"));
    let sub = up.repo.refname_to_id("refs/heads/main").unwrap();
    let mut builder = up.repo.treebuilder(None).unwrap();
    builder.insert("lib", sub, 0o160_000).unwrap();
    let tree = up.repo.find_tree(builder.write().unwrap()).unwrap();
    let who = Signature::now("t", "t@example.com").unwrap();
    up.repo.commit(Some("refs/heads/sub"), &who, &who, "s", &tree, &[]).unwrap();
    let mirror = up.fetched();
    assert_eq!(read(&mirror, "sub", "lib/x").unwrap_err().to_string(), "lib: submodules are not supported");
}

#[test]
fn a_large_file_is_refused_before_it_is_read() {
    let mut up = Upstream::new();
    up.commit("main", &[("big", &"x".repeat(10_000))]);
    let mirror = up.fetched();
    let commit = mirror.resolve("main").unwrap();
    let files = mirror.tree(&commit).unwrap();
    let Node::File(id) = tree::resolve(&files, &TreePath::parse("big").unwrap()).unwrap().node else {
        panic!("a file")
    };
    assert_eq!(files.read(&id, 9_999), Err(tree::ReadError::TooLarge { limit: 9_999 }));
}

#[test]
fn an_unreachable_repository_leaves_the_mirror_as_it_was() {
    let mut up = Upstream::new();
    let one = up.commit("main", &[("a", "1")]);
    let mut mirror = up.fetched();
    let away = up.home.path().join("away");
    std::fs::rename(up.repo.path(), &away).unwrap();
    let error = mirror.fetch(&FetchLimits::default(), &|| true).unwrap_err();
    assert!(matches!(error, GitError::Unreachable { .. }) && error.is_transient(), "{error}");
    assert_eq!(mirror.resolve("main").unwrap().sha, one.to_string());
    assert_eq!(read(&up.open(), "main", "a").unwrap(), "1", "also after a restart");
}

#[test]
fn an_empty_repository_has_no_head() {
    let up = Upstream::new();
    let mut mirror = up.open();
    assert!(!fetch(&mut mirror).changed);
    assert!(matches!(mirror.resolve(""), Err(GitError::RevisionNotFound { .. })));
}

#[test]
fn a_fetch_stops_when_told_and_within_its_limits() {
    let mut up = Upstream::new();
    let files: Vec<(String, String)> =
        (0..50).map(|n| (format!("f{n}"), format!("{n}").repeat(500))).collect();
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    up.commit("main", &files);
    let mut mirror = up.open();
    let stopped = mirror.fetch(&FetchLimits::default(), &|| false).unwrap_err();
    assert!(matches!(stopped, GitError::Cancelled { .. }), "{stopped}");
    assert!(mirror.resolve("main").is_err());
    let small = FetchLimits { objects: 10, ..FetchLimits::default() };
    let refused = mirror.fetch(&small, &|| true).unwrap_err();
    assert!(refused.to_string().ends_with("more than 10 objects"), "{refused}");
    assert!(fetch(&mut mirror).changed);
}

#[test]
fn a_damaged_or_half_made_mirror_is_set_aside() {
    let mut up = Upstream::new();
    up.commit("main", &[("a", "1")]);
    let dir = up.fetched().dir().to_owned();
    let breakages: [(&str, Damage); 4] = [
        ("no HEAD", |dir| std::fs::remove_file(dir.join("HEAD")).unwrap()),
        ("half made", |dir| std::fs::write(dir.join("config"), "[core]\n\tbare = true\n").unwrap()),
        ("no objects", |dir| std::fs::remove_dir_all(dir.join("objects/pack")).unwrap()),
        ("a file", |dir| {
            std::fs::remove_dir_all(dir).unwrap();
            std::fs::write(dir, "x").unwrap();
        }),
    ];
    for (what, damage) in breakages {
        damage(&dir);
        let mut mirror = up.open();
        assert!(mirror.resolve("main").is_err(), "{what}: begun anew");
        fetch(&mut mirror);
        assert_eq!(read(&mirror, "main", "a").unwrap(), "1", "{what}");
        assert!(dir.with_extension("damaged").exists(), "{what}");
    }
    let mirror = up.open();
    assert!(mirror.resolve("main").is_ok());
    let mut rebuilt = mirror.rebuild().unwrap();
    assert!(rebuilt.resolve("main").is_err());
    fetch(&mut rebuilt);
    assert_eq!(read(&rebuilt, "main", "a").unwrap(), "1");
}

#[test]
fn what_a_killed_fetch_left_is_removed() {
    let mut up = Upstream::new();
    up.commit("main", &[("a", "1")]);
    let leftover = up.fetched().dir().join("objects/pack/pack_git2_1234");
    std::fs::write(&leftover, "half a pack").unwrap();
    assert_eq!(read(&up.open(), "main", "a").unwrap(), "1");
    assert!(!leftover.exists());
}

#[test]
fn locks_of_a_killed_fetch_hold_up_no_other() {
    let mut up = Upstream::new();
    up.commit("main", &[("a", "1")]);
    let dir = up.fetched().dir().to_owned();
    for lock in ["refs/heads/main.lock", "packed-refs.lock", "config.lock"] {
        std::fs::write(dir.join(lock), "").unwrap();
    }
    up.commit("main", &[("a", "2")]);
    assert_eq!(read(&up.fetched(), "main", "a").unwrap(), "2");
}

#[test]
fn a_mirror_stays_bounded_over_many_commits() {
    let mut up = Upstream::new();
    let mut mirror = up.open();
    let packs = |mirror: &Mirror| {
        let entries = std::fs::read_dir(mirror.dir().join("objects/pack")).unwrap();
        entries
            .filter(|entry| entry.as_ref().unwrap().path().extension().is_some_and(|e| e == "pack"))
            .count()
    };
    let mut most = 0;
    for round in 0..150 {
        up.commit_modes("main", &[("a", &format!("{round}"), 0o100_644)], None);
        fetch(&mut mirror);
        most = most.max(packs(&mirror));
        assert_eq!(read(&mirror, "main", "a").unwrap(), format!("{round}"));
    }
    assert!(most < 70, "{most} packs");
    let forgotten = Repository::open_bare(mirror.dir()).unwrap();
    let mut objects = 0;
    forgotten
        .odb()
        .unwrap()
        .foreach(|_| {
            objects += 1;
            true
        })
        .unwrap();
    assert!(objects < 250, "{objects} objects: those of replaced commits are dropped");
}

#[test]
fn a_swap_that_was_cut_short_is_finished() {
    let mut up = Upstream::new();
    up.commit("main", &[("a", "1")]);
    let dir = up.fetched().dir().to_owned();
    std::fs::rename(&dir, dir.with_extension("old")).unwrap();
    std::fs::create_dir(dir.with_extension("new")).unwrap();
    assert_eq!(read(&up.open(), "main", "a").unwrap(), "1");
    assert!(!dir.with_extension("new").exists() && !dir.with_extension("old").exists());
}
