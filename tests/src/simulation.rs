//! One hub and 3 to 20 agents in a simulated world: clock, network, disks, API servers and Git come from one seed.
//!
//! The state machines of [`argosy_core`] run unchanged; their shells are simulated and may be killed between any two
//! effects, links are cut at any frame, stores are lost, rolled back and restored, requests take effect late or not at
//! all, other writers meddle. An oracle of its own sees every transaction, frame and request and holds them to the
//! rules of the state model; when the faults stop, everything must become what Git says, and then rest.
//!
//! A seed gives the same run everywhere: its trace has one hash.

/// Adds a line to a world's trace, if anybody reads it.
macro_rules! note {
    ($world:expr, $($line:tt)*) => {
        if $world.is_traced() {
            let line = format!($($line)*);
            $world.note(&line);
        }
    };
}

mod agent;
mod broken;
mod cluster;
mod courier;
mod faults;
mod git;
mod guard;
mod hub;
mod keys;
mod lease;
mod network;
mod objects;
mod offline;
mod oracle;
mod plan;
mod random;
mod rest;
mod schedule;
mod shrink;
mod skew;
mod thin_link;
mod trace;
mod world;

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;

pub use broken::Broken;
pub use offline::{Alone, Outage, outage};
pub use oracle::Violation;
pub use plan::{Settings, Trouble};
pub use shrink::shrink;
pub use thin_link::{Crossing, ThinLink, thin_link};

use trace::Tracing;

/// What became of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// What it was to be.
    pub settings: Settings,
    /// What troubles it had.
    pub troubles: Vec<Trouble>,
    /// How many agents it had.
    pub agents: usize,
    /// How many apps it began with.
    pub apps: usize,
    /// Hash over the whole trace.
    pub hash: String,
    /// The last lines of the trace.
    pub tail: Vec<String>,
    /// How much simulated time passed, in milliseconds.
    pub elapsed_ms: u64,
    /// The rule that was broken, if one was.
    pub violation: Option<Violation>,
}

/// Makes one run; `echo` prints the trace as it grows.
pub fn run(settings: &Settings, echo: bool) -> Outcome {
    carry_out(settings, if echo { Tracing::Echoed } else { Tracing::Kept })
}

fn carry_out(settings: &Settings, tracing: Tracing) -> Outcome {
    let mut world = world::World::new(settings, tracing);
    world.run();
    let violation = world.oracle.violation().cloned();
    let elapsed_ms = world.now;
    let troubles = world.plan.troubles().iter().copied().collect();
    let (agents, apps) = (world.plan.agents, usize::try_from(world.plan.apps).unwrap_or(usize::MAX));
    let (hash, tail) = world.finish();
    Outcome { settings: settings.clone(), troubles, agents, apps, hash, tail, elapsed_ms, violation }
}

/// What became of many runs.
#[derive(Debug, Clone, Default)]
pub struct Sweep {
    /// How many were run.
    pub runs: u64,
    /// How much simulated time passed in all of them, in milliseconds.
    pub elapsed_ms: u64,
    /// Those that broke a rule, by seed.
    pub failures: BTreeMap<u64, Outcome>,
}

/// Runs many seeds side by side, until so many have failed; `broken` is wrong on purpose in all of them.
pub fn sweep(seeds: Range<u64>, most_failures: usize, broken: Option<Broken>) -> Sweep {
    let next = AtomicU64::new(seeds.start);
    let enough = AtomicBool::new(false);
    let sweep = Mutex::new(Sweep::default());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end || enough.load(Ordering::Relaxed) {
                        return;
                    }
                    let settings = Settings { broken, ..Settings::new(seed) };
                    let mut outcome = carry_out(&settings, Tracing::Off);
                    if outcome.violation.is_some() {
                        // Once more, with its trace.
                        outcome = run(&settings, false);
                    }
                    let mut sweep = sweep.lock();
                    sweep.runs += 1;
                    sweep.elapsed_ms += outcome.elapsed_ms;
                    if outcome.violation.is_some() {
                        sweep.failures.insert(seed, outcome);
                        enough.store(sweep.failures.len() >= most_failures, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    sweep.into_inner()
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.tail {
            writeln!(f, "{line}")?;
        }
        match &self.violation {
            None => write!(f, "{}: no rule broken, trace {}", self.settings, self.hash),
            Some(violation) => write!(
                f,
                "{settings} breaks {}: {}\nreplay: cargo run -p argosy-tests --bin simulate -- {settings} --trace",
                violation.rule,
                violation.message,
                settings = self.settings
            ),
        }
    }
}
