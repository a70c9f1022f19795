//! Requests: an agent's, answered as its client answers, and everybody's.

use std::sync::Arc;

use argosy_core::cluster::{Answer, ApiError, Apply, Subject};
use argosy_core::compare::{self, Compared, Ignored};
use argosy_core::health::Assessor;
use argosy_core::ids::{AppId, Digest};
use argosy_core::key::{GroupKind, ResourceKey};
use argosy_core::policy::Propagation;
use argosy_core::tracking::{FIELD_MANAGER, giving_up, manager_of};
use argosy_sim::cluster::{
    Body, Call, DeleteOptions, Effect, FieldValidation, Interference, Object, Patch, PatchKind,
    Propagation as Reach, Reply, Status, Subresource, Verb,
};
use argosy_sim::kinds::Resource;
use serde_json::{Value, json};

use super::super::objects::{self, Piece};
use super::super::oracle::live;
use super::{Cluster, Later, Spell, classify, not_served, refusal, time};

/// The finalizer that somebody puts onto what is being deleted.
const HOLD: &str = "example.com/hold";

/// How a request is carried out: as it says, or wrong on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in super::super) enum Manner {
    #[default]
    Right,
    /// Whatever incarnation is there is meant.
    ByName,
    /// What is applied replaces what is there.
    Replaces,
    /// What is applied is merged into what is there, and takes nothing away.
    Merges,
    /// After an apply all other values are removed.
    Robs,
    /// A namespace is said to be there, and is not made.
    Pretends,
    /// What is tried is done.
    Earnest,
}

impl Cluster {
    /// Finds a kind, if the API server serves it.
    pub(super) fn resource(&self, kind: &GroupKind) -> Option<Arc<Resource>> {
        let (version, plural) = objects::served(kind)?;
        self.api.resource(&kind.group, version, plural)
    }

    /// Gives an object as it is now, without asking for it.
    pub(in super::super) fn peek(&self, key: &ResourceKey) -> Option<Arc<Object>> {
        let resource = self.resource(&key.group_kind())?;
        self.api.peek(&resource, &key.namespace, &key.name).cloned()
    }

    /// Tells whether a live object says what a piece of Git says; absent if there is none.
    pub(in super::super) fn says(
        &self,
        key: &ResourceKey,
        rendered: &ResourceKey,
        piece: Piece,
    ) -> Option<bool> {
        let object = self.peek(key)?;
        let about = (object.version(), rendered.clone(), piece, self.mutated.contains(key));
        let mut compared = self.compared.borrow_mut();
        if let Some((of, says)) = compared.get(key)
            && *of == about
        {
            return Some(*says);
        }
        let says = live::says(&object.bare(), rendered, piece, about.3);
        compared.insert(key.clone(), (about, says));
        Some(says)
    }

    /// Asks the API server for something.
    pub(super) fn call(
        &mut self,
        key: &ResourceKey,
        verb: Verb<'_>,
        manager: &str,
        now: u64,
    ) -> Result<(Arc<Resource>, Reply), Status> {
        let writes = matches!(verb, Verb::Create(_) | Verb::Update(_) | Verb::Patch(_));
        let (resource, reply) = self.send(key, verb, manager, false, now)?;
        if writes && self.weather.1 {
            self.mutated.insert(key.whole());
        } else if writes && manager == FIELD_MANAGER {
            self.mutated.remove(key);
        }
        Ok((resource, reply))
    }

    /// Sends a request, or tries how it would be answered.
    fn send(
        &mut self,
        key: &ResourceKey,
        verb: Verb<'_>,
        manager: &str,
        dry_run: bool,
        now: u64,
    ) -> Result<(Arc<Resource>, Reply), Status> {
        self.set_weather(now);
        let resource = self.resource(&key.group_kind()).ok_or_else(not_served)?;
        let reply = self.api.call(Call {
            resource: &resource,
            namespace: &key.namespace,
            name: &key.name,
            subresource: Subresource::None,
            verb,
            manager,
            user: manager,
            dry_run,
            validation: FieldValidation::Strict,
            now: time(now),
        })?;
        Ok((resource, reply))
    }

    /// Answers whether something may be applied.
    pub(super) fn try_out(&mut self, apply: Apply<'_>, force: bool, now: u64) -> Result<Answer, ApiError> {
        let subject = Subject::of(apply.key, None);
        let patch = Patch { kind: PatchKind::Apply { force }, body: apply.trial()? };
        match self.send(apply.key, Verb::Patch(patch), &manager_of(&apply.key.part), true, now) {
            Ok(_taken) => Ok(Answer::Tried),
            Err(status) => refusal(&status).of_trial(subject).map(|()| Answer::Tried),
        }
    }

    /// Lets webhooks do what their spells say.
    fn set_weather(&mut self, now: u64) {
        let weather = (self.is_under(Spell::Denied, now), self.is_under(Spell::Mutated, now));
        if weather == self.weather {
            return;
        }
        self.weather = weather;
        let mut all = Vec::new();
        let mut set = |resource: String, effect: Effect| {
            all.push(Interference { resource, name: String::new(), effect });
        };
        if weather.0 {
            for (group, _, plural) in objects::resources() {
                let resource = if group.is_empty() { plural.to_owned() } else { format!("{plural}.{group}") };
                set(resource, Effect::Deny("not today".to_owned()));
            }
        }
        if weather.1 {
            let tuned = json!({"tuned": "by a webhook"});
            set("configmaps".to_owned(), Effect::Mutate(json!({"data": tuned})));
            set("widgets.example.com".to_owned(), Effect::Mutate(json!({"spec": tuned})));
        }
        self.api.set_interference(all);
    }

    pub(super) fn get(&mut self, key: &ResourceKey, now: u64) -> Result<Answer, ApiError> {
        match self.call(key, Verb::Get, FIELD_MANAGER, now) {
            Ok((resource, reply)) => Answer::found(&object(&resource, &reply), key, &Assessor::default()),
            Err(status) if status.code == 404 => Ok(Answer::Absent),
            Err(status) => Err(classify(&status, Subject::of(key, None))),
        }
    }

    pub(super) fn apply(
        &mut self,
        apply: Apply<'_>,
        (respect, force): (Option<&Ignored>, bool),
        manner: Manner,
        now: u64,
    ) -> Result<Answer, ApiError> {
        let (key, subject) = (apply.key, Subject::of(apply.key, apply.uid));
        let apply = if manner == Manner::ByName { Apply { uid: None, ..apply } } else { apply };
        let mut sent = apply.body()?;
        let is_there = self.peek(key).is_some();
        if let (Some(ignored), true) = (respect, is_there) {
            let (resource, reply) = self
                .call(key, Verb::Get, FIELD_MANAGER, now)
                .map_err(|status| classify(&status, Subject::of(key, None)))?;
            sent = Answer::respectful(key, &sent, &object(&resource, &reply), ignored)?;
        }
        let verb = match manner {
            Manner::Replaces if is_there => Verb::Update(sent.clone()),
            Manner::Merges if is_there => Verb::Patch(Patch { kind: PatchKind::Merge, body: sent.clone() }),
            Manner::Right
            | Manner::ByName
            | Manner::Robs
            | Manner::Pretends
            | Manner::Earnest
            | Manner::Replaces
            | Manner::Merges => Verb::Patch(Patch { kind: PatchKind::Apply { force }, body: sent.clone() }),
        };
        let answer = self.call(key, verb, &manager_of(&key.part), now);
        let (resource, reply) = answer.map_err(|status| classify(&status, subject))?;
        let received = object(&resource, &reply);
        if manner == Manner::Robs {
            self.rob(key, &sent, &received, now);
        }
        Answer::applied(&sent, &received, key, reply.code == 201, &Assessor::default())
    }

    /// Compares an object with what an apply would make of it, as the agent's client does.
    pub(super) fn compare(
        &mut self,
        key: &ResourceKey,
        desired: Option<&(Digest, AppId)>,
        bytes: Option<&[u8]>,
        (manner, how): (Manner, &compare::Manner),
        now: u64,
    ) -> Result<Answer, ApiError> {
        let installation = super::super::keys::INSTALLATION;
        let of = |(manifest, app): &(Digest, AppId)| {
            Apply { key, uid: None, manifest: *manifest, app, bytes, installation }.trial()
        };
        let sent = desired.map(of).transpose()?;
        let sent = sent.as_ref();
        let live = match self.call(key, Verb::Get, FIELD_MANAGER, now) {
            Ok((resource, reply)) => object(&resource, &reply),
            Err(status) if status.code == 404 => {
                return Ok(Answer::compared(key, Compared { sent, ..Compared::default() }, how));
            }
            Err(status) => return Err(classify(&status, Subject::of(key, None))),
        };
        let given_up =
            (sent.is_none() && key.is_part()).then(|| Answer::giving_up(key, &live)).transpose()?;
        let sent = sent.or(given_up.as_ref());
        let mut predicted = None;
        if let Some(sent) = sent {
            let body = compare::on_trial(sent, &live);
            let uid = live.pointer("/metadata/uid").and_then(Value::as_str);
            let verb = Verb::Patch(Patch { kind: PatchKind::Apply { force: true }, body });
            let on_trial = manner != Manner::Earnest;
            let answer = self.send(key, verb, &manager_of(&key.part), on_trial, now);
            let (resource, reply) = answer.map_err(|status| classify(&status, Subject::of(key, uid)))?;
            predicted = Some(object(&resource, &reply));
        }
        let compared = Compared { sent, live: Some(&live), predicted: predicted.as_ref() };
        Ok(Answer::compared(key, compared, how))
    }

    /// Removes the values of an object that a body does not name.
    fn rob(&mut self, key: &ResourceKey, body: &Value, live: &Value, now: u64) {
        let mut patch = json!({});
        for part in ["data", "spec"] {
            let (Some(ours), Some(all)) = (body.get(part), live.get(part).and_then(Value::as_object)) else {
                continue;
            };
            let theirs = all.keys().filter(|field| ours.get(field.as_str()).is_none());
            let nothing = theirs.map(|field| (field.clone(), Value::Null)).collect();
            if let Some(patch) = patch.as_object_mut() {
                patch.insert(part.to_owned(), Value::Object(nothing));
            }
        }
        let verb = Verb::Patch(Patch { kind: PatchKind::Merge, body: patch });
        // What cannot be taken stays.
        let _refused = self.call(key, verb, FIELD_MANAGER, now);
    }

    /// Gives up a part of an object.
    pub(super) fn give_up(&mut self, key: &ResourceKey, uid: &str, now: u64) -> Result<Answer, ApiError> {
        let kind = key.group_kind();
        let version = objects::served(&kind).map(|(version, _)| version).unwrap_or_default();
        let version =
            if kind.group.is_empty() { version.to_owned() } else { format!("{}/{version}", kind.group) };
        let body = giving_up(&version, key, uid);
        let verb = Verb::Patch(Patch { kind: PatchKind::Apply { force: true }, body });
        match self.call(key, verb, &manager_of(&key.part), now) {
            Ok(_given_up) => Ok(Answer::Deleted),
            Err(status) => Err(classify(&status, Subject::of(key, Some(uid)))),
        }
    }

    pub(super) fn delete(
        &mut self,
        key: &ResourceKey,
        uid: &str,
        propagation: Propagation,
        manner: Manner,
        now: u64,
    ) -> Result<Answer, ApiError> {
        let options = DeleteOptions {
            uid: (manner != Manner::ByName).then(|| uid.to_owned()),
            propagation: Some(match propagation {
                Propagation::Foreground => Reach::Foreground,
                Propagation::Background => Reach::Background,
                Propagation::Orphan => Reach::Orphan,
            }),
            ..DeleteOptions::default()
        };
        match self.call(key, Verb::Delete(options), FIELD_MANAGER, now) {
            Ok(_gone_or_going) => Ok(Answer::Deleted),
            Err(status) if refusal(&status).is_absent() => Ok(Answer::Deleted),
            Err(status) => Err(classify(&status, Subject::of(key, Some(uid)))),
        }
    }

    pub(super) fn ensure_namespace(
        &mut self,
        name: &str,
        manner: Manner,
        now: u64,
    ) -> Result<Answer, ApiError> {
        let (key, plain) = (objects::namespace(name), Subject::default());
        match self.call(&key, Verb::Get, FIELD_MANAGER, now) {
            Ok(_there) => return Ok(Answer::Namespace { created: false }),
            Err(status) if status.code == 404 => {}
            Err(status) => return Err(classify(&status, plain)),
        }
        if manner == Manner::Pretends {
            return Ok(Answer::Namespace { created: true });
        }
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        match self.call(&key, Verb::Create(namespace), FIELD_MANAGER, now) {
            Ok(_created) => Ok(Answer::Namespace { created: true }),
            Err(status) if refusal(&status).already_exists() => Ok(Answer::Namespace { created: false }),
            Err(status) => Err(classify(&status, plain)),
        }
    }

    /// Somebody's finalizer delays the end of an incarnation.
    pub(in super::super) fn hold(&mut self, key: &ResourceKey, uid: &str, now: u64) {
        let Some(there) = self.peek(key).filter(|there| there.uid() == uid && !there.is_deleting()) else {
            return;
        };
        let mut finalizers = finalizers(&there.bare());
        if finalizers.iter().any(|one| one == HOLD) {
            return;
        }
        finalizers.push(HOLD.to_owned());
        if self.merge(key, json!({"metadata": {"finalizers": finalizers}}), "holder", now).is_ok() {
            self.later.push(Later::Release(key.clone(), uid.to_owned()));
        }
    }

    /// Somebody's finalizer is done.
    pub(super) fn release(&mut self, key: &ResourceKey, uid: &str, now: u64) {
        let Some(there) = self.peek(key).filter(|there| there.uid() == uid) else { return };
        let mut left = finalizers(&there.bare());
        left.retain(|one| one != HOLD);
        let left = if left.is_empty() { Value::Null } else { left.into() };
        if self.merge(key, json!({"metadata": {"finalizers": left}}), "holder", now).is_err() {
            self.later.push(Later::Release(key.clone(), uid.to_owned()));
        }
    }

    /// Merges a patch into an object.
    pub(super) fn merge(
        &mut self,
        key: &ResourceKey,
        body: Value,
        manager: &str,
        now: u64,
    ) -> Result<(), Status> {
        self.call(key, Verb::Patch(Patch { kind: PatchKind::Merge, body }), manager, now).map(|_reply| ())
    }

    /// Deletes an object, of any incarnation or of one.
    pub(super) fn remove(&mut self, key: &ResourceKey, uid: Option<&str>, manager: &str, now: u64) {
        let options = DeleteOptions {
            uid: uid.map(str::to_owned),
            propagation: Some(Reach::Background),
            ..DeleteOptions::default()
        };
        // What is gone, or another one, needs no deleting.
        let _refused = self.call(key, Verb::Delete(options), manager, now);
    }
}

/// Gives the object in an answer.
fn object(resource: &Resource, reply: &Reply) -> Value {
    match &reply.body {
        Body::Object(object) => object.value(resource),
        Body::Value(value) => value.clone(),
        Body::List(_) | Body::Success(_) => Value::Null,
    }
}

fn finalizers(object: &Value) -> Vec<String> {
    let list = object.pointer("/metadata/finalizers").and_then(Value::as_array);
    list.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}
