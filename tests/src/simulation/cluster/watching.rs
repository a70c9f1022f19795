//! Lists and watches, as an agent's client makes them of the API server's.

use std::sync::Arc;

use argosy_core::cluster::{ApiError, LiveMeta, Subject, WatchEvent, Watched};
use argosy_core::health::Assessor;
use argosy_core::key::{GroupKind, ResourceKey};
use argosy_core::ownership;
use argosy_core::tracking::{FIELD_MANAGER, MANAGED};
use argosy_sim::cluster::{Body, EventKind, ListOptions, Object, Selection, Verb};
use argosy_sim::kinds::Resource;
use serde_json::Value;

use super::{Cluster, Later, classify, not_served};

/// Where a watch stands.
#[derive(Debug, Clone)]
pub(in super::super) struct Feed {
    resource: Arc<Resource>,
    selection: Selection,
    version: u64,
}

/// A list that a watch begins with.
pub(in super::super) struct Listed {
    pub(in super::super) resource_version: u64,
    pub(in super::super) objects: Vec<LiveMeta>,
    pub(in super::super) feed: Feed,
}

impl Cluster {
    /// Whoever lists until then is told of how things are now.
    pub(in super::super) fn lags(&mut self, until: u64) {
        self.past = Some((until, self.api.version()));
    }

    /// Lists the labelled objects of a kind, or one by its name; the list may be of the past.
    pub(in super::super) fn list(&mut self, watched: &Watched, now: u64) -> Result<Listed, ApiError> {
        let kind = &watched.kind();
        let (namespace, labels, fields) = match watched {
            Watched::Kind(_) => (String::new(), MANAGED, String::new()),
            Watched::Part(key) => (key.namespace.to_string(), "", format!("metadata.name={}", key.name)),
        };
        let past = self.past.filter(|(until, _)| *until > now).map(|(_, version)| version);
        let everything = ResourceKey::new(kind.group.clone(), kind.kind.clone(), namespace.as_str(), "");
        let options = |version: Option<u64>| ListOptions {
            label_selector: labels.to_owned(),
            field_selector: fields.clone(),
            resource_version: version.map(|version| version.to_string()).unwrap_or_default(),
            resource_version_match: version.map(|_| "Exact".to_owned()).unwrap_or_default(),
            ..ListOptions::default()
        };
        let mut answer = self.call(&everything, Verb::List(&options(past)), FIELD_MANAGER, now);
        if past.is_some() && answer.as_ref().is_err_and(|status| status.code == 410) {
            // What lags that far behind is not known any more.
            answer = self.call(&everything, Verb::List(&options(None)), FIELD_MANAGER, now);
        }
        let refused = |status| classify(&status, Subject::default());
        let (resource, reply) = answer.map_err(refused)?;
        let Body::List(list) = reply.body else { return Err(classify(&not_served(), Subject::default())) };
        let selection = Selection::parse(&resource, &namespace, labels, &fields).map_err(refused)?;
        let objects = list.items.iter().map(|object| self.live(watched, object)).collect::<Result<_, _>>()?;
        let feed = Feed { resource, selection, version: list.version };
        Ok(Listed { resource_version: list.version, objects, feed })
    }

    /// Gives what a watch tells next.
    pub(in super::super) fn follow(&mut self, watched: &Watched, feed: &mut Feed) -> Vec<WatchEvent> {
        let broken = |error| vec![WatchEvent::Broken(error)];
        let events = match self.api.events_since(&feed.resource, &feed.selection, feed.version) {
            Ok(events) => events,
            Err(status) => return broken(classify(&status, Subject::default())),
        };
        feed.version = events.version;
        let mut told = Vec::with_capacity(events.events.len());
        for event in events.events {
            let gone = event.kind == EventKind::Deleted;
            if let Some(known) = self.read.get(event.object.uid()).filter(|_| gone) {
                let key = known.key.clone().with_part(watched.part());
                told.push(WatchEvent::Gone(key));
                continue;
            }
            match self.live(watched, &event.object) {
                Ok(live) if gone => told.push(WatchEvent::Gone(live.key)),
                Ok(live) => told.push(WatchEvent::Seen(live)),
                Err(error) => return broken(error),
            }
        }
        told
    }

    /// Tells once whether anything changed since it was told last; notes what others do about it.
    pub(in super::super) fn has_news(&mut self) -> bool {
        let version = self.api.version();
        if version == self.told {
            return false;
        }
        self.notice_jobs();
        self.told = version;
        true
    }

    /// Jobs that have completed are cleaned up some time.
    fn notice_jobs(&mut self) {
        let Some(jobs) = self.resource(&GroupKind::new("batch", "Job")) else { return };
        let Ok(events) = self.api.events_since(&jobs, &Selection::default(), self.told) else { return };
        for event in events.events.iter().filter(|event| event.kind == EventKind::Modified) {
            let job = event.object.bare();
            let ended = job.pointer("/status/completionTime").is_some();
            let text = |field: &str| {
                job.pointer(&format!("/metadata/{field}")).and_then(Value::as_str).unwrap_or_default()
            };
            let uid = event.object.uid().to_owned();
            let expiry =
                Later::Expire(ResourceKey::new("batch", "Job", text("namespace"), text("name")), uid);
            if ended && !self.later.contains(&expiry) {
                self.later.push(expiry);
            }
        }
    }

    /// Reads an object's metadata, once for each state of it; those of a part each time.
    fn live(&mut self, watched: &Watched, object: &Object) -> Result<LiveMeta, ApiError> {
        let read = || {
            ownership::read(&object.bare(), &watched.kind(), watched.part(), &Assessor::default())
                .map_err(|error| ApiError::Unreachable(error.to_string()))
        };
        if !watched.part().is_empty() {
            return read();
        }
        if let Some(known) = self.read.get(object.uid())
            && known.resource_version == object.version()
        {
            return Ok(known.clone());
        }
        let live = read()?;
        self.read.insert(object.uid().into(), live.clone());
        Ok(live)
    }
}
