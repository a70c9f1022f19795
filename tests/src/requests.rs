//! What an API server was asked, read from its audit log: the proof that an agent at rest writes nothing.

use std::collections::BTreeMap;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;

use anyhow::Context as _;
use serde::Deserialize;

/// A moment in the audit log of one API server.
#[derive(Clone, Copy, Debug)]
pub struct Mark(u64);

/// One request that an API server answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete` or `deletecollection`.
    pub verb: String,
    /// The API group; empty for the core group and for paths that are no resource.
    pub group: String,
    /// The resource in plural, with a subresource after a slash; empty for paths that are no resource.
    pub resource: String,
    /// The namespace, if the request names one.
    pub namespace: String,
    /// The object's name, if the request names one.
    pub name: String,
    /// The user that asked.
    pub user: String,
    /// The program that asked, in its own words.
    pub user_agent: String,
    /// The path and query.
    pub uri: String,
    /// The HTTP status of the answer.
    pub status: u16,
}

/// How many requests there were of each (verb, resource, user agent).
pub type Counts = BTreeMap<(String, String, String), usize>;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    stage: String,
    verb: String,
    #[serde(rename = "requestURI")]
    request_uri: String,
    user: EventUser,
    #[serde(default)]
    user_agent: String,
    #[serde(default)]
    object_ref: ObjectRef,
    #[serde(default)]
    response_status: ResponseStatus,
}

#[derive(Deserialize)]
struct EventUser {
    #[serde(default)]
    username: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct ObjectRef {
    resource: String,
    subresource: String,
    namespace: String,
    name: String,
    api_group: String,
}

#[derive(Deserialize, Default)]
struct ResponseStatus {
    #[serde(default)]
    code: u16,
}

// === impl Request ===

impl Request {
    /// Tells whether the request would change something.
    pub fn is_write(&self) -> bool {
        !matches!(self.verb.as_str(), "get" | "list" | "watch" | "head" | "options")
    }

    /// Tells whether the request is for the Lease by which one agent at a time writes.
    pub fn is_lease(&self) -> bool {
        self.group == "coordination.k8s.io" && self.resource == "leases"
    }
}

impl From<Event> for Request {
    fn from(event: Event) -> Self {
        let object = event.object_ref;
        let resource = match object.subresource.as_str() {
            "" => object.resource,
            subresource => format!("{}/{subresource}", object.resource),
        };
        Self {
            verb: event.verb,
            group: object.api_group,
            resource,
            namespace: object.namespace,
            name: object.name,
            user: event.user.username,
            user_agent: event.user_agent,
            uri: event.request_uri,
            status: event.response_status.code,
        }
    }
}

/// Counts requests by verb, resource and user agent.
pub fn counts<'a>(requests: impl IntoIterator<Item = &'a Request>) -> Counts {
    let mut counts = Counts::new();
    for request in requests {
        let key = (request.verb.clone(), request.resource.clone(), request.user_agent.clone());
        *counts.entry(key).or_default() += 1;
    }
    counts
}

pub(crate) fn mark(log: &Path) -> anyhow::Result<Mark> {
    let length = log.metadata().with_context(|| format!("cannot read {}", log.display()))?.len();
    Ok(Mark(length))
}

pub(crate) fn since(log: &Path, mark: Mark) -> anyhow::Result<Vec<Request>> {
    let context = || format!("cannot read {}", log.display());
    let mut file = std::fs::File::open(log).with_context(context)?;
    file.seek(SeekFrom::Start(mark.0)).with_context(context)?;
    let mut text = String::new();
    file.read_to_string(&mut text).with_context(context)?;
    parse(&text)
}

/// Reads whole lines; one that is still being written belongs to a request that is still being answered.
fn parse(text: &str) -> anyhow::Result<Vec<Request>> {
    let mut requests = Vec::new();
    for line in text.split_inclusive('\n').filter(|line| line.ends_with('\n')) {
        let event: Event = serde_json::from_str(line).with_context(|| format!("audit event {line}"))?;
        // Counted once: a watch when it begins, anything else when it is answered (or when its handler died).
        let counted = match event.stage.as_str() {
            "ResponseStarted" => event.verb == "watch",
            "ResponseComplete" => event.verb != "watch" || event.response_status.code >= 400,
            "Panic" => true,
            stage => anyhow::bail!("audit event of the unknown stage {stage:?}"),
        };
        if counted {
            requests.push(Request::from(event));
        }
    }
    Ok(requests)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(stage: &str, verb: &str) -> String {
        format!(
            r#"{{"stage":"{stage}","verb":"{verb}","requestURI":"/x","user":{{"username":"agent"}},"userAgent":"a/1","objectRef":{{"resource":"pods","subresource":"status","namespace":"n","name":"p"}},"responseStatus":{{"code":200}}}}"#
        ) + "\n"
    }

    #[test]
    fn a_watch_counts_when_it_begins_and_any_other_request_when_it_is_answered() {
        let log = [
            event("ResponseStarted", "watch"),
            event("ResponseComplete", "watch"),
            event("ResponseStarted", "list"),
            event("ResponseComplete", "list"),
            event("ResponseComplete", "patch"),
        ]
        .concat();

        let requests = parse(&log).unwrap();

        let verbs: Vec<_> = requests.iter().map(|request| request.verb.as_str()).collect();
        assert_eq!(verbs, ["watch", "list", "patch"]);
        assert_eq!(requests.iter().filter(|request| request.is_write()).count(), 1);
        let key = ("patch".to_owned(), "pods/status".to_owned(), "a/1".to_owned());
        assert_eq!(counts(&requests).get(&key), Some(&1));
    }

    #[test]
    fn half_a_line_is_left_for_the_next_look() {
        let log = event("ResponseComplete", "get") + r#"{"stage":"Resp"#;

        assert_eq!(parse(&log).unwrap().len(), 1);
    }
}
