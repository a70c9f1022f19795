//! What to wait for.

use std::time::Duration;

use argosy_core::ids::AppId;
use argosy_core::selection::Selector;
use clap::Args;

use super::labels::LabelSelector;
use super::{Output, seconds};

/// What to wait for.
#[derive(Debug, Clone, Args)]
#[expect(clippy::struct_excessive_bools, reason = "independent flags")]
#[command(
    after_help = "Without --sync, --health, --suspended, --degraded and --operation it waits until the application is synced \
                  and healthy and no operation is under way. With some of them it waits for these alone, and for all of \
                  them, but for one of the healths that are named."
)]
pub(crate) struct WaitArguments {
    /// NAME, or NAMESPACE/NAME outside of argocd; several are waited for one after the other.
    #[arg(value_name = "APP", required_unless_present = "selector")]
    pub(crate) apps: Vec<AppId>,
    /// Instead of names: all whose documents have these labels when it begins: =, ==, !=, in, notin, there and not there.
    #[arg(short = 'l', long, value_name = "LABELS", conflicts_with = "apps")]
    pub(crate) selector: Option<LabelSelector>,
    /// Their cluster, while they are on two of them.
    #[arg(long, value_name = "NAME", default_value = "")]
    pub(crate) cluster: String,
    /// Waits until this commit is the one that it is compared with.
    #[arg(long, value_name = "SHA")]
    pub(crate) revision: Option<String>,
    /// Waits until it is synced.
    #[arg(long)]
    pub(crate) sync: bool,
    /// Waits until it is healthy.
    #[arg(long)]
    pub(crate) health: bool,
    /// Waits until it is suspended.
    #[arg(long)]
    pub(crate) suspended: bool,
    /// Waits until it is degraded.
    #[arg(long)]
    pub(crate) degraded: bool,
    /// Waits until no operation is under way.
    #[arg(long)]
    pub(crate) operation: bool,
    /// Waits until it is gone: the hub has read the fleet and knows no such application any more.
    #[arg(long, conflicts_with_all = [
        "revision", "sync", "health", "suspended", "degraded", "operation", "resources",
    ])]
    pub(crate) delete: bool,
    /// Looks at these objects only, `*` standing for any group, kind or name, and `!` leaving them out; may be given more
    /// than once. The agent is asked for them.
    #[arg(long = "resource", value_name = "[!]GROUP:KIND:[NAMESPACE/]NAME")]
    pub(crate) resources: Vec<Selector>,
    /// How long to wait for each; 0 is without end.
    #[arg(long, value_name = "SECONDS", default_value = "0", value_parser = seconds)]
    pub(crate) timeout: Duration,
    /// Form of the output.
    #[command(flatten)]
    pub(crate) output: Output,
}
