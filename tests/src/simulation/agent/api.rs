//! What a simulated agent has to do with its API server: requests and their answers.

use argosy_core::agent::Input;
use argosy_core::cluster::{Answer, ApiError, Refusal, Request, RequestId, Subject};
use argosy_core::ids::Digest;
use argosy_core::session::tables::MANIFESTS;
use argosy_core::store::StoreRead as _;
use argosy_sim::cluster::Status;

use super::super::broken::Broken;
use super::super::cluster::{Manner, Spell};
use super::super::objects;
use super::super::oracle::{Asked, Executed};
use super::super::plan::Trouble;
use super::super::schedule::{Event, Passage};
use super::super::world::World;
use super::name;

/// What an API server says that cannot answer now.
fn busy(code: u16, retry_after: u64) -> ApiError {
    let mut status = Status::new(code, "ServiceUnavailable", "busy");
    status.details.get_or_insert_default().retry_after_seconds = retry_after;
    refused(&status)
}

fn refused(status: &Status) -> ApiError {
    Refusal::of_status(&status.to_value()).classify(Subject::default())
}

fn lost() -> ApiError {
    ApiError::Unreachable("no answer".to_owned())
}

impl World {
    pub(in crate::simulation) fn request(&mut self, agent: usize, id: RequestId, request: Request) {
        let Some(life) = self.life_of(agent) else { return };
        if request.is_write() && self.another_holds(agent) {
            self.oracle
                .violate("I13", format!("agent {agent} writes while another holds the lease: {request:?}"));
        }
        let Some(state) = self.agents.get(agent) else { return };
        let Some(cluster) = self.clusters.get(state.seat) else { return };
        let asked = Asked { agent, life, id, state, request: &request, cluster, now: self.now };
        self.oracle.requested(&self.git, &asked);
        let stored = |manifest: Digest| state.disk.store.get(MANIFESTS, manifest.as_bytes()).ok().flatten();
        let manifest = request.manifest().and_then(stored);
        let down = cluster.down_until > self.now;
        let slow = cluster.is_under(Spell::Slow, self.now);
        let throttled = cluster.is_under(Spell::Throttled, self.now);
        note!(self, "{agent} => api #{} {}", id.0, name(&request));
        let mut delay = self.chance.api.between(1, 40);
        if down {
            let event = Event::Answer { agent, life, id, answer: Err(lost()) };
            self.queue.at(self.now + delay, event);
            self.oracle.lost(agent, &request);
            return;
        }
        let mut what = Passage { manifest, answered: true, fails: None };
        if slow {
            delay = self.chance.api.between(500, 25_000);
        }
        if throttled && self.chance.api.percent(80) {
            what.fails = Some(busy(429, self.chance.api.between(1, 10)));
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
                what.answered = false;
                arrival = self.now + self.chance.api.between(1, 85_000);
                let event = Event::Answer { agent, life, id, answer: Err(lost()) };
                self.queue.at(self.now + 30_000, event);
            }
            7..=10 => what.fails = Some(busy(503, 0)),
            11..=12 => {
                let denied = Status::new(403, "Forbidden", "admission webhook \"x\" denied the request: no");
                what.fails = Some(refused(&denied));
            }
            13 => what.fails = Some(refused(&Status::new(409, "Conflict", "something changed"))),
            _ => {}
        }
        self.queue.at(arrival, Event::Api { agent, life, id, request, what });
    }

    /// A request arrives.
    pub(in crate::simulation) fn api(
        &mut self,
        (agent, life, id): (usize, u64, RequestId),
        request: &Request,
        what: Passage,
    ) {
        let Passage { manifest, answered, fails } = what;
        let lingers = self.chance.api.percent(25);
        let seat = self.seat(agent);
        let manner = self.manner(request);
        let Some(cluster) = self.clusters.get_mut(seat) else { return };
        let answer = if let Some(error) = fails {
            Err(error)
        } else {
            if let (Request::Delete { key, uid, .. }, true) = (request, lingers)
                && !key.is_crd()
                && !key.is_namespace()
            {
                cluster.hold(key, uid, self.now);
            }
            let key = match request {
                Request::Get { key }
                | Request::Try { key, .. }
                | Request::Apply { key, .. }
                | Request::GiveUp { key, .. }
                | Request::Delete { key, .. }
                | Request::Compare { key, .. } => key.clone(),
                Request::EnsureNamespace { name, .. } => objects::namespace(name),
            };
            let before = cluster.peek(&key);
            let answer = cluster.execute(request, manifest.as_deref(), manner, self.now);
            let after = cluster.peek(&key);
            if let (Request::Apply { key, .. }, false) = (request, answered) {
                // What lands so late that nobody waits for it is drift like another writer's.
                cluster.meddled.insert(key.clone());
            }
            let executed = Executed { before: before.as_deref(), after: after.as_deref(), answer: &answer };
            self.oracle.executed(&self.git, agent, request, executed);
            answer
        };
        self.oracle.landed(agent, request, &answer);
        if request.is_write() {
            note!(self, "api {agent} #{} {}: {}", id.0, name(request), word(&answer));
        }
        self.spread(seat);
        if answered {
            let delay = self.chance.api.between(1, 40);
            self.queue.at(self.now + delay, Event::Answer { agent, life, id, answer });
        }
    }

    /// Gives how a request is carried out.
    fn manner(&self, request: &Request) -> Manner {
        match (self.broken, request) {
            (Some(Broken::DeleteByName), Request::Delete { .. })
            | (Some(Broken::ApplyByName), Request::Apply { .. }) => Manner::ByName,
            (Some(Broken::ApplyReplaces), _) => Manner::Replaces,
            (Some(Broken::ApplyMerges), _) => Manner::Merges,
            (Some(Broken::ApplyRobs), _) => Manner::Robs,
            (Some(Broken::NamespaceUnmade), _) => Manner::Pretends,
            (Some(Broken::TrialInEarnest), _) => Manner::Earnest,
            (Some(_) | None, _) => Manner::Right,
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
}

/// Says an answer in one word.
fn word(answer: &Result<Answer, ApiError>) -> String {
    match answer {
        Ok(Answer::Applied(applied)) => {
            let (live, created) = (&applied.live, applied.created);
            format!("ok uid={} v{} created={created}", live.uid, live.resource_version)
        }
        Ok(answer) => format!("{answer:?}"),
        Err(error) => format!("{error:?}"),
    }
}
