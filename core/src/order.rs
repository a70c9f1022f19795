//! The order of a sync (Argo CD: phases, waves, kinds): what is applied and deleted after what.
//!
//! A sync goes from step to step; a step is a phase and a wave. In a step, what left the desired state is deleted first,
//! then kinds are applied one after the other. A namespace comes before what lives in it and a definition before what it
//! defines, whatever their own waves say.

use std::collections::{BTreeMap, BTreeSet};

use minicbor::{Decode, Encode};

use crate::key::{GroupKind, ResourceKey};
use crate::word::Word;

/// Kinds in the order in which they are applied, whatever their group; what is not listed comes last.
const KINDS: &[&str] = &[
    "Namespace",
    "NetworkPolicy",
    "ResourceQuota",
    "LimitRange",
    "PodSecurityPolicy",
    "PodDisruptionBudget",
    "ServiceAccount",
    "Secret",
    "SecretList",
    "ConfigMap",
    "StorageClass",
    "PersistentVolume",
    "PersistentVolumeClaim",
    "CustomResourceDefinition",
    "ClusterRole",
    "ClusterRoleList",
    "ClusterRoleBinding",
    "ClusterRoleBindingList",
    "Role",
    "RoleList",
    "RoleBinding",
    "RoleBindingList",
    "Service",
    "DaemonSet",
    "Pod",
    "ReplicationController",
    "ReplicaSet",
    "Deployment",
    "HorizontalPodAutoscaler",
    "StatefulSet",
    "Job",
    "CronJob",
    "IngressClass",
    "Ingress",
    "APIService",
];

/// Part of a sync (Argo CD: sync phases), in order; and of the deletion of an app.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Encode, Decode)]
#[cbor(index_only)]
pub enum SyncPhase {
    /// Hooks before it.
    #[n(0)]
    PreSync,
    /// The objects of the app, and hooks among them.
    #[default]
    #[n(1)]
    Sync,
    /// Hooks after all of it is healthy.
    #[n(2)]
    PostSync,
    /// Hooks when it failed.
    #[n(3)]
    SyncFail,
    /// Hooks before the objects of the app are deleted with it.
    #[n(4)]
    PreDelete,
    /// Hooks after all of them are gone.
    #[n(5)]
    PostDelete,
}

/// A phase and a wave: what is in one step is done together, and steps follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Encode, Decode)]
pub struct Step {
    /// The phase.
    #[n(0)]
    pub phase: SyncPhase,
    /// The wave in it.
    #[n(1)]
    pub wave: i32,
}

/// Place of an object in a sync: objects of one rank are applied side by side, and ranks follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Rank {
    /// Its step.
    pub step: Step,
    /// Its kind's place, doubled, so that there is one between each two.
    kind: u16,
}

/// What an object's order depends on besides its key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    /// Its wave.
    pub wave: i32,
    /// The kind that it defines.
    pub defines: Option<GroupKind>,
    /// Its phase; the first, if it is a hook of several.
    pub phase: SyncPhase,
}

// === impl SyncPhase ===

impl SyncPhase {
    /// All of them, in order.
    pub const ALL: [Self; 6] =
        [Self::PreSync, Self::Sync, Self::PostSync, Self::SyncFail, Self::PreDelete, Self::PostDelete];

    /// Gives Argo CD's word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PreSync => "PreSync",
            Self::Sync => "Sync",
            Self::PostSync => "PostSync",
            Self::SyncFail => "SyncFail",
            Self::PreDelete => "PreDelete",
            Self::PostDelete => "PostDelete",
        }
    }
}

// === impl Step ===

impl Step {
    /// Names a wave of the app's own objects.
    pub const fn wave(wave: i32) -> Self {
        Self { phase: SyncPhase::Sync, wave }
    }
}

// === impl Rank ===

impl Rank {
    /// Gives an object's rank by its own kind and wave.
    pub fn of(key: &ResourceKey, wave: i32) -> Self {
        let position = KINDS.iter().position(|kind| *kind == key.kind).unwrap_or(KINDS.len());
        let kind = u16::try_from(position).unwrap_or(u16::MAX / 2).saturating_mul(2).saturating_add(1);
        Self { step: Step::wave(wave), kind }
    }

    /// Gives the rank of the same object in a phase.
    #[must_use]
    pub fn in_phase(self, phase: SyncPhase) -> Self {
        Self { step: Step { phase, ..self.step }, ..self }
    }

    fn before(self) -> Self {
        Self { kind: self.kind.saturating_sub(1), ..self }
    }
}

/// Gives the ranks of the objects of one sync.
///
/// A core Namespace goes before the first object that lives in it, and a definition before the first object of its kind:
/// one that would come later is moved right before it, into its step (Argo CD: wave -3 pulls a wave-5 Namespace along). A
/// part goes no sooner than its object, where the same sync has both.
pub fn ranks<'a>(objects: impl IntoIterator<Item = (&'a ResourceKey, Place)>) -> BTreeMap<ResourceKey, Rank> {
    let mut ranks = BTreeMap::new();
    let mut lives_in: BTreeMap<&Word, Rank> = BTreeMap::new();
    let mut of_kind: BTreeMap<GroupKind, Rank> = BTreeMap::new();
    let mut definitions = Vec::new();
    let mut last: Option<(&ResourceKey, Rank)> = None;
    for (key, place) in objects {
        let rank = Rank::of(key, place.wave).in_phase(place.phase);
        let known = last.is_some_and(|(of, first)| {
            of.kind == key.kind && of.group == key.group && of.namespace == key.namespace && first <= rank
        });
        if !known {
            let earliest = |first: &mut Rank| *first = (*first).min(rank);
            lives_in.entry(&key.namespace).and_modify(earliest).or_insert(rank);
            of_kind.entry(key.group_kind()).and_modify(earliest).or_insert(rank);
            last = Some((key, rank));
        }
        definitions.extend(place.defines.map(|kind| (key, kind)));
        ranks.insert(key.clone(), rank);
    }
    let namespaces = lives_in
        .into_iter()
        .map(|(name, first)| (ResourceKey::new("", "Namespace", "", name.clone()), first));
    let defined = definitions.into_iter().filter_map(|(key, kind)| Some((key.clone(), *of_kind.get(&kind)?)));
    for (key, first) in namespaces.chain(defined) {
        if let Some(rank) = ranks.get_mut(&key).filter(|rank| **rank >= first) {
            *rank = first.before();
        }
    }
    let parts: Vec<ResourceKey> = ranks.keys().filter(|key| key.is_part()).cloned().collect();
    for key in parts {
        if let (Some(whole), Some(rank)) = (ranks.get(&key.whole()).copied(), ranks.get_mut(&key)) {
            *rank = whole.max(*rank);
        }
    }
    ranks
}

/// What leaves the desired state, as far as the order of deletes depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leaving {
    /// Its own wave.
    pub wave: i32,
    /// It goes after everything else of its sync (`PruneLast=true`).
    pub last: bool,
}

/// Gives the steps of deletes among those of the applies: in mirrored waves, or after the last step of all.
pub fn delete_steps(
    deletes: &BTreeMap<ResourceKey, Leaving>,
    applies: impl IntoIterator<Item = Step>,
) -> BTreeMap<ResourceKey, Step> {
    if deletes.is_empty() {
        return BTreeMap::new();
    }
    let mirror = mirrored(&deletes.values().map(|leaving| leaving.wave).collect());
    let step = |leaving: &Leaving| Step::wave(mirror.get(&leaving.wave).copied().unwrap_or_default());
    let steps = applies.into_iter().chain(deletes.values().map(step));
    let end = steps.map(|step| step.wave).max().unwrap_or_default().max(0).saturating_add(1);
    let of = |leaving: &Leaving| if leaving.last { Step::wave(end) } else { step(leaving) };
    deletes.iter().map(|(key, leaving)| (key.clone(), of(leaving))).collect()
}

/// Gives the waves in which objects are deleted: those of the objects, mirrored, so that what came last goes first (Argo
/// CD: prune waves).
pub fn mirrored(waves: &BTreeSet<i32>) -> BTreeMap<i32, i32> {
    waves.iter().copied().zip(waves.iter().rev().copied()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> ResourceKey {
        let parts: Vec<&str> = text.split('/').collect();
        ResourceKey::new(parts[0], parts[1], parts[2], parts[3])
    }

    /// An object's key, its wave, and the kind that it defines.
    type Piece = (&'static str, i32, Option<(&'static str, &'static str)>);

    fn order(objects: &[Piece]) -> Vec<String> {
        let keys: Vec<ResourceKey> = objects.iter().map(|(text, ..)| key(text)).collect();
        let places = objects.iter().map(|(_, wave, defines)| Place {
            wave: *wave,
            defines: defines.map(|(group, kind)| GroupKind::new(group, kind)),
            phase: SyncPhase::Sync,
        });
        let mut ranks: Vec<_> =
            ranks(keys.iter().zip(places)).into_iter().map(|(key, rank)| (rank, key)).collect();
        ranks.sort();
        ranks.iter().map(|(rank, key)| format!("{} {}", rank.step.wave, key.name)).collect()
    }

    #[test]
    fn kinds_follow_each_other_in_a_wave_and_unknown_ones_come_last() {
        let sorted = order(&[
            ("networking.istio.io/VirtualService/shop/route", 0, None),
            ("apps/Deployment/shop/web", 0, None),
            ("/Service/shop/svc", 0, None),
            ("/ConfigMap/shop/config", 0, None),
            ("/ServiceAccount/shop/robot", 0, None),
            ("apiextensions.k8s.io/CustomResourceDefinition//widgets", 0, None),
            ("/Namespace//shop", 0, None),
            ("batch/Job/shop/early", -1, None),
        ]);
        assert_eq!(
            sorted,
            ["-1 shop", "-1 early", "0 robot", "0 config", "0 widgets", "0 svc", "0 web", "0 route"]
        );
    }

    #[test]
    fn a_namespace_comes_before_the_first_that_lives_in_it_whatever_its_wave() {
        let sorted = order(&[
            ("/Namespace//shop", 5, None),
            ("/Namespace//other", 5, None),
            ("/ConfigMap/shop/config", -3, None),
            ("apps/Deployment/shop/web", -2, None),
        ]);
        assert_eq!(sorted, ["-3 shop", "-3 config", "-2 web", "5 other"]);
        let early = order(&[("/Namespace//shop", -7, None), ("/ConfigMap/shop/config", -3, None)]);
        assert_eq!(early, ["-7 shop", "-3 config"], "one that is early enough stays");
    }

    #[test]
    fn a_part_has_its_own_wave_but_comes_after_the_whole() {
        let place = |wave| Place { wave, ..Place::default() };
        let (shop, map) = (key("/Namespace//shop"), key("/ConfigMap/shop/config"));
        let (late, early) = (shop.clone().with_part("late"), map.clone().with_part("early"));
        let objects = [(&shop, place(0)), (&late, place(5)), (&map, place(2)), (&early, place(-3))];
        let ranks = ranks(objects);
        assert_eq!(ranks[&late].step.wave, 5, "what lives in the namespace does not pull it along");
        assert_eq!(ranks[&early], ranks[&map]);
        let alone = super::ranks([(&early, place(-3))]);
        assert_eq!(alone[&early].step.wave, -3);
    }

    #[test]
    fn a_definition_comes_before_the_first_object_of_its_kind_even_one_whose_kind_sorts_first() {
        let sorted = order(&[
            ("apiextensions.k8s.io/CustomResourceDefinition//secrets", 1, Some(("acme.io", "Secret"))),
            ("acme.io/Secret/shop/odd", 0, None),
            ("/ConfigMap/shop/config", 0, None),
            ("/ServiceAccount/shop/robot", 0, None),
        ]);
        assert_eq!(sorted, ["0 robot", "0 secrets", "0 odd", "0 config"]);
    }

    #[test]
    fn what_goes_last_goes_after_every_other_step() {
        let deletes = BTreeMap::from([
            (key("/ConfigMap/shop/early"), Leaving { wave: -1, last: false }),
            (key("/ConfigMap/shop/late"), Leaving { wave: 2, last: false }),
            (key("/ConfigMap/shop/last"), Leaving { wave: 0, last: true }),
        ]);
        let waves = |applies: &[i32]| {
            let steps = delete_steps(&deletes, applies.iter().map(|wave| Step::wave(*wave)));
            ["early", "late", "last"].map(|name| steps[&key(&format!("/ConfigMap/shop/{name}"))].wave)
        };
        assert_eq!(waves(&[0, 7]), [2, -1, 8]);
        assert_eq!(waves(&[]), [2, -1, 3]);
    }

    #[test]
    fn waves_of_deletes_are_mirrored() {
        let mirror = mirrored(&BTreeSet::from([-1, 0, 7]));
        assert_eq!(mirror, BTreeMap::from([(-1, 7), (0, 0), (7, -1)]));
    }
}
