#![expect(clippy::wildcard_enum_match_arm, reason = "a test names the frames that it looks for")]
#![expect(unused_must_use, reason = "the world of a test commits what it is given")]

mod app_of_apps;
mod content;
mod members;
mod pause;
mod preview;
mod sources;

use serde_json::json;

use super::*;
use crate::application::Application;
use crate::desired::{Phase, SignedHead};
use crate::fleet::AppDocument;
use crate::ids::Incarnation;
use crate::key::ResourceKey;
use crate::registry::{Attempt, EnrolError};
use crate::session::frame::{
    ClusterFacts, CommandKind, CommandState, CommandUpdate, Hello, PROTOCOL, StatusBatch, StatusEntry,
};
use crate::session::tables::{MANIFESTS, RELEASES};
use crate::session::tests::fixture::{Key, Seed, SpliceCodec, at, of_manifests, store_ops};
use crate::store::MemoryStore;

const OURS: InstallationId = InstallationId::new([8; 16]);
const REPO: &str = "https://git.example/apps";

/// A hub with its store and its clock.
struct World {
    hub: HubMachine,
    store: MemoryStore,
    entropy: Seed,
    ms: u64,
    read: FleetRead,
    tickets: u64,
    sessions: u64,
}

fn id(name: &str) -> AppId {
    AppId::new("", name)
}

fn application(name: &str, cluster: &str, finalizer: bool) -> Application {
    let finalizers = if finalizer { json!(["resources-finalizer.argocd.argoproj.io"]) } else { json!([]) };
    let document = json!({
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Application",
        "metadata": {"name": name, "finalizers": finalizers},
        "spec": {"source": {"repoURL": REPO, "path": name}, "destination": {"name": cluster}},
    });
    Application::try_from(&document).unwrap()
}

fn load(store: &MemoryStore, entropy: &mut Seed, ms: u64) -> (HubMachine, Effects) {
    let mut context =
        Context { now: at(ms), store, codec: &SpliceCodec, signer: &Key(1), verifier: &Key(1), entropy };
    HubMachine::load(OURS, &mut context).unwrap()
}

impl World {
    fn new() -> Self {
        let store = MemoryStore::default();
        let mut entropy = Seed(1);
        let (hub, effects) = load(&store, &mut entropy, 0);
        assert!(effects.ops.is_empty());
        let read = FleetRead { complete: true, ..FleetRead::default() };
        Self { hub, store, entropy, ms: 0, read, tickets: 0, sessions: 0 }
    }

    /// A hub with a cluster `edge` that runs these apps of one object each.
    fn with_apps(names: &[&str]) -> (Self, ClusterId) {
        let mut world = Self::new();
        let cluster = world.add("edge");
        for name in names {
            world.put(name, "edge", false);
        }
        world.read();
        world.render(&names.iter().map(|name| (*name, *name)).collect::<Vec<_>>());
        (world, cluster)
    }

    fn handle(&mut self, input: Input) -> Effects {
        self.ms += 1;
        let mut context = Context {
            now: at(self.ms),
            store: &self.store,
            codec: &SpliceCodec,
            signer: &Key(1),
            verifier: &Key(1),
            entropy: &mut self.entropy,
        };
        let effects = self.hub.handle(input, &mut context).unwrap();
        self.store.commit(&effects.ops);
        effects
    }

    fn restart(&mut self) -> Effects {
        let (hub, effects) = load(&self.store, &mut self.entropy, self.ms);
        self.hub = hub;
        self.store.commit(&effects.ops);
        effects
    }

    fn request(&mut self, request: Request) -> (Ticket, Effects) {
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        (ticket, self.handle(Input::Request(ticket, Box::new(request))))
    }

    fn ask(&mut self, request: Request) -> Result<Reply, Refused> {
        let (ticket, effects) = self.request(request);
        let reply = effects.replies.into_iter().find(|(of, _)| *of == ticket);
        reply.map(|(_, reply)| reply).unwrap()
    }

    fn add(&mut self, name: &str) -> ClusterId {
        let token = Digest::of(name.as_bytes());
        let request = Request::AddCluster { name: name.to_owned(), labels: BTreeMap::new(), token };
        let Ok(Reply::Added { cluster, .. }) = self.ask(request) else { panic!("not added") };
        cluster
    }

    fn put(&mut self, name: &str, cluster: &str, finalizer: bool) {
        let application = Ok(application(name, cluster, finalizer));
        let document = AppDocument { file: format!("{name}.yaml"), application, document: String::new() };
        self.read.apps.insert(id(name), document);
    }

    fn read(&mut self) -> Effects {
        self.handle(Input::Fleet(Box::new(self.read.clone())))
    }

    /// Renders apps to one object each, named after the app, with a content.
    fn render(&mut self, apps: &[(&str, &str)]) -> Effects {
        let mut content = Vec::new();
        let mut rendered = BTreeMap::new();
        for (name, value) in apps {
            let object = ResourceKey::new("", "ConfigMap", "shop", *name);
            let (release, manifests) = of_manifests([(object, value.as_bytes().to_vec())]);
            content.extend(store_ops(&release, &manifests));
            let commit = format!("commit {value}");
            let rendering = Rendering::Rendered { root: release.root(), commit, warnings: Vec::new() };
            let source = self.hub.sources().get(&id(name)).cloned().unwrap();
            rendered.insert(id(name), RenderedApp { source, rendering });
        }
        self.handle(Input::Rendered { apps: rendered, content })
    }

    /// Connects an agent that holds `head`.
    fn connect(&mut self, cluster: ClusterId, head: Option<SignedHead>) -> (SessionId, Effects) {
        self.sessions += 1;
        let session = SessionId(self.sessions);
        let opened = self.handle(Input::Opened { session, cluster, rejoin: RejoinSerial::default() });
        if !opened.close.is_empty() {
            return (session, opened);
        }
        let hello = Hello {
            protocol: PROTOCOL,
            capabilities: BTreeSet::new(),
            facts: ClusterFacts { kube_system_uid: "uid".to_owned(), ..ClusterFacts::default() },
            head,
            anchor: head.map(|head| crate::desired::Anchor::of(&head.head)),
            incarnation: Incarnation::new([3; 16]),
            status_sequence: 0,
            read_only: None,
            paused: None,
            statement: None,
        };
        let effects = self.frame(session, AgentFrame::Hello(Box::new(hello)));
        (session, effects)
    }

    fn frame(&mut self, session: SessionId, frame: AgentFrame) -> Effects {
        self.handle(Input::Frame(session, Box::new(frame)))
    }

    /// Acknowledges the head that is among some effects; gives what the acknowledgement leads to.
    fn acknowledge(&mut self, session: SessionId, cluster: ClusterId, effects: &Effects) -> Effects {
        let generation = generation(effects).expect("a head");
        let (epoch, _) = self.hub.links[&cluster].sent().unwrap();
        self.frame(session, AgentFrame::HeadAck { epoch, generation })
    }

    fn status(
        &mut self,
        session: SessionId,
        sequence: u64,
        app: &str,
        change: impl Fn(&mut AppStatus),
    ) -> Effects {
        let mut status = AppStatus {
            sync: crate::status::SyncStatus::Synced,
            health: crate::health::Health::Healthy,
            health_message: String::new(),
            listed: None,
            assigned: None,
            synced: None,
            phase: Phase::Active,
            operation: None,
            counts: crate::status::Counts::default(),
            resources: Vec::new(),
            conditions: Vec::new(),
            held: None,
            observed: at(self.ms).mono,
            emptied: None,
            history: Vec::new(),
        };
        change(&mut status);
        let batch = StatusBatch {
            incarnation: Incarnation::new([3; 16]),
            entries: vec![StatusEntry { sequence, app: id(app), value: Some(crate::store::encode(&status)) }],
            now: at(self.ms).mono,
            observed: Some(at(self.ms).mono),
            complete: true,
        };
        self.frame(session, AgentFrame::Status(batch))
    }

    fn app(&self, name: &str) -> AppView {
        self.hub.app(&id(name), None, at(self.ms), &self.store).unwrap().unwrap()
    }
}

fn generation(effects: &Effects) -> Option<crate::ids::Generation> {
    effects.frames.iter().find_map(|(_, frame)| match frame {
        HubFrame::Head { generation, .. } => Some(*generation),
        _ => None,
    })
}

fn refusal(effects: &Effects) -> Option<RefusalReason> {
    effects.frames.iter().find_map(|(_, frame)| match frame {
        HubFrame::Refused(refusal) => Some(refusal.reason),
        _ => None,
    })
}

#[test]
fn a_commit_is_stored_and_published_in_one_transaction() {
    let (mut world, cluster) = World::with_apps(&["web"]);
    let (session, effects) = world.connect(cluster, None);
    assert!(generation(&effects).is_some());
    world.acknowledge(session, cluster, &effects);
    let effects = world.render(&[("web", "two")]);
    assert!(generation(&effects).is_some());
    let tables: BTreeSet<Table> = effects
        .ops
        .iter()
        .map(|op| match op {
            StoreOp::Put { table, .. } | StoreOp::Delete { table, .. } => *table,
        })
        .collect();
    for table in [RELEASES, MANIFESTS, PLACEMENTS, link_tables::HUB_LINK] {
        assert!(tables.contains(table), "{table} in {tables:?}");
    }
}

#[test]
fn a_hub_that_starts_again_publishes_what_it_had_before_it_reads_anything() {
    let (mut world, cluster) = World::with_apps(&["web"]);
    let desired = world.app("web").desired;
    world.restart();
    assert!(world.hub.sources().is_empty());
    let (session, effects) = world.connect(cluster, None);
    world.acknowledge(session, cluster, &effects);
    let list = world.hub.links[&cluster].acknowledged_list().unwrap();
    assert_eq!(list.get(&id("web")).map(|assignment| assignment.root), desired);
}

#[test]
fn a_released_app_leaves_the_list_when_the_agent_has_taken_its_release() {
    let (mut world, cluster) = World::with_apps(&["web", "api"]);
    let (session, effects) = world.connect(cluster, None);
    world.acknowledge(session, cluster, &effects);
    world.read.apps.remove(&id("web"));
    let effects = world.read();
    assert_eq!(world.app("web").phase, Some(Phase::Released));
    let effects = world.acknowledge(session, cluster, &effects);
    assert!(generation(&effects).is_some(), "the list without it follows at once");
    assert!(world.hub.app(&id("web"), None, at(world.ms), &world.store).unwrap().is_none());
}

#[test]
fn a_deleted_app_leaves_the_list_when_its_agent_reports_that_nothing_is_left() {
    let mut world = World::new();
    let cluster = world.add("edge");
    world.put("web", "edge", true);
    world.put("api", "edge", false);
    world.read();
    world.render(&[("web", "1"), ("api", "1")]);
    let (session, effects) = world.connect(cluster, None);
    world.acknowledge(session, cluster, &effects);
    world.read.apps.remove(&id("web"));
    let effects = world.read();
    world.acknowledge(session, cluster, &effects);
    let deletion = world.hub.deletions_of(cluster).next().unwrap().1.assignment.deletion;
    assert!(deletion.is_some());
    world.status(session, 1, "web", |status| status.emptied = Some(DeletionId::new([1; 16])));
    assert_eq!(world.app("web").phase, Some(Phase::Deleting), "that was another deletion");
    let effects = world.status(session, 2, "web", |status| status.emptied = deletion);
    assert!(generation(&effects).is_some());
    assert!(!world.hub.fleet.placements().contains_key(&(cluster, id("web"))));
}

#[test]
fn a_mass_loss_is_confirmed_at_the_hub_and_once() {
    let (mut world, _) = World::with_apps(&["a", "b", "c", "d"]);
    let all = world.read.clone();
    for name in ["a", "b", "c"] {
        world.read.apps.remove(&id(name));
    }
    world.read();
    let held = world.app("a").status.unwrap().held.unwrap();
    assert!(held.reason.contains("lost 3 apps"), "{held:?}");
    assert_eq!(world.hub.cluster("edge", at(world.ms)).unwrap().apps.held, 3);
    assert!(world.hub.fleet_conditions()[0].condition.message.contains("lost 3 apps"));
    assert!(world.hub.settled().unwrap_err().contains("loss of 3 apps"));
    let confirm = |plan| Request::Command {
        app: AppName { app: id("a"), cluster: None },
        kind: CommandKind::Confirm { app: id("a"), plan },
        deadline_ms: 1000,
    };
    assert!(
        matches!(world.ask(confirm(Digest::of(b"other"))), Err(Refused::Away(_))),
        "that is the agent's to judge"
    );
    let Ok(Reply::Command(progress)) = world.ask(confirm(held.plan)) else { panic!() };
    assert_eq!(progress.state, CommandState::Succeeded);
    assert_eq!(world.app("a").phase, Some(Phase::Released));
    let gone = std::mem::replace(&mut world.read, all);
    world.read();
    world.render(&[("a", "a"), ("b", "b"), ("c", "c")]);
    assert_eq!(world.app("a").phase, Some(Phase::Active));
    world.read = gone;
    world.read();
    assert_eq!(world.app("a").phase, Some(Phase::Active), "the same loss later is another one");
}

#[test]
fn a_command_goes_to_the_agent_and_its_end_to_who_asked() {
    let (mut world, cluster) = World::with_apps(&["web"]);
    let sync = Request::Command {
        app: AppName { app: id("web"), cluster: None },
        kind: CommandKind::Sync { app: id("web"), expect: None, prune: false },
        deadline_ms: 1000,
    };
    assert_eq!(world.ask(sync.clone()), Err(Refused::Away("edge".to_owned())));
    let (session, _) = world.connect(cluster, None);
    let (ticket, effects) = world.request(sync);
    let command = effects.frames.iter().find_map(|(_, frame)| match frame {
        HubFrame::Command(command) => Some(command.clone()),
        _ => None,
    });
    let command = command.unwrap().id;
    for (state, ends) in [(CommandState::Running, false), (CommandState::Succeeded, true)] {
        let update = CommandUpdate { id: command, state, message: String::new(), payload: Vec::new() };
        let effects = world.frame(session, AgentFrame::CommandUpdate(update));
        let [(of, Ok(Reply::Command(progress)))] = effects.replies.as_slice() else { panic!("{effects:?}") };
        assert_eq!((*of, progress.state), (ticket, state));
        assert_eq!(world.hub.pending.is_empty(), ends);
    }
    let unknown = Request::Command {
        app: AppName { app: id("nope"), cluster: None },
        kind: CommandKind::Refresh { app: id("nope") },
        deadline_ms: 1,
    };
    assert!(matches!(world.ask(unknown), Err(Refused::NoApp(_))));
}

#[test]
fn both_tables_of_content_stay_bounded_over_a_thousand_commits() {
    let (mut world, cluster) = World::with_apps(&["web"]);
    let (session, effects) = world.connect(cluster, None);
    world.acknowledge(session, cluster, &effects);
    for commit in 0..1000 {
        world.ms += 1000;
        world.frame(session, AgentFrame::Alive);
        let effects = world.render(&[("web", &format!("content {commit}"))]);
        if generation(&effects).is_some() {
            world.acknowledge(session, cluster, &effects);
        }
    }
    world.ms += 20_000;
    world.handle(Input::Tick);
    assert!(world.store.len(RELEASES) <= 8, "{} releases", world.store.len(RELEASES));
    assert!(world.store.len(MANIFESTS) <= 8, "{} manifests", world.store.len(MANIFESTS));
    let events = world.hub.events_after(0).count();
    assert!(events <= 1000);
}

#[test]
fn what_an_agent_says_has_the_time_at_which_the_hub_first_heard_it() {
    let (mut world, cluster) = World::with_apps(&["web"]);
    let (session, effects) = world.connect(cluster, None);
    world.acknowledge(session, cluster, &effects);
    let condition = |kind: &str| Condition { kind: kind.to_owned(), message: "x".to_owned() };
    world.status(session, 1, "web", |status| status.conditions = vec![condition("SyncError")]);
    let first = world.app("web").since[&condition("SyncError")];
    world.ms += 5000;
    world.status(session, 2, "web", |status| {
        status.conditions = vec![condition("SharedResourceWarning"), condition("SyncError")];
    });
    let since = world.app("web").since;
    assert_eq!(since[&condition("SyncError")], first);
    assert!(since[&condition("SharedResourceWarning")].0 >= first.0 + 5000);
    world.restart();
    assert_eq!(world.app("web").since.len(), 2, "as far as it is known after a restart");
    let (session, _) = world.connect(cluster, None);
    world.status(session, 3, "web", |_| {});
    assert!(world.app("web").since.is_empty());
}

#[test]
fn a_status_is_last_known_when_its_cluster_is_away() {
    let (mut world, cluster) = World::with_apps(&["web"]);
    let (session, effects) = world.connect(cluster, None);
    world.acknowledge(session, cluster, &effects);
    world.status(session, 1, "web", |_| {});
    assert!(!world.app("web").observed.unwrap().last_known);
    let counts = world.hub.cluster("edge", at(world.ms)).unwrap().apps;
    assert_eq!((counts.total, counts.synced, counts.healthy, counts.unknown), (1, 1, 1, 0));
    let _effects = world.handle(Input::Closed(session));
    world.ms += 5000;
    let observed = world.app("web").observed.unwrap();
    assert!(observed.last_known && observed.age >= std::time::Duration::from_secs(5), "{observed:?}");
    assert!(!world.hub.cluster("edge", at(world.ms)).unwrap().connected);
}
