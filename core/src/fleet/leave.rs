//! How apps leave, and what is held of them (M5, M6).

use std::collections::{BTreeMap, BTreeSet};

use super::judge::{Outcome, Verdict};
use super::{Decision, Fleet, FleetRead, Inputs, MassLoss, Placement, condition};
use crate::desired::{Assignment, Phase};
use crate::ids::{AppId, ClusterId, DeletionId, Digest};
use crate::key::ResourceKey;
use crate::session::tables::get_release;
use crate::store::{StoreError, StoreRead, encode};
use crate::time::Entropy;

/// A read that loses more than half of at least this many apps changes no phase unconfirmed (M6).
const MASS_LOSS_FLOOR: usize = 4;

/// Most bytes of the keys that are held of one app: with them its assignment fits a frame.
const HELD_BYTES: usize = 1 << 20;

impl Fleet {
    /// Apps that the read does not name leave (M6): only after a complete read, and not while a file that held one is
    /// unreadable.
    pub(super) fn leave(
        &mut self,
        read: &FleetRead,
        inputs: Inputs<'_>,
        verdicts: &BTreeMap<AppId, Verdict>,
        decision: &mut Decision,
        entropy: &mut dyn Entropy,
    ) {
        let present =
            |placement: &Placement| matches!(placement.assignment.phase, Phase::Active | Phase::Frozen);
        let known: BTreeSet<AppId> = self
            .placements
            .iter()
            .filter(|(_, placement)| present(placement))
            .map(|((_, app), _)| app.clone())
            .collect();
        let lost: Vec<AppId> =
            known.iter().filter(|app| !verdicts.contains_key(*app) && !read.may_mean(app)).cloned().collect();
        if lost.is_empty() || !read.complete {
            return;
        }
        let names: Vec<Vec<u8>> = lost.iter().map(encode).collect();
        let plan = Digest::of_parts("argosy lost apps v1", names.iter().map(Vec::as_slice));
        let mass = known.len() >= MASS_LOSS_FLOOR && lost.len() * 2 > known.len();
        if mass && inputs.confirmed_loss != Some(plan) {
            for app in &lost {
                let message = format!(
                    "the fleet lost {} of {} apps: nothing is released or deleted until it is confirmed: argosy app \
                     confirm {} --plan {plan}",
                    lost.len(),
                    known.len(),
                    app.name
                );
                decision.conditions.entry(app.clone()).or_default().push(condition("DeletesHeld", message));
            }
            decision.mass_loss = Some(MassLoss { plan, apps: lost });
            return;
        }
        // Deleting waits until what is new in the read has rendered: an object may be on its way to it.
        let newcomers_rendered = verdicts.iter().all(|(app, verdict)| {
            let settled = matches!(verdict.outcome, Outcome::Place { .. } | Outcome::Wait);
            known.contains(app) || (settled && !verdict.is_failing())
        });
        // A document may be on its way to an app that brings others and was never rendered.
        let newcomers_rendered = newcomers_rendered && read.unread_parents.is_empty();
        // What was confirmed leaves as one: a part of it would be another loss, with another plan.
        let together = mass && !newcomers_rendered;
        for ((_, app), placement) in &mut self.placements {
            if !lost.contains(app) || !present(placement) {
                continue;
            }
            match placement.cascade {
                None if together => {}
                None => placement.assignment.phase = Phase::Released,
                Some(propagation) if newcomers_rendered => {
                    placement.assignment.phase = Phase::Deleting;
                    placement.assignment.policy.propagation = propagation;
                    placement.assignment.deletion = Some(DeletionId::new(entropy.bytes16()));
                }
                Some(_) => {
                    let message =
                        "removed from the fleet; its deletion waits until the new apps have rendered";
                    decision
                        .conditions
                        .entry(app.clone())
                        .or_default()
                        .push(condition("ComparisonError", message.to_owned()));
                }
            }
        }
    }

    /// Holds what left the desired state while an app of the same repository fails (M5). An app that so much leaves that it
    /// cannot be listed stays as it was until then; gives those.
    pub(super) fn hold(
        &mut self,
        read: &FleetRead,
        verdicts: &BTreeMap<AppId, Verdict>,
        before: &BTreeMap<(ClusterId, AppId), Placement>,
        store: &dyn StoreRead,
    ) -> Result<Vec<AppId>, StoreError> {
        let mut kept = Vec::new();
        // A document that nobody can name may be of any repository, and so may those that an app brings which was never
        // rendered.
        let placed: BTreeSet<&str> =
            self.placements.values().map(|placement| placement.file.as_str()).collect();
        let anonymous = !read.unread_parents.is_empty()
            || read.broken.iter().any(|broken| !placed.contains(broken.file.as_str()))
            || verdicts.values().any(|verdict| verdict.is_failing() && verdict.repository.is_empty());
        let failing: BTreeSet<&str> = verdicts
            .values()
            .filter(|verdict| verdict.is_failing())
            .map(|verdict| verdict.repository.as_str())
            .collect();
        for (key, placement) in &mut self.placements {
            let holds = anonymous || failing.contains(placement.repository.as_str());
            if !holds {
                placement.assignment.held.clear();
                continue;
            }
            let Some(old) = before.get(key) else { continue };
            let deletes = placement.assignment.phase == Phase::Deleting;
            let begins = deletes && old.assignment.phase != Phase::Deleting;
            let moves = old.assignment.destination.namespace != placement.assignment.destination.namespace;
            if old.assignment.root == placement.assignment.root && !begins && !moves {
                continue;
            }
            // An app that is deleted desires nothing any more: all of it left.
            let new_keys = if deletes { BTreeSet::new() } else { keys_at(store, &placement.assignment)? };
            let mut held: BTreeSet<ResourceKey> = placement.assignment.held.iter().cloned().collect();
            held.extend(keys_at(store, &old.assignment)?);
            placement.assignment.held = held.difference(&new_keys).cloned().collect();
            if placement.assignment.held.iter().map(size).sum::<usize>() > HELD_BYTES {
                let limits = placement.assignment.limits.clone();
                *placement = old.clone();
                placement.assignment.limits = limits;
                kept.push(key.1.clone());
            }
        }
        Ok(kept)
    }
}

fn size(key: &ResourceKey) -> usize {
    key.group.len() + key.kind.len() + key.namespace.len() + key.name.len() + key.part.len() + 8
}

/// Gives the objects of an assignment, in its destination's namespace where they name none: what left it stays held
/// there, whatever the destination becomes (M7).
fn keys_at(store: &dyn StoreRead, assignment: &Assignment) -> Result<BTreeSet<ResourceKey>, StoreError> {
    let release = get_release(store, assignment.root)?;
    let entries = release.iter().flat_map(crate::release::Release::entries);
    let keys = entries.map(|entry| match entry.id.key.namespace.as_str() {
        "" => entry.id.key.in_namespace(&assignment.destination.namespace),
        _ => entry.id.key.clone(),
    });
    Ok(keys.collect())
}
