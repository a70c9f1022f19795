//! The events of a watch on their way.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures::StreamExt as _;
use futures::stream::BoxStream;
use http_body_util::{BodyExt as _, BodyStream, StreamBody};
use hyper::body::Frame;
use tokio::sync::watch;

use super::super::fault::{Fault, Touch};
use super::{Body, BoxError, Layer};

/// What is said where the API server no longer knows the place that a watch is at.
const GONE: &str = r#"{"type":"ERROR","object":{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"too old resource version: 1 (2)","reason":"Expired","code":410}}"#;

struct Watch {
    layer: Arc<Layer>,
    frames: BoxStream<'static, Result<Frame<Bytes>, BoxError>>,
    turns: watch::Receiver<u64>,
    /// Half a line.
    buffer: BytesMut,
    ready: VecDeque<Bytes>,
    /// An event that its successor overtakes.
    held: Option<Bytes>,
    hung: bool,
    ended: bool,
}

/// Lets the events of a watch through the layer.
pub(super) fn through(body: Body, layer: Arc<Layer>) -> Body {
    let turns = layer.injector.turns();
    let watch = Watch {
        layer,
        frames: futures::StreamExt::boxed(BodyStream::new(body)),
        turns,
        buffer: BytesMut::new(),
        ready: VecDeque::new(),
        held: None,
        hung: false,
        ended: false,
    };
    let frames = futures::stream::unfold(watch, |mut watch| async move {
        let frame = watch.next().await?;
        Some((frame.map(Frame::data), watch))
    });
    StreamBody::new(frames).boxed_unsync()
}

impl Watch {
    async fn next(&mut self) -> Option<Result<Bytes, BoxError>> {
        loop {
            if let Some(line) = self.ready.pop_front() {
                return Some(Ok(line));
            }
            if self.ended {
                return None;
            }
            if self.hung {
                return std::future::pending().await;
            }
            tokio::select! {
                biased;
                Ok(()) = self.turns.changed() => {
                    self.ready.extend(self.held.take());
                    if self.layer.injector.wants_lists() {
                        self.ready.push_back(Bytes::from(format!("{GONE}\n")));
                        self.ended = true;
                        continue;
                    }
                    match self.layer.injector.strike(Touch::OpenWatch) {
                        Some(Fault::GoneInWatch) => {
                            self.ready.push_back(Bytes::from(format!("{GONE}\n")));
                            self.ended = true;
                        }
                        Some(Fault::HungWatch) => self.hung = true,
                        Some(_) => {
                            self.ended = true;
                            return Some(Err(BoxError::from("connection reset by peer")));
                        }
                        None => {}
                    }
                }
                frame = self.frames.next() => match frame {
                    Some(Ok(frame)) => {
                        self.buffer.extend_from_slice(&frame.into_data().unwrap_or_default());
                        self.take_lines();
                    }
                    Some(Err(error)) => {
                        self.ended = true;
                        return Some(Err(error));
                    }
                    None => {
                        self.ready.extend(self.held.take());
                        self.ended = true;
                    }
                },
            }
        }
    }

    fn take_lines(&mut self) {
        while let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
            let line = self.buffer.split_to(end + 1).freeze();
            self.take(line);
        }
    }

    fn take(&mut self, line: Bytes) {
        if line.starts_with(br#"{"type":"BOOKMARK""#) {
            self.ready.push_back(line);
            return;
        }
        match self.layer.injector.strike(Touch::Event) {
            Some(Fault::LostEvents) => {}
            Some(Fault::DuplicatedEvents) => self.ready.extend([line.clone(), line]),
            Some(_) if self.held.is_none() => self.held = Some(line),
            Some(_) | None => {
                self.ready.push_back(line);
                self.ready.extend(self.held.take());
            }
        }
    }
}
