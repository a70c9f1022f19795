//! What hub and agent disagree on.

use argosy_proto::v1;
use serde::Serialize;

use crate::output::Table;
use crate::text;
use crate::view::revision_of;

/// The answer of `cluster reconcile`.
#[derive(Debug, Serialize)]
pub(crate) struct Reconciliation {
    name: String,
    holding: bool,
    ended: bool,
    obstacles: Vec<String>,
    clones: Vec<String>,
    differences: Vec<Difference>,
}

#[derive(Debug, Serialize)]
struct Difference {
    namespace: String,
    name: String,
    #[serde(rename = "difference")]
    kind: &'static str,
    hub: String,
    agent: String,
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
            agent: revision_of(row.agent.as_ref()),
        });
        Self {
            name: name.to_owned(),
            holding: response.holding,
            ended: response.ended,
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
        let mut table = Table::new(["APP", "DIFFERENCE", "HUB", "AGENT"]);
        for row in &self.differences {
            table.row([
                format!("{}/{}", row.namespace, row.name),
                row.kind.to_owned(),
                text::short(&row.hub),
                text::short(&row.agent),
            ]);
        }
        if table.has_rows() {
            text.push_str(&table.render());
            text.push('\n');
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
