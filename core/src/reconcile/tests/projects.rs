//! What a project does not permit is neither written nor deleted, and is told with the project's name.

use super::*;
use crate::ids::DeletionId;
use crate::policy::KindRule;
use crate::status::{ResourceRow, ResultCode};

const WHY: &str = "resource :Secret is not permitted in project tight";

fn secret(name: &str) -> ResourceKey {
    ResourceKey::new("", "Secret", "shop", name)
}

/// Assigns objects to an app whose project is `tight`: without Secrets unless it is wide.
fn assign(bench: &mut Bench, keys: &[ResourceKey], wide: bool) {
    let body = |key: &ResourceKey| {
        json!({"apiVersion": "v1", "kind": &*key.kind, "data": {"v": 1},
            "metadata": {"name": &*key.name, "namespace": "shop"}})
    };
    let mut assignment =
        bench.put_manifests("web", keys.iter().map(|key| (key.clone(), body(key))).collect());
    assignment.limits = tight(wide);
    bench.list.set(assignment);
    bench.desire();
    bench.pass(10_000);
}

fn tight(wide: bool) -> ProjectLimits {
    let rule = KindRule { group: String::new(), kind: "Secret".to_owned(), name: String::new() };
    ProjectLimits {
        project: "tight".to_owned(),
        namespaced_denied: if wide { Vec::new() } else { vec![rule] },
        ..Project::permissive().limits
    }
}

fn row<'a>(bench: &'a Bench, key: &ResourceKey) -> &'a ResourceRow {
    bench.status("web").resources.iter().find(|row| row.key == *key).unwrap()
}

#[test]
fn what_a_project_does_not_permit_any_more_is_not_pruned_and_told_until_it_permits_it_again() {
    let mut bench = Bench::new();
    let all = [config("a"), config("b"), config("c"), secret("s"), secret("t")];
    assign(&mut bench, &all, true);
    assign(&mut bench, &[config("a"), config("b"), secret("t")], false);
    bench.pass(600_000);
    let left: Vec<&str> = bench.objects.keys().map(|key| &*key.name).collect();
    assert_eq!(left, ["a", "b", "s", "t"], "only what it permits is pruned");
    assert_eq!(row(&bench, &secret("s")).message, format!("not deleted: {WHY}"));
    let operation = bench.operation("web");
    let told = operation.results.iter().find(|row| row.key == secret("s")).unwrap();
    assert_eq!((told.code, told.message.clone()), (ResultCode::PruneSkipped, format!("not deleted: {WHY}")));
    assert!(operation.message.contains(WHY), "{}", operation.message);
    assert_eq!((operation.phase, bench.deletes()), (OperationPhase::Succeeded, 1));

    bench.change("web", |assignment| assignment.limits = tight(true));
    bench.pass(600_000);
    assert_eq!(bench.deletes(), 2);
    assert!(!bench.objects.contains_key(&secret("s")));
}

#[test]
fn a_sync_that_is_asked_for_tells_what_its_app_may_not_prune_by_itself() {
    let mut bench = Bench::new();
    assign(&mut bench, &[config("a"), secret("s")], true);
    assign(&mut bench, &[config("a")], false);
    bench.sync("web", false);
    let operation = bench.operation("web");
    assert!(!operation.automated);
    let told: Vec<_> = operation.results.iter().map(|row| (row.code, row.message.clone())).collect();
    assert!(told.contains(&(ResultCode::PruneSkipped, format!("not deleted: {WHY}"))), "{told:?}");
}

#[test]
fn an_app_is_deleted_without_what_its_project_does_not_permit() {
    let mut bench = Bench::new();
    assign(&mut bench, &[config("a"), secret("s")], true);
    let deletion = DeletionId::new([5; 16]);
    bench.finalizers = true;
    bench.change("web", |assignment| {
        assignment.limits = tight(false);
        assignment.phase = Phase::Deleting;
        assignment.cascade_confirmed = true;
        assignment.deletion = Some(deletion);
    });
    bench.pass(600_000);
    assert_eq!(bench.deletes(), 1);
    assert_eq!(row(&bench, &secret("s")).message, format!("not deleted: {WHY}"), "told while it lasts");
    assert_eq!(bench.status("web").emptied, None);
    bench.vanish("a");
    bench.pass(10_000);
    assert_eq!(bench.status("web").emptied, Some(deletion), "the deletion completes all the same");
    bench.list.remove(&app("web"));
    bench.desire();
    bench.pass(600_000);
    assert_eq!((bench.deletes(), bench.objects.len()), (1, 1));
    let told: Vec<String> = bench
        .events
        .iter()
        .filter(|event| event.key == Some(secret("s")))
        .map(|event| event.message.clone())
        .collect();
    assert!(told.contains(&format!("not deleted with its app: {WHY}")), "{told:?}");

    // Whoever may have it takes it over.
    let mut heir = bench.put_manifests(
        "heir",
        vec![(
            secret("s"),
            json!({"apiVersion": "v1", "kind": "Secret",
        "data": {"v": 2}, "metadata": {"name": "s", "namespace": "shop"}}),
        )],
    );
    heir.limits = tight(true);
    bench.list.set(heir);
    bench.desire();
    bench.pass(10_000);
    assert_eq!(bench.status("heir").sync, SyncStatus::Synced);
}

#[test]
fn a_confirmed_delete_waits_for_the_project_to_permit_it() {
    let mut bench = Bench::new();
    assign(&mut bench, &[config("a"), secret("s"), secret("t"), secret("u")], true);
    assign(&mut bench, &[config("a")], true);
    let plan = bench.status("web").held.as_ref().unwrap().plan;
    bench.reconciler.confirm(&app("web"), plan).unwrap();
    bench.change("web", |assignment| assignment.limits = tight(false));
    bench.pass(600_000);
    assert_eq!(bench.deletes(), 0);
    bench.change("web", |assignment| assignment.limits = tight(true));
    bench.pass(600_000);
    assert_eq!(bench.deletes(), 3, "it was confirmed");
}

#[test]
fn how_an_object_compares_that_its_project_does_not_permit_is_unknown() {
    let mut bench = Bench::new();
    assign(&mut bench, &[config("a"), secret("s")], true);
    bench.change("web", |assignment| assignment.limits = tight(false));
    bench.pass(60_000);
    let row = row(&bench, &secret("s"));
    assert_eq!((row.status, row.message.as_str()), (SyncStatus::Unknown, WHY));
    assert_eq!(bench.status("web").sync, SyncStatus::Synced, "as in Argo CD");
    assert_eq!(bench.status("web").counts.unknown, 1);
}

/// An app that asks for its namespace, within a project that permits no kinds of the cluster's scope.
fn homeless(bench: &mut Bench, labelled: bool) {
    let mut assignment = bench.put("web", &[("a", 1)]);
    assignment.policy.create_namespace = true;
    assignment.policy.retry = Some(crate::policy::Retry { limit: 0, ..Default::default() });
    if labelled {
        assignment.policy.namespace.labels.insert("team".to_owned(), "a".to_owned());
    }
    assignment.limits = ProjectLimits { cluster_allowed: Vec::new(), ..tight(true) };
    bench.list.set(assignment);
    bench.desire();
    bench.pass(600_000);
}

#[test]
fn a_namespace_that_the_project_does_not_permit_is_neither_made_nor_labelled() {
    const NAMESPACE: &str = "resource :Namespace is not permitted in project tight";
    let mut bench = Bench::new();
    homeless(&mut bench, false);
    assert!(bench.writes.is_empty() && bench.marks.is_empty());
    let message = &bench.operation("web").message;
    assert!(message.contains(&format!("the namespace is not there, and {NAMESPACE}")), "{message}");

    let namespace = ResourceKey::new("", "Namespace", "", "shop");
    bench.objects.insert(namespace.clone(), foreign(&namespace, "n", 1));
    homeless(&mut bench, true);
    assert!(bench.writes.is_empty() && bench.marks.is_empty());
    let message = &bench.operation("web").message;
    assert!(message.contains("managedNamespaceMetadata") && message.contains(NAMESPACE), "{message}");

    homeless(&mut bench, false);
    bench.sync("web", false);
    bench.pass(10_000);
    assert_eq!((bench.writes.len(), bench.marks.len()), (1, 0), "it is there, and that is enough");
}
