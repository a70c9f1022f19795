//! What to do with files, with no hub and no cluster.

use std::path::PathBuf;

use argosy_core::ids::AppId;
use clap::{Args, ValueEnum};

use super::Output;

/// What to render.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "A directory is rendered as the hub renders the path of an application. Of a file with an Application, \
                  the repository has to be on this machine (a path, or file://); its working tree is rendered as it is, \
                  whatever targetRevision says. Links may lead anywhere inside the repository that the directory is in."
)]
pub(crate) struct RenderArguments {
    /// What to render.
    #[command(flatten)]
    pub(crate) source: SourceArguments,
    /// Form of the output.
    #[arg(short = 'o', long = "output", value_enum, default_value_t = ManifestFormat::Yaml)]
    pub(crate) format: ManifestFormat,
}

/// A source on this machine.
#[derive(Debug, Clone, Args)]
pub(crate) struct SourceArguments {
    /// A directory of manifests, or a file with one Application.
    #[arg(value_name = "DIR|APP.yaml")]
    pub(crate) source: PathBuf,
    /// How a directory is rendered.
    #[command(flatten)]
    pub(crate) directory: DirectoryArguments,
}

/// How a directory is rendered; an Application says so itself.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct DirectoryArguments {
    /// Goes into the directories below.
    #[arg(long)]
    pub(crate) recurse: bool,
    /// Only files whose path below the directory matches.
    #[arg(long, value_name = "GLOB", default_value = "")]
    pub(crate) include: String,
    /// No files whose path below the directory matches.
    #[arg(long, value_name = "GLOB", default_value = "")]
    pub(crate) exclude: String,
}

/// What to plan.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Which objects of FILE are the application's is told by their tracking, as Argosy writes it. Fields are \
                  compared by what the objects say: the agent asks the API server, which knows more. Which kinds have \
                  namespaces is told by the objects and the definitions that are there.\n\
                  Exit codes: 0 nothing would change, 1 something would, 2 usage."
)]
pub(crate) struct PlanArguments {
    /// What is desired: a directory of manifests, or a file with one Application.
    #[arg(long, value_name = "DIR|APP.yaml")]
    pub(crate) desired: PathBuf,
    /// What is there: YAML documents, JSON, or lists, e.g. of `kubectl get -o yaml --show-managed-fields`; - reads them
    /// from the standard input.
    #[arg(long, value_name = "FILE")]
    pub(crate) live: PathBuf,
    /// The application, where --desired is a directory [default: the one that the objects of FILE name].
    #[arg(long, value_name = "APP")]
    pub(crate) app: Option<AppId>,
    /// Namespace of objects that name none, where --desired is a directory [default: default].
    #[arg(long, value_name = "NAME")]
    pub(crate) namespace: Option<String>,
    /// Deletes what left the desired state, whatever the Application says.
    #[arg(long)]
    pub(crate) prune: bool,
    /// How a directory is rendered.
    #[command(flatten)]
    pub(crate) directory: DirectoryArguments,
    /// Form of the output.
    #[command(flatten)]
    pub(crate) output: Output,
}

/// Forms of manifests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ManifestFormat {
    /// Documents, for people and programs.
    Yaml,
    /// A list, for programs.
    Json,
}
