//! What an operator is told: exit codes, and statuses with their age.

use std::process::Output;

use argosy_tests::eventually;
use argosy_tests::world::PATIENCE;
use serde_json::Value;

use super::stage::{EDGE, Stage};

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn words(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn exit_codes_tell_success_failure_usage_and_a_hub_that_is_away() {
    let stage = Stage::start();
    let commit = stage.bring_up("web", &["a"]);
    let hub = stage.world.hub();
    let run = |line: &str| hub.argosy(&line.split(' ').collect::<Vec<_>>()).unwrap();

    for line in ["status", "cluster list", "cluster get edge", "app list", "app get web", "app resources web"]
    {
        for form in ["table", "json", "yaml"] {
            let output = run(&format!("{line} -o {form}"));
            assert_eq!(code(&output), 0, "{line} -o {form}: {}", words(&output));
            assert!(!output.stdout.is_empty(), "{line} -o {form}");
        }
    }
    let healthy = format!("app wait web --revision {commit} --sync --health --operation --timeout 30");
    let limited = "app wait web web --resource :ConfigMap:a --timeout 30";
    for line in
        [healthy.as_str(), limited, "app wait unheard-of --delete --timeout 30", "app get web --refresh"]
    {
        let output = run(line);
        assert_eq!(code(&output), 0, "{line}: {}", words(&output));
    }
    assert_eq!(code(&run("app sync web")), 0);
    assert_eq!(code(&run("app confirm web")), 0, "nothing is held");

    for (line, said) in [
        ("app get unheard-of", "unheard-of"),
        ("app sync unheard-of", "unheard-of"),
        ("cluster get unheard-of", "unheard-of"),
        ("app wait web --revision 0000000 --timeout 1", "timed out"),
        ("app wait web --degraded --suspended --timeout 1", "Healthy"),
        ("app wait web --resource :ConfigMap:nothing --timeout 5", "no object of it is named"),
        ("app wait web --delete --timeout 1", "it is in the fleet"),
        ("app sync web --expect 0000000000000000000000000000000000000000000000000000000000000000", ""),
    ] {
        let output = run(line);
        assert_eq!(code(&output), 1, "{line}: {}", words(&output));
        assert!(words(&output).contains(said), "{line}: {}", words(&output));
    }

    for line in ["app", "app get", "status -o xml", "cluster add", "unheard-of", "app get a/b/c"] {
        assert_eq!(code(&run(line)), 2, "{line}");
    }

    hub.stop().unwrap();
    for line in ["status", "app get web", "cluster list", "app sync web"] {
        let output = run(line);
        assert_eq!(code(&output), 3, "{line}: {}", words(&output));
        assert!(words(&output).contains("cannot be reached"), "{line}: {}", words(&output));
    }
}

#[test]
fn what_changes_something_answers_programs_as_well() {
    let stage = Stage::start();
    stage.bring_up("web", &["a"]);
    let hub = stage.world.hub();
    let json = |line: &str| hub.argosy_json(&line.split(' ').collect::<Vec<_>>()).unwrap();

    let waited = json("app wait web --timeout 30");
    assert_eq!(waited["status"]["sync"]["status"], "Synced", "{waited}");
    let synced = json("app sync web");
    assert_eq!(synced["metadata"]["name"], "web", "{synced}");
    assert_eq!(synced["status"]["operationState"]["phase"], "Succeeded", "{synced}");
    let nothing = json("app confirm web");
    assert_eq!((&nothing["held"], &nothing["confirmed"]), (&Value::Null, &Value::Bool(false)), "{nothing}");
    let revoked = json(&format!("cluster revoke {EDGE}"));
    assert_eq!(revoked["uuid"], stage.edge().uuid(), "{revoked}");
    assert_eq!((&revoked["name"], &revoked["wasConnected"]), (&EDGE.into(), &true.into()), "{revoked}");
}

#[test]
fn a_cluster_that_is_away_is_shown_as_last_known_with_its_age() {
    let stage = Stage::start();
    let commit = stage.bring_up("web", &["a"]);
    let here = stage.world.app("web").unwrap()["status"]["observed"].clone();
    assert_eq!(here["lastKnown"], false, "{here}");

    stage.edge().kill_agent().unwrap();
    let cluster = stage.world.await_connected(EDGE, false);
    assert!(cluster["lastSeen"].is_string(), "{cluster}");
    let app = eventually(PATIENCE, "the age of the status to grow", || {
        let app = stage.world.app("web").unwrap();
        let observed = &app["status"]["observed"];
        if observed["ageSeconds"].as_u64() >= Some(2) { Ok(app) } else { Err(observed.to_string()) }
    });
    assert_eq!(app["status"]["observed"]["lastKnown"], true, "{app}");
    assert_eq!(app["status"]["sync"]["status"], "Synced", "what was last known is still told: {app}");
    assert_eq!(app["status"]["sync"]["revision"], Value::from(commit));

    let table = stage.world.hub().argosy_text(&["status"]).unwrap();
    assert!(table.contains("Away") && table.contains("(last known)"), "{table}");
    let shown = stage.world.hub().argosy_text(&["app", "get", "web"]).unwrap();
    assert!(shown.contains("(last known)"), "{shown}");
    let sync = stage.world.hub().argosy(&["app", "sync", "web", "--timeout", "5"]).unwrap();
    assert_eq!(code(&sync), 1, "{}", words(&sync));
    let wait = stage.world.hub().argosy(&["app", "wait", "web", "--timeout", "1"]).unwrap();
    assert_eq!(code(&wait), 1);
    assert!(words(&wait).contains("away"), "{}", words(&wait));

    // A hub that starts again while the agent is away knows as much.
    stage.world.hub().kill().unwrap();
    stage.world.hub().start().unwrap();
    let app = stage.world.app("web").unwrap();
    assert_eq!(app["status"]["sync"]["status"], "Synced", "{app}");
    assert_eq!(app["status"]["observed"]["lastKnown"], true, "{app}");
    assert!(app["status"]["observed"]["ageSeconds"].as_u64() >= Some(2), "{app}");

    stage.edge().start_agent().unwrap();
    stage.world.await_app("web", "to be known again", |app| app["status"]["observed"]["lastKnown"] == false);
}

#[test]
fn an_app_whose_cluster_is_not_registered_waits_and_says_so() {
    let mut stage = Stage::start();
    let commit = stage.commit(&[("web/a", "1")]);
    let namespace = stage.namespace.clone();
    let app = argosy_tests::Application::new("web", "later", &namespace, "web").automated(true, true);
    stage.world.put_app(&app).unwrap();
    let waiting = stage.world.await_app("web", "to wait for its cluster", |app| {
        app["status"]["waiting"].as_str().is_some_and(|reason| reason.contains("later"))
            || app["status"]["conditions"].to_string().contains("cluster later")
    });
    assert_ne!(waiting["status"]["sync"]["status"], "Synced");

    stage.edge().stop_agent().unwrap();
    let plane = std::sync::Arc::clone(stage.edge().shared_plane());
    stage.world.add_edge("later", plane).unwrap();

    stage.world.await_synced("web", &commit);
    stage.await_value("a", "1");
}

#[test]
fn events_tell_what_happened() {
    let stage = Stage::start();
    stage.bring_up("web", &["a"]);
    stage.expect_heal("a");

    let events = eventually(PATIENCE, "the events of the cluster", || {
        let text =
            stage.world.hub().argosy_text(&["events", "-o", "json"]).map_err(|error| format!("{error:#}"))?;
        if text.contains(EDGE) && text.contains("onnected") { Ok(text) } else { Err(text) }
    });
    assert!(events.contains("web"), "{events}");
}
