//! The command line of `argosy-agent`.

use std::path::PathBuf;

use argosy_core::ids::{AppId, Digest};
use argosy_runtime::args::{AdminArgs, LogArgs};
use clap::{Args, Parser, Subcommand, ValueEnum};

/// The agent of one Kubernetes cluster: stores what the hub desires, applies it, and keeps enforcing it alone.
#[derive(Debug, Parser)]
#[command(name = "argosy-agent", version, arg_required_else_help = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Runs the agent.
    Run(RunArgs),
    /// Shows deletes that are held at this agent, or confirms them, with no hub.
    Confirm(ConfirmArgs),
    /// Shows the releases that an application was synced to, with no hub.
    History(HistoryArgs),
    /// Goes back to an older release of an application, with no hub; hooks are not run. One that is synced automatically
    /// leaves its newest release: the older one is enforced until a newer commit comes, or a sync is asked for.
    Rollback(RollbackArgs),
    /// Stops all writes to the cluster, with no hub: nothing is applied, deleted or healed until `resume`. Drift is still
    /// seen and told. Holds over restarts; an agent that is not running starts paused.
    Pause(OrderArgs),
    /// Lets the agent write again after `pause`, with no hub.
    Resume(OrderArgs),
    /// Shows a running agent: its link, its head, its apps, what is held, and whether it is paused; with no hub.
    Status(StatusArgs),
    /// Takes a bundle of `argosy bundle export`: the desired state by file, for a cluster that has no link. The agent must be
    /// running; all of it is durable when the command returns. The same bundle twice is no harm; an older one, one that
    /// was changed, and one of another cluster or hub are refused, and change nothing.
    Import(ImportArgs),
    /// Writes receipts to the standard output: what the hub would be told over a link, sealed by this agent's own key, for
    /// `argosy bundle receipts`. The agent must be running.
    Receipts(ReceiptsArgs),
    /// Reads a local policy as `run --policy` does, and says what is in it, or what is wrong with it.
    CheckPolicy(CheckPolicyArgs),
    /// Leaves the hub: identity and store are moved aside, the cluster's objects stay. The agent must be stopped.
    Leave(LeaveArgs),
    /// Verifies a store: the running agent starts this after an unclean stop.
    #[command(hide = true)]
    VerifyStore {
        /// The store's file.
        path: PathBuf,
        /// Whose it is.
        owner: String,
    },
}

/// How to run.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Folder for identity and store; made if it is not there.
    #[arg(long, value_name = "DIR")]
    pub data_dir: PathBuf,
    /// Join string of `argosy cluster add`; ignored once enrolled.
    #[arg(long, value_name = "STRING", env = "ARGOSY_JOIN", hide_env_values = true)]
    pub join: Option<String>,
    /// Kubeconfig of the cluster; without it the pod's service account.
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Namespace of the agent's Lease; it must exist.
    #[arg(long, value_name = "NAME", default_value = "argosy", env = "ARGOSY_NAMESPACE")]
    pub namespace: String,
    /// Health rules of your own, which go before those of Argosy: an argocd-cm ConfigMap with `resource.customizations`, a
    /// folder where it is mounted, or one with GROUP/KIND/health.lua. Read at the start.
    #[arg(long, value_name = "FILE|DIR", env = "ARGOSY_HEALTH_RULES")]
    pub health_rules: Option<PathBuf>,
    /// What may be done to this cluster, whatever the hub says: which kinds, namespaces and deletes, and when. Read at the
    /// start; a file that is not there or cannot be read as a whole keeps the agent from starting. See docs/policy.md.
    #[arg(long, value_name = "FILE", env = "ARGOSY_POLICY")]
    pub policy: Option<PathBuf>,
    /// Logging.
    #[command(flatten)]
    pub log: LogArgs,
    /// The admin endpoint.
    #[command(flatten)]
    pub admin: AdminArgs,
}

/// What to confirm.
#[derive(Debug, Args)]
pub struct ConfirmArgs {
    /// The app, as NAME or NAMESPACE/NAME.
    pub app: AppId,
    /// The agent's data folder.
    #[arg(long, value_name = "DIR")]
    pub data_dir: PathBuf,
    /// Digest of the held plan; without it the plan is shown.
    #[arg(long, value_name = "DIGEST")]
    pub plan: Option<Digest>,
}

/// Whose history to show.
#[derive(Debug, Args)]
pub struct HistoryArgs {
    /// The app, as NAME or NAMESPACE/NAME.
    pub app: AppId,
    /// The agent's data folder.
    #[arg(long, value_name = "DIR")]
    pub data_dir: PathBuf,
}

/// What to go back to.
#[derive(Debug, Args)]
pub struct RollbackArgs {
    /// The app, as NAME or NAMESPACE/NAME.
    pub app: AppId,
    /// The row of its history [default: the one before the newest].
    pub id: Option<u64>,
    /// The agent's data folder.
    #[arg(long, value_name = "DIR")]
    pub data_dir: PathBuf,
}

/// Who pauses or resumes, and why.
#[derive(Debug, Args)]
pub struct OrderArgs {
    /// The agent's data folder.
    #[arg(long, value_name = "DIR")]
    pub data_dir: PathBuf,
    /// Why, for those who see it at the hub.
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub reason: String,
    /// Who orders it [default: the user's name]; the agent adds the user id that it sees.
    #[arg(long, value_name = "NAME")]
    pub by: Option<String>,
}

/// What to import.
#[derive(Debug, Args)]
pub struct ImportArgs {
    /// The bundle; - reads it from the standard input.
    pub file: PathBuf,
    /// The agent's data folder.
    #[arg(long, value_name = "DIR")]
    pub data_dir: PathBuf,
}

/// Of whom.
#[derive(Debug, Args)]
pub struct ReceiptsArgs {
    /// The agent's data folder.
    #[arg(long, value_name = "DIR")]
    pub data_dir: PathBuf,
}

/// What to show.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// The agent's data folder.
    #[arg(long, value_name = "DIR")]
    pub data_dir: PathBuf,
    /// Form of the output.
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    pub output: Format,
}

/// Forms of output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Table,
    /// For programs.
    Json,
}

/// What to check.
#[derive(Debug, Args)]
pub struct CheckPolicyArgs {
    /// The policy.
    pub file: PathBuf,
}

/// What to leave.
#[derive(Debug, Args)]
pub struct LeaveArgs {
    /// The agent's data folder.
    #[arg(long, value_name = "DIR")]
    pub data_dir: PathBuf,
}
