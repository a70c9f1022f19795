//! What a simulated agent's inputs lead to: its disk, its anchor, its frames and requests, in that order.

use argosy_core::agent::{Effects, Notice};
use argosy_core::cluster::{Request, RequestId};
use argosy_core::session::agent::AgentEvent;
use argosy_core::session::frame::AgentFrame;

use super::super::broken::Broken;
use super::super::schedule::{Event, ToHub};
use super::super::skew::{STATUS, widen};
use super::super::world::World;

impl World {
    pub(in crate::simulation) fn carry_agent(&mut self, agent: usize, effects: Effects) {
        let Effects { mut ops, anchor, mut frames, close, dial, requests, discover, notices } = effects;
        self.break_agents_ops(&mut ops);
        self.break_agents_frames(agent, &mut frames);
        let anchor = anchor.filter(|_| !self.is(Broken::AnchorNever));
        for notice in notices {
            match notice {
                Notice::App(event) => {
                    let key = event.key.map(|key| key.to_string()).unwrap_or_default();
                    note!(self, "agent {agent}: {} {key} {} {}", event.app, event.reason, event.message);
                }
                Notice::Link(AgentEvent::Warning(text)) => {
                    note!(self, "agent {agent}: warning {text}");
                }
                Notice::Link(event) => note!(self, "agent {agent}: {}", short(&event)),
            }
        }
        let early = self.is(Broken::AckBeforeCommit);
        if early && !self.agent_says(agent, std::mem::take(&mut frames)) {
            return;
        }
        let requests = if self.is(Broken::RequestBeforeCommit) {
            self.agent_asks(agent, requests);
            Vec::new()
        } else {
            requests
        };
        if !ops.is_empty() {
            if self.agent_dies(agent) || self.commit_fails(agent) {
                return;
            }
            if let Some(state) = self.agents.get_mut(agent) {
                state.disk.store.commit(&ops);
                if let Some(process) = &state.process {
                    let knows = process.machine.reconciler().inventory();
                    self.oracle.remembers(agent, &state.disk, knows, &ops);
                }
                self.oracle.agent_committed(&self.git, agent, &state.disk, &ops);
            }
        }
        if self.is(Broken::AnchorLate) && !self.agent_says(agent, std::mem::take(&mut frames)) {
            return;
        }
        if let Some(anchor) = anchor {
            if self.agent_dies(agent) {
                return;
            }
            if let Some(state) = self.agents.get_mut(agent) {
                state.disk.anchor = Some(anchor);
            }
            self.oracle.anchored(agent, anchor);
        }
        if !self.agent_says(agent, frames) {
            return;
        }
        let stream = self.stream_of(agent);
        if let Some(closing) = close {
            if self.agent_dies(agent) {
                return;
            }
            note!(self, "agent {agent} closes: {closing:?}");
            if let Some(stream) = stream {
                self.close_at_agent(stream);
                self.agent_disconnected(agent, stream);
            }
        }
        if dial && !self.agent_dies(agent) {
            let Some(life) = self.life_of(agent) else { return };
            let stream = self.network.dial(agent, life);
            if let Some(process) = self.agents.get_mut(agent).and_then(|state| state.process.as_mut()) {
                process.stream = Some(stream);
            }
            let delay = self.chance.shells.between(1, 100);
            self.queue.at(self.now + delay, Event::Dialled { agent, life, stream });
        }
        if !self.agent_asks(agent, requests) {
            return;
        }
        if discover && let Some(life) = self.life_of(agent) {
            let delay = self.chance.shells.between(10, 300);
            self.queue.at(self.now + delay, Event::Discover { agent, life, again: false });
        }
    }

    /// Sends frames; `false` when the agent died over it.
    fn agent_says(&mut self, agent: usize, frames: Vec<AgentFrame>) -> bool {
        let stream = self.stream_of(agent);
        let newer = self.agents.get(agent).is_some_and(|state| state.newer);
        for mut frame in frames {
            if let (AgentFrame::Status(batch), true) = (&mut frame, newer) {
                for entry in &mut batch.entries {
                    if let Some(value) = &mut entry.value {
                        widen(value, STATUS);
                    }
                }
            }
            if self.agent_dies(agent) {
                return false;
            }
            let Some(stream) = stream else { continue };
            if let Some(state) = self.agents.get(agent) {
                self.oracle.agent_says(agent, &state.disk, &frame);
            }
            note!(self, "{agent} -> hub [{stream}] {}", describe(&frame));
            self.send_to_hub(stream, ToHub::Frame(Box::new(frame)));
        }
        true
    }

    /// Sends requests; `false` when the agent died over it.
    fn agent_asks(&mut self, agent: usize, requests: Vec<(RequestId, Request)>) -> bool {
        for (id, mut request) in requests {
            if self.is(Broken::AccountForgotten) {
                forget_account(&mut request);
            }
            if self.agent_dies(agent) {
                return false;
            }
            self.request(agent, id, request);
        }
        true
    }
}

fn short(event: &AgentEvent) -> String {
    match event {
        AgentEvent::ListAccepted { .. } => "list accepted".to_owned(),
        AgentEvent::Dial
        | AgentEvent::Welcomed(_)
        | AgentEvent::InSync
        | AgentEvent::EntriesVerified(_)
        | AgentEvent::Assigned(_)
        | AgentEvent::Command(_)
        | AgentEvent::CommandExpired(_)
        | AgentEvent::ReadsEnded(_)
        | AgentEvent::JournalTaken(_)
        | AgentEvent::JournalRefused(_)
        | AgentEvent::Warning(_) => format!("{event:?}"),
    }
}

/// Names a frame in one line.
fn describe(frame: &AgentFrame) -> String {
    match frame {
        AgentFrame::Hello(hello) => {
            let head = hello.head.map(|head| head.head.generation.0);
            format!(
                "Hello head={head:?} anchor={:?} {:?}",
                hello.anchor.map(|anchor| anchor.generation.0),
                hello.read_only
            )
        }
        AgentFrame::Status(batch) => {
            let apps: Vec<String> =
                batch.entries.iter().map(|entry| format!("{}#{}", entry.app, entry.sequence)).collect();
            format!("Status {apps:?} complete={}", batch.complete)
        }
        AgentFrame::OwnList { elements, last, .. } => format!("OwnList {} last={last}", elements.len()),
        AgentFrame::Journal(batch) => format!("Journal {} rows", batch.rows.len()),
        AgentFrame::HeadAck { .. }
        | AgentFrame::Pull(_)
        | AgentFrame::Cancel(_)
        | AgentFrame::Credit(_)
        | AgentFrame::CommandUpdate(_)
        | AgentFrame::Facts { .. }
        | AgentFrame::Refused(_)
        | AgentFrame::Alive => format!("{frame:?}"),
    }
}

fn forget_account(request: &mut Request) {
    match request {
        Request::Get { .. } => {}
        Request::Apply { account, .. }
        | Request::Try { account, .. }
        | Request::GiveUp { account, .. }
        | Request::Delete { account, .. }
        | Request::EnsureNamespace { account, .. }
        | Request::Compare { account, .. } => *account = None,
    }
}
