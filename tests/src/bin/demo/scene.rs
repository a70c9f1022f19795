//! The fleet of the demonstration, and what is done to it.

#![expect(
    clippy::indexing_slicing,
    reason = "a JSON value indexed by a name is null when the name is absent"
)]

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use argosy_tests::assets::Assets;
use argosy_tests::pods::{self, Workload};
use argosy_tests::wait::{Stopwatch, poll};
use argosy_tests::world::{Edge, PATIENCE};
use argosy_tests::{ControlPlane, GitRepo, Kubernetes, World};
use serde_json::Value;

use crate::stage::Stage;

/// The first cluster: mesh, Developer Hub and workload.
pub(crate) const OSLO: &str = "edge-oslo";
/// The second cluster: mesh and workload.
pub(crate) const LIMA: &str = "edge-lima";
/// The third cluster: mesh and workload.
pub(crate) const NUUK: &str = "edge-nuuk";
/// All of them.
pub(crate) const CLUSTERS: [&str; 3] = [OSLO, LIMA, NUUK];
/// The file of the applications' repository that the demonstration changes.
pub(crate) const POLICIES: &str = "mesh/policies.yaml";
/// Stands in the fleet's documents for the URL of the applications' repository.
const APPS_REPOSITORY: &str = "APPS_REPOSITORY";
/// The object that is changed, in Git and by hand.
const PEER_AUTHENTICATION: &str =
    "/apis/security.istio.io/v1/namespaces/istio-system/peerauthentications/default";

/// How long the pods of a simulated cluster take until they are ready.
const READY_AFTER: Duration = Duration::from_secs(2);

/// A running fleet and the stage that it is shown on.
#[derive(Debug)]
pub(crate) struct Scene<'a> {
    pub(crate) stage: &'a Stage,
    pub(crate) kubernetes: Kubernetes,
    pub(crate) world: World,
}

// === impl Scene ===

impl<'a> Scene<'a> {
    /// Starts hub, control planes and agents.
    pub(crate) fn open(stage: &'a Stage, kubernetes: Kubernetes) -> anyhow::Result<Self> {
        let mut plane = ControlPlane::builder().kubernetes(kubernetes);
        match kubernetes {
            Kubernetes::Real => {
                let assets = Assets::find()?;
                stage.say(&format!("Kubernetes' own binaries are in {}.", assets.folder().display()))?;
            }
            Kubernetes::Sim => plane = plane.pods_ready_after(READY_AFTER),
        }
        let world = World::builder().control_planes(plane).clusters(&CLUSTERS).start()?;
        Ok(Self { stage, kubernetes, world })
    }

    /// Returns a cluster.
    pub(crate) fn edge(&self, name: &str) -> anyhow::Result<&Edge> {
        self.world.edge(name)
    }

    /// Commits the fixtures: the manifests first, then the fleet that names them. Returns the manifests' commit.
    pub(crate) fn commit_fixtures(&self) -> anyhow::Result<String> {
        copy(&fixtures().join("apps"), self.world.apps(), |text| text)?;
        let commit = self.world.apps().commit("Add mesh, Developer Hub and shop")?;
        let url = self.world.apps().url();
        copy(&fixtures().join("fleet"), self.world.fleet(), |text| text.replace(APPS_REPOSITORY, &url))?;
        self.world.fleet().commit("Add the applications of all clusters")?;
        Ok(commit)
    }

    /// Changes a file of the applications' repository, commits it and shows the difference.
    pub(crate) fn change(&self, path: &str, from: &str, to: &str) -> anyhow::Result<String> {
        let apps = self.world.apps();
        let file = apps.folder().join(path);
        let text =
            std::fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        anyhow::ensure!(text.contains(from), "{path} holds no {from:?}");
        let commit = apps.commit_file(path, text.replace(from, to))?;
        let shown = apps.git(["show", "--format=commit %h: %s", "--unified=1", "--no-color", "HEAD"])?;
        self.stage.command("git -C apps show HEAD", &shown)?;
        Ok(commit)
    }

    /// Runs `argosy` and shows it. A failure is part of the show, with its exit code.
    pub(crate) fn argosy(&self, arguments: &[&str]) -> anyhow::Result<()> {
        let output = self.world.hub().argosy(arguments)?;
        let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.push_str(&String::from_utf8_lossy(&output.stderr));
        if !output.status.success() {
            let code = output.status.code().map_or("none: killed".to_owned(), |code| code.to_string());
            text.push_str("(exit code ");
            text.push_str(&code);
            text.push(')');
        }
        self.stage.command(&format!("argosy {}", arguments.join(" ")), &text)
    }

    /// Runs `argosy` and shows the last lines of what it printed, below its heading.
    pub(crate) fn argosy_tail(&self, arguments: &[&str], lines: usize) -> anyhow::Result<()> {
        let text = self.world.hub().argosy_text(arguments)?;
        let all: Vec<&str> = text.lines().collect();
        let (heading, rows) = all.split_first().context("it printed nothing")?;
        let kept: Vec<&str> = rows.iter().rev().take(lines).rev().copied().collect();
        self.stage.command(
            &format!("argosy {} | (sed -u 1q; tail -n {lines})", arguments.join(" ")),
            &format!("{heading}\n{}", kept.join("\n")),
        )
    }

    /// Shows the last line of an agent's log with a word.
    pub(crate) fn agent_log(&self, cluster: &str, word: &str) -> anyhow::Result<()> {
        let log = self.edge(cluster)?.log()?;
        let line = log.lines().rev().find(|line| line.contains(word)).unwrap_or_default();
        self.stage.command(&format!("grep {word} agent-{cluster}.log | tail -n 1"), line)
    }

    /// Changes the live policy of a cluster by hand, and shows it: with kubectl if there is one.
    fn spoil(&self, cluster: &str) -> anyhow::Result<()> {
        const PATCH: &str = r#"{"spec":{"mtls":{"mode":"DISABLE"}}}"#;

        let plane = self.edge(cluster)?.plane();
        if plane.kubectl_path().is_some() {
            let patch =
                ["patch", "peerauthentication", "default", "-n", "istio-system", "--type=merge", "-p", PATCH];
            return self.kubectl(cluster, &patch);
        }
        let patch: Value = serde_json::from_str(PATCH).context("a patch")?;
        plane.api().merge(PEER_AUTHENTICATION, &patch)?;
        self.stage.command(&format!("PATCH {}{PEER_AUTHENTICATION} '{PATCH}'", plane.url()), "200 OK")
    }

    /// Shows the live policy of a cluster: as kubectl does if there is one, else what the API has of it.
    pub(crate) fn show_policy(&self, cluster: &str, form: &[&str]) -> anyhow::Result<()> {
        let edge = self.edge(cluster)?;
        if edge.plane().kubectl_path().is_some() {
            let get = ["get", "peerauthentication", "default", "-n", "istio-system"];
            return self.kubectl(cluster, &[&get, form].concat());
        }
        let mut live = policy(edge)?;
        if let Some(metadata) = live["metadata"].as_object_mut() {
            metadata.remove("managedFields");
        }
        self.stage.command(&format!("GET {}{PEER_AUTHENTICATION}", edge.plane().url()), &format!("{live:#}"))
    }

    /// Runs kubectl on a cluster and shows it.
    fn kubectl(&self, cluster: &str, arguments: &[&str]) -> anyhow::Result<()> {
        let text = self.edge(cluster)?.plane().kubectl_text(arguments)?;
        self.stage.command(&format!("kubectl --context {cluster} {}", quoted(arguments)), &text)
    }

    /// Waits for an application with `argosy app wait`, quietly.
    pub(crate) fn await_app(&self, app: &str, commit: &str, flags: &[&str]) -> anyhow::Result<()> {
        let mut arguments = vec!["app", "wait", app, "--revision", commit, "--operation", "--timeout", "120"];
        arguments.extend(flags);
        self.world.hub().argosy_text(&arguments).map(drop)
    }

    /// Plays the kubelet for the shop where nobody else does: real control planes have no nodes.
    pub(crate) fn play_kubelet(&self, cluster: &str) -> anyhow::Result<()> {
        match self.kubernetes {
            Kubernetes::Real => {
                pods::make_ready(self.edge(cluster)?.plane(), Workload::Deployment, "shop", "shop")
            }
            Kubernetes::Sim => Ok(()),
        }
    }

    /// Waits until the live policy of a cluster has a mode, and returns the time that it took.
    pub(crate) fn await_mode(&self, cluster: &str, mode: &str) -> anyhow::Result<Duration> {
        let watch = Stopwatch::start();
        let edge = self.edge(cluster)?;
        poll(PATIENCE, &format!("mode {mode} on {cluster}"), || {
            let live = policy(edge)?;
            anyhow::ensure!(live["spec"]["mtls"]["mode"] == mode, "{}", live["spec"]);
            anyhow::Ok(())
        })?;
        Ok(watch.elapsed())
    }

    /// Changes the live policy of a cluster by hand, and returns the time until the agent has put it back.
    pub(crate) fn drift(&self, cluster: &str) -> anyhow::Result<Duration> {
        let edge = self.edge(cluster)?;
        let generation = |object: &Value| object["metadata"]["generation"].as_i64().unwrap_or_default();
        let before = generation(&policy(edge)?);
        self.spoil(cluster)?;
        let watch = Stopwatch::start();
        poll(PATIENCE, &format!("the drift on {cluster} to be healed"), || {
            let live = policy(edge)?;
            let healed = live["spec"]["mtls"]["mode"] == "STRICT" && generation(&live) >= before + 2;
            anyhow::ensure!(healed, "{} in generation {}", live["spec"], generation(&live));
            anyhow::Ok(())
        })?;
        Ok(watch.elapsed())
    }

    /// Waits until the hub says that the agent of a cluster is connected, or away.
    pub(crate) fn await_connected(&self, cluster: &str, connected: bool) -> anyhow::Result<()> {
        poll(PATIENCE, &format!("{cluster} to be {}", if connected { "connected" } else { "away" }), || {
            let status = self.world.hub().cluster(cluster)?;
            anyhow::ensure!(status["connected"] == connected, "{status}");
            anyhow::Ok(())
        })
    }

    /// Returns the number of the head that a cluster has stored.
    pub(crate) fn stored(&self, cluster: &str) -> anyhow::Result<u64> {
        let status = self.world.hub().cluster(cluster)?;
        status["storedGeneration"].as_u64().with_context(|| format!("{cluster} has stored nothing: {status}"))
    }
}

fn policy(edge: &Edge) -> anyhow::Result<Value> {
    edge.plane().api().get(PEER_AUTHENTICATION)?.context("the policy does not exist")
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../demo/fixtures")
}

/// Copies a folder of the fixtures into a repository's work tree.
fn copy(folder: &Path, repo: &GitRepo, change: impl Fn(String) -> String) -> anyhow::Result<()> {
    let mut open = vec![folder.to_owned()];
    while let Some(next) = open.pop() {
        let context = || format!("cannot read {}", next.display());
        for entry in std::fs::read_dir(&next).with_context(context)? {
            let path = entry.with_context(context)?.path();
            if path.is_dir() {
                open.push(path);
                continue;
            }
            let text =
                std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
            let name = path.strip_prefix(folder).context("a fixture lies outside of its folder")?;
            repo.write(&name.to_string_lossy(), change(text))?;
        }
    }
    Ok(())
}

/// Joins arguments as a person would type them.
fn quoted(arguments: &[&str]) -> String {
    let quote = |argument: &&str| {
        if argument.contains(['{', ' ', '"']) { format!("'{argument}'") } else { (*argument).to_owned() }
    };
    arguments.iter().map(quote).collect::<Vec<_>>().join(" ")
}
