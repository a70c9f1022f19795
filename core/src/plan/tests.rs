use serde_json::json;

use super::*;

fn key(text: &str) -> ResourceKey {
    let parts: Vec<&str> = text.split('/').collect();
    ResourceKey::new(parts[0], parts[1], parts[2], parts[3])
}

/// An object of a key, with annotations; one of the app `web` also names itself in its tracking.
fn object(text: &str, annotations: &[(&str, &str)], own: bool) -> (ResourceKey, Value) {
    let key = key(text);
    let mut map: serde_json::Map<String, Value> =
        annotations.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
    if own {
        let app = AppId::new("", "web");
        map.insert(tracking::TRACKING_ID.to_owned(), json!(tracking::tracking_id(&app, &key)));
        map.insert(tracking::INSTALLATION_ID.to_owned(), json!(crate::ids::InstallationId::new([1; 16])));
    }
    let object = json!({"metadata": {"name": key.name, "uid": key.name, "annotations": map}});
    (key, object)
}

fn plan(
    desired: &[(ResourceKey, Value)],
    live: &[(ResourceKey, Value)],
    change: impl FnOnce(&mut Inputs<'_>),
) -> Plan {
    let app = AppId::new("", "web");
    let mut inputs = Inputs {
        app: &app,
        namespace: "shop",
        prune: true,
        prune_last: false,
        consent: Consent::Given,
        allow_empty: false,
        cascade: false,
        take_over: &[],
        others: 0,
        desired,
        live,
    };
    change(&mut inputs);
    Plan::make(inputs)
}

fn lines(plan: &Plan) -> Vec<String> {
    let line = |line: &Planned| {
        let Step { phase, wave } = line.step;
        format!("{} {wave} {} {}: {}", phase.as_str(), line.action.as_str(), line.key, line.why)
    };
    plan.lines.iter().map(line).collect()
}

const WAVE: &str = "argocd.argoproj.io/sync-wave";
const HOOK: &str = "argocd.argoproj.io/hook";

#[test]
fn a_plan_goes_through_phases_waves_and_kinds_and_deletes_first() {
    let desired = [
        object("apps/Deployment//api", &[], false),
        object("/ConfigMap//config", &[], false),
        object("/ConfigMap//late", &[(WAVE, "2")], false),
        object("batch/Job//migrate", &[(HOOK, "PreSync")], false),
        object("batch/Job//tell", &[(HOOK, "PostSync,SyncFail")], false),
        object("/Namespace//shop", &[(WAVE, "5")], false),
    ];
    let live = [
        object("/ConfigMap/shop/config", &[], true),
        object("/ConfigMap/shop/old", &[], true),
        object("/Service/shop/old", &[], true),
        object("/ConfigMap/shop/foreign", &[], false),
        object("batch/Job/shop/migrate", &[(HOOK, "PreSync")], true),
    ];
    let plan = plan(&desired, &live, |_| {});
    assert_eq!(
        lines(&plan),
        [
            "PreSync 0 create /Namespace//shop: it is not there",
            "PreSync 0 hook batch/Job/shop/migrate: runs before the objects of the app; what an earlier sync left of it \
             goes first",
            "Sync 0 delete /Service/shop/old: it left the desired state",
            "Sync 0 delete /ConfigMap/shop/old: it left the desired state",
            "Sync 0 none /ConfigMap/shop/config: it is as it should be",
            "Sync 0 create apps/Deployment/shop/api: it is not there",
            "Sync 2 create /ConfigMap/shop/late: it is not there",
            "PostSync 0 hook batch/Job/shop/tell: runs once all of the app is healthy",
            "SyncFail 0 hook batch/Job/shop/tell: runs only if the sync fails",
        ]
    );
    assert_eq!(plan.held, None);
    assert!(plan.changes_something());
}

#[test]
fn what_is_somebody_elses_is_left_alone_and_what_is_nobodys_is_adopted() {
    let desired = ["helm", "other", "free"].map(|name| object(&format!("/ConfigMap//{name}"), &[], false));
    let mut other = object("/ConfigMap/shop/other", &[], true);
    let theirs = tracking::tracking_id(&AppId::new("", "api"), &other.0);
    other.1["metadata"]["annotations"][tracking::TRACKING_ID] = json!(theirs);
    let live = [
        object("/ConfigMap/shop/helm", &[("meta.helm.sh/release-name", "r")], false),
        other,
        object("/ConfigMap/shop/free", &[], false),
    ];
    assert_eq!(
        lines(&plan(&desired, &live, |_| {})),
        [
            "Sync 0 change /ConfigMap/shop/free: adopted: nobody tracks it",
            "Sync 0 skip /ConfigMap/shop/helm: refused: tracked by Helm release /r",
            "Sync 0 skip /ConfigMap/shop/other: app argocd/api has it; it is taken over once that app has it no more",
        ]
    );
    assert_eq!(apps_of(&live), BTreeSet::from([AppId::new("", "api")]));
}

#[test]
fn what_stays_says_why_and_the_governor_is_heard() {
    let live = [
        object("apiextensions.k8s.io/CustomResourceDefinition//a.b", &[], true),
        object("/ConfigMap/shop/kept", &[("argocd.argoproj.io/sync-options", "Prune=false")], true),
        object("/Namespace//old", &[], true),
        object("/ConfigMap/shop/last", &[("argocd.argoproj.io/sync-options", "PruneLast=true")], true),
        object("/ConfigMap/shop/wave", &[(WAVE, "3")], true),
    ];
    let desired = [object("/ConfigMap//new", &[], false)];
    let pruned = plan(&desired, &live, |_| {});
    assert_eq!(
        lines(&pruned),
        [
            "Sync 0 skip apiextensions.k8s.io/CustomResourceDefinition//a.b: it left the desired state; a definition is \
             never deleted",
            "Sync 0 skip /ConfigMap/shop/kept: it left the desired state; it is kept by Prune=false or Delete=false",
            "Sync 0 delete /ConfigMap/shop/wave: it left the desired state",
            "Sync 0 create /ConfigMap/shop/new: it is not there",
            "Sync 3 delete /Namespace//old: it left the desired state",
            "Sync 4 delete /ConfigMap/shop/last: it left the desired state",
        ]
    );
    let held = pruned.held.clone().unwrap();
    assert!(held.contains("3 of the app's 5 objects") && held.contains("a Namespace"), "{held}");

    let unpruned = plan(&desired, &live[2..3], |inputs| inputs.prune = false);
    assert_eq!(
        lines(&unpruned)[0],
        "Sync 0 skip /Namespace//old: it left the desired state; this sync does not prune"
    );
    assert_eq!(unpruned.held, None);
    assert_ne!(unpruned.digest(), pruned.digest());
    let empty = plan(&[], &live[4..], |_| {});
    assert!(empty.held.unwrap().contains("became empty"));
}

#[test]
fn the_scope_of_a_kind_is_told_by_definitions_and_by_what_is_there() {
    let mut definition = object("apiextensions.k8s.io/CustomResourceDefinition//widgets.acme.io", &[], false);
    definition.1["spec"] = json!({"group": "acme.io", "scope": "Cluster", "names": {"kind": "Widget"}});
    let desired = [
        definition,
        object("acme.io/Widget//w", &[], false),
        object("acme.io/Gadget//g", &[], false),
        object("acme.io/Thing//t", &[], false),
    ];
    let live = [object("acme.io/Gadget//g", &[], true)];
    let keys: Vec<String> =
        plan(&desired, &live, |_| {}).lines.iter().map(|line| line.key.to_string()).collect();
    assert_eq!(
        keys,
        [
            "apiextensions.k8s.io/CustomResourceDefinition//widgets.acme.io",
            "acme.io/Gadget//g",
            "acme.io/Thing/shop/t",
            "acme.io/Widget//w",
        ]
    );
}

#[test]
fn a_part_is_planned_by_the_object_that_is_there_and_given_up_where_a_release_had_it() {
    let part = key("/Namespace//shop").with_part("mesh");
    let states = |value: &str| json!({"metadata": {"name": "shop", "labels": {"mode": value}, "annotations": {tracking::PART: "mesh"}}});
    let there = |value: &str| {
        let entry = json!({"manager": "argosy.mesh", "operation": "Apply",
            "fieldsV1": {"f:metadata": {"f:labels": {"f:mode": {}}}}});
        let helm = json!({"meta.helm.sh/release-name": "x"});
        (
            key("/Namespace//shop"),
            json!({"metadata": {"name": "shop", "labels": {"mode": value},
            "annotations": helm, "managedFields": [entry]}}),
        )
    };
    let desired = [(part.clone(), states("ambient"))];
    let said = |live: &[(ResourceKey, Value)]| lines(&plan(&desired, live, |_| {}));
    assert_eq!(said(&[there("ambient")]), ["Sync 0 none /Namespace//shop/mesh: it is as it should be"]);
    assert_eq!(
        said(&[there("none")]),
        ["Sync 0 change /Namespace//shop/mesh: metadata.labels.mode: \"none\" -> \"ambient\""]
    );
    assert_eq!(
        said(&[]),
        ["Sync 0 create /Namespace//shop/mesh: applied once its object is there: a part never makes it"]
    );
    let left = plan(&[], &[(part, states("ambient"))], |inputs| inputs.allow_empty = true);
    assert_eq!(
        lines(&left),
        [
            "Sync 0 delete /Namespace//shop/mesh: it left the desired state: it is given up, and its object stays"
        ]
    );
    assert_eq!(left.held, None, "no Namespace is lost");
}
