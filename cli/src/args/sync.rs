//! How to sync an application.

use std::convert::Infallible;
use std::time::Duration;

use argosy_core::ids::Digest;
use argosy_core::selection::{Selector, SyncOptions};
use clap::{Args, ValueEnum};

use super::{AppArguments, Output, seconds};

/// How to sync.
#[derive(Debug, Clone, Args)]
#[expect(clippy::struct_excessive_bools, reason = "independent flags")]
pub(crate) struct SyncArguments {
    /// Which.
    #[command(flatten)]
    pub(crate) app: AppArguments,
    /// Deletes what left the desired state.
    #[arg(long)]
    pub(crate) prune: bool,
    /// Syncs exactly this release, or none.
    #[arg(long, value_name = "ROOT")]
    pub(crate) expect: Option<Digest>,
    /// Syncs these objects only, `*` standing for any group, kind or name, and `!` leaving them out; may be given more than
    /// once. No hooks are run, and the history gets no row.
    #[arg(long = "resource", value_name = "[!]GROUP:KIND:[NAMESPACE/]NAME")]
    pub(crate) resources: Vec<Selector>,
    /// Writes nothing: the API server is asked about everything that would be applied.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Puts every object in the place of what is there, what is in sync as well: fields of others are lost.
    #[arg(long)]
    pub(crate) replace: bool,
    /// Deletes and makes anew what cannot be changed; never a Namespace, a claim or a definition, nor what must not be
    /// deleted unasked.
    #[arg(long)]
    pub(crate) force: bool,
    /// Whether hooks are run.
    #[arg(long, value_enum, default_value_t = Strategy::Hook)]
    pub(crate) strategy: Strategy,
    /// As it is done anyway.
    #[arg(long, hide = true)]
    pub(crate) apply_out_of_sync_only: bool,
    /// As it is done anyway.
    #[arg(long, hide = true)]
    pub(crate) server_side: bool,
    /// Refused: the document says what is synced.
    #[arg(long, hide = true, value_parser = no_revision)]
    pub(crate) revision: Option<Infallible>,
    /// Refused: what is synced comes from Git.
    #[arg(long, hide = true, value_parser = no_local)]
    pub(crate) local: Option<Infallible>,
    /// How long it may take.
    #[arg(long, value_name = "SECONDS", default_value = "300", value_parser = seconds)]
    pub(crate) timeout: Duration,
    /// Returns as soon as the agent has the command.
    #[arg(long = "async")]
    pub(crate) detach: bool,
    /// Form of the output.
    #[command(flatten)]
    pub(crate) output: Output,
}

/// Whether a sync runs hooks (Argo CD's words).
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Strategy {
    /// None.
    Apply,
    /// All that there are.
    Hook,
}

// === impl SyncArguments ===

impl SyncArguments {
    /// Gives what the sync does otherwise than the document says.
    pub(crate) fn options(&self) -> SyncOptions {
        SyncOptions {
            resources: self.resources.clone(),
            dry_run: self.dry_run,
            replace: self.replace,
            force: self.force,
            without_hooks: match self.strategy {
                Strategy::Apply => true,
                Strategy::Hook => false,
            },
        }
    }
}

fn no_revision(_revision: &str) -> Result<Infallible, &'static str> {
    Err(
        "is not supported: set spec.source.targetRevision in the document, or name a release that the hub has with --expect",
    )
}

fn no_local(_folder: &str) -> Result<Infallible, &'static str> {
    Err("is not supported: what is synced comes from Git; argosy plan shows what files would change")
}
