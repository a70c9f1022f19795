//! What the reconciler knows of a live cluster and asks of it: metadata, requests, answers.

mod exchange;
mod refusal;

use std::collections::BTreeMap;
use std::time::Duration;

use minicbor::{Decode, Encode};

use crate::compare::{self, Comparison, Ignored};
use crate::desired::Assignment;
use crate::health::Verdict;
use crate::ids::{AppId, Digest, InstallationId};
use crate::key::{GroupKind, ResourceKey};
use crate::manifest::Role;
use crate::policy::{Consent, NamespaceMetadata, Propagation, ServiceAccount};

pub(crate) use self::refusal::is_owned_by_whole;
pub use exchange::{Apply, namespace_body};
pub use refusal::{Refusal, Subject};

/// What discovery says of a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KindInfo {
    /// Whether its objects live in namespaces.
    pub namespaced: bool,
}

/// The kinds that the API server serves. They shrink only on an observed removal, never on a failed discovery.
pub type Kinds = BTreeMap<GroupKind, KindInfo>;

/// What an object's tracking metadata says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tracking {
    /// Nobody tracks it.
    None,
    /// An app of an Argosy installation.
    Ours {
        /// Which installation; absent when the annotation is missing.
        installation: Option<InstallationId>,
        /// Which app.
        app: AppId,
        /// The object that the tracking names: copies of an object name their original.
        names: ResourceKey,
    },
    /// Another tool, named for people, e.g. `Helm release shop/web`.
    Other(String),
}

/// A live object, as far as the reconciler needs it: metadata and a verdict, never its body.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts about an object")]
pub struct LiveMeta {
    /// Which object.
    pub key: ResourceKey,
    /// This incarnation of it.
    pub uid: String,
    /// Its version, as a number: they compare within one resource.
    pub resource_version: u64,
    /// What tracks it.
    pub tracking: Tracking,
    /// Whether the label that watches select on is there.
    pub labelled: bool,
    /// Whether it has owner references: controllers copy labels and annotations onto what they make.
    pub owned: bool,
    /// Whether it is on its way out.
    pub deleting: bool,
    /// Fingerprint of our own `Apply` entry in `metadata.managedFields`; absent when we own nothing.
    pub fingerprint: Option<Digest>,
    /// The other manager that wrote last, for reports.
    pub last_writer: Option<String>,
    /// Health, for kinds with a rule.
    pub health: Option<Verdict>,
    /// Its controller says that it has not seen the present generation yet, so its health is of an earlier one.
    pub lagging: bool,
}

/// What one watch is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Watched {
    /// All objects of a kind that carry our label.
    Kind(GroupKind),
    /// One object by its name, whoever has it, for a part of it (M19).
    Part(ResourceKey),
}

/// What is to be watched, each with the generation of its watch: one of another generation begins with a list.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WatchSet {
    /// Kinds.
    pub kinds: BTreeMap<GroupKind, u64>,
    /// Objects of which parts are stated.
    pub parts: BTreeMap<ResourceKey, u64>,
}

// === impl Watched ===

impl Watched {
    /// Gives the kind of what is watched.
    pub fn kind(&self) -> GroupKind {
        match self {
            Self::Kind(kind) => kind.clone(),
            Self::Part(key) => key.group_kind(),
        }
    }

    /// Gives the name of the part that is looked at; empty for whole objects.
    pub fn part(&self) -> &str {
        match self {
            Self::Kind(_) => "",
            Self::Part(key) => &key.part,
        }
    }
}

impl std::fmt::Display for Watched {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Kind(kind) => kind.fmt(f),
            Self::Part(key) => key.fmt(f),
        }
    }
}

// === impl WatchSet ===

impl WatchSet {
    /// Gives one watch after the other.
    pub fn into_watches(self) -> impl Iterator<Item = (Watched, u64)> {
        let kinds = self.kinds.into_iter().map(|(kind, generation)| (Watched::Kind(kind), generation));
        kinds.chain(self.parts.into_iter().map(|(key, generation)| (Watched::Part(key), generation)))
    }

    /// Gives the generation of a watch, if it is one of these.
    pub fn get(&self, watched: &Watched) -> Option<u64> {
        match watched {
            Watched::Kind(kind) => self.kinds.get(kind).copied(),
            Watched::Part(key) => self.parts.get(key).copied(),
        }
    }
}

/// Names a request until its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// A request to the API server. Each has a deadline ([`REQUEST_DEADLINE`]); after it the answer is
/// [`ApiError::Unreachable`] and the request may still be under way (M18).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Reads an object's metadata from the API server itself, not from a cache.
    Get {
        /// Which object.
        key: ResourceKey,
    },
    /// Server-side apply with strict validation and our field manager: with force, but for parts (M16).
    Apply {
        /// Which object.
        key: ResourceKey,
        /// The incarnation that must be there; absent to create or adopt.
        uid: Option<String>,
        /// Digest of the manifest to apply; the body is [`crate::tracking::body`] of it.
        manifest: Digest,
        /// The app that the body's tracking names.
        app: AppId,
        /// Takes what does not fit its schema (`Validate=false`).
        unvalidated: bool,
        /// Makes what earlier tools own of the object ours first ([`crate::migration`]).
        migrates: bool,
        /// Puts what is stated in the place of all that is there first (`Replace=true`).
        replaces: bool,
        /// What is left as it is, by a look at the object just before (M20); absent: nothing.
        respect: Option<Ignored>,
        /// Takes fields that other managers own.
        force: bool,
        /// The service account that it is sent for; absent: the agent itself.
        account: Option<ServiceAccount>,
    },
    /// Asks whether a server-side apply would be taken, and changes nothing (a dry run). What webhooks say is not told: it
    /// may be another word once earlier waves are there.
    Try {
        /// Which object.
        key: ResourceKey,
        /// Digest of the manifest.
        manifest: Digest,
        /// The app that the body's tracking names.
        app: AppId,
        /// Takes what does not fit its schema (`Validate=false`).
        unvalidated: bool,
        /// Takes fields that other managers own.
        force: bool,
        /// The service account that it is sent for; absent: the agent itself.
        account: Option<ServiceAccount>,
    },
    /// Gives up a part of exactly this incarnation: server-side apply by the part's manager that states nothing. What nobody
    /// else owns of it goes; the object stays.
    GiveUp {
        /// Which part of which object.
        key: ResourceKey,
        /// Which incarnation.
        uid: String,
        /// The service account that it is sent for; absent: the agent itself.
        account: Option<ServiceAccount>,
    },
    /// Deletes exactly this incarnation of a whole object.
    Delete {
        /// Which object.
        key: ResourceKey,
        /// Which incarnation.
        uid: String,
        /// How it reaches dependents.
        propagation: Propagation,
        /// The service account that it is sent for; absent: the agent itself.
        account: Option<ServiceAccount>,
    },
    /// Creates a namespace unless it is there (`CreateNamespace=true`), and gives it labels and annotations if any are stated.
    EnsureNamespace {
        /// Its name.
        name: String,
        /// The app that states them: what others state stays.
        app: AppId,
        /// What it is given.
        metadata: NamespaceMetadata,
        /// The service account that it is sent for; absent: the agent itself.
        account: Option<ServiceAccount>,
    },
    /// Compares an object with what an apply would make of it: a read, and where both are there an apply on trial. Changes
    /// nothing. Each of the two has its own deadline.
    Compare {
        /// Which object.
        key: ResourceKey,
        /// What would be applied, and the app that its tracking would name; absent for an object that is not desired.
        desired: Option<(Digest, AppId)>,
        /// How they are compared.
        manner: compare::Manner,
        /// The service account that it is sent for; absent: the agent itself.
        account: Option<ServiceAccount>,
    },
}

impl Request {
    /// Tells whether it may change the cluster.
    pub fn is_write(&self) -> bool {
        match self {
            Self::Apply { .. } | Self::GiveUp { .. } | Self::Delete { .. } | Self::EnsureNamespace { .. } => {
                true
            }
            Self::Get { .. } | Self::Try { .. } | Self::Compare { .. } => false,
        }
    }

    /// Asks for the namespace of an assignment's destination.
    pub fn ensure_namespace(assignment: &Assignment, account: Option<ServiceAccount>) -> Self {
        Self::EnsureNamespace {
            name: assignment.destination.namespace.clone(),
            app: assignment.app.clone(),
            metadata: assignment.policy.namespace.clone(),
            account,
        }
    }

    /// Gives the service account that it is sent for.
    pub fn account(&self) -> Option<&ServiceAccount> {
        match self {
            Self::Get { .. } => None,
            Self::Apply { account, .. }
            | Self::Try { account, .. }
            | Self::GiveUp { account, .. }
            | Self::Delete { account, .. }
            | Self::EnsureNamespace { account, .. }
            | Self::Compare { account, .. } => account.as_ref(),
        }
    }

    /// Gives the manifest whose bytes are needed to send it.
    pub fn manifest(&self) -> Option<Digest> {
        match self {
            Self::Apply { manifest, .. }
            | Self::Try { manifest, .. }
            | Self::Compare { desired: Some((manifest, _)), .. } => Some(*manifest),
            Self::Get { .. }
            | Self::Compare { desired: None, .. }
            | Self::GiveUp { .. }
            | Self::Delete { .. }
            | Self::EnsureNamespace { .. } => None,
        }
    }
}

/// How long a request may take.
pub const REQUEST_DEADLINE: Duration = Duration::from_secs(30);

/// A good answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The object's metadata (`Get`).
    Found(LiveMeta),
    /// The object is not there (`Get`), or the kind is not served.
    Absent,
    /// Applied.
    Applied(Applied),
    /// It may be applied, as far as can be told now (`Try`).
    Tried,
    /// The delete was accepted, and the object may still be there for its finalizers; or the part was given up.
    Deleted,
    /// The namespace is there; whether this made it.
    Namespace {
        /// Made just now.
        created: bool,
    },
    /// Compared.
    Compared(Comparison),
}

/// Answer to an apply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// The object afterwards.
    pub live: LiveMeta,
    /// Whether the request made the object: nobody else manages any of its fields and it is as new as the answer.
    pub created: bool,
    /// Paths whose values are not what was sent: admission changed them.
    pub changed: Vec<String>,
}

/// Why a request failed, as far as what to do next differs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApiError {
    /// No answer: the request may have had its effect.
    #[error("the API server did not answer: {0}")]
    Unreachable(String),
    /// 429, 500, 503, 504 of the API server itself.
    #[error("the API server is not able to answer: {message}")]
    Unavailable {
        /// Its words.
        message: String,
        /// When it asked to be tried again.
        retry_after: Option<Duration>,
    },
    /// The incarnation that was asked for is not there: absent, or another one (M16).
    #[error("the object was replaced: {0}")]
    Replaced(String),
    /// Something changed under the request (409 for other reasons).
    #[error("conflict: {0}")]
    Conflict(String),
    /// The namespace of the object is not there.
    #[error("{0}")]
    NamespaceMissing(String),
    /// The API server does not serve the kind.
    #[error("{0}")]
    NotServed(String),
    /// The object that is there may not become what the request says: a field of it may not change (422).
    #[error("{0}")]
    Immutable(String),
    /// The request is refused for what it says: 400, 403, 413, a webhook's or a policy's no.
    #[error("{0}")]
    Refused(String),
}

impl ApiError {
    /// Tells whether the failure says nothing about the request itself, so that it uses up no attempt (M20).
    pub fn is_outage(&self) -> bool {
        matches!(self, Self::Unreachable(_) | Self::Unavailable { .. })
    }

    /// Names the service account that a request was refused to: the rights are its own.
    #[must_use]
    pub fn of_account(self, account: Option<&ServiceAccount>) -> Self {
        match (self, account) {
            (Self::Refused(why), Some(account)) => {
                Self::Refused(format!("as the service account {account}: {why}"))
            }
            (error, _) => error,
        }
    }

    /// Tells whether the same request will fail again until somebody changes the cluster.
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::Refused(_) | Self::Immutable(_) | Self::NotServed(_))
    }
}

/// What becomes known of a kind's objects by watching it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "moved once, from a watch to the machine")]
pub enum WatchEvent {
    /// A complete, consistent list.
    Listed {
        /// Version of the list.
        resource_version: u64,
        /// All objects that carry our label.
        objects: Vec<LiveMeta>,
    },
    /// An object was made or changed.
    Seen(LiveMeta),
    /// An object is gone, or lost our label: nothing is concluded before a metadata GET (M19).
    Gone(ResourceKey),
    /// The watch broke; until the next list the kind's objects are as last known, or unknown if the API server refuses
    /// to list or watch them.
    Broken(ApiError),
}

/// Facts of a manifest that the reconciler needs without its body.
#[derive(Debug, Clone, PartialEq, Eq, Default, Encode, Decode)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts about a manifest")]
pub struct ManifestFacts {
    /// For a `CustomResourceDefinition`: the kind that it defines and whether that is namespaced.
    #[n(0)]
    pub defines: Option<(GroupKind, bool)>,
    /// `Delete=false`, or a CRD: compared, never deleted (M19).
    #[n(1)]
    pub kept: bool,
    /// `Prune=false`.
    #[n(2)]
    pub prune_refused: bool,
    /// Its wave.
    #[n(3)]
    #[cbor(with = "crate::later", has_nil)]
    pub wave: i32,
    /// `PruneLast=true`.
    #[n(4)]
    #[cbor(with = "crate::later", has_nil)]
    pub prune_last: bool,
    /// Whether it is a hook.
    #[n(5)]
    #[cbor(with = "crate::later", has_nil)]
    pub role: Role,
    /// Whether it may be deleted when it leaves the desired state; absent where it does not say.
    #[n(6)]
    pub prune: Option<Consent>,
    /// Whether it may be deleted with its application; absent where it does not say.
    #[n(7)]
    pub delete: Option<Consent>,
    /// Whether it is applied though it does not fit its schema; absent where it does not say.
    #[n(8)]
    pub unvalidated: Option<bool>,
    /// Not tried before the first write of a sync while its kind is not served.
    #[n(9)]
    #[cbor(with = "crate::later", has_nil)]
    pub skip_dry_run: bool,
    /// Does not make its app `OutOfSync` when it has left the desired state.
    #[n(10)]
    #[cbor(with = "crate::later", has_nil)]
    pub ignore_extraneous: bool,
    /// Whether it takes the place of all that is there; absent where it does not say.
    #[n(11)]
    pub replace: Option<bool>,
    /// Whether it is deleted and made anew where it cannot be changed; absent where it does not say.
    #[n(12)]
    pub force: Option<bool>,
    /// The version of its kind that it states, where that is not [`Self::VERSION`].
    #[n(13)]
    pub version: Option<String>,
}

impl ManifestFacts {
    /// The version of most kinds: it is not kept for every manifest.
    pub const VERSION: &str = "v1";

    /// Gives the version of its kind that it states.
    pub fn version(&self) -> &str {
        self.version.as_deref().unwrap_or(Self::VERSION)
    }

    /// Gives the kind that it defines.
    pub fn defines_kind(&self) -> Option<GroupKind> {
        self.defines.as_ref().map(|(kind, _)| kind.clone())
    }
}
