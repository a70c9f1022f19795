//! One of the two API servers.

use std::collections::BTreeMap;
use std::time::Duration;

use http_body_util::BodyExt as _;
use serde_json::{Value, json};

use super::client::{Client, Reply};
use super::kinds::Scope;
use super::normal::Names;
use super::script::{JSON, MERGE, Script, Step};

/// How long a watch may take to tell what happened.
const PATIENCE: Duration = Duration::from_secs(10);

/// The UID of no object.
const NO_UID: &str = "33333333-3333-4333-8333-333333333333";

/// One of the two API servers, and what it said.
pub(crate) struct Side {
    client: Client,
    /// How many requests were sent to it.
    pub(crate) requests: u64,
    /// What the latest answers said of objects, by name.
    seen: BTreeMap<String, (String, String)>,
    names: Names,
    namespace: String,
    /// The version at which the script began.
    version: String,
}

// === impl Side ===

impl Side {
    pub(crate) fn new(url: &str, token: &str) -> Self {
        Self {
            client: Client::new(url, token),
            requests: 0,
            seen: BTreeMap::new(),
            names: Names::default(),
            namespace: String::new(),
            version: String::new(),
        }
    }

    /// Makes the namespace of a script.
    pub(crate) async fn begin(&mut self, script: &Script, namespace: &str) {
        self.seen.clear();
        self.names = Names::default();
        namespace.clone_into(&mut self.namespace);
        let body = json!({"metadata": {"name": namespace}});
        self.send(&Step::send("POST", "/api/v1/namespaces", JSON, &body)).await;
        // No object is wanted, only the version: a list of all could be long.
        let none = "fieldSelector=metadata.name%3Dnone";
        let list = self.send(&Step::get(format!("{}?{none}", script.kind.collection))).await;
        let list: Value = serde_json::from_slice(&list.body).expect("a list");
        list["metadata"]["resourceVersion"].as_str().expect("a version").clone_into(&mut self.version);
    }

    /// Sends a request and gives the answer in a form that can be compared.
    pub(crate) async fn take(&mut self, step: &Step) -> Value {
        let reply = self.send(step).await;
        self.remember(&reply);
        self.names.reply(&reply)
    }

    /// As [`Side::take`], but nothing is remembered of it.
    pub(crate) async fn peek(&mut self, step: &Step) -> Value {
        let reply = self.send(step).await;
        self.names.clone().reply(&reply)
    }

    /// Gives what a watch tells of the whole script.
    pub(crate) async fn events(&mut self, script: &Script) -> Value {
        self.send(&Step::send("POST", script.kind.collection, JSON, &script.end)).await;
        let path = format!(
            "{}?watch=true&resourceVersion={}&timeoutSeconds=10&{}",
            script.kind.collection, self.version, script.selector
        );
        let step = self.filled(&Step::get(path));
        let end = script.kind.object("end").replace("{ns}", &self.namespace);
        let own = match script.kind.scope {
            Scope::Namespace => String::new(),
            Scope::Cluster | Scope::Definition => format!("{}-", self.namespace),
        };
        let mut response = self.client.open(&step).await;
        let (mut events, mut buffer) = (Vec::new(), Vec::new());
        let read = async {
            while let Some(Ok(frame)) = response.frame().await {
                buffer.extend_from_slice(frame.data_ref().map_or(&[], |data| &data[..]));
                while let Some(line) = buffer.iter().position(|byte| *byte == b'\n') {
                    let line: Vec<u8> = buffer.drain(..=line).collect();
                    let event: Value = serde_json::from_slice(&line).expect("an event");
                    let name = event["object"]["metadata"]["name"].as_str().unwrap_or_default();
                    if name == end {
                        return;
                    }
                    // In the cluster others have theirs.
                    if name.starts_with(&own) || event["type"] == "ERROR" {
                        events.push(self.names.body(event));
                    }
                }
            }
        };
        let in_time = tokio::time::timeout(PATIENCE, read).await.is_ok();
        json!({"events": events, "in time": in_time})
    }

    /// Takes away what a script left.
    pub(crate) async fn clear(&mut self, script: &Script, namespace: &str) {
        namespace.clone_into(&mut self.namespace);
        for name in ["a", "b", "end"] {
            let path = format!("{}/{}", script.kind.collection, script.kind.object(name));
            let reply = self.send(&Step { method: "DELETE", ..Step::get(&path) }).await;
            if reply.code == 200 {
                let free = json!({"metadata": {"finalizers": null}});
                self.send(&Step::send("PATCH", &path, MERGE, &free)).await;
            }
        }
    }

    async fn send(&mut self, step: &Step) -> Reply {
        self.requests += 1;
        let step = self.filled(step);
        self.client.send(&step).await
    }

    fn filled(&self, step: &Step) -> Step {
        let fill = |text: &str| {
            let mut text = text.replace("{ns}", &self.namespace);
            for (name, (uid, version)) in &self.seen {
                text =
                    text.replace(&format!("{{uid:{name}}}"), uid).replace(&format!("{{rv:{name}}}"), version);
            }
            // Of what was never there nothing is known.
            replaced(&replaced(&text, "{uid:", NO_UID), "{rv:", "1")
        };
        Step { path: fill(&step.path), body: fill(&step.body), ..step.clone() }
    }

    fn remember(&mut self, reply: &Reply) {
        let Ok(object) = serde_json::from_slice::<Value>(&reply.body) else { return };
        let text = |field: &str| object["metadata"][field].as_str().map(str::to_owned);
        if let (Some(name), Some(uid), Some(version)) = (text("name"), text("uid"), text("resourceVersion")) {
            self.seen.insert(name, (uid, version));
        }
    }
}

/// Puts a value wherever something begins so and ends with a brace.
fn replaced(text: &str, start: &str, value: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(start) {
        let (_, after) = after.split_once('}').expect("a closed brace");
        out.push_str(before);
        out.push_str(value);
        rest = after;
    }
    out.push_str(rest);
    out
}
