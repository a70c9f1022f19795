//! Reads and renders what somebody would have merged. The repositories are looked at in mirrors of their own, so that the
//! hub's work never waits for a preview.

use std::collections::BTreeMap;
use std::path::PathBuf;

use argosy_core::application::Source;
use argosy_core::fleet::{FleetRead, Rendering, SourceFile};
use argosy_core::hub::{Proposal, ProposedSources, read_documents};
use argosy_core::ids::AppId;
use argosy_core::project::normalise_repository;
use argosy_core::tree::TreePath;
use argosy_runtime::blocking;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use crate::engine::{Handle, Stopped};
use crate::fleet::{FleetSource, files_of};
use crate::git::{GitError, RepositoryUrl};
use crate::metrics::Metrics;
use crate::sources::{Batch, Cache, Repository, one_spelling};

/// How often apps are looked for that others bring: as deep as the hub takes them, and once more.
const LEVELS: usize = 10;

/// What is asked for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Asked {
    /// The fleet's files; absent: as they are, or as of the revision.
    pub(crate) files: Option<Vec<SourceFile>>,
    /// The revision of the fleet's repository.
    pub(crate) fleet_revision: Option<String>,
    /// Revisions of the apps' repositories, by their URLs.
    pub(crate) revisions: BTreeMap<String, String>,
}

/// Why there is no proposal.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AskError {
    /// Another preview is being made.
    #[error("another preview is being made; try again")]
    Busy,
    /// The fleet has no revisions.
    #[error(
        "the hub's fleet is the directory {0}, which has no revisions; give the changed files by --fleet DIR"
    )]
    NoRevisions(String),
    /// No app is rendered from a repository.
    #[error("no app of the fleet is rendered from {0}; the URL has to be one of a spec.source.repoURL")]
    NoApp(String),
    /// The fleet's repository cannot be read so.
    #[error("the fleet at {revision:?}: {why}")]
    Fleet { revision: String, why: String },
    /// The hub's store cannot be read.
    #[error("the hub's store: {0}")]
    Store(String),
    /// The hub stops.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// Makes proposals.
pub(crate) struct Previewer {
    source: FleetSource,
    path: TreePath,
    mirrors: PathBuf,
    metrics: Metrics,
    stop: CancellationToken,
    /// One preview at a time has them.
    repositories: Mutex<BTreeMap<RepositoryUrl, Repository>>,
}

// === impl Previewer ===

impl Previewer {
    /// `mirrors` is nobody else's.
    pub(crate) fn new(
        source: FleetSource,
        path: TreePath,
        mirrors: PathBuf,
        metrics: Metrics,
        stop: CancellationToken,
    ) -> Self {
        Self { source, path, mirrors, metrics, stop, repositories: Mutex::default() }
    }

    /// Reads and renders what the hub has not.
    ///
    /// # Cancel safety
    /// Dropped, a fetch runs to its end and nothing else is left behind.
    pub(crate) async fn propose(&self, asked: Asked, handle: &Handle) -> Result<Proposal, AskError> {
        let mut repositories = self.repositories.try_lock().map_err(|_taken| AskError::Busy)?;
        let files = match (asked.files, asked.fleet_revision) {
            (Some(files), _) => Some(files),
            (None, Some(revision)) => Some(self.fleet_at(revision, &mut repositories).await?),
            (None, None) => None,
        };
        let read = match files {
            Some(files) => Some(documents(files).await?),
            None => None,
        };
        let mut proposal = Proposal { read, ..Proposal::default() };
        let ProposedSources { all, unrendered: mut sources } = sources_of(&mut proposal, handle).await?;
        for (repository, revision) in &asked.revisions {
            let wanted = normalise_repository(repository);
            let of = all.iter().filter(|(_, source)| normalise_repository(&source.repo_url) == wanted);
            let changed: BTreeMap<AppId, Source> = of
                .map(|(app, source)| (app.clone(), Source { revision: revision.clone(), ..source.clone() }))
                .collect();
            if changed.is_empty() {
                return Err(AskError::NoApp(repository.clone()));
            }
            sources.extend(changed);
        }
        let asked_for = |source: Source| {
            let wanted = normalise_repository(&source.repo_url);
            let revision = asked.revisions.iter().find(|(url, _)| normalise_repository(url) == wanted);
            Source { revision: revision.map_or(source.revision, |(_, revision)| revision.clone()), ..source }
        };
        // What is rendered may bring apps that are to be rendered in turn, each deeper than the one that brings it.
        for _level in 0..LEVELS {
            self.render(sources, &mut repositories, &mut proposal).await;
            let found = sources_of(&mut proposal, handle).await?;
            if found.unrendered.is_empty() {
                break;
            }
            sources = found.unrendered.into_iter().map(|(app, source)| (app, asked_for(source))).collect();
        }
        Ok(proposal)
    }

    async fn fleet_at(
        &self,
        revision: String,
        repositories: &mut BTreeMap<RepositoryUrl, Repository>,
    ) -> Result<Vec<SourceFile>, AskError> {
        let FleetSource::Repository { url, .. } = &self.source else {
            return Err(AskError::NoRevisions(self.source.to_string()));
        };
        let (path, wanted) = (self.path.clone(), revision.clone());
        let looked = self
            .repository(url.clone(), repositories)
            .look(move |mirror| {
                let commit = mirror.resolve(&wanted)?;
                let tree = mirror.tree(&commit)?;
                Ok::<_, GitError>(files_of(&tree, &path, &[], None))
            })
            .await;
        let failed = |why: String| AskError::Fleet { revision: revision.clone(), why };
        let found = looked.map_err(|failure| failed(failure.message))?;
        let found = found.map_err(|error| failed(error.to_string()))?;
        Ok(found.map(|(_, files)| files).unwrap_or_default())
    }

    fn repository<'a>(
        &self,
        url: RepositoryUrl,
        repositories: &'a mut BTreeMap<RepositoryUrl, Repository>,
    ) -> &'a mut Repository {
        repositories.entry(url.clone()).or_insert_with(|| {
            Repository::new(url, self.mirrors.clone(), self.metrics.clone(), self.stop.clone())
        })
    }

    /// Renders apps, repository by repository. What fails is told of its apps.
    async fn render(
        &self,
        sources: BTreeMap<AppId, Source>,
        repositories: &mut BTreeMap<RepositoryUrl, Repository>,
        proposal: &mut Proposal,
    ) {
        let mut by_repository: BTreeMap<RepositoryUrl, BTreeMap<AppId, Source>> = BTreeMap::new();
        for (app, source) in sources {
            match RepositoryUrl::parse(&source.repo_url) {
                Ok(url) => {
                    by_repository.entry(one_spelling(url)).or_default().insert(app, source);
                }
                Err(error) => {
                    let failed = Rendering::Failed(format!("spec.source.repoURL: {error}"));
                    proposal.renderings.insert(app, failed);
                }
            }
        }
        for (url, sources) in by_repository {
            let apps: Vec<AppId> = sources.keys().cloned().collect();
            let looked = self
                .repository(url, repositories)
                .look(move |mirror| Cache::default().render(mirror, &sources))
                .await;
            match looked {
                Ok(Batch { apps, content, .. }) => {
                    let rendered = apps.into_iter().map(|(app, rendered)| (app, rendered.rendering));
                    proposal.renderings.extend(rendered);
                    proposal.content.extend(content);
                }
                Err(failure) => {
                    let failed = |app| (app, Rendering::Failed(failure.message.clone()));
                    proposal.renderings.extend(apps.into_iter().map(failed));
                }
            }
        }
    }
}

/// Gives what a proposal's apps are rendered from, as far as it is known yet.
async fn sources_of(proposal: &mut Proposal, handle: &Handle) -> Result<ProposedSources, AskError> {
    let asked = std::mem::take(proposal);
    let (sources, asked) = handle
        .query(move |machine, store, now| (machine.proposed_sources(&asked, now.wall, store), asked))
        .await?;
    *proposal = asked;
    sources.map_err(|error| AskError::Store(error.to_string()))
}

/// Reads the documents of a whole fleet.
async fn documents(files: Vec<SourceFile>) -> Result<FleetRead, AskError> {
    let read = blocking::run("read documents", move || read_documents(files).read).await;
    let read =
        read.map_err(|error| AskError::Fleet { revision: "as given".to_owned(), why: error.to_string() })?;
    Ok(FleetRead { complete: true, ..read })
}
