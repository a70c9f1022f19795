//! What travels with an application so that its agent can act alone: how it syncs and what its project permits.

use std::collections::BTreeMap;

use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

use crate::windows::SyncWindow;

mod retry;

pub use retry::Retry;

/// How an application is synced (Argo CD: `spec.syncPolicy`).
#[derive(Debug, Clone, PartialEq, Eq, Default, Encode, Decode, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "independent options of Argo CD")]
pub struct SyncPolicy {
    /// Automated sync; absent for an application that is synced by hand.
    #[n(0)]
    pub automated: Option<Automated>,
    /// Creates the destination namespace when it is absent (`CreateNamespace=true`).
    #[n(1)]
    pub create_namespace: bool,
    /// How a failed sync is tried again; absent: 5 times for an automated sync, never for a manual one.
    #[n(2)]
    pub retry: Option<Retry>,
    /// How deletes propagate to dependents.
    #[n(3)]
    pub propagation: Propagation,
    /// Deletes come after everything else of a sync (`PruneLast=true`).
    #[n(4)]
    #[cbor(with = "crate::later", has_nil)]
    #[serde(default)]
    pub prune_last: bool,
    /// Whether what left the desired state may be deleted, for objects that do not say it themselves (`Prune=`).
    #[n(5)]
    #[cbor(with = "crate::later", has_nil)]
    #[serde(default)]
    pub prune: Consent,
    /// Whether objects may be deleted with the whole application, where they do not say it themselves (`Delete=`).
    #[n(6)]
    #[cbor(with = "crate::later", has_nil)]
    #[serde(default)]
    pub delete: Consent,
    /// Applies what does not fit its schema, as far as the API server takes it (`Validate=false`).
    #[n(7)]
    #[cbor(with = "crate::later", has_nil)]
    #[serde(default)]
    pub unvalidated: bool,
    /// A sync fails before its first write if another application has one of its objects (`FailOnSharedResource=true`).
    #[n(8)]
    #[cbor(with = "crate::later", has_nil)]
    #[serde(default)]
    pub fail_on_shared: bool,
    /// Objects whose kind is not served yet are not tried before the first write (`SkipDryRunOnMissingResource=true`).
    #[n(9)]
    #[cbor(with = "crate::later", has_nil)]
    #[serde(default)]
    pub skip_dry_run: bool,
    /// Leaves what earlier tools own of an adopted object to them (`ClientSideApplyMigration=false`).
    #[n(10)]
    #[cbor(with = "crate::later", has_nil)]
    #[serde(default)]
    pub unmigrated: bool,
    /// What is applied takes the place of all that is there (`Replace=true`).
    #[n(11)]
    #[cbor(with = "crate::later", has_nil)]
    #[serde(default)]
    pub replace: bool,
    /// What cannot be changed as it is to be is deleted and made anew (`Force=true`).
    #[n(12)]
    #[cbor(with = "crate::later", has_nil)]
    #[serde(default)]
    pub force: bool,
    /// Applies leave what is ignored as it is (`RespectIgnoreDifferences=true`).
    #[n(13)]
    #[cbor(with = "crate::later", has_nil)]
    #[serde(default)]
    pub respect_ignored: bool,
    /// Which releases are kept, and when an older one takes the place of the newest.
    #[n(14)]
    #[cbor(with = "crate::later", has_nil)]
    #[serde(default)]
    pub history: HistoryPolicy,
    /// Labels and annotations of the destination's namespace.
    #[n(15)]
    #[cbor(with = "crate::later", has_nil)]
    #[serde(default)]
    pub namespace: NamespaceMetadata,
    /// Tools whose objects are taken over (M17): their tracking is written over with ours.
    #[n(16)]
    #[cbor(with = "crate::later", has_nil)]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub take_over: Vec<Tool>,
}

/// A tool that tracks objects as its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
#[cbor(index_only)]
#[serde(rename_all = "lowercase")]
pub enum Tool {
    /// Argo CD.
    #[n(0)]
    ArgoCd,
    /// Helm.
    #[n(1)]
    Helm,
    /// Flux.
    #[n(2)]
    Flux,
}

impl Tool {
    const ALL: [Self; 3] = [Self::ArgoCd, Self::Helm, Self::Flux];

    /// Gives its name, with which every text begins that says what it tracks.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::ArgoCd => "Argo CD",
            Self::Helm => "Helm",
            Self::Flux => "Flux",
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::ArgoCd => "argocd",
            Self::Helm => "helm",
            Self::Flux => "flux",
        }
    }

    /// Reads a list of words with commas between them; an unknown one is an error that names them all.
    pub(crate) fn list(text: &str) -> Result<Vec<Self>, String> {
        let words = text.split(',').map(str::trim);
        let tools: Option<Vec<Self>> =
            words.map(|word| Self::ALL.into_iter().find(|tool| tool.word() == word)).collect();
        tools.ok_or_else(|| {
            let all = Self::ALL.map(Self::word).join(", ");
            format!("must be some of {all}, with commas between them, not {text:?}")
        })
    }

    /// Tells whether this is the tool that a text says an object is tracked by.
    pub(crate) fn tracks(self, text: &str) -> bool {
        text.starts_with(self.name())
    }
}

/// What the namespace of an application is given, where `CreateNamespace=true` makes it or finds it (Argo CD:
/// `spec.syncPolicy.managedNamespaceMetadata`).
#[derive(Debug, Clone, PartialEq, Eq, Default, Encode, Decode, Serialize, Deserialize)]
pub struct NamespaceMetadata {
    /// Its labels.
    #[n(0)]
    pub labels: BTreeMap<String, String>,
    /// Its annotations.
    #[n(1)]
    pub annotations: BTreeMap<String, String>,
}

impl NamespaceMetadata {
    /// Tells whether nothing is stated.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty() && self.annotations.is_empty()
    }
}

/// Whether an object may be deleted (Argo CD: `Prune=` and `Delete=` with `true`, `false` or `confirm`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Encode, Decode, Serialize, Deserialize)]
#[cbor(index_only)]
#[serde(rename_all = "lowercase")]
pub enum Consent {
    /// By the general rules.
    #[default]
    #[n(0)]
    Given,
    /// Never.
    #[n(1)]
    Refused,
    /// Once somebody has confirmed it.
    #[n(2)]
    Asked,
}

impl Consent {
    /// Reads Argo CD's word.
    pub fn read(word: &str) -> Option<Self> {
        match word {
            "true" => Some(Self::Given),
            "false" => Some(Self::Refused),
            "confirm" => Some(Self::Asked),
            _ => None,
        }
    }
}

/// Which releases an agent keeps to go back to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Encode, Decode, Serialize, Deserialize)]
pub struct HistoryPolicy {
    /// How many (Argo CD: `spec.revisionHistoryLimit`); absent: [`Self::LIMIT`].
    #[n(0)]
    pub limit: Option<u32>,
    /// After so many milliseconds Degraded, an app goes back by itself to the newest release that was healthy
    /// (`argosy.dev/rollback-on-degraded`).
    #[n(1)]
    pub fall_back_ms: Option<u64>,
}

impl HistoryPolicy {
    /// How many releases are kept where the document does not say (Argo CD).
    pub const LIMIT: u32 = 10;
    /// Most releases that are kept, whatever the document says: all of them stay on the agent's disk.
    pub const MOST: u32 = 100;

    /// Gives how many releases are kept.
    pub fn limit(self) -> usize {
        usize::try_from(self.limit.unwrap_or(Self::LIMIT).min(Self::MOST)).unwrap_or_default()
    }
}

/// Automated sync (Argo CD: `spec.syncPolicy.automated`); everything is off unless stated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Encode, Decode, Serialize, Deserialize)]
pub struct Automated {
    /// Deletes what left the desired state.
    #[n(0)]
    pub prune: bool,
    /// Puts back what others change.
    #[n(1)]
    pub self_heal: bool,
    /// Lets a release that became empty delete everything (the governor's other rules still hold).
    #[n(2)]
    pub allow_empty: bool,
}

/// How a delete reaches dependents (Argo CD: `PrunePropagationPolicy`, foreground unless stated).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Encode, Decode, Serialize, Deserialize)]
#[cbor(index_only)]
#[serde(rename_all = "lowercase")]
pub enum Propagation {
    /// Dependents go first.
    #[default]
    #[n(0)]
    Foreground,
    /// Dependents are collected afterwards.
    #[n(1)]
    Background,
    /// Dependents stay.
    #[n(2)]
    Orphan,
}

/// What a project permits an application to touch; the agent checks it again before each write.
#[derive(Debug, Clone, PartialEq, Eq, Default, Encode, Decode, Serialize, Deserialize)]
pub struct ProjectLimits {
    /// The project's name, for messages.
    #[n(0)]
    pub project: String,
    /// Permitted and denied destinations, in the document's order.
    #[n(1)]
    pub destinations: Vec<DestinationRule>,
    /// Permitted kinds of the cluster's scope; empty permits none.
    #[n(2)]
    pub cluster_allowed: Vec<KindRule>,
    /// Denied kinds of the cluster's scope.
    #[n(3)]
    pub cluster_denied: Vec<KindRule>,
    /// Permitted kinds in namespaces; absent permits all, empty permits none.
    #[n(4)]
    pub namespaced_allowed: Option<Vec<KindRule>>,
    /// Denied kinds in namespaces.
    #[n(5)]
    pub namespaced_denied: Vec<KindRule>,
    /// When its applications may sync; in an assignment only the windows that match its application.
    #[n(6)]
    #[cbor(with = "crate::later", has_nil)]
    #[serde(default)]
    pub windows: Vec<SyncWindow>,
    /// Whom its applications act as, the first that matches; empty in an assignment.
    #[n(7)]
    #[cbor(with = "crate::later", has_nil)]
    #[serde(default)]
    pub accounts: Vec<AccountRule>,
    /// Whom an application acts as, in its assignment; absent where its project says nothing of that: as the agent itself.
    #[n(8)]
    #[serde(default)]
    pub acts: Option<Acting>,
}

/// Whom applications act as at some destinations (Argo CD: `spec.destinationServiceAccounts`).
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct AccountRule {
    /// Glob of the cluster's URL, or of its name where the application's document names it so.
    #[n(0)]
    pub server: String,
    /// Glob of the destination's namespace.
    #[n(1)]
    pub namespace: String,
    /// Namespace of the account; empty for the destination's.
    #[n(2)]
    pub account_namespace: String,
    /// Name of the account.
    #[n(3)]
    pub account: String,
}

/// Whom an application acts as.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub enum Acting {
    /// A service account of the cluster.
    #[n(0)]
    As(#[n(0)] ServiceAccount),
    /// Nobody: its project names accounts, and none for its destination. So it writes nothing.
    #[n(1)]
    Nobody {
        /// The cluster's URL or name.
        #[n(0)]
        server: String,
        /// The namespace of accounts that name none.
        #[n(1)]
        namespace: String,
    },
}

/// A service account of a cluster.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Encode, Decode, Serialize, Deserialize)]
pub struct ServiceAccount {
    /// Its namespace.
    #[n(0)]
    pub namespace: String,
    /// Its name.
    #[n(1)]
    pub name: String,
}

impl ServiceAccount {
    /// Gives the user that the API server knows it as.
    pub fn user(&self) -> String {
        format!("system:serviceaccount:{}:{}", self.namespace, self.name)
    }
}

impl std::fmt::Display for ServiceAccount {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.namespace, self.name)
    }
}

/// One destination rule; each field is a glob, `!` before it denies.
#[derive(Debug, Clone, PartialEq, Eq, Default, Encode, Decode, Serialize, Deserialize)]
pub struct DestinationRule {
    /// Glob of the cluster's server URL; empty when not given.
    #[n(0)]
    pub server: String,
    /// Glob of the cluster's name; empty when not given.
    #[n(1)]
    pub name: String,
    /// Glob of the namespace.
    #[n(2)]
    pub namespace: String,
}

/// One rule about kinds.
#[derive(Debug, Clone, PartialEq, Eq, Default, Encode, Decode, Serialize, Deserialize)]
pub struct KindRule {
    /// Pattern of the group.
    #[n(0)]
    pub group: String,
    /// Pattern of the kind.
    #[n(1)]
    pub kind: String,
    /// Pattern of the object's name; empty for any.
    #[n(2)]
    pub name: String,
}
