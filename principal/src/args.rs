//! The command line of `argosy-principal`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use argosy_runtime::args::{AdminArgs, LogArgs, parse_duration};
use clap::{Args, Parser, Subcommand};

/// The hub of a fleet: turns Git into desired state and streams it to the agents of its clusters.
#[derive(Debug, Parser)]
#[command(name = "argosy-principal", version, arg_required_else_help = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Makes a new installation: its certificate authority, its keys and an operator's identity.
    Init(InitArgs),
    /// Runs the hub.
    Run(RunArgs),
    /// Verifies a store: the running hub starts this after an unclean stop.
    #[command(hide = true)]
    VerifyStore {
        /// The store's file.
        path: PathBuf,
        /// Whose it is.
        owner: String,
    },
}

/// What to make.
#[derive(Debug, Clone, Args)]
pub struct InitArgs {
    /// Folder for keys, state and mirrors; made if it is not there.
    #[arg(long, value_name = "DIR")]
    pub data_dir: PathBuf,
    /// Where agents and operators reach this hub; goes into join strings.
    #[arg(long, value_name = "HOST:PORT", required_unless_present = "operator_only")]
    pub address: Option<String>,
    /// Further names and addresses that the server's certificate is good for.
    #[arg(long = "host", value_name = "NAME_OR_IP", value_delimiter = ',')]
    pub hosts: Vec<String>,
    /// Name of the operator whose identity is made.
    #[arg(long, value_name = "NAME", default_value = "admin")]
    pub operator: String,
    /// Only makes a new operator's identity for the installation that is there.
    #[arg(long, conflicts_with_all = ["address", "hosts"])]
    pub operator_only: bool,
    /// Replaces an operator's configuration that is of another hub.
    #[arg(long)]
    pub overwrite_config: bool,
}

/// How to run.
#[derive(Debug, Clone, Args)]
pub struct RunArgs {
    /// Folder that `init` made.
    #[arg(long, value_name = "DIR")]
    pub data_dir: PathBuf,
    /// Where the fleet's documents are: a directory, or a Git repository (`https://` or `file://`).
    #[arg(long, value_name = "SOURCE")]
    pub fleet: String,
    /// Branch, tag or commit of the fleet's repository [default: HEAD].
    #[arg(long, value_name = "REVISION")]
    pub fleet_revision: Option<String>,
    /// Folder of the fleet's documents inside their source.
    #[arg(long, value_name = "PATH", default_value = ".")]
    pub fleet_path: String,
    /// How often repositories are looked at.
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = parse_interval)]
    pub poll_interval: Duration,
    /// Where agents and operators are listened to; port 0 takes a free one.
    #[arg(id = "link-listen", long = "listen", value_name = "HOST:PORT", default_value = "0.0.0.0:8443")]
    pub listen: SocketAddr,
    /// Logging.
    #[command(flatten)]
    pub log: LogArgs,
    /// The admin endpoint.
    #[command(flatten)]
    pub admin: AdminArgs,
}

/// Reads a poll interval: at least 100 ms, at most a day.
fn parse_interval(text: &str) -> Result<Duration, String> {
    let interval = parse_duration(text).map_err(|error| error.to_string())?;
    if (Duration::from_millis(100)..=Duration::from_hours(24)).contains(&interval) {
        Ok(interval)
    } else {
        Err(format!("{text:?} is not between 100ms and 1d"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Result<Cli, String> {
        Cli::try_parse_from([&["argosy-principal"], arguments].concat()).map_err(|error| error.to_string())
    }

    #[test]
    fn the_poll_interval_has_bounds() {
        let run = |interval| parse(&["run", "--data-dir", "d", "--fleet", "f", "--poll-interval", interval]);
        assert!(run("100ms").is_ok());
        assert!(run("99ms").unwrap_err().contains("not between 100ms and 1d"));
        assert!(run("2d").is_err() && run("30").is_err());
    }

    #[test]
    fn an_installation_needs_an_address() {
        assert!(parse(&["init", "--data-dir", "d"]).unwrap_err().contains("--address"));
        assert!(parse(&["init", "--data-dir", "d", "--operator-only"]).is_ok());
        let cli = parse(&["init", "--data-dir", "d", "--address", "h:1", "--host", "a,10.0.0.1"]).unwrap();
        let Command::Init(args) = cli.command else { panic!("not init") };
        assert_eq!(args.hosts, ["a", "10.0.0.1"]);
    }
}
