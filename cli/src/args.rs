//! The command line.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use argosy_core::key::ResourceKey;
use argosy_proto::v1;
use clap::{Args, Parser, Subcommand, ValueEnum};

mod app;
mod labels;
mod list;
mod offline;
mod sync;
mod wait;

pub(crate) use self::app::{AppArguments, AppCommand, HistoryFormat, PreviewArguments};
pub(crate) use self::list::ListArguments;
pub(crate) use self::offline::{DirectoryArguments, ManifestFormat, PlanArguments, RenderArguments};
pub(crate) use self::sync::SyncArguments;
pub(crate) use self::wait::WaitArguments;

/// Shows and steers the clusters and applications of a hub.
#[derive(Debug, Parser)]
#[command(name = "argosy", version, propagate_version = true, arg_required_else_help = true)]
#[command(
    after_help = "Exit codes: 0 ok, 1 failed or differs, 2 usage, 3 hub unreachable; of app diff 20 where it failed."
)]
pub struct Arguments {
    /// Where the hub is.
    #[command(flatten)]
    pub(crate) hub: HubArguments,
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Where the hub is and who asks.
#[derive(Debug, Clone, Args)]
pub(crate) struct HubArguments {
    /// Address of the hub, instead of the configured one.
    #[arg(long, value_name = "HOST:PORT", global = true, env = "ARGOSY_HUB")]
    pub(crate) hub: Option<String>,
    /// Directory with hub.json, ca.crt, operator.crt and operator.key
    /// [default: `$XDG_CONFIG_HOME/argosy` or `~/.config/argosy`].
    #[arg(long, value_name = "DIR", global = true, env = "ARGOSY_CONFIG")]
    pub(crate) config: Option<PathBuf>,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Shows every cluster and its apps.
    Status {
        /// Goes on showing changes.
        #[arg(short, long)]
        watch: bool,
        /// Form of the output.
        #[command(flatten)]
        output: Output,
    },
    /// Shows and changes the registry of clusters.
    #[command(subcommand)]
    Cluster(ClusterCommand),
    /// Shows and steers applications.
    #[command(subcommand)]
    App(AppCommand),
    /// Shows projects.
    #[command(subcommand)]
    Proj(ProjectCommand),
    /// Carries desired state and statuses by file, for clusters that have no link.
    #[command(subcommand)]
    Bundle(BundleCommand),
    /// Judges the health of objects in files, with no hub and no cluster, as an agent would.
    Health(HealthArguments),
    /// Says why an object of an application is as it is: from the commit over the release, the wave and its gate to what the
    /// API server or another writer says.
    Why {
        /// The application.
        #[command(flatten)]
        app: AppArguments,
        /// The object; the group of core kinds and the namespace of cluster-scoped ones are empty: /ConfigMap/shop/web.
        #[arg(value_name = "GROUP/KIND/NAMESPACE/NAME")]
        key: ResourceKey,
        /// Form of the output.
        #[command(flatten)]
        output: Output,
    },
    /// Renders a directory or an Application, with no hub, as the hub would.
    Render(RenderArguments),
    /// Says what a sync would do to which object, in which order and why, with no hub and no cluster.
    Plan(PlanArguments),
    /// Shows what happened.
    Events {
        /// Goes on with what happens.
        #[arg(short, long)]
        follow: bool,
        /// Only about this cluster.
        #[arg(long, value_name = "NAME", default_value = "")]
        cluster: String,
        /// Only from this time on, with what the cluster's own journal tells: a time in RFC 3339, or how long ago, e.g.
        /// 90s, 15m, 2h, 3d.
        #[arg(long, value_name = "TIME", requires = "cluster")]
        since: Option<Moment>,
        /// Form of the output.
        #[command(flatten)]
        output: Output,
    },
    /// Says what ran on a cluster at a time, from the journal that its agent keeps.
    Audit {
        /// The cluster.
        cluster: String,
        /// When: a time in RFC 3339, or how long ago, e.g. 90s, 15m, 2h, 3d; without it now.
        #[arg(long, value_name = "TIME")]
        at: Option<Moment>,
        /// Form of the output.
        #[command(flatten)]
        output: Output,
    },
}

/// What to judge, and by what.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Every object of the files gets a row, with the verdict of its kind's rule; no word where its \
                        kind has none. Rules that look at other objects look at those of the files."
)]
pub(crate) struct HealthArguments {
    /// Live objects: YAML documents, JSON, or lists, e.g. of `kubectl get -o yaml`; - reads them from the standard input.
    #[arg(short, long = "file", value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// Rules of your own, which go before those of Argosy: an argocd-cm ConfigMap with `resource.customizations`, or a
    /// folder with GROUP/KIND/health.lua.
    #[arg(long, value_name = "FILE|DIR")]
    pub(crate) rules: Option<PathBuf>,
    /// Form of the output.
    #[command(flatten)]
    pub(crate) output: Output,
}

/// What to do with clusters.
#[derive(Debug, Subcommand)]
pub(crate) enum ClusterCommand {
    /// Shows every cluster.
    List {
        /// Goes on showing changes.
        #[arg(short, long)]
        watch: bool,
        /// Form of the output.
        #[command(flatten)]
        output: Output,
    },
    /// Shows one cluster.
    Get {
        /// Its name.
        name: String,
        /// Goes on showing changes.
        #[arg(short, long)]
        watch: bool,
        /// Form of the output.
        #[command(flatten)]
        output: Output,
    },
    /// Registers a cluster and gives the one-time command that joins its agent.
    Add {
        /// Its name.
        name: String,
        /// A label; may be given more than once.
        #[arg(short, long = "label", value_name = "KEY=VALUE", conflicts_with = "rejoin")]
        labels: Vec<Label>,
        /// Lets the agent of a registered cluster join again, as the same cluster: the certificates of its earlier joins
        /// are revoked at once.
        #[arg(long)]
        rejoin: bool,
        /// Form of the output.
        #[command(flatten)]
        output: Output,
    },
    /// Takes a cluster off the registry and cuts its agent's stream; its objects stay.
    Revoke {
        /// Its name.
        name: String,
        /// Form of the output.
        #[command(flatten)]
        output: Output,
    },
    /// Shows what hub and agent disagree on after one of them was restored, or ends the hold on deletes.
    Reconcile {
        /// Its name.
        name: String,
        /// Ends the hold.
        #[arg(long)]
        confirm: bool,
        /// Of two clusters with this identity, keeps the one whose namespace kube-system has this UID.
        #[arg(long, value_name = "UID", default_value = "")]
        keep: String,
        /// Form of the output.
        #[command(flatten)]
        output: Output,
    },
}

/// What to do with projects.
#[derive(Debug, Subcommand)]
pub(crate) enum ProjectCommand {
    /// Shows every project.
    List {
        /// Form of the output.
        #[arg(short, long, value_enum, default_value_t = ListFormat::Table)]
        output: ListFormat,
    },
    /// Shows one project.
    Get {
        /// Its name.
        name: String,
        /// Form of the output.
        #[command(flatten)]
        output: Output,
    },
}

/// What to do with files.
#[derive(Debug, Subcommand)]
pub(crate) enum BundleCommand {
    /// Writes all that the hub desires of a cluster to the standard output, as a file that `argosy-agent import` takes
    /// there.
    Export {
        /// The cluster.
        #[arg(long, value_name = "NAME")]
        cluster: String,
    },
    /// Takes receipts of `argosy-agent receipts`: where the cluster stands, as if its agent had told the hub itself. The
    /// same ones twice are no harm; forged ones, and older ones than what the agent has told since, are refused.
    Receipts {
        /// The receipts; - reads them from the standard input.
        file: PathBuf,
        /// Form of the output.
        #[command(flatten)]
        output: Output,
    },
}

/// Form of the output.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Output {
    /// Form of the output.
    #[arg(short = 'o', long = "output", value_enum, default_value_t = Format::Table)]
    pub(crate) format: Format,
}

/// Forms of output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Table,
    /// For programs.
    Json,
    /// For both.
    Yaml,
}

/// Forms of a preview.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PreviewFormat {
    /// For people.
    Text,
    /// For a comment on a pull request.
    Markdown,
    /// For programs.
    Json,
    /// For both.
    Yaml,
}

/// Forms of a list of applications.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ListFormat {
    /// For people.
    Table,
    /// For people with wide screens.
    Wide,
    /// One name a line.
    Name,
    /// For programs.
    Json,
    /// For both.
    Yaml,
}

/// A point in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    /// In milliseconds since 1970.
    At(i64),
    /// So many milliseconds ago, by the hub's clock.
    Ago(u64),
}

/// A label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Label {
    /// Its key.
    pub(crate) key: String,
    /// Its value.
    pub(crate) value: String,
}

// === impl Moment ===

impl FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(time) = text.parse::<jiff::Timestamp>() {
            return Ok(Self::At(time.as_millisecond()));
        }
        let units = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000)];
        let ago = units.into_iter().find_map(|(suffix, unit)| {
            let number: u64 = text.strip_suffix(suffix)?.parse().ok()?;
            number.checked_mul(unit)
        });
        let expected = "expected a time with its zone, e.g. 2026-01-31T12:00:00Z, or how long ago, e.g. 90s, 15m, 2h, 3d";
        ago.map(Self::Ago).ok_or_else(|| expected.to_owned())
    }
}

impl From<Moment> for v1::Moment {
    fn from(moment: Moment) -> Self {
        let at = match moment {
            Moment::At(unix_ms) => v1::moment::At::UnixMs(unix_ms),
            Moment::Ago(ago_ms) => v1::moment::At::AgoMs(ago_ms),
        };
        Self { at: Some(at) }
    }
}

// === impl Label ===

impl FromStr for Label {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((key, value)) if !key.is_empty() => {
                Ok(Self { key: key.to_owned(), value: value.to_owned() })
            }
            Some(_) | None => Err("expected KEY=VALUE".to_owned()),
        }
    }
}

/// Reads a time in seconds, or with a unit: `90`, `90s`, `5m`, `1h`.
fn seconds(text: &str) -> Result<Duration, String> {
    let units = [("h", 3_600), ("m", 60), ("s", 1)];
    let (number, unit) = units
        .into_iter()
        .find_map(|(suffix, unit)| text.strip_suffix(suffix).map(|number| (number, unit)))
        .unwrap_or((text, 1));
    let number: u64 =
        number.parse().map_err(|_not_a_number| "expected seconds, e.g. 90, 90s, 5m or 1h".to_owned())?;
    Ok(Duration::from_secs(number.saturating_mul(unit)))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn times_have_units() {
        assert_eq!(seconds("90"), Ok(Duration::from_secs(90)));
        assert_eq!(seconds("5m"), Ok(Duration::from_mins(5)));
        assert!(seconds("5x").is_err());
    }

    #[test]
    fn moments_are_times_or_ages() {
        assert_eq!("2023-11-14T22:13:20Z".parse(), Ok(Moment::At(1_700_000_000_000)));
        assert_eq!("3d".parse(), Ok(Moment::Ago(259_200_000)));
        assert!("2023-11-14T22:13:20".parse::<Moment>().is_err(), "a time without its zone is no time");
        assert!("3w".parse::<Moment>().is_err());
    }

    #[test]
    fn senseless_command_lines_are_usage_errors() {
        for line in [
            vec!["argosy"],
            vec!["argosy", "app", "get"],
            vec!["argosy", "app", "get", "a/b/c"],
            vec!["argosy", "app", "confirm", "web", "--plan", "xyz"],
            vec!["argosy", "status", "-o", "xml"],
            vec!["argosy", "health"],
            vec!["argosy", "why", "web", "ConfigMap/a"],
            vec!["argosy", "app", "rollback", "web", "last"],
            vec!["argosy", "app", "get", "web", "--hard-refresh"],
            vec!["argosy", "app", "list", "-l", "team in shop"],
            vec!["argosy", "app", "wait"],
            vec!["argosy", "app", "wait", "web", "--delete", "--sync"],
            vec!["argosy", "app", "wait", "web", "--resource", "ConfigMap:a"],
            vec!["argosy", "audit"],
            vec!["argosy", "audit", "edge", "--at", "yesterday"],
            vec!["argosy", "events", "--since", "2h"],
            vec!["argosy", "cluster", "add", "edge", "-l", "novalue"],
        ] {
            assert_eq!(Arguments::try_parse_from(line).unwrap_err().exit_code(), 2);
        }
    }
}
