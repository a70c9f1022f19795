//! Who may do what: role-based access control over the roles and bindings that a cluster holds.

use std::collections::BTreeMap;

use serde_json::Value;

/// The group that may do everything.
const MASTERS: &str = "system:masters";
/// The group of all that have shown who they are.
pub(crate) const AUTHENTICATED: &str = "system:authenticated";
/// The group of all that have not.
pub(crate) const UNAUTHENTICATED: &str = "system:unauthenticated";
/// The name of all that have not shown who they are.
pub(crate) const ANONYMOUS: &str = "system:anonymous";

/// Somebody who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The name.
    pub name: String,
    /// The groups.
    pub groups: Vec<String>,
}

/// What somebody wants to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wish<'a> {
    /// Something with objects.
    Objects {
        verb: &'a str,
        group: &'a str,
        resource: &'a str,
        subresource: &'a str,
        namespace: &'a str,
        name: &'a str,
    },
    /// Something with a path that names no objects.
    Path { verb: &'a str, path: &'a str },
}

/// The roles and bindings of a cluster.
#[derive(Debug, Clone, Default)]
pub(crate) struct Policy {
    cluster_roles: BTreeMap<String, Vec<Rule>>,
    roles: BTreeMap<(String, String), Vec<Rule>>,
    bindings: Vec<Binding>,
}

/// One rule of a role.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Rule {
    verbs: Vec<String>,
    groups: Vec<String>,
    resources: Vec<String>,
    names: Vec<String>,
    paths: Vec<String>,
}

#[derive(Debug, Clone)]
struct Binding {
    /// Empty for a binding in the whole cluster.
    namespace: String,
    name: String,
    role_kind: String,
    role: String,
    subjects: Vec<Subject>,
}

#[derive(Debug, Clone)]
struct Subject {
    kind: String,
    name: String,
    namespace: String,
}

// === impl User ===

impl User {
    /// Gives who has not shown anything.
    pub(crate) fn anonymous() -> Self {
        Self { name: ANONYMOUS.to_owned(), groups: vec![UNAUTHENTICATED.to_owned()] }
    }

    /// Tells whether this user may do everything.
    pub(crate) fn is_master(&self) -> bool {
        self.groups.iter().any(|group| group == MASTERS)
    }
}

// === impl Wish ===

impl Wish<'_> {
    /// Says that it is not allowed, as the API server says it.
    pub(crate) fn denied(&self, user: &User) -> String {
        match self {
            Self::Path { verb, path } => format!("User {:?} cannot {verb} path {path:?}", user.name),
            Self::Objects { verb, group, resource, subresource, namespace, .. } => {
                let slash = if subresource.is_empty() { "" } else { "/" };
                let place = if namespace.is_empty() {
                    "at the cluster scope".to_owned()
                } else {
                    format!("in the namespace {namespace:?}")
                };
                format!(
                    "User {:?} cannot {verb} resource \"{resource}{slash}{subresource}\" in API group {group:?} {place}",
                    user.name
                )
            }
        }
    }
}

// === impl Policy ===

impl Policy {
    /// Takes a `ClusterRole` in.
    pub(crate) fn add_cluster_role(&mut self, object: &Value) {
        self.cluster_roles.insert(text(object, "/metadata/name"), rules(object));
    }

    /// Takes a `Role` in.
    pub(crate) fn add_role(&mut self, object: &Value) {
        let key = (text(object, "/metadata/namespace"), text(object, "/metadata/name"));
        self.roles.insert(key, rules(object));
    }

    /// Takes a `ClusterRoleBinding` or `RoleBinding` in.
    pub(crate) fn add_binding(&mut self, object: &Value) {
        let subjects = list(object, "/subjects").map(|subject| Subject {
            kind: text(subject, "/kind"),
            name: text(subject, "/name"),
            namespace: text(subject, "/namespace"),
        });
        self.bindings.push(Binding {
            namespace: text(object, "/metadata/namespace"),
            name: text(object, "/metadata/name"),
            role_kind: text(object, "/roleRef/kind"),
            role: text(object, "/roleRef/name"),
            subjects: subjects.collect(),
        });
    }

    /// Says why somebody may do something; nothing if they may not.
    pub(crate) fn allows(&self, user: &User, wish: &Wish<'_>) -> Option<String> {
        if user.is_master() {
            return Some(String::new());
        }
        if of_everybody(user).iter().any(|rule| rule.covers(wish)) {
            return Some(String::new());
        }
        let namespace = match wish {
            Wish::Objects { namespace, .. } => *namespace,
            Wish::Path { .. } => "",
        };
        self.grants(user, namespace).find_map(|(binding, subject, rules)| {
            rules.iter().any(|rule| rule.covers(wish)).then(|| binding.reason(subject))
        })
    }

    /// Gives all rules that hold for somebody in a namespace.
    pub(crate) fn rules_of(&self, user: &User, namespace: &str) -> Vec<Rule> {
        let mut rules = of_everybody(user);
        if user.is_master() {
            rules.extend(everything());
        }
        for (_, _, granted) in self.grants(user, namespace) {
            rules.extend(granted);
        }
        rules
    }

    fn grants<'a>(
        &'a self,
        user: &'a User,
        namespace: &'a str,
    ) -> impl Iterator<Item = (&'a Binding, &'a Subject, Vec<Rule>)> {
        let here = self.bindings.iter().filter(move |binding| {
            binding.namespace.is_empty() || (!namespace.is_empty() && binding.namespace == namespace)
        });
        here.filter_map(move |binding| {
            let subject = binding.subjects.iter().find(|subject| subject.is(user))?;
            Some((binding, subject, self.role(binding)?))
        })
    }

    fn role(&self, binding: &Binding) -> Option<Vec<Rule>> {
        if binding.role_kind == "Role" {
            return self.roles.get(&(binding.namespace.clone(), binding.role.clone())).cloned();
        }
        let stored = self.cluster_roles.get(&binding.role).cloned();
        stored.or_else(|| (binding.role == "cluster-admin").then(everything))
    }
}

// === impl Rule ===

impl Rule {
    fn of_paths(paths: &[&str]) -> Self {
        Self { verbs: vec!["get".to_owned()], paths: owned(paths), ..Self::default() }
    }

    fn covers(&self, wish: &Wish<'_>) -> bool {
        match wish {
            Wish::Path { verb, path } => {
                names(&self.verbs, verb)
                    && self.paths.iter().any(|known| match known.strip_suffix('*') {
                        Some(start) => path.starts_with(start),
                        None => known == path,
                    })
            }
            Wish::Objects { verb, group, resource, subresource, name, .. } => {
                names(&self.verbs, verb)
                    && names(&self.groups, group)
                    && self.has_resource(resource, subresource)
                    && (self.names.is_empty() || self.names.iter().any(|known| known == name))
            }
        }
    }

    fn has_resource(&self, resource: &str, subresource: &str) -> bool {
        let whole =
            if subresource.is_empty() { resource.to_owned() } else { format!("{resource}/{subresource}") };
        let any = format!("*/{subresource}");
        names(&self.resources, &whole) || (!subresource.is_empty() && self.resources.contains(&any))
    }

    /// Gives it as reviews show it, and whether it is about paths.
    pub(crate) fn to_value(&self) -> (bool, Value) {
        if self.paths.is_empty() {
            let mut value = serde_json::json!({
                "verbs": self.verbs, "apiGroups": self.groups, "resources": self.resources,
            });
            if let (false, Value::Object(map)) = (self.names.is_empty(), &mut value) {
                map.insert("resourceNames".to_owned(), self.names.clone().into());
            }
            (false, value)
        } else {
            (true, serde_json::json!({"verbs": self.verbs, "nonResourceURLs": self.paths}))
        }
    }
}

// === impl Binding ===

impl Binding {
    fn reason(&self, subject: &Subject) -> String {
        let binding = if self.namespace.is_empty() {
            format!("ClusterRoleBinding {:?}", self.name)
        } else {
            format!("RoleBinding \"{}/{}\"", self.name, self.namespace)
        };
        let whom = if subject.kind == "ServiceAccount" {
            format!("ServiceAccount \"{}/{}\"", subject.name, subject.namespace)
        } else {
            format!("{} {:?}", subject.kind, subject.name)
        };
        format!("RBAC: allowed by {binding} of {} {:?} to {whom}", self.role_kind, self.role)
    }
}

// === impl Subject ===

impl Subject {
    fn is(&self, user: &User) -> bool {
        match self.kind.as_str() {
            "User" => self.name == user.name,
            "Group" => user.groups.contains(&self.name),
            "ServiceAccount" => {
                user.name.strip_prefix("system:serviceaccount:").and_then(|rest| rest.split_once(':'))
                    == Some((self.namespace.as_str(), self.name.as_str()))
            }
            _ => false,
        }
    }
}

/// What everybody may do on a cluster as it comes.
fn of_everybody(user: &User) -> Vec<Rule> {
    let mut rules = vec![Rule::of_paths(&["/healthz", "/livez", "/readyz", "/version", "/version/"])];
    if user.groups.iter().any(|group| group == AUTHENTICATED) {
        rules.push(Rule::of_paths(&[
            "/api",
            "/api/*",
            "/apis",
            "/apis/*",
            "/healthz",
            "/livez",
            "/openapi",
            "/openapi/*",
            "/readyz",
            "/version",
            "/version/",
        ]));
        let create = |group: &str, resources: &[&str]| Rule {
            verbs: owned(&["create"]),
            groups: owned(&[group]),
            resources: owned(resources),
            ..Rule::default()
        };
        rules.push(create("authorization.k8s.io", &["selfsubjectaccessreviews", "selfsubjectrulesreviews"]));
        rules.push(create("authentication.k8s.io", &["selfsubjectreviews"]));
    }
    rules
}

fn everything() -> Vec<Rule> {
    let all = || owned(&["*"]);
    let objects = Rule { verbs: all(), groups: all(), resources: all(), ..Rule::default() };
    vec![objects, Rule { verbs: all(), paths: all(), ..Rule::default() }]
}

fn rules(object: &Value) -> Vec<Rule> {
    let rule = |rule: &Value| {
        let texts =
            |pointer: &str| list(rule, pointer).filter_map(Value::as_str).map(str::to_owned).collect();
        Rule {
            verbs: texts("/verbs"),
            groups: texts("/apiGroups"),
            resources: texts("/resources"),
            names: texts("/resourceNames"),
            paths: texts("/nonResourceURLs"),
        }
    };
    list(object, "/rules").map(rule).collect()
}

fn list<'a>(object: &'a Value, pointer: &str) -> impl Iterator<Item = &'a Value> {
    object.pointer(pointer).and_then(Value::as_array).into_iter().flatten()
}

fn text(object: &Value, pointer: &str) -> String {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn owned(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

fn names(known: &[String], wanted: &str) -> bool {
    known.iter().any(|known| known == "*" || known == wanted)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn user(name: &str) -> User {
        User { name: name.to_owned(), groups: vec![AUTHENTICATED.to_owned()] }
    }

    fn wish<'a>(verb: &'a str, resource: &'a str, namespace: &'a str) -> Wish<'a> {
        Wish::Objects { verb, group: "", resource, subresource: "", namespace, name: "" }
    }

    fn policy() -> Policy {
        let mut policy = Policy::default();
        policy.add_cluster_role(&json!({"metadata": {"name": "reader"},
            "rules": [{"verbs": ["get", "list"], "apiGroups": [""], "resources": ["configmaps", "*/status"]}]}));
        policy.add_binding(&json!({"metadata": {"name": "b", "namespace": "shop"},
            "roleRef": {"kind": "ClusterRole", "name": "reader"}, "subjects": [{"kind": "User", "name": "ann"}]}));
        policy.add_binding(
            &json!({"metadata": {"name": "ops"}, "roleRef": {"kind": "ClusterRole", "name": "cluster-admin"},
            "subjects": [{"kind": "ServiceAccount", "name": "op", "namespace": "kube-system"}]}),
        );
        policy
    }

    #[test]
    fn a_binding_in_a_namespace_holds_there_alone() {
        let policy = policy();
        let why = policy.allows(&user("ann"), &wish("get", "configmaps", "shop"));
        assert_eq!(
            why.as_deref(),
            Some("RBAC: allowed by RoleBinding \"b/shop\" of ClusterRole \"reader\" to User \"ann\"")
        );
        assert_eq!(policy.allows(&user("ann"), &wish("get", "configmaps", "other")), None);
        assert_eq!(policy.allows(&user("ann"), &wish("list", "configmaps", "")), None);
        assert_eq!(policy.allows(&user("ann"), &wish("delete", "configmaps", "shop")), None);
        assert_eq!(policy.allows(&user("bob"), &wish("get", "configmaps", "shop")), None);
        let status = Wish::Objects {
            verb: "get",
            group: "",
            resource: "pods",
            subresource: "status",
            namespace: "shop",
            name: "x",
        };
        assert!(policy.allows(&user("ann"), &status).is_some());
    }

    #[test]
    fn masters_and_administrators_may_do_everything() {
        let policy = policy();
        assert!(
            policy
                .allows(&user("system:serviceaccount:kube-system:op"), &wish("delete", "nodes", ""))
                .is_some()
        );
        let master = User { name: "root".to_owned(), groups: vec![MASTERS.to_owned()] };
        assert!(policy.allows(&master, &Wish::Path { verb: "get", path: "/debug" }).is_some());
    }

    #[test]
    fn everybody_may_look_around() {
        let policy = Policy::default();
        let get = |path| Wish::Path { verb: "get", path };
        assert!(policy.allows(&user("ann"), &get("/apis/apps/v1")).is_some());
        assert!(policy.allows(&User::anonymous(), &get("/version")).is_some());
        assert!(policy.allows(&User::anonymous(), &get("/api")).is_none());
        assert_eq!(
            get("/api").denied(&User::anonymous()),
            "User \"system:anonymous\" cannot get path \"/api\""
        );
        assert_eq!(
            wish("list", "pods", "").denied(&user("ann")),
            "User \"ann\" cannot list resource \"pods\" in API group \"\" at the cluster scope"
        );
        assert_eq!(policy.rules_of(&user("ann"), "shop").len(), 4);
    }
}
