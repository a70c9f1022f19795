//! Variants that are wrong on purpose: the oracle must catch each.
//!
//! The state machines are never touched. A variant changes what lies between a machine and its world: the order in which
//! effects are carried out, what reaches the disk, the wire or the API server, what is answered. So each is a program
//! with one guard missing, and none of it is in what ships.

mod agents;
mod hubs;

pub(super) use agents::verifier;
pub(super) use hubs::broken_read;

use std::fmt;
use std::str::FromStr;

/// A variant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Broken {
    /// The agent acknowledges before its transaction is durable.
    AckBeforeCommit,
    /// The agent writes the anchor after it acknowledged.
    AnchorLate,
    /// The agent writes no anchor.
    AnchorNever,
    /// The agent does not look at its anchor when it starts.
    AnchorIgnored,
    /// Requests go out before their intents are durable.
    RequestBeforeCommit,
    /// Intents are not written.
    IntentUnwritten,
    /// Deletes name no UID.
    DeleteByName,
    /// Applies name no UID.
    ApplyByName,
    /// What a look finds counts as tracked by us.
    TrackingAssumed,
    /// What a look finds at another tool counts as untracked.
    OtherToolsIgnored,
    /// A look that finds something now and then finds nothing.
    FoundIsAbsent,
    /// An answer that never came counts as a refusal.
    LostIsRefused,
    /// Everything that is held is confirmed at once, by nobody.
    GovernorOff,
    /// Any signature is good, and some are not.
    AnySignature,
    /// The monotonic clock follows the wall clock.
    WallClock,
    /// A timer that is due is due at once, always.
    TimerAtOnce,
    /// The end of a stream is not noticed.
    DisconnectUnseen,
    /// The agent never says what it holds.
    HeadUnsaid,
    /// The agent never acknowledges.
    AckUnsaid,
    /// The agent grants no more credit.
    CreditUnsaid,
    /// Requests for releases are lost, and not repeated.
    PullsLost,
    /// Statuses are lost, and not repeated.
    StatusLost,
    /// Old statuses are sent as if they were new.
    StatusReplayed,
    /// Everything is said to be Synced.
    StatusFlattering,
    /// Releases that nothing names stay on the agent's disk.
    AgentKeepsAll,
    /// Fields that are not known are dropped on their way to disk.
    UnknownDropped,
    /// What other writers do is not seen.
    DriftUnseen,
    /// What is gone is not seen.
    EndsUnseen,
    /// Lists are not seen.
    ListsUnseen,
    /// That a Job is done is not remembered.
    DoneForgotten,
    /// A rendering that failed counts as an empty one.
    FailedIsEmpty,
    /// A repository that was never reached counts as an empty one.
    PendingIsEmpty,
    /// A fleet that cannot be read counts as an empty one.
    UnreadIsEmpty,
    /// A file that does not parse counts as absent.
    BrokenIsAbsent,
    /// One app that fails stops all others.
    PoisonSpreads,
    /// Releases of older commits come back.
    OldRelease,
    /// The hub sends a head before its number is durable.
    HeadBeforeCommit,
    /// The hub forgets what it sent.
    NumberUnwritten,
    /// Statuses are acknowledged, and not kept.
    StatusUnwritten,
    /// A cluster is given what is another's.
    ListOfAnother,
    /// A change of a list is lost on its way.
    ChangeLost,
    /// Apps prune that nobody told to.
    PruneAlways,
    /// Apps that only let go delete.
    ReleasedIsDeleted,
    /// Apps that are held as they are delete.
    FrozenIsDeleted,
    /// What may be on its way to a failing app is not held.
    HeldForgotten,
    /// Releases that nothing names stay on the hub's disk.
    HubKeepsAll,
    /// Whoever does not hold the lease writes all the same.
    TwoWriters,
    /// What is applied replaces all that was there.
    ApplyReplaces,
    /// What is applied is merged, and takes away nothing.
    ApplyMerges,
    /// After an apply the values that it does not name are removed.
    ApplyRobs,
    /// A kind is said to be served as soon as its definition is there.
    KindsEarly,
    /// A namespace is said to be made, and is not.
    NamespaceUnmade,
    /// A pause is forgotten when the process ends.
    PauseForgotten,
    /// A pause is not heard.
    PauseUnheard,
    /// What is applied on trial is applied.
    TrialInEarnest,
    /// An agent starts without the policy that it was given.
    PolicyForgotten,
    /// Requests are sent for nobody but the agent itself.
    AccountForgotten,
}

/// Every variant with its name and the rules that it breaks.
const ALL: [(Broken, &str, &str); 57] = [
    (Broken::AckBeforeCommit, "ack-before-commit", "I4"),
    (Broken::AnchorLate, "anchor-late", "I4 M23"),
    (Broken::AnchorNever, "anchor-never", "I4 M23"),
    (Broken::AnchorIgnored, "anchor-ignored", "I19 M23"),
    (Broken::RequestBeforeCommit, "request-before-commit", "I7 M18"),
    (Broken::IntentUnwritten, "intent-unwritten", "I7 M18"),
    (Broken::DeleteByName, "delete-by-name", "I2 M21"),
    (Broken::ApplyByName, "apply-by-name", "M16"),
    (Broken::TrackingAssumed, "tracking-assumed", "I2 M21"),
    (Broken::OtherToolsIgnored, "other-tools-ignored", "I11 M17"),
    (Broken::FoundIsAbsent, "found-is-absent", "M17 M19"),
    (Broken::LostIsRefused, "lost-is-refused", "I7 M18"),
    (Broken::GovernorOff, "governor-off", "I2 M22"),
    (Broken::AnySignature, "any-signature", "I2 M13"),
    (Broken::WallClock, "wall-clock", "I17"),
    (Broken::TimerAtOnce, "timer-at-once", "I10"),
    (Broken::DisconnectUnseen, "disconnect-unseen", "I8 M15"),
    (Broken::HeadUnsaid, "head-unsaid", "I4 M13"),
    (Broken::AckUnsaid, "ack-unsaid", "I8"),
    (Broken::CreditUnsaid, "credit-unsaid", "I8 I18"),
    (Broken::PullsLost, "pulls-lost", "I8"),
    (Broken::StatusLost, "status-lost", "I5"),
    (Broken::StatusReplayed, "status-replayed", "I5 I6"),
    (Broken::StatusFlattering, "status-flattering", "I15"),
    (Broken::AgentKeepsAll, "agent-keeps-all", "I18 M25"),
    (Broken::UnknownDropped, "unknown-dropped", "I20 M12"),
    (Broken::DriftUnseen, "drift-unseen", "I9"),
    (Broken::EndsUnseen, "ends-unseen", "I9 M19"),
    (Broken::ListsUnseen, "lists-unseen", "I8"),
    (Broken::DoneForgotten, "done-forgotten", "I10"),
    (Broken::FailedIsEmpty, "failed-is-empty", "I3 M5"),
    (Broken::PendingIsEmpty, "pending-is-empty", "I3 M5"),
    (Broken::UnreadIsEmpty, "unread-is-empty", "I3 M6"),
    (Broken::BrokenIsAbsent, "broken-is-absent", "I3 M6"),
    (Broken::PoisonSpreads, "poison-spreads", "I16"),
    (Broken::OldRelease, "old-release", "I1"),
    (Broken::HeadBeforeCommit, "head-before-commit", "I4 M13"),
    (Broken::NumberUnwritten, "number-unwritten", "I1 M13"),
    (Broken::StatusUnwritten, "status-unwritten", "I4 I5"),
    (Broken::ListOfAnother, "list-of-another", "I12"),
    (Broken::ChangeLost, "change-lost", "I5"),
    (Broken::PruneAlways, "prune-always", "I3"),
    (Broken::ReleasedIsDeleted, "released-is-deleted", "I3 M6"),
    (Broken::FrozenIsDeleted, "frozen-is-deleted", "I3 M6"),
    (Broken::HeldForgotten, "held-forgotten", "I3 M5"),
    (Broken::HubKeepsAll, "hub-keeps-all", "I18 M25"),
    (Broken::TwoWriters, "two-writers", "I13 M24"),
    (Broken::ApplyReplaces, "apply-replaces", "I11"),
    (Broken::ApplyMerges, "apply-merges", "I11"),
    (Broken::ApplyRobs, "apply-robs", "I11"),
    (Broken::KindsEarly, "kinds-early", "I14"),
    (Broken::NamespaceUnmade, "namespace-unmade", "I14"),
    (Broken::PauseForgotten, "pause-forgotten", "pause"),
    (Broken::PauseUnheard, "pause-unheard", "pause"),
    (Broken::TrialInEarnest, "trial-in-earnest", "I10"),
    (Broken::PolicyForgotten, "policy-forgotten", "policy"),
    (Broken::AccountForgotten, "account-forgotten", "account"),
];

impl Broken {
    /// Gives all variants.
    pub fn all() -> impl Iterator<Item = Self> {
        ALL.into_iter().map(|(broken, _, _)| broken)
    }

    /// Gives the rules and invariants that it breaks.
    pub fn breaks(self) -> &'static str {
        ALL.iter().find(|(of, _, _)| *of == self).map_or("", |(_, _, rules)| rules)
    }

    fn name(self) -> &'static str {
        ALL.iter().find(|(of, _, _)| *of == self).map_or("", |(_, name, _)| name)
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Broken {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let names = || ALL.map(|(_, name, _)| name).join(", ");
        let found = ALL.iter().find(|(_, name, _)| *name == text);
        found.map(|(of, _, _)| *of).ok_or_else(|| format!("no such variant: {text} (there are: {})", names()))
    }
}
