use serde_json::json;

use super::*;

fn resource(plural: &str, kind: &str, scope: &str, verbs: &[&str]) -> Value {
    json!({"resource": plural, "responseKind": {"group": "", "version": "", "kind": kind}, "scope": scope, "verbs": verbs,
        "subresources": [{"subresource": "status", "responseKind": {"kind": kind}}]})
}

fn document(freshness: &str, v1beta1: &[Value], v1: &[Value]) -> Snapshot {
    let document = json!({"kind": "APIGroupDiscoveryList", "items": [{"metadata": {"name": "x.dev"}, "versions": [
        {"version": "v1", "freshness": freshness, "resources": v1},
        {"version": "v1beta1", "freshness": "Current", "resources": v1beta1}]}]});
    assert!(parse::is_aggregated(&document));
    Snapshot { groups: parse::aggregated(&document) }
}

const ALL: [&str; 5] = ["get", "list", "watch", "patch", "delete"];

fn gizmo() -> GroupKind {
    GroupKind::new("x.dev", "Gizmo")
}

fn both() -> Catalogue {
    let gizmos = resource("gizmos", "Gizmo", "Namespaced", &ALL);
    merge::merge(
        &Catalogue::default(),
        &document("Current", std::slice::from_ref(&gizmos), std::slice::from_ref(&gizmos)),
    )
    .catalogue
}

#[test]
fn the_preferred_version_comes_first_and_all_are_kept() {
    let catalogue = both();
    let preferred = catalogue.endpoint(&gizmo(), None).unwrap();
    assert_eq!((preferred.version.as_str(), preferred.watchable), ("v1", true));
    assert_eq!(catalogue.endpoint(&gizmo(), Some("v1beta1")).unwrap().version, "v1beta1");
    let refused = catalogue.endpoint(&gizmo(), Some("v2")).unwrap_err();
    assert!(refused.to_string().contains("only in v1, v1beta1"), "{refused}");
    assert!(matches!(catalogue.endpoint(&GroupKind::new("", "Pod"), None), Err(ApiError::NotServed(_))));
    assert!(catalogue.kinds()[&gizmo()].namespaced);
}

#[test]
fn before_the_first_discovery_nothing_counts_as_absent() {
    assert!(matches!(Catalogue::default().endpoint(&gizmo(), None), Err(ApiError::Unavailable { .. })));
}

#[test]
fn a_stale_group_keeps_what_was_known() {
    let snapshot = document("Stale", &[], &[]);
    assert_eq!(snapshot.stale(), ["x.dev/v1"]);
    let merged = merge::merge(&both(), &snapshot);
    assert_eq!(merge::unconfirmed(&merged), [("x.dev".to_owned(), "v1beta1".to_owned())]);
    assert_eq!(merged.catalogue.get(&gizmo()).unwrap().versions.len(), 2);
}

#[test]
fn a_kind_goes_only_when_its_own_group_lacks_it() {
    let empty = Snapshot::default();
    let mut merged = merge::merge(&both(), &empty);
    assert_eq!(merge::unconfirmed(&merged).len(), 2);
    merge::confirm(&mut merged, "x.dev", "v1", Some(&BTreeSet::new()));
    merge::confirm(&mut merged, "x.dev", "v1beta1", None);
    assert_eq!(merged.catalogue.endpoint(&gizmo(), None).unwrap().version, "v1beta1");

    let mut merged = merge::merge(&both(), &empty);
    merge::confirm(&mut merged, "x.dev", "v1", Some(&BTreeSet::from(["Gizmo".to_owned()])));
    merge::confirm(&mut merged, "x.dev", "v1beta1", Some(&BTreeSet::new()));
    assert_eq!(merged.catalogue.get(&gizmo()).unwrap().versions.len(), 1);

    let mut merged = merge::merge(&both(), &empty);
    for version in ["v1", "v1beta1"] {
        merge::confirm(&mut merged, "x.dev", version, Some(&BTreeSet::new()));
    }
    assert!(merged.catalogue.get(&gizmo()).is_none());
}

#[test]
fn of_two_resources_of_one_kind_the_fuller_one_counts() {
    let snapshot = document(
        "Current",
        &[],
        &[
            resource("gizmoviews", "Gizmo", "Namespaced", &["create"]),
            resource("gizmos", "Gizmo", "Namespaced", &ALL),
        ],
    );
    let catalogue = merge::merge(&Catalogue::default(), &snapshot).catalogue;
    assert_eq!(catalogue.endpoint(&gizmo(), None).unwrap().plural, "gizmos");
}

#[test]
fn the_older_form_of_discovery_is_read_as_well() {
    let groups = json!({"kind": "APIGroupList", "groups": [{"name": "x.dev", "preferredVersion": {"version": "v1"},
        "versions": [{"version": "v2alpha1"}, {"version": "v1"}]}]});
    assert!(!parse::is_aggregated(&groups));
    let groups = parse::legacy_groups("/apis", &groups);
    assert_eq!(groups[0].versions[0].name, "v1");
    assert_eq!(parse::legacy_groups("/api", &json!({"versions": ["v1"]}))[0].versions[0].name, "v1");
    let resources = parse::legacy_resources(&json!({"resources": [
        {"name": "gizmos", "kind": "Gizmo", "namespaced": true, "verbs": ["get"]},
        {"name": "gizmos/status", "kind": "Gizmo", "namespaced": true, "verbs": ["get"]}]}));
    assert_eq!(resources.len(), 1);
    assert!(resources[0].namespaced);
}
