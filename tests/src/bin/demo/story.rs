//! The story, step by step.

use std::path::Path;

use argosy_tests::Kubernetes;
use argosy_tests::process::our_binary;
use argosy_tests::wait::Stopwatch;

use crate::scene::{CLUSTERS, LIMA, OSLO, POLICIES, Scene};
use crate::stage::Stage;

/// The apps of the mesh and of the shop, in the order of the clusters.
const MESHES: [&str; 3] = ["mesh-oslo", "mesh-lima", "mesh-nuuk"];
const SHOPS: [&str; 3] = ["shop-oslo", "shop-lima", "shop-nuuk"];

/// Tells the whole story; at the end everything is stopped, or kept until Ctrl-C.
pub(crate) fn tell(stage: &Stage, kubernetes: Kubernetes, keep: bool) -> anyhow::Result<()> {
    let watch = Stopwatch::start();
    let scene = start(stage, kubernetes)?;
    first_commit(&scene)?;
    change(&scene)?;
    drift(&scene)?;
    no_hub(&scene)?;
    hub_returns(&scene)?;
    agent_away(&scene)?;
    stage.say(&format!("\nThat was all, in {} s.", watch.elapsed().as_secs()))?;
    if keep {
        look_around(&scene)?;
        loop {
            std::thread::park();
        }
    }
    stage.say("Everything is stopped and removed now; DEMO_KEEP=1 make demo leaves it running.")
}

fn start(stage: &Stage, kubernetes: Kubernetes) -> anyhow::Result<Scene<'_>> {
    stage.step("A hub and three clusters")?;
    let clusters = match kubernetes {
        Kubernetes::Real => "three Kubernetes control planes (etcd, kube-apiserver, controller manager)",
        Kubernetes::Sim => "three Kubernetes clusters in memory (argosy-sim)",
    };
    stage.say(&format!(
        "Starting a principal, and {clusters} with an\nagent each. The agents know nothing but a join string that works \
         once; they dial out to the hub.",
    ))?;
    let watch = Stopwatch::start();
    let scene = Scene::open(stage, kubernetes)?;
    stage.took("hub, clusters and agents are up", watch.elapsed())?;
    scene.argosy(&["cluster", "list"])?;
    Ok(scene)
}

fn first_commit(scene: &Scene<'_>) -> anyhow::Result<()> {
    let stage = scene.stage;
    stage.step("The first commit becomes live objects")?;
    stage.say(
        "Two Git repositories: manifests (service mesh, Developer Hub, a shop), and the fleet: one Argo CD Application\n\
         per app and cluster. All clusters run the mesh of one folder; it is rendered once.",
    )?;
    let watch = Stopwatch::start();
    let commit = scene.commit_fixtures()?;
    for app in ["developer-hub"].iter().chain(&MESHES).chain(&SHOPS) {
        scene.await_app(app, &commit, &["--sync"])?;
    }
    stage.took("all seven apps are synced, CRDs and their objects in one go", watch.elapsed())?;
    scene.argosy(&["status"])?;
    stage.say(match scene.kubernetes {
        Kubernetes::Real => {
            "The shops are Progressing: these clusters have no nodes. The demo plays the kubelet now."
        }
        Kubernetes::Sim => {
            "A shop is Progressing until its pods are ready, which takes them two seconds here."
        }
    })?;
    for (cluster, app) in CLUSTERS.into_iter().zip(SHOPS) {
        scene.play_kubelet(cluster)?;
        scene.await_app(app, &commit, &["--sync", "--health"])?;
    }
    scene.argosy(&["app", "get", "shop-oslo"])?;
    scene.argosy(&["app", "resources", "mesh-oslo"])
}

fn change(scene: &Scene<'_>) -> anyhow::Result<()> {
    let stage = scene.stage;
    stage.step("A change reaches all clusters")?;
    scene.argosy(&["status"])?;
    let commit = scene.change(POLICIES, "mode: PERMISSIVE", "mode: STRICT")?;
    let watch = Stopwatch::start();
    for cluster in CLUSTERS {
        scene.await_mode(cluster, "STRICT")?;
    }
    stage.took("from the commit to the live objects of all clusters", watch.elapsed())?;
    for app in MESHES {
        scene.await_app(app, &commit, &["--sync"])?;
    }
    scene.argosy(&["status"])?;
    scene.show_policy(OSLO, &["-o", "yaml"])
}

fn drift(scene: &Scene<'_>) -> anyhow::Result<()> {
    let stage = scene.stage;
    stage.step("Drift is healed")?;
    stage.say("Somebody switches mutual TLS off by hand.")?;
    let time = scene.drift(OSLO)?;
    stage.took("the agent has put it back", time)?;
    scene.show_policy(OSLO, &[])?;
    scene.agent_log(OSLO, "Healed")
}

fn no_hub(scene: &Scene<'_>) -> anyhow::Result<()> {
    let stage = scene.stage;
    stage.step("The same with no hub")?;
    scene.world.hub().kill()?;
    stage.say("The principal is killed (SIGKILL).")?;
    scene.argosy(&["status"])?;
    stage.say("Drift again, with nobody to ask:")?;
    let time = scene.drift(OSLO)?;
    stage.took("healed from the agent's own store", time)?;
    stage.say("And the agent itself is killed (SIGKILL) and started again, still with no hub:")?;
    let edge = scene.edge(LIMA)?;
    edge.kill_agent()?;
    edge.start_agent()?;
    let time = scene.drift(LIMA)?;
    stage.took("healed by an agent that has seen no hub since it started, its start included", time)
}

fn hub_returns(scene: &Scene<'_>) -> anyhow::Result<()> {
    let stage = scene.stage;
    stage.step("The hub returns")?;
    let watch = Stopwatch::start();
    scene.world.hub().start()?;
    for cluster in CLUSTERS {
        scene.await_connected(cluster, true)?;
    }
    stage.took("the hub is up and all agents are back", watch.elapsed())?;
    stage.say("Hub and agents compared one hash: the same head as before, so nothing was sent again.")?;
    scene.argosy(&["status"])
}

fn agent_away(scene: &Scene<'_>) -> anyhow::Result<()> {
    let stage = scene.stage;
    stage.step("A cluster is away, and said to be away")?;
    scene.edge(LIMA)?.stop_agent()?;
    scene.await_connected(LIMA, false)?;
    stage.say(&format!("The agent of {LIMA} is stopped. Meanwhile the shop is scaled up in Git."))?;
    let before = scene.stored(LIMA)?;
    let commit = scene.change("shop/shop.yaml", "replicas: 2", "replicas: 3")?;
    scene.await_app("shop-oslo", &commit, &["--sync"])?;
    scene.play_kubelet(OSLO)?;
    scene.await_app("shop-oslo", &commit, &["--sync", "--health"])?;
    stage.say(&format!(
        "{OSLO} has it. {LIMA} still has desired state {before}, and all that is shown of it is the last known, with its age."
    ))?;
    scene.argosy(&["status"])?;
    scene.edge(LIMA)?.start_agent()?;
    scene.await_app("shop-lima", &commit, &["--sync"])?;
    scene.play_kubelet(LIMA)?;
    scene.await_app("shop-lima", &commit, &["--sync", "--health"])?;
    stage.say("The agent is back and has caught up: it was sent the difference.")?;
    scene.argosy(&["status"])?;
    scene.argosy_tail(&["events"], 6)
}

fn look_around(scene: &Scene<'_>) -> anyhow::Result<()> {
    let stage = scene.stage;
    let world = &scene.world;
    stage.step("Look around")?;
    let argosy = our_binary("argosy")?;
    let config = world.hub().config_folder().join("argosy");
    stage.say("Everything goes on until you press Ctrl-C here. In another terminal:\n")?;
    stage.say(&format!("  alias argosy='{} --config {}'", argosy.display(), config.display()))?;
    stage.say("  argosy status -w")?;
    for name in CLUSTERS {
        let plane = scene.edge(name)?.plane();
        let kubectl = plane.kubectl_path().unwrap_or(Path::new("kubectl"));
        stage.say(&format!(
            "  {} --kubeconfig {} get configmaps,deployments -A   # {name}",
            kubectl.display(),
            plane.kubeconfig().display()
        ))?;
    }
    stage.say(&format!("  cd {}   # manifests: edit, git commit -a", world.apps().folder().display()))?;
    stage.say(&format!("  cd {}   # applications", world.fleet().folder().display()))?;
    stage.say(&format!("  ls {}   # logs and data of all daemons", world.scratch().path().display()))
}
