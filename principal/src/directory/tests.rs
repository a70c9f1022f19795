use std::cell::RefCell;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;

use argosy_core::fleet::find_documents;
use argosy_core::render::RenderLimits;

use super::*;

fn read(root: &Path) -> Directory {
    read_directory(root, &DirectoryLimits::default(), |_| false).unwrap()
}

/// Gives the files that are found, and those that cannot be read with the reason.
fn found(root: &Path) -> (Vec<String>, Vec<String>) {
    let directory = read(root);
    assert!(directory.steady);
    let limits = RenderLimits::default();
    let listing = find_documents(&directory.tree, &TreePath::ROOT, &limits).unwrap();
    let files = listing.with_unreadable(directory.unreadable).read(&directory.tree, &limits).unwrap();
    let (good, bad): (Vec<_>, Vec<_>) = files.into_iter().partition(|file| file.content.is_ok());
    let why = |file: argosy_core::fleet::SourceFile| {
        format!("{}: {}", file.path, file.content.err().unwrap_or_default())
    };
    (good.into_iter().map(|file| file.path).collect(), bad.into_iter().map(why).collect())
}

#[test]
fn documents_are_read_and_links_stay_inside() {
    let home = tempfile::tempdir().unwrap();
    let root = home.path().join("fleet");
    fs::create_dir_all(root.join("sub")).unwrap();
    fs::create_dir_all(root.join(".git")).unwrap();
    for (name, text) in [("a.yaml", "a: 1"), ("sub/b.json", "{}"), ("c.txt", "x"), (".git/d.yaml", "d: 1")] {
        fs::write(root.join(name), text).unwrap();
    }
    symlink("sub/b.json", root.join("link.json")).unwrap();
    assert_eq!(found(&root).0, ["a.yaml", "link.json", "sub/b.json"]);
    fs::write(home.path().join("outside.yaml"), "x: 1").unwrap();
    symlink("../outside.yaml", root.join("out.yaml")).unwrap();
    let (good, bad) = found(&root);
    assert_eq!(good, ["a.yaml", "link.json", "sub/b.json"]);
    assert!(bad[0].contains("symbolic link to \"../outside.yaml\" is refused"), "{bad:?}");
}

#[test]
fn odd_names_are_told_where_they_are_documents_and_harm_no_other() {
    let home = tempfile::tempdir().unwrap();
    let root = home.path();
    fs::write(root.join("a.yaml"), "a: 1").unwrap();
    symlink("user@host.1234:99", root.join(".#a.yaml")).unwrap();
    symlink("/nowhere", root.join("link")).unwrap();
    fs::write(root.join(OsStr::from_bytes(b"caf\xe9.txt")), "x").unwrap();
    assert_eq!(found(root), (vec!["a.yaml".to_owned()], Vec::new()));
    fs::write(root.join(OsStr::from_bytes(b"caf\xe9.yaml")), "x").unwrap();
    fs::write(root.join("new\nline.yaml"), "x").unwrap();
    fs::create_dir(root.join(OsStr::from_bytes(b"d\xe9"))).unwrap();
    fs::write(root.join(OsStr::from_bytes(b"d\xe9/b.yaml")), "x").unwrap();
    symlink("nowhere.yaml", root.join("gone.yaml")).unwrap();
    let large = fs::File::create(root.join("large.yaml")).unwrap();
    large.set_len(DirectoryLimits::default().file_bytes + 1).unwrap();
    let (good, bad) = found(root);
    assert_eq!(good, ["a.yaml"]);
    assert_eq!(
        bad,
        [
            "caf\u{fffd}.yaml: its path is not UTF-8, or has control characters",
            "d\u{fffd}/b.yaml: its path is not UTF-8, or has control characters",
            "gone.yaml: symbolic link leads nowhere: nowhere.yaml does not exist",
            "large.yaml: more than 10485760 bytes",
            "new\u{fffd}line.yaml: its path is not UTF-8, or has control characters",
        ]
    );
}

#[test]
fn a_mounted_volume_is_read_once() {
    let home = tempfile::tempdir().unwrap();
    let root = home.path();
    fs::create_dir(root.join("..2026_01_01")).unwrap();
    fs::write(root.join("..2026_01_01/a.yaml"), "a: 1").unwrap();
    symlink("..2026_01_01", root.join("..data")).unwrap();
    symlink("..data/a.yaml", root.join("a.yaml")).unwrap();
    assert_eq!(found(root).0, ["a.yaml"]);
}

#[test]
fn a_directory_that_is_written_to_between_two_walks_is_not_steady() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("a.yaml");
    fs::write(&file, "a: 0").unwrap();
    let walks = RefCell::new(0);
    let settled = |writes: usize| {
        *walks.borrow_mut() = 0;
        let directory = settle(
            || {
                let walked = walk(home.path(), &DirectoryLimits::default());
                *walks.borrow_mut() += 1;
                if *walks.borrow() <= writes {
                    fs::write(&file, format!("a: {}", "1".repeat(*walks.borrow()))).unwrap();
                }
                walked
            },
            |_| false,
        );
        (directory.unwrap().steady, *walks.borrow())
    };
    assert_eq!(settled(0), (true, 2));
    assert_eq!(settled(1), (true, 3));
    assert_eq!(settled(9), (false, WALKS));
}

#[test]
fn the_same_bytes_written_again_are_a_sign_of_writing() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("a.yaml");
    fs::write(&file, "a: 0").unwrap();
    let limits = DirectoryLimits::default();
    let before = walk(home.path(), &limits).unwrap();
    let there = fs::File::open(&file).unwrap();
    there.set_modified(std::time::UNIX_EPOCH).unwrap();
    let after = walk(home.path(), &limits).unwrap();
    assert_eq!(before.directory.tree.root(), after.directory.tree.root());
    assert!(!after.is_as(&before) && walk(home.path(), &limits).unwrap().is_as(&after));
}

#[test]
fn limits_are_errors_with_names() {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("a.yaml"), "a: 12345").unwrap();
    fs::write(home.path().join("b.yaml"), "a: 12345").unwrap();
    let read = |path: &Path, limits: DirectoryLimits| read_directory(path, &limits, |_| false);
    let fails = |limits: DirectoryLimits| read(home.path(), limits).unwrap_err().to_string();
    let limits = DirectoryLimits::default();
    assert!(fails(DirectoryLimits { bytes: 10, ..limits }).ends_with("more than 10 bytes in all files"));
    assert!(fails(DirectoryLimits { entries: 1, ..limits }).ends_with("more than 1 files and directories"));
    let missing = read(&home.path().join("gone"), limits).unwrap_err();
    assert!(missing.to_string().ends_with("gone cannot be read"));
}
