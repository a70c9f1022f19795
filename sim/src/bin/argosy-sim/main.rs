//! `argosy-sim`: Kubernetes clusters in memory.

mod args;
mod logins;

use std::convert::Infallible;
use std::fs::File;
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use argosy_runtime::supervisor::{StopCause, Supervisor};
use argosy_runtime::{shutdown, telemetry};
use argosy_sim::cluster::Config;
use argosy_sim::http::{Audit, ControlPlane, Identity, Login, Server, Settings, Temper};
use clap::Parser as _;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::args::{Cli, Command, Serve};

/// An apply is some hundred small allocations.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How long open requests may take when the process is asked to stop.
const DRAIN: Duration = Duration::from_secs(2);

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let usage = error.use_stderr();
            return if error.print().is_err() || usage { ExitCode::from(64) } else { ExitCode::SUCCESS };
        }
    };
    let Command::Serve(serve) = cli.command;
    match run(&serve) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tell(&format!("argosy-sim: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Serve) -> anyhow::Result<()> {
    telemetry::init(&args.log)?;
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?.block_on(serve(args))
}

async fn serve(args: &Serve) -> anyhow::Result<()> {
    let names = names(args)?;
    std::fs::create_dir_all(&args.dir).with_context(|| format!("cannot make {}", args.dir.display()))?;
    let identity = identity(args)?;
    let shown = logins::with_kubeconfig(args);
    let more = args.token_auth_file.as_deref().map(logins::from_file).transpose()?.unwrap_or_default();
    let supervisor = Supervisor::new();
    // Before anybody can connect: such a signal ends a process that does not listen to it.
    let (away, back) = (signal(SignalKind::user_defined1())?, signal(SignalKind::user_defined2())?);
    let mut servers = Vec::new();
    for (number, name) in names.iter().enumerate() {
        let port = match args.port {
            Some(first) => {
                let port = usize::from(first).checked_add(number).and_then(|port| u16::try_from(port).ok());
                port.context("there are not enough ports for all clusters")?
            }
            None => 0,
        };
        let seed = args.seed.wrapping_add(number as u64);
        let audit =
            args.audit.then(|| open_audit(&args.dir.join(format!("{name}.audit.log")))).transpose()?;
        let settings = Settings {
            name: name.clone(),
            cluster: Config {
                seed,
                history: args.history,
                ready_after: args.ready_after,
                ..Config::default()
            },
            listen: SocketAddr::new(args.address, port),
            identity: identity.clone(),
            logins: shown.iter().chain(&more).cloned().collect(),
            temper: Temper { slow: args.slow, fail: args.fail, seed },
            interference: args.mutations.iter().chain(&args.denials).cloned().collect(),
            audit,
            control_plane: ControlPlane::Running,
        };
        let server = Server::start(settings, &supervisor).await?;
        write(&server, &shown, &args.dir)?;
        servers.push(server);
    }
    let stopping = supervisor.stopping();
    supervisor.spawn("absence", async move {
        stopping.run_until_cancelled(absence(servers, away, back)).await.unwrap_or(Ok(()))
    });
    show(&format!("ready: {} clusters, kubeconfigs in {}", names.len(), args.dir.display()));
    match shutdown::run(&supervisor, DRAIN).await?.cause {
        StopCause::Asked { .. } => Ok(()),
        StopCause::TaskFailed { task, error } => anyhow::bail!("{task}: {error}"),
    }
}

/// Takes the API servers away and brings them back, as signals ask for.
async fn absence(servers: Vec<Server>, mut away: Signal, mut back: Signal) -> Result<(), Infallible> {
    loop {
        tokio::select! {
            Some(()) = away.recv() => servers.iter().for_each(Server::go_away),
            Some(()) = back.recv() => servers.iter().for_each(Server::come_back),
            else => return Ok(()),
        }
    }
}

/// Gives what the servers show to clients; nothing if they speak plainly.
fn identity(args: &Serve) -> anyhow::Result<Option<Identity>> {
    let tls = &args.tls;
    if args.plain {
        return Ok(None);
    }
    let (Some(certificate), Some(key), Some(authority)) = (&tls.certificate, &tls.key, &tls.authority) else {
        return Ok(Some(Identity::generate(args.address)?));
    };
    let read = |path: &Path| std::fs::read(path).with_context(|| format!("cannot read {}", path.display()));
    let authority = String::from_utf8(read(authority)?).context("the authority's certificate is no text")?;
    Ok(Some(Identity::from_pem(&authority, &read(certificate)?, &read(key)?)?))
}

fn open_audit(path: &Path) -> anyhow::Result<Audit> {
    Audit::open(path).with_context(|| format!("cannot open {}", path.display()))
}

/// Gives the names of the clusters: each may be part of a file's name, and is there once.
fn names(args: &Serve) -> anyhow::Result<Vec<String>> {
    let names: Vec<String> = match args.count {
        Some(count) => (0..count).map(|number| format!("sim-{number}")).collect(),
        None => args.clusters.clone(),
    };
    let mut seen = std::collections::BTreeSet::new();
    for name in &names {
        let sound = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_');
        anyhow::ensure!(
            !name.is_empty() && name.chars().all(sound),
            "{name:?} is no name of a cluster: letters, digits, - and _ are allowed"
        );
        anyhow::ensure!(seen.insert(name), "the cluster {name} is named twice");
    }
    anyhow::ensure!(!names.is_empty(), "there is no cluster to serve");
    Ok(names)
}

/// Writes the kubeconfigs: the administrator's has the cluster's name alone.
fn write(server: &Server, logins: &[Login], dir: &Path) -> anyhow::Result<()> {
    for (number, login) in logins.iter().enumerate() {
        let file = if number == 0 {
            format!("{}.kubeconfig", server.name())
        } else {
            format!("{}.{}.kubeconfig", server.name(), login.user.name)
        };
        let file = dir.join(file);
        keep(&file, &server.kubeconfig(login)).with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(())
}

/// Writes a file that only its owner reads. It is gone after a power cut, and so is the cluster: nothing waits for the
/// disk, which takes longer than a thousand clusters do.
fn keep(path: &Path, text: &str) -> std::io::Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;

    let mut file = File::options().create(true).write(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())
}

#[expect(clippy::print_stdout, reason = "the answer of a command")]
fn show(line: &str) {
    println!("{line}");
}

#[expect(clippy::print_stderr, reason = "the last word of a process, logging may not be up")]
fn tell(line: &str) {
    eprintln!("{line}");
}
