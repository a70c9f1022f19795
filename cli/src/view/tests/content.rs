//! Projects, trees, deletions and plans.

use argosy_core::ids::AppId;
use argosy_core::key::ResourceKey;
use argosy_core::plan::{Inputs, Plan};
use serde_json::{Value, json};

use super::*;

fn project(name: &str, document: &Value) -> v1::ProjectView {
    v1::ProjectView {
        name: name.to_owned(),
        file: format!("{name}.yaml"),
        document_json: document.to_string(),
        problem: String::new(),
        apps: 3,
    }
}

fn projects() -> Vec<v1::ProjectView> {
    let wide = json!({
        "metadata": {"name": "default"},
        "spec": {
            "sourceRepos": ["*"], "destinations": [{"server": "*", "namespace": "*"}],
            "clusterResourceWhitelist": [{"group": "*", "kind": "*"}],
        },
    });
    let narrow = json!({
        "metadata": {"name": "shop"},
        "spec": {
            "description": "The shop\u{1b}[31m",
            "sourceRepos": ["https://git.example/a", "https://git.example/b"],
            "destinations": [{"name": "edge", "namespace": "shop"}, {"server": "*", "namespace": "!kube-system"}],
            "namespaceResourceBlacklist": [{"group": "", "kind": "Secret"}, {"group": "apps", "kind": "*"}],
            "namespaceResourceWhitelist": [],
        },
    });
    let refused = v1::ProjectView {
        problem: "project team is refused: team.yaml: document 1, line 1: spec.roles: is not supported"
            .to_owned(),
        apps: 0,
        ..project("team", &json!({"spec": {}}))
    };
    vec![
        v1::ProjectView { file: String::new(), ..project("default", &wide) },
        project("shop", &narrow),
        refused,
    ]
}

#[test]
fn projects_as_argo_cd_shows_them() {
    let projects = projects();
    insta::assert_snapshot!("projects", view::project::table(&projects));
    insta::assert_snapshot!("projects_name", view::project::names(&projects));
    let details: Vec<String> = projects.iter().map(view::project::detail).collect();
    insta::assert_snapshot!("projects_detail", details.join("\n"));
    let documents: Vec<view::project::Project> = projects.iter().map(Into::into).collect();
    insta::assert_snapshot!("projects_json", document(Format::Json, &documents).unwrap());
}

#[test]
fn an_application_with_its_objects_below_it() {
    let view = failing();
    let mut rows = view.status.clone().unwrap().resources;
    rows.push(v1::ResourceRow {
        key: Some(v1::ResourceKey { namespace: "elsewhere".to_owned(), ..object("ConfigMap", "far") }),
        status: v1::SyncStatus::Synced.into(),
        ..Default::default()
    });
    insta::assert_snapshot!("app_tree", view::tree::tree(&view, &rows, view.observed.as_ref(), true));
    let away = last_known();
    let rows = away.status.clone().unwrap().resources;
    let tree = view::tree::tree(&away, &rows, away.observed.as_ref(), false);
    assert!(tree.contains("The cluster is away"), "{tree}");
}

#[test]
fn a_history_as_argo_cd_shows_it() {
    let row = |id: u64, byte: u8, revision: &str| v1::HistoryRow {
        id,
        release: Some(release(byte, revision)),
        finished_unix_ms: 1_700_000_000_000,
        started_unix_ms: Some(1_699_999_990_000),
        ..Default::default()
    };
    let rows = [
        v1::HistoryRow { by_cluster_clock: true, started_unix_ms: None, ..row(3, 1, "") },
        v1::HistoryRow {
            healthy: true,
            automated: true,
            ..row(4, 2, "c0ffee0000000000000000000000000000000002")
        },
    ];
    insta::assert_snapshot!("history", view::history::table(&failing(), &rows));
    assert_eq!(view::history::ids(&rows), "3\n4\n");
    let documents: Vec<view::history::Deployment> = rows.iter().map(Into::into).collect();
    insta::assert_snapshot!("history_json", document(Format::Json, &documents).unwrap());
}

#[test]
fn a_deletion_says_what_goes_and_what_is_still_held() {
    let held = v1::Held {
        plan: vec![7; 32],
        reason: "7 of the app's 8 objects would be deleted".to_owned(),
        deletes: vec![
            v1::HeldDelete { key: Some(object("ConfigMap", "a")), uid: "u1".to_owned() },
            v1::HeldDelete {
                key: Some(v1::ResourceKey { namespace: String::new(), ..object("Namespace", "shop") }),
                uid: "u2".to_owned(),
            },
        ],
        more: 5,
    };
    let response = v1::DeleteAppResponse { cluster: "edge-1".to_owned(), first: true, held: Some(held) };
    let app = AppId::new("", "web");
    let ordered = view::deletion::Deletion::of(&app, &response);
    insta::assert_snapshot!("deletion", ordered.render());
    insta::assert_snapshot!("deletion_json", document(Format::Json, &ordered).unwrap());
    let again = v1::DeleteAppResponse { cluster: "edge-1".to_owned(), first: false, held: None };
    let again = view::deletion::Deletion::of(&app, &again);
    assert_eq!(again.render(), "The deletion of argocd/web from edge-1 was ordered before.\n");
}

#[test]
fn the_chain_from_a_commit_to_an_object() {
    let line = |link: &str, state: v1::WhyState, message: &str| v1::WhyLine {
        link: link.to_owned(),
        state: state.into(),
        message: message.to_owned(),
    };
    let progress = v1::CommandProgress {
        why: vec![
            line("Release", v1::WhyState::Waits, "release 0202 has it, and a sync is under way"),
            line("Gate", v1::WhyState::Waits, "waiting for healthy state of apps/Deployment/db"),
            line("Api", v1::WhyState::Stops, "spec.replicas: Invalid value\u{1b}[31m"),
        ],
        observed: Some(v1::Observation { age_ms: 2_000, ..Default::default() }),
        ..Default::default()
    };
    let key = ResourceKey::new("apps", "Deployment", "shop", "web");
    let why = view::why::Why::of(&failing(), &key, &progress);
    insta::assert_snapshot!("why", why.render());
    insta::assert_snapshot!("why_json", document(Format::Json, &why).unwrap());
    let away =
        view::why::Why::last_known(&failing(), &key, "the agent of cluster \"edge-1\" is not connected");
    insta::assert_snapshot!("why_away", away.render());
}

#[test]
fn a_plan_says_what_is_done_in_which_order_and_why() {
    let key = |kind: &str, name: &str| ResourceKey::new("", kind, "shop", name);
    let object = |name: &str, value: &str| json!({"metadata": {"name": name}, "data": {"key": value}});
    let mut old = object("old", "1");
    let app = AppId::new("", "web");
    old["metadata"]["annotations"] = json!({
        "argocd.argoproj.io/tracking-id": argosy_core::tracking::tracking_id(&app, &key("ConfigMap", "old")),
        "argosy.dev/installation-id": "01010101-0101-4101-8101-010101010101",
    });
    let desired = [
        (key("ConfigMap", "a"), object("a", "2")),
        (key("Secret", "b"), object("b", "2")),
        (key("Service", "new"), object("new", "1")),
    ];
    let live = [
        (key("ConfigMap", "a"), object("a", "1")),
        (key("Secret", "b"), object("b", "1")),
        (key("ConfigMap", "old"), old),
    ];
    let inputs = Inputs {
        app: &app,
        namespace: "shop",
        prune: true,
        prune_last: false,
        consent: argosy_core::policy::Consent::Given,
        allow_empty: false,
        cascade: false,
        take_over: &[],
        others: 0,
        desired: &desired,
        live: &live,
    };
    let plan = Plan::make(inputs);
    insta::assert_snapshot!("plan", view::plan::table(&app, &plan));
    insta::assert_snapshot!(
        "plan_json",
        document(Format::Json, &view::plan::PlanView::of(&app, &plan)).unwrap()
    );
    let nothing = Plan::make(Inputs { desired: &[], live: &[], ..inputs });
    assert!(view::plan::table(&app, &nothing).ends_with("nothing to do\n"));
}
