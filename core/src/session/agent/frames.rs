//! What each frame of the hub leads to.

use super::commands::Admission;
use super::{AgentContext, AgentEffects, AgentEvent, AgentLink, Closing, Connection};
use crate::session::frame::{
    AgentFrame, Chunk, Command, CommandUpdate, PROTOCOL, Refusal, RefusalReason, Welcome,
};
use crate::store::StoreError;
use crate::time::Now;

impl AgentLink {
    pub(super) fn welcomed(
        &mut self,
        welcome: Welcome,
        context: &mut AgentContext<'_>,
        effects: &mut AgentEffects,
    ) -> Result<(), StoreError> {
        if !(PROTOCOL.oldest..=PROTOCOL.newest).contains(&welcome.protocol) {
            self.refuse(RefusalReason::Protocol, "a protocol version that was not offered", effects);
            return Ok(());
        }
        if welcome.installation != self.identity.installation {
            let message = format!(
                "this agent belongs to installation {}, not to {}",
                self.identity.installation, welcome.installation
            );
            self.refuse(RefusalReason::Head, message, effects);
            return Ok(());
        }
        if let Connection::Open(session) = &mut self.connection {
            session.welcomed = true;
        }
        self.backoff.reset();
        effects.events.push(AgentEvent::Welcomed(welcome));
        effects.ops.extend(self.outbox.welcome(welcome.status, context.entropy));
        effects.frames.extend(self.commands.all().into_iter().map(AgentFrame::CommandUpdate));
        self.follow(false, context, effects)
    }

    pub(super) fn in_sync(
        &mut self,
        context: &AgentContext<'_>,
        effects: &mut AgentEffects,
    ) -> Result<(), StoreError> {
        if self.list.is_none() {
            self.refuse(RefusalReason::Malformed, "in sync with an agent that holds no list", effects);
            return Ok(());
        }
        if let Connection::Open(session) = &mut self.connection {
            session.ready = true;
        }
        effects.events.push(AgentEvent::InSync);
        self.follow(false, context, effects)
    }

    pub(super) fn take_chunk(
        &mut self,
        chunk: &Chunk,
        context: &AgentContext<'_>,
        effects: &mut AgentEffects,
    ) -> Result<(), StoreError> {
        let changed = self.downloads.chunk(chunk, context.store, context.codec, effects)?;
        let more = !chunk.last || self.downloads.is_busy();
        let Connection::Open(session) = &mut self.connection else { return Ok(()) };
        if !session.meter.received(context.now, chunk.data.len(), more) {
            self.refuse(RefusalReason::Malformed, "more bulk than was granted", effects);
            return Ok(());
        }
        if let Some(grant) = session.meter.grant() {
            effects.frames.push(AgentFrame::Credit(grant));
        }
        self.follow(changed, context, effects)
    }

    /// Switches what can be switched, if anything changed, and pulls what is missing.
    pub(super) fn follow(
        &mut self,
        changed: bool,
        context: &AgentContext<'_>,
        effects: &mut AgentEffects,
    ) -> Result<(), StoreError> {
        let (Some(list), Connection::Open(session)) = (&self.list, &self.connection) else { return Ok(()) };
        if changed || !session.ready {
            self.downloads.settle(list, effects);
        }
        if session.welcomed {
            self.downloads.schedule(list, !session.ready, context.store, effects)?;
        }
        Ok(())
    }

    pub(super) fn take_command(
        &mut self,
        command: Command,
        context: &AgentContext<'_>,
        effects: &mut AgentEffects,
    ) {
        match self.commands.admit(&command, context.now) {
            Admission::Begin(ops, accepted) => {
                effects.ops.extend(ops);
                effects.frames.push(AgentFrame::CommandUpdate(accepted));
                effects.events.push(AgentEvent::Command(command));
            }
            Admission::Answer(update) => effects.frames.push(AgentFrame::CommandUpdate(update)),
        }
    }

    pub(super) fn refused(&mut self, refusal: Refusal, effects: &mut AgentEffects) {
        match refusal.reason {
            RefusalReason::Stopping => {}
            RefusalReason::Protocol
            | RefusalReason::Unregistered
            | RefusalReason::Revoked
            | RefusalReason::Replaced
            | RefusalReason::Cloned
            | RefusalReason::Head
            | RefusalReason::Malformed => self.backoff.saturate(),
        }
        effects.close = Some(Closing::Refused(refusal));
        self.connection = Connection::Closing;
    }

    pub(super) fn refuse(
        &mut self,
        reason: RefusalReason,
        message: impl Into<String>,
        effects: &mut AgentEffects,
    ) {
        let refusal = Refusal { reason, message: message.into() };
        effects.frames.push(AgentFrame::Refused(refusal.clone()));
        effects.close = Some(Closing::Refuses(refusal));
        self.connection = Connection::Closing;
        self.backoff.saturate();
    }

    pub(super) fn send_status(&mut self, now: Now, effects: &mut AgentEffects) {
        if !self.is_connected() {
            return;
        }
        if let Some(batch) = self.outbox.next_batch(now, self.observed) {
            self.told = batch.observed;
            effects.frames.push(AgentFrame::Status(batch));
        }
    }

    pub(super) fn send_update(&self, update: CommandUpdate, effects: &mut AgentEffects) {
        if self.is_connected() {
            effects.frames.push(AgentFrame::CommandUpdate(update));
        }
    }

    pub(super) fn sent(&mut self, now: Now, effects: AgentEffects) -> AgentEffects {
        if let Connection::Open(session) = &mut self.connection
            && !effects.frames.is_empty()
        {
            session.liveness.sent(now);
        }
        effects
    }
}
