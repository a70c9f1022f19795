//! Whatever happens, the agent ends with the hub's newest list and the hub with the agent's newest statuses.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use proptest::prelude::*;

use super::world::{Bundle, World, steps_of};
use crate::bundle::{ImportStep, Receipts};
use crate::ids::AppId;
use crate::session::agent::Pins;
use crate::session::frame::HubFrame;
use crate::store::MemoryStore;

#[derive(Debug, Clone)]
enum Step {
    Set { app: u8, objects: Vec<u8> },
    RemoveApp { app: u8 },
    Status { app: u8, value: Option<u8> },
    Down(u8),
    Up(u8),
    Pass(u16),
    Cut,
    Flow,
    Meet,
    TwiceDown,
    TwiceUp,
    Late,
    PublishSome { fresh: u8 },
    KillAgent { after: u8 },
    KillHub { after: u8 },
    BackUpHub,
    RestoreHub,
    BackUpAgent,
    RestoreAgent,
    LoseAgent,
    Reconcile,
    Collect,
    File(File),
}

/// What somebody does with files.
#[derive(Debug, Clone)]
enum File {
    Export,
    Import { which: u8 },
    BeginImport { which: u8 },
    ImportOn { steps: u8 },
    Receipts,
    Deliver { which: u8 },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0u8..3, proptest::collection::vec(0u8..4, 0..5))
            .prop_map(|(app, objects)| Step::Set { app, objects }),
        1 => (0u8..3).prop_map(|app| Step::RemoveApp { app }),
        3 => (0u8..3, proptest::option::weighted(0.8, 0u8..4)).prop_map(|(app, value)| Step::Status { app, value }),
        6 => (1u8..6).prop_map(Step::Down),
        6 => (1u8..6).prop_map(Step::Up),
        5 => (1u16..20_000).prop_map(Step::Pass),
        2 => Just(Step::Cut),
        3 => Just(Step::Flow),
        8 => Just(Step::Meet),
        1 => Just(Step::TwiceDown),
        1 => Just(Step::TwiceUp),
        1 => Just(Step::Late),
        1 => (0u8..8).prop_map(|fresh| Step::PublishSome { fresh }),
        2 => (0u8..20).prop_map(|after| Step::KillAgent { after }),
        2 => (0u8..20).prop_map(|after| Step::KillHub { after }),
        1 => Just(Step::BackUpHub),
        1 => Just(Step::RestoreHub),
        1 => Just(Step::BackUpAgent),
        1 => Just(Step::RestoreAgent),
        1 => Just(Step::LoseAgent),
        1 => Just(Step::Reconcile),
        1 => Just(Step::Collect),
        4 => Just(Step::File(File::Export)),
        5 => any::<u8>().prop_map(|which| Step::File(File::Import { which })),
        2 => any::<u8>().prop_map(|which| Step::File(File::BeginImport { which })),
        4 => (1u8..6).prop_map(|steps| Step::File(File::ImportOn { steps })),
        2 => Just(Step::File(File::Receipts)),
        3 => any::<u8>().prop_map(|which| Step::File(File::Deliver { which })),
    ]
}

type Statuses = BTreeMap<String, Vec<u8>>;

/// What the steps need beside the world.
struct Run {
    world: World,
    statuses: Statuses,
    hub_backup: MemoryStore,
    agent_backup: (MemoryStore, Statuses),
    /// Every content that an app ever had.
    history: BTreeMap<String, BTreeSet<Vec<u8>>>,
    bundles: Vec<Bundle>,
    /// What is left of an import that a stream may come between.
    importing: VecDeque<ImportStep>,
    receipts: Vec<(Receipts, u64)>,
}

impl Run {
    fn take(&mut self, step: &Step) {
        let name = |app: u8| format!("app-{app}");
        let world = &mut self.world;
        match step {
            Step::Set { app, objects } => {
                self.history.entry(name(*app)).or_default().insert(objects.clone());
                world.set(&name(*app), objects);
            }
            Step::RemoveApp { app } => {
                world.git.remove(&name(*app));
                world.publish();
            }
            Step::Status { app, value } => {
                // A status counts once its transaction is durable; one that is killed before it never was.
                world.agent_fuse = None;
                let value = value.map(|value| vec![value]);
                match &value {
                    Some(value) => self.statuses.insert(name(*app), value.clone()),
                    None => self.statuses.remove(&name(*app)),
                };
                world.set_status(&name(*app), value);
            }
            Step::Down(count) => (0..*count).for_each(|_| world.deliver_down()),
            Step::Up(count) => (0..*count).for_each(|_| world.deliver_up()),
            Step::Pass(ms) => world.pass(u64::from(*ms)),
            Step::Cut => world.cut(),
            Step::Flow => world.flow(),
            Step::Meet => {
                world.pass(15_000);
                world.flow();
            }
            Step::TwiceDown => {
                if let Some(frame) = world.down.front().cloned() {
                    world.down.push_front(frame);
                }
            }
            Step::TwiceUp => {
                if let Some(frame) = world.up.front().cloned() {
                    world.up.push_front(frame);
                }
            }
            Step::Late => world.deliver_late(),
            Step::PublishSome { fresh } => {
                let fresh = (0u8..3).filter(|app| (*fresh >> *app) & 1 == 1);
                let fresh = fresh.map(|app| AppId::new("", name(app))).collect();
                world.publish_with(fresh, Err("not everything was read".into()));
            }
            Step::KillAgent { after } => world.agent_fuse = Some(usize::from(*after)),
            Step::KillHub { after } => world.hub_fuse = Some(usize::from(*after)),
            Step::BackUpHub => self.hub_backup = world.hub_store.clone(),
            Step::RestoreHub => {
                world.cut();
                world.hub_store = self.hub_backup.clone();
                world.restart_hub();
            }
            Step::BackUpAgent => self.agent_backup = (world.agent_store.clone(), self.statuses.clone()),
            Step::RestoreAgent => {
                world.cut();
                let newer = world.agent_store.clone();
                world.agent_store = self.agent_backup.0.clone();
                world.load_agent();
                if world.agent.is_rolled_back() {
                    self.statuses = self.agent_backup.1.clone();
                } else {
                    // The anchor tells only that a head is missing.
                    world.agent_store = newer;
                    world.load_agent();
                }
            }
            Step::LoseAgent => {
                world.cut();
                world.agent_store = MemoryStore::default();
                world.load_agent();
                self.statuses.clear();
            }
            Step::Reconcile => {
                // Refused or not: what counts is the end.
                drop(world.reconcile());
            }
            Step::Collect => {
                let ops = world.agent.collect(&Pins::default(), &world.agent_store).unwrap();
                world.agent_store.commit(&ops);
            }
            Step::File(file) => self.carry(file),
        }
    }

    fn carry(&mut self, file: &File) {
        let world = &mut self.world;
        match file {
            File::Export => {
                // A bundle that a kill ends is none.
                world.hub_fuse = None;
                self.bundles.extend(world.export().ok());
            }
            File::Import { which } => {
                if let Some(bundle) = pick(&self.bundles, *which) {
                    // Refused or not: what counts is the end.
                    drop(world.import(bundle));
                }
            }
            File::BeginImport { which } => {
                self.importing = pick(&self.bundles, *which).map(steps_of).unwrap_or_default();
            }
            File::ImportOn { steps } => {
                for step in self.importing.drain(..usize::from(*steps).min(self.importing.len())) {
                    // As above; a refusal ends it.
                    drop(world.import_step(step));
                }
            }
            File::Receipts => {
                world.agent_fuse = None;
                self.receipts.push((world.receipts(), world.now));
            }
            File::Deliver { which } => {
                if let Some((receipts, made)) = pick(&self.receipts, *which) {
                    drop(world.deliver(receipts, *made));
                }
            }
        }
    }
}

/// Picks one, the newest most often.
fn pick<T>(all: &[T], which: u8) -> Option<&T> {
    let back = usize::from(which).checked_rem(2 * all.len()).unwrap_or_default();
    all.iter().rev().nth(back).or(all.last())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn both_ends_agree_whatever_happened(steps in proptest::collection::vec(step(), 1..80)) {
        let mut run = Run {
            world: World::new(),
            statuses: Statuses::new(),
            hub_backup: MemoryStore::default(),
            agent_backup: (MemoryStore::default(), Statuses::new()),
            history: BTreeMap::new(),
            bundles: Vec::new(),
            importing: VecDeque::new(),
            receipts: Vec::new(),
        };
        for step in &steps {
            run.take(step);
            for (app, objects) in run.world.running() {
                prop_assert!(run.history[&app].contains(&objects), "{} runs what it never was", app);
            }
        }
        let Run { mut world, statuses, .. } = run;
        world.agent_fuse = None;
        world.hub_fuse = None;
        world.settle();
        world.publish();
        world.settle();
        if world.hub.unknown_chain().is_some() {
            prop_assert!(world.agent.list().unwrap().settings().hold_deletes);
            world.reconcile().unwrap();
            world.settle();
        }
        prop_assert_eq!(&world.running(), &world.git);
        let root = super::fixture::list_of(
            world.git.iter().map(|(name, objects)| super::fixture::assignment(name, objects)),
        ).root();
        prop_assert_eq!(world.agent.list().unwrap().root(), root);
        prop_assert!(!world.agent.is_rolled_back());
        prop_assert!(world.hub.is_up_to_date());
        prop_assert_eq!(world.hub_statuses(), statuses);
        world.cut();
        world.delivered.clear();
        world.settle();
        prop_assert_eq!(world.chunks(), 0);
        let heads = world.delivered.iter().filter(|frame| matches!(frame, HubFrame::Head { .. })).count();
        prop_assert_eq!(heads, 0, "a reconnect in sync makes no head");
    }
}
