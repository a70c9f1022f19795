//! What a simulated agent sees of its cluster: lists, and watches that break, hang and tell of the past.

use argosy_core::agent::Input;
use argosy_core::cluster::{ApiError, WatchEvent, Watched};

use super::super::cluster::{Later, Listed};
use super::super::schedule::Event;
use super::super::world::World;

impl World {
    /// Brings the changes of a cluster to the watches, and what it and others do later onto the queue.
    pub(in crate::simulation) fn spread(&mut self, seat: usize) {
        let Some(cluster) = self.clusters.get_mut(seat) else { return };
        if let Some(due) = cluster.next_tick(self.now) {
            self.queue.at(due, Event::ControlPlane { cluster: seat });
        }
        let news = cluster.has_news();
        for what in std::mem::take(&mut cluster.later) {
            let delay = match &what {
                Later::Expire(..) => self.chance.api.between(5_000, 120_000),
                Later::Release(..) => self.chance.api.between(50, 8_000),
                Later::Remake { .. } => self.chance.api.between(50, 1_000),
            };
            self.queue.at(self.now + delay, Event::Later { cluster: seat, what });
        }
        if news {
            for agent in self.agents_of(seat) {
                self.deliver(agent);
            }
        }
    }

    /// Gives the agents of a cluster: the one that belongs there, and its twins.
    fn agents_of(&self, seat: usize) -> Vec<usize> {
        let all = self.agents.iter().enumerate();
        all.filter(|(_, state)| state.seat == seat).map(|(agent, _)| agent).collect()
    }

    /// Brings what is new to an agent's watches.
    fn deliver(&mut self, agent: usize) {
        let Some(state) = self.agents.get_mut(agent) else { return };
        let Some(cluster) = self.clusters.get_mut(state.seat) else { return };
        let Some(process) = &mut state.process else { return };
        let life = process.life;
        for (watched, watch) in process.watches.iter_mut().filter(|(_, watch)| !watch.hung) {
            let Some(feed) = &mut watch.feed else { continue };
            let number = watch.number;
            for event in cluster.follow(watched, feed) {
                watch.last = watch.last.max(self.now + self.chance.api.between(1, 150));
                self.queue
                    .at(watch.last, Event::Watch { agent, life, watched: watched.clone(), number, event });
            }
            if !cluster.serves(&watched.kind()) {
                // The API server ends the watches of a kind that goes.
                watch.feed = None;
                watch.failed = true;
                let event = WatchEvent::Broken(ApiError::NotServed(format!(
                    "{} is not served any more",
                    watched.kind()
                )));
                self.queue
                    .at(watch.last, Event::Watch { agent, life, watched: watched.clone(), number, event });
                self.queue
                    .at(watch.last + 1_000, Event::List { agent, life, watched: watched.clone(), number });
            }
        }
    }

    pub(in crate::simulation) fn list(&mut self, agent: usize, life: u64, watched: Watched, number: u64) {
        if self.life_of(agent) != Some(life) {
            return;
        }
        let Some(state) = self.agents.get_mut(agent) else { return };
        let Some(cluster) = self.clusters.get_mut(state.seat) else { return };
        let watches = state.process.as_mut().map(|process| &mut process.watches);
        let Some(watch) = watches.and_then(|watches| watches.get_mut(&watched)) else { return };
        if watch.number != number {
            return;
        }
        let listed = if cluster.down_until > self.now {
            Err(ApiError::Unreachable("connection refused".to_owned()))
        } else {
            cluster.list(&watched, self.now)
        };
        let delay = self.chance.api.between(1, 100);
        let Listed { resource_version, objects, mut feed } = match listed {
            Ok(listed) => listed,
            Err(error) => {
                self.queue
                    .at(self.now + 1_000, Event::List { agent, life, watched: watched.clone(), number });
                // That it does not work is said once.
                if !std::mem::replace(&mut watch.failed, true) {
                    self.agent_takes(agent, Input::Watch(watched, WatchEvent::Broken(error)));
                }
                return;
            }
        };
        let since = cluster.follow(&watched, &mut feed);
        watch.failed = false;
        watch.feed = Some(feed);
        watch.last = self.now + delay;
        let event = WatchEvent::Listed { resource_version, objects };
        self.queue.at(watch.last, Event::Watch { agent, life, watched: watched.clone(), number, event });
        for event in since {
            watch.last += self.chance.api.between(1, 2_000);
            self.queue.at(watch.last, Event::Watch { agent, life, watched: watched.clone(), number, event });
        }
    }

    pub(in crate::simulation) fn watched(
        &mut self,
        agent: usize,
        life: u64,
        watched: Watched,
        number: u64,
        event: WatchEvent,
    ) {
        let process = self.agents.get(agent).and_then(|state| state.process.as_ref());
        let known =
            process.filter(|process| process.life == life).and_then(|process| process.watches.get(&watched));
        if known.is_some_and(|watch| watch.number == number) {
            self.agent_takes(agent, Input::Watch(watched, event));
        }
    }

    /// An agent's watches say nothing more, until their time-outs break them.
    pub(in crate::simulation) fn hang_watches(&mut self, agent: usize) {
        let Some(process) = self.agents.get_mut(agent).and_then(|state| state.process.as_mut()) else {
            return;
        };
        for watch in process.watches.values_mut() {
            watch.hung = true;
        }
        let delay = self.chance.api.between(5_000, 300_000);
        self.queue.at(self.now + delay, Event::BreakWatches { agent });
    }

    /// Watches break, and what answers the next lists lags behind: it tells of the past, then catches up.
    pub(in crate::simulation) fn stale_watches(&mut self, agent: usize) {
        let lag = self.chance.api.between(500, 5_000);
        if let Some(cluster) = self.clusters.get_mut(agent) {
            cluster.lags(self.now + lag);
        }
        self.break_watches(agent);
    }

    /// Breaks the watches of a cluster; each lists again a little later.
    pub(in crate::simulation) fn break_watches(&mut self, seat: usize) {
        for agent in self.agents_of(seat) {
            self.break_watches_of(agent);
        }
    }

    fn break_watches_of(&mut self, agent: usize) {
        let Some(process) = self.agents.get_mut(agent).and_then(|state| state.process.as_mut()) else {
            return;
        };
        let life = process.life;
        let mut broken = Vec::new();
        for (watched, watch) in &mut process.watches {
            watch.number = self.chance.api.next();
            watch.feed = None;
            watch.hung = false;
            let told = std::mem::replace(&mut watch.failed, true);
            broken.push((watched.clone(), watch.number, told));
        }
        for (watched, number, told) in broken {
            let delay = self.chance.api.between(10, 2_000);
            self.queue.at(self.now + delay, Event::List { agent, life, watched: watched.clone(), number });
            if !told {
                let error = ApiError::Unreachable("closed".to_owned());
                self.agent_takes(agent, Input::Watch(watched, WatchEvent::Broken(error)));
            }
        }
    }
}
