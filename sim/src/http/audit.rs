//! The record of who asked for what: a line for each request, as the real API server's audit log has it at its level
//! `Metadata`.
//!
//! A line is written before the client has its answer, so that whoever has the answer finds the line. A watch has its
//! line when it begins and none for its end.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;

use http::Method;
use http::header::{self, HeaderMap};
use http::request::Parts;
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::handler::{target_namespace, verb};
use super::path::Target;
use super::query::Query;
use crate::cluster::{Status, Time};

/// A log of requests.
#[derive(Debug)]
pub struct Audit {
    file: Mutex<File>,
}

/// What is told of a request.
pub(crate) struct Event<'a> {
    pub(crate) parts: &'a Parts,
    pub(crate) body: &'a [u8],
    /// Who asks; empty if that is not known.
    pub(crate) user: &'a str,
    pub(crate) code: u16,
    pub(crate) now: Time,
}

// === impl Audit ===

impl Audit {
    /// Opens a file, to which lines are added.
    pub fn open(path: &Path) -> std::io::Result<Self> {
        Ok(Self { file: Mutex::new(File::options().create(true).append(true).open(path)?) })
    }

    /// Writes a request down. One that cannot be written down is answered with a refusal.
    pub(crate) fn record(&self, event: &Event<'_>) -> Result<(), Status> {
        let line = format!("{}\n", event.to_value());
        // One write of a short line into the page cache: nothing that a worker would notice.
        self.file.lock().write_all(line.as_bytes()).map_err(|error| {
            Status::new(500, "InternalError", format!("Internal error occurred: no audit: {error}"))
        })
    }
}

// === impl Event ===

impl Event<'_> {
    fn to_value(&self) -> Value {
        let (target, query) =
            (Target::of(self.parts.uri.path()), Query::of(self.parts.uri.query().unwrap_or_default()));
        let (verb, object) = match &target {
            Target::Objects(address) => {
                let name = if address.name.is_empty() && self.parts.method == Method::POST {
                    stated_name(self.body)
                } else {
                    address.name.clone()
                };
                let object = json!({"resource": address.resource, "namespace": target_namespace(address),
                    "name": name, "apiGroup": address.group, "apiVersion": address.version,
                    "subresource": address.subresource});
                (verb(&self.parts.method, address, &query).to_owned(), object)
            }
            Target::Root
            | Target::Version
            | Target::Health
            | Target::OpenApi
            | Target::OpenApiOf { .. }
            | Target::OpenApiV2
            | Target::LegacyVersions
            | Target::Groups
            | Target::Group(_)
            | Target::Resources { .. }
            | Target::Nothing => (self.parts.method.as_str().to_lowercase(), json!({})),
        };
        let begins = verb == "watch" && self.code < 400;
        json!({
            "kind": "Event",
            "apiVersion": "audit.k8s.io/v1",
            "level": "Metadata",
            "stage": if begins { "ResponseStarted" } else { "ResponseComplete" },
            "requestURI": self.parts.uri.to_string(),
            "verb": verb,
            "user": {"username": self.user},
            "userAgent": text(&self.parts.headers),
            "objectRef": object,
            "responseStatus": {"code": self.code},
            "stageTimestamp": self.now.seconds(),
        })
    }
}

fn text(headers: &HeaderMap) -> &str {
    headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// Gives the name that a new object states, if it is JSON.
fn stated_name(body: &[u8]) -> String {
    let object: Option<Value> = serde_json::from_slice(body).ok();
    let name = object.as_ref().and_then(|object| object.pointer("/metadata/name")?.as_str());
    name.unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(method: &str, uri: &str, body: &str, code: u16) -> Value {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.log");
        let request = http::Request::builder().method(method).uri(uri).header("user-agent", "a/1");
        let (parts, ()) = request.body(()).unwrap().into_parts();

        let audit = Audit::open(&path).unwrap();
        audit
            .record(&Event { parts: &parts, body: body.as_bytes(), user: "agent", code, now: Time(0) })
            .unwrap();

        serde_json::from_str(std::fs::read_to_string(path).unwrap().strip_suffix('\n').unwrap()).unwrap()
    }

    #[test]
    fn a_request_is_told_with_its_object_and_its_answer() {
        let line = written(
            "POST",
            "/apis/apps/v1/namespaces/n/deployments?x=1",
            r#"{"metadata":{"name":"w"}}"#,
            201,
        );
        assert_eq!((&line["stage"], &line["verb"]), (&json!("ResponseComplete"), &json!("create")));
        assert_eq!((&line["user"]["username"], &line["userAgent"]), (&json!("agent"), &json!("a/1")));
        assert_eq!(line["requestURI"], "/apis/apps/v1/namespaces/n/deployments?x=1");
        let object = &line["objectRef"];
        assert_eq!((&object["apiGroup"], &object["name"]), (&json!("apps"), &json!("w")));
        assert_eq!(line["responseStatus"]["code"], 201);
        let line = written("GET", "/api/v1/namespaces/kube-system", "", 200);
        assert_eq!((&line["verb"], &line["objectRef"]["namespace"]), (&json!("get"), &json!("kube-system")));
        assert_eq!(written("GET", "/readyz", "", 200)["verb"], "get");
    }

    #[test]
    fn a_watch_is_told_when_it_begins_or_is_refused() {
        let stage = |code| written("GET", "/api/v1/configmaps?watch=true", "", code)["stage"].clone();
        assert_eq!((stage(200), stage(403)), (json!("ResponseStarted"), json!("ResponseComplete")));
    }
}
