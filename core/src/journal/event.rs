//! Rows in words, for people.

use super::{AppState, Entry, Numbered, Row, What};
use crate::ids::AppId;
use crate::key::ResourceKey;
use crate::pause::PauseKind;
use crate::release::Root;
use crate::time::WallTime;

/// How much a row matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weight {
    /// Good to know.
    Info,
    /// Unusual but working.
    Warning,
    /// A person must act.
    Error,
}

/// A row in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// Its number at the hub.
    pub number: u64,
    /// When it happened.
    pub at: WallTime,
    /// Whether that is by the hub's clock.
    pub exact: bool,
    /// How much it matters.
    pub weight: Weight,
    /// What happened, as a word.
    pub reason: String,
    /// For people.
    pub message: String,
    /// The app that it is about.
    pub app: Option<AppId>,
    /// The object that it is about.
    pub key: Option<ResourceKey>,
}

impl Told {
    /// Says what a row tells.
    pub fn of(row: &Numbered) -> Self {
        let Numbered { number, kept } = row;
        let (weight, reason, message, app, key) = match &kept.entry {
            Entry::Row { row, .. } => words(Row::from_bytes(row).and_then(|row| row.what()), &kept.commits),
            Entry::Gap { from, to } => plain(
                Weight::Warning,
                "JournalGap",
                format!("rows {from} to {to} were dropped at the agent before they came here"),
            ),
            Entry::Another { journal } => plain(
                Weight::Warning,
                "JournalAnother",
                format!("the agent's journal is another one from here on: {}", journal.short()),
            ),
            Entry::Refused { why } => {
                plain(Weight::Error, "JournalRefused", format!("the agent's rows were refused: {why}"))
            }
        };
        Self { number: *number, at: kept.at, exact: kept.exact, weight, reason, message, app, key }
    }
}

type Words = (Weight, String, String, Option<AppId>, Option<ResourceKey>);

fn plain(weight: Weight, reason: &str, message: String) -> Words {
    (weight, reason.to_owned(), message, None, None)
}

fn words(what: Option<What>, commits: &[(Root, String)]) -> Words {
    use Weight::{Info, Warning};
    match what {
        None => plain(Info, "Unknown", "a newer agent wrote what this hub does not know".to_owned()),
        Some(What::Began { why }) => plain(Info, "JournalBegan", format!("the journal begins: {why}")),
        Some(What::Started { version }) => plain(Info, "AgentStarted", format!("agent {version} started")),
        Some(What::Head { epoch, generation }) => {
            plain(Info, "DesiredState", format!("head {generation} of {} is durable", epoch.short()))
        }
        Some(What::App { app, state }) => {
            (Info, "AppState".to_owned(), state_words(&state, commits), Some(app), None)
        }
        Some(What::Left { app }) => {
            (Info, "AppLeft".to_owned(), "it has left the cluster".to_owned(), Some(app), None)
        }
        Some(What::Event { app, key, reason, message }) => {
            let weight = match reason.as_str() {
                "SyncFailed" | "Fight" | "DeletesHeld" | "Drifted" | "NamespaceFailed" | "Left" => Warning,
                _ => Info,
            };
            (weight, reason, message, Some(app), key)
        }
        Some(What::Ordered { order }) => {
            let (weight, reason) = match order.kind {
                PauseKind::Pause => (Warning, "Paused"),
                PauseKind::Resume => (Info, "Resumed"),
            };
            let why = if order.reason.is_empty() || order.is_pause() {
                String::new()
            } else {
                format!(": {}", order.reason)
            };
            plain(weight, reason, format!("{order}{why}"))
        }
        Some(What::Writes { read_only: Some(reason) }) => {
            plain(Warning, "ReadOnly", format!("nothing is written: {reason}"))
        }
        Some(What::Writes { read_only: None }) => {
            plain(Info, "Writes", "the agent writes to the cluster".to_owned())
        }
    }
}

fn state_words(state: &AppState, commits: &[(Root, String)]) -> String {
    let name = |root: Option<Root>| match root {
        None => "nothing".to_owned(),
        Some(root) => match commits.iter().find(|(of, _)| *of == root) {
            Some((_, commit)) => {
                format!("{} ({})", root.0.short(), commit.chars().take(7).collect::<String>())
            }
            None => root.0.short(),
        },
    };
    let mut said = format!(
        "{}, {}; desired {}, assigned {}, applied {}",
        state.sync.as_str(),
        state.health.as_str(),
        name(state.listed),
        name(state.assigned),
        name(state.synced)
    );
    if let Some(operation) = &state.operation {
        said.extend(["; sync ", operation.phase.as_str()]);
    }
    if let Some(held) = &state.held {
        said.extend(["; ", &held.count.to_string(), " deletes held"]);
    }
    said
}
