//! Between an agent and its API server: lets requests through, or does to them what the fault of the moment says.

mod events;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use http::{Method, Request, Response, StatusCode, Uri, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::Frame;
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::fault::{Fault, Injector, Touch};

pub(super) type BoxError = Box<dyn std::error::Error + Send + Sync>;
pub(super) type Body = UnsyncBoxBody<Bytes, BoxError>;
pub(super) type Asked = Request<Full<Bytes>>;

/// Something that answers requests of the Kubernetes API.
pub(super) trait ApiServer: Send + Sync {
    fn answer(&self, asked: Asked) -> BoxFuture<'_, Result<Response<Body>, BoxError>>;
}

/// A write that an API server was asked for.
#[derive(Debug, Clone)]
pub(super) struct Written {
    pub(super) method: Method,
    pub(super) path: String,
    /// The incarnation that a delete names.
    pub(super) uid: Option<String>,
}

/// The layer of one agent.
pub(super) struct Layer {
    server: Arc<dyn ApiServer>,
    pub(super) injector: Injector,
    written: Mutex<Vec<Written>>,
    /// The first answer to each list.
    past: Mutex<BTreeMap<String, Bytes>>,
}

/// How long a webhook is waited for.
const WEBHOOK_TIMEOUT: Duration = Duration::from_secs(10);
/// Group of the custom resources of a cell.
pub(super) const GROUP: &str = "cells.example.com";

// === impl Layer ===

impl Layer {
    pub(super) fn new(server: Arc<dyn ApiServer>) -> Self {
        Self { server, injector: Injector::new(), written: Mutex::default(), past: Mutex::default() }
    }

    /// Gives the writes so far that reached the API server.
    pub(super) fn written(&self) -> Vec<Written> {
        self.written.lock().clone()
    }

    pub(super) async fn call(self: Arc<Self>, asked: Asked) -> Result<Response<Body>, BoxError> {
        let touch = touch_of(asked.method(), asked.uri());
        let custom = asked.uri().path().starts_with(&format!("/apis/{GROUP}/v1/"));
        let fault = match touch {
            None => None,
            Some(_) if custom && self.injector.strike(Touch::Custom).is_some() => Some(Fault::NotServed),
            Some(touch) => self.injector.strike(touch),
        };
        let mut asked = asked;
        if fault == Some(Fault::WebhookTimesOut) {
            tokio::time::sleep(WEBHOOK_TIMEOUT).await;
        }
        if let Some(refused) = fault.and_then(refused) {
            return Ok(refused);
        }
        if fault == Some(Fault::WebhookMutates) {
            asked = mutated(asked).await?;
        }
        if touch == Some(Touch::Write) {
            self.note(&mut asked).await?;
        }
        let list = (touch == Some(Touch::List)).then(|| asked.uri().path().to_owned());
        let answer = self.server.answer(asked).await?;
        if touch == Some(Touch::Watch) && answer.status().is_success() {
            let (parts, body) = answer.into_parts();
            return Ok(Response::from_parts(parts, events::through(body, Arc::clone(&self))));
        }
        let Some(list) = list.filter(|_| answer.status().is_success()) else {
            return if fault == Some(Fault::ResetMidBody) { cut(answer).await } else { Ok(answer) };
        };
        let (mut parts, body) = answer.into_parts();
        let body = bytes(body).await?;
        parts.headers.remove(header::CONTENT_LENGTH);
        let past = self.past.lock().entry(list).or_insert_with(|| body.clone()).clone();
        let answer = |body: Bytes| Response::from_parts(parts.clone(), whole(body));
        match fault {
            Some(Fault::ResetMidBody) => cut(answer(body)).await,
            Some(Fault::TruncatedList) => Ok(answer(truncated(&body)?)),
            Some(Fault::StaleList) => Ok(answer(past)),
            _ => Ok(answer(body)),
        }
    }

    /// Notes a write that goes to the API server.
    async fn note(&self, asked: &mut Asked) -> Result<(), BoxError> {
        let body = std::mem::take(asked.body_mut()).collect().await?.to_bytes();
        let delete = (asked.method() == Method::DELETE).then(|| serde_json::from_slice::<Value>(&body).ok());
        let uid = delete.flatten().and_then(|options| {
            options.pointer("/preconditions/uid").and_then(Value::as_str).map(str::to_owned)
        });
        let (method, path) = (asked.method().clone(), asked.uri().path().to_owned());
        self.written.lock().push(Written { method, path, uid });
        *asked.body_mut() = Full::new(body);
        Ok(())
    }
}

/// Tells what a request is; nothing strikes the Lease: whether the agent may write is another matter.
fn touch_of(method: &Method, uri: &Uri) -> Option<Touch> {
    let path = uri.path();
    if path.starts_with("/apis/coordination.k8s.io/") {
        return None;
    }
    let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
    let (["api", _, rest @ ..] | ["apis", _, _, rest @ ..]) = segments.as_slice() else {
        return Some(Touch::Discovery);
    };
    let rest = match rest {
        ["namespaces", _, inner @ ..] if !inner.is_empty() => inner,
        _ => rest,
    };
    if *method != Method::GET {
        return Some(Touch::Write);
    }
    let watches = uri
        .query()
        .is_some_and(|query| query.split('&').any(|pair| matches!(pair, "watch=true" | "watch=1")));
    Some(match rest.len() {
        0 => Touch::Discovery,
        1 if watches => Touch::Watch,
        1 => Touch::List,
        _ => Touch::Get,
    })
}

/// Reads the whole of an answer.
async fn bytes(body: Body) -> Result<Bytes, BoxError> {
    match body.collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) => Err(error),
    }
}

fn whole(bytes: Bytes) -> Body {
    Full::new(bytes).map_err(|never| match never {}).boxed_unsync()
}

fn refusal(code: u16, reason: &str, message: &str) -> Response<Body> {
    let mut status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": reason, "code": code});
    let mut answer = Response::builder().status(code).header(header::CONTENT_TYPE, "application/json");
    if code == 429 {
        status["details"] = json!({"retryAfterSeconds": 2});
        answer = answer.header(header::RETRY_AFTER, "2");
    }
    answer.body(whole(status.to_string().into())).expect("a status and known headers")
}

/// Gives the answer of a fault that keeps requests from the API server.
fn refused(fault: Fault) -> Option<Response<Body>> {
    let (code, reason, message) = match fault {
        Fault::TooManyRequests => (429, "TooManyRequests", "too many requests, please try again later"),
        Fault::InternalError => (500, "InternalError", "Internal error occurred: etcdserver: leader changed"),
        Fault::Unavailable => {
            (503, "ServiceUnavailable", "the server is currently unable to handle the request")
        }
        Fault::GatewayTimeout => {
            (504, "Timeout", "Timeout: request did not complete within requested timeout")
        }
        Fault::Conflict => (409, "Conflict", "Operation cannot be fulfilled: the object has been modified"),
        Fault::Gone => (410, "Expired", "The provided continue parameter is too old"),
        Fault::WebhookDenies => {
            (403, "Forbidden", "admission webhook \"cells.example.com\" denied the request: not now")
        }
        Fault::WebhookTimesOut => (
            500,
            "InternalError",
            "Internal error occurred: failed calling webhook \"cells.example.com\": context deadline exceeded",
        ),
        Fault::TooLarge => (413, "RequestEntityTooLarge", "Request entity too large: limit is 3145728"),
        Fault::Invalid => (422, "Invalid", "is invalid: data: Forbidden: not now"),
        Fault::NotServed => return Some(page_not_found()),
        Fault::HungWatch => return Some(hung()),
        Fault::ResetMidBody
        | Fault::TruncatedList
        | Fault::StaleList
        | Fault::GoneInWatch
        | Fault::LostEvents
        | Fault::DuplicatedEvents
        | Fault::ReorderedEvents
        | Fault::WebhookMutates => return None,
    };
    Some(refusal(code, reason, message))
}

fn page_not_found() -> Response<Body> {
    let mut answer = Response::new(whole(Bytes::from_static(b"404 page not found\n")));
    *answer.status_mut() = StatusCode::NOT_FOUND;
    answer
}

/// A watch that begins and never says anything.
fn hung() -> Response<Body> {
    Response::new(
        StreamBody::new(futures::stream::pending::<Result<Frame<Bytes>, BoxError>>()).boxed_unsync(),
    )
}

/// Breaks an answer off in its middle.
async fn cut(answer: Response<Body>) -> Result<Response<Body>, BoxError> {
    let (mut parts, body) = answer.into_parts();
    let body = bytes(body).await?;
    let half = body.slice(..body.len() / 2);
    parts.headers.remove(header::CONTENT_LENGTH);
    let frames = [Ok(Frame::data(half)), Err(BoxError::from("connection reset by peer"))];
    Ok(Response::from_parts(parts, StreamBody::new(futures::stream::iter(frames)).boxed_unsync()))
}

/// Leaves every second object out of a list.
fn truncated(body: &Bytes) -> Result<Bytes, BoxError> {
    let mut list: Value = serde_json::from_slice(body)?;
    if let Some(items) = list.get_mut("items").and_then(Value::as_array_mut) {
        let mut index = 0;
        items.retain(|_| {
            index += 1;
            index % 2 == 0
        });
    }
    Ok(list.to_string().into())
}

/// Changes the values of what is written, as a webhook of admission would: whoever writes owns them all the same.
async fn mutated(asked: Asked) -> Result<Asked, BoxError> {
    let (parts, body) = asked.into_parts();
    let body = body.collect().await?.to_bytes();
    let mut object: Value = serde_json::from_slice(&body)?;
    let values = ["/data/value", "/spec/value"];
    for pointer in values {
        if let Some(value) = object.pointer_mut(pointer) {
            *value = json!("mutated");
        }
    }
    let mut asked = Request::from_parts(parts, Full::new(Bytes::from(object.to_string())));
    asked.headers_mut().remove(header::CONTENT_LENGTH);
    Ok(asked)
}
