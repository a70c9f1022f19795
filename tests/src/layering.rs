//! The direction in which packages depend on each other, held against their manifests and sources.
//!
//! `core` decides and does nothing; `proto` is the wire around it; `runtime` is the shell of both daemons; the daemons
//! and the CLI stand on these and never on each other. A dependency that crosses this has to be drawn here first.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Our packages, and which of ours each may name in any of its dependency tables.
const LAYERS: [(&str, &[&str]); 9] = [
    ("argosy-core", &[]),
    ("argosy-lua", &["argosy-core"]),
    ("argosy-proto", &["argosy-core"]),
    ("argosy-runtime", &["argosy-core"]),
    ("argosy-principal", &["argosy-core", "argosy-proto", "argosy-runtime"]),
    ("argosy-agent", &["argosy-core", "argosy-lua", "argosy-proto", "argosy-runtime"]),
    ("argosy-cli", &["argosy-core", "argosy-lua", "argosy-proto"]),
    // The agent only in its tests: its own client is held against the simulated API.
    ("argosy-sim", &["argosy-agent", "argosy-core", "argosy-runtime"]),
    (
        "argosy-tests",
        &[
            "argosy-agent",
            "argosy-cli",
            "argosy-core",
            "argosy-principal",
            "argosy-proto",
            "argosy-runtime",
            "argosy-sim",
        ],
    ),
];

/// What only the edges may use, and where: Git, the API server, the process's clocks and files.
const CONFINED: [(&str, &[&str]); 11] = [
    ("git2", &["argosy-principal"]),
    ("kube", &["argosy-agent"]),
    ("k8s-openapi", &["argosy-agent"]),
    ("redb", &["argosy-runtime"]),
    ("rustix", &["argosy-runtime"]),
    ("tracing-subscriber", &["argosy-runtime"]),
    ("tonic", &["argosy-proto", "argosy-principal", "argosy-agent", "argosy-cli"]),
    ("prost", &["argosy-proto", "argosy-agent"]),
    ("mlua", &["argosy-lua"]),
    ("backoff", &["argosy-core"]),
    ("anyhow", &["argosy-principal", "argosy-agent", "argosy-cli", "argosy-sim", "argosy-tests"]),
];

/// What the deciding package never depends on, not even in its tests: whatever does something.
const NOT_IN_CORE: [&str; 9] =
    ["futures", "git2", "kube", "prost", "redb", "rustls", "tokio", "tonic", "tracing"];

/// What the sources of the deciding package never name.
const UNSPOKEN_IN_CORE: [&str; 12] = [
    "std::env",
    "std::fs",
    "std::net",
    "std::process",
    "std::thread",
    "std::time::Instant",
    "std::time::SystemTime",
    "async fn",
    // What jiff has that looks at the machine.
    "Timestamp::now",
    "Zoned::now",
    "TimeZone::system",
    "TimeZone::get(",
];

/// A package's manifest, as far as it matters here.
#[derive(Debug, Default)]
struct Package {
    name: String,
    folder: PathBuf,
    /// Dependencies of any table.
    all: BTreeSet<String>,
    /// Dependencies of the program or library itself.
    normal: BTreeSet<String>,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Reads the packages that the workspace lists.
fn packages() -> BTreeMap<String, Package> {
    let workspace = read(&root().join("Cargo.toml"));
    let members = workspace.split_once("members = [").unwrap().1.split_once(']').unwrap().0;
    let folders =
        members.split(',').map(|member| member.trim().trim_matches('"')).filter(|name| !name.is_empty());
    let packages = folders.map(|folder| package(&root().join(folder)));
    packages.map(|package| (package.name.clone(), package)).collect()
}

/// Reads a manifest: its tables' headers and, below them, the keys before a dot or an equals sign.
fn package(folder: &Path) -> Package {
    let mut package = Package { folder: folder.to_owned(), ..Package::default() };
    let mut table = String::new();
    for line in read(&folder.join("Cargo.toml")).lines().map(str::trim) {
        if let Some(header) = line.strip_prefix('[') {
            header.trim_end_matches(']').clone_into(&mut table);
            continue;
        }
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let key = line.split(['.', '=', ' ']).next().unwrap_or_default().to_owned();
        if table == "package" && key == "name" {
            line.split('"').nth(1).unwrap().clone_into(&mut package.name);
        }
        // Also `target.'cfg(…)'.dependencies`.
        if table.ends_with("dependencies") {
            if !table.ends_with("dev-dependencies") && !table.ends_with("build-dependencies") {
                package.normal.insert(key.clone());
            }
            package.all.insert(key);
        }
    }
    assert!(!package.name.is_empty(), "{} names no package", folder.display());
    package
}

/// Returns the files of Rust below a folder.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(next) = open.pop() {
        for entry in std::fs::read_dir(&next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    found
}

#[test]
fn every_package_of_the_workspace_has_its_layer() {
    let packages = packages();

    let drawn: BTreeSet<&str> = LAYERS.iter().map(|(name, _)| *name).collect();

    assert_eq!(packages.keys().map(String::as_str).collect::<BTreeSet<_>>(), drawn);
}

#[test]
fn packages_depend_on_each_other_only_as_drawn() {
    let packages = packages();
    for (name, permitted) in LAYERS {
        let ours = packages[name].all.iter().filter(|dependency| dependency.starts_with("argosy-"));
        let strays: Vec<_> = ours.filter(|dependency| !permitted.contains(&dependency.as_str())).collect();
        assert!(strays.is_empty(), "{name} may not depend on {strays:?}");
    }
}

#[test]
fn what_touches_the_world_is_confined_to_the_edges() {
    let packages = packages();
    for (dependency, permitted) in CONFINED {
        for package in packages.values().filter(|package| package.normal.contains(dependency)) {
            assert!(permitted.contains(&package.name.as_str()), "{} may not use {dependency}", package.name);
        }
    }
}

#[test]
fn the_deciding_package_does_nothing() {
    let core = &packages()["argosy-core"];
    for dependency in NOT_IN_CORE {
        assert!(!core.all.contains(dependency), "argosy-core may not depend on {dependency}");
    }
    for file in sources(&core.folder.join("src")) {
        let text = read(&file);
        for word in UNSPOKEN_IN_CORE {
            assert!(!text.contains(word), "{} names {word}", file.display());
        }
    }
}

#[test]
fn versions_are_written_in_the_workspace_alone() {
    for package in packages().values() {
        let manifest = read(&package.folder.join("Cargo.toml"));
        let tables = manifest.split_once("dependencies]").map_or("", |(_, tables)| tables);
        let strays: Vec<_> = tables
            .lines()
            .filter(|line| line.contains('=') && !line.starts_with('#'))
            .filter(|line| !line.contains("workspace = true"))
            .collect();
        assert!(strays.is_empty(), "{}: {strays:?}", package.name);
    }
}

#[test]
fn every_package_has_the_workspaces_lints_and_facts() {
    for package in packages().values() {
        let manifest = read(&package.folder.join("Cargo.toml"));
        assert!(manifest.contains("[lints]\nworkspace = true\n"), "{} has lints of its own", package.name);
        for fact in ["version", "edition", "rust-version", "license", "publish"] {
            assert!(manifest.contains(&format!("{fact}.workspace = true")), "{}: {fact}", package.name);
        }
    }
}
