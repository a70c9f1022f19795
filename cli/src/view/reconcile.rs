//! What hub and agent disagree on.

use argosy_proto::v1;
use serde::Serialize;

use crate::output::Table;
use crate::text;
use crate::view::{name_of, revision_of};

/// The answer of `cluster reconcile`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Reconciliation {
    name: String,
    holding: bool,
    ended: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    why: String,
    hub_generation: Option<u64>,
    agent_generation: Option<u64>,
    obstacles: Vec<String>,
    clones: Vec<String>,
    differences: Vec<Difference>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Difference {
    namespace: String,
    name: String,
    #[serde(rename = "difference")]
    kind: &'static str,
    hub: String,
    hub_phase: &'static str,
    agent: String,
    agent_phase: &'static str,
    /// Objects that the agent would delete once the hold ends, as far as it told.
    deletes: Vec<String>,
    deletes_count: u64,
}

// === impl Reconciliation ===

impl Reconciliation {
    /// Reads the answer of `cluster reconcile`.
    pub(crate) fn of(name: &str, response: &v1::ReconcileClusterResponse) -> Self {
        let differences = response.rows.iter().map(|row| Difference {
            namespace: row.namespace.clone(),
            name: row.name.clone(),
            kind: row.difference().word(),
            hub: revision_of(row.hub.as_ref()),
            hub_phase: row.hub_phase().word(),
            agent: revision_of(row.agent.as_ref()),
            agent_phase: row.agent_phase().word(),
            deletes: row.held.iter().flat_map(|held| &held.deletes).map(object).collect(),
            deletes_count: row.held.as_ref().map_or(0, |held| held.deletes.len() as u64 + held.more),
        });
        Self {
            name: name.to_owned(),
            holding: response.holding,
            ended: response.ended,
            why: response.why.clone(),
            hub_generation: response.hub_generation,
            agent_generation: response.agent_generation,
            obstacles: response.obstacles.clone(),
            clones: response.clones.clone(),
            differences: differences.collect(),
        }
    }

    /// Tells whether nothing is left to decide.
    pub(crate) fn is_settled(&self) -> bool {
        (self.ended || !self.holding) && self.clones.is_empty()
    }

    /// Gives it for people.
    pub(crate) fn render(&self) -> String {
        let mut text = String::new();
        let side = |revision: &str, phase: &str| {
            let revision = text::short(revision);
            if matches!(phase, "Unknown" | "Active") { revision } else { format!("{revision} ({phase})") }
        };
        let mut table = Table::new(["APP", "DIFFERENCE", "HUB", "AGENT", "DELETES"]);
        for row in &self.differences {
            table.row([
                format!("{}/{}", row.namespace, row.name),
                row.kind.to_owned(),
                side(&row.hub, row.hub_phase),
                side(&row.agent, row.agent_phase),
                if row.deletes_count == 0 { String::new() } else { row.deletes_count.to_string() },
            ]);
        }
        if table.has_rows() {
            text.push_str(&table.render());
            text.push('\n');
        }
        for row in self.differences.iter().filter(|row| row.deletes_count > 0) {
            text.push_str(&text::clean(&format!("{}/{} would delete:", row.namespace, row.name)));
            text.push('\n');
            for object in &row.deletes {
                text.extend(["  ", &text::clean(object), "\n"]);
            }
            let more = row.deletes_count.saturating_sub(row.deletes.len() as u64);
            if more > 0 {
                text.extend(["  and ", &more.to_string(), " more\n"]);
            }
        }
        if self.holding || self.ended {
            let head =
                |generation: Option<u64>| generation.map_or("none".to_owned(), |head| head.to_string());
            text.extend([
                "Newest head of the hub: ",
                &head(self.hub_generation),
                "; of the agent: ",
                &head(self.agent_generation),
                ".\n",
            ]);
        }
        if !self.why.is_empty() {
            text.extend(["Why: ", &text::clean(&self.why), "\n"]);
        }
        let name = text::clean(&self.name);
        let end = match (self.ended, self.holding) {
            (true, _) => format!("The hold on deletes of {name} is ended.\n"),
            (false, true) => format!(
                "All deletes of {name} are held. `argosy cluster reconcile {name} --confirm` makes the hub's side hold \
                 and ends it.\n"
            ),
            (false, false) => {
                format!("Hub and agent of {name} agree on their history; no deletes are held.\n")
            }
        };
        text.push_str(&end);
        if !self.clones.is_empty() {
            let clones = self.clones.join(" and ");
            text.extend([
                "Two clusters have this identity, and neither is served. The UIDs of their namespaces kube-system: ",
                &text::clean(&clones),
                ".\nKeep one: argosy cluster reconcile ",
                &name,
                " --keep UID\n",
            ]);
        }
        for obstacle in &self.obstacles {
            text.extend(["Not yet: ", &text::clean(obstacle), "\n"]);
        }
        text
    }
}

/// Names an object as KIND NAMESPACE/NAME.
fn object(delete: &v1::HeldDelete) -> String {
    let key = delete.key.clone().unwrap_or_default();
    let name = name_of(&key);
    let kind = if key.group.is_empty() { key.kind } else { format!("{}.{}", key.kind, key.group) };
    if key.namespace.is_empty() {
        format!("{kind} {name}")
    } else {
        format!("{kind} {}/{name}", key.namespace)
    }
}
