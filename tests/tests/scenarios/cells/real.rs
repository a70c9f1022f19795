//! A cell of every fault by the agent's own process at a control plane of the harness, through a proxy.
//!
//! Four agents at four clusters go through five cells each, one after the other: a cluster has one writer.

use std::thread;
use std::time::Duration;

use argosy_tests::wait::pause;
use argosy_tests::world::Edge;
use argosy_tests::{Application, ControlPlane, World, say};
use http::Method;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::fault::{Fault, Form};
use super::layer::{GROUP, Written};
use super::proxy::Proxy;
use super::{Cell, Outcome, Phase, definition};
use crate::scenarios::stage::{config_map, row_message};

/// How long faults last.
const WINDOW: Duration = Duration::from_secs(6);
/// How soon all is as desired afterwards: the default policy retries for 75 seconds.
const LIMIT: Duration = Duration::from_mins(3);
const LOOK: Duration = Duration::from_millis(200);
/// How long it must rest then.
const QUIET: Duration = Duration::from_secs(3);

/// A cell of each fault, by agent, in all phases and forms. A hung watch is noticed when its time is over, and a lost event
/// with the next list: nobody waits for that here, so they come last and strike where nobody has to.
const CELLS: [[(Fault, Phase, Form); 5]; 4] = [
    [
        (Fault::TooManyRequests, Phase::Create, Form::Always),
        (Fault::InternalError, Phase::Prune, Form::Half),
        (Fault::Unavailable, Phase::Restart, Form::Always),
        (Fault::GatewayTimeout, Phase::Update, Form::Half),
        (Fault::HungWatch, Phase::Update, Form::Once),
    ],
    [
        (Fault::ResetMidBody, Phase::Update, Form::Always),
        (Fault::TruncatedList, Phase::Restart, Form::Always),
        (Fault::Conflict, Phase::Create, Form::Half),
        (Fault::GoneInWatch, Phase::Rest, Form::Always),
        (Fault::LostEvents, Phase::Prune, Form::Always),
    ],
    [
        (Fault::StaleList, Phase::Restart, Form::Once),
        (Fault::Gone, Phase::Restart, Form::Half),
        (Fault::DuplicatedEvents, Phase::Heal, Form::Always),
        (Fault::ReorderedEvents, Phase::Heal, Form::Half),
        (Fault::WebhookMutates, Phase::Create, Form::Once),
    ],
    [
        (Fault::NotServed, Phase::Restart, Form::Always),
        (Fault::WebhookDenies, Phase::Update, Form::Always),
        (Fault::WebhookTimesOut, Phase::Prune, Form::Once),
        (Fault::TooLarge, Phase::Update, Form::Once),
        (Fault::Invalid, Phase::Heal, Form::Half),
    ],
];

/// One commit at a time: the repository of apps is one for all cells.
static TURN: Mutex<()> = Mutex::new(());

/// An agent behind a proxy, at its cluster.
struct Lane<'a> {
    world: &'a World,
    edge: &'a Edge,
    proxy: Proxy,
}

/// A cell with an app of its own.
struct Real<'a> {
    cell: Cell,
    lane: &'a Lane<'a>,
    name: String,
    namespace: String,
}

/// What is to be live, and what may be deleted for it.
struct Wanted {
    value: &'static str,
    config_maps: Vec<&'static str>,
    gone: Option<(String, String)>,
}

// === impl Real ===

impl Real<'_> {
    fn plane(&self) -> &ControlPlane {
        self.lane.edge.plane()
    }

    fn path(&self, name: &str) -> String {
        format!("/api/v1/namespaces/{}/configmaps/{name}", self.namespace)
    }

    fn part(&self) -> String {
        format!("/apis/{GROUP}/v1/namespaces/{}/parts/p", self.namespace)
    }

    fn live(&self, path: &str) -> Option<Value> {
        self.plane().api().get(path).unwrap()
    }

    /// Writes the app's manifests; without a config map that is not named.
    fn commit(&self, wanted: &Wanted) {
        let _turn = TURN.lock();
        let apps = self.lane.world.apps();
        let part = json!({"apiVersion": format!("{GROUP}/v1"), "kind": "Part", "metadata": {"name": "p"},
            "spec": {"value": wanted.value}});
        apps.write(&format!("{}/part.yaml", self.name), part.to_string()).unwrap();
        for name in ["a", "b", "c", "d"] {
            let file = format!("{}/{name}.yaml", self.name);
            if wanted.config_maps.contains(&name) {
                apps.write(&file, config_map(name, wanted.value)).unwrap();
            } else {
                apps.remove(&file).unwrap();
            }
        }
        apps.commit(&format!("Change {}", self.name)).unwrap();
    }

    fn put_app(&self) {
        let _turn = TURN.lock();
        let app = Application::new(&self.name, self.lane.edge.name(), &self.namespace, &self.name);
        self.lane.world.put_app(&app.automated(true, true)).unwrap();
    }

    /// Tells what is not live as wanted, or not told so at the hub.
    fn unmet(&self, wanted: &Wanted) -> Vec<String> {
        let mut unmet: Vec<String> = Vec::new();
        let app = self.lane.world.app(&self.name).unwrap_or_default();
        let maps = wanted.config_maps.iter().map(|name| (*name, self.path(name), "/data/value"));
        for (name, path, pointer) in maps.chain([("p", self.part(), "/spec/value")]) {
            let live = self.live(&path).unwrap_or_default();
            let value = live.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
            // What a webhook made of a value stays until it is written again; it is named.
            let mutated = self.cell.fault == Fault::WebhookMutates
                && value == "mutated"
                && row_message(&app, name).contains("admission");
            if value != wanted.value && !mutated {
                unmet.push(format!("{name} is {live}"));
            }
        }
        if wanted.gone.as_ref().is_some_and(|(path, _)| self.live(path).is_some()) {
            unmet.push("what was to go is there".to_owned());
        }
        let status = &app["status"];
        if status["sync"]["status"] != "Synced" || status["operationState"]["phase"] == "Running" {
            unmet.push(status.to_string());
        }
        unmet
    }

    /// Waits until all is live as wanted, and the hub is told so.
    fn converges(&self, wanted: &Wanted) -> Result<Duration, String> {
        let mut waited = Duration::ZERO;
        loop {
            let unmet = self.unmet(wanted);
            if unmet.is_empty() {
                return Ok(waited);
            }
            if waited >= LIMIT {
                return Err(unmet.join("\n"));
            }
            pause(LOOK);
            waited += LOOK;
        }
    }

    /// Gives the writes to the app's objects from a number of the proxy's writes on.
    fn writes(&self, from: usize) -> Vec<Written> {
        let part = format!("/namespaces/{}/", self.namespace);
        let written = self.lane.proxy.layer.written().into_iter().skip(from);
        written.filter(|write| write.path.contains(&part)).collect()
    }

    fn run(&self) -> Result<Outcome, String> {
        let mut wanted = Wanted { value: "one", config_maps: vec!["a", "b", "c", "d"], gone: None };
        self.commit(&wanted);
        if self.cell.phase != Phase::Create {
            self.put_app();
            self.converges(&wanted).map_err(|why| format!("before the fault: {why}"))?;
        }
        let layer = &self.lane.proxy.layer;
        let before = layer.written().len();
        layer.injector.begin(self.cell.fault, self.cell.form);
        match self.cell.phase {
            Phase::Create => self.put_app(),
            Phase::Update => {
                wanted.value = "two";
                self.commit(&wanted);
            }
            Phase::Prune => {
                let live = self.live(&self.path("c")).unwrap();
                let uid = live["metadata"]["uid"].as_str().unwrap();
                wanted.gone = Some((self.path("c"), uid.to_owned()));
                wanted.config_maps = vec!["a", "b", "d"];
                self.commit(&wanted);
            }
            Phase::Heal => {
                let api = self.plane().api();
                api.merge(&self.path("a"), &json!({"data": {"value": "drift"}})).unwrap();
                api.delete(&self.path("b")).unwrap();
            }
            Phase::Restart => {
                self.lane.edge.kill_agent().unwrap();
                self.lane.edge.start_agent().unwrap();
            }
            Phase::Rest => {}
        }
        pause(WINDOW);
        let struck = layer.injector.end();
        let converged = self.converges(&wanted)?;
        let rests_at = layer.written().len();
        pause(QUIET);
        if !self.writes(rests_at).is_empty() {
            return Err(format!("it does not rest: {:?}", self.writes(rests_at)));
        }
        for delete in layer.written().into_iter().skip(before).filter(|write| write.method == Method::DELETE)
        {
            let named = wanted
                .gone
                .as_ref()
                .is_some_and(|(path, uid)| *path == delete.path && delete.uid.as_ref() == Some(uid));
            if !named {
                return Err(format!("it deletes what is to stay: {delete:?}"));
            }
        }
        let quiet = matches!(self.cell.phase, Phase::Rest | Phase::Restart);
        if quiet && !self.writes(before).is_empty() {
            return Err(format!("it writes though nothing changed: {:?}", self.writes(before)));
        }
        Ok(Outcome { struck, converged })
    }
}

/// Goes through the cells of an agent; gives those that failed, with the reason.
fn run_lane(lane: &Lane<'_>, cells: &[(Fault, Phase, Form)]) -> Vec<String> {
    let mut failed = Vec::new();
    for (index, (fault, phase, form)) in cells.iter().enumerate() {
        let cell = Cell { fault: *fault, phase: *phase, form: *form };
        let namespace = lane.edge.plane().fresh_namespace().unwrap();
        let name = format!("{}-{index}", lane.edge.name());
        match (Real { cell, lane, name, namespace }).run() {
            Ok(outcome) => say(&format!("{cell} {outcome}")),
            Err(why) => failed.push(format!("{cell}: {why}")),
        }
    }
    failed
}

#[test]
fn every_fault_is_survived_by_the_agents_own_process() {
    let runtime = Runtime::new().unwrap();
    let world = World::start(&["lane-1", "lane-2", "lane-3", "lane-4"]).unwrap();
    let mut lanes = Vec::new();
    for (index, cells) in CELLS.iter().enumerate() {
        let edge = world.edge(&format!("lane-{}", index + 1)).unwrap();
        let path = format!("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/parts.{GROUP}");
        edge.plane().api().apply(&path, "argosy-tests", &definition()).unwrap();
        edge.stop_agent().unwrap();
        let folder = world.scratch().join(format!("{}-proxy", edge.name()));
        std::fs::create_dir_all(&folder).unwrap();
        let proxy = runtime.block_on(Proxy::start(&edge.kubeconfig().unwrap(), &folder));
        edge.reach_by(proxy.kubeconfig.clone());
        edge.start_agent().unwrap();
        lanes.push((Lane { world: &world, edge, proxy }, cells));
    }
    let failed: Vec<String> = thread::scope(|scope| {
        let runs: Vec<_> = lanes.iter().map(|(lane, cells)| scope.spawn(|| run_lane(lane, *cells))).collect();
        runs.into_iter().flat_map(|run| run.join().unwrap()).collect()
    });
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}
