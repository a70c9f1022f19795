//! What of a request and its answer does not depend on how they travel: the body of an apply, and what an object in an
//! answer means.

use serde_json::{Value, json};

use super::{Answer, ApiError, Applied, LiveMeta};
use crate::compare::{Compared, Ignored, Manner};
use crate::health::Assessor;
use crate::ids::{AppId, Digest, InstallationId};
use crate::json;
use crate::key::{ResourceKey, split_api_version};
use crate::policy::NamespaceMetadata;
use crate::{compare, ownership, tracking};

/// How many changed paths are told.
const CHANGED_LIMIT: usize = 20;

/// An apply with all that its body is made of.
#[derive(Debug, Clone, Copy)]
pub struct Apply<'a> {
    /// Which object.
    pub key: &'a ResourceKey,
    /// The incarnation that must be there.
    pub uid: Option<&'a str>,
    /// Digest of the manifest.
    pub manifest: Digest,
    /// The manifest, if it is at hand.
    pub bytes: Option<&'a [u8]>,
    /// The app that the tracking names.
    pub app: &'a AppId,
    /// The installation that the tracking names.
    pub installation: InstallationId,
}

// === impl Apply ===

impl Apply<'_> {
    /// Makes the body; what does not fit together is refused before it is sent. So is a part that does not say of which
    /// incarnation it is: an apply makes what is not there.
    pub fn body(&self) -> Result<Value, ApiError> {
        if self.key.is_part() && self.uid.is_none() {
            return Err(ApiError::Refused(format!("{}: a part never makes its object", self.key)));
        }
        self.trial()
    }

    /// Makes the body that is applied on trial, which makes nothing.
    pub fn trial(&self) -> Result<Value, ApiError> {
        let refused = |why: &str| ApiError::Refused(format!("{}: {why}", self.key));
        let bytes = self.bytes.ok_or_else(|| refused("the manifest is not at hand"))?;
        if Digest::of(bytes) != self.manifest {
            return Err(refused("the stored manifest is not the one that is to be applied"));
        }
        let manifest: Value =
            serde_json::from_slice(bytes).map_err(|_echoes| refused("the manifest is no JSON"))?;
        let stated = |path: &[&str]| json::text_at(&manifest, path);
        // What states no name was given one by its sync.
        let named = match stated(&["metadata", "name"]).filter(|name| !name.is_empty()) {
            Some(name) => name == self.key.name,
            None => stated(&["metadata", "generateName"])
                .is_some_and(|prefix| !prefix.is_empty() && self.key.name.starts_with(prefix)),
        };
        if stated(&["kind"]) != Some(&self.key.kind) || !named {
            return Err(refused("the manifest states another object"));
        }
        let (group, _) = split_api_version(stated(&["apiVersion"]).unwrap_or_default());
        if group != self.key.group {
            return Err(refused(&format!("the manifest is of the API group {group:?}")));
        }
        let part = stated(&["metadata", "annotations", tracking::PART]).unwrap_or_default();
        if part != self.key.part {
            // A hub that knows no parts takes the manifest of one for the whole object.
            return Err(refused(&format!(
                "its annotation {} names the part {part:?}: bring the hub up to date",
                tracking::PART
            )));
        }
        let mut body = tracking::body(&manifest, self.key, self.app, self.installation);
        if let (Some(uid), Some(Value::Object(metadata))) = (self.uid, body.get_mut("metadata")) {
            metadata.insert("uid".to_owned(), Value::String(uid.to_owned()));
        }
        Ok(body)
    }
}

/// Gives the body, and the field manager, by which an app gives a namespace what it states: by a manager of its own, so that
/// it takes nothing away from whoever manages the namespace itself, nor from other apps.
pub fn namespace_body(name: &str, app: &AppId, metadata: &NamespaceMetadata) -> (Value, String) {
    let body = json!({"apiVersion": "v1", "kind": "Namespace",
        "metadata": {"name": name, "labels": metadata.labels, "annotations": metadata.annotations}});
    (
        body,
        format!("{}-namespace.{}", tracking::FIELD_MANAGER, Digest::of(app.to_string().as_bytes()).short()),
    )
}

// === impl Answer ===

impl Answer {
    /// Reads the object that a look found.
    pub fn found(object: &Value, key: &ResourceKey, assessor: &Assessor<'_>) -> Result<Self, ApiError> {
        read(object, key, assessor).map(Self::Found)
    }

    /// Reads the object that an apply of `sent` gave; `made` says that the API server calls it a new one.
    pub fn applied(
        sent: &Value,
        received: &Value,
        key: &ResourceKey,
        made: bool,
        assessor: &Assessor<'_>,
    ) -> Result<Self, ApiError> {
        let live = read(received, key, assessor)?;
        let shared = received.get("metadata").is_some_and(ownership::has_other_managers);
        let changed = ownership::changed_paths(sent, received, CHANGED_LIMIT);
        Ok(Self::Applied(Applied { live, created: made && !shared, changed }))
    }

    /// Makes of the body of an object, or of a part of one, one that leaves what is ignored as it is.
    pub fn respectful(
        key: &ResourceKey,
        sent: &Value,
        live: &Value,
        ignored: &Ignored,
    ) -> Result<Value, ApiError> {
        let manager = tracking::manager_of(&key.part);
        compare::respect(sent, live, ignored, &manager).map_err(|error| ApiError::Refused(error.to_string()))
    }

    /// Makes the body that would give up a part of an object as it was read.
    pub fn giving_up(key: &ResourceKey, live: &Value) -> Result<Value, ApiError> {
        let text = |path: &[&str]| json::text_at(live, path).filter(|text| !text.is_empty());
        match (text(&["apiVersion"]), text(&["metadata", "uid"])) {
            (Some(version), Some(uid)) => Ok(tracking::giving_up(version, key, uid)),
            (_, _) => Err(ApiError::Unreachable(format!("the answer about {key} is no object"))),
        }
    }

    /// Makes of a body one that takes the place of the object as it was read (`Replace=true`): a newer version of it is a
    /// conflict, another incarnation is left alone. What holds it back from its end, and its owners, stay.
    pub fn replacement(sent: &Value, live: &Value) -> Result<Value, ApiError> {
        let uid = |of: &Value| json::text_at(of, &["metadata", "uid"]).map(str::to_owned);
        if uid(sent).is_some_and(|wanted| uid(live).as_ref() != Some(&wanted)) {
            return Err(ApiError::Replaced("another incarnation of it is there".to_owned()));
        }
        let mut body = sent.clone();
        if let Some(Value::Object(metadata)) = body.get_mut("metadata") {
            for field in ["uid", "resourceVersion", "finalizers", "ownerReferences"] {
                if let Some(there) = live.get("metadata").and_then(|live| live.get(field)) {
                    metadata.entry(field).or_insert_with(|| there.clone());
                }
            }
        }
        Ok(body)
    }

    /// Compares an object as it was read and tried.
    pub fn compared(key: &ResourceKey, compared: Compared<'_>, manner: &Manner) -> Self {
        Self::Compared(compare::compare(key, compared, manner))
    }
}

/// Reads the metadata of an answer. One that makes no sense says nothing of the request's effect.
fn read(object: &Value, key: &ResourceKey, assessor: &Assessor<'_>) -> Result<LiveMeta, ApiError> {
    let live = ownership::read(object, &key.group_kind(), &key.part, assessor)
        .map_err(|error| ApiError::Unreachable(error.to_string()))?;
    if live.key == *key {
        Ok(live)
    } else {
        Err(ApiError::Unreachable(format!("asked for {key} it answers with {}", live.key)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(bytes: Option<&[u8]>, manifest: Digest, name: &str) -> Result<Value, ApiError> {
        let key = ResourceKey::new("", "ConfigMap", "shop", name);
        let app = AppId::new("", "web");
        let installation = InstallationId::from_random([1; 16]);
        Apply { key: &key, uid: Some("u-1"), manifest, app: &app, bytes, installation }.body()
    }

    #[test]
    fn the_body_of_a_part_names_the_incarnation_and_no_app() {
        let key = ResourceKey::new("", "ConfigMap", "shop", "a").with_part("mesh");
        let (app, installation) = (AppId::new("", "web"), InstallationId::from_random([1; 16]));
        let (manifest, bytes) = (Digest::of(PART_OF_IT), Some(PART_OF_IT));
        let apply = Apply { key: &key, uid: Some("u-1"), manifest, app: &app, bytes, installation };
        let metadata = json!({"name": "a", "namespace": "shop", "uid": "u-1"});
        assert_eq!(apply.body().unwrap()["metadata"], metadata);
        let never = Apply { uid: None, ..apply };
        assert!(never.body().unwrap_err().to_string().contains("never makes its object"));
        assert!(never.trial().is_ok());
    }

    #[test]
    fn the_manifest_of_a_part_is_no_whole_object_and_no_other_part() {
        let (app, installation) = (AppId::new("", "web"), InstallationId::from_random([1; 16]));
        let (whole, other) = (ResourceKey::new("", "ConfigMap", "shop", "a"), "other");
        for (key, bytes) in [
            (whole.clone(), PART_OF_IT),
            (whole.clone().with_part(other), PART_OF_IT),
            (whole.with_part(other), MANIFEST),
        ] {
            let manifest = Digest::of(bytes);
            let apply =
                Apply { key: &key, uid: Some("u-1"), manifest, app: &app, bytes: Some(bytes), installation };
            let error = apply.trial().unwrap_err().to_string();
            assert!(error.contains("its annotation argosy.dev/part names the part"), "{error}");
            assert_eq!(apply.body().unwrap_err().to_string(), error);
        }
    }

    const PART_OF_IT: &[u8] = br#"{"apiVersion":"v1","kind":"ConfigMap",
        "metadata":{"name":"a","annotations":{"argosy.dev/part":"mesh"}}}"#;

    const MANIFEST: &[u8] = br#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"}}"#;

    #[test]
    fn the_body_names_the_incarnation_and_the_app() {
        let body = body(Some(MANIFEST), Digest::of(MANIFEST), "a").unwrap();
        assert_eq!(body["metadata"]["uid"], "u-1");
        assert_eq!(body["metadata"]["annotations"][tracking::TRACKING_ID], "web:/ConfigMap:shop/a");
    }

    #[test]
    fn a_manifest_that_is_another_one_is_not_sent() {
        let why = |bytes, digest, name| body(bytes, digest, name).unwrap_err().to_string();
        assert!(why(None, Digest::ZERO, "a").contains("not at hand"));
        assert!(why(Some(MANIFEST), Digest::ZERO, "a").contains("not the one"));
        assert!(why(Some(MANIFEST), Digest::of(MANIFEST), "b").contains("another object"));
        let grouped: &[u8] = br#"{"apiVersion":"example.com/v1","kind":"ConfigMap","metadata":{"name":"a"}}"#;
        assert!(why(Some(grouped), Digest::of(grouped), "a").contains("API group \"example.com\""));
    }

    #[test]
    fn an_answer_about_another_object_says_nothing_of_the_request() {
        let key = ResourceKey::new("", "ConfigMap", "shop", "a");
        let object =
            json!({"metadata": {"name": "b", "namespace": "shop", "uid": "u", "resourceVersion": "7"}});
        assert!(matches!(Answer::found(&object, &key, &Assessor::default()), Err(ApiError::Unreachable(_))));
        assert!(matches!(
            Answer::applied(&json!({}), &json!({}), &key, true, &Assessor::default()),
            Err(ApiError::Unreachable(_))
        ));
    }

    #[test]
    fn what_others_manage_as_well_was_adopted_and_not_created() {
        let key = ResourceKey::new("", "ConfigMap", "", "a");
        let entry =
            |manager: &str, operation: &str| json!({"manager": manager, "operation": operation, "time": "t"});
        let created = |entries: Value| {
            let object = json!({"metadata":
                {"name": "a", "uid": "u", "resourceVersion": "7", "managedFields": entries}});
            let answer = Answer::applied(&json!({}), &object, &key, true, &Assessor::default()).unwrap();
            let Answer::Applied(applied) = answer else { panic!("{answer:?}") };
            applied.created
        };
        assert!(created(json!([entry("argosy", "Apply")])));
        assert!(!created(json!([entry("argosy", "Apply"), entry("kubectl", "Update")])));
    }

    #[test]
    fn what_states_no_name_has_the_one_that_it_is_given() {
        let manifest = br#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"generateName":"a-"}}"#;
        let digest = Digest::of(manifest);
        let made = body(Some(manifest), digest, "a-x").unwrap();
        assert_eq!(made["metadata"]["name"], "a-x");
        assert!(made["metadata"].get("generateName").is_none());
        assert!(body(Some(manifest), digest, "b-x").is_err());
    }

    #[test]
    fn a_replacement_names_what_it_replaces_and_leaves_its_finalizers() {
        let live = json!({"metadata": {"uid": "u", "resourceVersion": "7", "finalizers": ["x"], "labels": {"a": "b"}},
            "data": {"old": "1"}});
        let sent = json!({"metadata": {"uid": "u"}, "data": {"new": "1"}});
        let expected = json!({"metadata": {"uid": "u", "resourceVersion": "7", "finalizers": ["x"]},
            "data": {"new": "1"}});
        assert_eq!(Answer::replacement(&sent, &live).unwrap(), expected);
        let other = json!({"metadata": {"uid": "v"}});
        assert!(matches!(Answer::replacement(&other, &live), Err(ApiError::Replaced(_))));
    }
}
