//! All apps of one repository at one look at it.

use std::collections::BTreeMap;

use argosy_core::application::Source;
use argosy_core::fleet::Rendering;
use argosy_core::hub::RenderedApp;
use argosy_core::ids::{AppId, Digest};
use argosy_core::release::Root;
use argosy_core::render::{RenderLimits, RenderWarning, select};
use argosy_core::session::tables::{put_manifest, put_release};
use argosy_core::status::Condition;
use argosy_core::store::StoreOp;

use crate::git::{GitError, Mirror};

/// Warnings that are shown of one app; the rest is counted.
const WARNINGS: usize = 10;

/// What rendering an app came to, and what that depends on.
#[derive(Debug, Clone, PartialEq)]
struct Known {
    source: Source,
    /// The files with their contents, as [`argosy_core::render::Selection::cache_key`] names them.
    key: Digest,
    outcome: Outcome,
}

#[derive(Debug, Clone, PartialEq)]
enum Outcome {
    Rendered { root: Root, warnings: Vec<Condition> },
    Failed(String),
}

/// The renderings of a repository's apps that are known.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cache {
    known: BTreeMap<AppId, Known>,
}

/// What a look came to.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    /// Every app.
    pub(crate) apps: BTreeMap<AppId, RenderedApp>,
    /// New releases and manifests.
    pub(crate) content: Vec<StoreOp>,
    /// How many were rendered, and how many were known.
    pub(crate) rendered: u64,
    /// How many were known already.
    pub(crate) known: u64,
}

// === impl Cache ===

impl Cache {
    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        self.known.clear();
    }

    /// Renders what is not known of these apps.
    pub(crate) fn render(
        &mut self,
        mirror: &Mirror,
        sources: &BTreeMap<AppId, Source>,
    ) -> Result<Batch, GitError> {
        let mut batch = Batch::default();
        self.known.retain(|app, known| sources.get(app) == Some(&known.source));
        for (app, source) in sources {
            let rendering = self.one(mirror, app, source, &mut batch)?;
            batch.apps.insert(app.clone(), RenderedApp { source: source.clone(), rendering });
        }
        Ok(batch)
    }

    fn one(
        &mut self,
        mirror: &Mirror,
        app: &AppId,
        source: &Source,
        batch: &mut Batch,
    ) -> Result<Rendering, GitError> {
        let limits = RenderLimits::default();
        let commit = match mirror.resolve(&source.revision) {
            Ok(commit) => commit,
            Err(error @ (GitError::RevisionNotFound { .. } | GitError::Revision { .. })) => {
                return Ok(Rendering::Failed(error.to_string()));
            }
            Err(
                error @ (GitError::Url { .. }
                | GitError::Unreachable { .. }
                | GitError::TooLarge { .. }
                | GitError::Cancelled { .. }
                | GitError::Damaged { .. }
                | GitError::Disk { .. }),
            ) => return Err(error),
        };
        let tree = mirror.tree(&commit)?;
        let selection = match select(&tree, &source.path, &source.directory, &limits) {
            Ok(selection) => selection,
            Err(error) => return Ok(Rendering::Failed(format!("{error} (commit {})", commit.sha))),
        };
        let key = selection.cache_key();
        let known = self.known.get(app).filter(|known| known.key == key).cloned();
        let outcome = if let Some(known) = known {
            batch.known += 1;
            known.outcome
        } else {
            batch.rendered += 1;
            let outcome = match selection.render(&tree, &limits) {
                Ok(rendered) => {
                    let root = rendered.release.root();
                    let manifests =
                        rendered.manifests.iter().map(|manifest| put_manifest(&manifest.canonical));
                    batch.content.extend(manifests);
                    batch.content.push(put_release(&rendered.release));
                    let warnings = shown(&rendered.warnings);
                    Outcome::Rendered { root, warnings }
                }
                Err(error) => Outcome::Failed(error.to_string()),
            };
            let known = Known { source: source.clone(), key, outcome: outcome.clone() };
            self.known.insert(app.clone(), known);
            outcome
        };
        Ok(match outcome {
            Outcome::Rendered { root, warnings } => {
                Rendering::Rendered { root, commit: commit.sha, warnings }
            }
            Outcome::Failed(message) => Rendering::Failed(format!("{message} (commit {})", commit.sha)),
        })
    }
}

/// Gives the warnings that are shown, the last of them with how many are not.
fn shown(warnings: &[RenderWarning]) -> Vec<Condition> {
    let mut shown: Vec<Condition> = warnings.iter().take(WARNINGS).map(RenderWarning::condition).collect();
    let more = warnings.len().saturating_sub(WARNINGS);
    if let Some(last) = shown.last_mut().filter(|_| more > 0) {
        last.message = format!("{}; and {more} more warnings", last.message);
    }
    shown
}
