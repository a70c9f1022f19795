//! Daemons that are killed at random moments while commits flow: in the end live equals Git, nothing foreign was
//! touched, and no generation went back.
//!
//! A few cycles by default; `ARGOSY_CHAOS_CYCLES` asks for more of each daemon (`make chaos`).

use std::collections::BTreeMap;
use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

use argosy_tests::eventually;
use argosy_tests::wait::pause;
use argosy_tests::world::PATIENCE;
use serde_json::{Value, json};

use super::stage::{EDGE, Stage};

/// The longest life of a daemon, in milliseconds.
const LIFE: u64 = 300;
/// Apps that the commits change.
const APPS: [&str; 2] = ["left", "right"];
/// Names of config maps in each app that commits change, add and remove.
const NAMES: u64 = 6;
/// Removals in all: more than ten deletes in an hour wait for a confirmation.
const REMOVALS: u64 = 8;
/// Most rows of a journal, at the hub; an agent keeps half of that.
const JOURNAL: u64 = 16_384 + 256;
/// What a file may grow by because of its journal.
const JOURNAL_BYTES: u64 = 16 << 20;

fn cycles() -> u64 {
    std::env::var("ARGOSY_CHAOS_CYCLES").map_or(10, |cycles| cycles.parse().expect("a number of cycles"))
}

/// A stage with two apps that commits change, one object of theirs that others own, and what was seen so far.
struct Chaos {
    stage: Stage,
    chance: RandomState,
    step: u64,
    git: BTreeMap<(usize, u64), String>,
    removals: u64,
    foreign: Vec<Value>,
    generation: u64,
}

impl Chaos {
    fn start() -> Self {
        let stage = Stage::start();
        for app in APPS {
            stage.bring_up(app, &[&format!("{app}-anchor"), &format!("{app}-ballast")]);
        }
        for name in ["foreign-1", "foreign-2"] {
            let object =
                json!({"metadata": {"name": name, "labels": {"of": "others"}}, "data": {"value": "theirs"}});
            let path = format!("/api/v1/namespaces/{}/configmaps", stage.namespace);
            stage.plane().api().create(&path, &object).unwrap();
        }
        let foreign = foreign(&stage);
        let (chance, git) = (RandomState::new(), BTreeMap::new());
        Self { stage, chance, step: 0, git, removals: 0, foreign, generation: 0 }
    }

    /// Draws a number below `end`.
    fn draw(&mut self, end: u64) -> u64 {
        self.step += 1;
        self.chance.hash_one(self.step) % end
    }

    /// Commits a change of one object: a new value, or its removal.
    fn commit(&mut self) -> String {
        let app = usize::try_from(self.draw(APPS.len() as u64)).unwrap();
        let slot = self.draw(NAMES);
        let file = format!("{}/{}", APPS[app], name(app, slot));
        if self.removals < REMOVALS && self.git.contains_key(&(app, slot)) && self.draw(4) == 0 {
            self.removals += 1;
            self.git.remove(&(app, slot));
            return self.stage.remove(&[&file]);
        }
        let value = self.step.to_string();
        self.git.insert((app, slot), value.clone());
        self.stage.commit(&[(&file, &value)])
    }

    /// Lets a daemon live for a random time.
    fn live(&mut self) {
        let life = self.draw(LIFE);
        pause(Duration::from_millis(life));
    }

    /// Looks at the cluster's generation, if the hub answers.
    fn look(&mut self) {
        let Ok(cluster) = self.stage.world.hub().cluster(EDGE) else { return };
        let head = cluster["head"]["generation"].as_u64().unwrap_or_default();
        assert!(head >= self.generation, "the generation went back from {} to {head}", self.generation);
        self.generation = head;
    }

    /// Waits until the agent has what a commit says.
    fn await_read(&self, commit: &str) {
        for app in APPS {
            self.stage.world.await_app(app, &format!("to be at {commit}"), |app| {
                app["status"]["sync"]["revision"] == *commit
            });
        }
    }

    /// Waits until live equals Git.
    fn expect_peace(&mut self) {
        // An object of each app changes, so that a last commit reaches both.
        let anchors = APPS.map(|app| (format!("{app}/{app}-anchor"), "last"));
        let commit = self.stage.commit(&anchors.each_ref().map(|(file, value)| (file.as_str(), *value)));
        self.stage.world.await_connected(EDGE, true);
        for app in APPS {
            self.stage.world.await_synced(app, &commit);
        }
        for app in 0..APPS.len() {
            for slot in 0..NAMES {
                let (name, wanted) =
                    (name(app, slot), self.git.get(&(app, slot)).cloned().unwrap_or_default());
                eventually(PATIENCE, &format!("{name} to be what Git says"), || {
                    let value = self.stage.value(&name);
                    if value == wanted { Ok(()) } else { Err(format!("{value:?} instead of {wanted:?}")) }
                });
            }
        }
        assert_eq!(foreign(&self.stage), self.foreign, "what others own is as it was");
        self.look();
        let (hub, agent) = (self.stage.world.hub().log().unwrap(), self.stage.edge().log().unwrap());
        for log in [hub, agent] {
            assert!(
                !log.contains("panicked"),
                "{}",
                log.lines().find(|line| line.contains("panicked")).unwrap()
            );
        }
    }
}

fn name(app: usize, slot: u64) -> String {
    format!("{}-{slot}", APPS[app])
}

fn foreign(stage: &Stage) -> Vec<Value> {
    ["foreign-1", "foreign-2"].map(|name| stage.live(name).unwrap()).into()
}

#[test]
fn a_principal_that_is_killed_again_and_again_goes_on_with_what_it_had_published() {
    let mut chaos = Chaos::start();
    for cycle in 0..cycles() {
        chaos.commit();
        chaos.live();
        chaos.look();
        chaos.stage.world.hub().kill().unwrap();
        chaos.commit();
        chaos.stage.world.hub().launch().unwrap();
        if cycle % 5 == 4 {
            // A life long enough to get something done, and to be asked.
            eventually(PATIENCE, "the hub to answer", || chaos.stage.world.hub().cluster(EDGE));
            chaos.look();
        }
    }
    chaos.stage.world.hub().kill().unwrap();
    chaos.stage.world.hub().start().unwrap();
    chaos.expect_peace();
}

#[test]
fn an_agent_that_is_killed_again_and_again_ends_with_what_git_says() {
    let mut chaos = Chaos::start();
    for _cycle in 0..cycles() {
        chaos.commit();
        chaos.live();
        chaos.stage.edge().kill_agent().unwrap();
        chaos.commit();
        chaos.look();
        chaos.stage.edge().start_agent().unwrap();
    }
    chaos.expect_peace();
}

#[test]
fn hub_and_agent_that_are_killed_in_turn_end_with_what_git_says() {
    let mut chaos = Chaos::start();
    for _cycle in 0..cycles().div_ceil(2) {
        chaos.commit();
        chaos.live();
        if chaos.draw(2) == 0 {
            chaos.stage.edge().kill_agent().unwrap();
            chaos.commit();
            chaos.stage.edge().start_agent().unwrap();
        } else {
            chaos.stage.world.hub().kill().unwrap();
            chaos.commit();
            chaos.stage.world.hub().launch().unwrap();
        }
    }
    chaos.stage.world.hub().kill().unwrap();
    chaos.stage.world.hub().start().unwrap();
    chaos.expect_peace();
}

/// How many commits the stores are tried with.
fn commits() -> u64 {
    std::env::var("ARGOSY_CHAOS_COMMITS").map_or(150, |commits| commits.parse().expect("a number of commits"))
}

/// What the stores of hub and agent hold: bytes of the file, and rows by table.
fn holdings(stage: &Stage) -> [(u64, BTreeMap<String, u64>); 2] {
    [stage.world.hub().debug_state().unwrap(), stage.edge().debug_state().unwrap()].map(|state| {
        let rows = serde_json::from_value(state["store"]["rows"].clone()).unwrap();
        (state["store"]["bytes"].as_u64().unwrap(), rows)
    })
}

#[test]
fn both_stores_stay_bounded_over_many_commits() {
    let mut chaos = Chaos::start();
    // Both are as large as they get when every object has had many values.
    for _commit in 0..40 {
        let commit = chaos.commit();
        chaos.await_read(&commit);
    }
    chaos.expect_peace();
    let before = holdings(&chaos.stage);

    for number in 0..commits() {
        let commit = chaos.commit();
        // Each of the two may skip what is outdated already, but not most of it.
        if number % 4 == 0 {
            chaos.await_read(&commit);
        }
    }
    chaos.expect_peace();

    // What was replaced waits a little for its collection.
    let after = eventually(PATIENCE, "both stores to be as small as before", || {
        let after = holdings(&chaos.stage);
        for ((_, rows), (_, now)) in before.iter().zip(&after) {
            for (table, count) in now {
                // A journal grows to a bound of its own, which its unit tests hold.
                let most = if table.contains("journal") {
                    JOURNAL
                } else {
                    rows.get(table).copied().unwrap_or_default() + 2 * NAMES * APPS.len() as u64
                };
                if *count > most {
                    return Err(format!("table {table} has {count} rows: {rows:?}, then {now:?}"));
                }
            }
        }
        Ok(after)
    });
    for ((bytes, _), (now, _)) in before.iter().zip(&after) {
        assert!(*now <= bytes.max(&(1 << 20)) * 3 + JOURNAL_BYTES, "a file grew from {bytes} to {now} bytes");
    }
}
