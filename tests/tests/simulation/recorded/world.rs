//! One hub and one agent over the real wire, at a flat cluster that answers at once.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use argosy_core::agent::{self, AgentMachine};
use argosy_core::application::Application;
use argosy_core::cluster::{
    Answer, ApiError, Applied, KindInfo, Kinds, LiveMeta, Request, RequestId, Tracking, WatchEvent, Watched,
};
use argosy_core::compare::Comparison;
use argosy_core::desired::{Anchor, SignHead, Signature, VerifyHead};
use argosy_core::fleet::{AppDocument, FleetRead, Rendering};
use argosy_core::hub::{self, HubMachine, RenderedApp, Reply, Ticket};
use argosy_core::ids::{AppId, BootId, ClusterId, Digest, InstallationId, RejoinSerial};
use argosy_core::key::{GroupKind, ResourceKey};
use argosy_core::pause::PauseOrder;
use argosy_core::registry::Attempt;
use argosy_core::release::Release;
use argosy_core::session::agent::AgentIdentity;
use argosy_core::session::frame::ClusterFacts;
use argosy_core::session::hub::SessionId;
use argosy_core::session::tables::{put_manifest, put_release};
use argosy_core::store::{MemoryStore, StoreOp};
use argosy_core::time::{Entropy, MonoTime, Now, WallTime};
use argosy_proto::ZstdCodec;
use serde_json::json;

use super::wire::{End, Frame};

pub(super) const INSTALLATION: InstallationId = InstallationId::from_random([8; 16]);
pub(super) const EDGE: &str = "edge";
const REPO: &str = "https://git.example/apps";
const UID: &str = "kube-system-of-edge";

/// Signs by hashing with a secret.
pub(super) struct Key;

impl SignHead for Key {
    fn sign(&self, bytes: &[u8]) -> Signature {
        let mut signature = [0; 64];
        signature[..32].copy_from_slice(Digest::of_parts("recorded a", [bytes]).as_bytes());
        signature[32..].copy_from_slice(Digest::of_parts("recorded b", [bytes]).as_bytes());
        Signature(signature)
    }
}

impl VerifyHead for Key {
    fn verify(&self, bytes: &[u8], signature: &Signature) -> bool {
        self.sign(bytes) == *signature
    }
}

/// Randomness from a seed.
struct Seed(u64);

impl Entropy for Seed {
    fn fill(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(Digest::LEN) {
            self.0 += 1;
            let noise = Digest::of(&self.0.to_le_bytes());
            chunk.copy_from_slice(&noise.as_bytes()[..chunk.len()]);
        }
    }
}

/// What outlives both processes.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Kept {
    pub(super) cluster: Option<ClusterId>,
    pub(super) agent: MemoryStore,
    pub(super) anchor: Option<Anchor>,
    pub(super) order: Option<PauseOrder>,
    pub(super) hub: MemoryStore,
}

/// A cluster that answers at once.
#[derive(Default)]
pub(super) struct Flat {
    objects: BTreeMap<ResourceKey, LiveMeta>,
    version: u64,
    uids: u64,
    pub(super) writes: Vec<Request>,
}

pub(super) struct World {
    pub(super) kept: Kept,
    pub(super) hub: HubMachine,
    pub(super) agent: AgentMachine,
    pub(super) flat: Flat,
    /// Every frame that crossed.
    pub(super) said: Vec<(End, Vec<u8>)>,
    seed: Seed,
    boot: u8,
    ms: u64,
    read: FleetRead,
    session: Option<SessionId>,
    sessions: u64,
    dials: bool,
    up: VecDeque<Vec<u8>>,
    down: VecDeque<Vec<u8>>,
    requests: VecDeque<(RequestId, Request)>,
    watches: BTreeMap<Watched, u64>,
}

pub(super) fn app(name: &str) -> AppId {
    AppId::new("", name)
}

pub(super) fn config(name: &str) -> ResourceKey {
    ResourceKey::new("", "ConfigMap", "shop", name)
}

pub(super) fn at(boot: u8, ms: u64) -> Now {
    let days = i64::from(boot) * 86_400_000;
    let wall = WallTime(1_700_000_000_000 + days + i64::try_from(ms).unwrap());
    Now { mono: MonoTime { boot: BootId::new([boot; 16]), elapsed_ms: ms }, wall }
}

pub(super) fn facts() -> ClusterFacts {
    ClusterFacts {
        kube_system_uid: UID.to_owned(),
        kubernetes_version: "v1.36.3".to_owned(),
        agent_version: "0.1.0".to_owned(),
        certificate_not_after: WallTime(1_800_000_000_000),
        policy: None,
    }
}

fn kinds() -> Kinds {
    let kind = |kind: &str, namespaced| (GroupKind::new("", kind), KindInfo { namespaced });
    Kinds::from([kind("ConfigMap", true), kind("Namespace", false)])
}

fn hub_context<'a>(now: Now, store: &'a MemoryStore, seed: &'a mut Seed) -> hub::Context<'a> {
    hub::Context { now, store, codec: &ZstdCodec, signer: &Key, verifier: &Key, entropy: seed }
}

fn agent_context<'a>(now: Now, store: &'a MemoryStore, seed: &'a mut Seed) -> agent::Context<'a> {
    agent::Context { now, store, codec: &ZstdCodec, verifier: &Key, entropy: seed }
}

/// Adds the cluster to a new hub's registry, and uses its token up.
fn join(hub: &mut HubMachine, store: &mut MemoryStore, now: Now, seed: &mut Seed) -> ClusterId {
    let token = Digest::of(b"token");
    let labels = BTreeMap::from([("site".to_owned(), "north".to_owned())]);
    let add = hub::Request::AddCluster { name: EDGE.to_owned(), labels, token };
    let enrol = hub::Request::Enrol(Attempt {
        token,
        name: EDGE.to_owned(),
        key: Digest::of(b"key"),
        installation: INSTALLATION,
        kube_system_uid: UID.to_owned(),
        agent_version: "0.1.0".to_owned(),
    });
    let mut joined = None;
    for request in [add, enrol] {
        let input = hub::Input::Request(Ticket(1), Box::new(request));
        let effects = hub.handle(input, &mut hub_context(now, store, seed)).unwrap();
        store.commit(&effects.ops);
        if let [(_, Ok(Reply::Enrolled { cluster }))] = effects.replies.as_slice() {
            joined = Some(*cluster);
        }
    }
    joined.unwrap()
}

impl World {
    /// Starts both on what was kept, on machines that were started anew; the cluster has what the agent's inventory says.
    pub(super) fn start(kept: Kept, boot: u8) -> Self {
        let mut world = Self::load(kept, boot);
        world.agent_takes(agent::Input::Facts(facts()));
        world.agent_takes(agent::Input::Kinds(kinds(), BTreeSet::new()));
        world.may_dial(true);
        world
    }

    /// Lets both read what was kept, and do nothing yet.
    pub(super) fn load(mut kept: Kept, boot: u8) -> Self {
        let mut seed = Seed(u64::from(boot) << 32);
        let now = at(boot, 1_000);
        let (mut hub, effects) =
            HubMachine::load(INSTALLATION, &mut hub_context(now, &kept.hub, &mut seed)).unwrap();
        kept.hub.commit(&effects.ops);
        let cluster = kept.cluster.unwrap_or_else(|| join(&mut hub, &mut kept.hub, now, &mut seed));
        kept.cluster = Some(cluster);
        let identity = AgentIdentity { cluster, installation: INSTALLATION, anchor: kept.anchor };
        let (agent, effects) =
            AgentMachine::load(identity, &mut agent_context(now, &kept.agent, &mut seed)).unwrap();
        let mut world = Self {
            flat: Flat::default(),
            kept,
            hub,
            agent,
            said: Vec::new(),
            seed,
            boot,
            ms: 1_000,
            read: FleetRead { complete: true, ..FleetRead::default() },
            session: None,
            sessions: 0,
            dials: false,
            up: VecDeque::new(),
            down: VecDeque::new(),
            requests: VecDeque::new(),
            watches: BTreeMap::new(),
        };
        world.flat.hold(&world.agent);
        world.carry_agent(effects);
        if let Some(order) = world.kept.order.clone() {
            world.agent_takes(agent::Input::Pause(order));
        }
        world
    }

    pub(super) fn now(&self) -> Now {
        at(self.boot, self.ms)
    }

    pub(super) fn may_dial(&mut self, may_dial: bool) {
        self.agent_takes(agent::Input::Writer { read_only: None, may_dial });
        self.flush();
    }

    pub(super) fn hub_takes(&mut self, input: hub::Input) -> hub::Effects {
        let now = self.now();
        let mut context = hub_context(now, &self.kept.hub, &mut self.seed);
        let mut effects = self.hub.handle(input, &mut context).unwrap();
        self.kept.hub.commit(&effects.ops);
        for (session, frame) in std::mem::take(&mut effects.frames) {
            let bytes = Frame::Hub(frame).encode();
            self.said.push((End::Hub, bytes.clone()));
            if self.session == Some(session) {
                self.down.push_back(bytes);
            }
        }
        if effects.close.iter().any(|(session, _)| self.session == Some(*session)) {
            self.cut();
        }
        effects
    }

    pub(super) fn ask(&mut self, request: hub::Request) -> Option<Reply> {
        let effects = self.hub_takes(hub::Input::Request(Ticket(self.ms), Box::new(request)));
        let answer = effects.replies.into_iter().next().map(|(_, answer)| answer.unwrap());
        self.flush();
        answer
    }

    pub(super) fn agent_takes(&mut self, input: agent::Input) {
        let mut context = agent_context(at(self.boot, self.ms), &self.kept.agent, &mut self.seed);
        let effects = self.agent.handle(input, &mut context).unwrap();
        self.carry_agent(effects);
    }

    fn carry_agent(&mut self, effects: agent::Effects) {
        self.kept.agent.commit(&effects.ops);
        self.kept.anchor = effects.anchor.or(self.kept.anchor);
        for frame in effects.frames {
            let bytes = Frame::Agent(frame).encode();
            self.said.push((End::Agent, bytes.clone()));
            self.up.push_back(bytes);
        }
        self.requests.extend(effects.requests);
        self.dials |= effects.dial;
        if effects.close.is_some() {
            self.cut();
        }
    }

    /// Gives the frames of receipts.
    pub(super) fn receipts(&mut self) -> Vec<argosy_core::session::frame::AgentFrame> {
        let mut context = agent_context(at(self.boot, self.ms), &self.kept.agent, &mut self.seed);
        let (effects, frames) = self.agent.receipts(facts(), &mut context).unwrap();
        self.carry_agent(effects);
        frames
    }

    /// Ends the stream for both.
    pub(super) fn cut(&mut self) {
        let Some(session) = self.session.take() else { return };
        (self.up, self.down) = (VecDeque::new(), VecDeque::new());
        let _ended = self.hub_takes(hub::Input::Closed(session));
        self.agent_takes(agent::Input::Disconnected);
    }

    fn dial(&mut self) {
        self.sessions += 1;
        let session = SessionId(self.sessions);
        self.session = Some(session);
        let cluster = self.kept.cluster.unwrap();
        let _opened =
            self.hub_takes(hub::Input::Opened { session, cluster, rejoin: RejoinSerial::default() });
        self.agent_takes(agent::Input::Connected(facts()));
    }

    /// Lets so many seconds pass.
    pub(super) fn pass(&mut self, seconds: u32) {
        for _ in 0..seconds {
            self.ms += 1_000;
            let _ticked = self.hub_takes(hub::Input::Tick);
            self.agent_takes(agent::Input::Tick);
            self.flush();
        }
    }

    /// Carries everything through that is under way.
    fn flush(&mut self) {
        for _ in 0..10_000 {
            let mut wanted = self.agent.reconciler().watch_generations().into_watches();
            let unseen = wanted.find(|(watched, number)| self.watches.get(watched) != Some(number));
            if let Some((watched, number)) = unseen {
                self.watches.insert(watched.clone(), number);
                let listed = self.flat.list(&watched.kind());
                self.agent_takes(agent::Input::Watch(watched, listed));
            } else if std::mem::take(&mut self.dials) {
                self.dial();
            } else if let Some((id, request)) = self.requests.pop_front() {
                let (answer, seen) = self.flat.answer(request);
                self.agent_takes(agent::Input::Answer(id, answer));
                if let Some((key, event)) = seen {
                    self.agent_takes(agent::Input::Watch(Watched::Kind(key.group_kind()), event));
                }
            } else if let Some(bytes) = self.up.pop_front() {
                let Frame::Agent(frame) = Frame::decode(End::Agent, &bytes).unwrap() else { panic!() };
                if let Some(session) = self.session {
                    let _taken = self.hub_takes(hub::Input::Frame(session, Box::new(frame)));
                }
            } else if let Some(bytes) = self.down.pop_front() {
                let Frame::Hub(frame) = Frame::decode(End::Hub, &bytes).unwrap() else { panic!() };
                self.agent_takes(agent::Input::Frame(frame));
            } else {
                return;
            }
        }
        panic!("it never comes to rest");
    }

    // === The fleet ===

    /// Sets what each app is made of: config maps with a value.
    pub(super) fn commit(&mut self, commit: &str, apps: &[(&str, &[(&str, &str)])]) {
        for (name, _) in apps {
            let document = json!({
                "apiVersion": "argoproj.io/v1alpha1",
                "kind": "Application",
                "metadata": {"name": name},
                "spec": {
                    "source": {"repoURL": REPO, "path": name},
                    "destination": {"name": EDGE, "namespace": "shop"},
                    "syncPolicy": {"automated": {"prune": true, "selfHeal": true}},
                },
            });
            let application = Ok(Application::try_from(&document).unwrap());
            let file = format!("{name}.yaml");
            let document = AppDocument { file, application, document: document.to_string() };
            self.read.apps.insert(app(name), document);
        }
        let _read = self.hub_takes(hub::Input::Fleet(Box::new(self.read.clone())));
        let sources = self.hub.sources();
        let (mut rendered, mut content) = (BTreeMap::new(), Vec::new());
        for (name, objects) in apps {
            let manifests: Vec<(ResourceKey, Vec<u8>)> =
                objects.iter().map(|(object, value)| (config(object), manifest(object, value))).collect();
            content.extend(manifests.iter().map(|(_, bytes)| put_manifest(bytes)).collect::<Vec<StoreOp>>());
            let named = manifests.into_iter().map(|(key, bytes)| (key, Digest::of(&bytes)));
            let release = Release::build(named).0;
            content.push(put_release(&release));
            let (root, commit) = (release.root(), commit.to_owned());
            let rendering = Rendering::Rendered { root, commit, warnings: Vec::new() };
            rendered.insert(app(name), RenderedApp { source: sources[&app(name)].clone(), rendering });
        }
        let _rendered = self.hub_takes(hub::Input::Rendered { apps: rendered, content });
        self.flush();
    }

    /// Somebody else changes an object.
    pub(super) fn meddle(&mut self, name: &str) {
        let live = self.flat.meddle(&config(name));
        let watched = Watched::Kind(live.key.group_kind());
        self.agent_takes(agent::Input::Watch(watched, WatchEvent::Seen(live)));
        self.flush();
    }
}

fn manifest(name: &str, value: &str) -> Vec<u8> {
    let body = json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": "shop"},
        "data": {"value": value},
    });
    body.to_string().into_bytes()
}

impl Flat {
    /// Holds what an agent's inventory says.
    fn hold(&mut self, agent: &AgentMachine) {
        self.version = 1_000;
        for (key, entry) in agent.reconciler().inventory() {
            let Some(uid) = entry.uid.clone() else { continue };
            let live = live(key, uid, entry.resource_version, entry.app.clone(), entry.fingerprint);
            self.objects.insert(key.clone(), live);
            self.version = self.version.max(entry.resource_version);
            self.uids += 100;
        }
    }

    fn list(&self, kind: &GroupKind) -> WatchEvent {
        let objects = self.objects.values().filter(|live| live.key.group_kind() == *kind);
        WatchEvent::Listed { resource_version: self.version, objects: objects.cloned().collect() }
    }

    fn meddle(&mut self, key: &ResourceKey) -> LiveMeta {
        self.version += 1;
        let live = self.objects.get_mut(key).unwrap();
        live.resource_version = self.version;
        live.fingerprint = Some(Digest::of(b"robbed"));
        live.last_writer = Some("kubectl-edit".to_owned());
        live.clone()
    }

    /// Answers, and gives what a watch sees of it.
    fn answer(&mut self, request: Request) -> (Result<Answer, ApiError>, Option<(ResourceKey, WatchEvent)>) {
        if request.is_write() {
            self.writes.push(request.clone());
        }
        match request {
            Request::Get { key } => {
                (Ok(self.objects.get(&key).cloned().map_or(Answer::Absent, Answer::Found)), None)
            }
            Request::Try { .. } => (Ok(Answer::Tried), None),
            Request::EnsureNamespace { .. } => (Ok(Answer::Namespace { created: false }), None),
            Request::GiveUp { .. } => (Ok(Answer::Deleted), None),
            Request::Compare { .. } => (Ok(Answer::Compared(Comparison::default())), None),
            Request::Delete { key, uid, .. } => {
                assert_eq!(self.objects.remove(&key).map(|live| live.uid), Some(uid));
                (Ok(Answer::Deleted), Some((key.clone(), WatchEvent::Gone(key))))
            }
            Request::Apply { key, uid, manifest, app, .. } => {
                let there = self.objects.get(&key).map(|live| live.uid.clone());
                if uid.is_some() && uid != there {
                    return (Err(ApiError::Replaced("another is there".to_owned())), None);
                }
                let created = there.is_none();
                self.version += 1;
                self.uids += 1;
                let uid = there.unwrap_or_else(|| format!("uid-{}", self.uids));
                let live = live(&key, uid, self.version, app, Some(manifest));
                self.objects.insert(key.clone(), live.clone());
                let seen = WatchEvent::Seen(live.clone());
                (Ok(Answer::Applied(Applied { live, created, changed: Vec::new() })), Some((key, seen)))
            }
        }
    }
}

fn live(
    key: &ResourceKey,
    uid: String,
    resource_version: u64,
    app: AppId,
    fingerprint: Option<Digest>,
) -> LiveMeta {
    LiveMeta {
        key: key.clone(),
        uid,
        resource_version,
        tracking: Tracking::Ours { installation: Some(INSTALLATION), app, names: key.clone() },
        labelled: true,
        owned: false,
        deleting: false,
        fingerprint,
        last_writer: None,
        health: None,
        lagging: false,
    }
}
