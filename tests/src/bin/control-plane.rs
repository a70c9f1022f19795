//! Kubernetes control planes from a shell: `path` prints where the real one's binaries are (and builds them if need be),
//! `serve` runs clusters until its standard input closes: real ones, or `argosy-sim` where `ARGOSY_CONTROL_PLANE=sim`.

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;

use anyhow::Context as _;
use argosy_tests::assets::Assets;
use argosy_tests::{ControlPlane, Kubernetes};
use clap::{Parser, Subcommand};

/// Runs Kubernetes control planes for tests and demonstrations.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Prints the folder with etcd, kube-apiserver, kube-controller-manager and kubectl; builds them first if need be.
    Path,
    /// Runs control planes until standard input closes or a signal comes; writes NAME.kubeconfig for each.
    ///
    /// Prints `ready` once all of them are. Whatever this process dies of, the control planes stop and their data goes.
    Serve {
        /// The folder for the kubeconfigs.
        #[arg(long)]
        dir: PathBuf,
        /// The names of the clusters, with commas between.
        #[arg(long, value_delimiter = ',', required = true)]
        clusters: Vec<String>,
    },
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Action::Path => path(),
        Action::Serve { dir, clusters } => serve(&dir, &clusters),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody is left to be told when standard error is closed.
            let _unheard = writeln!(std::io::stderr(), "control-plane: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn path() -> anyhow::Result<()> {
    let assets = Assets::find()?;
    writeln!(std::io::stdout(), "{}", assets.folder().display()).context("cannot write to standard output")
}

fn serve(folder: &Path, clusters: &[String]) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    if Kubernetes::of_environment()? == Kubernetes::Real {
        // Once, before all of them look for it.
        Assets::find()?;
    }
    let planes = start(clusters)?;
    let mut stdout = std::io::stdout();
    for plane in &planes {
        let file = folder.join(format!("{}.kubeconfig", plane.name()));
        // Through a draft, so that whoever waits for the file finds it whole.
        let draft = folder.join(format!(".{}.kubeconfig", plane.name()));
        std::fs::copy(plane.kubeconfig(), &draft)
            .with_context(|| format!("cannot write {}", draft.display()))?;
        std::fs::rename(&draft, &file).with_context(|| format!("cannot write {}", file.display()))?;
        writeln!(stdout, "{} {} {}", plane.name(), plane.url(), file.display())
            .context("cannot write to standard output")?;
    }
    writeln!(stdout, "ready").context("cannot write to standard output")?;
    stdout.flush().context("cannot write to standard output")?;
    let mut ignored = [0; 1024];
    while std::io::stdin().read(&mut ignored).context("cannot read standard input")? > 0 {}
    Ok(())
}

/// Starts all control planes at once.
fn start(clusters: &[String]) -> anyhow::Result<Vec<ControlPlane>> {
    thread::scope(|scope| {
        let starts: Vec<_> = clusters
            .iter()
            .map(|name| scope.spawn(move || ControlPlane::builder().name(name).start()))
            .collect();
        let ended = starts.into_iter().map(|start| {
            start.join().map_err(|_panic| anyhow::anyhow!("starting a control plane panicked"))?
        });
        ended.collect()
    })
}
