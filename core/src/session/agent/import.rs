//! What comes and goes by file: the same frames, judged by the same rules, with no hub to answer.

use std::collections::BTreeMap;

use super::downloads::Transfers;
use super::{AgentContext, AgentEffects, AgentLink, Closing, Connection};
use crate::bundle::{Header, ImportRefused, ImportStep, Imported};
use crate::desired::{Anchor, SignedHead};
use crate::session::frame::{AgentFrame, Chunk, ClusterFacts, HubFrame, ListBase};
use crate::session::list::ListPatch;
use crate::store::StoreError;
use crate::time::Now;

/// A bundle that is being read.
#[derive(Debug, Clone)]
pub(super) struct Import {
    newest: SignedHead,
    /// Whether that head was held already.
    held: bool,
    /// Where the agent stood when this bundle was last judged: a stream may bring a head between two steps.
    judged: Position,
    /// Whether its list was taken.
    listed: bool,
    patch: ListPatch,
    /// Its releases, apart from those that a stream brings.
    transfers: Transfers,
    /// Whether anything of it was not here.
    news: bool,
}

/// Where an agent stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Position {
    stored: Option<Anchor>,
    anchor: Option<Anchor>,
    rolled_back: bool,
}

/// What a step of an import led to; the last one says what came of it.
pub type ImportResult = Result<Option<Imported>, ImportRefused>;

impl AgentLink {
    /// Takes a step of an import. The bundle's seal is the shell's to verify, before the first step; what each part says is
    /// verified here as if a stream had brought it, and a refusal changes nothing.
    pub fn import(
        &mut self,
        step: ImportStep,
        context: &AgentContext<'_>,
    ) -> Result<(AgentEffects, ImportResult), StoreError> {
        let mut effects = AgentEffects::default();
        let result = match step {
            ImportStep::Begin(header) => self.begin_import(&header, context),
            ImportStep::Frame(frame) => self.import_frame(frame, context, &mut effects)?,
            ImportStep::End => self.end_import(),
        };
        if result.is_err() {
            self.import = None;
        }
        // There is no hub to answer.
        effects.frames.clear();
        Ok((effects, result))
    }

    /// Says everything that a hub would be told on a stream, for one that is not there: what this agent is and holds, its
    /// list, and the newest status of every app. What it gives to be stored must be durable before the frames leave.
    pub fn receipts(&mut self, facts: ClusterFacts, read_only: Option<String>, now: Now) -> AgentEffects {
        let mut effects = AgentEffects::default();
        let hello = self.hello(facts, read_only, now, &mut effects);
        effects.frames.push(AgentFrame::Hello(Box::new(hello)));
        if self.list.is_some() {
            self.send_list(&mut effects);
        }
        effects.frames.extend(self.outbox.all(now, self.observed).into_iter().map(AgentFrame::Status));
        effects
    }

    fn begin_import(&mut self, header: &Header, context: &AgentContext<'_>) -> ImportResult {
        self.import = None;
        let newest = header.verify(self.identity.cluster, self.identity.installation, context.verifier)?;
        let judged = self.position();
        let stored = judged.stored;
        let held = stored.filter(|_| !self.rolled_back);
        let (ours, bundle) = (held.or(self.identity.anchor), Anchor::of(&newest.head));
        if let Some(ours) = ours.filter(|ours| *ours != bundle) {
            if bundle.generation == ours.generation {
                return Err(ImportRefused::Forked { generation: bundle.generation });
            }
            if bundle.generation < ours.generation {
                return Err(ImportRefused::Older { bundle: bundle.generation, held: ours.generation });
            }
            // A store that is not trusted is as good as none, and none is where a first head leads on from.
            let anew = held.is_none() && header.begins();
            if !anew && ![Some(ours), stored].into_iter().flatten().any(|position| header.follows(&position))
            {
                let first = header.chain.first().map(|first| first.head.generation).unwrap_or_default();
                return Err(ImportRefused::Unrelated { first, held: ours.generation });
            }
        }
        self.import = Some(Box::new(Import {
            newest,
            held: held == Some(bundle),
            judged,
            listed: false,
            patch: ListPatch::new(ListBase::Empty, None),
            transfers: Transfers::default(),
            news: false,
        }));
        Ok(None)
    }

    fn import_frame(
        &mut self,
        frame: HubFrame,
        context: &AgentContext<'_>,
        effects: &mut AgentEffects,
    ) -> Result<ImportResult, StoreError> {
        let Some(mut import) = self.import.take() else {
            return Ok(Err(damaged("a frame before its header")));
        };
        let result = match frame {
            HubFrame::ListChanges { base: ListBase::Empty, changes } => {
                let changed = changes.into_iter().try_for_each(|change| import.patch.apply(change));
                changed.map(|()| None).map_err(|error| damaged(&error.to_string()))
            }
            HubFrame::Head { epoch, generation, signature, unasked } => {
                let newest = &import.newest;
                if epoch == Some(newest.head.epoch)
                    && generation == newest.head.generation
                    && signature == newest.signature
                {
                    self.import_head(&mut import, &unasked, context, effects)?
                } else {
                    Err(damaged("its list is not of its newest head"))
                }
            }
            HubFrame::Chunk(chunk) => self.import_chunk(&mut import, &chunk, context, effects)?,
            HubFrame::ListChanges { base: ListBase::Held, .. }
            | HubFrame::Welcome(_)
            | HubFrame::InSync
            | HubFrame::ListRequest
            | HubFrame::Gone(_)
            | HubFrame::StatusAck { .. }
            | HubFrame::Command(_)
            | HubFrame::CommandDone(_)
            | HubFrame::JournalAck { .. }
            | HubFrame::JournalRefused { .. }
            | HubFrame::Refused(_)
            | HubFrame::Alive => Err(damaged("a frame that no bundle has")),
        };
        self.import = Some(import);
        Ok(result)
    }

    /// Commits the head with its list, unless they are held already, and expects the releases.
    fn import_head(
        &mut self,
        import: &mut Import,
        unasked: &[u32],
        context: &AgentContext<'_>,
        effects: &mut AgentEffects,
    ) -> Result<ImportResult, StoreError> {
        if let Err(overtaken) = self.still_at(import.judged) {
            return Ok(Err(overtaken));
        }
        if std::mem::replace(&mut import.listed, true) {
            return Ok(Err(damaged("it has a second list")));
        }
        let patch = std::mem::replace(&mut import.patch, ListPatch::new(ListBase::Empty, None));
        let list = match patch.finish() {
            Ok(list) => list,
            Err(error) => return Ok(Err(damaged(&error.to_string()))),
        };
        if list.root() != import.newest.head.list_root {
            return Ok(Err(damaged("its list does not hash to the root in its head")));
        }
        if list.settings().installation != self.identity.installation {
            let (ours, theirs) = (self.identity.installation, list.settings().installation);
            return Ok(Err(ImportRefused::OtherHub { ours, theirs }));
        }
        if import.held {
            self.downloads.settle(&list, effects);
        } else {
            import.news = true;
            self.accept(import.newest, &list, effects);
            if matches!(self.connection, Connection::Open(_)) {
                // What the hub knows of this stream does not hold any more.
                self.connection = Connection::Closing;
                effects.close = Some(Closing::Imported);
            }
        }
        self.downloads.exchange(&mut import.transfers);
        let expected =
            self.downloads.expect_unasked(&list, &BTreeMap::new(), unasked, context.store, effects);
        self.downloads.exchange(&mut import.transfers);
        expected?;
        self.list = Some(list);
        import.judged = self.position();
        Ok(Ok(None))
    }

    fn position(&self) -> Position {
        let stored = self.held.as_ref().map(|held| Anchor::of(&held.head));
        Position { stored, anchor: self.identity.anchor, rolled_back: self.rolled_back }
    }

    /// Refuses to go on from a position that is no longer the agent's.
    fn still_at(&self, judged: Position) -> Result<(), ImportRefused> {
        if self.position() == judged {
            return Ok(());
        }
        let held = self.held.as_ref().map(|held| held.head.generation).unwrap_or_default();
        Err(ImportRefused::Overtaken { held })
    }

    fn import_chunk(
        &mut self,
        import: &mut Import,
        chunk: &Chunk,
        context: &AgentContext<'_>,
        effects: &mut AgentEffects,
    ) -> Result<ImportResult, StoreError> {
        let Some(list) = self.list.as_ref().filter(|_| import.listed) else {
            return Ok(Err(damaged("releases before their list")));
        };
        self.downloads.exchange(&mut import.transfers);
        let changed = self.downloads.chunk(chunk, context.store, context.codec, effects);
        if matches!(changed, Ok(true)) {
            self.downloads.settle(list, effects);
        }
        self.downloads.exchange(&mut import.transfers);
        import.news |= changed?;
        Ok(Ok(None))
    }

    fn end_import(&mut self) -> ImportResult {
        let Some(import) = self.import.take() else { return Err(damaged("it ends before it begins")) };
        self.still_at(import.judged)?;
        let Some(list) = self.list.as_ref().filter(|_| import.listed) else {
            return Err(damaged("it holds no list"));
        };
        let missing = list.elements().iter().find(|(_, element)| !self.is_complete(element.assignment.root));
        if let Some((app, _)) = missing {
            return Err(damaged(&format!("the release of app {app} is not whole")));
        }
        let apps = list.elements().len() as u64;
        let generation = import.newest.head.generation;
        Ok(Some(Imported { generation, apps, already: !import.news }))
    }
}

fn damaged(why: &str) -> ImportRefused {
    ImportRefused::Damaged(why.to_owned())
}
