mod schema;

use super::*;
use crate::ids::AppId;

fn policy(rest: &str) -> LocalPolicy {
    read(rest).unwrap_or_else(|error| panic!("{error}"))
}

fn read(rest: &str) -> Result<LocalPolicy, PolicyError> {
    LocalPolicy::read(format!("apiVersion: argosy.dev/v1alpha1\nkind: AgentPolicy\n{rest}").as_bytes())
}

fn refusal(rest: &str) -> String {
    read(rest).unwrap_err().to_string()
}

fn key(group: &str, kind: &str, namespace: &str, name: &str) -> ResourceKey {
    ResourceKey::new(group, kind, namespace, name)
}

fn config(namespace: &str) -> ResourceKey {
    key("", "ConfigMap", namespace, "c")
}

#[test]
fn kinds_are_denied_before_they_are_allowed_and_the_rule_is_named() {
    let policy = policy(
        "kinds: {allow: [{group: '', kind: '*'}, {group: '*.example.com', kind: W*}], \
         deny: [{group: '', kind: Secret}, {group: '', kind: ConfigMap, name: 'kube-*'}]}",
    );
    let told = |key: &ResourceKey| policy.permits(key, true).map_err(|refused| refused.to_string());
    assert_eq!(told(&config("a")), Ok(()));
    assert_eq!(told(&key("x.example.com", "Widget", "a", "w")), Ok(()));
    assert_eq!(
        told(&key("", "Secret", "a", "s")).unwrap_err(),
        "this agent's policy refuses the kind Secret: kinds.deny[0] {group: \"\", kind: \"Secret\"}"
    );
    assert_eq!(
        told(&key("", "ConfigMap", "a", "kube-root-ca.crt")).unwrap_err(),
        "this agent's policy refuses the kind ConfigMap: kinds.deny[1] {group: \"\", kind: \"ConfigMap\", name: \"kube-*\"}"
    );
    assert_eq!(
        told(&key("apps", "Deployment", "a", "d")).unwrap_err(),
        "this agent's policy refuses the kind apps/Deployment: kinds.allow has no rule for it"
    );
}

#[test]
fn an_empty_list_permits_nothing_and_an_absent_one_everything() {
    assert!(policy("kinds: {allow: []}").permits(&config("a"), true).is_err());
    assert!(policy("kinds: {}").permits(&config("a"), true).is_ok());
    assert!(policy("namespaces: []").permits(&config("a"), true).is_err());
    assert!(policy("").permits(&key("", "Node", "", "n"), false).is_ok());
    assert!(policy("clusterScope: []").permits(&key("", "Node", "", "n"), false).is_err());
    assert!(policy("deletes: []").permits_delete(&config("a"), true).is_err());
    assert!(policy("").permits_delete(&config("a"), true).is_ok());
}

#[test]
fn namespaces_are_permitted_by_a_pattern_and_by_none_that_denies_and_a_namespace_belongs_to_itself() {
    let policy = policy("namespaces: ['shop-*', '!shop-secret', edge]");
    let namespace = |name: &str| key("", "Namespace", "", name);
    for (name, good) in [("shop-web", true), ("edge", true), ("edges", false), ("shop-secret", false)] {
        assert_eq!(policy.permits(&config(name), true).is_ok(), good, "{name}");
        assert_eq!(policy.permits(&namespace(name), false).is_ok(), good, "{name}");
    }
    assert_eq!(
        policy.permits(&config("shop-secret"), true).unwrap_err().to_string(),
        "this agent's policy refuses the namespace \"shop-secret\": namespaces[1] \"!shop-secret\""
    );
    assert!(policy.permits(&key("", "Node", "", "shop-secret"), false).is_ok(), "it lives in none");
}

#[test]
fn the_clusters_scope_is_open_closed_or_open_to_some_kinds() {
    let role = key("rbac.authorization.k8s.io", "ClusterRole", "", "r");
    let namespace = key("", "Namespace", "", "shop");
    let closed = policy("clusterScope: no");
    assert_eq!(
        closed.permits(&role, false).unwrap_err().to_string(),
        "this agent's policy refuses objects of the cluster's scope: clusterScope: false"
    );
    assert!(closed.permits(&config("a"), true).is_ok());
    let some = policy("clusterScope: [{group: '', kind: Namespace, name: shop}]");
    assert!(some.permits(&namespace, false).is_ok());
    assert!(some.permits(&key("", "Namespace", "", "other"), false).is_err());
    assert_eq!(
        some.permits(&role, false).unwrap_err().rule,
        "clusterScope has no rule for rbac.authorization.k8s.io/ClusterRole"
    );
}

#[test]
fn deletes_need_a_rule_and_what_may_not_be_written_may_not_be_deleted() {
    let never = policy("deletes: never");
    assert!(never.permits(&config("a"), true).is_ok());
    assert_eq!(
        never.permits_delete(&config("a"), true).unwrap_err().to_string(),
        "this agent's policy refuses deletes: deletes: never"
    );
    let some = policy("deletes: [{group: '', kind: ConfigMap}]\nnamespaces: [a]");
    assert!(some.permits_delete(&config("a"), true).is_ok());
    assert!(some.permits_delete(&config("b"), true).is_err());
    assert_eq!(
        some.permits_delete(&key("", "Secret", "a", "s"), true).unwrap_err().rule,
        "deletes has no rule for Secret"
    );
}

#[test]
fn windows_have_the_form_of_a_project_and_are_picked_by_application() {
    let policy = policy(
        "syncWindows:\n- {kind: deny, schedule: '0 6 * * *', duration: 12h, applications: ['web-*']}\n\
         - {kind: allow, schedule: '0 1 * * *', duration: 2h, namespaces: [night]}\n",
    );
    let to = |namespace: &str| Destination { namespace: namespace.to_owned(), ..Destination::default() };
    let app = AppId::new("", "web-1");
    assert_eq!(policy.windows_of(&app.name, &to("shop")).len(), 1);
    assert_eq!(policy.windows_of("api", &to("shop")).len(), 0);
    assert_eq!(policy.windows_of("web-1", &to("night")).len(), 2);
}

#[test]
fn what_is_wrong_is_told_with_its_line_and_field() {
    for (rest, says) in [
        (
            "kinds:\n  deny:\n  - {group: '', kind: A}\n  - group: ''\n    knd: B\n",
            "line 6: kinds.deny[1].kind: is missing",
        ),
        (
            "kinds:\n  deny:\n  - {group: '', kind: A}\n  - group: ''\n    kind: B\n    knd: C\n",
            "line 8: kinds.deny[1].knd: unknown field",
        ),
        ("kind_s: {}\n", "line 3: kind_s: unknown field"),
        ("namespaces:\n- a\n- '[b'\n", "line 5: namespaces[1]: pattern \"[b\""),
        ("namespaces: ['!a']\n", "line 3: namespaces: only denies"),
        ("deletes: sometimes\n", "line 3: deletes: must be never or a list of kinds"),
        ("clusterScope: some\n", "line 3: clusterScope: must be true, false or a list"),
        ("namespaces:\n# - a\n", "line 3: namespaces: has no value"),
        ("kinds:\n  allow:\n  -\n", "line 5: kinds.allow[0]: has no value"),
        ("deletes: never\ndeletes: []\n", "line 4: deletes: the key is given more than once"),
        ("kinds: {deny: [{kind: Secret}]}\n", "line 3: kinds.deny[0].group: is missing"),
        (
            "syncWindows:\n- {kind: deny, schedule: never, duration: 1h, applications: ['*']}\n",
            "line 4: syncWindows[0].schedule: has 1 fields",
        ),
        ("---\nkind: B\n", "line 3: .: must hold exactly one document, and holds 2"),
        ("a: [\n", "line 3: "),
    ] {
        let told = refusal(rest);
        assert!(told.starts_with(says), "{rest:?}: {told}");
    }
}

#[test]
fn a_file_that_is_no_policy_is_none() {
    let told = |text: &str| LocalPolicy::read(text.as_bytes()).unwrap_err().to_string();
    assert_eq!(told(""), ".: must hold exactly one document, and holds 0");
    assert_eq!(told("# nothing\n"), ".: must hold exactly one document, and holds 0");
    assert_eq!(told("kind: AgentPolicy\n"), "line 1: apiVersion: must be argosy.dev/v1alpha1");
    assert_eq!(
        told("apiVersion: argosy.dev/v1alpha1\nkind: AppProject\n"),
        "line 2: kind: must be AgentPolicy"
    );
    assert_eq!(told("- a\n"), "line 1: .: must be an object, not a list");
    assert!(LocalPolicy::read(b"\xff").unwrap_err().why.contains("UTF-8"));
}

#[test]
fn a_summary_says_what_is_in_it_and_its_digest_is_of_the_file() {
    assert_eq!(policy("").summary().text, "refuses nothing");
    let one = policy(
        "kinds: {deny: [{group: '', kind: Secret}]}\nnamespaces: [a, b]\nclusterScope: false\ndeletes: never\n\
         syncWindows: [{kind: deny, schedule: '0 6 * * *', duration: 1h, applications: ['*']}]\n",
    );
    assert_eq!(
        one.summary().text,
        "kinds: 1 denied; namespaces: 2 rules; cluster scope: none; deletes: never; sync windows: 1"
    );
    let file = b"{apiVersion: argosy.dev/v1alpha1, kind: AgentPolicy}";
    assert_eq!(LocalPolicy::read(file).unwrap().summary().digest, Digest::of(file));
}
