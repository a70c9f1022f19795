//! Health of live objects, by rules of their kinds (Argo CD: `gitops-engine/pkg/health`).
//!
//! A kind without a rule has no opinion: it neither helps nor hurts the application it belongs to.

use minicbor::{Decode, Encode};
use serde::Serialize;
use serde_json::Value;

use crate::key::GroupKind;

mod rules;

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
}

/// What a rule says of an object.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Verdict {
    /// Its health.
    #[n(0)]
    pub health: Health,
    /// Why.
    #[n(1)]
    pub message: String,
}

impl Verdict {
    /// Makes a verdict.
    pub fn new(health: Health, message: impl Into<String>) -> Self {
        Self { health, message: message.into() }
    }
}

/// Tells whether a kind has a health rule, so that its objects are watched whole.
pub fn has_rule(kind: &GroupKind) -> bool {
    rules::rule(kind).is_some()
}

/// Judges a live object; `None` where its kind has no rule. An object that is on its way out is Progressing.
pub fn assess(kind: &GroupKind, object: &Value) -> Option<Verdict> {
    if object.pointer("/metadata/deletionTimestamp").is_some_and(|time| !time.is_null()) {
        return Some(Verdict::new(Health::Progressing, "Pending deletion"));
    }
    rules::rule(kind).map(|rule| rule(object))
}
