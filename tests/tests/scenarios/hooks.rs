//! Hooks of a sync, as Jobs that run, fail and are deleted by their policy.

use argosy_tests::pods::{self, Fate, Workload};
use argosy_tests::world::PATIENCE;
use argosy_tests::{eventually, throughout};
use serde_json::{Value, json};

use super::stage::{QUIET, Stage, config_map};

/// Describes a Job that is a hook.
fn job(name: &str, phase: &str, policy: &str) -> (String, String) {
    let object = json!({
        "apiVersion": "batch/v1", "kind": "Job",
        "metadata": {"name": name, "annotations": {
            "argocd.argoproj.io/hook": phase, "argocd.argoproj.io/hook-delete-policy": policy}},
        "spec": {"backoffLimit": 0, "template": {
            "metadata": {"annotations": pods::decided_by_the_test()},
            "spec": {"restartPolicy": "Never",
                "containers": [{"name": "main", "image": "registry.example/migrate:1"}]}}},
    });
    (name.to_owned(), object.to_string())
}

/// Puts a hook into the last wave.
fn last((name, text): (String, String)) -> (String, String) {
    let mut object: Value = serde_json::from_str(&text).unwrap();
    object["metadata"]["annotations"]["argocd.argoproj.io/sync-wave"] = json!("9");
    (name, object.to_string())
}

fn config(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), config_map(name, value))
}

fn write(stage: &Stage, files: &[(String, String)]) -> String {
    for (name, text) in files {
        stage.world.apps().write(&format!("web/{name}.yaml"), text).unwrap();
    }
    stage.world.apps().commit("Change hooks").unwrap()
}

fn live_job(stage: &Stage, name: &str) -> Option<Value> {
    let path = format!("/apis/batch/v1/namespaces/{}/jobs/{name}", stage.namespace);
    stage.plane().api().get(&path).unwrap()
}

fn uid(object: Option<&Value>) -> String {
    object.map(|object| object["metadata"]["uid"].to_string()).unwrap_or_default()
}

fn await_job(stage: &Stage, name: &str) -> String {
    eventually(PATIENCE, &format!("job {name} to be there"), || live_job(stage, name));
    uid(live_job(stage, name).as_ref())
}

fn await_no_job(stage: &Stage, name: &str) {
    eventually(PATIENCE, &format!("job {name} to be gone"), || live_job(stage, name).is_none());
}

fn end(stage: &Stage, name: &str, fate: Fate) {
    pods::decide(stage.plane(), Workload::Job, &stage.namespace, name, fate).unwrap();
}

fn await_message(stage: &Stage, message: &str) -> Value {
    stage.world.await_app("web", &format!("to say {message:?}"), |app| {
        app["status"]["operationState"]["message"].as_str().is_some_and(|said| said.contains(message))
    })
}

#[test]
fn hooks_run_before_and_after_a_sync_and_anew_at_the_next() {
    let stage = Stage::start();
    let files = [
        job("migrate", "PreSync", "BeforeHookCreation"),
        config("a", "1"),
        job("smoke", "PostSync", "HookSucceeded"),
        last(job("tell", "PostSync", "BeforeHookCreation")),
        job("alarm", "SyncFail", ""),
    ];
    let commit = write(&stage, &files);
    stage.world.put_app(&stage.app("web")).unwrap();
    let first = await_job(&stage, "migrate");
    await_message(&stage, "waiting for completion of hook batch/Job/migrate");
    throughout(QUIET, "the app's objects to wait", || stage.live("a").is_none());
    end(&stage, "migrate", Fate::Succeeded);
    stage.await_value("a", "1");
    await_job(&stage, "smoke");
    end(&stage, "smoke", Fate::Succeeded);
    await_job(&stage, "tell");
    assert!(live_job(&stage, "smoke").is_some(), "it goes when the whole sync has succeeded");
    end(&stage, "tell", Fate::Succeeded);
    let app = stage.world.await_synced("web", &commit);
    let app = if app["status"]["operationState"]["phase"] == "Succeeded" {
        app
    } else {
        await_message(&stage, "successfully synced")
    };
    let rows = app["status"]["operationState"]["syncResult"]["resources"].as_array().unwrap();
    let row = |name: &str| rows.iter().find(|row| row["name"] == name).unwrap();
    assert_eq!(row("migrate")["hookType"], "PreSync", "{app}");
    assert_eq!(row("smoke")["hookPhase"], "Succeeded", "{app}");
    await_no_job(&stage, "smoke");
    assert!(live_job(&stage, "alarm").is_none());
    assert_eq!(app["status"]["sync"]["status"], "Synced", "hooks are no part of the app: {app}");

    write(&stage, &[config("a", "2")]);
    eventually(PATIENCE, "the hook to be made anew", || {
        let now = uid(live_job(&stage, "migrate").as_ref());
        !now.is_empty() && now != first
    });
    assert_eq!(stage.value("a"), "1");
    end(&stage, "migrate", Fate::Succeeded);
    stage.await_value("a", "2");
}

#[test]
fn a_hook_that_fails_stops_the_sync_and_the_hook_for_that_runs() {
    let stage = Stage::start();
    let files = [
        job("migrate", "PreSync", "HookFailed"),
        config("a", "1"),
        job("alarm", "SyncFail", "BeforeHookCreation"),
    ];
    write(&stage, &files);
    let policy = json!({"automated": {"prune": true, "selfHeal": true}, "retry": {"limit": 0}});
    stage.world.put_app(&stage.app("web").set("/spec", "syncPolicy", policy)).unwrap();
    await_job(&stage, "migrate");
    end(&stage, "migrate", Fate::Failed);
    await_job(&stage, "alarm");
    end(&stage, "alarm", Fate::Succeeded);
    let app = await_message(&stage, "one or more synchronization tasks completed unsuccessfully");
    assert_eq!(app["status"]["operationState"]["phase"], "Failed", "{app}");
    assert!(stage.live("a").is_none());
    await_no_job(&stage, "migrate");
}

#[test]
fn a_hook_without_a_name_runs_anew_at_each_sync() {
    let stage = Stage::start();
    let (_, text) = job("", "PreSync", "BeforeHookCreation");
    let mut object: Value = serde_json::from_str(&text).unwrap();
    object["metadata"]["name"].take();
    object["metadata"]["generateName"] = json!("migrate-");
    let jobs = || {
        let path = format!("/apis/batch/v1/namespaces/{}/jobs", stage.namespace);
        let list = stage.plane().api().get(&path).unwrap().unwrap();
        let names = list["items"].as_array().into_iter().flatten();
        names.map(|job| job["metadata"]["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    write(&stage, &[("migrate".to_owned(), object.to_string()), config("a", "1")]);
    stage.world.put_app(&stage.app("web")).unwrap();
    eventually(PATIENCE, "the hook to be made", || jobs().len() == 1);
    let first = jobs().remove(0);
    assert!(first.starts_with("migrate-") && first.contains("-presync-"), "{first}");
    end(&stage, &first, Fate::Succeeded);
    stage.await_value("a", "1");

    let commit = write(&stage, &[config("a", "2")]);
    eventually(PATIENCE, "another one to be made", || jobs().len() == 2);
    let second = jobs().into_iter().find(|name| *name != first).unwrap();
    end(&stage, &second, Fate::Succeeded);
    let app = stage.world.await_synced("web", &commit);
    assert_eq!(app["status"]["health"]["status"], "Healthy", "{app}");
    throughout(QUIET, "what they left to stay, and no more to be made", || jobs().len() == 2);
}

#[test]
fn an_app_is_deleted_between_its_hooks_with_no_hub() {
    let stage = Stage::start();
    stage.bring_up("other", &["z"]);
    let files = [
        job("drain", "PreDelete", "HookSucceeded"),
        config("a", "1"),
        job("tell", "PostDelete", "BeforeHookCreation"),
    ];
    let commit = write(&stage, &files);
    stage.world.put_app(&stage.app("web").with_finalizer()).unwrap();
    stage.await_value("a", "1");
    stage.world.await_synced("web", &commit);
    assert!(live_job(&stage, "drain").is_none(), "no sync runs it");

    stage.world.remove_app("web").unwrap();
    let first = await_job(&stage, "drain");
    stage.world.hub().stop().unwrap();
    throughout(QUIET, "the app's object to wait", || stage.live("a").is_some());
    end(&stage, "drain", Fate::Failed);
    eventually(PATIENCE, "the hook to be tried again", || {
        let now = uid(live_job(&stage, "drain").as_ref());
        !now.is_empty() && now != first
    });
    assert!(stage.live("a").is_some(), "it failed: nothing is deleted");
    // It goes as soon as it has succeeded, perhaps before anybody sees that.
    eventually(PATIENCE, "the hook to succeed and to go", || {
        if live_job(&stage, "drain").is_none() {
            return true;
        }
        let pods = "batch.kubernetes.io/job-name=drain";
        pods::decide_pods(stage.plane(), &stage.namespace, pods, Fate::Succeeded).unwrap();
        false
    });
    stage.await_absent("a");
    await_job(&stage, "tell");

    stage.world.hub().start().unwrap();
    stage.world.await_app("web", "to wait for its last hook", |app| {
        let said = app["status"]["operationState"]["message"].as_str();
        said.is_some_and(|said| said.contains("waiting for completion of hook batch/Job/tell"))
    });
    end(&stage, "tell", Fate::Succeeded);
    eventually(PATIENCE, "the app to have left", || {
        let names = stage.world.hub().argosy_text(&["app", "list", "-o", "name"]).unwrap();
        if names.lines().any(|line| line.ends_with("web")) { Err(names) } else { Ok(()) }
    });
    assert!(live_job(&stage, "tell").is_some(), "its policy leaves it");
    stage.expect_heal("z");
}
