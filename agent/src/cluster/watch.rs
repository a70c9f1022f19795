//! One kind's objects as they change, or one object of which a part is stated.
//!
//! A watch begins with a complete list and goes on from its version. It ends every few minutes and is taken up where it
//! ended; when the API server no longer has that place, or cannot be reached, everything is listed again. So it is once
//! in a while without any cause: of an event that was lost on its way nothing else would ever tell.

mod stream;

use std::fmt;
use std::time::Duration;

use argosy_core::backoff::Backoff;
use argosy_core::cluster::{ApiError, REQUEST_DEADLINE, Subject, WatchEvent, Watched};
use argosy_core::time::Entropy as _;
use argosy_runtime::entropy::SystemEntropy;
use tokio::sync::watch as signal;
use tokio::time::Instant;

use self::stream::{EventStream, Item};
use super::transport::{Call, METADATA, WHOLE};
use super::{Connection, list, path};

/// A watch is asked to end after this time, and up to a tenth more: so not all end at once.
const LIFETIME: Duration = Duration::from_secs(280);
/// A watch that works is taken up again for this time, and up to a tenth more; then everything is listed.
const RELIST: Duration = Duration::from_hours(1);
/// Bounds of the pause before a broken watch is tried again.
const BACKOFF: Backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(15));

/// Watches one kind or object, for as long as it is asked for the next event.
pub struct Watch {
    connection: Connection,
    watched: Watched,
    discovered: signal::Receiver<Option<Instant>>,
    backoff: Backoff,
    /// Why it broke, as was told; absent once a list followed.
    broken: Option<ApiError>,
    /// When everything is listed again, whether or not something seems to be missing.
    relist: Instant,
    state: State,
}

enum State {
    /// Everything is to be listed.
    List,
    /// To be taken up from this version.
    Resume(u64),
    Open(Box<EventStream>),
    /// To be listed again after a pause.
    Pause {
        until: Instant,
        /// Whether a new discovery may change something.
        unserved: bool,
    },
}

// === impl Connection ===

impl Connection {
    /// Watches a kind, or one object.
    pub fn watch(&self, watched: Watched) -> Watch {
        Watch {
            connection: self.clone(),
            watched,
            discovered: self.inner.discovered.subscribe(),
            backoff: BACKOFF,
            broken: None,
            relist: Instant::now(),
            state: State::List,
        }
    }
}

// === impl Watch ===

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch")
            .field("watched", &self.watched)
            .field("broken", &self.broken)
            .finish_non_exhaustive()
    }
}

impl Watch {
    /// Waits for the next event. There is always one more: a watch that cannot work says so once and goes on trying.
    ///
    /// # Cancel safety
    /// Safe: a list that is not complete is begun again, and no event is lost.
    pub async fn next(&mut self) -> WatchEvent {
        loop {
            let event = match &mut self.state {
                State::List => self.list().await,
                State::Resume(from) => {
                    let from = *from;
                    self.resume(from).await
                }
                State::Open(stream) => {
                    let item = stream.next().await;
                    self.take(item)
                }
                State::Pause { until, unserved } => {
                    let (until, unserved) = (*until, *unserved);
                    self.pause(until, unserved).await;
                    None
                }
            };
            if let Some(event) = event {
                return event;
            }
        }
    }

    async fn list(&mut self) -> Option<WatchEvent> {
        // What is discovered from here on may change the outcome.
        self.discovered.mark_unchanged();
        let endpoint = match self.connection.endpoint(&self.watched.kind(), None) {
            Ok(endpoint) if endpoint.watchable => endpoint,
            Ok(_) => return self.fail(&ApiError::NotServed(format!("{} cannot be watched", self.watched))),
            Err(error) => return self.fail(&error),
        };
        let inner = &self.connection.inner;
        match list::list(&inner.transport, &inner.judge, &endpoint, &self.watched).await {
            Ok(list) => {
                self.broken = None;
                self.relist = Instant::now() + RELIST + jitter(RELIST / 10);
                self.state = State::Resume(list.resource_version);
                Some(WatchEvent::Listed { resource_version: list.resource_version, objects: list.objects })
            }
            Err(error) => self.fail(&error),
        }
    }

    async fn resume(&mut self, from: u64) -> Option<WatchEvent> {
        let endpoint = self.connection.endpoint(&self.watched.kind(), None);
        let selection = match endpoint.and_then(|endpoint| path::selection(&endpoint, &self.watched)) {
            Ok(selection) => selection,
            Err(error) => return self.fail(&error),
        };
        let lifetime = (LIFETIME + jitter(LIFETIME / 10)).as_secs();
        let path = format!(
            "{selection}&watch=true&resourceVersion={from}&allowWatchBookmarks=true&timeoutSeconds={lifetime}"
        );
        let accept = if self.connection.inner.judge.shows_whole(&self.watched) { WHOLE } else { METADATA };
        match self.connection.inner.transport.open(Call::get(path, accept), REQUEST_DEADLINE).await {
            Ok(body) => {
                let lifetime = Duration::from_secs(lifetime);
                let judge = self.connection.inner.judge.clone();
                let stream = EventStream::new(body, self.watched.clone(), judge, from, lifetime);
                self.state = State::Open(Box::new(stream));
                None
            }
            Err(failure) if failure.has_code(410) => {
                self.state = State::List;
                None
            }
            Err(failure) => self.fail(&failure.classify(Subject::default())),
        }
    }

    fn take(&mut self, item: Item) -> Option<WatchEvent> {
        match item {
            Item::Event(event) => {
                self.backoff.reset();
                Some(*event)
            }
            Item::Bookmark => {
                self.backoff.reset();
                None
            }
            Item::Ended { at } => {
                self.state = if Instant::now() < self.relist { State::Resume(at) } else { State::List };
                None
            }
            Item::Expired => {
                self.state = State::List;
                None
            }
            Item::Failed(error) => self.fail(&error),
        }
    }

    /// Pauses before the next list. The first failure since a list is told, and then what changes about it: an outage is
    /// one however it is worded, a refusal has its reason.
    fn fail(&mut self, error: &ApiError) -> Option<WatchEvent> {
        let mut pause = self.backoff.next_delay(&mut SystemEntropy);
        if let ApiError::Unavailable { retry_after: Some(asked), .. } = error {
            pause = pause.max(*asked);
        }
        let unserved = matches!(error, ApiError::NotServed(_) | ApiError::Unavailable { .. });
        self.state = State::Pause { until: Instant::now() + pause, unserved };
        tracing::debug!(resource = %self.watched, %error, ?pause, attempt = self.backoff.attempts(), "watch broke");
        let told = self
            .broken
            .as_ref()
            .is_some_and(|told| if error.is_refusal() { told == error } else { !told.is_refusal() });
        if told {
            return None;
        }
        self.broken = Some(error.clone());
        Some(WatchEvent::Broken(error.clone()))
    }

    async fn pause(&mut self, until: Instant, unserved: bool) {
        tokio::select! {
            () = tokio::time::sleep_until(until) => {}
            Ok(()) = self.discovered.changed(), if unserved => {}
        }
        self.state = State::List;
    }
}

/// Draws a time up to a bound.
fn jitter(bound: Duration) -> Duration {
    Duration::from_secs(SystemEntropy.below(bound.as_secs()))
}

#[cfg(test)]
mod tests;
