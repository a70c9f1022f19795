//! Projects, as Argo CD shows them.

use argosy_proto::v1;
use serde::Serialize;
use serde_json::{Value, json};

use crate::output::Table;
use crate::text;

/// A project as a document.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Project {
    api_version: &'static str,
    kind: &'static str,
    metadata: Value,
    spec: Value,
    status: Status,
}

#[derive(Debug, Serialize)]
struct Status {
    /// The file of the fleet; absent for the project `default` that no document defines.
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    /// How many applications are in it.
    apps: u64,
    /// Why it is not what the fleet says now, or is not in force.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}

/// The spec of a project's document, to show in cells.
struct Spec(Value);

// === impl Project ===

impl From<&v1::ProjectView> for Project {
    fn from(view: &v1::ProjectView) -> Self {
        let document: Value = serde_json::from_str(&view.document_json).unwrap_or_else(|_none| json!({}));
        let part = |name: &str| document.get(name).filter(|part| part.is_object()).cloned();
        Self {
            api_version: "argoproj.io/v1alpha1",
            kind: "AppProject",
            metadata: part("metadata").unwrap_or_else(|| json!({"name": view.name})),
            spec: part("spec").unwrap_or_else(|| json!({})),
            status: Status {
                file: Some(view.file.clone()).filter(|file| !file.is_empty()),
                apps: view.apps,
                problem: Some(view.problem.clone()).filter(|problem| !problem.is_empty()),
            },
        }
    }
}

// === impl Spec ===

impl Spec {
    fn list(&self, field: &str) -> &[Value] {
        self.0.get(field).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
    }

    fn text(&self, field: &str) -> String {
        self.0.get(field).and_then(Value::as_str).unwrap_or_default().to_owned()
    }

    fn destinations(&self) -> Vec<String> {
        let of = |item: &Value| {
            let server = field(item, "server");
            let server = if server.is_empty() { field(item, "name") } else { server };
            format!("{server},{}", field(item, "namespace"))
        };
        self.list("destinations").iter().map(of).collect()
    }

    fn texts(&self, name: &str) -> Vec<String> {
        self.list(name).iter().filter_map(Value::as_str).map(str::to_owned).collect()
    }

    fn kinds(&self, name: &str) -> Vec<String> {
        self.list(name)
            .iter()
            .map(|item| format!("{}/{}", field(item, "group"), field(item, "kind")))
            .collect()
    }

    fn keys(&self) -> Vec<String> {
        self.list("signatureKeys").iter().map(|item| field(item, "keyID").to_owned()).collect()
    }

    fn accounts(&self) -> Vec<String> {
        let of = |item: &Value| {
            format!(
                "{},{},{}",
                field(item, "server"),
                field(item, "namespace"),
                field(item, "defaultServiceAccount")
            )
        };
        self.list("destinationServiceAccounts").iter().map(of).collect()
    }

    fn orphaned(&self) -> String {
        match self.0.get("orphanedResources").filter(|orphaned| orphaned.is_object()) {
            None => "disabled".to_owned(),
            Some(orphaned) => {
                let warn = orphaned.get("warn").and_then(Value::as_bool).unwrap_or(true);
                format!("enabled (warn={warn})")
            }
        }
    }
}

/// Gives the table of projects.
pub(crate) fn table(projects: &[v1::ProjectView]) -> String {
    let mut table = Table::new([
        "NAME",
        "DESCRIPTION",
        "DESTINATIONS",
        "SOURCES",
        "CLUSTER-RESOURCE-WHITELIST",
        "NAMESPACE-RESOURCE-BLACKLIST",
        "SIGNATURE-KEYS",
        "ORPHANED-RESOURCES",
        "DESTINATION-SERVICE-ACCOUNTS",
    ]);
    for view in projects {
        let spec = Spec(Project::from(view).spec);
        table.row([
            view.name.clone(),
            spec.text("description"),
            counted(&spec.destinations(), "destinations"),
            counted(&spec.texts("sourceRepos"), "repos"),
            counted(&spec.kinds("clusterResourceWhitelist"), "resources"),
            counted(&spec.kinds("namespaceResourceBlacklist"), "resources"),
            match spec.keys().len() {
                0 => "<none>".to_owned(),
                keys => format!("{keys} key(s)"),
            },
            spec.orphaned(),
            counted(&spec.accounts(), "accounts"),
        ]);
    }
    let mut text = table.render();
    for view in projects.iter().filter(|view| !view.problem.is_empty()) {
        text.extend([format!("\n{}\n", text::clean(&view.problem))]);
    }
    text
}

/// Gives one name a line.
pub(crate) fn names(projects: &[v1::ProjectView]) -> String {
    projects.iter().map(|view| text::clean(&view.name) + "\n").collect()
}

/// Gives one project for people.
pub(crate) fn detail(view: &v1::ProjectView) -> String {
    let spec = Spec(Project::from(view).spec);
    let mut text = String::new();
    let mut add = |key: &str, values: &[String]| {
        let none = ["<none>".to_owned()];
        let values = if values.is_empty() { none.as_slice() } else { values };
        for (index, value) in values.iter().enumerate() {
            let key = if index == 0 { format!("{key}:") } else { String::new() };
            let line = format!("{key:<30}{}", text::clean(value));
            text.extend([line.trim_end(), "\n"]);
        }
    };
    add("Name", std::slice::from_ref(&view.name));
    add("Description", &[spec.text("description")]);
    add("Destinations", &spec.destinations());
    add("Repositories", &spec.texts("sourceRepos"));
    add("Allowed Cluster Resources", &spec.kinds("clusterResourceWhitelist"));
    add("Denied Cluster Resources", &spec.kinds("clusterResourceBlacklist"));
    add("Allowed Namespaced Resources", &allowed_in_namespaces(&spec));
    add("Denied Namespaced Resources", &spec.kinds("namespaceResourceBlacklist"));
    add("Signature keys", &spec.keys());
    add("Orphaned Resources", &[spec.orphaned()]);
    add("Service Accounts", &spec.accounts());
    add("Applications", &[view.apps.to_string()]);
    let file = if view.file.is_empty() { "none: it is built in" } else { &view.file };
    add("File", &[file.to_owned()]);
    if !view.problem.is_empty() {
        add("Problem", std::slice::from_ref(&view.problem));
    }
    text
}

/// Without a list all kinds are permitted there; with an empty one none is.
fn allowed_in_namespaces(spec: &Spec) -> Vec<String> {
    let field = "namespaceResourceWhitelist";
    if spec.0.get(field).is_some_and(Value::is_array) { spec.kinds(field) } else { vec!["*/*".to_owned()] }
}

/// Gives none, the only one, or how many there are.
fn counted(values: &[String], noun: &str) -> String {
    match values {
        [] => "<none>".to_owned(),
        [one] => one.clone(),
        more => format!("{} {noun}", more.len()),
    }
}

fn field<'a>(item: &'a Value, name: &str) -> &'a str {
    item.get(name).and_then(Value::as_str).unwrap_or_default()
}
