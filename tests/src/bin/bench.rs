//! Measures Argosy on a real control plane, in release mode, and prints a table for `docs/benchmarks.md`.
//!
//! Each figure stands beside a peer of the same run: `kubectl apply --server-side` for the way of a change, the
//! manifests' own JSON for bytes.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use anyhow::Context as _;
use argosy_tests::requests::counts;
use argosy_tests::wait::{Deadline, Stopwatch, eventually, pause};
use argosy_tests::world::{Application, Edge, World};
use serde_json::Value;

/// Commits that are timed.
const COMMITS: u32 = 200;
/// Objects of the app whose agent is weighed.
const OBJECTS: u32 = 2_000;
/// Objects of the app of which one field changes.
const APP: u32 = 500;
const PATIENCE: Duration = Duration::from_mins(5);

fn main() -> anyhow::Result<()> {
    let mut world = World::builder().clusters(&["a"]).own_control_planes().audit(true).start()?;
    let mut table = String::from("| what | value |\n|---|---|\n");
    memory_at_rest(&world, &mut table)?;
    commit_to_live(&world, &mut table)?;
    one_field(&world, &mut table)?;
    many_objects(&world, &mut table)?;
    restart(&mut world, &mut table)?;
    show(&table);
    Ok(())
}

fn edge(world: &World) -> anyhow::Result<&Edge> {
    world.edge("a")
}

fn memory_at_rest(world: &World, table: &mut String) -> anyhow::Result<()> {
    world.await_connected("a", true);
    pause(Duration::from_secs(5));
    row(table, "agent RSS, no objects", &mebibytes(edge(world)?.agent_memory()?))
}

fn manifest(name: &str, value: &str) -> String {
    let filler = "the quick brown fox jumps over the lazy dog ".repeat(8);
    format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}, labels: {{app: bench, tier: edge}}}}\n\
         data:\n  value: \"{value}\"\n  filler: \"{filler}\"\n"
    )
}

fn app(name: &str, namespace: &str) -> Application {
    Application::new(name, "a", namespace, name).automated(true, true)
}

fn commit_to_live(world: &World, table: &mut String) -> anyhow::Result<()> {
    let plane = edge(world)?.plane();
    let namespace = plane.fresh_namespace()?;
    world.apps().write("single/map.yaml", manifest("single", "start"))?;
    let commit = world.apps().commit("start")?;
    world.put_app(&app("single", &namespace))?;
    world.await_synced("single", &commit);
    let path = format!("/api/v1/namespaces/{namespace}/configmaps/single");
    let mut times = Vec::new();
    for round in 0..COMMITS {
        let value = format!("round {round}");
        world.apps().commit_file("single/map.yaml", manifest("single", &value))?;
        let watch = Stopwatch::start();
        let deadline = Deadline::after(PATIENCE);
        loop {
            let live = plane.api().get(&path)?;
            if live.as_ref().and_then(|live| live.pointer("/data/value")).and_then(Value::as_str)
                == Some(&value)
            {
                break;
            }
            anyhow::ensure!(!deadline.is_over(), "commit {round} never became live");
            pause(Duration::from_millis(2));
        }
        times.push(watch.elapsed());
    }
    times.sort();
    let mut peer = Vec::new();
    for round in 0..20 {
        let watch = Stopwatch::start();
        let text = manifest("peer", &round.to_string());
        let output = plane.kubectl_with(&["apply", "--server-side", "-n", &namespace, "-f", "-"], &text)?;
        anyhow::ensure!(output.status.success(), "kubectl apply failed");
        peer.push(watch.elapsed());
    }
    peer.sort();
    row(table, "commit → live p50 (poll of 100 ms, 200 commits)", &millis(at(&times, 50)))?;
    row(table, "commit → live p99", &millis(at(&times, 99)))?;
    row(table, "peer: `kubectl apply --server-side` of the same object p50", &millis(at(&peer, 50)))
}

fn at(times: &[Duration], percent: usize) -> Duration {
    let index = (times.len().saturating_sub(1)) * percent / 100;
    times.get(index).copied().unwrap_or_default()
}

fn fill(world: &World, name: &str, count: u32) -> anyhow::Result<String> {
    let namespace = edge(world)?.plane().fresh_namespace()?;
    let mut text = String::new();
    for index in 0..count {
        write!(text, "---\n{}", manifest(&format!("{name}-{index:05}"), "1"))?;
    }
    world.apps().write(&format!("{name}/maps.yaml"), &text)?;
    let commit = world.apps().commit(name)?;
    world.put_app(&app(name, &namespace))?;
    let watch = Stopwatch::start();
    eventually(PATIENCE, "the app to be synced", || -> anyhow::Result<()> {
        let app = world.app(name)?;
        let status = app.get("status").context("an app without a status")?;
        let text = |pointer| status.pointer(pointer).and_then(Value::as_str);
        let synced =
            text("/sync/status") == Some("Synced") && text("/sync/revision") == Some(commit.as_str());
        anyhow::ensure!(synced, "{} {}", status["sync"], status["counts"]);
        Ok(())
    });
    show(&format!("{count} objects of {name} synced after {:?}", watch.elapsed()));
    Ok(text)
}

fn bytes(world: &World) -> anyhow::Result<BTreeMap<String, u64>> {
    let state = edge(world)?.debug_state()?;
    let link = state.get("link").and_then(Value::as_object).context("the agent tells nothing of its link")?;
    Ok(link.iter().filter_map(|(name, value)| Some((name.clone(), value.as_u64()?))).collect())
}

fn since(before: &BTreeMap<String, u64>, after: &BTreeMap<String, u64>, name: &str) -> u64 {
    let get = |map: &BTreeMap<String, u64>| map.get(name).copied().unwrap_or(0);
    get(after).saturating_sub(get(before))
}

fn one_field(world: &World, table: &mut String) -> anyhow::Result<()> {
    let text = fill(world, "wide", APP)?;
    pause(Duration::from_secs(12));
    let before = bytes(world)?;
    let changed = text.replacen("value: \"1\"", "value: \"2\"", 1);
    let commit = world.apps().commit_file("wide/maps.yaml", &changed)?;
    world.await_synced("wide", &commit);
    let after = bytes(world)?;
    let urgent = since(&before, &after, "receivedUrgentBytes");
    let bulk = since(&before, &after, "receivedBulkBytes");
    row(
        table,
        "frames to the agent for one field of an app of 500 objects",
        &format!("{} B", urgent + bulk),
    )?;
    row(table, "  of which urgent / bulk", &format!("{urgent} / {bulk} B"))?;
    row(table, "peer: the app's manifests", &format!("{} B", text.len()))?;
    world.hub().kill()?;
    world.hub().start()?;
    world.await_connected("a", true);
    pause(Duration::from_secs(3));
    let again = bytes(world)?;
    let urgent = since(&after, &again, "receivedUrgentBytes");
    let bulk = since(&after, &again, "receivedBulkBytes");
    row(table, "frames to the agent for a reconnect in sync, urgent / bulk", &format!("{urgent} / {bulk} B"))
}

fn many_objects(world: &World, table: &mut String) -> anyhow::Result<()> {
    fill(world, "many", OBJECTS - APP - 1)?;
    pause(Duration::from_secs(10));
    row(table, "agent RSS, 2,000 objects", &mebibytes(edge(world)?.agent_memory()?))
}

fn restart(world: &mut World, table: &mut String) -> anyhow::Result<()> {
    let edge = edge(world)?;
    edge.stop_agent()?;
    let mark = edge.plane().mark()?;
    edge.start_agent()?;
    pause(Duration::from_secs(20));
    row(table, "agent RSS, 2,000 objects, after a restart", &mebibytes(edge.agent_memory()?))?;
    let requests = edge.requests_since(mark)?;
    let of_objects = requests.iter().filter(|request| !request.is_lease());
    let counts: Vec<String> = counts(of_objects)
        .into_iter()
        .map(|((verb, kind, _), count)| {
            format!("{verb} {} {count}", if kind.is_empty() { "(none)" } else { &kind })
        })
        .collect();
    row(table, "API requests of a restart in sync, Lease aside: verb, kind, number", &counts.join(", "))
}

fn row(table: &mut String, what: &str, value: &str) -> anyhow::Result<()> {
    show(&format!("{what}: {value}"));
    writeln!(table, "| {what} | {value} |").context("formatting")
}

fn millis(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1e3)
}

#[expect(clippy::cast_precision_loss, reason = "memory for people")]
fn mebibytes(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / 1_048_576.0)
}

#[expect(clippy::print_stdout, reason = "the answer of a command")]
fn show(line: &str) {
    println!("{line}");
}
