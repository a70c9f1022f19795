//! Commands: what an operator asks of an agent, and how that stands.

use minicbor::{Decode, Encode};

#[cfg(doc)]
use super::Hello;
use crate::ids::{AppId, CommandId, Digest};
use crate::key::ResourceKey;
use crate::release::Root;
use crate::selection::SyncOptions;

/// State of an operator's command at the agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum CommandState {
    /// Durable at the agent; nothing done yet.
    #[n(0)]
    Accepted,
    /// Under way.
    #[n(1)]
    Running,
    /// Done.
    #[n(2)]
    Succeeded,
    /// Failed; the message says why.
    #[n(3)]
    Failed,
    /// Asked for a state that is no longer the newest (M8).
    #[n(4)]
    Superseded,
    /// A read that its session did not outlive.
    #[n(5)]
    Interrupted,
    /// Came after its deadline and was not started.
    #[n(6)]
    TooLate,
}

impl CommandState {
    /// Tells whether nothing follows.
    pub fn is_final(self) -> bool {
        !matches!(self, Self::Accepted | Self::Running)
    }
}

/// What an operator asks of an agent.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum CommandKind {
    /// Syncs an app to its newest assigned release.
    #[n(0)]
    Sync {
        /// Which app.
        #[n(0)]
        app: AppId,
        /// Exactly this release root, else `Superseded`; one not received yet waits.
        #[n(1)]
        expect: Option<Root>,
        /// Deletes what left the desired state.
        #[n(2)]
        prune: bool,
    },
    /// Frees exactly the deletes of a held plan (M22).
    #[n(1)]
    Confirm {
        /// Which app.
        #[n(0)]
        app: AppId,
        /// Digest of the held plan.
        #[n(1)]
        plan: Digest,
    },
    /// Looks at the app's objects again: a read.
    #[n(2)]
    Refresh {
        /// Which app.
        #[n(0)]
        app: AppId,
    },
    /// Lists every resource row of an app: a read.
    #[n(3)]
    Resources {
        /// Which app.
        #[n(0)]
        app: AppId,
    },
    /// Ends the sync of an app that runs (Argo CD: `terminate-op`).
    #[n(4)]
    Terminate {
        /// Which app.
        #[n(0)]
        app: AppId,
    },
    /// Compares an app's objects with its assigned release: a read.
    #[n(5)]
    Diff {
        /// Which app.
        #[n(0)]
        app: AppId,
    },
    /// Syncs an app to an older release of its history, without hooks.
    #[n(6)]
    Rollback {
        /// Which app.
        #[n(0)]
        app: AppId,
        /// Which row; absent: the one before the newest.
        #[n(1)]
        id: Option<u64>,
        /// Deletes what that release does not have and the newest does not desire.
        #[n(2)]
        prune: bool,
    },
    /// Lists the releases that an app was synced to: a read.
    #[n(7)]
    History {
        /// Which app.
        #[n(0)]
        app: AppId,
    },
    /// Says why an object is as it is: a read.
    #[n(8)]
    Why {
        /// Which app.
        #[n(0)]
        app: AppId,
        /// Which object.
        #[n(1)]
        key: ResourceKey,
    },
    /// Syncs an app as [`CommandKind::Sync`] does, but not quite as its document says. It is a command of its own, so that
    /// nobody who does not know it syncs more than was asked.
    #[n(9)]
    SyncWith {
        /// Which app.
        #[n(0)]
        app: AppId,
        /// Exactly this release root, else `Superseded`; one not received yet waits.
        #[n(1)]
        expect: Option<Root>,
        /// Deletes what left the desired state.
        #[n(2)]
        prune: bool,
        /// What is different.
        #[n(3)]
        options: SyncOptions,
    },
}

/// What an agent must be able to do for [`CommandKind::History`] and [`CommandKind::Rollback`], as named in its [`Hello`].
pub const HISTORY: &str = "history";

/// What an agent must be able to do for [`CommandKind::Why`].
pub const WHY: &str = "why";

/// What an agent must be able to do for [`CommandKind::SyncWith`], as named in its [`Hello`].
pub const SYNC_OPTIONS: &str = "sync-options";

/// What an agent must be able to do for [`CommandKind::SyncWith`] that says how it is tried again, beyond [`SYNC_OPTIONS`].
pub const SYNC_RETRY: &str = "sync-retry";

/// What an agent must be able to do for [`CommandKind::Diff`], as named in its [`Hello`].
pub const DIFF: &str = "diff";

impl CommandKind {
    /// Tells whether the command has no effect and so ends with its session.
    pub fn is_read(&self) -> bool {
        match self {
            Self::Refresh { .. }
            | Self::Resources { .. }
            | Self::Diff { .. }
            | Self::History { .. }
            | Self::Why { .. } => true,
            Self::Sync { .. }
            | Self::SyncWith { .. }
            | Self::Confirm { .. }
            | Self::Terminate { .. }
            | Self::Rollback { .. } => false,
        }
    }

    /// Gives what an agent must be able to do that is sent the command; absent: every agent knows it.
    pub fn needs(&self) -> Option<&'static str> {
        match self {
            Self::Diff { .. } => Some(DIFF),
            Self::Rollback { .. } | Self::History { .. } => Some(HISTORY),
            Self::Why { .. } => Some(WHY),
            Self::SyncWith { options: SyncOptions { retry: Some(_), .. }, .. } => Some(SYNC_RETRY),
            Self::SyncWith { .. } => Some(SYNC_OPTIONS),
            Self::Sync { .. }
            | Self::Confirm { .. }
            | Self::Refresh { .. }
            | Self::Resources { .. }
            | Self::Terminate { .. } => None,
        }
    }
}

/// A command on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// Its name; durable before any effect.
    pub id: CommandId,
    /// What is asked.
    pub kind: CommandKind,
    /// Milliseconds left in which it may start.
    pub deadline_ms: u64,
}

/// What became of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandUpdate {
    /// Which.
    pub id: CommandId,
    /// How it stands.
    pub state: CommandState,
    /// For people.
    pub message: String,
    /// CBOR of the answer of a read; empty otherwise.
    pub payload: Vec<u8>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Retry;
    use crate::session::frame::CAPABILITIES;

    #[test]
    fn a_sync_that_says_how_it_is_tried_again_is_kept_from_agents_that_would_not_hear_it() {
        let sync = |retry| {
            let options = SyncOptions { dry_run: true, retry, ..SyncOptions::default() };
            let app = AppId::new("argocd", "web");
            CommandKind::SyncWith { app, expect: None, prune: false, options }.needs()
        };
        assert_eq!(sync(None), Some(SYNC_OPTIONS));
        assert_eq!(sync(Some(Retry::default())), Some(SYNC_RETRY));
        for needs in [DIFF, HISTORY, WHY, SYNC_OPTIONS, SYNC_RETRY] {
            assert!(CAPABILITIES.contains(&needs), "{needs}");
        }
    }
}
