//! The apps' repositories: one mirror and one task each, and all of a repository's apps rendered at one look (M5).

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use argosy_core::application::Source;
use argosy_core::fleet::Rendering;
use argosy_core::hub::{Input, RenderedApp};
use argosy_core::ids::AppId;
use argosy_runtime::supervisor::Supervisor;
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};

use crate::engine::Handle;
use crate::git::RepositoryUrl;
use crate::metrics::Metrics;

mod render;
mod repository;
mod worker;

pub(crate) use self::render::{Batch, Cache};
pub(crate) use self::repository::Repository;
use self::worker::Worker;

/// Renderings at a time, over all repositories.
const RENDERS: usize = 2;

/// What has to be rendered.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Wanted {
    /// Source of each app.
    pub(crate) sources: BTreeMap<AppId, Source>,
    /// Grows when everything has to be rendered anew.
    pub(crate) anew: u64,
    /// Grows with each change of the sources: what was told before is told again, because the hub forgot what it was told of
    /// an app that had left, even if it is back before anybody looked.
    pub(crate) changes: u64,
}

/// Keeps a worker for each repository that some app uses.
pub(crate) struct Sources {
    wanted: watch::Receiver<Arc<Wanted>>,
    workers: BTreeMap<RepositoryUrl, Running>,
    mirrors: PathBuf,
    interval: Duration,
    handle: Handle,
    supervisor: Supervisor,
    metrics: Metrics,
    renders: Arc<Semaphore>,
}

struct Running {
    wanted: watch::Sender<Arc<Wanted>>,
    stop: CancellationToken,
}

// === impl Sources ===

impl Sources {
    pub(crate) fn new(
        wanted: watch::Receiver<Arc<Wanted>>,
        mirrors: PathBuf,
        interval: Duration,
        handle: Handle,
        supervisor: Supervisor,
        metrics: Metrics,
    ) -> Self {
        let renders = Arc::new(Semaphore::new(RENDERS));
        Self { wanted, workers: BTreeMap::new(), mirrors, interval, handle, supervisor, metrics, renders }
    }

    /// Follows what is wanted until the process stops.
    ///
    /// # Cancel safety
    /// Workers that were started go on until the process stops.
    pub(crate) async fn run(mut self) -> Result<(), std::convert::Infallible> {
        let stopping = self.supervisor.stopping();
        loop {
            let wanted = self.wanted.borrow_and_update().clone();
            let refused = self.assign(&wanted);
            if !refused.is_empty() {
                let input = Input::Rendered { apps: refused, content: Vec::new() };
                if self.handle.input(input).await.is_err() {
                    return Ok(());
                }
            }
            match stopping.run_until_cancelled(self.wanted.changed()).await {
                Some(Ok(())) => {}
                Some(Err(_)) | None => return Ok(()),
            }
        }
    }

    /// Gives each worker its apps, starts those that are missing and ends those that are not needed; gives the apps whose
    /// repository cannot be used at all.
    fn assign(&mut self, wanted: &Wanted) -> BTreeMap<AppId, RenderedApp> {
        let mut refused = BTreeMap::new();
        let mut by_repository: BTreeMap<RepositoryUrl, Wanted> = BTreeMap::new();
        for (app, source) in &wanted.sources {
            match RepositoryUrl::parse(&source.repo_url) {
                Ok(url) => {
                    let of = by_repository.entry(one_spelling(url)).or_default();
                    of.anew = wanted.anew;
                    of.changes = wanted.changes;
                    of.sources.insert(app.clone(), source.clone());
                }
                Err(error) => {
                    let rendering = Rendering::Failed(format!("spec.source.repoURL: {error}"));
                    refused.insert(app.clone(), RenderedApp { source: source.clone(), rendering });
                }
            }
        }
        self.workers.retain(|url, running| {
            let needed = by_repository.contains_key(url);
            if !needed {
                info!(repository = %url, "no app uses this repository any more");
                running.stop.cancel();
            }
            needed
        });
        for (url, wanted) in by_repository {
            let Some(running) = self.workers.get(&url) else {
                let running = self.start(&url, wanted);
                self.workers.insert(url, running);
                continue;
            };
            if **running.wanted.borrow() != wanted {
                running.wanted.send_replace(Arc::new(wanted));
            }
        }
        refused
    }

    fn start(&self, url: &RepositoryUrl, wanted: Wanted) -> Running {
        debug!(repository = %url, "an app uses this repository");
        let (send, receive) = watch::channel(Arc::new(wanted));
        let stop = self.supervisor.stopping().child_token();
        let repository =
            Repository::new(url.clone(), self.mirrors.clone(), self.metrics.clone(), stop.clone());
        let worker = Worker::new(
            repository,
            receive,
            self.interval,
            self.handle.clone(),
            self.metrics.clone(),
            Arc::clone(&self.renders),
        );
        self.supervisor.spawn_isolated(format!("repository {url}"), worker.run(stop.clone()));
        Running { wanted: send, stop }
    }
}

/// Brings the spellings of one repository together, as far as they surely mean the same.
pub(crate) fn one_spelling(url: RepositoryUrl) -> RepositoryUrl {
    let text = url.as_str();
    let Some(bare) = text.strip_prefix("https://").map(|_| text.trim_end_matches('/')) else { return url };
    let bare = bare.strip_suffix(".git").unwrap_or(bare);
    RepositoryUrl::parse(bare).unwrap_or(url)
}

/// Gives an error with all its causes, each said once.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.contains(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_repository_share_a_mirror() {
        let url = |text| one_spelling(RepositoryUrl::parse(text).unwrap());
        assert_eq!(url("https://h/a.git"), url("https://h/a/"));
        assert_ne!(url("https://h/a"), url("https://h/A"));
        assert_ne!(url("file:///a.git"), url("file:///a"), "these are two folders");
    }
}
