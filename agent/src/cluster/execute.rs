//! Requests of the reconciler, one at a time.

use argosy_core::cluster::{Answer, ApiError, Applied, LiveMeta, REQUEST_DEADLINE, Request};
use argosy_core::ids::{AppId, Digest, InstallationId};
use argosy_core::json;
use argosy_core::key::{ResourceKey, split_api_version};
use argosy_core::ownership;
use argosy_core::policy::Propagation;
use argosy_core::tracking;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::failure::{Failure, Subject};
use super::judge::Size;
use super::transport::{APPLY, Call, METADATA, Reply, WHOLE};
use super::{Connection, path};

/// How many changed paths are told.
const CHANGED_LIMIT: usize = 20;

/// An apply with all that its body is made of.
struct Apply<'a> {
    key: &'a ResourceKey,
    uid: Option<&'a str>,
    manifest: Digest,
    app: &'a AppId,
    bytes: Option<&'a [u8]>,
    installation: InstallationId,
}

// === impl Connection ===

impl Connection {
    /// Sends one request; an apply needs the bytes of its manifest. Nothing is tried twice.
    ///
    /// # Cancel safety
    /// Not safe for writes: a request that is dropped may have had its effect (M18).
    pub async fn execute(
        &self,
        request: &Request,
        manifest: Option<&[u8]>,
        installation: InstallationId,
    ) -> Result<Answer, ApiError> {
        match request {
            Request::Get { key } => self.get(key).await,
            Request::Apply { key, uid, manifest: digest, app } => {
                let uid = uid.as_deref();
                self.apply(Apply { key, uid, manifest: *digest, app, bytes: manifest, installation }).await
            }
            Request::Delete { key, uid, propagation } => self.delete(key, uid, *propagation).await,
            Request::EnsureNamespace { name } => self.ensure_namespace(name).await,
        }
    }

    /// Reads the metadata of an answer, and judges its object. One that makes no sense says nothing of the request's
    /// effect.
    async fn judged(&self, object: Value, key: &ResourceKey) -> Result<(LiveMeta, Value), ApiError> {
        let kind = key.group_kind();
        let of = kind.clone();
        let (read, object) = self
            .inner
            .judge
            .run(&kind, Size::One, move |assessor| (ownership::read(&object, &of, assessor), object))
            .await?;
        let live = read.map_err(|error| ApiError::Unreachable(error.to_string()))?;
        if live.key == *key {
            Ok((live, object))
        } else {
            Err(ApiError::Unreachable(format!("asked for {key} it answers with {}", live.key)))
        }
    }

    async fn call(&self, call: Call) -> Result<Reply, Failure> {
        self.inner.transport.call(call, REQUEST_DEADLINE).await
    }

    async fn get(&self, key: &ResourceKey) -> Result<Answer, ApiError> {
        let path = match self.locate(key, None).await {
            Err(ApiError::NotServed(_)) => return Ok(Answer::Absent),
            located => located?,
        };
        let accept = if self.inner.judge.needs_whole(&key.group_kind()) { WHOLE } else { METADATA };
        match self.call(Call::get(path, accept)).await.and_then(|reply| reply.json()) {
            Ok(object) => Ok(Answer::Found(self.judged(object, key).await?.0)),
            Err(failure) if failure.has_code(404) => Ok(Answer::Absent),
            Err(failure) => Err(failure.classify(subject(key, None))),
        }
    }

    async fn apply(&self, apply: Apply<'_>) -> Result<Answer, ApiError> {
        let (key, subject) = (apply.key, subject(apply.key, apply.uid));
        let sent = apply.body()?;
        let (group, version) = split_api_version(json::text_at(&sent, &["apiVersion"]).unwrap_or_default());
        if group != key.group {
            return Err(ApiError::Refused(format!("{key}: the manifest is of the API group {group:?}")));
        }
        let path = self.locate(key, Some(version)).await?;
        // The API server gives up by itself within the deadline, so that no request is under way much longer.
        let path = format!(
            "{path}?fieldManager={}&force=true&fieldValidation=Strict&timeout={}s",
            tracking::FIELD_MANAGER,
            REQUEST_DEADLINE.as_secs()
        );
        let call = Call::with_body(Method::PATCH, path, WHOLE, (APPLY, &sent));
        let reply = self.call(call).await.map_err(|failure| failure.classify(subject))?;
        let received = reply.json().map_err(|failure| failure.classify(subject))?;
        let (live, received) = self.judged(received, key).await?;
        let shared = received.get("metadata").is_some_and(ownership::has_other_managers);
        Ok(Answer::Applied(Applied {
            live,
            created: reply.status == StatusCode::CREATED && !shared,
            changed: ownership::changed_paths(&sent, &received, CHANGED_LIMIT),
        }))
    }

    async fn delete(
        &self,
        key: &ResourceKey,
        uid: &str,
        propagation: Propagation,
    ) -> Result<Answer, ApiError> {
        let path = format!("{}?timeout={}s", self.locate(key, None).await?, REQUEST_DEADLINE.as_secs());
        let options = json!({
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "preconditions": {"uid": uid},
            "propagationPolicy": match propagation {
                Propagation::Foreground => "Foreground",
                Propagation::Background => "Background",
                Propagation::Orphan => "Orphan",
            },
        });
        match self.call(Call::with_body(Method::DELETE, path, METADATA, (WHOLE, &options))).await {
            Ok(_gone_or_going) => Ok(Answer::Deleted),
            Err(failure) if failure.is_absent() => Ok(Answer::Deleted),
            Err(failure) => Err(failure.classify(subject(key, Some(uid)))),
        }
    }

    async fn ensure_namespace(&self, name: &str) -> Result<Answer, ApiError> {
        const NAMESPACES: &str = "/api/v1/namespaces";
        let plain = Subject::default();
        match self.call(Call::get(format!("{NAMESPACES}/{}", path::segment(name)), METADATA)).await {
            Ok(_there) => return Ok(Answer::Namespace { created: false }),
            Err(failure) if failure.has_code(404) => {}
            Err(failure) => return Err(failure.classify(plain)),
        }
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        let path = format!("{NAMESPACES}?fieldManager={}", tracking::FIELD_MANAGER);
        match self.call(Call::with_body(Method::POST, path, METADATA, (WHOLE, &namespace))).await {
            Ok(_created) => Ok(Answer::Namespace { created: true }),
            Err(failure) if failure.already_exists() => Ok(Answer::Namespace { created: false }),
            Err(failure) => Err(failure.classify(plain)),
        }
    }
}

// === impl Apply ===

impl Apply<'_> {
    /// Makes the body; what does not fit together is refused before it is sent.
    fn body(&self) -> Result<Value, ApiError> {
        let refused = |why: &str| ApiError::Refused(format!("{}: {why}", self.key));
        let bytes = self.bytes.ok_or_else(|| refused("the manifest is not at hand"))?;
        if Digest::of(bytes) != self.manifest {
            return Err(refused("the stored manifest is not the one that is to be applied"));
        }
        let manifest: Value =
            serde_json::from_slice(bytes).map_err(|_echoes| refused("the manifest is no JSON"))?;
        let stated = |path: &[&str]| json::text_at(&manifest, path);
        if stated(&["kind"]) != Some(&self.key.kind) || stated(&["metadata", "name"]) != Some(&self.key.name)
        {
            return Err(refused("the manifest states another object"));
        }
        let mut body = tracking::body(&manifest, self.key, self.app, self.installation);
        if let (Some(uid), Some(Value::Object(metadata))) = (self.uid, body.get_mut("metadata")) {
            metadata.insert("uid".to_owned(), Value::String(uid.to_owned()));
        }
        Ok(body)
    }
}

fn subject(key: &ResourceKey, uid: Option<&str>) -> Subject {
    Subject { incarnation: uid.is_some(), secret: key.group_kind().is_secret() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(bytes: Option<&[u8]>, digest: Digest, name: &str) -> Result<Value, ApiError> {
        let key = ResourceKey::new("", "ConfigMap", "shop", name);
        let app = AppId::new("", "web");
        let installation = InstallationId::from_random([1; 16]);
        Apply { key: &key, uid: Some("u-1"), manifest: digest, app: &app, bytes, installation }.body()
    }

    const MANIFEST: &[u8] = br#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"}}"#;

    #[test]
    fn the_body_names_the_incarnation_and_the_app() {
        let body = body(Some(MANIFEST), Digest::of(MANIFEST), "a").unwrap();
        assert_eq!(body["metadata"]["uid"], "u-1");
        assert_eq!(body["metadata"]["annotations"][tracking::TRACKING_ID], "web:/ConfigMap:shop/a");
    }

    #[test]
    fn a_manifest_that_is_another_one_is_not_sent() {
        assert!(body(None, Digest::ZERO, "a").unwrap_err().to_string().contains("not at hand"));
        assert!(body(Some(MANIFEST), Digest::ZERO, "a").unwrap_err().to_string().contains("not the one"));
        assert!(
            body(Some(MANIFEST), Digest::of(MANIFEST), "b")
                .unwrap_err()
                .to_string()
                .contains("another object")
        );
    }
}
