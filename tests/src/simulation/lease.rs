//! Who writes to a cluster: the Lease that the processes of an agent contend for (M24).
//!
//! A second process, with a copy of the first one's disk, runs beside it for a while: as after a machine was copied, or
//! when a workload was scaled by mistake.

use argosy_core::agent::Input;

use super::schedule::Event;
use super::world::World;

/// How long a holder stays one without a renewal.
const DURATION_MS: u64 = 15_000;
/// Time between renewals, or looks at somebody else's lease.
const INTERVAL_MS: u64 = 5_000;
/// Time until a look that failed is repeated.
const RETRY_MS: u64 = 1_000;

/// A cluster's Lease: who holds it, and how often it was renewed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Record {
    holder: usize,
    renewed: u64,
    /// Until when its holder takes it for its own.
    until: u64,
}

/// What a process knows of the Lease.
#[derive(Debug, Clone, Default)]
pub(super) struct Contest {
    state: State,
    /// Somebody else's record, and since when it has not changed.
    seen: Option<(Record, u64)>,
    /// What the machine was told last.
    told: Option<(bool, bool)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum State {
    /// Never looked at.
    #[default]
    New,
    Held {
        until: u64,
    },
    Lost,
}

impl Contest {
    /// Tells whether the process may write, and whether it may dial.
    fn permits(&self, now: u64) -> (bool, bool) {
        match self.state {
            State::New | State::Lost => (false, false),
            // The last holder goes on dialling while nobody can be asked (M15).
            State::Held { until } => (until > now, true),
        }
    }
}

impl World {
    /// A process looks at the Lease: takes it, renews it, or waits.
    pub(super) fn contend(&mut self, agent: usize, life: u64) {
        let seat = self.seat(agent);
        let now = self.now;
        let Some(cluster) = self.clusters.get_mut(seat) else { return };
        let Some(state) = self.agents.get_mut(agent).filter(|state| state.is_alive(life)) else { return };
        let Some(process) = &mut state.process else { return };
        let contest = &mut process.contest;
        if cluster.down_until > now {
            self.queue.at(now + RETRY_MS, Event::Writer { agent, life });
        } else {
            let free = match cluster.lease {
                None => true,
                Some(record) if record.holder == agent => true,
                Some(record) => match contest.seen {
                    Some((seen, since)) if seen == record => now >= since + DURATION_MS,
                    Some(_) | None => {
                        contest.seen = Some((record, now));
                        false
                    }
                },
            };
            if free {
                let renewed = cluster.lease.map_or(0, |record| record.renewed) + 1;
                let until = now + DURATION_MS;
                cluster.lease = Some(Record { holder: agent, renewed, until });
                contest.state = State::Held { until };
                contest.seen = None;
            } else {
                contest.state = State::Lost;
            }
            self.queue.at(now + INTERVAL_MS, Event::Writer { agent, life });
        }
        self.look_at_lease(agent);
    }

    /// Tells a machine whether it may write, if that has changed: before each input, as its shell does.
    pub(super) fn look_at_lease(&mut self, agent: usize) {
        let now = self.now;
        let both = self.broken == Some(super::Broken::TwoWriters);
        let Some(process) = self.agents.get_mut(agent).and_then(|state| state.process.as_mut()) else {
            return;
        };
        let (may_write, may_dial) = process.contest.permits(now);
        let permits = (may_write || (both && process.contest.state == State::Lost), may_dial);
        if process.contest.told == Some(permits) || process.contest.state == State::New {
            return;
        }
        process.contest.told = Some(permits);
        let read_only = (!permits.0).then(|| "another agent writes to this cluster".to_owned());
        self.agent_takes(agent, Input::Writer { read_only, may_dial: permits.1 });
    }

    /// Tells whether somebody else holds the Lease of an agent's cluster.
    pub(super) fn another_holds(&self, agent: usize) -> bool {
        let lease = self.clusters.get(self.seat(agent)).and_then(|cluster| cluster.lease);
        lease.is_some_and(|record| record.holder != agent && record.until > self.now)
    }

    /// A second process starts beside an agent's, on a copy of its disk.
    pub(super) fn start_twin(&mut self, agent: usize) {
        let Some(of) = self.agents.get(agent) else { return };
        let twin = of.twin();
        self.agents.push(twin);
        self.oracle.twin_of(agent);
        let twin = self.agents.len() - 1;
        note!(self, "agent {twin} is a twin of {agent}");
        self.queue.at(self.now + 10, Event::AgentStart { agent: twin });
        let ends = self.now + self.chance.faults.between(5_000, 90_000);
        self.queue.at(ends, Event::TwinEnds { agent: twin });
    }

    /// A twin ends for good.
    pub(super) fn end_twin(&mut self, agent: usize) {
        self.crash_agent(agent, 0);
        if let Some(state) = self.agents.get_mut(agent) {
            state.is_over = true;
        }
    }
}
