//! Watches: a stream of what happens.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::Stream;
use hyper::body::Frame;
use tokio::sync::watch;
use tokio::time::Instant;

use super::forms::Frames;
use super::options::WatchOptions;
use super::refusal;
use super::shared::Shared;
use crate::cluster::{Body, Call, FieldValidation, ListOptions, Selection, Status, Subresource, Verb};
use crate::kinds::Resource;

/// How often a watch that nothing happens to says so.
const BOOKMARK_INTERVAL: Duration = Duration::from_mins(1);
/// How long a watch lasts that asks for no time.
const LIFETIME: Duration = Duration::from_mins(30);

/// What a watch looks at.
pub(crate) struct Wanted<'a> {
    pub(crate) resource: Arc<Resource>,
    pub(crate) namespace: &'a str,
    pub(crate) list: ListOptions,
    pub(crate) watch: WatchOptions,
    pub(crate) frames: Frames,
}

/// A watch under way.
struct Watch {
    shared: Arc<Shared>,
    resource: Arc<Resource>,
    selection: Selection,
    frames: Frames,
    changes: watch::Receiver<u64>,
    /// What is written already.
    ready: VecDeque<Vec<u8>>,
    version: u64,
    bookmarks: Option<Instant>,
    deadline: Instant,
    ended: bool,
}

/// Begins a watch. What is there already comes first, if no version is given.
pub(crate) fn begin(
    shared: &Arc<Shared>,
    wanted: Wanted<'_>,
) -> Result<impl Stream<Item = Result<Frame<Bytes>, Infallible>> + Send + use<>, Status> {
    let Wanted { resource, namespace, list, watch, mut frames } = wanted;
    let selection = Selection::parse(&resource, namespace, &list.label_selector, &list.field_selector)?;
    let from = match list.resource_version.as_str() {
        "" => 0,
        text => text.parse::<u64>().map_err(|_no_number| refusal::bad_version(text))?,
    };
    // Subscribed before the look: what happens in between is seen twice, not lost.
    let changes = shared.changes();
    let mut ready = VecDeque::new();
    let mut version = from;
    if watch.initial_events.unwrap_or(from == 0) {
        let options = ListOptions {
            label_selector: list.label_selector,
            field_selector: list.field_selector,
            ..ListOptions::default()
        };
        let call = Call {
            resource: &resource,
            namespace,
            name: "",
            subresource: Subresource::None,
            verb: Verb::List(&options),
            manager: "",
            user: "",
            dry_run: false,
            validation: FieldValidation::Ignore,
            now: shared.now(),
        };
        if let Body::List(found) = shared.call(call)?.body {
            version = found.version;
            ready.extend(found.items.iter().map(|object| frames.initial(object, shared.now())));
        }
        if watch.initial_events == Some(true) && watch.bookmarks {
            ready.push_back(frames.bookmark(version, true));
        }
    } else if from == 0 {
        version = shared.with(|cluster| cluster.version());
    }
    let began = Instant::now();
    let lifetime = if watch.timeout == 0 { LIFETIME } else { Duration::from_secs(watch.timeout) };
    let state = Watch {
        shared: Arc::clone(shared),
        resource,
        selection,
        frames,
        changes,
        ready,
        version,
        bookmarks: watch.bookmarks.then(|| began + BOOKMARK_INTERVAL),
        deadline: began + lifetime,
        ended: false,
    };
    Ok(futures::stream::unfold(state, |mut state| async move {
        let frame = state.next().await?;
        Some((Ok(Frame::data(Bytes::from(frame))), state))
    }))
}

// === impl Watch ===

impl Watch {
    /// Waits for the next frame.
    async fn next(&mut self) -> Option<Vec<u8>> {
        loop {
            if let Some(frame) = self.ready.pop_front() {
                return Some(frame);
            }
            if self.ended {
                return None;
            }
            self.changes.mark_unchanged();
            self.look();
            if !self.ready.is_empty() {
                continue;
            }
            let bookmark = self.bookmarks.unwrap_or(self.deadline);
            tokio::select! {
                changed = self.changes.changed() => self.ended = changed.is_err(),
                () = tokio::time::sleep_until(bookmark), if self.bookmarks.is_some() => {
                    self.bookmarks = Some(bookmark + BOOKMARK_INTERVAL);
                    return Some(self.frames.bookmark(self.version, false));
                }
                () = tokio::time::sleep_until(self.deadline) => self.ended = true,
                () = self.shared.stopping.cancelled() => self.ended = true,
            }
        }
    }

    /// Writes what happened since the last look.
    fn look(&mut self) {
        let seen =
            self.shared.with(|cluster| cluster.events_since(&self.resource, &self.selection, self.version));
        match seen {
            Ok(events) => {
                let now = self.shared.now();
                self.ready.extend(events.events.iter().map(|event| self.frames.event(event, now)));
                self.version = events.version;
            }
            Err(status) => {
                self.ready.push_back(Frames::error(&status));
                self.ended = true;
            }
        }
    }
}
