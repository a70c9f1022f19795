//! The demonstration: a small fleet on real Kubernetes control planes, from a commit to live objects and through the
//! failures that Argosy is made for.
//!
//! `make demo` runs it. `DEMO_KEEP=1` leaves everything running at the end until Ctrl-C. However it ends, its processes
//! and its folder go with it.

mod scene;
mod stage;
mod story;

use std::io::Write as _;
use std::process::ExitCode;

use stage::Stage;

/// Set to anything but nothing, this leaves the demonstration running at its end.
const KEEP: &str = "DEMO_KEEP";

fn main() -> ExitCode {
    let stage = Stage::of_terminal();
    let told = story::tell(&stage, std::env::var_os(KEEP).is_some_and(|keep| !keep.is_empty()));
    match told {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody is left to be told when standard error is closed.
            let _unheard = writeln!(std::io::stderr(), "demo: {error:#}");
            ExitCode::FAILURE
        }
    }
}
