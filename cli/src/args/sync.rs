//! How to sync an application.

use std::convert::Infallible;
use std::time::Duration;

use argosy_core::ids::Digest;
use argosy_core::policy::Retry;
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
    /// Tries a sync that fails again, so many times; below 0: without end, 0: as the document says. A rehearsal is not tried
    /// again.
    #[arg(long, value_name = "TIMES", default_value_t = 0, allow_negative_numbers = true)]
    retry_limit: i64,
    /// How long it waits before it is tried again the first time (5s unless given).
    #[arg(long, value_name = "DURATION", value_parser = delay)]
    retry_backoff_duration: Option<u64>,
    /// What each further wait is multiplied by (2 unless given).
    #[arg(long, value_name = "FACTOR", value_parser = factor)]
    retry_backoff_factor: Option<u32>,
    /// How long it waits at most (3m unless given).
    #[arg(long, value_name = "DURATION", value_parser = delay)]
    retry_backoff_max_duration: Option<u64>,
    /// Tries again with the newest release instead of the one that failed, as an application that syncs by itself does anyway.
    #[arg(long, conflicts_with_all = ["expect", "revision", "preview_changes"])]
    retry_refresh: bool,
    /// Syncs this commit, or what the document's targetRevision names, as the hub has it; no other.
    #[arg(long, value_name = "REVISION", conflicts_with = "expect")]
    pub(crate) revision: Option<String>,
    /// Shows first what would change, and asks; what was shown is synced, or nothing.
    #[arg(long)]
    pub(crate) preview_changes: bool,
    /// Takes yes for the answer to what --preview-changes asks.
    #[arg(long = "assumeYes", alias = "assume-yes", requires = "preview_changes")]
    pub(crate) assume_yes: bool,
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
    /// Gives what the sync does otherwise than the document says, or why that makes no sense.
    pub(crate) fn options(&self) -> Result<SyncOptions, String> {
        Ok(SyncOptions {
            resources: self.resources.clone(),
            dry_run: self.dry_run,
            replace: self.replace,
            force: self.force,
            without_hooks: match self.strategy {
                Strategy::Apply => true,
                Strategy::Hook => false,
            },
            retry: self.retry()?,
        })
    }

    /// Gives how it is tried again; absent: as the document says (Argo CD: no limit is no wish).
    fn retry(&self) -> Result<Option<Retry>, String> {
        let Self { retry_limit: limit, retry_refresh: refresh, .. } = *self;
        let backoff = [
            ("--retry-backoff-duration", self.retry_backoff_duration.is_some()),
            ("--retry-backoff-factor", self.retry_backoff_factor.is_some()),
            ("--retry-backoff-max-duration", self.retry_backoff_max_duration.is_some()),
            ("--retry-refresh", refresh),
        ];
        if limit == 0 {
            return match backoff.iter().find(|(_, given)| *given) {
                Some((flag, _)) => Err(format!(
                    "{flag} says nothing without --retry-limit: how often is it to be tried again?"
                )),
                None => Ok(None),
            };
        }
        let default = Retry::default();
        Ok(Some(Retry {
            limit,
            delay_ms: self.retry_backoff_duration.unwrap_or(default.delay_ms),
            factor: self.retry_backoff_factor.unwrap_or(default.factor),
            max_delay_ms: self.retry_backoff_max_duration.unwrap_or(default.max_delay_ms),
            refresh,
        }))
    }
}

fn delay(text: &str) -> Result<u64, &'static str> {
    Retry::read_delay(text).ok_or("expected a duration of at most a day, like 5s or 1m30s")
}

fn factor(text: &str) -> Result<u32, String> {
    let factor = text.parse().ok().and_then(Retry::read_factor);
    factor.ok_or_else(|| format!("expected a number between 1 and {}", Retry::MOST))
}

fn no_local(_folder: &str) -> Result<Infallible, &'static str> {
    Err("is not supported: what is synced comes from Git; argosy plan shows what files would change")
}
