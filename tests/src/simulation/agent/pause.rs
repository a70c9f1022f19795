//! What somebody at the edge orders: no more writes, or that they go on.

use argosy_core::agent::Input;
use argosy_core::pause::{PauseKind, PauseOrder};

use super::super::broken::Broken;
use super::super::schedule::Event;
use super::super::world::World;

impl World {
    /// Somebody pauses an agent, and ends the pause later.
    pub(in crate::simulation) fn pause(&mut self, agent: usize) {
        if self.give_order(agent, PauseKind::Pause) {
            let until = self.now + self.chance.faults.between(3_000, 90_000);
            self.queue.at(until, Event::Resume { agent });
        }
    }

    /// Somebody ends a pause. While the process is away that is written down, and read when it starts.
    pub(in crate::simulation) fn resume(&mut self, agent: usize) {
        self.give_order(agent, PauseKind::Resume);
    }

    /// Makes an order durable beside the store and then says it to the machine; `false` when it changes nothing.
    fn give_order(&mut self, agent: usize, kind: PauseKind) -> bool {
        let Some(state) = self.agents.get_mut(agent).filter(|state| !state.is_over) else { return false };
        let order = PauseOrder::new(kind, "ana", "the plant is down", state.now(self.now));
        if order.follows(state.disk.order.as_ref()).is_err() {
            return false;
        }
        state.disk.order = Some(order.clone());
        let runs = state.process.is_some();
        note!(self, "somebody at the edge of {agent}: {kind:?}");
        if runs {
            self.agent_takes(agent, Input::Pause(order));
        }
        true
    }

    /// A process that starts is told what was ordered last, before it may write.
    pub(super) fn say_order_again(&mut self, agent: usize) {
        let order = self.agents.get(agent).and_then(|state| state.disk.order.clone());
        if let Some(order) = order.filter(|_| !self.is(Broken::PauseForgotten)) {
            self.agent_takes(agent, Input::Pause(order));
        }
    }
}
