//! `argosy-sim`: Kubernetes clusters in memory.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use argosy_core::time::Entropy as _;
use argosy_runtime::args::{LogArgs, parse_duration};
use argosy_runtime::entropy::SystemEntropy;
use argosy_runtime::supervisor::{StopCause, Supervisor};
use argosy_runtime::{files, shutdown, telemetry};
use argosy_sim::cluster::Config;
use argosy_sim::http::{ControlPlane, Identity, Login, Server, Settings, Temper, User};
use clap::{Args, Parser, Subcommand};

/// How long open requests may take when the process is asked to stop.
const DRAIN: Duration = Duration::from_secs(2);

/// Kubernetes clusters in memory, for tests and demonstrations.
#[derive(Debug, Parser)]
#[command(name = "argosy-sim", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serves clusters until it is stopped.
    Serve(Serve),
}

#[derive(Debug, Args)]
struct Serve {
    /// Where the kubeconfig of each cluster is written: `DIR/NAME.kubeconfig`.
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// Names of the clusters.
    #[arg(long, value_name = "NAME", value_delimiter = ',', required_unless_present = "count")]
    clusters: Vec<String>,
    /// How many clusters to serve, named `sim-0` and so on.
    #[arg(long, value_name = "N", conflicts_with = "clusters")]
    count: Option<usize>,
    /// Where to listen; each cluster takes a free port.
    #[arg(long, value_name = "ADDRESS", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    address: IpAddr,
    /// The port of the first cluster; the others take the ports that follow.
    #[arg(long, value_name = "PORT")]
    port: Option<u16>,
    /// Serves plain HTTP, without TLS.
    #[arg(long)]
    plain: bool,
    /// Another user, besides the administrator; `NAME=GROUP,GROUP`. Its kubeconfig is `DIR/CLUSTER.NAME.kubeconfig`.
    #[arg(long = "user", value_name = "NAME=GROUPS", value_parser = parse_user)]
    users: Vec<User>,
    /// The administrator's token; a random one if it is not given.
    #[arg(long, value_name = "TOKEN")]
    token: Option<String>,
    /// Where UIDs and failures come from.
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    seed: u64,
    /// How long a pod takes until it is ready.
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, default_value = "2s")]
    ready_after: Duration,
    /// How many changes each cluster remembers for watches; older ones are answered with 410.
    #[arg(long, value_name = "N", default_value_t = 1000)]
    history: usize,
    /// The longest time that a request waits; each waits a random part of it.
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, default_value = "0")]
    slow: Duration,
    /// How many of a hundred requests fail with 429, 500 or 503.
    #[arg(long, value_name = "PERCENT", default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=100))]
    fail: u8,
    #[command(flatten)]
    log: LogArgs,
}

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
    let identity = if args.plain { None } else { Some(Identity::generate(args.address)?) };
    let supervisor = Supervisor::new();
    for (number, name) in names.iter().enumerate() {
        let logins = logins(args);
        let port = match args.port {
            Some(first) => {
                let port = usize::from(first).checked_add(number).and_then(|port| u16::try_from(port).ok());
                port.context("there are not enough ports for all clusters")?
            }
            None => 0,
        };
        let seed = args.seed.wrapping_add(number as u64);
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
            logins: logins.clone(),
            temper: Temper { slow: args.slow, fail: args.fail, seed },
            control_plane: ControlPlane::Running,
        };
        let server = Server::start(settings, &supervisor).await?;
        write(&server, &logins, &args.dir)?;
    }
    show(&format!("ready: {} clusters, kubeconfigs in {}", names.len(), args.dir.display()));
    match shutdown::run(&supervisor, DRAIN).await?.cause {
        StopCause::Asked { .. } => Ok(()),
        StopCause::TaskFailed { task, error } => anyhow::bail!("{task}: {error}"),
    }
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

/// Gives the administrator and all others, each with a token.
fn logins(args: &Serve) -> Vec<Login> {
    let admin = User { name: "admin".to_owned(), groups: vec!["system:masters".to_owned()] };
    let mut logins = vec![Login { user: admin, token: args.token.clone().unwrap_or_else(token) }];
    logins.extend(args.users.iter().map(|user| Login { user: user.clone(), token: token() }));
    logins
}

fn token() -> String {
    data_encoding::HEXLOWER.encode(&SystemEntropy.bytes16())
}

/// Writes the kubeconfigs: the administrator's has the cluster's name alone.
fn write(server: &Server, logins: &[Login], dir: &Path) -> anyhow::Result<()> {
    for (number, login) in logins.iter().enumerate() {
        let file = if number == 0 {
            format!("{}.kubeconfig", server.name())
        } else {
            format!("{}.{}.kubeconfig", server.name(), login.user.name)
        };
        files::write(&dir.join(file), server.kubeconfig(login).as_bytes())?;
    }
    Ok(())
}

fn parse_user(text: &str) -> Result<User, String> {
    let (name, groups) = text.split_once('=').unwrap_or((text, ""));
    let sound = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '.');
    if name.is_empty() || name == "admin" || !name.chars().all(sound) {
        return Err(format!("{name:?} is no name of another user: letters, digits, -, _ and . are allowed"));
    }
    let groups = groups.split(',').filter(|group| !group.is_empty()).map(str::to_owned).collect();
    Ok(User { name: name.to_owned(), groups })
}

#[expect(clippy::print_stdout, reason = "the answer of a command")]
fn show(line: &str) {
    println!("{line}");
}

#[expect(clippy::print_stderr, reason = "the last word of a process, logging may not be up")]
fn tell(line: &str) {
    eprintln!("{line}");
}
