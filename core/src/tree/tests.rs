use super::*;

fn tree() -> MemoryTree {
    let file = |text: &str| MemoryNode::File(text.as_bytes().to_vec());
    let link = |target: &str| MemoryNode::Link(target.to_owned());
    MemoryTree::build([
        ("apps/web/cm.yaml", file("web")),
        ("base/cm.yaml", file("base")),
        ("apps/web/shared.yaml", link("../../base/cm.yaml")),
        ("apps/alias", link("web")),
        ("apps/deep", link("./alias/../web//")),
        ("apps/up", link("../..")),
        ("apps/out", link("../../etc/passwd")),
        ("apps/back", link("../../apps/web/cm.yaml")),
        ("apps/absolute", link("/etc/passwd")),
        ("apps/loop", link("loop")),
        ("apps/ping", link("pong")),
        ("apps/pong", link("ping")),
        ("apps/nowhere", link("gone")),
        ("apps/via", link("out/x")),
        ("vendor/lib", MemoryNode::Submodule),
    ])
    .unwrap()
}

fn read(path: &str) -> Result<(String, String), TreeError> {
    let tree = tree();
    let resolved = resolve(&tree, &TreePath::parse(path)?)?;
    let text = match &resolved.node {
        Node::File(id) => String::from_utf8(tree.read(id, 100).unwrap()).unwrap(),
        Node::Dir(_) => "dir".to_owned(),
    };
    Ok((resolved.path.to_string(), text))
}

#[test]
fn links_are_followed_inside_the_tree() {
    let at = |path: &str, text: &str| Ok((path.to_owned(), text.to_owned()));
    assert_eq!(read("apps/web/cm.yaml"), at("apps/web/cm.yaml", "web"));
    assert_eq!(read("apps/web/shared.yaml"), at("base/cm.yaml", "base"));
    assert_eq!(read("apps/alias/shared.yaml"), at("base/cm.yaml", "base"));
    assert_eq!(read("apps/deep"), at("apps/web", "dir"));
    assert_eq!(read("."), at(".", "dir"));
    assert_eq!(read("./apps//web/"), at("apps/web", "dir"));
}

#[test]
fn what_leaves_the_tree_is_refused_by_name() {
    let refused = |path: &str| read(path).unwrap_err().to_string();
    assert_eq!(refused("apps/up"), "apps/up: symbolic link to \"../..\" is refused: it is out of bounds");
    assert!(refused("apps/out").contains("out of bounds"));
    assert!(refused("apps/back").contains("out of bounds"), "out and back in is out as well");
    assert!(refused("apps/via").contains("out of bounds"));
    assert!(refused("apps/absolute").contains("absolute"));
    assert!(refused("apps/loop").contains("too many links"));
    assert!(refused("apps/ping").contains("too many links"));
    assert_eq!(refused("apps/nowhere"), "apps/gone: does not exist");
    assert_eq!(refused("vendor/lib"), "vendor/lib: submodules are not supported");
    assert_eq!(refused("vendor/lib/x"), "vendor/lib: submodules are not supported");
    assert_eq!(refused("base/cm.yaml/x"), "base/cm.yaml: is not a directory");
}

#[test]
fn no_spelling_of_a_path_leaves_the_tree() {
    let ups = [
        "..",
        "../",
        "./..",
        "a/../..",
        "..//",
        "../.",
        "%2e%2e",
        "%2e%2e%2f",
        "..%2f",
        "..\\",
        "..;",
        ".. ",
        "...",
        "．．",
        "‥",
    ];
    let tails = ["", "etc/passwd", "/etc/passwd", "apps/../../etc", "%00", "\0", "\n"];
    let heads =
        ["", "/", "//", "./", "apps/", "apps/web/../", "file://", "C:\\", "~", "$HOME/", "\\\\host\\"];
    let mut tried = 0;
    for head in heads {
        for up in ups {
            for tail in tails {
                tried += 1;
                let path = format!("{head}{up}{tail}");
                assert!(read(&path).is_err(), "{path:?} was read");
            }
        }
    }
    assert!(tried > 1000);
}

#[test]
fn ids_name_contents() {
    let one = MemoryTree::of_files([("a/x", "1"), ("b/x", "1")]).unwrap();
    let dir = |tree: &MemoryTree, path: &str| resolve(tree, &TreePath::parse(path).unwrap()).unwrap().node;
    assert_eq!(dir(&one, "a"), dir(&one, "b"));
    let two = MemoryTree::of_files([("a/x", "1"), ("b/x", "2")]).unwrap();
    assert_eq!(dir(&one, "a"), dir(&two, "a"));
    assert_ne!(one.root(), two.root());
    assert!(MemoryTree::of_files([("a", "1"), ("a/b", "2")]).is_err());
    assert_eq!(MemoryTree::default().list(&MemoryTree::default().root()).unwrap(), []);
}

#[test]
fn a_file_larger_than_asked_for_is_not_read() {
    let tree = MemoryTree::of_files([("a", "12345")]).unwrap();
    let Node::File(id) = resolve(&tree, &TreePath::parse("a").unwrap()).unwrap().node else {
        panic!("a file")
    };
    assert_eq!(tree.read(&id, 4), Err(ReadError::TooLarge { limit: 4 }));
    assert_eq!(tree.read(&id, 5).unwrap(), b"12345");
}
