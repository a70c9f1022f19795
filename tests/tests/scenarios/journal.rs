//! The flight recorder: what ran on a cluster at a time, told after weeks without a link.

use std::process::{Command, Output};

use argosy_tests::eventually;
use argosy_tests::process::our_binary;
use argosy_tests::world::PATIENCE;
use serde_json::Value;

use super::stage::{EDGE, Stage};

fn at_edge(stage: &Stage, arguments: &[&str]) -> Output {
    let output = Command::new(our_binary("argosy-agent").unwrap())
        .args(arguments)
        .arg("--data-dir")
        .arg(stage.edge().data_folder())
        .output()
        .unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

fn report(stage: &Stage) -> Value {
    serde_json::from_slice(&at_edge(stage, &["status", "-o", "json"]).stdout).unwrap()
}

/// Returns the time by the hub's clock, as it says it.
fn now(stage: &Stage) -> String {
    let audit = stage.world.hub().argosy_json(&["audit", EDGE]).unwrap();
    audit["at"].as_str().unwrap().to_owned()
}

fn audit(stage: &Stage, at: &str) -> Value {
    stage.world.hub().argosy_json(&["audit", EDGE, "--at", at]).unwrap()
}

fn app(audit: &Value) -> &Value {
    let apps = audit["applications"].as_array().unwrap();
    apps.iter().find(|app| app["app"] == "argocd/web").unwrap_or(&Value::Null)
}

/// Waits until an audit of now meets a condition, and returns it.
#[track_caller]
fn await_audit(stage: &Stage, what: &str, met: impl Fn(&Value) -> bool) -> Value {
    eventually(PATIENCE, &format!("the audit {what}"), || {
        let audit = stage.world.hub().argosy_json(&["audit", EDGE]).map_err(|error| format!("{error:#}"))?;
        if met(&audit) { Ok(audit) } else { Err(audit.to_string()) }
    })
}

/// Returns the reasons of the cluster's journal since a time, in order.
fn reasons(stage: &Stage, since: &str) -> Vec<String> {
    let line = ["events", "--cluster", EDGE, "--since", since, "-o", "json"];
    let text = stage.world.hub().argosy_text(&line).unwrap();
    let events = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let recorded = events.filter(|event| event["recorded"] == true);
    recorded.map(|event| event["reason"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn what_ran_where_and_when_is_told_also_of_the_time_without_a_link() {
    let stage = Stage::start();
    let first = stage.bring_up("web", &["a", "b"]);
    let told = await_audit(&stage, "to know the app", |audit| app(audit)["sync"] == "Synced");
    assert_eq!(app(&told)["applied"]["revision"], first, "{told}");
    assert_eq!(app(&told)["desired"]["revision"], first, "{told}");
    assert_eq!(app(&told)["operation"]["phase"], "Succeeded", "{told}");
    assert_eq!((&told["doubts"], &told["paused"]), (&Value::Array(Vec::new()), &Value::Null), "{told}");
    let early = now(&stage);

    // A new release, and an object that goes with it.
    stage.commit(&[("web/a", "2")]);
    let second = stage.remove(&["web/b"]);
    stage.world.await_synced("web", &second);
    stage.await_absent("b");
    let told = await_audit(&stage, "to know the new release", |audit| {
        app(audit)["applied"]["revision"] == second.as_str()
    });
    assert!(told["before"].to_string().contains("Pruned"), "{told}");

    // The hub is away: somebody meddles, the agent heals, and a person pauses it.
    stage.world.hub().stop().unwrap();
    stage.expect_heal("a");
    at_edge(&stage, &["pause", "--by", "ana", "--reason", "night shift"]);
    stage.spoil("a");
    eventually(PATIENCE, "the drift to be seen", || {
        let report = report(&stage);
        if report["apps"][0]["sync"] == "OutOfSync" { Ok(()) } else { Err(report.to_string()) }
    });
    let alone = report(&stage);
    assert!(alone["journal"]["last"].as_u64() > Some(5), "{alone}");
    assert_eq!(alone["journal"]["uploaded"], Value::Null, "{alone}");
    stage.edge().kill_agent().unwrap();
    stage.edge().start_agent().unwrap();
    stage.world.hub().start().unwrap();
    stage.world.await_connected(EDGE, true);

    // All of it comes, in its order, and the past stays as it was.
    let told = await_audit(&stage, "to know of the pause and the drift", |audit| {
        audit["paused"]["reason"] == "night shift" && app(audit)["sync"] == "OutOfSync"
    });
    assert!(told["paused"]["by"].as_str().unwrap().starts_with("ana"), "{told}");
    let reasons_since = reasons(&stage, &early);
    let at = |reason: &str| {
        let place = reasons_since.iter().position(|of| of == reason);
        place.unwrap_or_else(|| panic!("no {reason} in {reasons_since:?}"))
    };
    assert!(at("Pruned") < at("Drifted") && at("Drifted") < at("Healed"), "{reasons_since:?}");
    assert!(at("Healed") < at("Paused") && at("Paused") < at("AgentStarted"), "{reasons_since:?}");
    let then = audit(&stage, &early);
    assert_eq!(app(&then)["applied"]["revision"], first, "{then}");
    assert_eq!(then["paused"], Value::Null, "{then}");
    assert_eq!(app(&then)["doubtful"], false, "{then}");
    assert!(audit(&stage, "30d")["applications"].as_array().unwrap().is_empty());
    for form in ["table", "yaml"] {
        let text = stage.world.hub().argosy_text(&["audit", EDGE, "--at", &early, "-o", form]).unwrap();
        assert!(text.contains("argocd/web") && text.contains(&first[..7]), "{text}");
    }
    let table = stage.world.hub().argosy_text(&["events", "--cluster", EDGE, "--since", "1h"]).unwrap();
    assert!(table.contains("Healed") && table.contains("ConfigMap"), "{table}");

    // The hub remembers over a restart, and says what it may not know while the agent is away.
    at_edge(&stage, &["resume"]);
    stage.await_value("a", "2");
    await_audit(&stage, "to be whole again", |audit| app(audit)["sync"] == "Synced");
    stage.edge().kill_agent().unwrap();
    stage.world.await_connected(EDGE, false);
    stage.world.hub().kill().unwrap();
    stage.world.hub().start().unwrap();
    let told = audit(&stage, &early);
    assert_eq!(app(&told)["applied"]["revision"], first, "{told}");
    let told = await_audit(&stage, "to doubt", |audit| {
        audit["doubts"].to_string().contains("at the agent, which is away")
    });
    assert_eq!(app(&told)["sync"], "Synced", "{told}");

    let unknown = stage.world.hub().argosy(&["audit", "unheard-of"]).unwrap();
    assert_eq!(unknown.status.code(), Some(1));
    let unknown = stage.world.hub().argosy(&["events", "--cluster", "unheard-of", "--since", "1h"]).unwrap();
    assert_eq!(unknown.status.code(), Some(1));
}

#[test]
fn a_lost_store_leads_to_another_journal_that_says_so() {
    let stage = Stage::start();
    stage.bring_up("web", &["a"]);
    await_audit(&stage, "to know the app", |audit| app(audit)["sync"] == "Synced");
    let before = report(&stage)["journal"]["id"].clone();
    stage.edge().stop_agent().unwrap();
    std::fs::remove_file(stage.edge().data_folder().join("store.redb")).unwrap();
    let early = now(&stage);
    stage.edge().start_agent().unwrap();
    await_audit(&stage, "to know the app anew", |audit| {
        app(audit)["sync"] == "Synced"
            && app(audit)["doubtful"] == false
            && app(audit)["since"].as_str() > Some(&early)
    });
    assert_ne!(report(&stage)["journal"]["id"], before);
    let told = reasons(&stage, &early);
    assert!(
        told.contains(&"JournalAnother".to_owned()) && told.contains(&"JournalBegan".to_owned()),
        "{told:?}"
    );
    assert!(!stage.world.hub().cluster(EDGE).unwrap().to_string().contains("JournalRefused"));
}
