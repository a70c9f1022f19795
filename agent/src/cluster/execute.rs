//! Requests of the reconciler, one at a time.

use argosy_core::cluster::{Answer, ApiError, Apply, REQUEST_DEADLINE, Request, Subject, namespace_body};
use argosy_core::compare::{self, Compared, Ignored, Manner};
use argosy_core::health::Assessor;
use argosy_core::ids::InstallationId;
use argosy_core::json;
use argosy_core::key::{ResourceKey, split_api_version};
use argosy_core::policy::{Propagation, ServiceAccount};
use argosy_core::{migration, tracking};
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::failure::Failure;
use super::judge::Size;
use super::transport::{APPLY, Call, JSON_PATCH, METADATA, Reply, WHOLE};
use super::{Connection, path};

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
        let account = request.account();
        if account.is_some() && self.inner.acts_for_another {
            let why =
                "the agent's kubeconfig acts for another user (as), and so cannot act for a service account";
            return Err(ApiError::Refused(why.to_owned()).of_account(account));
        }
        let answer = self.carry_out(request, account, manifest, installation).await;
        answer.map_err(|error| error.of_account(account))
    }

    async fn carry_out(
        &self,
        request: &Request,
        account: Option<&ServiceAccount>,
        manifest: Option<&[u8]>,
        installation: InstallationId,
    ) -> Result<Answer, ApiError> {
        match request {
            Request::Get { key } => self.get(key).await,
            Request::Apply {
                key,
                uid,
                manifest: digest,
                app,
                unvalidated,
                migrates,
                replaces,
                respect,
                force,
                ..
            } => {
                let uid = uid.as_deref();
                if *migrates {
                    self.migrate(key, account).await?;
                }
                let apply = Apply { key, uid, manifest: *digest, app, bytes: manifest, installation };
                if *replaces {
                    self.replace(key, &apply.body()?, *unvalidated, account).await?;
                }
                self.apply(apply, (*unvalidated, *force), respect.as_ref(), account).await
            }
            Request::Try { key, manifest: digest, app, unvalidated, force, .. } => {
                let apply = Apply { key, uid: None, manifest: *digest, app, bytes: manifest, installation };
                self.try_out(apply, (*unvalidated, *force), account).await
            }
            Request::GiveUp { key, uid, .. } => self.give_up(key, uid, account).await,
            Request::Delete { key, uid, propagation, .. } => {
                self.delete(key, uid, *propagation, account).await
            }
            Request::EnsureNamespace { name, metadata, .. } if metadata.is_empty() => {
                self.ensure_namespace(name, account).await
            }
            Request::EnsureNamespace { name, app, metadata, .. } => {
                let (body, manager) = namespace_body(name, app, metadata);
                self.mark_namespace(name, &body, &manager, account).await
            }
            Request::Compare { key, desired, manner, .. } => {
                let sent = match desired {
                    Some((digest, app)) => {
                        let (uid, bytes) = (None, manifest);
                        Some(Apply { key, uid, manifest: *digest, app, bytes, installation }.trial()?)
                    }
                    None => None,
                };
                self.compare(key, sent.as_ref(), manner, account).await
            }
        }
    }

    /// Reads an answer where its object is judged.
    async fn judged(
        &self,
        key: &ResourceKey,
        read: impl FnOnce(&ResourceKey, &Assessor<'_>) -> Result<Answer, ApiError> + Send + 'static,
    ) -> Result<Answer, ApiError> {
        let of = key.clone();
        self.inner.judge.run(&key.group_kind(), Size::One, move |assessor| read(&of, assessor)).await?
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
            Ok(object) => self.judged(key, move |key, assessor| Answer::found(&object, key, assessor)).await,
            Err(failure) if failure.has_code(404) => Ok(Answer::Absent),
            Err(failure) => Err(failure.classify(Subject::of(key, None))),
        }
    }

    /// Makes what earlier tools own of an object ours.
    async fn migrate(&self, key: &ResourceKey, account: Option<&ServiceAccount>) -> Result<(), ApiError> {
        let (path, subject) = (self.locate(key, None).await?, Subject::of(key, None));
        let found = self.call(Call::get(path.as_str(), METADATA)).await.and_then(|reply| reply.json());
        let object = found.map_err(|failure| failure.classify(subject))?;
        self.fold(key, path, &object, account).await
    }

    /// Puts what is stated in the place of all that is there, if anything is, and makes that ours.
    async fn replace(
        &self,
        key: &ResourceKey,
        sent: &Value,
        unvalidated: bool,
        account: Option<&ServiceAccount>,
    ) -> Result<(), ApiError> {
        let Some(live) = self.whole(key, Some(sent), None).await? else { return Ok(()) };
        let body = Answer::replacement(sent, &live)?;
        let (_, version) = split_api_version(json::text_at(sent, &["apiVersion"]).unwrap_or_default());
        let (path, subject) = (self.locate(key, Some(version)).await?, Subject::of(key, None));
        let query = format!(
            "{path}?fieldManager={}&fieldValidation={}&timeout={}s",
            migration::REPLACER,
            if unvalidated { "Ignore" } else { "Strict" },
            REQUEST_DEADLINE.as_secs()
        );
        let call = Call::with_body(Method::PUT, query, WHOLE, (WHOLE, &body)).sent_for(account);
        let replaced = self.call(call).await.and_then(|reply| reply.json());
        let replaced = replaced.map_err(|failure| failure.classify(subject))?;
        self.fold(key, path, &replaced, account).await
    }

    /// Folds entries of others into ours.
    async fn fold(
        &self,
        key: &ResourceKey,
        path: String,
        object: &Value,
        account: Option<&ServiceAccount>,
    ) -> Result<(), ApiError> {
        let subject = Subject::of(key, None);
        let Some(patch) = migration::patch(object) else { return Ok(()) };
        let path = format!(
            "{path}?fieldManager={}&timeout={}s",
            tracking::FIELD_MANAGER,
            REQUEST_DEADLINE.as_secs()
        );
        let call = Call::with_body(Method::PATCH, path, METADATA, (JSON_PATCH, &patch));
        self.call(call.sent_for(account))
            .await
            .map(|_migrated| ())
            .map_err(|failure| failure.classify(subject))
    }

    /// Gives where an apply goes, and how.
    async fn apply_path(
        &self,
        key: &ResourceKey,
        sent: &Value,
        (unvalidated, force): (bool, bool),
    ) -> Result<String, ApiError> {
        let (_, version) = split_api_version(json::text_at(sent, &["apiVersion"]).unwrap_or_default());
        let path = self.locate(key, Some(version)).await?;
        // The API server gives up by itself within the deadline, so that no request is under way much longer.
        Ok(format!(
            "{path}?fieldManager={}&force={force}&fieldValidation={}&timeout={}s",
            tracking::manager_of(&key.part),
            if unvalidated { "Ignore" } else { "Strict" },
            REQUEST_DEADLINE.as_secs()
        ))
    }

    async fn try_out(
        &self,
        apply: Apply<'_>,
        how: (bool, bool),
        account: Option<&ServiceAccount>,
    ) -> Result<Answer, ApiError> {
        let (key, subject) = (apply.key, Subject::of(apply.key, apply.uid));
        let sent = apply.trial()?;
        let path = format!("{}&dryRun=All", self.apply_path(key, &sent, how).await?);
        let call = Call::with_body(Method::PATCH, path, METADATA, (APPLY, &sent));
        match self.call(call.sent_for(account)).await {
            Ok(_taken) => Ok(Answer::Tried),
            Err(failure) => failure.of_trial(subject).map(|()| Answer::Tried),
        }
    }

    async fn apply(
        &self,
        apply: Apply<'_>,
        how: (bool, bool),
        respect: Option<&Ignored>,
        account: Option<&ServiceAccount>,
    ) -> Result<Answer, ApiError> {
        let (key, subject) = (apply.key, Subject::of(apply.key, apply.uid));
        let mut sent = apply.body()?;
        if let Some(ignored) = respect
            && let Some(live) = self.whole(key, Some(&sent), None).await?
        {
            sent = Answer::respectful(key, &sent, &live, ignored)?;
        }
        let path = self.apply_path(key, &sent, how).await?;
        let call = Call::with_body(Method::PATCH, path, WHOLE, (APPLY, &sent));
        let reply = self.call(call.sent_for(account)).await.map_err(|failure| failure.classify(subject))?;
        let received = reply.json().map_err(|failure| failure.classify(subject))?;
        let made = reply.status == StatusCode::CREATED;
        self.judged(key, move |key, assessor| Answer::applied(&sent, &received, key, made, assessor)).await
    }

    /// Reads an object, tries the apply of a body on it, and compares the two.
    async fn compare(
        &self,
        key: &ResourceKey,
        sent: Option<&Value>,
        manner: &Manner,
        account: Option<&ServiceAccount>,
    ) -> Result<Answer, ApiError> {
        let Some(live) = self.whole(key, sent, account).await? else {
            return Ok(Answer::compared(key, Compared { sent, ..Compared::default() }, manner));
        };
        // A part that is not desired is compared with what giving it up would leave.
        let given_up =
            (sent.is_none() && key.is_part()).then(|| Answer::giving_up(key, &live)).transpose()?;
        let sent = sent.or(given_up.as_ref());
        let predicted = match sent {
            Some(sent) => Some(self.predict(key, &compare::on_trial(sent, &live), account).await?),
            None => None,
        };
        let compared = Compared { sent, live: Some(&live), predicted: predicted.as_ref() };
        Ok(Answer::compared(key, compared, manner))
    }

    /// Reads a whole object in the version of a body, or in the preferred one; `None` when it is not there, or its kind is
    /// not served.
    async fn whole(
        &self,
        key: &ResourceKey,
        like: Option<&Value>,
        account: Option<&ServiceAccount>,
    ) -> Result<Option<Value>, ApiError> {
        let version = like.map(|like| json::text_at(like, &["apiVersion"]).unwrap_or_default());
        let path = match self.locate(key, version.map(|version| split_api_version(version).1)).await {
            Err(ApiError::NotServed(_)) => return Ok(None),
            located => located?,
        };
        match self.call(Call::get(path, WHOLE).sent_for(account)).await.and_then(|reply| reply.json()) {
            Ok(live) => Ok(Some(live)),
            Err(failure) if failure.has_code(404) => Ok(None),
            Err(failure) => Err(failure.classify(Subject::of(key, None))),
        }
    }

    /// Asks what an apply would give. Fields that do not fit the schema are passed over: whether a sync would take them is
    /// another question.
    async fn predict(
        &self,
        key: &ResourceKey,
        body: &Value,
        account: Option<&ServiceAccount>,
    ) -> Result<Value, ApiError> {
        let path = format!("{}&dryRun=All", self.apply_path(key, body, (true, true)).await?);
        let call = Call::with_body(Method::PATCH, path, WHOLE, (APPLY, body)).sent_for(account);
        let uid = json::text_at(body, &["metadata", "uid"]);
        let reply = self.call(call).await.and_then(|reply| reply.json());
        reply.map_err(|failure| failure.classify(Subject::of(key, uid)))
    }

    /// Gives up a part of an object: states nothing by its manager.
    async fn give_up(
        &self,
        key: &ResourceKey,
        uid: &str,
        account: Option<&ServiceAccount>,
    ) -> Result<Answer, ApiError> {
        let (kind, subject) = (key.group_kind(), Subject::of(key, Some(uid)));
        let path = self.locate(key, None).await?;
        let version = self.endpoint(&kind, None)?.version;
        let api_version = if kind.group.is_empty() { version } else { format!("{}/{version}", kind.group) };
        let body = tracking::giving_up(&api_version, key, uid);
        let path = format!(
            "{path}?fieldManager={}&force=true&timeout={}s",
            tracking::manager_of(&key.part),
            REQUEST_DEADLINE.as_secs()
        );
        let call = Call::with_body(Method::PATCH, path, METADATA, (APPLY, &body)).sent_for(account);
        match self.call(call).await {
            Ok(_given_up) => Ok(Answer::Deleted),
            Err(failure) => Err(failure.classify(subject)),
        }
    }

    async fn delete(
        &self,
        key: &ResourceKey,
        uid: &str,
        propagation: Propagation,
        account: Option<&ServiceAccount>,
    ) -> Result<Answer, ApiError> {
        if key.is_part() {
            return Err(ApiError::Refused(format!("{key}: a part is given up, and its object not deleted")));
        }
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
        let call = Call::with_body(Method::DELETE, path, METADATA, (WHOLE, &options));
        match self.call(call.sent_for(account)).await {
            Ok(_gone_or_going) => Ok(Answer::Deleted),
            Err(failure) if failure.is_absent() => Ok(Answer::Deleted),
            Err(failure) => Err(failure.classify(Subject::of(key, Some(uid)))),
        }
    }

    /// Makes a namespace with labels and annotations, or gives them to it.
    async fn mark_namespace(
        &self,
        name: &str,
        body: &Value,
        manager: &str,
        account: Option<&ServiceAccount>,
    ) -> Result<Answer, ApiError> {
        let path = format!(
            "/api/v1/namespaces/{}?fieldManager={manager}&force=true&fieldValidation=Strict&timeout={}s",
            path::segment(name),
            REQUEST_DEADLINE.as_secs()
        );
        let call = Call::with_body(Method::PATCH, path, METADATA, (APPLY, body)).sent_for(account);
        let reply = self.call(call).await.map_err(|failure| failure.classify(Subject::default()))?;
        Ok(Answer::Namespace { created: reply.status == StatusCode::CREATED })
    }

    /// Looks as the agent itself, and makes it as the account.
    async fn ensure_namespace(
        &self,
        name: &str,
        account: Option<&ServiceAccount>,
    ) -> Result<Answer, ApiError> {
        const NAMESPACES: &str = "/api/v1/namespaces";
        let plain = Subject::default();
        match self.call(Call::get(format!("{NAMESPACES}/{}", path::segment(name)), METADATA)).await {
            Ok(_there) => return Ok(Answer::Namespace { created: false }),
            Err(failure) if failure.has_code(404) => {}
            Err(failure) => return Err(failure.classify(plain)),
        }
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        let path = format!("{NAMESPACES}?fieldManager={}", tracking::FIELD_MANAGER);
        let call = Call::with_body(Method::POST, path, METADATA, (WHOLE, &namespace));
        match self.call(call.sent_for(account)).await {
            Ok(_created) => Ok(Answer::Namespace { created: true }),
            Err(failure) if failure.already_exists() => Ok(Answer::Namespace { created: false }),
            Err(failure) => Err(failure.classify(plain)),
        }
    }
}
