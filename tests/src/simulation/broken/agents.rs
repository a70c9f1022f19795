//! What is wrong with an agent.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a variant changes one thing and leaves all others as they are"
)]

use argosy_core::agent::Input;
use argosy_core::cluster::{Answer, ApiError, LiveMeta, Tracking, WatchEvent};
use argosy_core::desired::{Assignment, ListSettings, Signature, VerifyHead};
use argosy_core::reconcile::{InventoryEntry, tables};
use argosy_core::session::frame::AgentFrame;
use argosy_core::session::tables as link_tables;
use argosy_core::status::{AppStatus, SyncStatus};
use argosy_core::store::{StoreOp, decode, encode};

use super::super::keys::{INSTALLATION, Key};
use super::super::world::World;
use super::Broken;

/// Takes any signature.
struct Gullible;

impl VerifyHead for Gullible {
    fn verify(&self, _bytes: &[u8], _signature: &Signature) -> bool {
        true
    }
}

/// Gives what an agent verifies heads with.
pub(in super::super) fn verifier(broken: Option<Broken>) -> &'static dyn VerifyHead {
    if broken == Some(Broken::AnySignature) { &Gullible } else { &Key }
}

impl World {
    pub(in super::super) fn is(&self, broken: Broken) -> bool {
        self.broken == Some(broken)
    }

    /// Breaks a transaction of an agent.
    pub(in super::super) fn break_agents_ops(&self, ops: &mut Vec<StoreOp>) {
        let Some(broken) = self.broken else { return };
        ops.retain_mut(|op| match op {
            StoreOp::Put { table, key, value } => {
                if *table == tables::INVENTORY {
                    let entry = decode::<InventoryEntry>(table, value).ok();
                    let entry = entry.map(|entry| match broken {
                        Broken::IntentUnwritten => InventoryEntry { intent: None, ..entry },
                        Broken::DoneForgotten => InventoryEntry { done: false, ..entry },
                        _ => entry,
                    });
                    *value = entry.map_or_else(|| value.clone(), |entry| encode(&entry));
                }
                if *table == link_tables::LIST && broken == Broken::UnknownDropped {
                    let known = if key.as_slice() == link_tables::SETTINGS {
                        decode::<ListSettings>(table, value).map(|settings| encode(&settings))
                    } else {
                        decode::<Assignment>(table, value).map(|assignment| encode(&assignment))
                    };
                    *value = known.unwrap_or_else(|_| value.clone());
                }
                true
            }
            StoreOp::Delete { table, .. } => {
                let collects = *table == link_tables::RELEASES || *table == link_tables::MANIFESTS;
                !(collects && broken == Broken::AgentKeepsAll)
            }
        });
    }

    /// Breaks what an agent says.
    pub(in super::super) fn break_agents_frames(&mut self, agent: usize, frames: &mut Vec<AgentFrame>) {
        let Some(broken) = self.broken else { return };
        frames.retain_mut(|frame| match (broken, frame) {
            (Broken::AckUnsaid, AgentFrame::HeadAck { .. })
            | (Broken::CreditUnsaid, AgentFrame::Credit(_)) => false,
            (Broken::PullsLost, AgentFrame::Pull(_)) => self.chance.api.percent(70),
            (Broken::HeadUnsaid, AgentFrame::Hello(hello)) => {
                hello.head = None;
                hello.anchor = None;
                true
            }
            (Broken::StatusLost, AgentFrame::Status(batch)) => {
                if batch.entries.len() > 1 || self.chance.api.percent(10) {
                    batch.entries.truncate(batch.entries.len().saturating_sub(1));
                }
                true
            }
            (Broken::StatusReplayed, AgentFrame::Status(batch)) => {
                for entry in &mut batch.entries {
                    let place = (agent, entry.app.clone());
                    let before = self.told.insert(place, entry.value.clone());
                    if let (Some(before), true) = (before, self.chance.api.percent(30)) {
                        entry.value = before;
                    }
                }
                true
            }
            (Broken::StatusFlattering, AgentFrame::Status(batch)) => {
                for value in batch.entries.iter_mut().filter_map(|entry| entry.value.as_mut()) {
                    if let Ok(status) = decode::<AppStatus>("status", value) {
                        *value = encode(&AppStatus { sync: SyncStatus::Synced, ..status });
                    }
                }
                true
            }
            _ => true,
        });
    }

    /// Breaks what an agent hears; `None`: it does not hear it.
    pub(in super::super) fn break_agents_input(&mut self, agent: usize, input: Input) -> Option<Input> {
        let Some(broken) = self.broken else { return Some(input) };
        match (broken, input) {
            (Broken::DisconnectUnseen, Input::Disconnected)
            | (Broken::PauseUnheard, Input::Pause(_))
            | (Broken::ListsUnseen, Input::Watch(_, WatchEvent::Listed { .. }))
            | (Broken::EndsUnseen, Input::Watch(_, WatchEvent::Gone(_))) => None,
            (Broken::DriftUnseen, Input::Watch(_, WatchEvent::Seen(live)))
                if live.last_writer.as_deref() != Some("argosy") =>
            {
                None
            }
            (Broken::LostIsRefused, Input::Answer(id, Err(ApiError::Unreachable(why)))) => {
                Some(Input::Answer(id, Err(ApiError::Refused(why))))
            }
            (Broken::FoundIsAbsent, Input::Answer(id, Ok(Answer::Found(_))))
                if self.chance.api.percent(20) =>
            {
                Some(Input::Answer(id, Ok(Answer::Absent)))
            }
            (Broken::TrackingAssumed, Input::Answer(id, Ok(Answer::Found(live)))) => {
                let process = self.agents.get(agent).and_then(|state| state.process.as_ref());
                let app = process
                    .and_then(|process| process.machine.reconciler().inventory().get(&live.key))
                    .map(|entry| entry.app.clone());
                let live = match app {
                    Some(app) => {
                        let names = live.key.clone();
                        let tracking = Tracking::Ours { installation: Some(INSTALLATION), app, names };
                        LiveMeta { tracking, ..live }
                    }
                    None => live,
                };
                Some(Input::Answer(id, Ok(Answer::Found(live))))
            }
            (Broken::OtherToolsIgnored, Input::Answer(id, Ok(Answer::Found(live)))) => {
                let tracking = match live.tracking {
                    Tracking::Other(_) => Tracking::None,
                    known @ (Tracking::Ours { .. } | Tracking::None) => known,
                };
                Some(Input::Answer(id, Ok(Answer::Found(LiveMeta { tracking, ..live }))))
            }
            (_, input) => Some(input),
        }
    }

    /// Confirms for nobody what an agent holds.
    pub(in super::super) fn confirm_for_nobody(&mut self, agent: usize) {
        if !self.is(Broken::GovernorOff) {
            return;
        }
        let process = self.agents.get(agent).and_then(|state| state.process.as_ref());
        let held: Vec<_> = process
            .into_iter()
            .flat_map(|process| process.machine.reconciler().statuses())
            .filter_map(|(app, status)| status.held.as_ref().map(|held| (app.clone(), held.plan)))
            .filter(|held| self.waved_through.insert((agent, held.clone())))
            .collect();
        for (app, plan) in held {
            self.agent_takes(agent, Input::Confirm { app, plan });
        }
    }
}
