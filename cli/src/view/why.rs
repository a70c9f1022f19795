//! Why an object is as it is.

use argosy_core::key::ResourceKey;
use argosy_proto::v1;
use serde::Serialize;

use crate::output::Table;
use crate::text;
use crate::view::app::Document;
use crate::view::{Observed, age_of, revision_of};

/// The answer of `argosy why`.
#[derive(Debug, Serialize)]
pub(crate) struct Why {
    app: String,
    object: String,
    cluster: String,
    /// Whether the agent itself said so now; else it is what the hub was told last.
    asked: bool,
    chain: Vec<Part>,
    observed: Option<Observed>,
    #[serde(skip)]
    age: String,
}

#[derive(Debug, Serialize)]
struct Part {
    link: String,
    state: &'static str,
    message: String,
}

const FINE: &str = "fine";
const WAITS: &str = "waits";
const STOPS: &str = "stops";

// === impl Why ===

impl Why {
    /// Puts the hub's part and the agent's together.
    pub(crate) fn of(view: &v1::AppView, key: &ResourceKey, progress: &v1::CommandProgress) -> Self {
        let mut why = Self::begin(view, key);
        why.asked = true;
        why.observed = progress.observed.as_ref().map(Into::into);
        why.age = age_of(progress.observed.as_ref());
        for line in &progress.why {
            let state = match line.state() {
                v1::WhyState::Fine | v1::WhyState::Unspecified => FINE,
                v1::WhyState::Waits => WAITS,
                v1::WhyState::Stops => STOPS,
            };
            why.add(&line.link, state, line.message.clone());
        }
        why
    }

    /// Says what the hub was told last of an object whose agent cannot be asked.
    pub(crate) fn last_known(view: &v1::AppView, key: &ResourceKey, reason: &str) -> Self {
        let mut why = Self::begin(view, key);
        why.add("Agent", STOPS, reason.to_owned());
        let status = view.status.iter();
        let named =
            |found: Option<&v1::ResourceKey>| found.is_some_and(|found| ResourceKey::from(found) == *key);
        for row in status.clone().flat_map(|status| &status.resources).filter(|row| named(row.key.as_ref())) {
            let state = if row.status() == v1::SyncStatus::Synced { FINE } else { STOPS };
            why.add("Live", state, format!("{} {}", row.status().word(), row.message).trim().to_owned());
            if let Some(health) = row.health().known() {
                why.add(
                    "Health",
                    FINE,
                    format!("{} {}", health.as_str(), row.health_message).trim().to_owned(),
                );
            }
        }
        let operations = status.filter_map(|status| status.operation.as_ref());
        let results = operations.flat_map(|operation| &operation.results);
        for row in results.filter(|row| named(row.key.as_ref())) {
            let state = if row.code() == v1::ResultCode::SyncFailed { STOPS } else { FINE };
            why.add("Api", state, format!("last sync: {}: {}", row.code().word(), row.message));
        }
        why
    }

    fn begin(view: &v1::AppView, key: &ResourceKey) -> Self {
        let mut why = Self {
            app: format!("{}/{}", view.namespace, view.name),
            object: key.to_string(),
            cluster: view.cluster.clone(),
            asked: false,
            chain: Vec::new(),
            observed: view.observed.as_ref().map(Into::into),
            age: age_of(view.observed.as_ref()),
        };
        let document = Document::of(view);
        for condition in &view.conditions {
            let state = if condition.r#type.ends_with("Error") { STOPS } else { FINE };
            why.add("Commit", state, format!("{}: {}", condition.r#type, condition.message));
        }
        if !view.waiting.is_empty() {
            why.add("Commit", WAITS, view.waiting.clone());
        }
        let Some(desired) = &view.desired else { return why };
        let source =
            ["/source/repoURL", "/source/path", "/source/targetRevision"].map(|field| document.text(field));
        let [repository, path, target] = source;
        let commit = revision_of(Some(desired));
        why.add(
            "Commit",
            FINE,
            format!("{} is what {target} of {repository} gives for {path}", text::short(&commit)),
        );
        let assigned = view.status.as_ref().and_then(|status| status.assigned.as_ref());
        if assigned.is_none_or(|assigned| assigned.root != desired.root) {
            let at = text::short(&revision_of(assigned));
            let at = if at.is_empty() { "none".to_owned() } else { at };
            why.add("Release", WAITS, format!("the cluster enforces {at}, as far as it told"));
        }
        why
    }

    fn add(&mut self, link: &str, state: &'static str, message: String) {
        self.chain.push(Part { link: link.to_owned(), state, message });
    }

    /// Gives it for people: the chain, and where it ends.
    pub(crate) fn render(&self) -> String {
        let mut table = Table::new(["LINK", "STATE", "WHY"]);
        for link in &self.chain {
            table.row([link.link.clone(), link.state.to_owned(), link.message.clone()]);
        }
        let mut lines = table.render();
        let end = self.chain.iter().find(|link| link.state == STOPS);
        let end = end.or_else(|| self.chain.iter().find(|link| link.state == WAITS));
        let end = match end {
            Some(link) => format!("{}: {}", link.link, link.message),
            None => "nothing keeps it from what is desired".to_owned(),
        };
        lines.push('\n');
        lines.push_str(&text::clean(&format!("Because: {end}")));
        let known = if self.asked { "Observed" } else { "The agent was not asked; last known" };
        lines.extend(["\n", known, ": ", &self.age, "\n"]);
        lines
    }
}
