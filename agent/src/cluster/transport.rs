//! One request and its answer, with a deadline and a limit of size; streams for watches.
//!
//! Bodies are neither logged nor kept: `kube::Client::request` would write refused bodies to the log, so requests go
//! through `send`.

use std::time::Duration;

use argosy_core::cluster::Refusal;
use argosy_core::policy::ServiceAccount;
use bytes::Bytes;
use http::{Method, StatusCode, header};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use kube::Client;
use kube::client::Body;
use serde_json::Value;

use super::failure::Failure;

/// Asks for whole objects.
pub(super) const WHOLE: &str = "application/json";
/// Asks for an object's metadata; a server that cannot cut it out sends the whole.
pub(super) const METADATA: &str =
    "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json;q=0.9";
/// Asks for a list of metadata.
pub(super) const METADATA_LIST: &str =
    "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json;q=0.9";
/// Server-side apply.
pub(super) const APPLY: &str = "application/apply-patch+yaml";

/// A JSON patch.
pub(super) const JSON_PATCH: &str = "application/json-patch+json";

/// Names the user that a request is sent for.
const IMPERSONATE: &str = "impersonate-user";

/// Longest body of an answer.
const BODY_LIMIT: usize = 128 << 20;
/// Longest body of a refusal.
const REFUSAL_LIMIT: usize = 1 << 20;

/// A request.
#[derive(Debug, Clone)]
pub(super) struct Call {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) accept: &'static str,
    pub(super) content: Option<(&'static str, Vec<u8>)>,
    /// Whom it is sent for; absent: whoever the connection is.
    pub(super) user: Option<String>,
}

/// A good answer.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) body: Bytes,
}

/// Sends requests.
#[derive(Clone)]
pub(super) struct Transport {
    client: Client,
}

// === impl Call ===

impl Call {
    pub(super) fn get(path: impl Into<String>, accept: &'static str) -> Self {
        Self { method: Method::GET, path: path.into(), accept, content: None, user: None }
    }

    pub(super) fn with_body(
        method: Method,
        path: impl Into<String>,
        accept: &'static str,
        (media_type, body): (&'static str, &Value),
    ) -> Self {
        let content = Some((media_type, body.to_string().into_bytes()));
        Self { method, path: path.into(), accept, content, user: None }
    }

    /// Sends it for a service account (Kubernetes: user impersonation).
    pub(super) fn sent_for(self, account: Option<&ServiceAccount>) -> Self {
        Self { user: account.map(ServiceAccount::user), ..self }
    }
}

// === impl Reply ===

impl Reply {
    /// Reads the body. An answer that cannot be read says nothing of the request's effect.
    pub(super) fn json(&self) -> Result<Value, Failure> {
        serde_json::from_slice(&self.body)
            .map_err(|error| Failure::Transport(format!("its answer is no JSON: {error}")))
    }
}

// === impl Transport ===

impl Transport {
    pub(super) fn new(client: Client) -> Self {
        Self { client }
    }

    /// Sends a request and reads the whole answer within the deadline.
    pub(super) async fn call(&self, call: Call, deadline: Duration) -> Result<Reply, Failure> {
        within(deadline, async {
            let (status, body) = self.send(call).await?;
            let body = collect(body, BODY_LIMIT).await?;
            Ok(Reply { status, body })
        })
        .await
    }

    /// Sends a request and gives the answer as it comes; the deadline is for its beginning.
    pub(super) async fn open(&self, call: Call, deadline: Duration) -> Result<Body, Failure> {
        within(deadline, async { Ok(self.send(call).await?.1) }).await
    }

    async fn send(&self, call: Call) -> Result<(StatusCode, Body), Failure> {
        let mut request =
            http::Request::builder().method(call.method).uri(call.path).header(header::ACCEPT, call.accept);
        if let Some(user) = call.user {
            request = request.header(IMPERSONATE, user);
        }
        let body = match call.content {
            Some((media_type, body)) => {
                request = request.header(header::CONTENT_TYPE, media_type);
                Body::from(body)
            }
            None => Body::empty(),
        };
        let request = request.body(body).map_err(|error| Failure::Transport(error.to_string()))?;
        let response = self.client.send(request).await.map_err(|error| Failure::Transport(chain(&error)))?;
        let (parts, body) = response.into_parts();
        if parts.status.is_success() {
            return Ok((parts.status, body));
        }
        let retry_after =
            parts.headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        let body = collect(body, REFUSAL_LIMIT).await?;
        let retry_after = retry_after.map(Duration::from_secs);
        Err(Failure::Refused(Box::new(Refusal::read(parts.status.as_u16(), retry_after, &body))))
    }
}

async fn within<T>(deadline: Duration, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    match tokio::time::timeout(deadline, work).await {
        Ok(result) => result,
        Err(_elapsed) => Err(Failure::Transport(format!("no answer within {} s", deadline.as_secs_f32()))),
    }
}

async fn collect(body: Body, limit: usize) -> Result<Bytes, Failure> {
    match Limited::new(body, limit).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(Failure::TooLarge { limit }),
        Err(error) => Err(Failure::Transport(chain(error.as_ref()))),
    }
}

/// Gives an error with its causes, each said once.
pub(super) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let more = next.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = next.source();
    }
    text
}
