//! Which applications to list.

use clap::Args;

use super::ListFormat;
use super::labels::LabelSelector;

/// Which applications to list: those that all filters name.
#[derive(Debug, Clone, Args)]
pub(crate) struct ListArguments {
    /// Only those of this cluster: its name, or the URL that their documents state.
    #[arg(short, long, value_name = "NAME|URL", default_value = "")]
    pub(crate) cluster: String,
    /// Only those of this project; may be given more than once, for those of any.
    #[arg(short, long = "project", value_name = "NAME")]
    pub(crate) projects: Vec<String>,
    /// Only those whose source is in this repository, as their documents state it.
    #[arg(short, long, value_name = "URL")]
    pub(crate) repo: Option<String>,
    /// Only those whose source is this path, as their documents state it.
    #[arg(short = 'P', long, value_name = "PATH")]
    pub(crate) path: Option<String>,
    /// Only those whose documents are of this namespace.
    #[arg(short = 'N', long, value_name = "NAMESPACE")]
    pub(crate) app_namespace: Option<String>,
    /// Only those whose documents have these labels: =, ==, !=, in, notin, there and not there.
    #[arg(short = 'l', long, value_name = "LABELS")]
    pub(crate) selector: Option<LabelSelector>,
    /// Goes on showing changes.
    #[arg(short, long)]
    pub(crate) watch: bool,
    /// Form of the output; table leaves out the sources.
    #[arg(short, long, value_enum, default_value_t = ListFormat::Wide)]
    pub(crate) output: ListFormat,
}
