//! Argo CD's `AppProject`: what an application may use and touch.
//!
//! A rule permits when at least one rule allows and none denies, as Argo CD's documentation has it; in Argo CD itself a
//! denial also allows whatever it does not name. So nothing is permitted here that Argo CD would refuse. A rule that
//! this version does not support is refused by name, because a project that loses a restriction grants something.

mod accounts;
mod limits;
mod repository;
#[cfg(test)]
mod tests;
pub(crate) mod windows;

use minicbor::{Decode, Encode};
use serde_json::Value;

use crate::application::fields::Fields;
use crate::application::{self, Metadata, SpecError};
use crate::glob::Glob;
use crate::ids::AppId;
use crate::policy::{DestinationRule, KindRule, ProjectLimits};

pub use self::repository::normalise as normalise_repository;

/// Name of the project of applications that name none.
pub const DEFAULT: &str = "default";

/// A project as its document states it.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Project {
    /// What it is for.
    #[n(0)]
    pub description: String,
    /// Globs of the repositories that may be used; `!` before one denies.
    #[n(1)]
    pub source_repos: Vec<String>,
    /// What may be touched.
    #[n(2)]
    pub limits: ProjectLimits,
}

/// Something that a project does not permit, in Argo CD's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotPermitted {
    /// A repository.
    #[error("application repo {repo} is not permitted in project '{project}'")]
    Source {
        /// Its URL.
        repo: String,
        /// The project.
        project: String,
    },
    /// A destination.
    #[error(
        "application destination server '{server}' and namespace '{namespace}' do not match any of the allowed \
         destinations in project '{project}'"
    )]
    Destination {
        /// URL or name of the cluster.
        server: String,
        /// The namespace.
        namespace: String,
        /// The project.
        project: String,
    },
    /// A kind of object.
    #[error("resource {group}:{kind} is not permitted in project {project}")]
    Kind {
        /// Its group.
        group: String,
        /// The kind.
        kind: String,
        /// The project.
        project: String,
    },
    /// To act at all: its project names service accounts, and none for its destination.
    #[error(
        "failed to find a matching service account to impersonate: no matching service account found for destination \
         server {server} and namespace {namespace}"
    )]
    NoAccount {
        /// URL or name of the cluster.
        server: String,
        /// The namespace.
        namespace: String,
    },
    /// An object's namespace.
    #[error("namespace {namespace} is not permitted in project '{project}'")]
    Namespace {
        /// The namespace.
        namespace: String,
        /// The project.
        project: String,
    },
}

// === impl Project ===

impl Project {
    /// Gives the project `default` as it is when no document defines it: it permits everything.
    pub fn permissive() -> Self {
        let any = || "*".to_owned();
        Self {
            description: String::new(),
            source_repos: vec![any()],
            limits: ProjectLimits {
                project: DEFAULT.to_owned(),
                destinations: vec![DestinationRule { server: any(), name: any(), namespace: any() }],
                cluster_allowed: vec![KindRule { group: any(), kind: any(), name: String::new() }],
                ..ProjectLimits::default()
            },
        }
    }

    /// Gives the document that would define [`Self::permissive`].
    pub fn permissive_document() -> Value {
        serde_json::json!({
            "metadata": {"name": DEFAULT},
            "spec": {
                "sourceRepos": ["*"],
                "destinations": [{"server": "*", "name": "*", "namespace": "*"}],
                "clusterResourceWhitelist": [{"group": "*", "kind": "*"}],
            },
        })
    }

    /// Gives the project's name.
    pub fn name(&self) -> &str {
        &self.limits.project
    }

    /// Tells whether a document is an `AppProject`, of whatever version.
    pub fn is_kind_of(document: &Value) -> bool {
        application::is_kind(document, "AppProject")
    }

    /// Reads which project a document is about, also one that is refused; `None` when it does not say.
    pub fn identity(document: &Value) -> Option<String> {
        crate::json::text_at(document, &["metadata", "name"])
            .filter(|name| !name.is_empty())
            .map(str::to_owned)
    }

    /// Checks a repository's URL.
    pub fn permits_source(&self, repo_url: &str) -> Result<(), NotPermitted> {
        let url = normalise_repository(repo_url);
        let matches = |pattern: &str| {
            pattern == "*"
                || Glob::new(&normalise_repository(pattern), &['/']).is_ok_and(|glob| glob.matches(&url))
        };
        let mut allowed = false;
        for pattern in &self.source_repos {
            match pattern.strip_prefix('!') {
                Some(denied) if matches(denied) => {
                    allowed = false;
                    break;
                }
                Some(_) => {}
                None => allowed |= matches(pattern),
            }
        }
        if allowed {
            Ok(())
        } else {
            Err(NotPermitted::Source { repo: repo_url.to_owned(), project: self.name().to_owned() })
        }
    }
}

impl TryFrom<&Value> for Project {
    type Error = SpecError;

    fn try_from(document: &Value) -> Result<Self, SpecError> {
        let mut top = application::open(document, "AppProject")?;
        let metadata = Metadata::read(&mut top)?;
        if !metadata.namespace.is_empty() && metadata.namespace != AppId::DEFAULT_NAMESPACE {
            let why =
                format!("projects of other namespaces than {:?} are not supported", AppId::DEFAULT_NAMESPACE);
            return Err(SpecError::new("metadata.namespace", why));
        }
        if let Some(finalizer) =
            metadata.finalizers.iter().find(|name| *name != "resources-finalizer.argocd.argoproj.io")
        {
            return Err(SpecError::new(
                "metadata.finalizers",
                format!("finalizer {finalizer:?} is not supported"),
            ));
        }
        // Status is state, and not the document's to say.
        top.ignore(&["status"]);
        let Some(mut spec) = top.object("spec")? else { return Err(top.error("spec", "is missing")) };
        top.finish()?;
        spec.unsupported(&[
            "roles",
            "signatureKeys",
            "sourceIntegrity",
            "orphanedResources",
            "sourceNamespaces",
            "permitOnlyProjectScopedClusters",
        ])?;
        let project = Self {
            description: spec.text("description")?,
            source_repos: source_repos(&mut spec)?,
            limits: ProjectLimits {
                project: metadata.name,
                destinations: destinations(&mut spec)?,
                cluster_allowed: kinds(&mut spec, "clusterResourceWhitelist")?.unwrap_or_default(),
                cluster_denied: kinds(&mut spec, "clusterResourceBlacklist")?.unwrap_or_default(),
                namespaced_allowed: kinds(&mut spec, "namespaceResourceWhitelist")?,
                namespaced_denied: kinds(&mut spec, "namespaceResourceBlacklist")?.unwrap_or_default(),
                windows: windows::windows(&mut spec)?,
                accounts: accounts::accounts(&mut spec)?,
                acts: None,
            },
        };
        spec.finish()?;
        Ok(project)
    }
}

fn source_repos(spec: &mut Fields<'_>) -> Result<Vec<String>, SpecError> {
    let repos = spec.texts("sourceRepos")?;
    for (index, pattern) in repos.iter().enumerate() {
        let glob = pattern.strip_prefix('!').unwrap_or(pattern);
        Glob::new(&normalise_repository(glob), &['/'])
            .map_err(|error| spec.error(&format!("sourceRepos[{index}]"), error.to_string()))?;
    }
    Ok(repos)
}

fn destinations(spec: &mut Fields<'_>) -> Result<Vec<DestinationRule>, SpecError> {
    let read = |mut item: Fields<'_>| {
        let rule = DestinationRule {
            server: item.text("server")?,
            name: item.text("name")?,
            namespace: item.text("namespace")?,
        };
        for (key, pattern) in [("server", &rule.server), ("name", &rule.name), ("namespace", &rule.namespace)]
        {
            Glob::new(pattern.strip_prefix('!').unwrap_or(pattern), &[])
                .map_err(|error| item.error(key, error.to_string()))?;
        }
        item.finish()?;
        Ok(rule)
    };
    spec.objects("destinations")?.into_iter().map(read).collect()
}

fn kinds(spec: &mut Fields<'_>, key: &'static str) -> Result<Option<Vec<KindRule>>, SpecError> {
    let named = key.starts_with("cluster");
    let read = |mut item: Fields<'_>| {
        let rule = KindRule {
            group: item.text("group")?,
            kind: item.text("kind")?,
            name: if named { item.text("name")? } else { String::new() },
        };
        for (key, pattern) in [("group", &rule.group), ("kind", &rule.kind), ("name", &rule.name)] {
            Glob::file_match(pattern).map_err(|error| item.error(key, error.to_string()))?;
        }
        item.finish()?;
        Ok(rule)
    };
    if spec.value(key).is_none() {
        return Ok(None);
    }
    spec.objects(key)?.into_iter().map(read).collect::<Result<_, _>>().map(Some)
}
