//! The machine with all that it runs on: one round of inputs, made durable.

use argosy_core::agent::{AgentMachine, Context, Effects, Given, Input};
use argosy_core::desired::Anchor;
use argosy_core::pause::{PauseOrder, PauseRefused};
use argosy_core::reconcile::RollbackRefused;
use argosy_core::session::agent::AgentIdentity;
use argosy_core::session::tables;
use argosy_core::store::{StoreOp, StoreRead};
use argosy_proto::ZstdCodec;
use argosy_runtime::clock::Clock;
use argosy_runtime::entropy::SystemEntropy;
use argosy_runtime::pki::HeadVerifier;
use argosy_runtime::store::Store;
use tracing::{info, warn};

use super::asked::{Answer, Asked, ConfirmAnswer, OrderAnswer};
use super::overlay::Overlay;
use super::{EngineError, Event, Outcome};
use crate::dial::chain;
use crate::identity::Folder;
use crate::report::{LinkSince, Report};

/// What the agent is called, for people.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct About {
    /// The cluster's name in the registry.
    pub(crate) cluster_name: String,
    /// The cluster's UUID.
    pub(crate) cluster: String,
    /// Where its hub listens.
    pub(crate) hub: Vec<String>,
}

/// What the machine runs on, moved into each round's blocking job and back.
pub(super) struct Core {
    pub(super) machine: AgentMachine,
    pub(super) store: Store,
    folder: Folder,
    verifier: HeadVerifier,
    clock: Clock,
    about: About,
    link: LinkSince,
}

// === impl Core ===

impl Core {
    /// Loads the machine from its store, and says the newest order of the edge again before it may write.
    pub(super) fn load(
        identity: AgentIdentity,
        about: About,
        store: Store,
        given: Given,
        folder: Folder,
        verifier: HeadVerifier,
        clock: Clock,
    ) -> Result<(Self, Outcome), EngineError> {
        let mut overlay = Overlay::new(&store);
        let mut context = Context {
            now: clock.now(),
            store: &overlay,
            codec: &ZstdCodec,
            verifier: &verifier,
            entropy: &mut SystemEntropy,
        };
        let (machine, effects) = AgentMachine::load_with(identity, given, &mut context)?;
        let link = LinkSince::new(clock.now());
        let mut this = Self { machine, store, folder, verifier, clock, about, link };
        overlay.stage(&effects.ops);
        let mut all = vec![effects];
        if let Some(order) = this.folder.order(clock.now()) {
            if order.is_pause() {
                warn!(by = order.by, reason = order.reason, "all writes are paused at the edge");
            }
            all.push(this.step(Input::Pause(order), &overlay)?);
        }
        let outcome = this.carry_out(all, Vec::new())?;
        Ok((this, outcome))
    }

    /// Takes a round of inputs.
    pub(super) fn round(&mut self, events: Vec<Event>) -> Result<Outcome, EngineError> {
        let mut all = Vec::new();
        let mut answers = Vec::new();
        let mut overlay = Overlay::new(&self.store);
        let mut inputs: Vec<Event> = events;
        inputs.push(Event::Input(Box::new(Input::Tick)));
        for event in inputs {
            match event {
                Event::Input(input) => {
                    let effects = self.step(*input, &overlay)?;
                    overlay.stage(&effects.ops);
                    all.push(effects);
                }
                Event::Asked(asked) => {
                    let (answer, effects) = self.asked(asked, &overlay)?;
                    answers.push(answer);
                    if let Some(effects) = effects {
                        overlay.stage(&effects.ops);
                        all.push(effects);
                    }
                }
                Event::Facts(_) => {}
            }
        }
        self.link.look(self.machine.link().is_connected(), self.clock.now());
        self.carry_out(all, answers)
    }

    fn step(&mut self, input: Input, overlay: &Overlay) -> Result<Effects, EngineError> {
        let mut context = Context {
            now: self.clock.now(),
            store: overlay,
            codec: &ZstdCodec,
            verifier: &self.verifier,
            entropy: &mut SystemEntropy,
        };
        Ok(self.machine.handle(input, &mut context)?)
    }

    fn asked(&mut self, asked: Asked, overlay: &Overlay) -> Result<(Answer, Option<Effects>), EngineError> {
        match asked {
            Asked::Confirm { app, plan, answer } => {
                let status = self.machine.reconciler().statuses().get(&app);
                let held = status.and_then(|status| status.held.clone());
                let Some(plan) = plan else {
                    return Ok((Answer::Confirm(answer, ConfirmAnswer { held, result: None }), None));
                };
                let effects = self.step(Input::Confirm { app, plan }, overlay)?;
                let result = self.machine.take_confirm_result();
                Ok((Answer::Confirm(answer, ConfirmAnswer { held, result }), Some(effects)))
            }
            Asked::History { app, answer } => {
                let rows = self.machine.reconciler().history(&app, self.clock.now());
                Ok((Answer::History(answer, rows), None))
            }
            Asked::Rollback { app, id, answer } => {
                let effects = self.step(Input::Rollback { app: app.clone(), id }, overlay)?;
                let result = self.machine.take_rollback_result().unwrap_or(Err(RollbackRefused::NoApp(app)));
                Ok((Answer::Rollback(answer, result), Some(effects)))
            }
            Asked::Order { kind, by, reason, answer } => {
                let order = PauseOrder::new(kind, &by, &reason, self.clock.now());
                let (refused, effects) = match order.follows(self.machine.ordered()) {
                    Ok(()) => {
                        // Whatever the disk says, who asks for a pause gets it; writing goes on only by a durable order.
                        let saved = self.folder.save_order(&order);
                        let refused = saved.err().map(|error| PauseRefused::Unsaved(chain(&error)));
                        if let (Some(refused), false) = (&refused, order.is_pause()) {
                            let writes = self.machine.reconciler().writes_under_way();
                            let refused = Some(refused.clone());
                            return Ok((Answer::Order(answer, OrderAnswer { refused, writes }), None));
                        }
                        if order.is_pause() {
                            warn!(by = order.by, reason = order.reason, "all writes are paused at the edge");
                        } else {
                            info!(by = order.by, reason = order.reason, "the pause at the edge has ended");
                        }
                        (refused, Some(self.step(Input::Pause(order), overlay)?))
                    }
                    // A pause that could not be written when it was ordered may be written now.
                    Err(PauseRefused::Already(standing)) => match self.folder.save_order(&standing) {
                        Ok(()) => (Some(PauseRefused::Already(standing)), None),
                        Err(error) => (Some(PauseRefused::Unsaved(chain(&error))), None),
                    },
                    Err(refused) => (Some(refused), None),
                };
                let writes = self.machine.reconciler().writes_under_way();
                Ok((Answer::Order(answer, OrderAnswer { refused, writes }), effects))
            }
            Asked::Import { step, answer } => {
                let effects = self.step(Input::Import(*step), overlay)?;
                let result = self.machine.take_import_result().unwrap_or(Ok(None));
                Ok((Answer::Import(answer, result), Some(effects)))
            }
            Asked::Receipts { facts, answer } => {
                let mut context = Context {
                    now: self.clock.now(),
                    store: overlay,
                    codec: &ZstdCodec,
                    verifier: &self.verifier,
                    entropy: &mut SystemEntropy,
                };
                let (effects, frames) = self.machine.receipts(*facts, &mut context)?;
                Ok((Answer::Receipts(answer, frames), Some(effects)))
            }
            Asked::Status { answer } => Ok((Answer::Status(answer, Box::new(self.report())), None)),
        }
    }

    fn report(&self) -> Report {
        Report::of(&self.machine, &self.about, &self.link, self.clock.now())
    }

    /// Makes a round durable: the store first, then the anchor; what is left may leave the process.
    fn carry_out(&mut self, all: Vec<Effects>, answers: Vec<Answer>) -> Result<Outcome, EngineError> {
        let mut ops: Vec<StoreOp> = Vec::new();
        let mut anchor: Option<Anchor> = None;
        let mut outcome = Outcome { answers, ..Outcome::default() };
        let mut requests = Vec::new();
        for effects in all {
            ops.extend(effects.ops);
            anchor = effects.anchor.or(anchor);
            outcome.frames.extend(effects.frames);
            outcome.close = effects.close.or(outcome.close);
            outcome.dial |= effects.dial;
            outcome.discover |= effects.discover;
            outcome.notices.extend(effects.notices);
            requests.extend(effects.requests);
        }
        if !ops.is_empty() {
            self.store.commit(&ops)?;
        }
        if let Some(anchor) = anchor {
            self.folder.save_anchor(&anchor)?;
        }
        for (id, request) in requests {
            let manifest = match request.manifest() {
                Some(manifest) => StoreRead::get(&self.store, tables::MANIFESTS, manifest.as_bytes())?,
                None => None,
            };
            outcome.requests.push((id, request, manifest));
        }
        Ok(outcome)
    }
}
