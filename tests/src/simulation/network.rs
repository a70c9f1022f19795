//! Streams between agents and hub: ordered, slow, cut at any point, noticed late or never.

use std::collections::BTreeMap;

use super::schedule::{Event, ToAgent, ToHub};
use super::world::World;

/// One stream.
#[derive(Debug, Clone)]
pub(super) struct Stream {
    pub(super) agent: usize,
    pub(super) agent_life: u64,
    hub_life: Option<u64>,
    last_to_agent: u64,
    last_to_hub: u64,
    /// What would arrive after these points was lost with the link.
    lost_to_agent: u64,
    lost_to_hub: u64,
    closed_by_hub: bool,
    closed_by_agent: bool,
}

/// All streams.
#[derive(Debug, Clone, Default)]
pub(super) struct Network {
    streams: BTreeMap<u64, Stream>,
    next: u64,
    /// Bytes a second, for bulk.
    pub(super) rate: Option<u64>,
    pub(super) away_until: Vec<u64>,
}

impl Network {
    pub(super) fn new(agents: usize, rate: Option<u64>) -> Self {
        Self { rate, away_until: vec![0; agents], ..Self::default() }
    }

    pub(super) fn dial(&mut self, agent: usize, agent_life: u64) -> u64 {
        self.next += 1;
        self.streams.insert(
            self.next,
            Stream {
                agent,
                agent_life,
                hub_life: None,
                last_to_agent: 0,
                last_to_hub: 0,
                lost_to_agent: u64::MAX,
                lost_to_hub: u64::MAX,
                closed_by_hub: false,
                closed_by_agent: false,
            },
        );
        self.next
    }

    pub(super) fn is_away(&self, agent: usize, now: u64) -> bool {
        self.away_until.get(agent).is_some_and(|until| *until > now)
    }

    /// Gives the streams that the hub has open.
    pub(super) fn of_hub(&self) -> Vec<u64> {
        self.streams
            .iter()
            .filter(|(_, stream)| stream.hub_life.is_some() && !stream.closed_by_hub)
            .map(|(id, _)| *id)
            .collect()
    }

    /// Gives the streams of an agent that are not cut.
    pub(super) fn of_agent(&self, agent: usize) -> Vec<u64> {
        self.streams
            .iter()
            .filter(|(_, stream)| stream.agent == agent && !stream.closed_by_agent)
            .map(|(id, _)| *id)
            .collect()
    }

    pub(super) fn hub_closed(&mut self, stream: u64) {
        if let Some(stream) = self.streams.get_mut(&stream) {
            stream.closed_by_hub = true;
        }
    }
}

impl World {
    fn latency(&mut self) -> u64 {
        self.chance.links.between(1, 60)
    }

    /// Sends towards the agent, in order.
    pub(super) fn send_to_agent(&mut self, stream: u64, what: ToAgent) {
        let arrival = self.now + self.latency();
        let bulk = match &what {
            ToAgent::Frame(argosy_core::session::frame::HubFrame::Chunk(chunk)) => chunk.data.len() as u64,
            ToAgent::Frame(_) | ToAgent::Open | ToAgent::Refused | ToAgent::Closed => 0,
        };
        let slow = self.network.rate.map_or(0, |rate| bulk * 1000 / rate.max(1));
        let Some(line) = self.network.streams.get_mut(&stream).filter(|line| !line.closed_by_hub) else {
            return;
        };
        let arrival = arrival.max(line.last_to_agent) + slow;
        line.last_to_agent = arrival;
        self.queue.at(arrival, Event::ToAgent { stream, what });
    }

    /// Sends towards the hub, in order.
    pub(super) fn send_to_hub(&mut self, stream: u64, what: ToHub) {
        let arrival = self.now + self.latency();
        let Some(line) = self.network.streams.get_mut(&stream) else { return };
        let arrival = arrival.max(line.last_to_hub);
        line.last_to_hub = arrival;
        self.queue.at(arrival, Event::ToHub { stream, what });
    }

    pub(super) fn close_at_hub(&mut self, stream: u64) {
        self.send_to_agent(stream, ToAgent::Closed);
        self.network.hub_closed(stream);
    }

    pub(super) fn close_at_agent(&mut self, stream: u64) {
        self.send_to_hub(stream, ToHub::Closed);
        if let Some(line) = self.network.streams.get_mut(&stream) {
            line.closed_by_agent = true;
        }
    }

    /// The hub's process is gone: the agent learns of it, or not.
    pub(super) fn hang_up_at_hub(&mut self, stream: u64) {
        if self.chance.links.percent(80) {
            self.send_to_agent(stream, ToAgent::Closed);
        }
        self.network.hub_closed(stream);
    }

    /// The agent's process is gone: the hub learns of it, or not.
    pub(super) fn hang_up_at_agent(&mut self, stream: u64) {
        if self.chance.links.percent(80) {
            self.close_at_agent(stream);
        } else if let Some(line) = self.network.streams.get_mut(&stream) {
            line.closed_by_agent = true;
        }
    }

    /// Cuts an agent's streams in one direction or both; frames on their way may still arrive, much later.
    pub(super) fn cut(&mut self, agent: usize, to_the_agent: bool, to_the_hub: bool) {
        for stream in self.network.of_agent(agent) {
            let (to_agent, to_hub) = (self.chance.links.under(200), self.chance.links.under(5_000));
            let (agent_sees, hub_sees) = (self.chance.links.under(40_000), self.chance.links.under(40_000));
            let now = self.now;
            let Some(line) = self.network.streams.get_mut(&stream) else { continue };
            if line.lost_to_hub != u64::MAX || line.lost_to_agent != u64::MAX {
                continue;
            }
            if to_the_agent {
                line.lost_to_agent = now + to_agent;
            }
            if to_the_hub {
                line.lost_to_hub = now + to_hub;
            }
            if agent_sees < 28_000 {
                self.queue.at(now + agent_sees, Event::ToAgent { stream, what: ToAgent::Closed });
            }
            if hub_sees < 28_000 {
                self.queue.at(now + hub_sees, Event::ToHub { stream, what: ToHub::Closed });
            }
        }
    }

    pub(super) fn dialled(&mut self, agent: usize, life: u64, stream: u64) {
        let reachable = !self.network.is_away(self.seat(agent), self.now);
        let hub_life = self.hub.process.as_ref().map(|process| process.life);
        let alive = self.agents.get(agent).is_some_and(|state| state.is_alive(life));
        if !reachable || hub_life.is_none() || !alive {
            self.queue.at(self.now + 20, Event::ToAgent { stream, what: ToAgent::Refused });
            return;
        }
        if let Some(line) = self.network.streams.get_mut(&stream) {
            line.hub_life = hub_life;
        }
        note!(self, "agent {agent} dials [{stream}]");
        self.send_to_agent(stream, ToAgent::Open);
        self.hub_accepts(stream, agent);
    }

    pub(super) fn at_hub(&mut self, stream: u64, what: ToHub) {
        let Some(line) = self.network.streams.get(&stream) else { return };
        let here = self.hub.process.as_ref().map(|process| process.life);
        // A frame of a stream that the hub closed may still come late: its machine ignores it.
        let lost = matches!(what, ToHub::Frame(_)) && self.now > line.lost_to_hub;
        if here.is_none() || line.hub_life != here || lost {
            return;
        }
        let agent = line.agent;
        self.hub_receives(stream, agent, what);
    }

    pub(super) fn at_agent(&mut self, stream: u64, what: ToAgent) {
        let Some(line) = self.network.streams.get(&stream) else { return };
        let lost = matches!(what, ToAgent::Frame(_) | ToAgent::Open) && self.now > line.lost_to_agent;
        if lost {
            // A dial that is not answered is given up by the shell, in time.
            if matches!(what, ToAgent::Open) {
                self.queue.at(self.now + 10_000, Event::ToAgent { stream, what: ToAgent::Closed });
            }
            return;
        }
        let (agent, life) = (line.agent, line.agent_life);
        self.agent_receives(agent, life, stream, what);
    }
}
