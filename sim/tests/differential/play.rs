//! Plays scripts on two API servers and compares.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use argosy_runtime::clock;
use argosy_runtime::supervisor::{StopCause, Supervisor};
use argosy_sim::cluster::{Config, Time};
use argosy_sim::http::{ControlPlane, Login, Server, Settings, Temper, User};
use http_body_util::BodyExt as _;
use proptest::test_runner::{
    Config as Proptest, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner,
};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::differential::client::{Client, Reply};
use crate::differential::generate::{self, Area};
use crate::differential::normal::Names;
use crate::differential::script::{JSON, Script, Step};

/// How long a watch may take to tell what happened.
const PATIENCE: Duration = Duration::from_secs(10);

/// The UID of no object.
const NO_UID: &str = "33333333-3333-4333-8333-333333333333";

/// Two API servers.
pub(crate) struct Stage {
    runtime: Runtime,
    supervisor: Supervisor,
    sim: Side,
    real: Side,
    scripts: u32,
    seed: u64,
}

/// One of them.
struct Side {
    client: Client,
    /// What the latest answers said of objects, by name.
    seen: BTreeMap<String, (String, String)>,
    names: Names,
}

// === impl Stage ===

impl Stage {
    /// Starts a simulated cluster next to the real one that the environment names.
    pub(crate) fn from_environment() -> Self {
        let variable = |name: &str| std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set"));
        let number = |name: &str, default: u64| {
            std::env::var(name).map_or(default, |text| text.parse().expect("a number"))
        };
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let supervisor = Supervisor::new();
        let user = User { name: "admin".to_owned(), groups: vec!["system:masters".to_owned()] };
        let settings = Settings {
            name: "sim".to_owned(),
            cluster: Config { history: 100_000, ..Config::default() },
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            identity: None,
            logins: vec![Login { user, token: "t".to_owned() }],
            temper: Temper::default(),
            interference: Vec::new(),
            audit: None,
            control_plane: ControlPlane::ByHand,
        };
        let server = runtime.block_on(Server::start(settings, &supervisor)).unwrap();
        let mut stage = Self {
            sim: Side::new(&server.url(), "t"),
            real: Side::new(&variable("ARGOSY_REAL_URL"), &variable("ARGOSY_REAL_TOKEN")),
            scripts: u32::try_from(number("ARGOSY_SCRIPTS", 200)).unwrap(),
            seed: number("ARGOSY_SEED", 1),
            runtime,
            supervisor,
        };
        stage.runtime.block_on(async {
            for side in [&mut stage.sim, &mut stage.real] {
                let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
                side.client.send(&Step::send("POST", path, JSON, &generate::definition())).await;
                for _ in 0..100 {
                    let now = clock::wall().0;
                    server.with_cluster(|cluster| cluster.tick(Time(now * 1000)));
                    let reply = side.client.send(&Step::get("/apis/diff.test/v1/widgets")).await;
                    if reply.code == 200 {
                        break;
                    }
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        });
        stage
    }

    /// Plays scripts one by one; panics with all differences.
    pub(crate) fn compare_each(mut self, scripts: &[Script]) {
        let (start, run) = (clock::wall().0 % 100_000_000, std::process::id());
        let mut found = Vec::new();
        for (number, script) in scripts.iter().enumerate() {
            let namespace = format!("e{start}-{run}-{number}");
            found.extend(self.runtime.block_on(play(&mut self.sim, &mut self.real, script, &namespace)));
        }
        self.supervisor.stop(StopCause::Asked { by: "the test".to_owned() });
        assert!(found.is_empty(), "{} of {} differ:\n{}", found.len(), scripts.len(), found.join("\n"));
    }

    /// Plays generated scripts; panics with the shortest one that shows a difference.
    pub(crate) fn compare(mut self, area: Area) {
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&self.seed.to_le_bytes());
        let config = Proptest {
            cases: self.scripts,
            max_shrink_iters: 2000,
            failure_persistence: None,
            ..Proptest::default()
        };
        let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &seed));
        let strategy = generate::script(area);
        let mut round = 0_u64;
        let start = clock::wall().0;
        let run = std::process::id();
        let cell = std::cell::RefCell::new((&mut self.sim, &mut self.real, &mut round));
        let outcome = runner.run(&strategy, |script| {
            let mut borrowed = cell.borrow_mut();
            let (sim, real, round) = &mut *borrowed;
            **round += 1;
            let namespace = format!("d{}-{run}-{}", start % 100_000_000, **round);
            let difference = self.runtime.block_on(play(sim, real, &script, &namespace));
            difference.map_or(Ok(()), |difference| Err(TestCaseError::fail(difference)))
        });
        self.supervisor.stop(StopCause::Asked { by: "the test".to_owned() });
        match outcome {
            Ok(()) => {}
            Err(TestError::Fail(reason, script)) => panic!("{reason}\nscript:\n{script:?}"),
            Err(TestError::Abort(reason)) => panic!("{reason}"),
        }
    }
}

/// Plays a script on both, and gives what differs.
async fn play(sim: &mut Side, real: &mut Side, script: &Script, namespace: &str) -> Option<String> {
    let (from_sim, from_real) = tokio::join!(sim.play(script, namespace), real.play(script, namespace));
    for (number, (sim, real)) in from_sim.iter().zip(&from_real).enumerate() {
        if sim != real {
            let what =
                script.steps.get(number).map_or_else(|| "the watch".to_owned(), |step| format!("{step:?}"));
            let mut text = format!("{what}\n");
            differences("", sim, real, &mut text);
            return Some(text);
        }
    }
    (from_sim.len() != from_real.len()).then(|| "one of them answered more often".to_owned())
}

/// Lists where two values differ.
fn differences(path: &str, sim: &Value, real: &Value, out: &mut String) {
    match (sim, real) {
        (Value::Object(a), Value::Object(b)) => {
            let keys: std::collections::BTreeSet<_> = a.keys().chain(b.keys()).collect();
            for key in keys {
                let (a, b) = (a.get(key).unwrap_or(&Value::Null), b.get(key).unwrap_or(&Value::Null));
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

// === impl Side ===

impl Side {
    fn new(url: &str, token: &str) -> Self {
        Self { client: Client::new(url, token), seen: BTreeMap::new(), names: Names::default() }
    }

    /// Sends all requests, and reads what a watch says of them.
    async fn play(&mut self, script: &Script, namespace: &str) -> Vec<Value> {
        self.seen.clear();
        self.names = Names::default();
        let body = json!({"metadata": {"name": namespace}});
        self.client.send(&Step::send("POST", "/api/v1/namespaces", JSON, &body)).await;
        let collection = script.watched.replace("{ns}", namespace);
        let list = self.client.send(&Step::get(&collection)).await;
        let list: Value = serde_json::from_slice(&list.body).expect("a list");
        let version = list["metadata"]["resourceVersion"].as_str().expect("a version").to_owned();

        let mut answers = Vec::new();
        for step in &script.steps {
            let step = self.filled(step, namespace);
            let reply = self.client.send(&step).await;
            self.remember(&reply);
            answers.push(self.names.reply(&reply));
        }
        self.client.send(&Step::send("POST", &collection, JSON, &script.end)).await;
        answers.push(self.watch(&collection, &version).await);
        answers
    }

    async fn watch(&mut self, collection: &str, version: &str) -> Value {
        let path = format!("{collection}?watch=true&resourceVersion={version}&timeoutSeconds=10");
        let mut response = self.client.open(&Step::get(path)).await;
        let (mut events, mut buffer) = (Vec::new(), Vec::new());
        let read = async {
            while let Some(Ok(frame)) = response.frame().await {
                buffer.extend_from_slice(frame.data_ref().map_or(&[], |data| &data[..]));
                while let Some(end) = buffer.iter().position(|byte| *byte == b'\n') {
                    let line: Vec<u8> = buffer.drain(..=end).collect();
                    let event: Value = serde_json::from_slice(&line).expect("an event");
                    if event["object"]["metadata"]["name"] == "end" {
                        return;
                    }
                    events.push(self.names.body(event));
                }
            }
        };
        let in_time = tokio::time::timeout(PATIENCE, read).await.is_ok();
        json!({"events": events, "in time": in_time})
    }

    fn filled(&self, step: &Step, namespace: &str) -> Step {
        let fill = |text: &str| {
            let mut text = text.replace("{ns}", namespace);
            for (name, (uid, version)) in &self.seen {
                text =
                    text.replace(&format!("{{uid:{name}}}"), uid).replace(&format!("{{rv:{name}}}"), version);
            }
            // Of what was never there nothing is known; the others are named `a` and `b` alone.
            for name in ["a", "b"] {
                text =
                    text.replace(&format!("{{uid:{name}}}"), NO_UID).replace(&format!("{{rv:{name}}}"), "1");
            }
            text
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
