//! Argo CD's `Application`, read strictly.
//!
//! A field that this version does not support is refused by its path, never read and ignored; so is one that nobody
//! knows. What says nothing (null, empty, false) is let through, because Argo CD's own tools write such fields.

pub(crate) mod annotations;
pub(crate) mod fields;
mod ignore;
mod sync;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde_json::Value;

use self::fields::Fields;
pub use self::fields::SpecError;
use crate::compare::IgnoreRule;
use crate::glob::Glob;
use crate::ids::AppId;
use crate::policy::{HistoryPolicy, Propagation, SyncPolicy};
use crate::render::DirectoryOptions;
use crate::tree::{TreeError, TreePath};

/// Group and version of the documents that are read.
pub const API_VERSION: &str = "argoproj.io/v1alpha1";

/// An application as its document states it.
#[derive(Debug, Clone, PartialEq)]
pub struct Application {
    /// Which one.
    pub id: AppId,
    /// Labels of the document.
    pub labels: BTreeMap<String, String>,
    /// Annotations of the document.
    pub annotations: BTreeMap<String, String>,
    /// How its objects are deleted with it; absent: they stay (M6).
    pub cascade: Option<Propagation>,
    /// Name of its project.
    pub project: String,
    /// What is rendered.
    pub source: Source,
    /// Where it goes.
    pub destination: Target,
    /// How it syncs.
    pub policy: SyncPolicy,
    /// Nothing of it goes by itself (Argo CD: `skip-reconcile`): its policy has no automated syncs then, whatever its `spec`
    /// says.
    pub paused: bool,
    /// What is not compared.
    pub ignore: Vec<IgnoreRule>,
    /// The document's `spec` as it was, for those who ask for it.
    pub spec: Value,
}

/// What an application renders: a directory of a Git repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// URL of the repository.
    pub repo_url: String,
    /// Branch, tag, commit or `HEAD`.
    pub revision: String,
    /// Directory inside the repository.
    pub path: TreePath,
    /// How the directory is rendered.
    pub directory: DirectoryOptions,
}

/// Where an application goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Which cluster.
    pub cluster: ClusterRef,
    /// Namespace of objects that name none; may be empty.
    pub namespace: String,
}

/// How a document names a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClusterRef {
    /// By its name in the registry.
    Name(String),
    /// By its server's URL.
    Server(String),
}

// === impl ClusterRef ===

impl ClusterRef {
    /// URL of the cluster that Argo CD itself runs on: the one whose agent is registered as [`Self::IN_CLUSTER`] (M9).
    pub const IN_CLUSTER_SERVER: &'static str = "https://kubernetes.default.svc";
    /// Name of that cluster.
    pub const IN_CLUSTER: &'static str = "in-cluster";

    /// Gives the name in the registry, where one can be told.
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Name(name) => Some(name),
            Self::Server(server) => (server == Self::IN_CLUSTER_SERVER).then_some(Self::IN_CLUSTER),
        }
    }

    /// Gives the server's URL as projects see it; empty for a cluster that has none here.
    pub fn server(&self) -> &str {
        match self {
            Self::Name(name) if name == Self::IN_CLUSTER => Self::IN_CLUSTER_SERVER,
            Self::Name(_) => "",
            Self::Server(server) => server,
        }
    }
}

// === impl Application ===

impl Application {
    /// Tells whether a document is an `Application`, of whatever version.
    pub fn is_kind_of(document: &Value) -> bool {
        is_kind(document, "Application")
    }

    /// Reads which application a document is about, also one that is refused; `None` when it does not say.
    pub fn identity(document: &Value) -> Option<AppId> {
        let text = |key| crate::json::text_at(document, &["metadata", key]);
        let name = text("name").filter(|name| is_dns_name(name))?;
        Some(AppId::new(text("namespace").unwrap_or_default(), name))
    }
}

impl TryFrom<&Value> for Application {
    type Error = SpecError;

    fn try_from(document: &Value) -> Result<Self, SpecError> {
        let mut top = open(document, "Application")?;
        let metadata = Metadata::read(&mut top)?;
        annotations::check(&metadata.annotations)?;
        let cascade = annotations::cascade(&metadata.finalizers)?;
        if top.value("operation").is_some() {
            return Err(top.error("operation", "is not supported in a document: order a sync with the CLI"));
        }
        // Status is state, and not the document's to say.
        top.ignore(&["status"]);
        let raw = top.value("spec").cloned().unwrap_or_default();
        let Some(mut spec) = top.object("spec")? else { return Err(top.error("spec", "is missing")) };
        top.finish()?;
        spec.unsupported(&["sources", "sourceHydrator"])?;
        // What the document is shown with changes nothing that is done.
        spec.objects("info")?;
        let limit = history_limit(&mut spec)?;
        let project = Some(spec.text("project")?).filter(|project| !project.is_empty());
        let source = source(&mut spec)?;
        let destination = destination(&mut spec)?;
        let mut policy = sync::policy(&mut spec)?;
        let ignore = ignore::rules(&mut spec)?;
        spec.finish()?;
        let paused = annotations::is_paused(&metadata.annotations);
        policy.automated = policy.automated.filter(|_| !paused);
        policy.history =
            HistoryPolicy { limit, fall_back_ms: annotations::rollback_on_degraded(&metadata.annotations)? };
        policy.take_over = annotations::take_over(&metadata.annotations)?;
        Ok(Self {
            id: AppId::new(metadata.namespace, metadata.name),
            labels: metadata.labels,
            annotations: metadata.annotations,
            cascade,
            project: project.unwrap_or_else(|| "default".to_owned()),
            source,
            destination,
            policy,
            paused,
            ignore,
            spec: raw,
        })
    }
}

/// Reads how many releases are kept.
fn history_limit(spec: &mut Fields<'_>) -> Result<Option<u32>, SpecError> {
    const FIELD: &str = "revisionHistoryLimit";
    let Some(limit) = spec.integer(FIELD)? else { return Ok(None) };
    u32::try_from(limit)
        .map(Some)
        .map_err(|_negative| spec.error(FIELD, format!("must not be negative, and is {limit}")))
}

/// The metadata of a document that people write.
pub(crate) struct Metadata {
    pub(crate) name: String,
    pub(crate) namespace: String,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) annotations: BTreeMap<String, String>,
    pub(crate) finalizers: Vec<String>,
}

// === impl Metadata ===

impl Metadata {
    pub(crate) fn read(top: &mut Fields<'_>) -> Result<Self, SpecError> {
        let Some(mut metadata) = top.object("metadata")? else {
            return Err(top.error("metadata.name", "is missing"));
        };
        let name = metadata.text("name")?;
        let namespace = metadata.text("namespace")?;
        if name.is_empty() {
            return Err(metadata.error("name", "is missing"));
        }
        if !is_dns_name(&name) {
            return Err(metadata.error("name", format!("{name:?} is not a DNS name in lower case")));
        }
        if !namespace.is_empty() && !is_dns_name(&namespace) {
            return Err(metadata.error("namespace", format!("{namespace:?} is not a DNS name in lower case")));
        }
        let read = Self {
            name,
            namespace,
            labels: metadata.text_map("labels")?,
            annotations: metadata.text_map("annotations")?,
            finalizers: metadata.texts("finalizers")?,
        };
        metadata.unsupported(&[
            "generateName",
            "ownerReferences",
            "deletionTimestamp",
            "deletionGracePeriodSeconds",
        ])?;
        // Written by an API server, and harmless in a document that was exported from one.
        metadata.ignore(&[
            "creationTimestamp",
            "generation",
            "managedFields",
            "resourceVersion",
            "selfLink",
            "uid",
        ]);
        metadata.finish()?;
        Ok(read)
    }
}

/// Opens a document of a kind and checks its version.
pub(crate) fn open<'a>(document: &'a Value, kind: &str) -> Result<Fields<'a>, SpecError> {
    let mut top = Fields::of(document, "")?;
    let (version, found) = (top.text("apiVersion")?, top.text("kind")?);
    if found != kind {
        return Err(top.error("kind", format!("{found:?} is not {kind:?}")));
    }
    if version != API_VERSION {
        return Err(top.error("apiVersion", format!("{version:?} is not supported, only {API_VERSION:?}")));
    }
    Ok(top)
}

/// Tells whether a document is of a kind of Argo CD's group.
pub(crate) fn is_kind(document: &Value, kind: &str) -> bool {
    let text = |key| crate::json::text_at(document, &[key]).unwrap_or_default();
    text("kind") == kind && text("apiVersion").starts_with("argoproj.io/")
}

fn source(spec: &mut Fields<'_>) -> Result<Source, SpecError> {
    let Some(mut source) = spec.object("source")? else { return Err(spec.error("source", "is missing")) };
    source.unsupported(&["chart", "helm", "kustomize", "plugin", "tagPrefix", "ref", "name"])?;
    let repo_url = source.text("repoURL")?;
    let path = source.text("path")?;
    if repo_url.is_empty() || path.is_empty() {
        let key = if repo_url.is_empty() { "repoURL" } else { "path" };
        let why = "spec.source.repoURL and either spec.source.path or spec.source.chart are required";
        return Err(source.error(key, why));
    }
    if repo_url.starts_with("oci://") {
        return Err(source.error("repoURL", "OCI sources are not supported"));
    }
    // Refused here, and not shown: a message that names the repository would carry them.
    let authority =
        repo_url.split_once("://").and_then(|(_, rest)| rest.split('/').next()).unwrap_or_default();
    if authority.contains('@') && repo_url.to_ascii_lowercase().starts_with("http") {
        return Err(source.error("repoURL", "credentials in a URL are not supported"));
    }
    let path = TreePath::parse(&path).map_err(|error| match error {
        TreeError::Path { path, why } => source.error("path", format!("{path:?}: {why}")),
        other @ (TreeError::NotFound { .. }
        | TreeError::NotADirectory { .. }
        | TreeError::Link { .. }
        | TreeError::Submodule { .. }
        | TreeError::TooLarge { .. }
        | TreeError::Unreadable { .. }) => source.error("path", other.to_string()),
    })?;
    let revision = source.text("targetRevision")?;
    let directory = match source.object("directory")? {
        None => DirectoryOptions::default(),
        Some(directory) => directory_options(directory)?,
    };
    source.finish()?;
    let revision = if revision.is_empty() { "HEAD".to_owned() } else { revision };
    Ok(Source { repo_url, revision, path, directory })
}

fn directory_options(mut directory: Fields<'_>) -> Result<DirectoryOptions, SpecError> {
    directory.unsupported(&["jsonnet", "disableExtensionFilter"])?;
    let options = DirectoryOptions {
        recurse: directory.boolean("recurse")?.unwrap_or(false),
        include: directory.text("include")?,
        exclude: directory.text("exclude")?,
    };
    for (key, pattern) in [("include", &options.include), ("exclude", &options.exclude)] {
        Glob::new(pattern, &[]).map_err(|error| directory.error(key, error.to_string()))?;
    }
    directory.finish()?;
    Ok(options)
}

fn destination(spec: &mut Fields<'_>) -> Result<Target, SpecError> {
    const MISSING: &str = "Destination server missing from app spec";
    let Some(mut destination) = spec.object("destination")? else {
        return Err(spec.error("destination", MISSING));
    };
    let server = destination.text("server")?.trim_end_matches('/').to_owned();
    let name = destination.text("name")?;
    let namespace = destination.text("namespace")?;
    if !namespace.is_empty() && !is_dns_name(&namespace) {
        return Err(destination.error("namespace", format!("{namespace:?} is not a DNS name in lower case")));
    }
    let cluster = match (server.is_empty(), name.is_empty()) {
        (true, true) => return Err(spec.error("destination", MISSING)),
        (false, false) => {
            let why =
                format!("application destination can't have both name and server defined: {name} {server}");
            return Err(spec.error("destination", why));
        }
        (false, true) => ClusterRef::Server(server),
        (true, false) => ClusterRef::Name(name),
    };
    destination.finish()?;
    Ok(Target { cluster, namespace })
}

/// Tells whether a text is a DNS subdomain in lower case, as Kubernetes wants names to be.
fn is_dns_name(text: &str) -> bool {
    let sound = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    };
    text.len() <= 253 && text.split('.').all(sound)
}
