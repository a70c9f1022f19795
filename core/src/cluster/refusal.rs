//! An answer of the API server that says no, by what to do next.
//!
//! The one place where such answers become an [`ApiError`]. An API server and its webhooks echo what they were sent; of a
//! refused Secret only the reason and the paths of its fields are said.

use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use super::ApiError;
use crate::key::ResourceKey;
use crate::status::cut;

/// What a request was about, as far as its failure means different things.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Subject {
    /// Whether the request names the incarnation that must be there.
    pub incarnation: bool,
    /// Whether the object's values must not be shown.
    pub secret: bool,
}

/// An answer that says no.
#[derive(Debug, Clone)]
pub struct Refusal {
    code: u16,
    retry_after: Option<Duration>,
    reason: String,
    message: String,
    details: Details,
}

/// A `Status` of Kubernetes.
#[derive(Debug, Default, Deserialize)]
struct Status {
    #[serde(default)]
    message: String,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    details: Option<Details>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Details {
    #[serde(default)]
    name: String,
    #[serde(default)]
    kind: String,
    #[serde(default)]
    causes: Vec<Cause>,
    #[serde(default)]
    retry_after_seconds: u64,
}

#[derive(Debug, Clone, Default, Deserialize)]
struct Cause {
    #[serde(default)]
    reason: String,
    #[serde(default)]
    message: String,
    #[serde(default)]
    field: String,
}

/// What is said to whoever states a field in a part that others own.
const KEEP_OFF: &str =
    "nothing is taken from others by a part: take the field out of it, or out of what they state";

/// Tells whether a part was refused for nothing but fields that we own as fields of a whole object.
pub(crate) fn is_owned_by_whole(refusal: &str) -> bool {
    let mut owners = refusal.split("conflict with ").skip(1);
    let ours = format!("{:?}", crate::tracking::FIELD_MANAGER);
    // What was cut does not name all of them.
    let named = refusal.ends_with(KEEP_OFF) && refusal.contains("conflict with ");
    named && owners.all(|owner| owner.starts_with(&ours))
}

/// How the API server names what another field manager owns, where it may not be taken from it.
const OWNED: &str = "FieldManagerConflict";

/// How the API server begins the messages of applies that do not fit the kind's schema: it answers them as errors of its
/// own (500 without a reason), but no retry changes them.
const MISFITS: [&str; 3] = ["failed to create typed ", "failed to convert ", "error decoding "];
/// How it tells that a webhook failed, in a 500 as well: the request is refused by what the cluster is configured to ask.
const WEBHOOKS: [&str; 3] = ["failed calling webhook", "failed to call webhook", "conversion webhook for "];

/// Words of refusals that another object of the same sync may lift: a webhook or a policy said no or is not to be asked in
/// a dry run, and something is taken that a delete may set free.
const PASSING: [&str; 4] =
    ["admission webhook ", "ValidatingAdmissionPolicy ", "does not support dry run", "already allocated"];
/// How the API server says that a field of an object may not change.
const UNCHANGEABLE: [&str; 6] = [
    "immutable",
    "may not change",
    "may not be changed",
    "cannot be changed",
    "field cannot be modified",
    ": Forbidden: updates to ",
];
/// How the API server says that whoever asks has no right to: the one 403 that no admission gives.
const NO_RIGHT: [&str; 3] = [" cannot patch resource ", " cannot create resource ", " cannot impersonate"];

// === impl Subject ===

impl Subject {
    /// Gives what a request about an object is about; `uid` is the incarnation that it names.
    pub fn of(key: &ResourceKey, uid: Option<&str>) -> Self {
        Self { incarnation: uid.is_some(), secret: key.group_kind().is_secret() }
    }
}

// === impl Refusal ===

impl Refusal {
    /// Reads an answer; a body that is no `Status` is its message.
    pub fn read(code: u16, retry_after: Option<Duration>, body: &[u8]) -> Self {
        let status = serde_json::from_slice(body).unwrap_or_else(|_not_json| Status {
            message: String::from_utf8_lossy(body).trim().chars().take(1000).collect(),
            ..Status::default()
        });
        Self::of(code, retry_after, status)
    }

    /// Reads a `Status`, e.g. the object of a watch's `ERROR` event.
    pub fn of_status(object: &Value) -> Self {
        let code = object.get("code").and_then(Value::as_u64).and_then(|code| u16::try_from(code).ok());
        let status = Status::deserialize(object).unwrap_or_default();
        Self::of(code.unwrap_or(500), None, status)
    }

    fn of(code: u16, retry_after: Option<Duration>, status: Status) -> Self {
        let details = status.details.unwrap_or_default();
        let asked =
            (details.retry_after_seconds > 0).then(|| Duration::from_secs(details.retry_after_seconds));
        Self {
            code,
            retry_after: retry_after.or(asked),
            reason: status.reason,
            message: status.message,
            details,
        }
    }

    /// Says what it means for a request.
    pub fn classify(&self, subject: Subject) -> ApiError {
        match self.code {
            401 => ApiError::Unavailable {
                message: "it does not accept the agent's credentials (401 Unauthorized)".to_owned(),
                retry_after: self.retry_after,
            },
            404 if self.details.kind == "namespaces" => {
                ApiError::NamespaceMissing(format!("namespace {:?} is not there", self.details.name))
            }
            404 if !self.details.name.is_empty() => {
                ApiError::Conflict(format!("the object is not there: {}", self.words(subject)))
            }
            404 => ApiError::NotServed("the API server does not serve this kind in this version".to_owned()),
            409 if self.is_precondition(subject) => ApiError::Replaced(self.words(subject)),
            409 if self.owners().next().is_some() => ApiError::Refused(self.words_of_owners()),
            422 if subject.incarnation && self.is_about("metadata.uid") => {
                ApiError::Replaced(self.words(subject))
            }
            422 if self.is_about_a_change() => ApiError::Immutable(self.words(subject)),
            409 | 410 => ApiError::Conflict(self.words(subject)),
            500.. if self.is_refusal_in_disguise() => ApiError::Refused(self.words(subject)),
            408 | 429 | 500.. => self.unavailable(subject),
            _ => ApiError::Refused(self.words(subject)),
        }
    }

    /// Says what it means for a dry run: `Ok` where the object's own turn has to tell, because something moved meanwhile, or
    /// what the rest of the sync brings or takes away may change the answer: namespaces and their labels, quotas, policies,
    /// webhooks and what stands behind them.
    pub fn of_trial(&self, subject: Subject) -> Result<(), ApiError> {
        let says = |words: &[&str]| words.iter().any(|words| self.message.contains(words));
        let admission = self.code == 403 && !says(&NO_RIGHT);
        match self.classify(subject) {
            _ if admission || says(&WEBHOOKS) || says(&PASSING) => Ok(()),
            ApiError::Replaced(_) | ApiError::Conflict(_) | ApiError::NamespaceMissing(_) => Ok(()),
            error @ (ApiError::Unreachable(_)
            | ApiError::Unavailable { .. }
            | ApiError::NotServed(_)
            | ApiError::Immutable(_)
            | ApiError::Refused(_)) => Err(error),
        }
    }

    /// Tells whether the object could be made as it is to be, and only may not become that. What a policy or a webhook says is
    /// not to be got round.
    fn is_about_a_change(&self) -> bool {
        let says = |words: &[&str]| words.iter().any(|words| self.message.contains(words));
        self.reason == "Invalid" && says(&UNCHANGEABLE) && !says(&PASSING)
    }

    /// Gives the HTTP status.
    pub fn code(&self) -> u16 {
        self.code
    }

    /// Tells whether something with a name is absent: the object, or its namespace.
    pub fn is_absent(&self) -> bool {
        self.code == 404 && !self.details.name.is_empty()
    }

    /// Tells whether something of the name exists already.
    pub fn already_exists(&self) -> bool {
        self.code == 409 && self.reason == "AlreadyExists"
    }

    fn unavailable(&self, subject: Subject) -> ApiError {
        ApiError::Unavailable { message: self.words(subject), retry_after: self.retry_after }
    }

    fn is_precondition(&self, subject: Subject) -> bool {
        subject.incarnation
            && (self.message.contains("uid mismatch")
                || self.message.contains("UID in the precondition")
                || self.message.contains("UID in precondition"))
    }

    fn is_about(&self, field: &str) -> bool {
        self.details.causes.iter().any(|cause| cause.field == field)
    }

    /// Gives the fields that other managers own, with what is said of each: that names a manager and no value.
    fn owners(&self) -> impl Iterator<Item = &Cause> {
        self.details.causes.iter().filter(|cause| cause.reason == OWNED)
    }

    fn words_of_owners(&self) -> String {
        let fields: Vec<String> =
            self.owners().map(|cause| format!("{} of {}", cause.message, cause.field)).collect();
        let mut words = format!("{}; {KEEP_OFF}", fields.join(", "));
        cut(&mut words);
        words
    }

    fn is_refusal_in_disguise(&self) -> bool {
        WEBHOOKS.iter().any(|words| self.message.contains(words))
            || (self.code == 500
                && self.reason.is_empty()
                && MISFITS.iter().any(|words| self.message.starts_with(words)))
    }

    /// Gives the API server's words, or for a Secret what holds no value of it.
    fn words(&self, subject: Subject) -> String {
        if !subject.secret && !self.message.is_empty() {
            let mut message = self.message.clone();
            cut(&mut message);
            return message;
        }
        let mut words = match self.reason.as_str() {
            "" => format!("HTTP status {}", self.code),
            reason => format!("{reason} (HTTP status {})", self.code),
        };
        let mut fields: Vec<&str> = self.details.causes.iter().map(|cause| cause.field.as_str()).collect();
        fields.extend(misfit_path(&self.message));
        fields.retain(|field| !field.is_empty());
        fields.dedup();
        if !fields.is_empty() {
            words.push_str(" at ");
            words.push_str(&fields.join(", "));
        }
        cut(&mut words);
        words
    }
}

/// Finds the path in a message about an apply that does not fit: `…): .data.key: expected string, got …`.
fn misfit_path(message: &str) -> Option<&str> {
    let misfit = MISFITS.iter().any(|words| message.starts_with(words));
    let path = message.split_once("): ")?.1.split_once(": ")?.0;
    (misfit && path.starts_with('.') && !path.contains(char::is_whitespace)).then_some(path)
}

#[cfg(test)]
mod tests;
