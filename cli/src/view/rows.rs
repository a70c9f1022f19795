//! The objects of an application as Argo CD's tables show them: what its last sync did, in its order, and all others.

use std::collections::BTreeMap;

use argosy_core::health::Health;
use argosy_core::key::ResourceKey;
use argosy_core::status::OperationPhase;
use argosy_proto::v1;

use crate::output::Table;
use crate::view::name_of;

/// What a table says of an object that is to be deleted, unless its message says so.
const REQUIRES_PRUNING: &str = "requires pruning";

/// One object, or one hook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    key: v1::ResourceKey,
    status: &'static str,
    health: &'static str,
    hook: &'static str,
    message: String,
    /// It is one of the app's objects, and there as far as is known.
    counts: bool,
}

// === impl Row ===

impl Row {
    /// Reads what a sync did to an object, and how that is now where that is told.
    pub(crate) fn of_result(result: &v1::ResultRow, now: Option<&v1::ResourceRow>) -> Self {
        let key = result.key.clone().unwrap_or_default();
        let code = result.code();
        if let Some(hook) = result.hook().known() {
            // A hook's own phase says more than that it was made.
            let phase = result.hook_phase().known().map_or_else(|| code.word(), OperationPhase::as_str);
            let message = result.message.clone();
            return Self {
                key,
                status: phase,
                health: code.word(),
                hook: hook.as_str(),
                message,
                counts: false,
            };
        }
        match now {
            Some(now) => Self { message: message(now, &result.message), ..Self::of_resource(now) },
            None => Self {
                key,
                status: code.word(),
                health: "",
                hook: "",
                message: result.message.clone(),
                counts: code != v1::ResultCode::Pruned,
            },
        }
    }

    fn of_resource(row: &v1::ResourceRow) -> Self {
        Self {
            key: row.key.clone().unwrap_or_default(),
            status: row.status().word(),
            health: row.health().known().map_or("", Health::as_str),
            hook: "",
            message: message(row, ""),
            counts: true,
        }
    }

    /// Gives its cells: group, kind, namespace, name, status, health, hook, message.
    pub(crate) fn cells(self) -> [String; 8] {
        let name = name_of(&self.key);
        let v1::ResourceKey { group, kind, namespace, .. } = self.key;
        let [status, health, hook] = [self.status, self.health, self.hook].map(str::to_owned);
        [group, kind, namespace, name, status, health, hook, self.message]
    }
}

/// Puts together what a sync did, in its order, and the objects that it did nothing to, by key. What it left Synced is so
/// still where nothing else is told of it, unless the app has more objects that are not than are told of.
pub(crate) fn rows(
    resources: &[v1::ResourceRow],
    results: &[v1::ResultRow],
    counts: Option<v1::ResourceCounts>,
) -> Vec<Row> {
    let key_of = |key: Option<&v1::ResourceKey>| key.map(ResourceKey::from);
    let by_key: BTreeMap<ResourceKey, &v1::ResourceRow> =
        resources.iter().filter_map(|row| Some((key_of(row.key.as_ref())?, row))).collect();
    let differing = resources.iter().filter(|row| row.status() != v1::SyncStatus::Synced).count() as u64;
    let in_doubt = counts.is_some_and(|of| of.out_of_sync.saturating_add(of.unknown) > differing);
    let mut rest = by_key.clone();
    let mut rows = Vec::with_capacity(results.len());
    for result in results {
        let key = key_of(result.key.as_ref()).filter(|_| result.hook().known().is_none());
        let now = key.as_ref().and_then(|key| by_key.get(key).copied());
        let mut row = Row::of_result(result, now);
        if in_doubt && key.is_some() && now.is_none() && result.code() == v1::ResultCode::Synced {
            row.status = "";
        }
        rows.push(row);
        if let Some(key) = key {
            rest.remove(&key);
        }
    }
    let mut rest: Vec<(ResourceKey, &v1::ResourceRow)> = rest.into_iter().collect();
    // Argo CD's order: that of the keys as texts.
    rest.sort_by_cached_key(|(key, _)| key.to_string());
    rows.extend(rest.into_iter().map(|(_, row)| Row::of_resource(row)));
    rows
}

/// Gives the table of objects; empty where there are none.
pub(crate) fn table(rows: Vec<Row>) -> String {
    let mut table = Table::new(["GROUP", "KIND", "NAMESPACE", "NAME", "STATUS", "HEALTH", "HOOK", "MESSAGE"]);
    for row in rows {
        table.row(row.cells());
    }
    if table.has_rows() { table.render() } else { String::new() }
}

/// Counts the objects of an app that rows tell of.
pub(crate) fn told(rows: &[Row]) -> u64 {
    rows.iter().filter(|row| row.counts).count() as u64
}

/// Says all that is to be said of an object, each thing once.
fn message(row: &v1::ResourceRow, result: &str) -> String {
    let pruning = if row.requires_pruning { REQUIRES_PRUNING } else { "" };
    let parts = [row.message.as_str(), result, row.health_message.as_str()];
    let mut said: Vec<&str> = Vec::new();
    if !parts.iter().any(|part| part.contains(REQUIRES_PRUNING)) {
        said.push(pruning);
    }
    for part in parts {
        if !said.iter().any(|said| said.contains(part)) {
            said.push(part);
        }
    }
    said.retain(|part| !part.is_empty());
    said.join("; ")
}
