//! Heads at the agent: what it accepts as the successor of the one that it holds (M13).

use std::collections::BTreeMap;

use super::{AgentContext, AgentEffects, AgentEvent, AgentLink, Connection};
use crate::desired::{Anchor, DesiredList, Head, Signature, SignedHead, VerifyHead};
use crate::ids::{AppId, ClusterId, Digest, Epoch, Generation};
use crate::release::Root;
use crate::session::frame::{AgentFrame, ListBase, ListChange, RefusalReason};
use crate::session::list::ListPatch;
use crate::session::tables::{ELEMENT, HEAD, HELD, LIST, SETTINGS, element_key};
use crate::store::{StoreError, StoreOp, StoreRead, get_as};

/// Bytes of elements in one part of the agent's own list.
const PART: usize = 1 << 20;

/// Reads the held head and its list, and verifies both.
pub(super) fn load(
    store: &dyn StoreRead,
    cluster: ClusterId,
    verifier: &dyn VerifyHead,
) -> Result<Option<(SignedHead, DesiredList)>, StoreError> {
    let bad = |why: &str| StoreError::Undecodable { table: LIST, why: why.to_owned() };
    let settings = store.get(LIST, SETTINGS)?;
    let (held, settings) = match (get_as::<SignedHead>(store, HEAD, HELD)?, settings) {
        (Some(held), Some(settings)) => (held, settings),
        (None, None) => return Ok(None),
        (Some(_), None) => return Err(bad("there is a head and no list")),
        (None, Some(_)) => return Err(bad("there is a list and no head")),
    };
    let elements = store.scan(LIST, &[ELEMENT])?.into_iter().map(|(_, value)| value);
    let list = DesiredList::from_parts(settings, elements).map_err(|error| bad(&error.to_string()))?;
    if list.root() != held.head.list_root {
        return Err(bad("the list does not hash to the root in its head"));
    }
    if held.head.cluster != cluster || !verifier.verify(&held.head.signed_bytes(), &held.signature) {
        return Err(StoreError::Undecodable {
            table: HEAD,
            why: "the head's signature does not verify".into(),
        });
    }
    Ok(Some((held, list)))
}

/// Tells whether a store that holds `held` is older than its anchor.
pub(super) fn is_below(held: Option<&SignedHead>, anchor: &Anchor) -> bool {
    held.is_none_or(|held| {
        held.head.generation < anchor.generation
            || (held.head.generation == anchor.generation && held.head.hash() != anchor.hash)
    })
}

impl AgentLink {
    /// Takes changes of the list, which the next head will name.
    pub(super) fn take_changes(
        &mut self,
        base: ListBase,
        changes: Vec<ListChange>,
        effects: &mut AgentEffects,
    ) {
        let Connection::Open(session) = &mut self.connection else { return };
        let patch = session.patch.get_or_insert_with(|| ListPatch::new(base, self.list.as_ref()));
        let result = changes.into_iter().try_for_each(|change| patch.apply(change));
        if let Err(error) = result {
            self.refuse(RefusalReason::Malformed, error.to_string(), effects);
        }
    }

    /// Takes a head over the list with those changes: commits both and acknowledges them, or refuses and changes
    /// nothing.
    pub(super) fn take_head(
        &mut self,
        epoch: Option<Epoch>,
        generation: Generation,
        signature: Signature,
        unasked: &[u32],
        context: &AgentContext<'_>,
        effects: &mut AgentEffects,
    ) -> Result<(), StoreError> {
        let Connection::Open(session) = &mut self.connection else { return Ok(()) };
        let patch =
            session.patch.take().unwrap_or_else(|| ListPatch::new(ListBase::Held, self.list.as_ref()));
        let (head, list) = match self.judge(epoch, generation, signature, patch, context.verifier) {
            Ok(accepted) => accepted,
            Err(why) => {
                self.refuse(RefusalReason::Head, why, effects);
                return Ok(());
            }
        };
        let Head { epoch, generation, .. } = head.head;
        effects.frames.push(AgentFrame::HeadAck { epoch, generation });
        if let Connection::Open(session) = &mut self.connection {
            session.ready = true;
        }
        let previous = self.accept(head, &list, effects);
        self.downloads.expect_unasked(&list, &previous, unasked, context.store, effects)?;
        self.downloads.schedule(&list, false, context.store, effects)?;
        self.list = Some(list);
        Ok(())
    }

    /// Makes a verified head and its list the ones that are held; gives the roots that the list before named. The caller
    /// then sets the list.
    pub(super) fn accept(
        &mut self,
        head: SignedHead,
        list: &DesiredList,
        effects: &mut AgentEffects,
    ) -> BTreeMap<AppId, Root> {
        let anchor = Anchor::of(&head.head);
        effects.ops.extend(list_ops(self.list.as_ref(), list));
        effects.ops.push(StoreOp::put(HEAD, HELD, &head));
        effects.anchor = Some(anchor);
        let previous: BTreeMap<_, _> = self
            .list
            .iter()
            .flat_map(DesiredList::elements)
            .map(|(app, element)| (app.clone(), element.assignment.root))
            .collect();
        self.identity.anchor = Some(anchor);
        self.held = Some(head);
        let was_rolled_back = std::mem::replace(&mut self.rolled_back, false);
        effects.events.push(AgentEvent::ListAccepted { previous: previous.clone() });
        if was_rolled_back {
            self.downloads.forget_past(list, effects);
        }
        self.downloads.list_accepted(list, effects);
        previous
    }

    /// Decides whether a head follows the one that is held (M13).
    fn judge(
        &self,
        epoch: Option<Epoch>,
        generation: Generation,
        signature: Signature,
        patch: ListPatch,
        verifier: &dyn VerifyHead,
    ) -> Result<(SignedHead, DesiredList), String> {
        let held = self.held.as_ref().map(|held| held.head);
        let epoch = epoch.or(held.map(|held| held.epoch)).ok_or("a first head that names no epoch")?;
        if let Some(held) = held.filter(|held| generation <= held.generation) {
            return Err(format!("head {generation} is not above {}, which is held", held.generation));
        }
        if let Some(anchor) = self.identity.anchor.filter(|anchor| generation <= anchor.generation) {
            return Err(format!(
                "head {generation} is not above {}, which was accepted before",
                anchor.generation
            ));
        }
        let list = patch.finish().map_err(|error| error.to_string())?;
        let head = Head {
            cluster: self.identity.cluster,
            epoch,
            generation,
            list_root: list.root(),
            previous: held.map_or(Digest::ZERO, |held| held.hash()),
        };
        if !verifier.verify(&head.signed_bytes(), &signature) {
            return Err(format!("the signature of head {generation} does not verify"));
        }
        if list.settings().installation != self.identity.installation {
            return Err(format!("head {generation} is of installation {}", list.settings().installation));
        }
        Ok((SignedHead { head, signature }, list))
    }

    /// Sends the agent's own list (M14).
    pub(super) fn send_list(&mut self, effects: &mut AgentEffects) {
        let Some(list) = &self.list else {
            self.refuse(RefusalReason::Malformed, "asked for a list by a hub that was told of none", effects);
            return;
        };
        let mut settings = Some(list.settings_bytes().to_vec());
        let mut elements: Vec<Vec<u8>> = Vec::new();
        let mut size = 0usize;
        for element in list.elements().values() {
            if size + element.bytes.len() > PART && !elements.is_empty() {
                let part = std::mem::take(&mut elements);
                effects.frames.push(AgentFrame::OwnList {
                    settings: settings.take(),
                    elements: part,
                    last: false,
                });
                size = 0;
            }
            size += element.bytes.len();
            elements.push(element.bytes.clone());
        }
        effects.frames.push(AgentFrame::OwnList { settings, elements, last: true });
    }
}

/// Gives the transaction that makes the stored list `new`.
fn list_ops(old: Option<&DesiredList>, new: &DesiredList) -> Vec<StoreOp> {
    let mut ops = Vec::new();
    if old.is_none_or(|old| old.settings_bytes() != new.settings_bytes()) {
        ops.push(StoreOp::put_bytes(LIST, SETTINGS, new.settings_bytes()));
    }
    let old = old.map(DesiredList::elements);
    for (app, element) in new.elements() {
        if old.and_then(|old| old.get(app)).is_none_or(|before| before.bytes != element.bytes) {
            ops.push(StoreOp::put_bytes(LIST, element_key(app), element.bytes.clone()));
        }
    }
    for app in old.iter().flat_map(|old| old.keys()).filter(|app| !new.elements().contains_key(*app)) {
        ops.push(StoreOp::delete(LIST, element_key(app)));
    }
    ops
}
