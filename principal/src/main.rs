//! `argosy-principal`: the hub daemon.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use argosy_principal::args::{Cli, Command, RunArgs};
use argosy_principal::{app, init, store};
use argosy_runtime::supervisor::StopCause;
use argosy_runtime::{shutdown, telemetry};
use clap::Parser as _;

/// How long open work may take when the process is asked to stop.
const DRAIN: Duration = Duration::from_secs(10);

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let usage = error.use_stderr();
            return if error.print().is_err() || usage { ExitCode::from(64) } else { ExitCode::SUCCESS };
        }
    };
    let done = match cli.command {
        Command::Init(args) => init::init(&args).map(|done| show(&done.to_string())),
        Command::Run(args) => in_runtime(run(args)),
        Command::VerifyStore { path, owner } => {
            argosy_runtime::store::verify_and_tell(&path, &store::spec(&owner), &mut std::io::stdout())
                .context("the verdict cannot be told")
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tell(&format!("argosy-principal: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn in_runtime(work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(work)
}

async fn run(args: RunArgs) -> anyhow::Result<()> {
    let bound = app::start(&args, telemetry::init(&args.log)?).await?;
    match shutdown::run(&bound.supervisor, DRAIN).await?.cause {
        StopCause::Asked { .. } => Ok(()),
        StopCause::TaskFailed { task, error } => anyhow::bail!("{task}: {error}"),
    }
}

#[expect(clippy::print_stdout, reason = "the answer of a command")]
fn show(text: &str) {
    println!("{text}");
}

#[expect(clippy::print_stderr, reason = "the last word of a process, logging may not be up")]
fn tell(line: &str) {
    eprintln!("{line}");
}
