//! What to do with applications.

use std::path::PathBuf;
use std::time::Duration;

use argosy_core::ids::{AppId, Digest};
use clap::{Args, Subcommand, ValueEnum};

use super::list::ListArguments;
use super::sync::SyncArguments;
use super::wait::WaitArguments;
use super::{ManifestFormat, Output, PreviewFormat, seconds};

/// What to do with applications.
#[derive(Debug, Subcommand)]
pub(crate) enum AppCommand {
    /// Shows every application.
    List(ListArguments),
    /// Shows one application with its resources.
    Get {
        /// Which.
        #[command(flatten)]
        app: AppArguments,
        /// Goes on showing changes.
        #[arg(short, long)]
        watch: bool,
        /// Has the agent look at each of its objects at the API server again first, and shows what it tells of that within
        /// two seconds. The hub reads Git by itself.
        #[arg(long)]
        refresh: bool,
        /// Shows all of its objects as a tree; the agent is asked for them.
        #[arg(long)]
        tree: bool,
        /// Form of the output.
        #[command(flatten)]
        output: Output,
    },
    /// Shows what the hub rendered for an application; values of Secrets are hidden.
    Manifests {
        /// Which.
        #[command(flatten)]
        app: AppArguments,
        /// Form of the output.
        #[arg(short = 'o', long = "output", value_enum, default_value_t = ManifestFormat::Yaml)]
        format: ManifestFormat,
    },
    /// Pauses an application: until it is resumed it is neither synced nor healed by itself. What differs is seen and told as
    /// ever, a sync that runs goes on to its end, and `app sync` syncs all the same.
    Pause {
        /// Which.
        #[command(flatten)]
        app: AppArguments,
    },
    /// Lets a paused application go on as its document says.
    Resume {
        /// Which.
        #[command(flatten)]
        app: AppArguments,
    },
    /// Orders the deletion of an application whose document has left the fleet, and says of any other how it leaves.
    Delete {
        /// Which.
        #[command(flatten)]
        app: AppArguments,
        /// Confirms the deletes that are held, but those of Namespaces and volume claims.
        #[arg(long)]
        cascade: bool,
        /// Form of the output.
        #[command(flatten)]
        output: Output,
    },
    /// Syncs an application to the newest release that its cluster has, and waits for the end.
    Sync(SyncArguments),
    /// Waits until applications are synced and healthy, or are as the flags say.
    Wait(WaitArguments),
    /// Asks the agent for every resource of an application.
    Resources {
        /// Which.
        #[command(flatten)]
        app: AppArguments,
        /// Goes on showing changes.
        #[arg(short, long)]
        watch: bool,
        /// Form of the output.
        #[command(flatten)]
        output: Output,
    },
    /// Ends the sync of an application that runs: nothing more is written, its running hooks are deleted, and it is not
    /// tried again by itself.
    TerminateOp {
        /// Which.
        #[command(flatten)]
        app: AppArguments,
    },
    /// Shows the releases that an application was synced to; its agent keeps them.
    History {
        /// Which.
        #[command(flatten)]
        app: AppArguments,
        /// Form of the output.
        #[arg(short, long, value_enum, default_value_t = HistoryFormat::Table)]
        output: HistoryFormat,
    },
    /// Syncs an application to an older release of its history, and waits for the end. Hooks are not run. One that is
    /// synced automatically is refused.
    Rollback {
        /// Which.
        #[command(flatten)]
        app: AppArguments,
        /// The row of the history [default: the one before the newest].
        #[arg(value_name = "ID")]
        id: Option<u64>,
        /// Deletes what that release does not have; what the newest release has stays.
        #[arg(long)]
        prune: bool,
        /// How long it may take.
        #[arg(long, value_name = "SECONDS", default_value = "300", value_parser = seconds)]
        timeout: Duration,
        /// Returns as soon as the agent has the command.
        #[arg(long = "async")]
        detach: bool,
        /// Form of the output.
        #[command(flatten)]
        output: Output,
    },
    /// Says what a change that is not merged yet would do: to which apps on which clusters, to which objects and fields, and
    /// what would be held until it is confirmed. Manifests are compared as Git states them, before and after. Exits with 0
    /// when nothing would change, 1 when something would.
    Preview(PreviewArguments),
    /// Asks the agent what a sync would change: how the live objects differ from the release. Values of Secrets are masked
    /// there. Exits with 0 when nothing differs, 1 when something does, 20 when it could not be told.
    Diff {
        /// Which.
        #[command(flatten)]
        app: AppArguments,
        /// Whether a difference is told by the exit code.
        #[arg(
            long,
            value_name = "BOOL",
            default_value_t = true,
            default_missing_value = "true",
            num_args = 0..=1,
            require_equals = true,
            action = clap::ArgAction::Set
        )]
        exit_code: bool,
        /// The exit code that tells a difference.
        #[arg(long, value_name = "CODE", default_value_t = 1)]
        diff_exit_code: u8,
        /// How long it may take.
        #[arg(long, value_name = "SECONDS", default_value = "120", value_parser = seconds)]
        timeout: Duration,
        /// Form of the output.
        #[command(flatten)]
        output: Output,
    },
    /// Shows the deletes that are held, and lets them go when their plan is named.
    Confirm {
        /// Which.
        #[command(flatten)]
        app: AppArguments,
        /// Digest of the plan, as shown without this flag.
        #[arg(long, value_name = "DIGEST")]
        plan: Option<Digest>,
        /// Form of the output.
        #[command(flatten)]
        output: Output,
    },
}

/// Forms of a history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum HistoryFormat {
    /// For people.
    Table,
    /// One id a line.
    Id,
    /// For programs.
    Json,
    /// For both.
    Yaml,
}

/// What is to be looked at before it is merged.
#[derive(Debug, Args)]
pub(crate) struct PreviewArguments {
    /// Only these: NAME, or NAMESPACE/NAME outside of argocd.
    #[arg(value_name = "APP")]
    pub(crate) apps: Vec<AppId>,
    /// The folder of the fleet's documents, changed: what the hub would read in its stead.
    #[arg(long, value_name = "DIR", conflicts_with = "fleet_revision")]
    pub(crate) fleet: Option<PathBuf>,
    /// The revision of the fleet's repository: a branch, a tag or a commit that the repository has.
    #[arg(long, value_name = "REVISION")]
    pub(crate) fleet_revision: Option<String>,
    /// A repository of apps, by its URL, at another revision.
    #[arg(long, value_name = "REPO=REVISION", value_parser = at_revision)]
    pub(crate) revision: Vec<(String, String)>,
    /// Whether a change is told by the exit code.
    #[arg(
        long,
        value_name = "BOOL",
        default_value_t = true,
        default_missing_value = "true",
        num_args = 0..=1,
        require_equals = true,
        action = clap::ArgAction::Set
    )]
    pub(crate) exit_code: bool,
    /// Form of the output.
    #[arg(short, long, value_enum, default_value_t = PreviewFormat::Text)]
    pub(crate) output: PreviewFormat,
}

/// Reads `REPO=REVISION`; a URL may have an equals sign, a revision has none.
fn at_revision(text: &str) -> Result<(String, String), String> {
    let parts = text.rsplit_once('=').filter(|(repo, revision)| !repo.is_empty() && !revision.is_empty());
    let (repo, revision) = parts.ok_or("expected REPO=REVISION, e.g. https://git.example/apps=my-branch")?;
    Ok((repo.to_owned(), revision.to_owned()))
}

/// Names an application.
#[derive(Debug, Clone, Args)]
pub(crate) struct AppArguments {
    /// NAME, or NAMESPACE/NAME outside of argocd.
    #[arg(value_name = "APP")]
    pub(crate) app: AppId,
    /// Its cluster, while it is on two of them.
    #[arg(long, value_name = "NAME", default_value = "")]
    pub(crate) cluster: String,
}
