//! What a simulated agent has to do with its API server: requests, answers, lists and watches.

use std::time::Duration;

use argosy_core::agent::Input;
use argosy_core::cluster::{Answer, ApiError, Request, RequestId, WatchEvent};
use argosy_core::key::GroupKind;

use super::super::broken::Broken;
use super::super::cluster::{Change, Later, Spell};
use super::super::plan::Trouble;
use super::super::schedule::Event;
use super::super::world::World;
use super::name;

impl World {
    pub(in crate::simulation) fn request(&mut self, agent: usize, id: RequestId, request: Request) {
        let Some(life) = self.life_of(agent) else { return };
        let Some(state) = self.agents.get(agent) else { return };
        if !matches!(request, Request::Get { .. }) && self.another_holds(agent) {
            self.oracle
                .violate("I13", format!("agent {agent} writes while another holds the lease: {request:?}"));
        }
        self.oracle.requested(&self.git, agent, life, id, state, &request, self.now);
        self.note(&format!("{agent} => api #{} {}", id.0, name(&request)));
        let lost = || ApiError::Unreachable("no answer".to_owned());
        let Some(cluster) = self.clusters.get(self.seat(agent)) else { return };
        let mut delay = self.chance.api.between(1, 40);
        if cluster.down_until > self.now {
            let event = Event::Answer { agent, life, id, answer: Err(lost()) };
            self.queue.at(self.now + delay, event);
            self.oracle.lost(agent, &request);
            return;
        }
        let busy = |retry_after| ApiError::Unavailable { message: "busy".to_owned(), retry_after };
        let (mut answered, mut fails) = (true, None);
        if cluster.is_under(Spell::Slow, self.now) {
            delay = self.chance.api.between(500, 25_000);
        }
        if cluster.is_under(Spell::Denied, self.now) && matches!(request, Request::Apply { .. }) {
            fails = Some(ApiError::Refused("a webhook says no".to_owned()));
        }
        if cluster.is_under(Spell::Throttled, self.now) && self.chance.api.percent(80) {
            let after = Duration::from_secs(self.chance.api.between(1, 10));
            fails = Some(busy(Some(after)));
        }
        let errors = !self.quiet && self.plan.has(Trouble::ApiErrors);
        let fate = if errors { self.chance.api.under(200) } else { 200 };
        let mut arrival = self.now + delay;
        match fate {
            0..=2 => {
                let event = Event::Answer { agent, life, id, answer: Err(lost()) };
                self.queue.at(self.now + 30_000, event);
                self.oracle.lost(agent, &request);
                return;
            }
            3..=6 => {
                answered = false;
                arrival = self.now + self.chance.api.between(1, 85_000);
                let event = Event::Answer { agent, life, id, answer: Err(lost()) };
                self.queue.at(self.now + 30_000, event);
            }
            7..=10 => fails = Some(busy(None)),
            11..=12 => fails = Some(ApiError::Refused("a webhook says no".to_owned())),
            13 => fails = Some(ApiError::Conflict("something changed".to_owned())),
            _ => {}
        }
        self.queue.at(arrival, Event::Api { agent, life, id, request, answered, fails });
    }

    pub(in crate::simulation) fn api(
        &mut self,
        (agent, life, id): (usize, u64, RequestId),
        request: &Request,
        answered: bool,
        fails: Option<ApiError>,
    ) {
        let lingers = self.chance.api.percent(25);
        let seat = self.seat(agent);
        let Some(cluster) = self.clusters.get_mut(seat) else { return };
        let answer = if let Some(error) = fails {
            Err(error)
        } else {
            let before = match request {
                Request::Get { key } | Request::Apply { key, .. } | Request::Delete { key, .. } => {
                    cluster.objects.get(key).cloned()
                }
                Request::EnsureNamespace { .. } => None,
            };
            let mut answer = match (self.broken, request) {
                (Some(Broken::DeleteByName), Request::Delete { key, propagation, .. })
                    if before.is_some() =>
                {
                    let uid = before.as_ref().map(|before| before.uid.clone()).unwrap_or_default();
                    let any = Request::Delete { key: key.clone(), uid, propagation: *propagation };
                    cluster.execute(&any, lingers)
                }
                (Some(Broken::ApplyByName), Request::Apply { key, manifest, app, .. }) => {
                    let (key, manifest, app) = (key.clone(), *manifest, app.clone());
                    cluster.execute(&Request::Apply { key, manifest, app, uid: None }, lingers)
                }
                (Some(_) | None, _) => cluster.execute(request, lingers),
            };
            if let (Ok(Answer::Applied(applied)), true) =
                (&mut answer, cluster.is_under(Spell::Mutated, self.now))
            {
                applied.changed = vec!["/version".to_owned()];
            }
            if let (Request::Apply { key, .. }, false) = (request, answered) {
                // What lands so late that nobody waits for it is drift like another writer's.
                cluster.meddled.insert(key.clone());
            }
            self.oracle.executed(&self.git, agent, request, before.as_ref(), &answer);
            answer
        };
        self.oracle.landed(agent, request);
        if !matches!(request, Request::Get { .. }) {
            let word = match &answer {
                Ok(Answer::Applied(applied)) => {
                    format!(
                        "ok uid={} v{} created={}",
                        applied.live.uid, applied.live.resource_version, applied.created
                    )
                }
                Ok(answer) => format!("{answer:?}"),
                Err(error) => format!("{error:?}"),
            };
            self.note(&format!("api {agent} #{} {}: {word}", id.0, name(request)));
        }
        self.spread(seat);
        if answered {
            let delay = self.chance.api.between(1, 40);
            self.queue.at(self.now + delay, Event::Answer { agent, life, id, answer });
        }
    }

    pub(in crate::simulation) fn answered(
        &mut self,
        agent: usize,
        life: u64,
        id: RequestId,
        answer: Result<Answer, ApiError>,
    ) {
        if self.life_of(agent) == Some(life) {
            self.oracle.answered(&self.git, agent, id, answer.is_ok());
            self.agent_takes(agent, Input::Answer(id, answer));
        }
    }

    /// Brings the changes of a cluster to the watches, and what it does by itself onto the queue.
    pub(in crate::simulation) fn spread(&mut self, seat: usize) {
        let Some(cluster) = self.clusters.get_mut(seat) else { return };
        let changes = std::mem::take(&mut cluster.changes);
        let later = std::mem::take(&mut cluster.later);
        for one in later {
            let (delay, event) = match one {
                Later::Grow(key, uid) => {
                    (self.chance.api.between(50, 3_000), Event::Grow { cluster: seat, key, uid })
                }
                Later::Expire(key, uid) => {
                    (self.chance.api.between(5_000, 120_000), Event::Expire { cluster: seat, key, uid })
                }
                Later::Finalize(key, uid) => {
                    (self.chance.api.between(50, 8_000), Event::Finalize { cluster: seat, key, uid })
                }
            };
            self.queue.at(self.now + delay, event);
        }
        for change in changes {
            for agent in self.agents_of(seat) {
                self.deliver(agent, &change);
            }
        }
    }

    /// Gives the agents of a cluster: the one that belongs there, and its twins.
    fn agents_of(&self, seat: usize) -> Vec<usize> {
        let all = self.agents.iter().enumerate();
        all.filter(|(_, state)| state.seat == seat).map(|(agent, _)| agent).collect()
    }

    /// Brings a change to an agent's watch.
    fn deliver(&mut self, agent: usize, change: &Change) {
        let delay = self.chance.api.between(1, 150);
        let Some(process) = self.agents.get_mut(agent).and_then(|state| state.process.as_mut()) else {
            return;
        };
        let kind = change.key.group_kind();
        let watch = process.watches.get_mut(&kind).filter(|watch| watch.open && !watch.hung);
        let Some(watch) = watch else { return };
        let event = match &change.now {
            Some(live) if live.labelled => WatchEvent::Seen(live.clone()),
            Some(_) | None if change.was_labelled => WatchEvent::Gone(change.key.clone()),
            Some(_) | None => return,
        };
        watch.last = watch.last.max(self.now + delay);
        let number = watch.number;
        self.queue.at(watch.last, Event::Watch { agent, life: process.life, kind, number, event });
    }

    pub(in crate::simulation) fn list(&mut self, agent: usize, life: u64, kind: GroupKind, number: u64) {
        if self.life_of(agent) != Some(life) {
            return;
        }
        let Some(cluster) = self.clusters.get(self.seat(agent)) else { return };
        let down = cluster.down_until > self.now || !cluster.kinds().contains_key(&kind);
        let (resource_version, objects) = cluster.listed(&kind, self.now);
        let since = cluster.since(&kind, &objects);
        let delay = self.chance.api.between(1, 100);
        let Some(process) = self.agents.get_mut(agent).and_then(|state| state.process.as_mut()) else {
            return;
        };
        let Some(watch) = process.watches.get_mut(&kind).filter(|watch| watch.number == number) else {
            return;
        };
        if down {
            self.queue.at(self.now + 1_000, Event::List { agent, life, kind, number });
            return;
        }
        watch.open = true;
        watch.last = self.now + delay;
        let event = WatchEvent::Listed { resource_version, objects };
        self.queue.at(watch.last, Event::Watch { agent, life, kind: kind.clone(), number, event });
        for event in since {
            watch.last += self.chance.api.between(1, 2_000);
            self.queue.at(watch.last, Event::Watch { agent, life, kind: kind.clone(), number, event });
        }
    }

    pub(in crate::simulation) fn watched(
        &mut self,
        agent: usize,
        life: u64,
        kind: GroupKind,
        number: u64,
        event: WatchEvent,
    ) {
        let process = self.agents.get(agent).and_then(|state| state.process.as_ref());
        let known =
            process.filter(|process| process.life == life).and_then(|process| process.watches.get(&kind));
        if known.is_some_and(|watch| watch.number == number) {
            self.agent_takes(agent, Input::Watch(kind, event));
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
        for (kind, watch) in &mut process.watches {
            watch.number = self.chance.api.next();
            watch.open = false;
            watch.hung = false;
            broken.push((kind.clone(), watch.number));
        }
        for (kind, number) in broken {
            let delay = self.chance.api.between(10, 2_000);
            self.queue.at(self.now + delay, Event::List { agent, life, kind: kind.clone(), number });
            self.agent_takes(
                agent,
                Input::Watch(kind, WatchEvent::Broken(ApiError::Unreachable("closed".to_owned()))),
            );
        }
    }
}
