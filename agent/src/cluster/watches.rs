//! The watches of all that matters, as one set that is changed as a whole.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::convert::Infallible;
use std::fmt;

use argosy_core::cluster::{WatchEvent, WatchSet, Watched};
use futures::StreamExt as _;
use futures::future::{AbortHandle, Abortable, BoxFuture};
use futures::stream::FuturesUnordered;
use tokio::sync::{mpsc, watch as signal};
use tracing::Instrument as _;

use super::Connection;

/// Events that wait for the reconciler. Full means wait: the API server then holds back its watches.
const QUEUE: usize = 256;

/// A set of watches; a future to run.
pub struct Watches {
    connection: Connection,
    wanted: signal::Receiver<WatchSet>,
    events: mpsc::Sender<(Watched, WatchEvent)>,
}

/// Sets what is watched. The watches end when it is dropped.
#[derive(Debug)]
pub struct WatchesHandle {
    wanted: signal::Sender<WatchSet>,
}

// === impl WatchesHandle ===

impl WatchesHandle {
    /// Watches exactly these from now on, each in a generation: a watch of another one begins anew, with a list. Events of
    /// others may still be in the queue.
    pub fn set(&self, wanted: WatchSet) {
        self.follow(|known| (*known != wanted).then_some(wanted));
    }

    /// Does the same with what `changed` makes of the present ones; `None` leaves them.
    pub fn follow(&self, changed: impl FnOnce(&WatchSet) -> Option<WatchSet>) {
        self.wanted.send_if_modified(|wanted| {
            let Some(changed) = changed(wanted) else { return false };
            *wanted = changed;
            true
        });
    }
}

// === impl Watches ===

impl fmt::Debug for Watches {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watches").field("wanted", &*self.wanted.borrow()).finish_non_exhaustive()
    }
}

impl Watches {
    /// Makes an empty set with its handle and the queue of its events.
    pub fn new(connection: Connection) -> (Self, WatchesHandle, mpsc::Receiver<(Watched, WatchEvent)>) {
        let (events, queue) = mpsc::channel(QUEUE);
        let wanted = signal::Sender::default();
        let watches = Self { connection, wanted: wanted.subscribe(), events };
        (watches, WatchesHandle { wanted }, queue)
    }

    /// Runs the watches until the handle or the queue is dropped.
    ///
    /// # Cancel safety
    /// Not safe: what the watches know is lost.
    pub async fn run(mut self) -> Result<(), Infallible> {
        let mut running = BTreeMap::<Watched, (u64, AbortHandle)>::new();
        let mut watches = FuturesUnordered::new();
        loop {
            let wanted = self.wanted.borrow_and_update().clone();
            running.retain(|watched, (generation, watch)| {
                let keep = wanted.get(watched) == Some(*generation);
                if !keep {
                    watch.abort();
                }
                keep
            });
            for (watched, generation) in wanted.into_watches() {
                if let Entry::Vacant(place) = running.entry(watched) {
                    let (watch, handle) = self.start(place.key().clone());
                    watches.push(watch);
                    place.insert((generation, handle));
                }
            }
            loop {
                tokio::select! {
                    changed = self.wanted.changed() => match changed {
                        Ok(()) => break,
                        Err(_dropped) => return Ok(()),
                    },
                    () = self.events.closed() => return Ok(()),
                    // A watch ends only when it is stopped or the queue is gone.
                    Some(_stopped) = watches.next(), if !watches.is_empty() => {}
                }
            }
        }
    }

    fn start(&self, watched: Watched) -> (Abortable<BoxFuture<'static, ()>>, AbortHandle) {
        let (handle, registration) = AbortHandle::new_pair();
        let (mut watch, events) = (self.connection.watch(watched.clone()), self.events.clone());
        let span = tracing::info_span!("watch", resource = %watched);
        let work = async move {
            loop {
                let event = watch.next().await;
                if events.send((watched.clone(), event)).await.is_err() {
                    return;
                }
            }
        };
        let work: BoxFuture<'static, ()> = Box::pin(work.instrument(span));
        (Abortable::new(work, registration), handle)
    }
}
