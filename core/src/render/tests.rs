use super::*;
use crate::tree::{MemoryNode, MemoryTree};

fn config(name: &str) -> String {
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\n")
}

fn render_at(tree: &MemoryTree, path: &str, options: &DirectoryOptions) -> Result<Rendered, RenderError> {
    render(tree, &TreePath::parse(path).unwrap(), options, &RenderLimits::default())
}

fn names(rendered: &Rendered) -> Vec<String> {
    rendered.manifests.iter().map(|manifest| manifest.key.name.to_string()).collect()
}

fn recurse() -> DirectoryOptions {
    DirectoryOptions { recurse: true, ..DirectoryOptions::default() }
}

#[test]
fn files_of_the_directory_become_a_release() {
    let tree = MemoryTree::of_files([
        ("web/b.yaml", format!("{}---\n{}", config("b1"), config("b2"))),
        ("web/a.yml", config("a")),
        ("web/c.json", r#"{"apiVersion":"v1","kind":"List","items":[{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c"}}]}"#.to_owned()),
        ("web/README.md", "apiVersion: [".to_owned()),
        ("web/sub/d.yaml", config("d")),
        ("web/skipped.yaml", format!("# +argocd:skip-file-rendering\n{}", config("e"))),
        ("other/x.yaml", config("x")),
    ])
    .unwrap();
    let rendered = render_at(&tree, "web", &DirectoryOptions::default()).unwrap();
    assert_eq!(names(&rendered), ["a", "b1", "b2", "c"]);
    assert_eq!(rendered.release.entries().len(), 4);
    assert_eq!(rendered.warnings, []);
    assert_eq!(names(&render_at(&tree, "web", &recurse()).unwrap()), ["a", "b1", "b2", "c", "d"]);
}

#[test]
fn include_and_exclude_are_globs_of_the_path_below_the_directory() {
    let tree = MemoryTree::of_files([
        ("r/a.yaml", config("a")),
        ("r/x/b.yaml", config("b")),
        ("r/x/c.yaml", config("c")),
    ])
    .unwrap();
    let with = |include: &str, exclude: &str| {
        let options = DirectoryOptions { recurse: true, include: include.into(), exclude: exclude.into() };
        names(&render_at(&tree, "r", &options).unwrap())
    };
    assert_eq!(with("*b.yaml", ""), ["b"], "a star crosses slashes here");
    assert_eq!(with("{a.yaml,x/*}", "x/c*"), ["a", "b"]);
    assert_eq!(with("a.yaml", "*"), [""; 0], "exclude beats include");
    let bad = DirectoryOptions { include: "{".into(), ..DirectoryOptions::default() };
    assert!(render_at(&tree, "r", &bad).unwrap_err().to_string().contains("spec.source.directory.include"));
}

#[test]
fn an_error_names_its_file_document_line_and_field() {
    let tree = |text: &str| {
        MemoryTree::of_files([("app/good.yaml", config("a")), ("app/x.yaml", text.to_owned())]).unwrap()
    };
    let fails = |text: &str| render_at(&tree(text), "app", &DirectoryOptions::default()).unwrap_err();
    let error = fails(&format!("{}---\napiVersion: v1\nkind: ConfigMap\n", config("b")));
    assert_eq!(error.to_string(), "app/x.yaml: document 2: line 6: metadata.name: is missing");
    let error = fails(&format!("{}---\napiVersion: v1\nkind: [\n", config("b")));
    assert_eq!((error.file.as_str(), error.document), ("app/x.yaml", Some(2)));
    assert!(error.line.is_some());
    let error = fails(&format!("{}---\njust: data\n", config("b")));
    assert_eq!(error.to_string(), "app/x.yaml: document 2: line 6: apiVersion: is missing");
    let error = fails(&format!("{}  annotations:\n    argocd.argoproj.io/hook: Predelete\n", config("b")));
    let why = "metadata.annotations[argocd.argoproj.io/hook]: \"Predelete\" is no hook";
    assert!(error.to_string().contains(why), "{error}");
    assert!(fails("kin: ConfigMap\napiVersion: v1\n").to_string().contains("kind: is missing"));
}

#[test]
fn files_that_are_no_manifests_are_left_out_with_a_warning() {
    let tree = MemoryTree::of_files([
        ("app/values.yaml", "replicas: 3\n"),
        ("app/notes.yaml", "{{ if }}: [\n"),
        ("app/empty.yaml", "# nothing\n"),
    ])
    .unwrap();
    let rendered = render_at(&tree, "app", &DirectoryOptions::default()).unwrap();
    assert!(rendered.release.is_empty());
    let warned: Vec<String> = rendered.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(warned.len(), 2);
    assert!(warned[0].starts_with("app/notes.yaml: is not YAML"));
    assert_eq!(warned[1], "app/values.yaml: holds no manifest and is left out");
    let kinds: Vec<String> = rendered.warnings.iter().map(|warning| warning.condition().kind).collect();
    assert_eq!(kinds, ["ManifestWarning", "ManifestWarning"]);
}

#[test]
fn what_other_tools_render_is_refused_by_name() {
    for (file, why) in [
        ("app/Chart.yaml", "Helm charts are not supported"),
        ("app/kustomization.yml", "Kustomize is not supported"),
        ("app/Kustomization", "Kustomize is not supported"),
        ("app/.argocd-source.yaml", "parameter overrides in a file are not supported"),
        ("app/.argocd-source-web.yaml", "parameter overrides in a file are not supported"),
        ("app/main.jsonnet", "Jsonnet is not supported"),
    ] {
        let tree = MemoryTree::of_files([(file, "a: 1"), ("app/a.yaml", &config("a"))]).unwrap();
        let error = render_at(&tree, "app", &DirectoryOptions::default()).unwrap_err();
        assert_eq!(error.to_string(), format!("{file}: {why}"));
    }
    let nested = "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nmetadata: {name: x}\n";
    let tree = MemoryTree::of_files([("app/x/kustomization.yaml", nested)]).unwrap();
    assert!(
        render_at(&tree, "app", &recurse()).unwrap_err().to_string().contains("Kustomize is not supported")
    );
    let tree = MemoryTree::of_files([("app/a.yaml", config("a"))]).unwrap();
    let missing = render_at(&tree, "gone", &DirectoryOptions::default()).unwrap_err();
    assert_eq!(missing.to_string(), "gone: app path does not exist");
    let file = render_at(&tree, "app/a.yaml", &DirectoryOptions::default()).unwrap_err();
    assert_eq!(file.to_string(), "app/a.yaml: app path is not a directory");
}

#[test]
fn links_and_submodules_follow_the_rules_of_the_tree() {
    let link = |target: &str| MemoryNode::Link(target.to_owned());
    let file = |text: String| MemoryNode::File(text.into_bytes());
    let base = || vec![("base/a.yaml", file(config("a"))), ("app/b.yaml", file(config("b")))];
    let built = |more: Vec<(&'static str, MemoryNode)>| {
        let tree = MemoryTree::build(base().into_iter().chain(more)).unwrap();
        render_at(&tree, "app", &recurse())
    };
    assert_eq!(names(&built(vec![("app/l.yaml", link("../base/a.yaml"))]).unwrap()), ["a", "b"]);
    let dir = built(vec![("app/base", link("../base"))]).unwrap();
    assert_eq!((names(&dir), dir.warnings.len()), (vec!["b".to_owned()], 1));
    let error = |more| built(more).unwrap_err().to_string();
    assert!(
        error(vec![("app/l.yaml", link("../../x.yaml"))])
            .contains("app/l.yaml: symbolic link to \"../../x.yaml\" is refused")
    );
    assert!(error(vec![("app/README", link("/etc/passwd"))]).contains("absolute"));
    assert!(error(vec![("app/l.yaml", link("gone.yaml"))]).contains("leads nowhere"));
    assert_eq!(names(&built(vec![("app/README", link("gone"))]).unwrap()), ["b"]);
    assert_eq!(error(vec![("app/sub", MemoryNode::Submodule)]), "app/sub: submodules are not supported");
}

#[test]
fn the_last_of_two_equal_keys_counts_with_a_warning() {
    let tree = MemoryTree::of_files([
        ("app/a.yaml", format!("{}data: {{v: one}}\n", config("x"))),
        ("app/b.yaml", format!("{}data: {{v: two}}\n", config("x"))),
    ])
    .unwrap();
    let rendered = render_at(&tree, "app", &DirectoryOptions::default()).unwrap();
    assert_eq!(rendered.manifests.len(), 1);
    assert!(String::from_utf8_lossy(&rendered.manifests[0].canonical).contains("two"));
    assert_eq!(
        rendered.warnings[0].to_string(),
        "app/b.yaml: document 1: line 1: /ConfigMap//x is given before, in app/a.yaml; the last one counts"
    );
    assert_eq!(rendered.warnings[0].condition().kind, "RepeatedResourceWarning");
}

#[test]
fn what_the_cluster_itself_writes_is_warned_of_and_left_to_the_agents_to_pass_over() {
    let object =
        |api: &str, kind: &str| format!("apiVersion: {api}\nkind: {kind}\nmetadata: {{name: x}}\n---\n");
    let excluded = [
        ("v1", "Event"),
        ("events.k8s.io/v1", "Event"),
        ("metrics.k8s.io/v1beta1", "PodMetrics"),
        ("coordination.k8s.io/v1", "Lease"),
    ];
    let text: String = excluded.iter().map(|(api, kind)| object(api, kind)).collect();
    let text =
        text + &object("acme.io/v1", "Event") + &object("coordination.k8s.io/v1alpha2", "LeaseCandidate");
    let tree = MemoryTree::of_files([("app/a.yaml", text)]).unwrap();
    let rendered = render_at(&tree, "app", &DirectoryOptions::default()).unwrap();
    let kinds: Vec<&str> = rendered.manifests.iter().map(|manifest| &*manifest.key.kind).collect();
    assert_eq!(
        kinds.len(),
        6,
        "an agent of an earlier version would delete what is not there any more: {kinds:?}"
    );
    let told: Vec<Condition> = rendered.warnings.iter().map(RenderWarning::condition).collect();
    assert_eq!(told.len(), 4);
    assert!(told.iter().all(|condition| condition.kind == "ExcludedResourceWarning"));
    assert!(
        told[3].message.ends_with("Resource coordination.k8s.io/Lease x is excluded in the settings"),
        "{told:?}"
    );
}

#[test]
fn the_cache_key_covers_exactly_what_is_read() {
    let key = |files: &[(&str, &str)], options: &DirectoryOptions| {
        let tree = MemoryTree::build(files.iter().map(|(path, text)| {
            let node = text.strip_prefix("->").map_or_else(
                || MemoryNode::File(text.as_bytes().to_vec()),
                |target| MemoryNode::Link(target.to_owned()),
            );
            (*path, node)
        }))
        .unwrap();
        select(&tree, &TreePath::parse("app").unwrap(), options, &RenderLimits::default())
            .unwrap()
            .cache_key()
    };
    let plain = DirectoryOptions::default();
    let one = key(&[("app/a.yaml", "1"), ("app/l.yaml", "->../base/b.yaml"), ("base/b.yaml", "2")], &plain);
    let noise = [
        ("app/a.yaml", "1"),
        ("app/l.yaml", "->../base/b.yaml"),
        ("base/b.yaml", "2"),
        ("app/README", "x"),
        ("c", "d"),
    ];
    assert_eq!(key(&noise, &plain), one);
    let outside = [("app/a.yaml", "1"), ("app/l.yaml", "->../base/b.yaml"), ("base/b.yaml", "3")];
    assert_ne!(key(&outside, &plain), one, "what a link reads outside of the directory counts");
    let less = DirectoryOptions { exclude: "a*".into(), ..DirectoryOptions::default() };
    assert_ne!(key(&noise, &less), one);
}

#[test]
fn limits_are_errors_with_names() {
    let tree =
        MemoryTree::of_files((0..10).map(|n| (format!("app/{n}.yaml"), config(&format!("n{n}"))))).unwrap();
    let with = |limits: RenderLimits| {
        render(&tree, &TreePath::parse("app").unwrap(), &DirectoryOptions::default(), &limits)
            .unwrap_err()
            .to_string()
    };
    let limits = RenderLimits::default();
    assert!(with(RenderLimits { objects: 9, ..limits }).ends_with("more than 9 objects in all files"));
    assert!(with(RenderLimits { bytes: 100, ..limits }).ends_with("more than 100 bytes in all files"));
    assert!(with(RenderLimits { entries: 3, ..limits }).ends_with("more than 3 files and directories"));
    let yaml = yaml::Limits { file_bytes: 10, ..limits.yaml };
    assert!(with(RenderLimits { yaml, ..limits }).starts_with("app/0.yaml: more than 10 bytes"));
}
