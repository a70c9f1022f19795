//! The plan of a sync, made from files: what would be done to each object, in which order, and why.
//!
//! The order, the claims on objects that are there, and the governor are the agent's own code. What the agent learns from
//! the API server is told from the objects alone here.

mod compare;
#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::cluster::{ManifestFacts, Tracking};
use crate::governor::{Candidate, Case, Governor};
use crate::ids::{AppId, Digest};
use crate::json;
use crate::key::{GroupKind, ResourceKey};
use crate::manifest::{ObjectOptions, Role};
use crate::order::{self, Leaving, Place, Rank, Step, SyncPhase};
use crate::policy::{Consent, Tool};
use crate::reconcile::facts_of;
use crate::status::HeldDelete;
use crate::tracking;

/// Most differences that a reason names.
const NAMED: usize = 3;

/// Kinds of Kubernetes itself whose objects are in no namespace; all others are told by the objects that are there and by
/// definitions, and count as namespaced where both say nothing.
const OF_CLUSTER: &[(&str, &str)] = &[
    ("", "Namespace"),
    ("", "Node"),
    ("", "PersistentVolume"),
    ("admissionregistration.k8s.io", "MutatingAdmissionPolicy"),
    ("admissionregistration.k8s.io", "MutatingAdmissionPolicyBinding"),
    ("admissionregistration.k8s.io", "MutatingWebhookConfiguration"),
    ("admissionregistration.k8s.io", "ValidatingAdmissionPolicy"),
    ("admissionregistration.k8s.io", "ValidatingAdmissionPolicyBinding"),
    ("admissionregistration.k8s.io", "ValidatingWebhookConfiguration"),
    ("apiextensions.k8s.io", "CustomResourceDefinition"),
    ("apiregistration.k8s.io", "APIService"),
    ("certificates.k8s.io", "CertificateSigningRequest"),
    ("flowcontrol.apiserver.k8s.io", "FlowSchema"),
    ("flowcontrol.apiserver.k8s.io", "PriorityLevelConfiguration"),
    ("networking.k8s.io", "IngressClass"),
    ("node.k8s.io", "RuntimeClass"),
    ("rbac.authorization.k8s.io", "ClusterRole"),
    ("rbac.authorization.k8s.io", "ClusterRoleBinding"),
    ("scheduling.k8s.io", "PriorityClass"),
    ("storage.k8s.io", "CSIDriver"),
    ("storage.k8s.io", "CSINode"),
    ("storage.k8s.io", "StorageClass"),
    ("storage.k8s.io", "VolumeAttachment"),
    ("storage.k8s.io", "VolumeAttributesClass"),
];

/// What a plan is made of.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::struct_excessive_bools, reason = "independent of one another")]
pub struct Inputs<'a> {
    /// The application.
    pub app: &'a AppId,
    /// Namespace of objects that name none.
    pub namespace: &'a str,
    /// Deletes what left the desired state.
    pub prune: bool,
    /// Deletes come after everything else (`PruneLast=true` of the application).
    pub prune_last: bool,
    /// Whether what left the desired state may be deleted, for objects that do not say it themselves.
    pub consent: Consent,
    /// Lets an application that became empty delete everything.
    pub allow_empty: bool,
    /// The application is deleted with its objects: `consent` is about that.
    pub cascade: bool,
    /// Tools whose objects are taken over.
    pub take_over: &'a [Tool],
    /// How many objects the agent manages for other applications.
    pub others: usize,
    /// The rendered objects, by the keys of their release.
    pub desired: &'a [(ResourceKey, Value)],
    /// Objects of the cluster.
    pub live: &'a [(ResourceKey, Value)],
}

/// What is done to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// It is made.
    Create,
    /// It is applied: something of it is otherwise.
    Change,
    /// It is deleted.
    Delete,
    /// Nothing: it is as it should be.
    None,
    /// It is run as a hook.
    Hook,
    /// Nothing, though it is not as it should be; the reason says why.
    Skip,
}

/// One line of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// The phase and the wave.
    pub step: Step,
    /// Which object.
    pub key: ResourceKey,
    /// What is done to it.
    pub action: Action,
    /// Why, for people.
    pub why: String,
}

/// A plan, in the order in which it is carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Its lines.
    pub lines: Vec<Planned>,
    /// Why the governor would hold its deletes; absent when it would hold none.
    pub held: Option<String>,
}

/// Where a line stands in its step: what left goes first, the last kinds before the others.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Turn {
    Delete(Reverse<Rank>),
    Apply(Rank),
}

/// Objects by their resolved keys.
struct Sides<'a> {
    inputs: Inputs<'a>,
    desired: BTreeMap<ResourceKey, (&'a Value, ManifestFacts)>,
    live: BTreeMap<&'a ResourceKey, &'a Value>,
}

/// Which kinds are in namespaces, as far as it is told.
pub(crate) struct Scopes(BTreeMap<GroupKind, bool>);

// === impl Action ===

impl Action {
    /// Gives the word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Change => "change",
            Self::Delete => "delete",
            Self::None => "none",
            Self::Hook => "hook",
            Self::Skip => "skip",
        }
    }
}

// === impl Plan ===

impl Plan {
    /// Plans one sync.
    pub fn make(inputs: Inputs<'_>) -> Self {
        let sides = Sides::of(inputs);
        let mut lines: Vec<((Step, Turn, ResourceKey), Planned)> = Vec::new();
        let mut add = |turn: Turn, step: Step, key: &ResourceKey, action: Action, why: String| {
            let line = Planned { step, key: key.clone(), action, why };
            lines.push(((step, turn, key.clone()), line));
        };
        let ranks = sides.ranks();
        for (key, (manifest, facts)) in &sides.desired {
            let rank = ranks.get(key).copied().unwrap_or_default();
            match facts.role {
                Role::Resource => {
                    let (action, why) = sides.judge(key, manifest);
                    add(Turn::Apply(rank), rank.step, key, action, why);
                }
                Role::Skipped | Role::Ignored => {
                    let rank = Rank::of(key, facts.wave);
                    let why = "its annotations say that it is left alone".to_owned();
                    add(Turn::Apply(rank), rank.step, key, Action::Skip, why);
                }
                Role::Hook(hook) => {
                    for phase in hook.phases() {
                        let rank = Rank::of(key, facts.wave).in_phase(phase);
                        let why = why_of_hook(phase, sides.live.contains_key(key) && hook.before_creation);
                        add(Turn::Apply(rank), rank.step, key, Action::Hook, why);
                    }
                }
            }
        }
        let leaving = sides.leaving();
        let held = sides.governed(&leaving);
        let deletes = leaving.iter().filter(|(_, (_, stays))| stays.is_none());
        let deletes: BTreeMap<ResourceKey, Leaving> =
            deletes.map(|(key, (leaving, _))| ((*key).clone(), *leaving)).collect();
        let resources = sides.desired.iter().filter(|(_, (_, facts))| facts.role == Role::Resource);
        let applies = resources.filter_map(|(key, _)| ranks.get(key)).map(|rank| rank.step);
        let steps = order::delete_steps(&deletes, applies);
        for (key, (leaving, stays)) in &leaving {
            let step = steps.get(*key).copied().unwrap_or(Step::wave(leaving.wave));
            let (action, why) = match stays {
                Some(why) => (Action::Skip, (*why).to_owned()),
                None if key.is_part() => (
                    Action::Delete,
                    "it left the desired state: it is given up, and its object stays".to_owned(),
                ),
                None if inputs.cascade => (Action::Delete, "it goes with its app".to_owned()),
                None => (Action::Delete, "it left the desired state".to_owned()),
            };
            add(Turn::Delete(Reverse(Rank::of(key, step.wave))), step, key, action, why);
        }
        lines.sort_by(|(one, _), (other, _)| one.cmp(other));
        Self { lines: lines.into_iter().map(|(_, line)| line).collect(), held }
    }

    /// Names the plan: another order or another action is another plan.
    pub fn digest(&self) -> Digest {
        let line = |line: &Planned| {
            let Step { phase, wave } = line.step;
            format!("{} {wave} {} {}", phase.as_str(), line.key, line.action.as_str())
        };
        let lines: Vec<String> = self.lines.iter().map(line).collect();
        Digest::of_parts("argosy plan v1", lines.iter().map(String::as_bytes))
    }

    /// Tells whether a sync would change something; hooks alone do not.
    pub fn changes_something(&self) -> bool {
        self.lines.iter().any(|line| match line.action {
            Action::Create | Action::Change | Action::Delete => true,
            Action::None | Action::Hook | Action::Skip => false,
        })
    }
}

// === impl Sides ===

impl<'a> Sides<'a> {
    fn of(inputs: Inputs<'a>) -> Self {
        let scopes =
            Scopes::of(inputs.live.iter().chain(inputs.desired), inputs.live.iter().map(|(key, _)| key));
        let mut desired = BTreeMap::new();
        for (rendered, manifest) in inputs.desired {
            // Of two that meet the last wins (M2).
            let key = scopes.resolve(rendered, inputs.namespace);
            desired.insert(key, (manifest, facts_of(rendered, manifest)));
        }
        Self { inputs, desired, live: inputs.live.iter().map(|(key, object)| (key, object)).collect() }
    }

    fn ranks(&self) -> BTreeMap<ResourceKey, Rank> {
        let places = self.desired.iter().filter_map(|(key, (_, facts))| {
            let phase = match facts.role {
                Role::Resource => SyncPhase::Sync,
                Role::Hook(hook) => hook.phases().next()?,
                Role::Skipped | Role::Ignored => return None,
            };
            Some((key, Place { wave: facts.wave, defines: facts.defines_kind(), phase }))
        });
        order::ranks(places)
    }

    /// Says what is done to a desired object.
    fn judge(&self, key: &ResourceKey, manifest: &Value) -> (Action, String) {
        if key.is_part() {
            return self.judge_part(key, manifest);
        }
        let Some(live) = self.live.get(key) else {
            return (Action::Create, "it is not there".to_owned());
        };
        let metadata = live.get("metadata").unwrap_or(&Value::Null);
        let note = match tracking::read(metadata) {
            Tracking::Other(other) if self.inputs.take_over.iter().any(|tool| tool.tracks(&other)) => {
                "taken over from another tool; "
            }
            Tracking::Other(tool) => return (Action::Skip, format!("refused: tracked by {tool}")),
            Tracking::Ours { app, names, .. } if names == *key && app != *self.inputs.app => {
                return (
                    Action::Skip,
                    format!("app {app} has it; it is taken over once that app has it no more"),
                );
            }
            Tracking::Ours { names, .. } if names == *key => "",
            Tracking::Ours { .. } => "its tracking was copied from another object; ",
            Tracking::None if key.is_crd() => "",
            Tracking::None => "adopted: nobody tracks it; ",
        };
        if metadata.get("deletionTimestamp").is_some() {
            return (Action::Create, "it is being deleted, and made anew once it is gone".to_owned());
        }
        changes(note, &differences(key, manifest, live))
    }

    /// Says what is done to a part of an object, whoever has that.
    fn judge_part(&self, key: &ResourceKey, manifest: &Value) -> (Action, String) {
        let there = self.live.get(key).or_else(|| self.live.get(&key.whole()));
        let Some(live) = there else {
            return (Action::Create, "applied once its object is there: a part never makes it".to_owned());
        };
        if json::at(live, &["metadata", "deletionTimestamp"]).is_some() {
            return (Action::Skip, "its object is being deleted".to_owned());
        }
        changes("", &differences(key, &tracking::of_part(manifest), live))
    }

    /// Gives the objects of the app that it desires no more, with why they stay.
    fn leaving(&self) -> BTreeMap<&'a ResourceKey, (Leaving, Option<&'static str>)> {
        let mut leaving = BTreeMap::new();
        for (key, object) in &self.live {
            let options = ObjectOptions::of(object);
            if self.desired.contains_key(*key) || !self.is_own(key, object) || options.role != Role::Resource
            {
                continue;
            }
            let stays = if key.is_crd() {
                Some("it left the desired state; a definition is never deleted")
            } else if !key.is_part() && self.desired.keys().any(|of| of.is_part() && of.is_of_object(key)) {
                Some("only a part of it is stated now; the rest is left as it is")
            } else if options.delete == Some(Consent::Refused) || self.consent(&options) == Consent::Refused {
                Some("it left the desired state; it is kept by Prune=false or Delete=false")
            } else if self.inputs.prune {
                None
            } else {
                Some("it left the desired state; this sync does not prune")
            };
            let last = self.inputs.prune_last || options.prune_last;
            leaving.insert(*key, (Leaving { wave: options.wave, last }, stays));
        }
        leaving
    }

    fn consent(&self, options: &ObjectOptions) -> Consent {
        let said = if self.inputs.cascade { options.delete } else { options.prune };
        said.unwrap_or(self.inputs.consent)
    }

    /// Tells whether the app manages a live object, by the object's own tracking. A part is known only by the release that
    /// stated it.
    fn is_own(&self, key: &ResourceKey, object: &Value) -> bool {
        if key.is_part() {
            return true;
        }
        let owned =
            json::at(object, &["metadata", "ownerReferences"]).is_some_and(|owners| !owners.is_null());
        match tracking::read(object.get("metadata").unwrap_or(&Value::Null)) {
            Tracking::Ours { app, names, .. } => !owned && app == *self.inputs.app && names == *key,
            Tracking::None | Tracking::Other(_) => false,
        }
    }

    /// Asks the governor about the deletes, as at the first sync within an hour.
    fn governed(&self, leaving: &BTreeMap<&ResourceKey, (Leaving, Option<&str>)>) -> Option<String> {
        let deletes = leaving.iter().filter(|(_, (_, stays))| stays.is_none());
        let candidates: Vec<Candidate> = deletes
            .map(|(key, _)| {
                let uid = self.live.get(*key).and_then(|object| json::text_at(object, &["metadata", "uid"]));
                let delete = HeldDelete { key: (*key).clone(), uid: uid.unwrap_or_default().to_owned() };
                let options = self.live.get(*key).map(|object| ObjectOptions::of(object)).unwrap_or_default();
                let confirm = self.consent(&options) == Consent::Asked;
                Candidate { delete, held_by_list: false, unasked: false, confirm }
            })
            .collect();
        let tracked = |object: &Value| {
            let metadata = object.get("metadata").unwrap_or(&Value::Null);
            matches!(tracking::read(metadata), Tracking::Ours { .. })
        };
        let case = Case {
            app_objects: self.live.iter().filter(|(key, object)| self.is_own(key, object)).count(),
            cluster_objects: self.live.values().filter(|object| tracked(object)).count() + self.inputs.others,
            under_way: 0,
            became_empty: self.desired.is_empty() && !self.inputs.allow_empty && !self.inputs.cascade,
            cascade_confirmed: false,
            all_held: false,
            now_ms: 0,
        };
        Governor::default().judge(self.inputs.app, case, &candidates).held.map(|held| held.reason)
    }
}

// === impl Scopes ===

impl Scopes {
    /// Reads them from definitions among objects, and from objects that are in a cluster.
    pub(crate) fn of<'a>(
        objects: impl Iterator<Item = &'a (ResourceKey, Value)>,
        live: impl Iterator<Item = &'a ResourceKey>,
    ) -> Self {
        let mut scopes = BTreeMap::new();
        for (key, object) in objects {
            if let Some((kind, namespaced)) = facts_of(key, object).defines {
                scopes.insert(kind, namespaced);
            }
        }
        scopes.extend(live.map(|key| (key.group_kind(), !key.namespace.is_empty())));
        Self(scopes)
    }

    /// Gives the key of a rendered object in an application with this namespace.
    pub(crate) fn resolve(&self, rendered: &ResourceKey, namespace: &str) -> ResourceKey {
        let kind = rendered.group_kind();
        let built_in = OF_CLUSTER.contains(&(kind.group.as_str(), kind.kind.as_str()));
        let namespace = if !self.0.get(&kind).copied().unwrap_or(!built_in) {
            ""
        } else if rendered.namespace.is_empty() {
            namespace
        } else {
            &rendered.namespace
        };
        rendered.in_namespace(namespace)
    }
}

/// Lists how an object differs from what is stated of it.
fn differences(key: &ResourceKey, stated: &Value, live: &Value) -> Vec<String> {
    let kind = key.group_kind();
    let manager = tracking::manager_of(&key.part);
    compare::differences(stated, live, &manager, (kind.is_secret(), kind.is_built_in()))
}

/// Says what an apply changes.
fn changes(note: &str, differences: &[String]) -> (Action, String) {
    if differences.is_empty() && note.is_empty() {
        return (Action::None, "it is as it should be".to_owned());
    }
    let named: Vec<&str> = differences.iter().take(NAMED).map(String::as_str).collect();
    let mut why = format!("{note}{}", named.join(", "));
    let more = differences.len().saturating_sub(NAMED);
    if more > 0 {
        why = format!("{why} and {more} more");
    }
    (Action::Change, why.trim_end_matches("; ").to_owned())
}

/// Says when a hook runs.
fn why_of_hook(phase: SyncPhase, cleared: bool) -> String {
    let when = match phase {
        SyncPhase::PreSync => "runs before the objects of the app",
        SyncPhase::Sync => "runs among the objects of the app",
        SyncPhase::PostSync => "runs once all of the app is healthy",
        SyncPhase::SyncFail => "runs only if the sync fails",
        SyncPhase::PreDelete => "runs only when the app is deleted, before its objects",
        SyncPhase::PostDelete => "runs only when the app is deleted, once its objects are gone",
    };
    if cleared { format!("{when}; what an earlier sync left of it goes first") } else { when.to_owned() }
}

/// Gives the apps that live objects of Argosy name in their tracking.
pub fn apps_of<'a>(live: impl IntoIterator<Item = &'a (ResourceKey, Value)>) -> BTreeSet<AppId> {
    let apps = live.into_iter().filter_map(|(key, object)| {
        match tracking::read(object.get("metadata").unwrap_or(&Value::Null)) {
            Tracking::Ours { app, names, .. } if names == *key => Some(app),
            Tracking::Ours { .. } | Tracking::None | Tracking::Other(_) => None,
        }
    });
    apps.collect()
}
