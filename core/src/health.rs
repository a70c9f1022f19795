//! Health of live objects, by rules of their kinds (Argo CD: `gitops-engine/pkg/health` and `resource_customizations`).
//!
//! A rule is looked up in this order, and the first one that there is decides:
//!
//! 1. an object that is on its way out is Progressing, whatever its kind;
//! 2. a rule of the user's own ([`UserRules`]), which may also say that it has no opinion;
//! 3. our rule of the kind, one file per API group;
//! 4. for kinds that nobody here knows, the generic rule for standard conditions. Its verdict says that it is generic
//!    and is only shown: it is in no roll-up and holds no wave ([`Verdict::is_binding`]).
//!
//! A kind without a rule has no opinion: it neither helps nor hurts the application it belongs to. Rules are pure: they
//! read one object and, a few of them, what is around it ([`Surroundings`]).

use minicbor::{Decode, Encode};
use serde::Serialize;
use serde_json::Value;

use crate::json;
use crate::key::GroupKind;
use crate::status;

mod apiextensions;
mod apiregistration;
mod apps;
mod argo;
mod autoscaling;
mod batch;
mod cert_manager;
mod conditions;
mod core_group;
mod external_secrets;
mod gateway;
mod generic;
mod istio;
mod keycloak;
mod networking;
mod observed;
mod olm;
mod openshift;
mod policy;
mod rhdh;
mod rollup;
mod rules;
mod sail;
mod secrets_store;
mod surroundings;
mod tekton;
#[cfg(test)]
mod tests;

pub use self::observed::observed;
pub use self::rollup::{Member, Standing, roll_up};
pub use self::rules::auxiliary;
pub use self::surroundings::{Alone, Surroundings};

/// What a sync adds to its hooks; one that is deleted goes only when its sync lets it.
const HOOK_FINALIZER: &str = "argocd.argoproj.io/hook-finalizer";
/// Asks that the health of an object is not rolled up.
const IGNORED: &str = "argocd.argoproj.io/ignore-healthcheck";

/// Health of an object or an application, best to worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode, Decode, Serialize, Default)]
#[cbor(index_only)]
pub enum Health {
    /// Works.
    #[default]
    #[n(0)]
    Healthy,
    /// Stopped on purpose.
    #[n(1)]
    Suspended,
    /// On its way.
    #[n(2)]
    Progressing,
    /// Not there.
    #[n(3)]
    Missing,
    /// Broken.
    #[n(4)]
    Degraded,
    /// Cannot be told.
    #[n(5)]
    Unknown,
}

/// Whose rule a verdict follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Basis {
    /// One of ours, made for the kind.
    Kind,
    /// The one for standard conditions, made for no kind.
    Generic,
    /// The user's own.
    User,
}

/// What a rule says of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Its health.
    pub health: Health,
    /// Why.
    pub message: String,
    /// Whose rule says so.
    pub basis: Basis,
    /// Whether the object asks to be left out of the roll-up.
    pub ignored: bool,
}

/// What a user's rules say of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ruling {
    /// They have no rule for it: ours are asked.
    NoRule,
    /// Their rule has no opinion, and nobody else is asked.
    NoOpinion,
    /// Their rule says this.
    Verdict(Health, String),
}

/// Rules that users bring; several threads may judge by them.
pub trait UserRules: Send + Sync {
    /// Tells whether they have a rule for a kind.
    fn covers(&self, kind: &GroupKind) -> bool;

    /// Judges an object of a kind. One that cannot be judged is Unknown, with the reason.
    fn judge(&self, kind: &GroupKind, object: &Value) -> Ruling;
}

/// Judges objects, with whatever there is to judge them by.
#[derive(Clone, Copy, Default)]
pub struct Assessor<'a> {
    users: Option<&'a dyn UserRules>,
    surroundings: Option<&'a dyn Surroundings>,
}

// === impl Health ===

impl Health {
    /// Gives Argo CD's word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "Healthy",
            Self::Suspended => "Suspended",
            Self::Progressing => "Progressing",
            Self::Missing => "Missing",
            Self::Degraded => "Degraded",
            Self::Unknown => "Unknown",
        }
    }

    /// Reads Argo CD's word.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Healthy, Self::Suspended, Self::Progressing, Self::Missing, Self::Degraded, Self::Unknown]
            .into_iter()
            .find(|health| health.as_str() == word)
    }
}

// === impl Verdict ===

impl Verdict {
    /// Makes a verdict of a rule for the kind.
    pub fn new(health: Health, message: impl Into<String>) -> Self {
        Self { health, message: message.into(), basis: Basis::Kind, ignored: false }
    }

    /// Tells whether a sync acts on it: a wave waits for it, and fails by it. A generic verdict is only shown.
    pub fn is_binding(&self) -> bool {
        self.basis != Basis::Generic
    }

    /// Tells whether it goes into the health of the application.
    pub fn is_counted(&self) -> bool {
        self.is_binding() && !self.ignored
    }

    fn healthy(message: impl Into<String>) -> Self {
        Self::new(Health::Healthy, message)
    }

    fn suspended(message: impl Into<String>) -> Self {
        Self::new(Health::Suspended, message)
    }

    fn progressing(message: impl Into<String>) -> Self {
        Self::new(Health::Progressing, message)
    }

    fn degraded(message: impl Into<String>) -> Self {
        Self::new(Health::Degraded, message)
    }

    fn unknown(message: impl Into<String>) -> Self {
        Self::new(Health::Unknown, message)
    }
}

// === impl Assessor ===

impl<'a> Assessor<'a> {
    /// Adds rules of the user's, which go before ours.
    #[must_use]
    pub fn with_rules(self, users: &'a dyn UserRules) -> Self {
        Self { users: Some(users), ..self }
    }

    /// Adds what is around the objects.
    #[must_use]
    pub fn among(self, surroundings: &'a dyn Surroundings) -> Self {
        Self { surroundings: Some(surroundings), ..self }
    }

    /// Tells whether a kind has a rule, so that its objects must be seen whole.
    pub fn has_rule(&self, kind: &GroupKind) -> bool {
        self.users.is_some_and(|users| users.covers(kind)) || has_rule(kind)
    }

    /// Tells whether a kind has a rule that a sync acts on.
    pub fn has_binding_rule(&self, kind: &GroupKind) -> bool {
        self.users.is_some_and(|users| users.covers(kind)) || has_binding_rule(kind)
    }

    /// Judges a live object; `None` where nobody has an opinion. An object that is on its way out is Progressing.
    pub fn assess(&self, kind: &GroupKind, object: &Value) -> Option<Verdict> {
        let mut verdict = self.judge(kind, object)?;
        verdict.ignored = json::text_at(object, &["metadata", "annotations", IGNORED]) == Some("true");
        status::cut(&mut verdict.message);
        Some(verdict)
    }

    fn judge(&self, kind: &GroupKind, object: &Value) -> Option<Verdict> {
        if is_going(object) {
            return Some(Verdict::progressing("Pending deletion"));
        }
        match self.users.map_or(Ruling::NoRule, |users| users.judge(kind, object)) {
            Ruling::NoRule => {}
            Ruling::NoOpinion => return None,
            Ruling::Verdict(health, message) => {
                return Some(Verdict { basis: Basis::User, ..Verdict::new(health, message) });
            }
        }
        match rules::rule(kind) {
            Some(rule) => rule.judge(object, self.surroundings.unwrap_or(&Alone)),
            None if generic::speaks_for(kind) => generic::judge(object),
            None => None,
        }
    }
}

impl std::fmt::Debug for Assessor<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Assessor")
            .field("users", &self.users.is_some())
            .field("surroundings", &self.surroundings.is_some())
            .finish()
    }
}

/// Tells whether a kind has a health rule, the generic one among them, so that its objects are watched whole. Kinds of
/// Kubernetes itself have none but their own, so that Secrets and the like are watched by their metadata.
pub fn has_rule(kind: &GroupKind) -> bool {
    has_binding_rule(kind) || generic::speaks_for(kind)
}

/// Tells whether a kind has a health rule that a sync acts on and that goes into the health of its application: while
/// its objects are not seen, their health is unknown.
pub fn has_binding_rule(kind: &GroupKind) -> bool {
    rules::rule(kind).is_some()
}

/// Judges a live object by our rules, with nothing around it; `None` where its kind has no rule.
pub fn assess(kind: &GroupKind, object: &Value) -> Option<Verdict> {
    Assessor::default().assess(kind, object)
}

/// Tells whether an object is on its way out. A hook is judged as ever as long as its sync holds it.
fn is_going(object: &Value) -> bool {
    let metadata = |field: &str| json::at(object, &["metadata", field]);
    let finalizers = || metadata("finalizers").and_then(Value::as_array).into_iter().flatten();
    metadata("deletionTimestamp").is_some_and(|time| !time.is_null())
        && !finalizers().any(|finalizer| finalizer.as_str() == Some(HOOK_FINALIZER))
}
