//! What a change that is not merged yet would do, for people, for pull requests and for programs.

use argosy_proto::v1;
use serde::Serialize;

use crate::output::Table;
use crate::text;
use crate::view::{diff, with_part};

/// A preview, for programs.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Document {
    /// How many apps would stay as they are.
    same: u64,
    /// How many would not, and were not asked for.
    left_out: usize,
    conditions: Vec<Said>,
    /// Apps that the fleet would lose at once: nothing of them goes until that is confirmed.
    lost: Vec<String>,
    /// What such a confirmation would name.
    loss_plan: Option<String>,
    apps: Vec<App>,
}

#[derive(Debug, Serialize)]
struct Said {
    r#type: String,
    message: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct App {
    namespace: String,
    name: String,
    cluster: String,
    fate: &'static str,
    settings: Vec<String>,
    automated: bool,
    commit: Option<String>,
    conditions: Vec<Said>,
    actions: Vec<Line>,
    held: Option<String>,
    objects: Vec<diff::Object>,
    /// Further objects that differ and are not told.
    more: u64,
}

#[derive(Debug, Serialize)]
struct Line {
    phase: String,
    wave: i32,
    action: String,
    group: String,
    kind: String,
    namespace: String,
    name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    part: String,
    why: String,
}

// === impl Document ===

impl Document {
    /// Puts it together.
    pub(crate) fn of(fleet: &v1::FleetPreview, apps: &[v1::AppPreview], left_out: usize) -> Self {
        Self {
            same: fleet.same,
            left_out,
            conditions: fleet.conditions.iter().map(Said::from).collect(),
            lost: fleet.lost.clone(),
            loss_plan: some(&fleet.loss_plan),
            apps: apps.iter().map(App::from).collect(),
        }
    }
}

impl From<&v1::Condition> for Said {
    fn from(condition: &v1::Condition) -> Self {
        Self { r#type: condition.r#type.clone(), message: condition.message.clone() }
    }
}

impl From<&v1::AppPreview> for App {
    fn from(app: &v1::AppPreview) -> Self {
        let diff = app.diff.clone().unwrap_or_default();
        Self {
            namespace: app.namespace.clone(),
            name: app.name.clone(),
            cluster: app.cluster.clone(),
            fate: app.fate().word(),
            settings: app.settings.clone(),
            automated: app.automated,
            commit: some(&app.commit),
            conditions: app.conditions.iter().map(Said::from).collect(),
            actions: app.actions.iter().map(Line::from).collect(),
            held: some(&app.held),
            objects: diff.objects.iter().map(diff::Object::from).collect(),
            more: diff.more,
        }
    }
}

impl From<&v1::PlannedAction> for Line {
    fn from(planned: &v1::PlannedAction) -> Self {
        let key = planned.key.clone().unwrap_or_default();
        Self {
            phase: planned.phase.clone(),
            wave: planned.wave,
            action: planned.action.clone(),
            group: key.group,
            kind: key.kind,
            namespace: key.namespace,
            name: key.name,
            part: key.part,
            why: planned.why.clone(),
        }
    }
}

fn some(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

/// Says what would become of an app.
fn fate(app: &v1::AppPreview) -> &'static str {
    match (app.fate(), app.automated) {
        (v1::Fate::Assigned, true) => "would come to the cluster and sync by itself",
        (v1::Fate::Assigned, false) => "would come to the cluster and wait for a sync",
        (v1::Fate::Changed, true) => "would change by itself",
        (v1::Fate::Changed, false) => "would change, and its objects once somebody syncs it",
        (v1::Fate::Frozen, _) => "would be kept as it is: nothing new, no deletes",
        (v1::Fate::Released, _) => "would leave the cluster; its objects stay",
        (v1::Fate::Deleted, _) => "would leave the cluster, and its objects with it",
        (v1::Fate::Waits, _) => "would be on no cluster",
        (v1::Fate::Told, _) => "would stay as it is",
        (v1::Fate::Unspecified, _) => "would become something that this version does not know",
    }
}

fn name(app: &v1::AppPreview) -> String {
    text::clean(&format!("{}/{}", app.namespace, app.name))
}

/// Names an app and its cluster.
fn title(app: &v1::AppPreview) -> String {
    if app.cluster.is_empty() { name(app) } else { format!("{} on {}", name(app), text::clean(&app.cluster)) }
}

/// Says how many would stay as they are, and what else there is.
fn sum(fleet: &v1::FleetPreview, apps: &[v1::AppPreview], left_out: usize) -> String {
    let more = if left_out == 0 { String::new() } else { format!(", {left_out} more not asked for") };
    format!("{} apps would change{more}, {} stay as they are", apps.len(), fleet.same)
}

fn lost(fleet: &v1::FleetPreview) -> Option<String> {
    (!fleet.lost.is_empty()).then(|| {
        format!(
            "the fleet would lose {} apps at once; nothing of them is let go or deleted until that is confirmed: {}",
            fleet.lost.len(),
            text::clean(&fleet.lost.join(", "))
        )
    })
}

fn said(condition: &v1::Condition) -> String {
    text::clean(&format!("{}: {}", condition.r#type, condition.message))
}

fn held(app: &v1::AppPreview) -> Option<String> {
    let held = format!("The governor would hold the deletes until they are confirmed: {}", app.held);
    (!app.held.is_empty()).then(|| text::clean(&held))
}

/// Gives a preview for people.
pub(crate) fn text(fleet: &v1::FleetPreview, apps: &[v1::AppPreview], left_out: usize) -> String {
    let mut text = String::new();
    for line in lost(fleet).into_iter().chain(fleet.conditions.iter().map(said)) {
        text.extend([line.as_str(), "\n"]);
    }
    for app in apps {
        text.extend([title(app).as_str(), ": ", fate(app), "\n"]);
        if !app.settings.is_empty() {
            text.extend(["  other settings: ", &text::clean(&app.settings.join(", ")), "\n"]);
        }
        for condition in &app.conditions {
            text.extend(["  ", &said(condition), "\n"]);
        }
        let mut table = Table::new(["PHASE", "WAVE", "ACTION", "GROUP", "KIND", "NAMESPACE", "NAME", "WHY"]);
        for Line { phase, wave, action, group, kind, namespace, name, part, why } in
            app.actions.iter().map(Line::from)
        {
            let name = with_part(&name, &part);
            table.row([phase, wave.to_string(), action, group, kind, namespace, name, why]);
        }
        if table.has_rows() {
            text.extend(["\n", &table.render()]);
        }
        text.push_str(&app.diff.as_ref().map(diff::text).unwrap_or_default());
        text.extend(held(app).map(|held| format!("\n{held}\n")));
        text.push('\n');
    }
    text.extend([sum(fleet, apps, left_out).as_str(), "\n"]);
    text
}

/// Gives a preview for a comment on a pull request.
pub(crate) fn markdown(fleet: &v1::FleetPreview, apps: &[v1::AppPreview], left_out: usize) -> String {
    let mut text = format!("## Argosy: {}\n", sum(fleet, apps, left_out));
    for line in lost(fleet).into_iter().chain(fleet.conditions.iter().map(said)) {
        text.extend(["\n> ", &code(&line), "\n"]);
    }
    for app in apps {
        let on = if app.cluster.is_empty() { String::new() } else { format!(" on {}", code(&app.cluster)) };
        text.extend([format!("\n### {}{on}\n\nThe app {}.\n", code(&name(app)), fate(app))]);
        if !app.settings.is_empty() {
            let settings: Vec<String> = app.settings.iter().map(|setting| code(setting)).collect();
            text.extend(["\nOther settings: ", &settings.join(", "), "\n"]);
        }
        for condition in &app.conditions {
            text.extend(["\n> ", &code(&said(condition)), "\n"]);
        }
        if !app.actions.is_empty() {
            text.push_str("\n| phase | wave | action | object | why |\n|---|---|---|---|---|\n");
            for planned in app.actions.iter().map(Line::from) {
                let Line { phase, wave, action, group, kind, namespace, name, part, why } = planned;
                let object = code(&format!("{group}/{kind} {namespace}/{}", with_part(&name, &part)));
                let why = code(&why);
                text.extend([format!(
                    "| {} | {wave} | {} | {object} | {why} |\n",
                    code(&phase),
                    code(&action)
                )]);
            }
        }
        text.extend(held(app).map(|held| format!("\n**{}**\n", code(&held))));
        let differences = app.diff.as_ref().map(diff::text).unwrap_or_default();
        if !differences.is_empty() {
            let fence = "`".repeat(longest_run(&differences).max(2) + 1);
            text.extend([format!(
                "\n<details><summary>What differs</summary>\n\n{fence}\n{}\n{fence}\n\n</details>\n",
                differences.trim_matches('\n')
            )]);
        }
    }
    text
}

/// Gives a text as code, which no character of it ends.
fn code(text: &str) -> String {
    let text = text::clean(text).replace('|', "\\|");
    let marks = "`".repeat(longest_run(&text) + 1);
    let space = if text.starts_with('`') || text.ends_with('`') { " " } else { "" };
    format!("{marks}{space}{text}{space}{marks}")
}

/// Counts the backticks of the longest run of them.
fn longest_run(text: &str) -> usize {
    text.split(|character| character != '`').map(str::len).max().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Format;
    use crate::output;

    fn key(kind: &str, name: &str) -> v1::ResourceKey {
        v1::ResourceKey {
            group: "apps".to_owned(),
            kind: kind.to_owned(),
            namespace: "shop".to_owned(),
            name: name.to_owned(),
            part: String::new(),
        }
    }

    fn planned(action: &str, name: &str, why: &str) -> v1::PlannedAction {
        v1::PlannedAction {
            phase: "Sync".to_owned(),
            wave: 0,
            action: action.to_owned(),
            key: Some(key("Deployment", name)),
            why: why.to_owned(),
        }
    }

    fn condition(kind: &str, message: &str) -> v1::Condition {
        v1::Condition { r#type: kind.to_owned(), message: message.to_owned(), since_unix_ms: None }
    }

    fn preview() -> (v1::FleetPreview, Vec<v1::AppPreview>) {
        let field = v1::FieldDiff {
            path: "spec.replicas".to_owned(),
            live: Some("1".to_owned()),
            desired: Some("2".to_owned()),
            untold: 0,
        };
        let changed = v1::ObjectDiff {
            key: Some(key("Deployment", "web")),
            change: v1::Change::Changed.into(),
            fields: vec![field],
            ..v1::ObjectDiff::default()
        };
        let web = v1::AppPreview {
            namespace: "argocd".to_owned(),
            name: "web".to_owned(),
            cluster: "edge".to_owned(),
            fate: v1::Fate::Changed.into(),
            settings: vec!["spec.syncPolicy".to_owned()],
            automated: true,
            commit: "c0ffee1122".to_owned(),
            actions: vec![
                planned("delete", "old", "it left the desired state"),
                planned("change", "web", "spec.replicas: 1 -> 2 | `odd`"),
            ],
            held: "3 of the app's 4 objects would be deleted".to_owned(),
            diff: Some(v1::Diff { objects: vec![changed], more: 1, ..v1::Diff::default() }),
            ..v1::AppPreview::default()
        };
        let waits = v1::AppPreview {
            namespace: "argocd".to_owned(),
            name: "new".to_owned(),
            fate: v1::Fate::Waits.into(),
            conditions: vec![condition("UnknownError", "waits for cluster far \x1b[31mto be registered")],
            ..v1::AppPreview::default()
        };
        let fleet = v1::FleetPreview {
            same: 7,
            conditions: vec![condition("FleetDocument", "apps/bad.yaml: document 1, line 3: no")],
            lost: vec!["argocd/a".to_owned(), "argocd/b".to_owned()],
            loss_plan: "ab12".to_owned(),
        };
        (fleet, vec![waits, web])
    }

    #[test]
    fn a_preview_is_shown_to_people_to_reviewers_and_to_programs() {
        let (fleet, apps) = preview();
        insta::assert_snapshot!("preview", text(&fleet, &apps, 2));
        insta::assert_snapshot!("preview_markdown", markdown(&fleet, &apps, 0));
        let document = Document::of(&fleet, &apps, 0);
        insta::assert_snapshot!("preview_json", output::document(Format::Json, &document).unwrap());
    }

    #[test]
    fn nothing_to_change_is_said() {
        let fleet = v1::FleetPreview { same: 3, ..v1::FleetPreview::default() };
        assert_eq!(text(&fleet, &[], 0), "0 apps would change, 3 stay as they are\n");
        assert_eq!(markdown(&fleet, &[], 0), "## Argosy: 0 apps would change, 3 stay as they are\n");
    }

    #[test]
    fn code_is_ended_by_nothing_in_it() {
        assert_eq!(code("a`b"), "``a`b``");
        assert_eq!(code("`a"), "`` `a ``");
        assert_eq!(code("a|b"), "`a\\|b`");
    }
}
