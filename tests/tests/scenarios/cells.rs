//! Every fault of an API server, in every phase of an app's life, in every form: each ends with what is desired live,
//! nothing deleted that was not to go, and rest.
//!
//! All cells run in virtual time: the agent's own connection, watches and reconciler on a clock that skips to what comes
//! next, at a cluster in memory. One of each fault runs in life besides (`real`).

mod fault;
mod layer;
mod proxy;
mod real;
mod rig;

use std::fmt;
use std::time::Duration;

use argosy_core::key::ResourceKey;
use argosy_tests::say;
use serde_json::{Value, json};

use fault::{Fault, Form};
use layer::GROUP;
use rig::Rig;

/// What is done while things go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Create,
    Update,
    Prune,
    /// Somebody changes one object and deletes another.
    Heal,
    /// The agent starts anew.
    Restart,
    /// Nothing.
    Rest,
}

/// One cell.
#[derive(Debug, Clone, Copy)]
struct Cell {
    fault: Fault,
    phase: Phase,
    form: Form,
}

/// What came of a cell.
#[derive(Debug)]
struct Outcome {
    /// How often the fault struck.
    struck: u64,
    /// From the end of the fault until all was as desired.
    converged: Duration,
}

/// How long faults last.
const WINDOW: Duration = Duration::from_secs(30);
/// How long the cluster takes to come to rest without faults.
const CALM: Duration = Duration::from_mins(5);
/// How soon everything is as desired once a fault is over.
const LIMIT: Duration = Duration::from_mins(10);
/// The same where nobody but the next list tells that something was lost.
const RELIST: Duration = Duration::from_mins(75);
/// How long it must rest then.
const QUIET: Duration = Duration::from_mins(20);

impl Phase {
    const ALL: [Self; 6] = [Self::Create, Self::Update, Self::Prune, Self::Heal, Self::Restart, Self::Rest];
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Prune => "prune",
            Self::Heal => "heal",
            Self::Restart => "restart",
            Self::Rest => "rest",
        })
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<20} {:<8} {:<5}", self.fault, self.phase, self.form)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "struck {:>3} converged after {:>7.1} s", self.struck, self.converged.as_secs_f64())
    }
}

fn config(name: &str) -> ResourceKey {
    ResourceKey::new("", "ConfigMap", "shop", name)
}

/// The definition of the custom kind.
fn definition() -> Value {
    json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("parts.{GROUP}")}, "spec": {"group": GROUP, "scope": "Namespaced",
            "names": {"plural": "parts", "singular": "part", "kind": "Part", "listKind": "PartList"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {
                "type": "object", "properties": {"spec": {"type": "object",
                    "properties": {"value": {"type": "string"}}}}}}}]}})
}

/// What is desired: a namespace, a definition, an object of it, config maps.
fn desired(value: &str, names: &[&str]) -> Vec<(ResourceKey, Value)> {
    let plural = format!("parts.{GROUP}");
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}});
    let part = json!({"apiVersion": format!("{GROUP}/v1"), "kind": "Part",
        "metadata": {"name": "p", "namespace": "shop"}, "spec": {"value": value}});
    let mut all = vec![
        (ResourceKey::new("", "Namespace", "", "shop"), namespace),
        (ResourceKey::new("apiextensions.k8s.io", "CustomResourceDefinition", "", &plural), definition()),
        (ResourceKey::new(GROUP, "Part", "shop", "p"), part),
    ];
    all.extend(names.iter().map(|name| {
        let manifest = json!({"apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": name, "namespace": "shop"}, "data": {"value": value}});
        (config(name), manifest)
    }));
    all
}

fn path(key: &ResourceKey) -> String {
    match key.kind.as_str() {
        "Namespace" => format!("/api/v1/namespaces/{}", key.name),
        "ConfigMap" => format!("/api/v1/namespaces/{}/configmaps/{}", key.namespace, key.name),
        "Part" => format!("/apis/{GROUP}/v1/namespaces/{}/parts/{}", key.namespace, key.name),
        _ => format!("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{}", key.name),
    }
}

/// Tells what is not live as desired.
async fn unmet(rig: &Rig, desired: &[(ResourceKey, Value)], gone: &[ResourceKey]) -> Vec<String> {
    let mut unmet = Vec::new();
    for (key, manifest) in desired {
        let Some(live) = rig.cluster.get(&path(key)).await else {
            unmet.push(format!("{key} is not there"));
            continue;
        };
        for values in ["/data", "/spec/value"] {
            if manifest.pointer(values) != live.pointer(values) {
                unmet.push(format!("{key} is {:?}", live.pointer(values)));
            }
        }
    }
    for key in gone {
        if rig.cluster.get(&path(key)).await.is_some() {
            unmet.push(format!("{key} is still there"));
        }
    }
    unmet
}

async fn uid(rig: &Rig, key: &ResourceKey) -> String {
    let live = rig.cluster.get(&path(key)).await.unwrap();
    live.pointer("/metadata/uid").and_then(Value::as_str).unwrap().to_owned()
}

impl Cell {
    async fn run(self) -> Result<Outcome, String> {
        let mut rig = Rig::new();
        let before = desired("one", &["a", "b", "c", "d"]);
        if self.phase != Phase::Create {
            rig.assign(&before);
            rig.run_until_synced(CALM).await.ok_or("it does not come to rest before the fault")?;
            rig.run_for(Duration::from_secs(10)).await;
        }
        let written = rig.layer.written().len();
        rig.layer.injector.begin(self.fault, self.form);
        let (mut wanted, mut gone, mut may_go, mut renewed) = (before.clone(), Vec::new(), None, None);
        match self.phase {
            Phase::Create => rig.assign(&before),
            Phase::Update => {
                wanted = desired("two", &["a", "b", "c", "d", "e"]);
                rig.assign(&wanted);
            }
            Phase::Prune => {
                may_go = Some((path(&config("c")), uid(&rig, &config("c")).await));
                wanted = desired("one", &["a", "b", "d"]);
                gone.push(config("c"));
                rig.assign(&wanted);
            }
            Phase::Heal => {
                let patch = json!({"data": {"value": "drift"}});
                let media = "application/merge-patch+json";
                rig.cluster.ask("PATCH", &path(&config("a")), media, &patch).await;
                rig.cluster.ask("DELETE", &path(&config("b")), "application/json", &Value::Null).await;
                renewed = Some(config("b"));
            }
            Phase::Restart => rig.restart(),
            Phase::Rest => {}
        }
        let mut uids = Vec::new();
        if self.phase != Phase::Create {
            for (key, _) in
                before.iter().filter(|(key, _)| !gone.contains(key) && renewed.as_ref() != Some(key))
            {
                uids.push((key.clone(), uid(&rig, key).await));
            }
        }
        rig.run_for(WINDOW).await;
        let struck = rig.layer.injector.end();
        let converged = self.converges(&mut rig, &wanted, &gone).await?;
        let rests_at = rig.layer.written().len();
        rig.run_for(QUIET).await;
        let all = rig.layer.written();
        if all.len() > rests_at {
            return Err(format!("it does not rest: {:?}", all.get(rests_at..)));
        }
        let deletes = all.iter().filter(|write| write.method == http::Method::DELETE);
        for delete in deletes {
            let named = may_go
                .as_ref()
                .is_some_and(|(path, uid)| *path == delete.path && delete.uid.as_ref() == Some(uid));
            if !named {
                return Err(format!("it deletes what is to stay: {delete:?}"));
            }
        }
        for (key, before) in uids {
            if uid(&rig, &key).await != before {
                return Err(format!("{key} was made anew"));
            }
        }
        let quiet = matches!(self.phase, Phase::Rest | Phase::Restart);
        if quiet && all.len() > written {
            return Err(format!("it writes though nothing changed: {:?}", all.get(written..)));
        }
        Ok(Outcome { struck, converged })
    }

    /// Runs until everything is as desired and the agent says so.
    async fn converges(
        self,
        rig: &mut Rig,
        wanted: &[(ResourceKey, Value)],
        gone: &[ResourceKey],
    ) -> Result<Duration, String> {
        let limit = if self.fault == Fault::LostEvents { RELIST } else { LIMIT };
        let mut converged = Duration::ZERO;
        loop {
            let left = limit.saturating_sub(converged);
            let synced = rig.run_until_synced(left).await;
            let unmet = unmet(rig, wanted, gone).await;
            let Some(took) = synced else {
                return Err(format!("not in sync {limit:?} later: {unmet:?}; {:#?}", rig.status()));
            };
            converged += took;
            if unmet.is_empty() || self.names_what_admission_did(rig, &unmet) {
                return Ok(converged);
            }
            // In sync by its own word, and it is not true: it may learn of it a little later.
            rig.run_for(Duration::from_secs(1)).await;
            converged += Duration::from_secs(1);
            if converged >= limit {
                return Err(format!("it says that it is in sync: {unmet:?}"));
            }
        }
    }

    /// What a webhook made of values stays until they are written again; it is named.
    fn names_what_admission_did(self, rig: &Rig, unmet: &[String]) -> bool {
        let rows = rig.status().map(|status| status.resources.clone()).unwrap_or_default();
        self.fault == Fault::WebhookMutates
            && unmet.iter().all(|line| line.contains("mutated"))
            && rows.iter().filter(|row| row.message.contains("admission")).count() >= unmet.len()
    }
}

/// Runs cells, and shows each where `ARGOSY_CELLS` is set.
fn run(cells: impl IntoIterator<Item = Cell>) {
    let shown = std::env::var_os("ARGOSY_CELLS").is_some();
    let mut failed = Vec::new();
    let (mut count, mut struck_in) = (0, 0);
    for cell in cells {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        count += 1;
        match runtime.unwrap().block_on(cell.run()) {
            Ok(outcome) => {
                struck_in += usize::from(outcome.struck > 0);
                if shown {
                    say(&format!("{cell} {outcome}"));
                }
            }
            Err(why) => failed.push(format!("{cell}: {why}")),
        }
    }
    say(&format!("{count} cells, {} failed; in {struck_in} there was something to strike", failed.len()));
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

fn all() -> impl Iterator<Item = Cell> {
    Fault::ALL.into_iter().flat_map(|fault| {
        Phase::ALL
            .into_iter()
            .flat_map(move |phase| Form::ALL.into_iter().map(move |form| Cell { fault, phase, form }))
    })
}

#[test]
fn every_fault_in_every_phase_and_form_is_survived() {
    run(all());
}
