//! What an app was synced to, going back to it from the hub and at the edge, and going back unasked.

use std::process::{Command, Output};

use argosy_tests::process::our_binary;
use argosy_tests::world::PATIENCE;
use argosy_tests::{Application, World, eventually, throughout};
use serde_json::{Value, json};

use super::stage::{EDGE, QUIET, Stage, has_condition};

fn words(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// Runs `argosy-agent` beside the stage's agent.
fn at_edge(stage: &Stage, arguments: &[&str]) -> Output {
    let mut command = Command::new(our_binary("argosy-agent").unwrap());
    command.args(arguments).arg("--data-dir").arg(stage.edge().data_folder()).output().unwrap()
}

fn history(stage: &Stage) -> Vec<Value> {
    let rows = stage.world.hub().argosy_json(&["app", "history", "web"]).unwrap();
    rows.as_array().unwrap().clone()
}

/// Commits a value, and waits until it is synced, by itself or by command.
fn deliver(stage: &Stage, value: &str, by_hand: bool) -> String {
    let commit = stage.commit(&[("web/a", value)]);
    if by_hand {
        let text = format!("to have commit {commit}");
        stage
            .world
            .await_app("web", &text, |app| app["status"]["releases"]["assigned"]["revision"] == commit);
        stage.world.hub().argosy_text(&["app", "sync", "web"]).unwrap();
    }
    stage.world.await_synced("web", &commit);
    commit
}

#[test]
fn an_app_that_is_synced_by_hand_goes_back_by_command_to_a_row_of_its_history() {
    let stage = Stage::start();
    stage.commit(&[("web/a", "0")]);
    stage.world.put_app(&Application::new("web", EDGE, &stage.namespace, "web")).unwrap();
    let commits = ["1", "2", "3"].map(|value| deliver(&stage, value, true));
    let rows = history(&stage);
    let revisions: Vec<&Value> = rows.iter().map(|row| &row["revision"]).collect();
    assert_eq!(revisions, commits.iter().collect::<Vec<_>>(), "{rows:?}");
    assert_eq!((&rows[2]["id"], &rows[2]["byClusterClock"]), (&json!(2), &json!(false)), "{rows:?}");
    // The status tells it as well, by its own age, whether or not the agent is there to be asked.
    let app = stage.world.await_app("web", "to tell its history", |app| {
        app["status"]["history"].as_array().is_some_and(|rows| rows.len() == commits.len())
    });
    let told: Vec<&Value> = app["status"]["history"].as_array().unwrap().iter().collect();
    assert!(told.iter().zip(&commits).all(|(row, commit)| row["revision"] == **commit), "{app}");
    assert!(told.iter().all(|row| row["byClusterClock"] == false && row["deployedAt"].is_string()), "{app}");
    let table = stage.world.hub().argosy_text(&["app", "history", "web"]).unwrap();
    assert!(table.starts_with("SOURCE  file://") && table.contains("ID  DATE"), "{table}");
    assert!(table.contains(&format!("main ({})", &commits[2][..7])), "{table}");

    stage.world.hub().argosy_text(&["app", "rollback", "web"]).unwrap();
    assert_eq!(stage.value("a"), "2");
    let app = stage.world.await_app("web", "to differ from what Git says", |app| {
        app["status"]["sync"]["status"] == "OutOfSync"
    });
    assert_eq!(app["status"]["releases"]["synced"]["revision"], commits[1], "{app}");
    let rows = ["/status/resources/0/version", "/status/operationState/syncResult/resources/0/version"];
    assert!(rows.iter().all(|row| app.pointer(row) == Some(&json!("v1"))), "{app}");
    stage.world.hub().argosy_text(&["app", "rollback", "web", "0"]).unwrap();
    assert_eq!((stage.value("a").as_str(), history(&stage).len()), ("1", 5));
    let unknown = stage.world.hub().argosy(&["app", "rollback", "web", "9"]).unwrap();
    assert_eq!(unknown.status.code(), Some(1));
    assert!(words(&unknown).contains("does not have deployment id 9 in history"), "{}", words(&unknown));
    stage.world.hub().argosy_text(&["app", "sync", "web"]).unwrap();
    assert_eq!(stage.value("a"), "3");
}

#[test]
fn the_edge_goes_back_with_no_hub_and_stays_there_until_a_newer_commit() {
    let stage = Stage::start();
    stage.commit(&[("web/a", "1")]);
    stage.world.put_app(&stage.app("web")).unwrap();
    stage.await_value("a", "1");
    let bad = deliver(&stage, "2", false);
    let refused = stage.world.hub().argosy(&["app", "rollback", "web"]).unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert!(words(&refused).contains("when auto-sync is enabled"), "{}", words(&refused));

    stage.world.hub().stop().unwrap();
    let shown = at_edge(&stage, &["history", "web"]);
    assert_eq!(words(&shown).lines().count(), 2, "{}", words(&shown));
    let went = at_edge(&stage, &["rollback", "web"]);
    assert!(went.status.success(), "{}", words(&went));
    stage.await_value("a", "1");
    stage.edge().kill_agent().unwrap();
    stage.edge().start_agent().unwrap();
    throughout(QUIET, "the older release to stay", || stage.value("a") == "1");
    stage.expect_heal("a");
    let wrong = at_edge(&stage, &["rollback", "web", "7"]);
    assert!(!wrong.status.success() && words(&wrong).contains("it has"), "{}", words(&wrong));

    stage.world.hub().start().unwrap();
    let app = stage.world.await_app("web", "to say that it went back", |app| {
        has_condition(&app["status"], "RolledBackWarning")
    });
    assert_ne!(app["status"]["releases"]["assigned"]["revision"], bad, "{app}");
    assert_eq!(app["status"]["releases"]["desired"]["revision"], bad, "{app}");
    deliver(&stage, "3", false);
    let app = stage.world.app("web").unwrap();
    assert!(!has_condition(&app["status"], "RolledBackWarning"), "{app}");
}

#[test]
fn an_app_that_stays_degraded_goes_back_by_itself_with_no_hub() {
    let folder = tempfile::tempdir().unwrap();
    let rules = folder.path().join("argocd-cm.yaml");
    let map = "apiVersion: v1
kind: ConfigMap
metadata: {name: argocd-cm}
data:
  resource.customizations.health.ConfigMap: |
    if obj.data.value == 'broken' then
      return {status = 'Degraded', message = 'it is broken'}
    end
    return {status = 'Healthy'}
";
    std::fs::write(&rules, map).unwrap();
    let world = World::builder().clusters(&[EDGE]).agent_arg("--health-rules");
    let stage = Stage::of(world.agent_arg(rules.to_str().unwrap()).start().unwrap());
    let good = stage.commit(&[("web/a", "1")]);
    let soak = json!({"argosy.dev/rollback-on-degraded": "4s"});
    stage.world.put_app(&stage.app("web").set("/metadata", "annotations", soak)).unwrap();
    stage.world.await_synced("web", &good);
    eventually(PATIENCE, "the release to have proved itself", || history(&stage)[0]["healthy"] == true);

    let commit = stage.commit(&[("web/a", "broken")]);
    stage.world.await_app("web", "to have the broken release", |app| {
        app["status"]["releases"]["listed"]["revision"] == commit
    });
    stage.await_value("a", "broken");
    stage.world.hub().stop().unwrap();
    stage.await_value("a", "1");
    stage.world.hub().start().unwrap();
    let app = stage.world.await_app("web", "to say that it went back", |app| {
        has_condition(&app["status"], "RolledBackWarning")
    });
    assert!(app["status"]["conditions"].to_string().contains("it was Degraded for"), "{app}");
    throughout(QUIET, "it to stay there", || stage.value("a") == "1");
    deliver(&stage, "2", false);
}
