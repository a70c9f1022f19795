//! Plays scripts on two API servers and compares.

use std::fmt::Write as _;

use argosy_runtime::clock;
use argosy_sim::cluster::Time;
use argosy_sim::http::Server;
use serde_json::Value;

use super::script::{Script, Step};
use super::side::Side;

/// How often is looked whether the API servers have come to rest, and how long is waited in between.
const LOOKS: u32 = 200;
const PAUSE: std::time::Duration = std::time::Duration::from_millis(10);

/// Two API servers.
pub(crate) struct Pair {
    pub(crate) server: Server,
    pub(crate) sim: Side,
    pub(crate) real: Side,
}

// === impl Pair ===

impl Pair {
    /// Plays a script on both, and gives what differs.
    pub(crate) async fn play(&mut self, script: &Script, namespace: &str) -> Option<String> {
        let difference = self.compare(script, namespace).await;
        if script.kind.is_scarce() {
            tokio::join!(self.sim.clear(script, namespace), self.real.clear(script, namespace));
        }
        difference
    }

    async fn compare(&mut self, script: &Script, namespace: &str) -> Option<String> {
        tokio::join!(self.sim.begin(script, namespace), self.real.begin(script, namespace));
        for step in &script.steps {
            let (mut sim, mut real) = tokio::join!(self.sim.take(step), self.real.take(step));
            if script.kind.settles() {
                forget_version(&mut sim);
                forget_version(&mut real);
            }
            if sim != real {
                return Some(told(&format!("{step:?}"), &sim, &real));
            }
            if script.kind.settles()
                && step.method != "GET"
                && let Some(difference) = self.settle(script).await
            {
                return Some(format!("after {step:?}\n{difference}"));
            }
        }
        if script.kind.settles() {
            // What each does by itself, it does in steps of its own.
            return None;
        }
        let (sim, real) = tokio::join!(self.sim.events(script), self.real.events(script));
        (sim != real).then(|| told("the watch", &sim, &real))
    }

    /// Waits until both have done what they do by themselves, and says what differs if they never agree.
    async fn settle(&mut self, script: &Script) -> Option<String> {
        for name in ["a", "b"] {
            let step = Step::get(format!("{}/{}", script.kind.collection, script.kind.object(name)));
            let mut difference = String::new();
            for _ in 0..LOOKS {
                self.tick();
                let (mut sim, mut real) = tokio::join!(self.sim.peek(&step), self.real.peek(&step));
                forget_version(&mut sim);
                forget_version(&mut real);
                if sim == real && is_at_rest(&real) {
                    // Once more, so that both have names for the UIDs that were seen.
                    let (mut sim, mut real) = tokio::join!(self.sim.take(&step), self.real.take(&step));
                    forget_version(&mut sim);
                    forget_version(&mut real);
                    if sim == real {
                        difference.clear();
                        break;
                    }
                }
                difference = told(&format!("{step:?} at last"), &sim, &real);
                tokio::time::sleep(PAUSE).await;
            }
            if !difference.is_empty() {
                return Some(difference);
            }
        }
        None
    }

    /// Lets the simulated cluster do what is due.
    pub(crate) fn tick(&self) {
        let now = Time(clock::wall().0 * 1000);
        self.server.with_cluster(|cluster| cluster.tick(now));
    }
}

/// Takes the version out of an answer about a definition: the real API server writes some of them once more, in its own
/// time, without a change.
fn forget_version(answer: &mut Value) {
    for path in ["/body/metadata", "/body/items/0/metadata", "/body/rows/0/object/metadata"] {
        if let Some(metadata) = answer.pointer_mut(path).and_then(Value::as_object_mut) {
            metadata.remove("resourceVersion");
        }
    }
}

/// Tells whether nobody works on a definition any more: its names are judged, and what was to go has gone.
fn is_at_rest(answer: &Value) -> bool {
    let body = &answer["body"];
    if answer["code"] != 200 {
        return true;
    }
    if body["metadata"]["deletionTimestamp"].is_null() {
        let conditions = body["status"]["conditions"].as_array().cloned().unwrap_or_default();
        return ["Established", "NamesAccepted"]
            .iter()
            .all(|kind| conditions.iter().any(|condition| condition["type"] == *kind));
    }
    let finalizers = body["metadata"]["finalizers"].as_array().cloned().unwrap_or_default();
    finalizers.iter().all(|finalizer| finalizer != "customresourcecleanup.apiextensions.k8s.io")
}

fn told(what: &str, sim: &Value, real: &Value) -> String {
    let mut text = format!("{what}\n");
    differences("", sim, real, &mut text);
    text
}

/// Lists where two values differ.
fn differences(path: &str, sim: &Value, real: &Value, out: &mut String) {
    match (sim, real) {
        (Value::Object(a), Value::Object(b)) => {
            let keys: std::collections::BTreeSet<_> = a.keys().chain(b.keys()).collect();
            let absent = Value::from("(absent)");
            for key in keys {
                let (a, b) = (a.get(key).unwrap_or(&absent), b.get(key).unwrap_or(&absent));
                differences(&format!("{path}/{key}"), a, b, out);
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (at, (a, b)) in a.iter().zip(b).enumerate() {
                differences(&format!("{path}/{at}"), a, b, out);
            }
        }
        (sim, real) if sim != real => {
            writeln!(out, "  {path}\n    sim:  {sim}\n    real: {real}").expect("a text");
        }
        _ => {}
    }
}
