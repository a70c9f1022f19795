//! The agent's own policy: what it refuses is not written, whatever is desired.

use super::hooks::hook;
use super::waves::{assign as assign_waves, written};
use super::*;
use crate::status::{ResourceRow, ResultCode};

impl Bench {
    /// The agent starts with a policy.
    pub(super) fn guarded(rest: &str) -> Self {
        let mut bench = Self::new();
        bench.guard(rest);
        bench
    }

    /// The agent starts again, with another policy.
    pub(super) fn guard(&mut self, rest: &str) {
        let file = format!("apiVersion: argosy.dev/v1alpha1\nkind: AgentPolicy\n{rest}\n");
        let policy = LocalPolicy::read(file.as_bytes()).unwrap_or_else(|error| panic!("{error}"));
        self.reconciler = Reconciler::load(&self.store, installation(), now(self.now)).unwrap();
        self.reconciler.set_policy(Some(Arc::new(policy)));
        self.reconciler.set_kinds(kinds(), BTreeSet::new(), &self.store, now(self.now)).unwrap();
        self.desire();
    }

    fn policy_condition(&self, name: &str) -> Option<&str> {
        let mut conditions = self.status(name).conditions.iter();
        conditions.find(|of| of.kind == "LocalPolicy").map(|of| of.message.as_str())
    }

    fn row(&self, key: &ResourceKey) -> &ResourceRow {
        self.status("web").resources.iter().find(|row| row.key == *key).unwrap()
    }
}

const NO_SECRETS: &str = "kinds: {deny: [{group: '', kind: Secret}]}";
const WHY: &str =
    "this agent's policy refuses the kind Secret: kinds.deny[0] {group: \"\", kind: \"Secret\"}";

fn secret(name: &str) -> ResourceKey {
    ResourceKey { kind: "Secret".into(), ..config(name) }
}

/// An app of a config map and a secret.
fn mixed(bench: &mut Bench, value: u32) -> Assignment {
    let body = |key: &ResourceKey| {
        json!({"apiVersion": "v1", "kind": key.kind, "data": {"v": value},
            "metadata": {"name": key.name, "namespace": "shop"}})
    };
    let keys = [config("a"), secret("s")];
    bench.put_manifests("web", keys.iter().map(|key| (key.clone(), body(key))).collect())
}

#[test]
fn an_object_that_the_policy_refuses_fails_the_sync_before_its_first_write_and_is_told() {
    let mut bench = Bench::guarded(NO_SECRETS);
    let mut assignment = mixed(&mut bench, 1);
    assignment.policy.create_namespace = true;
    bench.list.set(assignment);
    bench.desire();
    bench.pass(3_600_000);
    assert!(bench.writes.is_empty(), "not even the namespace: {:?}", bench.writes);
    assert_eq!(bench.row(&secret("s")).message, WHY);
    assert_eq!(bench.row(&config("a")).message, "");
    assert_eq!(bench.policy_condition("web"), Some(format!("{}: {WHY}", secret("s")).as_str()));
    let operation = bench.operation("web");
    assert_eq!(operation.phase, OperationPhase::Failed);
    assert!(operation.message.contains(WHY), "{}", operation.message);
}

#[test]
fn what_the_policy_came_to_refuse_is_not_healed_and_not_deleted() {
    let mut bench = Bench::new();
    let assignment = mixed(&mut bench, 1);
    bench.list.set(assignment);
    bench.desire();
    bench.guard(NO_SECRETS);
    let writes = bench.writes.len();
    bench.objects.remove(&secret("s"));
    bench.reconciler.watched(&secret("s").group_kind(), WatchEvent::Gone(secret("s")), now(bench.now));
    bench.settle();
    bench.meddle("a");
    bench.pass(600_000);
    assert_eq!(bench.writes.len(), writes + 1, "the config map is healed");
    assert_eq!(bench.row(&secret("s")).message, WHY);

    let left = bench.put("web", &[("a", 1)]);
    bench.list.set(left);
    bench.guard("");
    bench.pass(600_000);
    assert_eq!(bench.deletes(), 0, "it is gone already");
}

#[test]
fn deletes_that_the_policy_refuses_stay_and_are_told_by_name() {
    let mut bench = Bench::guarded("deletes: never");
    bench.assign("web", &[("a", 1), ("b", 1), ("c", 1)]);
    bench.assign("web", &[("a", 2), ("b", 1)]);
    bench.pass(600_000);
    assert_eq!((bench.deletes(), bench.objects.len()), (0, 3));
    let why = "not deleted: this agent's policy refuses deletes: deletes: never";
    assert_eq!(bench.row(&config("c")).message, why);
    assert_eq!(bench.policy_condition("web"), Some(format!("{}: {why}", config("c")).as_str()));
    let operation = bench.operation("web");
    let row = operation.results.iter().find(|row| row.key == config("c")).unwrap();
    assert_eq!((row.code, row.message.as_str()), (ResultCode::PruneSkipped, why));
    assert_eq!(operation.phase, OperationPhase::Succeeded);

    bench.change("web", |assignment| {
        assignment.phase = Phase::Deleting;
        assignment.cascade_confirmed = true;
    });
    bench.pass(600_000);
    assert_eq!((bench.deletes(), bench.objects.len()), (0, 3));
    assert_eq!(bench.status("web").emptied, None, "the app stays until its objects are gone");
    assert!(
        bench.policy_condition("web").unwrap().contains("/a: not deleted"),
        "{:?}",
        bench.policy_condition("web")
    );

    bench.guard("deletes: [{group: '', kind: ConfigMap}]");
    bench.pass(600_000);
    assert_eq!(bench.deletes(), 3);
}

#[test]
fn a_namespace_that_must_not_be_made_has_to_be_there() {
    let mut bench = Bench::guarded("clusterScope: false");
    let mut assignment = bench.put("web", &[("a", 1)]);
    assignment.policy.create_namespace = true;
    assignment.policy.retry = Some(crate::policy::Retry { limit: 0, ..Default::default() });
    bench.list.set(assignment.clone());
    bench.desire();
    bench.pass(600_000);
    assert!(bench.writes.is_empty());
    let message = &bench.operation("web").message;
    assert!(
        message.contains("Namespace//shop: the namespace is not there, and this agent's policy"),
        "{message}"
    );
    assert!(message.ends_with("clusterScope: false"), "{message}");

    let shop = ResourceKey::new("", "Namespace", "", "shop");
    bench.objects.insert(shop.clone(), foreign(&shop, "n", 1));
    bench.sync("web", false);
    assert_eq!(bench.status("web").sync, SyncStatus::Synced);
}

#[test]
fn hooks_and_their_deletes_keep_to_it() {
    let mut bench = Bench::guarded("kinds: {deny: [{group: '', kind: ConfigMap, name: pre}]}");
    assign_waves(&mut bench, &[("pre", 1, hook("PreSync", "")), ("a", 1, json!({}))]);
    bench.pass(3_600_000);
    assert_eq!(written(&mut bench), [""; 0]);
    assert!(
        bench.policy_condition("web").unwrap().contains("kinds.deny[0]"),
        "{:?}",
        bench.policy_condition("web")
    );

    let mut bench = Bench::guarded("deletes: never");
    assign_waves(&mut bench, &[("pre", 1, hook("PreSync", "HookSucceeded")), ("a", 1, json!({}))]);
    bench.pass(60_000);
    assert_eq!(written(&mut bench), ["pre", "a"]);
    assert!(bench.events.iter().any(|event| event.reason == "HookNotDeleted"));
    assert_eq!(bench.operation("web").phase, OperationPhase::Succeeded);

    let mut bench = Bench::guarded("deletes: never");
    assign_waves(&mut bench, &[("pre", 1, hook("PreSync", "BeforeHookCreation")), ("a", 1, json!({}))]);
    bench.pass(60_000);
    assert_eq!(written(&mut bench), ["pre", "a"]);
    bench.sync("web", false);
    bench.pass(60_000);
    assert_eq!(written(&mut bench), [""; 0], "what is to be made anew cannot be");
    let message = bench.operation("web").message.clone();
    assert!(message.contains("the hook of an earlier sync is not deleted: this agent's policy"), "{message}");
}

#[test]
fn a_window_of_the_policy_holds_syncs_whatever_windows_of_the_project_allow_and_never_heals() {
    let mut bench = Bench::new();
    bench.assign("web", &[("a", 1)]);
    bench.guard("syncWindows: [{kind: deny, schedule: '* * * * *', duration: 1h, applications: [web]}]");
    let wall = crate::time::WallTime(864_000_000);
    bench.reconciler.time_proved(wall, now(bench.now));
    bench.assign("web", &[("a", 2)]);
    bench.change("web", |assignment| {
        let file = json!({
            "apiVersion": "argoproj.io/v1alpha1", "kind": "AppProject", "metadata": {"name": "p"},
            "spec": {"syncWindows": [{"kind": "allow", "schedule": "* * * * *", "duration": "1h",
                "applications": ["*"], "manualSync": true}]},
        });
        assignment.limits.windows = Project::try_from(&file).unwrap().limits.windows;
    });
    bench.pass(600_000);
    assert_eq!(bench.writes.len(), 1);
    let waits = bench.status("web").conditions.iter().find(|of| of.kind == "SyncWindow").unwrap();
    assert!(waits.message.contains("for 1h (UTC) of this agent's policy"), "{}", waits.message);
    bench.sync("web", false);
    assert!(bench.outcomes.last().unwrap().message.contains("of this agent's policy"));
    bench.vanish("a");
    bench.pass(1_000);
    assert_eq!(bench.writes.len(), 2, "drift is no change");
}
