//! Holds `argosy-sim` to a real API server: starts one without controllers and plays the scripts of its differential tests
//! on both.

use std::io::Write as _;
use std::process::{Command, ExitCode};

use anyhow::Context as _;
use argosy_tests::{ControlPlane, Kubernetes};
use clap::Parser;

/// Plays scripts of requests on argosy-sim and on a real API server, and compares every answer.
#[derive(Parser)]
struct Arguments {
    /// How many scripts are played, shared out among the areas.
    #[arg(long, default_value_t = 10_000)]
    scripts: u32,
    /// Where the scripts begin; another number gives others.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Tells all differences as they are found, and not only the first one in its shortest form.
    #[arg(long)]
    all: bool,
    /// Builds what plays as all tests are built, so that nothing is built again where they are.
    #[arg(long)]
    workspace: bool,
    /// Parts of the names of the areas that are played; all of them if nothing is said.
    areas: Vec<String>,
}

fn main() -> ExitCode {
    let outcome = play(&Arguments::parse());
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            // Nobody is left to be told when standard error is closed.
            let _unheard = writeln!(std::io::stderr(), "differential: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Plays the scripts, and tells whether all were answered alike.
fn play(arguments: &Arguments) -> anyhow::Result<bool> {
    let plane = ControlPlane::builder()
        .kubernetes(Kubernetes::Real)
        .name("differential")
        .without_controllers()
        .start()?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command
        .arg("test")
        .args(if arguments.workspace { ["--workspace"].as_slice() } else { &["--package", "argosy-sim"] })
        // Areas have nothing to do with each other, and wait for answers most of the time.
        .args(["--test", "differential", "--", "--ignored", "--test-threads", "4", "--nocapture"])
        .args(&arguments.areas)
        .env("ARGOSY_REAL_URL", plane.url())
        .env("ARGOSY_REAL_TOKEN", plane.token()?)
        .env("ARGOSY_SCRIPTS", arguments.scripts.to_string())
        .env("ARGOSY_SEED", arguments.seed.to_string());
    if arguments.all {
        command.env("ARGOSY_ALL", "1");
    }
    let status = command.status().context("cannot run cargo")?;
    Ok(status.success())
}
