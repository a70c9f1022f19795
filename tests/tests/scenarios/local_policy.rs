//! The agent's own policy: what it refuses is not done to the cluster, whatever the hub says.

use std::path::{Path, PathBuf};
use std::process::Command;

use argosy_tests::control_plane::unique;
use argosy_tests::process::our_binary;
use argosy_tests::world::PATIENCE;
use argosy_tests::{Application, World, eventually, throughout};
use serde_json::{Value, json};

use super::stage::{EDGE, QUIET, Stage, row, row_message};

/// A stage whose agent has a policy, and the file of it.
struct Guarded {
    stage: Stage,
    _folder: tempfile::TempDir,
    file: PathBuf,
}

fn write(file: &Path, rest: &str) {
    let head = "apiVersion: argosy.dev/v1alpha1\nkind: AgentPolicy\n";
    std::fs::write(file, format!("{head}{rest}\n")).unwrap();
}

impl Guarded {
    fn start(rest: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("policy.yaml");
        write(&file, rest);
        let world = World::builder().clusters(&[EDGE]).agent_arg("--policy");
        let stage = Stage::of(world.agent_arg(file.to_str().unwrap()).start().unwrap());
        Self { stage, _folder: folder, file }
    }

    /// The agent starts again with another policy.
    fn change(&self, rest: &str) {
        self.stage.edge().kill_agent().unwrap();
        write(&self.file, rest);
        self.stage.edge().start_agent().unwrap();
    }
}

fn secret(stage: &Stage, name: &str) -> Option<Value> {
    let path = format!("/api/v1/namespaces/{}/secrets/{name}", stage.namespace);
    stage.plane().api().get(&path).unwrap()
}

const NO_SECRETS: &str = "kinds: {deny: [{group: '', kind: Secret}]}";

#[test]
fn what_the_policy_refuses_is_not_written_and_is_told_with_its_rule() {
    let guarded = Guarded::start(NO_SECRETS);
    let stage = &guarded.stage;
    let body = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {key: value}\n";
    stage.world.apps().write("web/s.yaml", body).unwrap();
    let commit = stage.commit(&[("web/a", "1")]);
    stage.world.put_app(&stage.app("web")).unwrap();

    let why = "this agent's policy refuses the kind Secret: kinds.deny[0]";
    let app = stage.await_condition("web", "LocalPolicy", &[why, "Secret/"]);
    assert!(row_message(&app, "s").starts_with(why), "{app}");
    throughout(QUIET, "nothing to be written", || stage.live("a").is_none());
    let app = stage.world.await_app("web", "to have failed before its first write", |app| {
        app["status"]["operationState"]["message"].as_str().is_some_and(|said| said.contains(why))
    });
    assert!(secret(stage, "s").is_none(), "{app}");

    // The hub shows that there is a policy, and which; so does the agent itself.
    let cluster = stage.world.hub().cluster(EDGE).unwrap();
    assert_eq!(cluster["policy"]["summary"], "kinds: 1 denied", "{cluster}");
    let digest = cluster["policy"]["digest"].as_str().unwrap();
    let shown = stage.world.hub().argosy_text(&["cluster", "get", EDGE]).unwrap();
    let line = format!("Local Policy:       kinds: 1 denied (digest {})\n", &digest[..12]);
    assert!(shown.contains(&line), "{shown}");
    let agent = |arguments: &[&str]| {
        let output = Command::new(our_binary("argosy-agent").unwrap()).args(arguments).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let status = agent(&["status", "--data-dir", stage.edge().data_folder().to_str().unwrap()]);
    assert!(status.contains(&format!("kinds: 1 denied (digest {})\n", &digest[..12])), "{status}");
    let checked = agent(&["check-policy", guarded.file.to_str().unwrap()]);
    assert_eq!(checked, format!("kinds: 1 denied (digest {digest})\n"));

    guarded.change("");
    stage.world.await_synced("web", &commit);
    assert!(secret(stage, "s").is_some() && stage.value("a") == "1");

    // What was written before is left alone from now on: not healed, and nothing else waits for it.
    guarded.change(NO_SECRETS);
    let path = format!("/api/v1/namespaces/{}/secrets/s", stage.namespace);
    stage.plane().api().delete(&path).unwrap();
    stage.world.await_app("web", "to say why it is not healed", |app| row_message(app, "s").starts_with(why));
    stage.expect_heal("a");
    throughout(QUIET, "the Secret to stay away", || secret(stage, "s").is_none());
}

#[test]
fn deletes_that_the_policy_refuses_stay_and_are_told() {
    let guarded = Guarded::start("deletes: never");
    let stage = &guarded.stage;
    let commit = stage.commit(&[("web/a", "1"), ("web/b", "1"), ("web/c", "1"), ("web/d", "1")]);
    stage.world.put_app(&stage.app("web").with_finalizer()).unwrap();
    stage.world.await_synced("web", &commit);
    stage.remove(&["web/d"]);
    let why = "not deleted: this agent's policy refuses deletes: deletes: never";
    let app = stage.await_condition("web", "LocalPolicy", &[why]);
    assert_eq!((row_message(&app, "d"), &row(&app, "d")["requiresPruning"]), (why, &json!(true)), "{app}");
    // Nobody at the hub gets it through.
    let synced = stage.world.hub().argosy(&["app", "sync", "web", "--prune"]).unwrap();
    assert!(String::from_utf8_lossy(&synced.stdout).contains(why), "{synced:?}");
    stage.expect_untouched(&["d"]);

    // Nor by the deletion of the whole app, which waits.
    stage.world.remove_app("web").unwrap();
    stage.await_condition("web", "LocalPolicy", &["/a: not deleted", "/d: not deleted"]);
    stage.expect_untouched(&["a", "b", "c", "d"]);

    guarded.change("deletes: [{group: '', kind: ConfigMap}]");
    let held = stage.await_held("web");
    let plan = held["plan"].as_str().unwrap();
    stage.world.hub().argosy_text(&["app", "confirm", "web", "--plan", plan]).unwrap();
    for name in ["a", "b", "c", "d"] {
        stage.await_absent(name);
    }
}

#[test]
fn a_namespace_that_must_not_be_made_has_to_be_there() {
    let guarded = Guarded::start("clusterScope: no");
    let stage = &guarded.stage;
    let namespace = unique("unmade");
    let commit = stage.commit(&[("web/a", "1")]);
    let policy = json!({"automated": {}, "syncOptions": ["CreateNamespace=true"]});
    let app = Application::new("web", EDGE, &namespace, "web").set("/spec", "syncPolicy", policy);
    stage.world.put_app(&app).unwrap();
    let why = "the namespace is not there, and this agent's policy refuses objects of the cluster's scope";
    stage.world.await_app("web", "to say that nobody makes its namespace", |app| {
        app["status"]["operationState"].to_string().contains(why)
    });
    let path = format!("/api/v1/namespaces/{namespace}");
    assert!(stage.plane().api().get(&path).unwrap().is_none());

    let body = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}});
    stage.plane().api().create("/api/v1/namespaces", &body).unwrap();
    stage.world.hub().argosy_text(&["app", "sync", "web"]).unwrap();
    stage.world.await_synced("web", &commit);
}

#[test]
fn a_window_of_the_policy_keeps_syncs_back_whoever_asks_and_never_a_heal() {
    let guarded = Guarded::start("");
    let stage = &guarded.stage;
    stage.bring_up("web", &["a", "b"]);
    guarded.change("syncWindows: [{kind: deny, schedule: '* * * * *', duration: 1h, applications: [web]}]");
    stage.commit(&[("web/a", "2")]);
    let named = "deny \"* * * * *\" for 1h (UTC) of this agent's policy";
    stage.await_condition("web", "SyncWindow", &["syncs wait for", named]);
    let refused = stage.world.hub().argosy(&["app", "sync", "web"]).unwrap();
    let said =
        format!("{}{}", String::from_utf8_lossy(&refused.stdout), String::from_utf8_lossy(&refused.stderr));
    assert!(!refused.status.success() && said.contains(named), "{said}");
    stage.expect_untouched(&["a"]);
    stage.expect_heal("b");

    guarded.change("");
    stage.await_value("a", "2");
}

#[test]
fn an_agent_does_not_start_without_the_policy_that_it_was_told_of() {
    let stage = Stage::start();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("policy.yaml");
    let broken = "kinds:\n  denied:\n  - {group: '', kind: Secret}";
    for (number, (content, says)) in [
        (None, "cannot be opened"),
        (Some(""), "must hold exactly one document, and holds 0"),
        (Some(broken), "line 4: kinds.denied: unknown field"),
    ]
    .into_iter()
    .enumerate()
    {
        match content {
            None => {}
            Some("") => std::fs::write(&file, "").unwrap(),
            Some(rest) => write(&file, rest),
        }
        let log = folder.path().join(format!("agent-{number}.log"));
        let launch = stage.edge().launch(&folder.path().join("data"), &log).unwrap();
        let mut agent = launch.args(["--policy".as_ref(), file.as_os_str()]).start().unwrap();
        let ended = eventually(PATIENCE, "the agent to end", || agent.exited().unwrap().ok_or("it runs"));
        assert!(!ended.success());
        let log = std::fs::read_to_string(&log).unwrap();
        assert!(log.contains(&format!("--policy: {}", file.display())) && log.contains(says), "{log}");
    }
}
