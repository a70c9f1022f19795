//! Both ends of the link over the real wire: every frame is encoded, decoded and checked, manifests go through zstd.

use std::collections::{BTreeSet, VecDeque};

use argosy_core::desired::{
    Assignment, DesiredList, Destination, ListSettings, Phase, SignHead, Signature, VerifyHead,
};
use argosy_core::ids::{AppId, BootId, ClusterId, CommandId, Digest, InstallationId};
use argosy_core::key::ResourceKey;
use argosy_core::policy::{ProjectLimits, SyncPolicy};
use argosy_core::release::{Release, Root};
use argosy_core::session::agent::{AgentContext, AgentEffects, AgentEvent, AgentIdentity, AgentLink};
use argosy_core::session::frame::{AgentFrame, ClusterFacts, Command, CommandKind, HubFrame};
use argosy_core::session::hub::{HubContext, HubEffects, HubLink, Published, SessionId};
use argosy_core::session::tables;
use argosy_core::store::MemoryStore;
use argosy_core::time::{Entropy, MonoTime, Now, WallTime};
use prost::Message as _;

use crate::{ZstdCodec, v1};

const CLUSTER: ClusterId = ClusterId::new([7; 16]);
const INSTALLATION: InstallationId = InstallationId::new([8; 16]);
const SESSION: SessionId = SessionId(1);

/// Signs by hashing with a secret; fills with a counter's hash, so that nothing compresses by chance.
struct Key(u64);

impl SignHead for Key {
    fn sign(&self, bytes: &[u8]) -> Signature {
        let mut signature = [0; 64];
        signature[..32].copy_from_slice(Digest::of_parts("a", [bytes]).as_bytes());
        signature[32..].copy_from_slice(Digest::of_parts("b", [bytes]).as_bytes());
        Signature(signature)
    }
}

impl VerifyHead for Key {
    fn verify(&self, bytes: &[u8], signature: &Signature) -> bool {
        self.sign(bytes) == *signature
    }
}

impl Entropy for Key {
    fn fill(&mut self, bytes: &mut [u8]) {
        self.0 += 1;
        let noise = Digest::of(&self.0.to_le_bytes());
        for (byte, noise) in bytes.iter_mut().zip(noise.as_bytes().iter().cycle()) {
            *byte = *noise;
        }
    }
}

/// A hub, an agent and encoded frames between them.
struct Link {
    hub: HubLink,
    hub_store: MemoryStore,
    agent: AgentLink,
    agent_store: MemoryStore,
    seed: Key,
    now: u64,
    up: VecDeque<Vec<u8>>,
    down: VecDeque<Vec<u8>>,
    /// Sizes of the frames that came to the agent.
    received: Vec<usize>,
}

impl Link {
    fn new() -> Self {
        let mut seed = Key(0);
        let agent_store = MemoryStore::default();
        let identity = AgentIdentity { cluster: CLUSTER, installation: INSTALLATION, anchor: None };
        Self {
            hub: HubLink::new(CLUSTER, INSTALLATION),
            hub_store: MemoryStore::default(),
            agent: AgentLink::load(&agent_store, identity, &Key(0), &mut seed).unwrap(),
            agent_store,
            seed,
            now: 1_000,
            up: VecDeque::new(),
            down: VecDeque::new(),
            received: Vec::new(),
        }
    }

    fn clock(&self) -> Now {
        let mono = MonoTime { boot: BootId::new([1; 16]), elapsed_ms: self.now };
        Now { mono, wall: WallTime(1_700_000_000_000) }
    }

    fn at_hub(&mut self, input: impl FnOnce(&mut HubLink, &mut HubContext<'_>) -> HubEffects) {
        let mut context = HubContext {
            now: self.clock(),
            store: &self.hub_store,
            codec: &ZstdCodec,
            signer: &Key(0),
            verifier: &Key(0),
            entropy: &mut self.seed,
        };
        let effects = input(&mut self.hub, &mut context);
        assert_eq!(effects.close, []);
        self.hub_store.commit(&effects.ops);
        self.down
            .extend(effects.frames.into_iter().map(|(_, frame)| v1::HubFrame::from(frame).encode_to_vec()));
    }

    /// Tells whether the agent wants to dial.
    fn at_agent(
        &mut self,
        input: impl FnOnce(&mut AgentLink, &mut AgentContext<'_>) -> AgentEffects,
    ) -> bool {
        let mut context = AgentContext {
            now: self.clock(),
            store: &self.agent_store,
            codec: &ZstdCodec,
            verifier: &Key(0),
            entropy: &mut self.seed,
        };
        let effects = input(&mut self.agent, &mut context);
        assert_eq!(effects.close, None);
        self.agent_store.commit(&effects.ops);
        self.up.extend(effects.frames.into_iter().map(|frame| v1::AgentFrame::from(frame).encode_to_vec()));
        effects.events.contains(&AgentEvent::Dial)
    }

    fn dial(&mut self) {
        self.at_hub(|hub, context| hub.connected(SESSION, context.now));
        let facts = ClusterFacts { kube_system_uid: "uid".to_owned(), ..ClusterFacts::default() };
        self.at_agent(|agent, context| agent.connected(facts, None, context));
    }

    fn settle(&mut self) {
        for _ in 0..20 {
            self.now += 1_000;
            if self.at_agent(AgentLink::tick) {
                self.dial();
            }
            self.at_hub(|hub, context| hub.tick(context.now));
            while !(self.up.is_empty() && self.down.is_empty()) {
                if let Some(bytes) = self.up.pop_front() {
                    let frame: AgentFrame =
                        v1::AgentFrame::decode(bytes.as_slice()).unwrap().try_into().unwrap();
                    self.at_hub(|hub, context| hub.received(SESSION, frame, context).unwrap());
                }
                if let Some(bytes) = self.down.pop_front() {
                    let frame: HubFrame = v1::HubFrame::decode(bytes.as_slice()).unwrap().try_into().unwrap();
                    if frame != HubFrame::Alive {
                        self.received.push(bytes.len());
                    }
                    self.at_agent(|agent, context| agent.received(frame, context).unwrap());
                }
            }
        }
    }

    /// Publishes an app of these manifests.
    fn publish(&mut self, manifests: &[Vec<u8>]) -> Root {
        let key = |index| ResourceKey::new("", "ConfigMap", "shop", format!("settings-{index}"));
        let named = manifests.iter().enumerate();
        let release = Release::build(named.map(|(index, manifest)| (key(index), Digest::of(manifest)))).0;
        let ops = manifests.iter().map(|manifest| tables::put_manifest(manifest));
        self.hub_store.commit(&ops.chain([tables::put_release(&release)]).collect::<Vec<_>>());
        let assignment = Assignment {
            app: AppId::new("", "web"),
            root: release.root(),
            destination: Destination { namespace: "shop".to_owned(), ..Destination::default() },
            policy: SyncPolicy::default(),
            limits: ProjectLimits { project: "default".to_owned(), ..ProjectLimits::default() },
            phase: Phase::Active,
            held: Vec::new(),
            cascade_confirmed: false,
            deletion: None,
            ignore: Vec::new(),
        };
        let settings = ListSettings { installation: INSTALLATION, hold_deletes: false };
        let list = DesiredList::build(settings, [assignment]);
        let published = Published { list, fresh: BTreeSet::new(), settled: Ok(()) };
        self.at_hub(|hub, context| hub.publish(published, context).unwrap());
        release.root()
    }
}

fn manifests(count: usize, changed: usize, value: &str) -> Vec<Vec<u8>> {
    let one = |index: usize| {
        let noise: String = (0..5)
            .map(|part: u64| Digest::of(&[index.to_le_bytes(), part.to_le_bytes()].concat()).to_string())
            .collect::<Vec<_>>()
            .concat();
        let value = if index == changed { value } else { "1.0.0" };
        format!("{{\"data\":{{\"config\":\"{noise}\",\"version\":\"{value}\"}},\"metadata\":{{\"name\":\"settings-{index}\"}}}}")
            .into_bytes()
    };
    (0..count).map(one).collect()
}

#[test]
fn a_changed_field_of_500_objects_takes_at_most_256_bytes_of_frames() {
    let mut link = Link::new();
    let root = link.publish(&manifests(500, 250, "1.0.0"));
    link.settle();
    assert!(link.agent.is_complete(root));
    link.received.clear();
    let root = link.publish(&manifests(500, 250, "1.0.1"));
    link.settle();
    assert!(link.agent.is_complete(root));
    let total: usize = link.received.iter().sum();
    assert!(total <= 256, "{total} bytes in {:?}", link.received);
}

#[test]
fn large_manifests_statuses_and_commands_cross_the_wire() {
    let mut link = Link::new();
    let large = |seed: u8| {
        let noise: Vec<String> = (0..4_000_u32)
            .map(|n| Digest::of(&[&n.to_le_bytes()[..], &[seed]].concat()).to_string())
            .collect();
        format!("{{\"data\":\"{}\"}}", noise.concat()).into_bytes()
    };
    let root = link.publish(&[large(1), b"{}".to_vec(), large(2)]);
    link.settle();
    assert!(link.agent.is_complete(root));
    let app = AppId::new("", "web");
    link.at_agent(|agent, context| agent.set_status(AppId::new("", "web"), Some(vec![1, 2, 3]), context.now));
    let kind = CommandKind::Sync { app: app.clone(), expect: Some(root), prune: true };
    let command = Command { id: CommandId::new([5; 16]), kind, deadline_ms: 60_000 };
    link.at_hub(|hub, context| hub.command(command, context.now));
    link.settle();
    assert_eq!(link.hub.statuses().get(&app).map(|row| row.value().to_vec()), Some(vec![1, 2, 3]));
    assert_eq!(link.agent.open_commands(link.clock()).len(), 1);
}
