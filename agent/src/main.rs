//! `argosy-agent`: the edge daemon.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use argosy_agent::args::{Cli, Command, LeaveArgs, RunArgs};
use argosy_agent::identity::Folder;
use argosy_agent::{app, edge, policy, store};
use argosy_core::pause::PauseKind;
use argosy_runtime::store::OpenError;
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
        Command::Run(args) => in_runtime(run(args)),
        Command::Confirm(args) => in_runtime(async move { edge::confirm(&args, show).await }),
        Command::History(args) => in_runtime(async move { edge::history(&args, show).await }),
        Command::Rollback(args) => in_runtime(async move { edge::rollback(&args, show).await }),
        Command::Pause(args) => in_runtime(async move { edge::order(PauseKind::Pause, &args, show).await }),
        Command::Resume(args) => in_runtime(async move { edge::order(PauseKind::Resume, &args, show).await }),
        Command::Status(args) => in_runtime(async move {
            show(edge::status(&args).await?.trim_end());
            Ok(())
        }),
        Command::Import(args) => in_runtime(async move { edge::import(&args, show).await }),
        Command::Receipts(args) => in_runtime(async move { edge::receipts(&args).await }),
        Command::CheckPolicy(args) => policy::load(&args.file).map(|policy| {
            let summary = policy.summary();
            show(&format!("{} (digest {})", summary.text, summary.digest));
        }),
        Command::Leave(args) => leave(&args),
        Command::VerifyStore { path, owner } => {
            argosy_runtime::store::verify_and_tell(&path, &store::spec(&owner), &mut std::io::stdout())
                .context("the verdict cannot be told")
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tell(&format!("argosy-agent: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn in_runtime(work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?.block_on(work)
}

async fn run(args: RunArgs) -> anyhow::Result<()> {
    let log = telemetry::init(&args.log)?;
    let mut signals = shutdown::Signals::system()?;
    let bound = tokio::select! {
        started = app::start(&args, log) => started?,
        _signal = signals.next() => return Ok(()),
    };
    drop(signals);
    let ending = shutdown::run(&bound.supervisor, DRAIN).await?;
    match ending.cause {
        StopCause::Asked { .. } => Ok(()),
        StopCause::TaskFailed { task, error } => anyhow::bail!("{task}: {error}"),
    }
}

fn leave(args: &LeaveArgs) -> anyhow::Result<()> {
    let folder = Folder::at(&args.data_dir);
    let enrolled = folder.load()?;
    let enrolled =
        enrolled.with_context(|| format!("no agent is enrolled in {}", args.data_dir.display()))?;
    // The store's lock tells a running agent.
    let owner = enrolled.enrolment.cluster.to_string();
    if let Err(error @ OpenError::Busy { .. }) =
        argosy_runtime::store::verify(&folder.store(), &store::spec(&owner))
    {
        anyhow::bail!("{error}: stop the agent first");
    }
    let left = folder.leave()?;
    show(&format!(
        "left installation {}; identity and store are in {}; objects on the cluster stay as they are",
        enrolled.enrolment.installation,
        left.display()
    ));
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the answer of a command")]
fn show(line: &str) {
    println!("{line}");
}

#[expect(clippy::print_stderr, reason = "the last word of a process, logging may not be up")]
fn tell(line: &str) {
    eprintln!("{line}");
}
