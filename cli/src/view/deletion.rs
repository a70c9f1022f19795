//! The deletion of an application.

use argosy_core::ids::AppId;
use argosy_core::key::ResourceKey;
use argosy_proto::v1;
use serde::Serialize;

use crate::text;
use crate::view::app::Held;

/// The answer of `app delete`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Deletion {
    app: String,
    cluster: String,
    /// Whether it was ordered now, and not before.
    ordered: bool,
    /// What the agent held when it told last.
    held: Option<Held>,
    #[serde(skip)]
    count: u64,
    #[serde(skip)]
    precious: Vec<String>,
}

// === impl Deletion ===

impl Deletion {
    /// Reads the answer of `app delete`.
    pub(crate) fn of(app: &AppId, response: &v1::DeleteAppResponse) -> Self {
        let held = response.held.as_ref();
        let keys = held.iter().flat_map(|held| &held.deletes).filter_map(|delete| delete.key.as_ref());
        let keys = keys.map(ResourceKey::from).filter(ResourceKey::is_precious);
        Self {
            app: app.to_string(),
            cluster: response.cluster.clone(),
            ordered: response.first,
            held: held.map(Held::from),
            count: held.map_or(0, |held| held.deletes.len() as u64 + held.more),
            precious: keys.map(|key| key.to_string()).collect(),
        }
    }

    /// Gives it for people.
    pub(crate) fn render(&self) -> String {
        let Self { app, cluster, .. } = self;
        let mut words = if self.ordered {
            format!("The deletion of {app} from {cluster} is ordered.")
        } else {
            format!("The deletion of {app} from {cluster} was ordered before.")
        };
        if self.ordered && self.count > 0 {
            words = format!(
                "{words} Of the {} deletes that were held all go but Namespaces and claims.",
                self.count
            );
        }
        let mut text = format!("{}\n", text::clean(&words));
        if !self.precious.is_empty() {
            text.push_str("Still held, until they are confirmed:\n");
            for key in &self.precious {
                text.extend(["  ", &text::clean(key), "\n"]);
            }
            text.push_str(&text::clean(&format!("To see and confirm them: argosy app confirm {app}")));
            text.push('\n');
        }
        text
    }
}
