//! What the machine tells, in the log.

use argosy_core::agent::Notice;
use argosy_core::session::agent::AgentEvent;
use tracing::{debug, info, warn};

pub(super) fn notice(notice: Notice) {
    match notice {
        Notice::App(event) => {
            let resource = event.key.map(|key| key.to_string()).unwrap_or_default();
            info!(app = %event.app, %resource, reason = event.reason, "{}", event.message);
        }
        Notice::Link(event) => match event {
            AgentEvent::Welcomed(welcome) => info!(protocol = welcome.protocol, "the hub took this agent in"),
            AgentEvent::InSync => info!("in sync with the hub"),
            AgentEvent::ListAccepted { .. } => info!("a new desired state is durable"),
            AgentEvent::EntriesVerified(root) => debug!(%root, "the entries of a release are verified"),
            AgentEvent::Assigned(app) => info!(%app, "a release is complete"),
            AgentEvent::Command(command) => {
                info!(command = %command.id, kind = ?command.kind, "an operator asks");
            }
            AgentEvent::Warning(text) => warn!("{text}"),
            AgentEvent::JournalRefused(why) => warn!(why, "the hub refuses the journal: another one begins"),
            AgentEvent::Dial
            | AgentEvent::CommandExpired(_)
            | AgentEvent::ReadsEnded(_)
            | AgentEvent::JournalTaken(_) => {
                debug!(event = ?event, "link");
            }
        },
    }
}
