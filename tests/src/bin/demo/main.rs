//! The demonstration: a small fleet, from a commit to live objects and through the failures that Argosy is made for.
//!
//! `make demo` runs it on clusters of `argosy-sim`, with `DEMO_CONTROL_PLANE=real` on Kubernetes' own servers.
//! `DEMO_KEEP=1` leaves everything running at the end until Ctrl-C. However it ends, its processes and its folder go
//! with it.

mod scene;
mod stage;
mod story;

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Context as _;
use argosy_tests::Kubernetes;
use stage::Stage;

/// Says what the clusters are: `sim`, which is meant if nothing is said, or `real`.
const CONTROL_PLANE: &str = "DEMO_CONTROL_PLANE";
/// Set to anything but nothing or `0`, this leaves the demonstration running at its end.
const KEEP: &str = "DEMO_KEEP";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody is left to be told when standard error is closed.
            let _unheard = writeln!(std::io::stderr(), "demo: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> anyhow::Result<()> {
    let word = std::env::var_os(CONTROL_PLANE).unwrap_or_default();
    let kubernetes = Kubernetes::of_word(&word.to_string_lossy()).context(CONTROL_PLANE)?;
    let keep = std::env::var_os(KEEP).is_some_and(|keep| !keep.is_empty() && keep != "0");
    story::tell(&Stage::of_terminal(), kubernetes.unwrap_or(Kubernetes::Sim), keep)
}
