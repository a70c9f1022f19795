//! Plans of syncs.

use std::collections::BTreeMap;

use argosy_core::ids::AppId;
use argosy_core::plan::{Action, Plan, Planned};
use argosy_proto::v1;
use serde::Serialize;

use crate::output::Table;
use crate::text;
use crate::view::with_part;

/// A plan, for programs.
#[derive(Debug, Serialize)]
pub(crate) struct PlanView {
    app: String,
    /// Names the plan: another order or another action is another plan.
    plan: String,
    /// Whether a sync would change something.
    changes: bool,
    /// Why the governor would hold its deletes.
    held: Option<String>,
    actions: Vec<Line>,
}

#[derive(Debug, Serialize)]
struct Line {
    phase: &'static str,
    wave: i32,
    action: &'static str,
    group: String,
    kind: String,
    namespace: String,
    name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    part: String,
    why: String,
}

// === impl PlanView ===

impl PlanView {
    /// Puts a plan into words.
    pub(crate) fn of(app: &AppId, plan: &Plan) -> Self {
        Self {
            app: app.to_string(),
            plan: plan.digest().to_string(),
            changes: plan.changes_something(),
            held: plan.held.clone(),
            actions: plan.lines.iter().map(Line::of).collect(),
        }
    }
}

// === impl Line ===

impl Line {
    fn of(planned: &Planned) -> Self {
        let v1::ResourceKey { group, kind, namespace, name, part } = (&planned.key).into();
        Self {
            phase: planned.step.phase.as_str(),
            wave: planned.step.wave,
            action: planned.action.as_str(),
            group,
            kind,
            namespace,
            name,
            part,
            why: planned.why.clone(),
        }
    }
}

/// Gives a plan for people.
pub(crate) fn table(app: &AppId, plan: &Plan) -> String {
    let mut table = Table::new(["PHASE", "WAVE", "ACTION", "GROUP", "KIND", "NAMESPACE", "NAME", "WHY"]);
    let mut counts: BTreeMap<Action, usize> = BTreeMap::new();
    for planned in &plan.lines {
        *counts.entry(planned.action).or_default() += 1;
        let line = Line::of(planned);
        table.row([
            line.phase.to_owned(),
            line.wave.to_string(),
            line.action.to_owned(),
            line.group,
            line.kind,
            line.namespace,
            with_part(&line.name, &line.part),
            line.why,
        ]);
    }
    let mut text = table.render();
    if let Some(held) = &plan.held {
        let held = format!("The governor would hold the deletes until they are confirmed: {held}");
        text.extend([format!("\n{}\n", text::clean(&held))]);
    }
    let counts: Vec<String> =
        counts.into_iter().map(|(action, count)| format!("{count} {}", action.as_str())).collect();
    let counts = if counts.is_empty() { "nothing to do".to_owned() } else { counts.join(", ") };
    let sum = format!("Plan {} of {app}: {counts}", plan.digest().short());
    text.extend([format!("\n{}\n", text::clean(&sum))]);
    text
}
