//! Break-glass at the edge: all writes to a cluster stop and go on by word of somebody there, with or without a hub.

use std::process::{Command, Output};

use argosy_tests::process::our_binary;
use argosy_tests::world::PATIENCE;
use argosy_tests::{Mark, admin, eventually};
use serde_json::Value;

use super::stage::{EDGE, Stage, has_condition};

/// Runs `argosy-agent` beside the stage's agent.
fn at_edge(stage: &Stage, arguments: &[&str]) -> Output {
    Command::new(our_binary("argosy-agent").unwrap())
        .args(arguments)
        .arg("--data-dir")
        .arg(stage.edge().data_folder())
        .env("USER", "ana")
        .env_remove("SUDO_USER")
        .output()
        .unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[track_caller]
fn order(stage: &Stage, arguments: &[&str]) -> String {
    let output = at_edge(stage, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", said(&output));
    said(&output)
}

fn report(stage: &Stage) -> Value {
    let output = at_edge(stage, &["status", "-o", "json"]);
    assert!(output.status.success(), "{}", said(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[track_caller]
fn await_paused(stage: &Stage, paused: bool) -> Value {
    eventually(PATIENCE, &format!("the hub to show paused: {paused}"), || {
        let cluster = stage.world.hub().cluster(EDGE).map_err(|error| format!("{error:#}"))?;
        if cluster["paused"].is_object() == paused { Ok(cluster) } else { Err(cluster.to_string()) }
    })
}

/// Returns the writes of the agent since a mark, but for its Lease, which keeps other agents from writing.
fn writes_since(stage: &Stage, mark: Mark) -> Vec<String> {
    let requests = stage.edge().requests_since(mark).unwrap();
    let writes = requests.into_iter().filter(|request| request.is_write() && !request.is_lease());
    writes.map(|request| format!("{} {}", request.verb, request.uri)).collect()
}

#[test]
fn a_paused_agent_writes_nothing_and_tells_everything() {
    let stage = Stage::alone();
    stage.bring_up("web", &["a", "b"]);

    assert!(order(&stage, &["pause", "--reason", "the plant is down"]).contains("paused"));
    let cluster = await_paused(&stage, true);
    let paused = &cluster["paused"];
    assert!(paused["by"].as_str().unwrap().starts_with("ana (uid "), "{cluster}");
    assert_eq!(paused["reason"], "the plant is down");
    assert!(paused["since"].is_string() && paused["lastKnown"] == false, "{cluster}");
    assert!(has_condition(&cluster, "Paused"), "{cluster}");
    assert!(cluster["readOnly"].is_null(), "{cluster}");
    for line in [vec!["status"], vec!["cluster", "get", EDGE]] {
        let text = stage.world.hub().argosy_text(&line).unwrap();
        assert!(
            text.contains("Connected,Paused") && text.contains("ana") && text.contains("the plant is down"),
            "{text}"
        );
    }
    assert!(order(&stage, &["pause"]).contains("already paused by ana"));

    // Drift, a new release, a deletion and a sync that is asked for: seen, told, not done.
    let mark = stage.plane().mark().unwrap();
    stage.spoil("a");
    stage.commit(&[("web/a", "2"), ("web/c", "1")]);
    let commit = stage.remove(&["web/b"]);
    stage.await_condition("web", "Paused", &["ana", "the plant is down"]);
    stage.world.await_app("web", "to be out of sync", |app| app["status"]["sync"]["status"] == "OutOfSync");
    let asked = stage.world.hub().argosy(&["app", "sync", "web", "--timeout", "30"]).unwrap();
    assert!(!asked.status.success() && said(&asked).contains("paused by ana"), "{}", said(&asked));
    stage.expect_untouched(&["a", "b"]);
    assert_eq!(stage.value("a"), "spoilt");

    // Durable over a kill and over the hub's absence, and the hub remembers while the agent is away.
    stage.edge().kill_agent().unwrap();
    let away = stage.world.await_connected(EDGE, false);
    assert_eq!(away["paused"]["lastKnown"], true, "{away}");
    stage.world.hub().kill().unwrap();
    stage.edge().start_agent().unwrap();
    eventually(PATIENCE, "the agent to answer", || {
        let output = at_edge(&stage, &["status"]);
        if output.status.success() { Ok(()) } else { Err(said(&output)) }
    });
    let alone = report(&stage);
    assert!(alone["paused"]["by"].as_str().unwrap().starts_with("ana"), "{alone}");
    assert_eq!(alone["link"]["connected"], false, "{alone}");
    stage.expect_untouched(&["a", "b"]);
    assert_eq!(writes_since(&stage, mark), Vec::<String>::new());

    // Resumed with no hub: what was assigned is done.
    assert!(order(&stage, &["resume"]).contains("resumed"));
    stage.await_value("a", "2");
    stage.await_value("c", "1");
    assert!(order(&stage, &["resume"]).contains("nothing is paused"));
    stage.world.hub().start().unwrap();
    stage.world.await_connected(EDGE, true);
    await_paused(&stage, false);
    stage.world.await_synced("web", &commit);
}

#[test]
fn an_agent_that_is_not_running_can_be_paused_before_it_starts() {
    let stage = Stage::start();
    stage.bring_up("web", &["a"]);
    stage.edge().stop_agent().unwrap();
    let words = order(&stage, &["pause", "--by", "bob"]);
    assert!(words.contains("no agent is running"), "{words}");
    stage.spoil("a");
    stage.edge().start_agent().unwrap();
    let cluster = await_paused(&stage, true);
    assert!(cluster["paused"]["by"].as_str().unwrap().starts_with("bob"), "{cluster}");
    stage.expect_untouched(&["a"]);
    order(&stage, &["resume"]);
    stage.await_value("a", "1");
}

#[test]
fn an_app_that_is_paused_at_the_hub_is_neither_synced_nor_healed_by_itself() {
    let stage = Stage::start();
    stage.bring_up("web", &["a"]);
    let argosy = |arguments: &[&str]| stage.world.hub().argosy_text(arguments).unwrap();
    assert!(argosy(&["app", "pause", "web"]).contains("argosy app resume argocd/web"));
    assert!(argosy(&["app", "pause", "web"]).contains("paused already"));
    stage.world.await_app("web", "to be paused", |app| {
        let conditions = app["status"]["conditions"].as_array();
        conditions.into_iter().flatten().any(|condition| condition["type"] == "Paused")
    });
    eventually(PATIENCE, "the agent to have the order", || {
        let cluster = stage.world.hub().cluster(EDGE).map_err(|error| format!("{error:#}"))?;
        if cluster["head"]["generation"] == cluster["storedGeneration"] {
            Ok(())
        } else {
            Err(cluster.to_string())
        }
    });
    stage.spoil("a");
    stage.commit(&[("web/b", "1")]);
    stage.world.await_app("web", "to be out of sync", |app| app["status"]["sync"]["status"] == "OutOfSync");
    stage.expect_untouched(&["a"]);
    assert_eq!((stage.value("a").as_str(), stage.live("b")), ("spoilt", None));
    assert!(argosy(&["app", "resume", "web"]).contains("goes on"));
    stage.await_value("a", "1");
    stage.await_value("b", "1");
    stage.world.await_app("web", "to be resumed", |app| app["status"]["conditions"] == serde_json::json!([]));
}

#[test]
fn an_agent_tells_of_itself_with_no_hub_and_being_offline_is_ready() {
    let stage = Stage::start();
    stage.bring_up("web", &["a"]);
    stage.edge().stop_agent().unwrap();
    let output = at_edge(&stage, &["status"]);
    assert!(!output.status.success() && said(&output).contains("is it running"), "{}", said(&output));
    stage.world.hub().stop().unwrap();
    stage.edge().start_agent().unwrap();

    let data = stage.edge().data_folder();
    eventually(PATIENCE, "the agent to be ready", || admin::get(data, "/healthz/ready").map(drop));
    admin::get(data, "/healthz/live").unwrap();
    for path in ["/healthz/connected", "/connectivity"] {
        let error = admin::get(data, path).unwrap_err().to_string();
        assert!(error.contains("503"), "{path}: {error}");
    }
    let report = eventually(PATIENCE, "the app to be seen", || {
        let report = report(&stage);
        if report["apps"][0]["sync"] == "Synced" { Ok(report) } else { Err(report.to_string()) }
    });
    assert_eq!(report["cluster"], EDGE, "{report}");
    assert_eq!((&report["link"]["connected"], &report["paused"]), (&Value::Bool(false), &Value::Null));
    assert!(report["head"]["generation"].as_u64() >= Some(1), "{report}");
    assert_eq!(report["apps"][0]["app"], "argocd/web", "{report}");
    assert_eq!(report["apps"][0]["health"], "Healthy", "{report}");
    assert!(report["apps"][0]["ageSeconds"].as_u64() <= Some(5), "{report}");
    assert_eq!(report["apps"][0]["synced"], report["apps"][0]["assigned"]);
    let table = said(&at_edge(&stage, &["status"]));
    assert!(
        table.contains("away for") && table.contains("argocd/web") && table.contains("Synced"),
        "{table}"
    );

    stage.world.hub().start().unwrap();
    stage.world.await_connected(EDGE, true);
    // The hub knows of the stream before the agent has its answer.
    eventually(PATIENCE, "the agent to be connected", || admin::get(data, "/healthz/connected").map(drop));
}

#[test]
fn a_pause_that_cannot_be_written_holds_all_the_same_and_is_written_once_it_can_be() {
    let stage = Stage::alone();
    stage.bring_up("web", &["a"]);
    // Nothing is written over a folder, whoever tries.
    let file = stage.edge().data_folder().join("identity/order");
    std::fs::create_dir(&file).unwrap();

    let output = at_edge(&stage, &["pause"]);
    let text = said(&output);
    assert!(!output.status.success() && text.contains("could not be written"), "{text}");
    assert!(text.contains("identity/order") && text.contains("order it again"), "{text}");
    stage.spoil("a");
    stage.world.await_app("web", "to be out of sync", |app| app["status"]["sync"]["status"] == "OutOfSync");
    assert_eq!(stage.value("a"), "spoilt");
    assert!(!at_edge(&stage, &["resume"]).status.success(), "what cannot be written ends no pause");
    assert_eq!(stage.value("a"), "spoilt");

    std::fs::remove_dir(&file).unwrap();
    assert!(order(&stage, &["pause"]).contains("already paused by ana"));
    assert!(file.is_file());
    assert!(order(&stage, &["resume"]).contains("resumed"));
    stage.await_value("a", "1");
}
