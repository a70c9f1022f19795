//! A model of Git: a history of snapshots, each with the fleet's documents and the directories that they name.
//!
//! Repository 0 holds the fleet and some directories, repository 1 the others. The hub reads each of them when it can
//! be reached, always as of the newest commit.

mod commits;
mod slices;

use std::collections::{BTreeMap, BTreeSet};

use argosy_core::application::Application;
use argosy_core::fleet::{AppDocument, BrokenFile, FleetRead, ProjectDocument, Words};
use argosy_core::ids::AppId;
use argosy_core::key::ResourceKey;
use argosy_core::policy::Propagation;
use argosy_core::project::Project;
use argosy_core::release::Release;

use super::objects::{self, Piece};
use super::random::Random;

/// How many repositories there are.
pub(super) const REPOSITORIES: usize = 2;

/// How an application's document reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Document {
    Good,
    /// Its file does not parse.
    BrokenFile,
    /// A field is refused.
    Invalid,
    /// Its project does not permit it.
    Refused,
}

/// One application with the directory that it names.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "independent fields of a document")]
pub(super) struct Source {
    pub(super) cluster: usize,
    pub(super) namespace: String,
    pub(super) repository: usize,
    pub(super) automated: bool,
    pub(super) prune: bool,
    pub(super) self_heal: bool,
    pub(super) allow_empty: bool,
    pub(super) create_namespace: bool,
    pub(super) cascade: bool,
    /// Its project has a sync window that is always closed.
    pub(super) windowed: bool,
    pub(super) document: Document,
    pub(super) renders: bool,
    /// By key as rendered.
    pub(super) objects: BTreeMap<ResourceKey, Piece>,
}

/// One commit.
pub(super) type Snapshot = BTreeMap<AppId, Source>;

/// Which commit each source was read at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct ReadAt {
    /// Of the repository that holds the fleet.
    pub(super) fleet: usize,
    /// Of each repository; absent when it was not read in this life of the hub.
    pub(super) repositories: [Option<usize>; REPOSITORIES],
}

impl ReadAt {
    pub(super) fn of(&self, repository: usize) -> Option<usize> {
        self.repositories.get(repository).copied().flatten()
    }
}

/// The history.
#[derive(Debug, Clone)]
pub(super) struct Git {
    pub(super) history: Vec<Snapshot>,
    /// Until when each repository cannot be reached.
    pub(super) away_until: [u64; REPOSITORIES],
    /// What is drawn of parts, where apps state some.
    pub(super) slices: Option<Random>,
}

impl Source {
    /// Gives the objects at the destination, each with its key as rendered; of two that meet the last wins.
    pub(super) fn resolved(&self) -> BTreeMap<ResourceKey, (ResourceKey, Piece)> {
        self.objects
            .iter()
            .map(|(key, piece)| (objects::resolve(key, &self.namespace), (key.clone(), *piece)))
            .collect()
    }

    /// Tells whether its document is as it should be.
    pub(super) fn is_good(&self) -> bool {
        self.document == Document::Good
    }

    /// Renders the directory.
    pub(super) fn release(&self) -> Release {
        let digests = self.objects.iter().map(|(key, piece)| (key.clone(), objects::digest(key, *piece)));
        let (release, _) = Release::build(digests);
        release
    }

    /// Gives the manifests of that release.
    pub(super) fn manifests(&self) -> impl Iterator<Item = Vec<u8>> {
        self.objects.iter().map(|(key, piece)| objects::manifest(key, *piece))
    }

    fn document(&self, app: &AppId) -> serde_json::Value {
        let mut options = Vec::new();
        if self.create_namespace {
            options.push("CreateNamespace=true");
        }
        let automated = serde_json::json!({
            "prune": self.prune, "selfHeal": self.self_heal, "allowEmpty": self.allow_empty,
        });
        let finalizers: &[&str] =
            if self.cascade { &["resources-finalizer.argocd.argoproj.io"] } else { &[] };
        serde_json::json!({
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "Application",
            "metadata": {"name": app.name, "namespace": "argocd", "finalizers": finalizers},
            "spec": {
                "project": match self.document {
                    Document::Refused => "closed",
                    Document::Good | Document::BrokenFile | Document::Invalid if self.windowed => "windowed",
                    Document::Good | Document::BrokenFile | Document::Invalid if acts(app) => ACTING,
                    Document::Good | Document::BrokenFile | Document::Invalid => "default",
                },
                "source": {
                    "repoURL": format!("https://git.example/{}", self.repository),
                    "targetRevision": "main",
                    "path": app.name,
                },
                "destination": {"name": cluster_name(self.cluster), "namespace": self.namespace},
                "syncPolicy": {
                    "automated": if self.automated { automated } else { serde_json::Value::Null },
                    "syncOptions": options,
                    "retry": {"limit": 2, "backoff": {"duration": "2s"}},
                },
            },
        })
    }
}

/// Gives the name of a cluster in the registry.
pub(super) fn cluster_name(number: usize) -> String {
    format!("edge-{number}")
}

impl Git {
    /// Gives the newest commit.
    pub(super) fn head(&self) -> usize {
        self.history.len().saturating_sub(1)
    }

    /// Gives the newest snapshot.
    pub(super) fn newest(&self) -> Snapshot {
        self.history.last().cloned().unwrap_or_default()
    }

    /// Gives the apps of the newest snapshot.
    pub(super) fn apps(&self) -> impl Iterator<Item = (&AppId, &Source)> + Clone {
        self.history.last().into_iter().flatten()
    }

    /// Gives an app as of a commit.
    pub(super) fn app(&self, commit: usize, app: &AppId) -> Option<&Source> {
        self.history.get(commit)?.get(app)
    }

    /// Gives the directory of an app as of a commit of its repository.
    pub(super) fn directory(&self, commit: usize, app: &AppId, repository: usize) -> Option<&Source> {
        self.app(commit, app).filter(|directory| directory.repository == repository)
    }

    /// Reads the fleet as of a commit.
    pub(super) fn fleet(&self, commit: usize) -> FleetRead {
        let mut read = FleetRead { complete: true, ..FleetRead::default() };
        let limits = argosy_core::policy::ProjectLimits {
            project: "closed".to_owned(),
            ..Project::permissive().limits
        };
        let closed = Project { description: String::new(), source_repos: Vec::new(), limits };
        let closed = ProjectDocument {
            file: "projects.yaml".to_owned(),
            project: Ok(closed),
            document: String::new(),
        };
        read.projects.insert("closed".to_owned(), closed);
        let windowed = ProjectDocument {
            file: "projects.yaml".to_owned(),
            project: windowed(),
            document: String::new(),
        };
        read.projects.insert("windowed".to_owned(), windowed);
        let acting =
            ProjectDocument { file: "projects.yaml".to_owned(), project: acting(), document: String::new() };
        read.projects.insert(ACTING.to_owned(), acting);
        for (app, source) in self.history.get(commit).into_iter().flatten() {
            let file = format!("apps/{}.yaml", app.name);
            if source.document == Document::BrokenFile {
                let text = source.document(app).to_string();
                let (message, words) = ("line 1: not YAML".to_owned(), Words::of(text.as_bytes()));
                read.broken.push(BrokenFile { file, message, words });
                continue;
            }
            let document = source.document(app);
            let application = if source.document == Document::Invalid {
                Err("spec.source.helm: is not supported".to_owned())
            } else {
                Application::try_from(&document).map_err(|error| error.to_string())
            };
            read.apps.insert(app.clone(), AppDocument { file, application, document: document.to_string() });
        }
        read
    }

    /// Tells what a read makes of an app on a cluster: its objects as far as anything says that they are meant, whether
    /// it fails or not; and whether it fails.
    pub(super) fn meant(&self, at: &ReadAt, app: &AppId, source: &Source) -> (BTreeSet<ResourceKey>, bool) {
        let directory =
            at.of(source.repository).and_then(|commit| self.directory(commit, app, source.repository));
        match directory {
            Some(directory) => {
                let keys = directory.objects.keys().map(|key| objects::resolve(key, &source.namespace));
                (keys.collect(), !source.is_good() || !directory.renders)
            }
            None => (BTreeSet::new(), true),
        }
    }
}

/// The project whose applications act as a service account.
pub(super) const ACTING: &str = "acting";
/// The account's name; it lives where the application goes.
pub(super) const ACCOUNT: &str = "deployer";

/// Tells whether an application is one that acts as a service account.
fn acts(app: &AppId) -> bool {
    app.name.bytes().last().is_some_and(|digit| digit.is_multiple_of(3))
}

/// A project that permits everything, to an account.
fn acting() -> Result<Project, String> {
    project(
        ACTING,
        serde_json::json!({
            "destinationServiceAccounts": [{"server": "*", "namespace": "*", "defaultServiceAccount": ACCOUNT}],
        }),
    )
}

/// A project that permits everything, and never a sync.
fn windowed() -> Result<Project, String> {
    let window = serde_json::json!({
        "kind": "deny", "schedule": "* * * * *", "duration": "1h", "applications": ["*"],
    });
    project("windowed", serde_json::json!({"syncWindows": [window]}))
}

/// A project that permits everything, with something more in its spec.
fn project(name: &str, more: serde_json::Value) -> Result<Project, String> {
    let any = serde_json::json!([{"group": "*", "kind": "*"}]);
    let mut spec = serde_json::json!({
        "sourceRepos": ["*"],
        "destinations": [{"server": "*", "name": "*", "namespace": "*"}],
        "clusterResourceWhitelist": any,
    });
    if let (Some(spec), serde_json::Value::Object(more)) = (spec.as_object_mut(), more) {
        spec.extend(more);
    }
    let document = serde_json::json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "AppProject", "metadata": {"name": name}, "spec": spec,
    });
    Project::try_from(&document).map_err(|error| error.to_string())
}

/// The cascade that a document asks for.
pub(super) fn cascade(source: &Source) -> Option<Propagation> {
    source.cascade.then_some(Propagation::Foreground)
}
