//! Answers on their way to a client.

use std::collections::BTreeSet;
use std::convert::Infallible;

use bytes::Bytes;
use futures::Stream;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::Frame;

use super::media::Encoding;
use crate::cluster::Status;

/// The body of an answer.
pub type Body = UnsyncBoxBody<Bytes, Infallible>;

/// What is sent to a client.
pub(crate) struct Answer {
    code: u16,
    media: &'static str,
    body: Body,
    warnings: Vec<String>,
    retry_after: u64,
}

// === impl Answer ===

impl Answer {
    /// Sends bytes of a media type.
    pub(crate) fn bytes(code: u16, media: &'static str, bytes: impl Into<Bytes>) -> Self {
        Self {
            code,
            media,
            body: Full::new(bytes.into()).boxed_unsync(),
            warnings: Vec::new(),
            retry_after: 0,
        }
    }

    /// Sends JSON.
    pub(crate) fn json(value: &serde_json::Value) -> Self {
        Self::bytes(200, Encoding::Json.media(), value.to_string())
    }

    /// Sends text.
    pub(crate) fn text(code: u16, text: &'static str) -> Self {
        Self::bytes(code, "text/plain; charset=utf-8", text)
    }

    /// Says that a path is not served at all.
    pub(crate) fn no_such_page() -> Self {
        Self::text(404, "404 page not found\n")
    }

    /// Sends what comes.
    pub(crate) fn stream(
        stream: impl Stream<Item = Result<Frame<Bytes>, Infallible>> + Send + 'static,
    ) -> Self {
        let body = StreamBody::new(stream).boxed_unsync();
        Self { code: 200, media: Encoding::Json.media(), body, warnings: Vec::new(), retry_after: 0 }
    }

    /// Sends a refusal.
    pub(crate) fn refusal(status: &Status) -> Self {
        let mut answer = Self::bytes(status.code, Encoding::Json.media(), status.to_value().to_string());
        answer.retry_after = status.details.as_ref().map_or(0, |details| details.retry_after_seconds);
        answer.with_warnings(status.warnings.clone())
    }

    /// Adds warnings.
    pub(crate) fn with_warnings(mut self, warnings: Vec<String>) -> Self {
        self.warnings = warnings;
        self
    }

    /// Gives its HTTP status.
    pub(crate) fn code(&self) -> u16 {
        self.code
    }

    /// Makes the response.
    pub(crate) fn into_response(self) -> Response<Body> {
        let mut response = Response::new(self.body);
        *response.status_mut() = StatusCode::from_u16(self.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(self.media));
        if self.retry_after > 0 {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(self.retry_after));
        }
        let mut told = BTreeSet::new();
        // The same is told once.
        for warning in self.warnings.iter().filter(|warning| told.insert(*warning)) {
            let quoted = warning.replace('\\', "\\\\").replace('"', "\\\"");
            // A text with line breaks is no header; the API server drops such warnings as well.
            if let Ok(value) = HeaderValue::from_str(&format!("299 - \"{quoted}\"")) {
                headers.append(header::WARNING, value);
            }
        }
        response
    }
}
