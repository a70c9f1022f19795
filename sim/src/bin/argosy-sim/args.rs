//! The command line.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::Duration;

use argosy_runtime::args::{LogArgs, parse_duration};
use argosy_sim::cluster::{Effect, Interference};
use argosy_sim::http::User;
use clap::{Args, Parser, Subcommand};

/// Kubernetes clusters in memory, for tests and demonstrations.
#[derive(Debug, Parser)]
#[command(name = "argosy-sim", version)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serves clusters until it is stopped.
    ///
    /// SIGUSR1 takes all API servers away, as if their machines lost power: nobody can connect, and all connections
    /// break. SIGUSR2 brings them back with what they held.
    Serve(Serve),
}

#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// Where the kubeconfig of each cluster is written: `DIR/NAME.kubeconfig`.
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: PathBuf,
    /// Names of the clusters.
    #[arg(long, value_name = "NAME", value_delimiter = ',', required_unless_present = "count")]
    pub(crate) clusters: Vec<String>,
    /// How many clusters to serve, named `sim-0` and so on.
    #[arg(long, value_name = "N", conflicts_with = "clusters")]
    pub(crate) count: Option<usize>,
    /// Where to listen; each cluster takes a free port.
    #[arg(long, value_name = "ADDRESS", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    pub(crate) address: IpAddr,
    /// The port of the first cluster; the others take the ports that follow.
    #[arg(long, value_name = "PORT")]
    pub(crate) port: Option<u16>,
    /// Serves plain HTTP, without TLS.
    #[arg(long)]
    pub(crate) plain: bool,
    #[command(flatten)]
    pub(crate) tls: Tls,
    /// Another user, besides the administrator; `NAME=GROUP,GROUP`. Its kubeconfig is `DIR/CLUSTER.NAME.kubeconfig`.
    #[arg(long = "user", value_name = "NAME=GROUPS", value_parser = parse_user)]
    pub(crate) users: Vec<User>,
    /// The administrator's token; a random one if it is not given.
    #[arg(long, value_name = "TOKEN")]
    pub(crate) token: Option<String>,
    /// More users, who get no kubeconfig: lines of `TOKEN,NAME,UID,"GROUP,..."`, as kube-apiserver reads them.
    #[arg(long, value_name = "FILE")]
    pub(crate) token_auth_file: Option<PathBuf>,
    /// Writes every request down, a line of JSON each, in `DIR/NAME.audit.log`.
    #[arg(long)]
    pub(crate) audit: bool,
    /// Where UIDs and failures come from.
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    pub(crate) seed: u64,
    /// How long a pod takes until it is ready.
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, default_value = "2s")]
    pub(crate) ready_after: Duration,
    /// How many changes each cluster remembers for watches; older ones are answered with 410.
    #[arg(long, value_name = "N", default_value_t = 1000)]
    pub(crate) history: usize,
    /// The longest time that a request waits; each waits a random part of it.
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, default_value = "0")]
    pub(crate) slow: Duration,
    /// How many of a hundred requests fail with 429, 500 or 503.
    #[arg(long, value_name = "PERCENT", default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=100))]
    pub(crate) fail: u8,
    /// Merges a JSON document into every write of a resource, or of its objects of one name, as a webhook of admission
    /// would; `configmaps={"data":{"a":"b"}}`.
    #[arg(long = "mutate", value_name = "RESOURCE[/NAME]=JSON", value_parser = parse_mutation)]
    pub(crate) mutations: Vec<Interference>,
    /// Refuses every write of a resource, or of its objects of one name, as a webhook of admission would;
    /// `deployments.apps/web=not today`.
    #[arg(long = "deny", value_name = "RESOURCE[/NAME]=WORDS", value_parser = parse_denial)]
    pub(crate) denials: Vec<Interference>,
    #[command(flatten)]
    pub(crate) log: LogArgs,
}

/// A certificate from elsewhere; without it the process makes one.
#[derive(Debug, Args)]
pub(crate) struct Tls {
    /// The servers' certificate and those above it, as PEM.
    #[arg(
        id = "tls-cert-file",
        long,
        value_name = "FILE",
        requires_all = ["tls-private-key-file", "tls-authority-file"],
        conflicts_with = "plain"
    )]
    pub(crate) certificate: Option<PathBuf>,
    /// The servers' key, as PEM.
    #[arg(id = "tls-private-key-file", long, value_name = "FILE", requires = "tls-cert-file")]
    pub(crate) key: Option<PathBuf>,
    /// The certificate of the authority that the kubeconfigs trust, as PEM.
    #[arg(id = "tls-authority-file", long, value_name = "FILE", requires = "tls-cert-file")]
    pub(crate) authority: Option<PathBuf>,
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

fn parse_mutation(text: &str) -> Result<Interference, String> {
    let (resource, name, merge) = split(text)?;
    let merge: serde_json::Value = serde_json::from_str(merge).map_err(|error| error.to_string())?;
    if !merge.is_object() {
        return Err("a JSON object is merged into others, and nothing else is".to_owned());
    }
    Ok(Interference { resource, name, effect: Effect::Mutate(merge) })
}

fn parse_denial(text: &str) -> Result<Interference, String> {
    let (resource, name, words) = split(text)?;
    Ok(Interference { resource, name, effect: Effect::Deny(words.to_owned()) })
}

fn split(text: &str) -> Result<(String, String, &str), String> {
    let (objects, rest) = text.split_once('=').ok_or("there is no =")?;
    let (resource, name) = objects.split_once('/').unwrap_or((objects, ""));
    Ok((resource.to_owned(), name.to_owned(), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        use clap::CommandFactory as _;

        Cli::command().debug_assert();
    }

    #[test]
    fn a_certificate_comes_with_its_key_and_authority() {
        let read = |more: &[&str]| {
            Cli::try_parse_from(["argosy-sim", "serve", "--dir", "d", "--count", "1"].iter().chain(more))
        };
        let all = ["--tls-cert-file", "c", "--tls-private-key-file", "k", "--tls-authority-file", "a"];
        let Command::Serve(serve) = read(&all).unwrap().command;
        assert_eq!(serve.tls.authority.as_deref(), Some(std::path::Path::new("a")));
        assert!(read(&all[..4]).is_err() && read(&all[2..4]).is_err());
    }

    #[test]
    fn what_interferes_is_read_or_refused() {
        let mutation = parse_mutation(r#"configmaps={"data":{"k":"="}}"#).unwrap();
        assert_eq!(mutation.effect, Effect::Mutate(serde_json::json!({"data": {"k": "="}})));
        assert_eq!((mutation.resource.as_str(), mutation.name.as_str()), ("configmaps", ""));
        assert!(parse_mutation("configmaps=1").is_err() && parse_mutation("configmaps").is_err());
        let denial = parse_denial("a.b/c=no").unwrap();
        assert_eq!((denial.resource.as_str(), denial.name.as_str()), ("a.b", "c"));
        assert_eq!(denial.effect, Effect::Deny("no".to_owned()));
    }
}
