//! The task of one repository: fetches, renders, and tells the hub what came of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use argosy_core::fleet::Rendering;
use argosy_core::hub::{Input, RenderedApp, SourceProblem};
use argosy_core::ids::AppId;
use argosy_core::project::normalise_repository;
use argosy_core::time::WallTime;
use argosy_runtime::clock::wall;
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::Wanted;
use super::render::{Batch, Cache};
use super::repository::{LookFailure, Repository};
use crate::engine::{Handle, Stopped};
use crate::metrics::Metrics;
use crate::poll::Pauses;

/// Looks at one repository again and again.
pub(super) struct Worker {
    repository: Repository,
    wanted: watch::Receiver<Arc<Wanted>>,
    pauses: Pauses,
    handle: Handle,
    metrics: Metrics,
    renders: Arc<Semaphore>,
    cache: Cache,
    anew: u64,
    changes: u64,
    /// What the hub was told last.
    told: BTreeMap<AppId, RenderedApp>,
    problem: Option<SourceProblem>,
    last_fetch: Option<WallTime>,
}

/// Why a look ended early.
enum Failure {
    Look(LookFailure),
    Stopped(Stopped),
}

impl From<LookFailure> for Failure {
    fn from(failure: LookFailure) -> Self {
        Self::Look(failure)
    }
}

impl From<Stopped> for Failure {
    fn from(stopped: Stopped) -> Self {
        Self::Stopped(stopped)
    }
}

// === impl Worker ===

impl Worker {
    pub(super) fn new(
        repository: Repository,
        wanted: watch::Receiver<Arc<Wanted>>,
        interval: Duration,
        handle: Handle,
        metrics: Metrics,
        renders: Arc<Semaphore>,
    ) -> Self {
        Self {
            repository,
            wanted,
            pauses: Pauses::new(interval),
            handle,
            metrics,
            renders,
            cache: Cache::default(),
            anew: 0,
            changes: 0,
            told: BTreeMap::new(),
            problem: None,
            last_fetch: None,
        }
    }

    /// Looks until it is told to stop.
    ///
    /// # Cancel safety
    /// A look that is dropped is made again.
    pub(super) async fn run(mut self, stop: CancellationToken) -> Result<(), std::convert::Infallible> {
        loop {
            let wanted = self.wanted.borrow_and_update().clone();
            let looked = stop.run_until_cancelled(self.look(&wanted)).await;
            let pause = match looked {
                Some(Ok(())) => self.pauses.after_success(),
                Some(Err(Failure::Look(failure))) => {
                    if self.fail(failure, &wanted).await.is_err() {
                        return Ok(());
                    }
                    self.pauses.after_failure()
                }
                Some(Err(Failure::Stopped(_))) | None => return Ok(()),
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                changed = self.wanted.changed() => {
                    if changed.is_err() {
                        return Ok(());
                    }
                }
                () = stop.cancelled() => return Ok(()),
            }
        }
    }

    async fn look(&mut self, wanted: &Wanted) -> Result<(), Failure> {
        if wanted.anew != self.anew {
            self.anew = wanted.anew;
            self.cache.clear();
            self.told.clear();
        }
        if wanted.changes != self.changes {
            self.changes = wanted.changes;
            self.told.clear();
        }
        let changed = self.repository.fetch().await?;
        let first = self.last_fetch.is_none();
        self.last_fetch = Some(wall());
        let asked = self.told.len() != wanted.sources.len()
            || self.told.iter().any(|(app, told)| wanted.sources.get(app) != Some(&told.source));
        if first || changed || asked || self.problem.is_some() {
            self.render(wanted).await?;
        }
        if self.problem.take().is_some() {
            info!(repository = %self.repository.url(), "the repository can be read again");
            let repository = self.key();
            self.handle.input(Input::RepositoryProblem { repository, problem: None }).await?;
        }
        Ok(())
    }

    async fn render(&mut self, wanted: &Wanted) -> Result<(), Failure> {
        let mut cache = std::mem::take(&mut self.cache);
        let sources = wanted.sources.clone();
        // Its turn among all repositories first, then its own thread.
        let Ok(turn) = self.renders.acquire().await else { return Err(Stopped.into()) };
        let looked = self
            .repository
            .with(move |mirror| {
                let batch = cache.render(mirror, &sources)?;
                Ok((cache, batch))
            })
            .await;
        drop(turn);
        let (cache, batch) = looked?;
        self.cache = cache;
        let Batch { apps, content, rendered, known } = batch;
        self.metrics.renders.inc_by(rendered);
        self.metrics.render_hits.inc_by(known);
        if apps == self.told && content.is_empty() {
            return Ok(());
        }
        info!(repository = %self.repository.url(), apps = apps.len(), rendered, known, "rendered");
        self.handle.input(Input::Rendered { apps: apps.clone(), content }).await?;
        self.told = apps;
        Ok(())
    }

    /// Says what is wrong; apps that were never rendered in this life of the hub wait for it.
    async fn fail(&mut self, failure: LookFailure, wanted: &Wanted) -> Result<(), Stopped> {
        let since = self.problem.as_ref().map_or_else(wall, |problem| problem.since);
        let at = text_of(since);
        let message = format!("{}, since {at}", failure.message);
        let problem = SourceProblem { message: message.clone(), since, last_read: self.last_fetch };
        if self.problem.as_ref() != Some(&problem) {
            warn!(repository = %self.repository.url(), error = %failure.message, "the repository cannot be read");
            self.problem = Some(problem.clone());
            let input = Input::RepositoryProblem { repository: self.key(), problem: Some(problem) };
            self.handle.input(input).await?;
        }
        let unknown = wanted
            .sources
            .iter()
            .filter(|(app, source)| self.told.get(*app).is_none_or(|told| told.source != **source));
        let apps: BTreeMap<AppId, RenderedApp> = unknown
            .map(|(app, source)| {
                let rendering = Rendering::Pending("its source was not read yet".to_owned());
                (app.clone(), RenderedApp { source: source.clone(), rendering })
            })
            .collect();
        if apps.is_empty() {
            return Ok(());
        }
        self.handle.input(Input::Rendered { apps: apps.clone(), content: Vec::new() }).await?;
        self.told.extend(apps);
        Ok(())
    }

    /// Gives the repository's name as the fleet's decisions know it.
    fn key(&self) -> String {
        normalise_repository(self.repository.url().as_str())
    }
}

/// Gives a time for people.
fn text_of(time: WallTime) -> String {
    jiff::Timestamp::from_millisecond(time.0)
        .map_or_else(|_beyond| time.0.to_string(), |at| format!("{at:.0}"))
}
