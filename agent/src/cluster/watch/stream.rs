//! The events of one watch request.

use std::time::Duration;

use argosy_core::cluster::{ApiError, Refusal, Subject, WatchEvent, Watched};
use argosy_core::health::Assessor;
use argosy_core::json;
use argosy_core::ownership;
use bytes::{Buf as _, Bytes, BytesMut};
use futures::stream::BoxStream;
use futures::{Stream, StreamExt as _};
use http_body_util::BodyExt as _;
use kube::client::Body;
use serde::Deserialize;
use serde_json::Value;
use tokio::time::Instant;

use crate::cluster::judge::{Judge, Size};
use crate::cluster::transport::chain;

/// Longest event: far above what etcd stores.
const EVENT_LIMIT: usize = 16 << 20;
/// How much longer than asked a watch may last.
const GRACE: Duration = Duration::from_secs(30);

/// One thing that a watch says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Item {
    /// An object changed.
    Event(Box<WatchEvent>),
    /// Nothing changed up to a later version.
    Bookmark,
    /// The watch ended and can be taken up again.
    Ended {
        /// From this version.
        at: u64,
    },
    /// The API server no longer knows what happened since.
    Expired,
    /// The watch broke.
    Failed(ApiError),
}

/// The stream of one watch request.
pub(super) struct EventStream {
    chunks: BoxStream<'static, Result<Bytes, String>>,
    buffer: BytesMut,
    /// How much of the buffer holds no end of a line.
    searched: usize,
    /// What is being read: kept until its item is given.
    line: Option<Bytes>,
    watched: Watched,
    judge: Judge,
    at: u64,
    opened: Instant,
    lifetime: Duration,
    /// Whether the watch has said anything.
    spoke: bool,
}

#[derive(Deserialize)]
struct Event {
    r#type: String,
    object: Value,
}

// === impl EventStream ===

impl EventStream {
    pub(super) fn new(body: Body, watched: Watched, judge: Judge, from: u64, lifetime: Duration) -> Self {
        let chunks = body.into_data_stream().map(|chunk| chunk.map_err(|error| chain(&error)));
        Self::over(chunks, watched, judge, from, lifetime)
    }

    pub(super) fn over(
        chunks: impl Stream<Item = Result<Bytes, String>> + Send + 'static,
        watched: Watched,
        judge: Judge,
        from: u64,
        lifetime: Duration,
    ) -> Self {
        let (buffer, opened) = (BytesMut::new(), Instant::now());
        let chunks = chunks.boxed();
        Self {
            chunks,
            buffer,
            searched: 0,
            line: None,
            watched,
            judge,
            at: from,
            opened,
            lifetime,
            spoke: false,
        }
    }

    /// Waits for the next item; after the end, a break or an expiry there is none.
    ///
    /// # Cancel safety
    /// Safe: what was read is kept.
    pub(super) async fn next(&mut self) -> Item {
        loop {
            if self.line.is_none() {
                self.line = self.next_line();
            }
            if let Some(line) = self.line.clone() {
                let item = if line.iter().all(u8::is_ascii_whitespace) {
                    None
                } else {
                    Some(self.decode(&line).await)
                };
                self.line = None;
                match item {
                    Some(item) => return item,
                    None => continue,
                }
            }
            if self.buffer.len() > EVENT_LIMIT {
                return failed(format!("an event of {} is beyond {} MiB", self.watched, EVENT_LIMIT >> 20));
            }
            match tokio::time::timeout_at(self.opened + self.lifetime + GRACE, self.chunks.next()).await {
                Ok(Some(Ok(chunk))) => self.buffer.extend_from_slice(&chunk),
                Ok(Some(Err(error))) => return self.ended(&error),
                Ok(None) => return self.ended("the API server ended the watch at once"),
                Err(_elapsed) => return failed("the watch outlasted its time"),
            }
        }
    }

    /// A watch that said something, or lasted, is taken up where it ended; one that did neither does not work.
    fn ended(&self, why: &str) -> Item {
        if self.spoke || self.opened.elapsed() >= self.lifetime {
            Item::Ended { at: self.at }
        } else {
            failed(why)
        }
    }

    fn next_line(&mut self) -> Option<Bytes> {
        let end = self.buffer.iter().skip(self.searched).position(|byte| *byte == b'\n');
        let Some(end) = end.map(|end| end.saturating_add(self.searched)) else {
            self.searched = self.buffer.len();
            return None;
        };
        self.searched = 0;
        let line = self.buffer.split_to(end).freeze();
        self.buffer.advance(1);
        Some(line)
    }

    async fn decode(&mut self, line: &[u8]) -> Item {
        let Event { r#type: kind, object } = match serde_json::from_slice(line) {
            Ok(event) => event,
            Err(error) => return failed(format!("an event of {} cannot be read: {error}", self.watched)),
        };
        if kind == "ERROR" {
            let refusal = Refusal::of_status(&object);
            return if refusal.code() == 410 {
                Item::Expired
            } else {
                Item::Failed(refusal.classify(Subject::default()))
            };
        }
        let version =
            json::text_at(&object, &["metadata", "resourceVersion"]).and_then(|text| text.parse().ok());
        let Some(version) = version else {
            return failed(format!("an event of {} has no usable version", self.watched));
        };
        let item = match kind.as_str() {
            "BOOKMARK" => Item::Bookmark,
            "ADDED" | "MODIFIED" | "DELETED" => {
                let of = self.watched.clone();
                let read =
                    move |assessor: &Assessor<'_>| ownership::read(&object, &of.kind(), of.part(), assessor);
                match self.judge.run(&self.watched.kind(), Size::One, read).await {
                    Ok(Ok(live)) if kind == "DELETED" => Item::Event(Box::new(WatchEvent::Gone(live.key))),
                    Ok(Ok(live)) => Item::Event(Box::new(WatchEvent::Seen(live))),
                    Ok(Err(error)) => return failed(error.to_string()),
                    Err(error) => return Item::Failed(error),
                }
            }
            other => return failed(format!("an event of {} is of the unknown type {other:?}", self.watched)),
        };
        (self.at, self.spoke) = (version, true);
        item
    }
}

fn failed(why: impl Into<String>) -> Item {
    Item::Failed(ApiError::Unreachable(why.into()))
}
