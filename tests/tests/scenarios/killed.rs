//! The agent is killed in each phase of a sync and of a deletion, and goes on with no hub: no hook is run twice, nothing is
//! done too early, and what was applied stays as it is.

use argosy_tests::pods::{self, Fate, Workload};
use argosy_tests::world::PATIENCE;
use argosy_tests::{eventually, throughout};
use serde_json::{Value, json};

use super::stage::{QUIET, Stage};

/// What lets an object of Git that is deleted wait for the test.
const HOLD: &str = "example.com/hold";
/// Runs before everything else, and has ended when the agent is killed later.
const BEFORE: File = File { name: "before", kind: "Job", notes: &[("hook", "PreSync")] };

/// A file of the app.
#[derive(Clone, Copy)]
struct File {
    name: &'static str,
    /// `ConfigMap`, `Job`, or `Held`: a config map that goes only when the test lets it.
    kind: &'static str,
    /// Annotations of Argo CD.
    notes: &'static [(&'static str, &'static str)],
}

/// One script.
struct Script {
    /// What is synced before; empty: nothing is.
    first: &'static [File],
    /// What is in Git then.
    then: &'static [File],
    /// Its document leaves the fleet afterwards, with its finalizer.
    leaves: bool,
    /// Brings it to where the agent is killed.
    reach: fn(&Stage),
    /// What is not there while the agent waits.
    too_early: &'static [&'static str],
    /// Lets it go on to its end.
    go_on: fn(&Stage),
    /// The config maps at the end.
    left: &'static [&'static str],
    /// The phase of the operation at the end.
    ends: &'static str,
}

const fn map(name: &'static str, notes: &'static [(&'static str, &'static str)]) -> File {
    File { name, kind: "ConfigMap", notes }
}

const fn job(name: &'static str, notes: &'static [(&'static str, &'static str)]) -> File {
    File { name, kind: "Job", notes }
}

impl File {
    fn text(&self) -> String {
        let notes = self.notes.iter();
        let notes: serde_json::Map<String, Value> =
            notes.map(|(name, value)| (format!("argocd.argoproj.io/{name}"), json!(value))).collect();
        let mut object = match self.kind {
            "Job" => {
                json!({"apiVersion": "batch/v1", "kind": "Job", "spec": {"backoffLimit": 0, "template": {
                "metadata": {"annotations": pods::decided_by_the_test()},
                "spec": {"restartPolicy": "Never",
                    "containers": [{"name": "main", "image": "registry.example/migrate:1"}]}}}})
            }
            _ => json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"value": "1"}}),
        };
        object["metadata"] = json!({"name": self.name, "annotations": notes});
        if self.kind == "Held" {
            object["metadata"]["finalizers"] = json!([HOLD]);
        }
        object.to_string()
    }
}

fn live_job(stage: &Stage, name: &str) -> Option<Value> {
    let path = format!("/apis/batch/v1/namespaces/{}/jobs/{name}", stage.namespace);
    stage.plane().api().get(&path).unwrap()
}

fn end(stage: &Stage, name: &str, fate: Fate) {
    eventually(PATIENCE, &format!("job {name} to be there"), || live_job(stage, name));
    pods::decide(stage.plane(), Workload::Job, &stage.namespace, name, fate).unwrap();
}

fn succeed(stage: &Stage, name: &str) {
    end(stage, name, Fate::Succeeded);
}

fn await_said(stage: &Stage, message: &str) {
    stage.world.await_app("web", &format!("to say {message:?}"), |app| {
        app["status"]["operationState"]["message"].as_str().is_some_and(|said| said.contains(message))
    });
}

fn await_hook(stage: &Stage, name: &str) {
    await_said(stage, &format!("waiting for completion of hook batch/Job/{name}"));
}

fn let_go(stage: &Stage, name: &str) {
    stage.plane().api().merge(&stage.path(name), &json!({"metadata": {"finalizers": null}})).unwrap();
}

/// Gives the incarnations of all jobs and config maps that are there, by name.
fn incarnations(stage: &Stage, files: &[File]) -> Vec<(&'static str, String)> {
    let live = |file: &File| match file.kind {
        "Job" => live_job(stage, file.name),
        _ => stage.live(file.name),
    };
    let uid = |file: &File| Some((file.name, live(file)?["metadata"]["uid"].to_string()));
    files.iter().filter_map(uid).collect()
}

fn write(stage: &Stage, files: &[File]) -> String {
    for file in files {
        stage.world.apps().write(&format!("web/{}.yaml", file.name), file.text()).unwrap();
    }
    stage.world.apps().commit("Change the app").unwrap()
}

/// Plays a script.
fn play(script: &Script) {
    let stage = Stage::start();
    let policy = json!({"automated": {"prune": true, "selfHeal": true}, "retry": {"limit": 0}});
    let app = stage.app("web").with_finalizer().set("/spec", "syncPolicy", policy);
    if !script.first.is_empty() {
        let commit = write(&stage, script.first);
        stage.world.put_app(&app).unwrap();
        stage.world.await_synced("web", &commit);
        for file in script.first.iter().filter(|file| !script.then.iter().any(|then| then.name == file.name))
        {
            stage.world.apps().remove(&format!("web/{}.yaml", file.name)).unwrap();
        }
    }
    if !script.leaves {
        write(&stage, script.then);
    }
    if script.first.is_empty() {
        stage.world.put_app(&app).unwrap();
    }
    (script.reach)(&stage);

    let before = incarnations(&stage, script.then);
    stage.edge().kill_agent().unwrap();
    stage.world.hub().stop().unwrap();
    stage.edge().start_agent().unwrap();
    throughout(QUIET, "nothing to be done twice, or too early", || {
        let now = incarnations(&stage, script.then);
        let same = before.iter().all(|one| now.contains(one));
        let early = script.too_early.iter().any(|name| now.iter().any(|(there, _)| there == name));
        if same && !early { Ok(()) } else { Err(format!("{before:?} became {now:?}")) }
    });
    (script.go_on)(&stage);

    for name in script.left {
        stage.await_value(name, "1");
    }
    stage.world.hub().start().unwrap();
    if script.leaves {
        eventually(PATIENCE, "the app to have left", || stage.world.app("web").err());
    } else {
        stage.world.await_app("web", &format!("to have {}", script.ends), |app| {
            app["status"]["operationState"]["phase"] == script.ends
        });
    }
    let now = incarnations(&stage, script.then);
    let gone = |name: &str| script.leaves && stage.live(name).is_none() && live_job(&stage, name).is_none();
    let same = before.iter().all(|one| now.contains(one) || gone(one.0));
    assert!(same, "{before:?} became {now:?}");
    let maps = script.then.iter().filter(|file| file.kind != "Job" && stage.live(file.name).is_some());
    let maps: Vec<&str> = maps.map(|file| file.name).collect();
    assert_eq!(maps, script.left);
}

#[test]
fn while_a_hook_before_the_sync_runs() {
    const SCRIPT: Script = Script {
        first: &[],
        then: &[BEFORE, map("a", &[])],
        leaves: false,
        reach: |stage| await_hook(stage, "before"),
        too_early: &["a"],
        go_on: |stage| succeed(stage, "before"),
        left: &["a"],
        ends: "Succeeded",
    };
    play(&SCRIPT);
}

#[test]
fn while_a_hook_among_the_objects_runs() {
    const SCRIPT: Script = Script {
        first: &[],
        then: &[BEFORE, map("a", &[]), job("among", &[("hook", "Sync")]), map("z", &[("sync-wave", "1")])],
        leaves: false,
        reach: |stage| {
            succeed(stage, "before");
            await_hook(stage, "among");
        },
        too_early: &["z"],
        go_on: |stage| succeed(stage, "among"),
        left: &["a", "z"],
        ends: "Succeeded",
    };
    play(&SCRIPT);
}

#[test]
fn between_two_waves() {
    const SCRIPT: Script = Script {
        first: &[],
        then: &[BEFORE, map("a", &[("sync-wave", "-1")]), map("z", &[("sync-wave", "1")])],
        leaves: false,
        // Two seconds pass between two waves.
        reach: |stage| {
            succeed(stage, "before");
            stage.await_value("a", "1");
        },
        too_early: &[],
        go_on: |_| {},
        left: &["a", "z"],
        ends: "Succeeded",
    };
    play(&SCRIPT);
}

#[test]
fn while_a_wave_waits_for_health() {
    const SCRIPT: Script = Script {
        first: &[],
        then: &[BEFORE, map("a", &[]), job("check", &[]), map("z", &[("sync-wave", "1")])],
        leaves: false,
        reach: |stage| {
            succeed(stage, "before");
            await_said(stage, "waiting for healthy state of batch/Job/check");
        },
        too_early: &["z"],
        go_on: |stage| succeed(stage, "check"),
        left: &["a", "z"],
        ends: "Succeeded",
    };
    play(&SCRIPT);
}

#[test]
fn while_a_hook_after_the_sync_runs() {
    const SCRIPT: Script = Script {
        first: &[],
        then: &[BEFORE, map("a", &[]), job("after", &[("hook", "PostSync")])],
        leaves: false,
        reach: |stage| {
            succeed(stage, "before");
            await_hook(stage, "after");
        },
        too_early: &[],
        go_on: |stage| succeed(stage, "after"),
        left: &["a"],
        ends: "Succeeded",
    };
    play(&SCRIPT);
}

#[test]
fn while_the_hook_of_a_failure_runs() {
    const SCRIPT: Script = Script {
        first: &[],
        then: &[BEFORE, map("a", &[]), job("alarm", &[("hook", "SyncFail")])],
        leaves: false,
        reach: |stage| {
            end(stage, "before", Fate::Failed);
            await_hook(stage, "alarm");
        },
        too_early: &["a"],
        go_on: |stage| succeed(stage, "alarm"),
        left: &[],
        ends: "Failed",
    };
    play(&SCRIPT);
}

/// Waits until a held config map is being deleted.
fn await_deleted(stage: &Stage, name: &str) {
    eventually(PATIENCE, &format!("config map {name} to be deleted"), || {
        stage.live(name).is_some_and(|live| live["metadata"]["deletionTimestamp"].is_string())
    });
}

const OLD: File = File { name: "old", kind: "Held", notes: &[("sync-wave", "1")] };

#[test]
fn while_what_left_git_is_deleted() {
    const SCRIPT: Script = Script {
        first: &[map("a", &[]), map("b", &[]), OLD],
        then: &[BEFORE, map("a", &[]), map("b", &[]), map("z", &[("sync-wave", "2")])],
        leaves: false,
        reach: |stage| {
            succeed(stage, "before");
            await_deleted(stage, "old");
        },
        too_early: &["z"],
        go_on: |stage| {
            let_go(stage, "old");
            stage.await_absent("old");
        },
        left: &["a", "b", "z"],
        ends: "Succeeded",
    };
    play(&SCRIPT);
}

const LAST: File =
    File { name: "old", kind: "Held", notes: &[("sync-options", "PruneLast=true"), ("sync-wave", "-1")] };

#[test]
fn while_what_is_deleted_last_goes() {
    const SCRIPT: Script = Script {
        first: &[map("a", &[]), map("b", &[]), LAST],
        then: &[
            BEFORE,
            map("a", &[]),
            map("b", &[]),
            map("z", &[("sync-wave", "2")]),
            job("after", &[("hook", "PostSync")]),
        ],
        leaves: false,
        reach: |stage| {
            succeed(stage, "before");
            stage.await_value("z", "1");
            await_deleted(stage, "old");
        },
        too_early: &["after"],
        go_on: |stage| {
            let_go(stage, "old");
            stage.await_absent("old");
            succeed(stage, "after");
        },
        left: &["a", "b", "z"],
        ends: "Succeeded",
    };
    play(&SCRIPT);
}

#[test]
fn while_a_hook_before_the_deletion_runs() {
    const SCRIPT: Script = Script {
        first: &[
            map("a", &[]),
            job("drain", &[("hook", "PreDelete")]),
            job("tell", &[("hook", "PostDelete")]),
        ],
        then: &[
            map("a", &[]),
            job("drain", &[("hook", "PreDelete")]),
            job("tell", &[("hook", "PostDelete")]),
        ],
        leaves: true,
        reach: |stage| {
            stage.world.remove_app("web").unwrap();
            await_hook(stage, "drain");
        },
        too_early: &["tell"],
        go_on: |stage| {
            succeed_and_go(stage, "drain");
            stage.await_absent("a");
            succeed(stage, "tell");
        },
        left: &[],
        ends: "",
    };
    play(&SCRIPT);
}

#[test]
fn while_a_hook_after_the_deletion_runs() {
    const SCRIPT: Script = Script {
        first: &[map("a", &[]), job("tell", &[("hook", "PostDelete")])],
        then: &[map("a", &[]), job("tell", &[("hook", "PostDelete")])],
        leaves: true,
        reach: |stage| {
            stage.world.remove_app("web").unwrap();
            stage.await_absent("a");
            await_hook(stage, "tell");
        },
        too_early: &["a"],
        go_on: |stage| succeed(stage, "tell"),
        left: &[],
        ends: "",
    };
    play(&SCRIPT);
}

/// Lets a hook succeed that goes at once, perhaps before anybody sees that.
fn succeed_and_go(stage: &Stage, name: &str) {
    eventually(PATIENCE, &format!("job {name} to succeed and to go"), || {
        if live_job(stage, name).is_none() {
            return true;
        }
        let pods = format!("batch.kubernetes.io/job-name={name}");
        pods::decide_pods(stage.plane(), &stage.namespace, &pods, Fate::Succeeded).unwrap();
        false
    });
}
