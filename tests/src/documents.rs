//! The repository's own documents, held against the code: examples that are read, fixtures that render, rules that
//! are written down, links that lead somewhere.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use argosy_core::application::Application;
use argosy_core::render::{RenderLimits, render};
use argosy_core::tree::MemoryTree;
use argosy_core::yaml::{self, Limits};

const DOCUMENTS: [&str; 6] = [
    "README.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "demo/README.md",
    "docs/invariants.md",
    "docs/adr/README.md",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Returns the files below a folder, with their paths in it.
fn files(folder: &Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(next) = open.pop() {
        for entry in std::fs::read_dir(&next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else {
                let name = path.strip_prefix(folder).unwrap().to_string_lossy().into_owned();
                found.push((name, read(&path)));
            }
        }
    }
    found.sort();
    found
}

fn application(text: &str) -> Application {
    let documents = yaml::parse_documents(text.as_bytes(), &Limits::default()).unwrap();
    Application::try_from(&documents[0].value).unwrap()
}

/// Returns the parts of a document in fences of one language.
fn blocks<'a>(document: &'a str, language: &str) -> Vec<&'a str> {
    let fence = format!("```{language}\n");
    document.split(&fence).skip(1).map(|rest| rest.split("```").next().unwrap_or_default()).collect()
}

#[test]
fn the_readmes_application_is_one_that_this_version_takes() {
    let readme = read(&root().join("README.md"));
    let examples: Vec<_> =
        blocks(&readme, "yaml").into_iter().filter(|block| block.contains("kind: Application")).collect();

    let applications: Vec<_> = examples.into_iter().map(application).collect();

    assert_eq!(applications.len(), 1);
    assert!(applications[0].cascade.is_some() && applications[0].policy.automated.is_some());
}

#[test]
fn the_demos_applications_name_folders_that_render() {
    let fixtures = root().join("demo/fixtures");
    let tree = MemoryTree::of_files(files(&fixtures.join("apps"))).unwrap();
    let fleet = files(&fixtures.join("fleet"));
    assert!(fleet.len() >= 5);
    for (file, text) in fleet {
        let app = application(&text);

        let rendered = render(&tree, &app.source.path, &app.source.directory, &RenderLimits::default());

        let rendered = rendered.unwrap_or_else(|error| panic!("{file}: {error}"));
        assert!(rendered.warnings.is_empty(), "{file}: {:?}", rendered.warnings);
        assert_eq!(format!("{}.yaml", app.id.name), file);
    }
}

#[test]
fn every_rule_is_written_down_and_has_its_place() {
    let rules = read(&root().join("docs/invariants.md"));
    let map = read(&root().join("ARCHITECTURE.md"));
    for rule in 1..=25 {
        assert!(rules.contains(&format!("- **M{rule}** ")), "M{rule} is not written down");
        assert!(map.contains(&format!("| M{rule} | ")), "M{rule} has no place");
    }
    for invariant in 1..=20 {
        assert!(rules.contains(&format!("| **I{invariant}** | ")), "I{invariant} is not written down");
    }
}

#[test]
fn the_modules_that_the_map_names_exist() {
    let map = read(&root().join("ARCHITECTURE.md"));
    let (_, table) = map.split_once("## Where each rule lives").unwrap();
    let (table, _) = table.split_once("\n## ").unwrap();
    let mut missing = BTreeSet::new();
    for path in table.split('`').skip(1).step_by(2).flat_map(expanded) {
        let (package, module) = path.split_once("::").unwrap();
        let file = root().join(package).join("src").join(module.replace("::", "/"));
        if !file.with_extension("rs").exists() {
            missing.insert(path);
        }
    }
    assert!(missing.is_empty(), "{missing:?}");
}

/// Turns `a::{b, c}` into `a::b` and `a::c`.
fn expanded(path: &str) -> Vec<String> {
    match path.split_once('{') {
        Some((before, inside)) => {
            inside.trim_end_matches('}').split(", ").map(|name| format!("{before}{name}")).collect()
        }
        None => vec![path.to_owned()],
    }
}

#[test]
fn links_lead_to_files_that_exist() {
    for name in DOCUMENTS {
        let path = root().join(name);
        let text = read(&path);
        let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        for target in targets.filter(|target| !target.contains("://")) {
            assert!(path.with_file_name(target).exists(), "{name} links to {target}");
        }
    }
}
