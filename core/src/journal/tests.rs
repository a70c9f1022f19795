//! Recorder and keeper against each other.

mod properties;

use super::*;
use crate::ids::{BootId, ClusterId};
use crate::pause::PauseKind;
use crate::reconcile::Event;
use crate::store::{MemoryStore, StoreOp, StoreRead as _};
use crate::time::Entropy;
use std::collections::BTreeMap;

struct Dice(u64);

impl Entropy for Dice {
    fn fill(&mut self, bytes: &mut [u8]) {
        for byte in bytes {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            *byte = (self.0 >> 56) as u8;
        }
    }
}

const WALL: i64 = 1_700_000_000_000;

fn cluster() -> ClusterId {
    ClusterId::from_random([7; 16])
}

fn at(boot: u8, ms: u64) -> Now {
    let wall = WallTime(WALL + i64::try_from(ms).unwrap());
    Now { mono: MonoTime { boot: BootId::new([boot; 16]), elapsed_ms: ms }, wall }
}

fn root(byte: u8) -> Root {
    Root(Digest::new([byte; 32]))
}

fn app(name: &str) -> AppId {
    AppId::new("", name)
}

fn state(listed: u8, synced: u8) -> AppState {
    AppState {
        phase: Phase::Active,
        listed: Some(root(listed)),
        assigned: Some(root(listed)),
        synced: Some(root(synced)),
        sync: if listed == synced { SyncStatus::Synced } else { SyncStatus::OutOfSync },
        health: Health::Healthy,
        operation: None,
        held: None,
        objects: 3,
        out_of_sync: u64::from(listed != synced),
    }
}

fn event(reason: &'static str, message: &str) -> Event {
    Event { app: app("web"), key: None, reason, message: message.to_owned() }
}

/// An agent's recorder and a hub's keeper with their stores.
struct Pair {
    now: u64,
    boot: u8,
    dice: Dice,
    agent: MemoryStore,
    recorder: Recorder,
    hub: MemoryStore,
    keeper: Keeper,
    /// How far the hub's clock is ahead.
    ahead: i64,
    commits: BTreeMap<(AppId, Root), String>,
    refusals: Vec<String>,
}

impl Pair {
    fn new() -> Self {
        let (agent, mut dice) = (MemoryStore::default(), Dice(1));
        let recorder = Recorder::load(&agent, None, at(1, 1_000), &mut dice).unwrap();
        let mut pair = Self {
            now: 1_000,
            boot: 1,
            dice,
            agent,
            recorder,
            hub: MemoryStore::default(),
            keeper: Keeper::default(),
            ahead: 0,
            commits: BTreeMap::new(),
            refusals: Vec::new(),
        };
        pair.commit();
        pair
    }

    fn clock(&self) -> Now {
        at(self.boot, self.now)
    }

    /// The hub's clock, whose machine is another one.
    fn hub_clock(&self) -> Now {
        Now {
            mono: MonoTime { boot: BootId::new([99; 16]), elapsed_ms: self.now },
            wall: WallTime(at(9, self.now).wall.0 + self.ahead),
        }
    }

    fn commit(&mut self) {
        self.recorder.flush(self.clock());
        let ops = self.recorder.take_ops();
        self.agent.commit(&ops);
    }

    fn say(&mut self, name: &str, state: AppState) {
        self.recorder.app(&app(name), Some(state), self.clock());
        self.commit();
    }

    fn pass(&mut self, ms: u64) {
        self.now += ms;
        self.commit();
    }

    fn restart_agent(&mut self, anew: Option<&str>) {
        self.recorder = Recorder::load(&self.agent, anew, self.clock(), &mut self.dice).unwrap();
        self.commit();
    }

    fn connect(&mut self) {
        let now = self.clock();
        self.recorder.disconnected();
        self.recorder.welcomed(self.keeper.held(), &self.agent, now, &mut self.dice).unwrap();
        self.commit();
    }

    /// Sends one batch; the answer is lost, or heard.
    fn send(&mut self, heard: bool) -> bool {
        let now = self.clock();
        let Some(batch) = self.recorder.next_batch(&self.agent, now).unwrap() else { return false };
        let hub_now = self.hub_clock();
        let taken =
            self.keeper.take(cluster(), &batch, &self.commits, &self.hub, hub_now, Sent::Then).unwrap();
        self.hub.commit(&taken.ops);
        match taken.answer {
            Ok(sequence) if heard => self.recorder.acknowledged(sequence),
            Err(why) => {
                self.refusals.push(why.clone());
                if heard {
                    self.recorder.refused(&why, &self.agent, now, &mut self.dice).unwrap();
                    self.commit();
                }
            }
            Ok(_) => {}
        }
        true
    }

    fn upload(&mut self) {
        self.connect();
        while self.send(true) {}
    }

    /// What rows of events the hub has, in order.
    fn told(&self) -> Vec<String> {
        let rows = self.keeper.rows_since(&self.hub, cluster(), WallTime(0)).unwrap();
        rows.iter().map(Told::of).map(|told| told.reason + " " + &told.message).collect()
    }

    fn audit(&self, ms: u64) -> Audit {
        self.keeper.audit(&self.hub, cluster(), at(9, ms).wall).unwrap()
    }
}

#[test]
fn what_was_recorded_offline_is_told_in_its_order_with_its_times() {
    let mut pair = Pair::new();
    pair.commits.insert((app("web"), root(1)), "c0ffee".to_owned());
    pair.say("web", state(1, 1));
    pair.pass(10_000);
    pair.recorder.event(&app("web"), &event("Healed", "put back"), pair.clock());
    pair.pass(100_000);
    pair.say("web", state(2, 1));
    pair.pass(5_000);
    pair.say("web", state(2, 2));
    pair.pass(3_600_000);
    pair.upload();
    let told = pair.told();
    let reasons: Vec<&str> = told.iter().map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(reasons, ["JournalBegan", "AgentStarted", "AppState", "Healed", "AppState", "AppState"]);
    assert!(told[2].contains("(c0ffee)"), "{}", told[2]);

    assert_eq!(pair.audit(5_000).picture.apps.len(), 0, "it was told after it had settled");
    let then = pair.audit(50_000);
    assert_eq!(then.picture.apps[&app("web")].state, state(1, 1));
    assert_eq!(then.picture.apps[&app("web")].commits, [(root(1), "c0ffee".to_owned())]);
    assert_eq!(then.recent.last().map(|row| Told::of(row).reason), Some("Healed".to_owned()));
    let between = pair.audit(112_000);
    assert_eq!(between.picture.apps[&app("web")].state, state(2, 1));
    assert!(between.picture.apps[&app("web")].exact);
    assert_eq!(pair.audit(200_000).picture.apps[&app("web")].state, state(2, 2));
    assert!(pair.audit(200_000).complete);
}

#[test]
fn a_lost_acknowledgement_a_restart_and_a_reconnect_lead_to_no_row_twice() {
    let mut pair = Pair::new();
    pair.say("web", state(1, 1));
    pair.pass(20_000);
    pair.connect();
    pair.send(false);
    pair.restart_agent(None);
    pair.connect();
    while pair.send(true) {}
    pair.upload();
    let told = pair.told();
    assert_eq!(told.iter().filter(|line| line.starts_with("AppState")).count(), 1, "{told:?}");
    assert_eq!(told.iter().filter(|line| line.starts_with("AgentStarted")).count(), 2, "{told:?}");
    assert!(pair.refusals.is_empty());
}

#[test]
fn a_pause_is_one_row_however_often_it_is_said() {
    let mut pair = Pair::new();
    let order = PauseOrder::new(PauseKind::Pause, "ana", "fire", pair.clock());
    pair.recorder.ordered(&order, pair.clock());
    pair.commit();
    pair.restart_agent(None);
    pair.recorder.ordered(&order, pair.clock());
    pair.commit();
    pair.upload();
    assert_eq!(pair.told().iter().filter(|line| line.starts_with("Paused")).count(), 1);
    let audit = pair.audit(2_000);
    assert_eq!(audit.picture.paused().unwrap().0.by, "ana");
}

#[test]
fn what_is_only_seen_is_told_seldom_and_its_end_is_never_lost() {
    let mut pair = Pair::new();
    pair.say("web", state(1, 1));
    pair.pass(11_000);
    let flap = |health| AppState { health, ..state(1, 1) };
    for round in 0..600 {
        let health = if round % 2 == 0 { Health::Degraded } else { Health::Healthy };
        pair.say("web", flap(health));
        pair.pass(1_000);
    }
    pair.say("web", flap(Health::Degraded));
    pair.pass(120_000);
    pair.upload();
    let rows = pair.told().iter().filter(|line| line.starts_with("AppState")).count();
    assert!((2..=14).contains(&rows), "{rows} rows");
    assert_eq!(pair.audit(10_000_000).picture.apps[&app("web")].state.health, Health::Degraded);
}

#[test]
fn both_ends_stay_bounded_and_a_gap_is_told_as_a_gap() {
    let mut pair = Pair::new();
    pair.say("web", state(1, 1));
    pair.pass(20_000);
    pair.upload();
    pair.recorder.disconnected();
    for number in 0..20_000_u32 {
        pair.recorder.event(&app("web"), &event("Healed", &format!("number {number}")), pair.clock());
        pair.pass(1_000);
    }
    assert!(pair.agent.len(tables::JOURNAL) <= 8_192);
    assert!(pair.recorder.state().bytes <= 2 << 20);
    pair.upload();
    let told = pair.told();
    assert!(told.iter().any(|line| line.starts_with("JournalGap")), "{:?}", told.first());
    assert!(pair.refusals.is_empty(), "{:?}", pair.refusals);
    // Said again after the gap, so that it is no more in doubt.
    let now = pair.audit(pair.now);
    assert_eq!(now.picture.apps[&app("web")].doubtful_since, None);
    for round in 0..3 {
        for number in 0..8_000_u32 {
            let text = format!("round {round} number {number}");
            pair.recorder.event(&app("web"), &event("Healed", &text), pair.clock());
            pair.pass(1_000);
        }
        pair.upload();
    }
    assert!(pair.hub.len(tables::HUB_JOURNAL) <= 16_384 + 256);
    let since = pair.audit(pair.now).since.unwrap();
    let reloaded = Keeper::load(&pair.hub, cluster()).unwrap();
    let audit = reloaded.audit(&pair.hub, cluster(), WallTime(since.0 + 1)).unwrap();
    assert_eq!(audit.picture.apps[&app("web")].state, state(1, 1), "what was dropped is remembered");
    assert_eq!(audit.picture.apps.len(), 1);
    let before = reloaded.audit(&pair.hub, cluster(), WallTime(since.0 - 60_000)).unwrap();
    assert!(before.picture.apps.is_empty(), "nothing is claimed of a time before the journal is kept");
}

#[test]
fn a_broken_chain_is_refused_by_name_and_another_begins() {
    let mut pair = Pair::new();
    pair.say("web", state(1, 1));
    pair.pass(20_000);
    pair.upload();
    let before = pair.told().len();
    for number in 0..3 {
        pair.recorder.event(&app("web"), &event("Healed", &format!("number {number}")), pair.clock());
    }
    pair.commit();
    // Somebody changes a row at the agent, with its store's checksums and all.
    let rows = pair.agent.scan(tables::JOURNAL, &[]).unwrap();
    let (key, value) = rows[rows.len() - 2].clone();
    let mut row = Row::from_bytes(&value).unwrap();
    row.what = encode(&What::Left { app: app("web") }).into();
    pair.agent.commit(&[StoreOp::put(tables::JOURNAL, key, &row)]);
    pair.connect();
    while pair.send(true) {}
    assert_eq!(pair.refusals, [format!("row {} does not follow the row before it", rows.len())]);
    let told = pair.told();
    assert_eq!(told.len(), before + 1);
    assert!(told.last().unwrap().starts_with("JournalRefused"), "{told:?}");
    pair.upload();
    let told = pair.told();
    assert!(told.iter().any(|line| line.starts_with("JournalAnother")), "{told:?}");
    assert!(told.iter().any(|line| line.contains("the hub refused the one before")), "{told:?}");
    assert_eq!(pair.audit(pair.now).picture.apps[&app("web")].state, state(1, 1));
    // The same is seen when the agent starts.
    let rows = pair.agent.scan(tables::JOURNAL, &[]).unwrap();
    pair.agent.commit(&[StoreOp::delete(tables::JOURNAL, rows[1].0.clone())]);
    let journal = pair.recorder.state().journal;
    pair.restart_agent(None);
    assert_ne!(pair.recorder.state().journal, journal);
}

#[test]
fn a_store_that_was_rolled_back_and_one_that_was_lost_begin_another_journal() {
    let mut pair = Pair::new();
    pair.say("web", state(1, 1));
    pair.pass(20_000);
    let old = pair.agent.clone();
    pair.say("web", state(2, 2));
    pair.upload();
    pair.agent = old;
    pair.restart_agent(None);
    pair.say("web", state(3, 3));
    pair.pass(20_000);
    pair.upload();
    assert!(pair.told().iter().any(|line| line.contains("the hub has")), "{:?}", pair.told());
    assert_eq!(pair.audit(pair.now).picture.apps[&app("web")].state, state(3, 3));
    pair.agent = MemoryStore::default();
    pair.restart_agent(None);
    pair.upload();
    let audit = pair.audit(pair.now);
    assert!(audit.picture.apps[&app("web")].doubtful_since.is_some(), "it is not known what is missing");
    assert!(pair.refusals.is_empty());
}

#[test]
fn rows_of_an_earlier_boot_are_dated_by_the_agents_own_clock_and_never_ahead() {
    let mut pair = Pair::new();
    pair.say("web", state(1, 1));
    pair.pass(20_000);
    // A clock years ahead.
    let ahead = Now { wall: WallTime(WALL + 100_000_000_000_000), ..pair.clock() };
    pair.recorder.event(&app("web"), &event("Healed", "by a wrong clock"), ahead);
    pair.commit();
    pair.boot = 2;
    pair.restart_agent(None);
    pair.upload();
    let rows = pair.keeper.rows_since(&pair.hub, cluster(), WallTime(0)).unwrap();
    assert!(rows.is_sorted_by_key(|row| row.kept.at));
    assert!(rows.iter().all(|row| row.kept.at <= pair.hub_clock().wall));
    assert!(!rows[2].kept.exact && rows.last().unwrap().kept.exact);
}

#[test]
fn a_jump_of_the_hubs_clock_and_back_harms_no_audit_before_it_nor_after_it() {
    const YEARS: i64 = 100_000_000_000;
    for jump in [YEARS, -YEARS] {
        let mut pair = Pair::new();
        for round in 1..=4 {
            pair.pass(60_000);
            pair.say("web", state(round, round));
            pair.upload();
        }
        pair.ahead = jump;
        pair.pass(60_000);
        pair.say("web", state(5, 5));
        pair.upload();
        pair.ahead = 0;
        for round in 6..=9 {
            pair.pass(60_000);
            pair.say("web", state(round, round));
            pair.upload();
        }
        assert!(pair.refusals.is_empty());
        let rows = pair.keeper.rows_since(&pair.hub, cluster(), WallTime(0)).unwrap();
        assert!(rows.is_sorted_by_key(|row| row.kept.at), "jump={jump}");
        assert!(rows.iter().all(|row| row.kept.at <= pair.hub_clock().wall), "jump={jump}");
        assert!(rows.iter().any(|row| !row.kept.exact), "what was dated wrongly is said to be");
        // A state is told up to a round later.
        for round in [2, 3, 4, 6, 7, 8, 9] {
            let audit = pair.audit(1_000 + 60_000 * u64::from(round) + 30_000);
            let synced = audit.picture.apps[&app("web")].state.synced.unwrap();
            let lawful = round - 1..=if round == 4 { 5 } else { round };
            assert!(lawful.clone().any(|of| synced == root(of)), "jump={jump} round={round} {synced:?}");
        }
    }
}

#[test]
fn a_hub_that_keeps_no_journals_is_sent_none() {
    let mut pair = Pair::new();
    pair.say("web", state(1, 1));
    pair.pass(20_000);
    let now = pair.clock();
    pair.recorder.welcomed(JournalHeld::NotKept, &pair.agent, now, &mut pair.dice).unwrap();
    assert_eq!(pair.recorder.next_batch(&pair.agent, now).unwrap(), None);
    // After its upgrade it gets all that is kept.
    pair.upload();
    assert_eq!(pair.told().len() as u64, pair.recorder.state().last);
}

#[test]
fn what_a_newer_agent_writes_is_kept_and_said_to_be_unknown() {
    let mut pair = Pair::new();
    let row = Row {
        sequence: pair.recorder.state().last + 1,
        previous: hash_of(&pair.agent.scan(tables::JOURNAL, &[]).unwrap().last().unwrap().1),
        wall: WallTime(WALL),
        mono: pair.clock().mono,
        what: vec![0x82, 0x18, 0x63, 0x80].into(),
    };
    pair.upload();
    let batch = JournalBatch {
        journal: pair.recorder.state().journal,
        rows: vec![encode(&row)],
        now: pair.clock().mono,
        complete: true,
    };
    let taken = pair
        .keeper
        .take(cluster(), &batch, &BTreeMap::new(), &pair.hub, pair.hub_clock(), Sent::Then)
        .unwrap();
    pair.hub.commit(&taken.ops);
    assert_eq!(taken.answer, Ok(row.sequence));
    assert!(pair.told().last().unwrap().starts_with("Unknown"));
}

#[test]
fn rows_by_file_from_a_clock_that_is_not_believed_are_dated_by_guess() {
    let mut pair = Pair::new();
    pair.say("web", state(1, 1));
    pair.connect();
    let now = pair.clock();
    let batch = pair.recorder.next_batch(&pair.agent, now).unwrap().unwrap();
    let hub_now = pair.hub_clock();
    let taken =
        pair.keeper.take(cluster(), &batch, &BTreeMap::new(), &pair.hub, hub_now, Sent::Before).unwrap();
    pair.hub.commit(&taken.ops);
    let rows = pair.keeper.rows_since(&pair.hub, cluster(), WallTime(0)).unwrap();
    assert!(!rows.is_empty());
    assert!(rows.iter().all(|row| !row.kept.exact && row.kept.at <= hub_now.wall), "{rows:?}");
}
