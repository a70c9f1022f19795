//! Order: what others need comes first (I14), and nothing is written while somebody at the edge has paused writes.

use argosy_core::cluster::Request;
use argosy_core::key::ResourceKey;
use argosy_core::reconcile::{Operation, tables};
use argosy_core::store::{encode, get_as};

use super::super::objects;
use super::{Asked, Oracle};

impl Oracle {
    /// An agent is told which kinds are served; `widgets` is whether they truly are.
    pub(in super::super) fn discovered(&mut self, agent: usize, widgets: bool) {
        if let Some(seen) = self.agents.get_mut(agent) {
            seen.widgets = widgets;
        }
    }

    /// A namespace is there.
    pub(super) fn homed(&mut self, seat: usize, name: &str) {
        self.homes.insert((seat, name.to_owned()));
    }

    /// A namespace that was asked for is there, or was refused, be it by the look before it: then what lives in it was not
    /// to be before it.
    pub(super) fn home_answered(&mut self, agent: usize, request: &Request, is_there: bool) {
        let (name, looks) = match request {
            Request::EnsureNamespace { name, .. } => (name.as_str(), false),
            Request::Apply { key, .. } if key.is_namespace() => (key.name.as_str(), false),
            Request::Get { key } if key.is_namespace() => (key.name.as_str(), true),
            Request::Get { .. }
            | Request::Try { .. }
            | Request::Apply { .. }
            | Request::GiveUp { .. }
            | Request::Delete { .. }
            | Request::Compare { .. } => return,
        };
        let Some(seen) = self.agents.get_mut(agent) else { return };
        if !is_there {
            seen.homeless.insert(name.to_owned());
        } else if !looks {
            seen.homeless.remove(name);
        }
    }

    /// Holds a write to whether it may be asked for now.
    pub(super) fn in_order(&mut self, asked: &Asked<'_>) {
        let Asked { agent, state, request, .. } = *asked;
        if let Some(order) = state.disk.order.as_ref().filter(|order| order.is_pause()) {
            let why = format!("agent {agent} writes while it is {}: {request:?}", order.words());
            self.violate("pause", why);
        }
        let Request::Apply { key, app, .. } = request else { return };
        let told = self.agents.get(agent).is_some_and(|seen| seen.widgets);
        if key.group_kind() == objects::widget_kind() && !told {
            self.violate(
                "I14",
                format!("agent {agent} applies {key} of a kind that it was not told is served"),
            );
        }
        // Whoever tries again was told that the namespace is not there, or not whether anything happened.
        let first = self.agents.get_mut(agent).is_some_and(|seen| seen.tried.insert(key.clone()));
        if !first {
            return;
        }
        let home = objects::namespace(&key.namespace);
        let seat = self.seat(agent);
        let homed = !objects::is_namespaced(key)
            || asked.cluster.has_namespace(&key.namespace)
            || self.agents.get(agent).is_some_and(|seen| seen.homeless.contains(key.namespace.as_str()))
            || self.homes.contains(&(seat, key.namespace.to_string()));
        if homed {
            return;
        }
        let operation =
            get_as::<Operation>(&state.disk.store, tables::OPERATIONS, &encode(app)).ok().flatten();
        let makes = operation.is_some_and(|operation| {
            let assignment = &operation.assignment;
            let asks =
                assignment.policy.create_namespace && assignment.destination.namespace == key.namespace;
            let brings = operation.options.writes(&home) && self.holds(assignment, &home).is_some();
            asks || (brings && !self.is_anothers(asked, &home))
        });
        if makes {
            self.violate("I14", format!("agent {agent} applies {key} of {app} before its namespace is made"));
        }
    }

    /// Tells whether another app of an agent has an object.
    fn is_anothers(&self, asked: &Asked<'_>, key: &ResourceKey) -> bool {
        let Request::Apply { app, .. } = asked.request else { return false };
        let list = super::chain::list_on(&asked.state.disk.store);
        list.is_none_or(|list| {
            let mut others = list.elements().iter().filter(|(other, _)| *other != app);
            others.any(|(_, element)| self.holds(&element.assignment, key).is_some())
        })
    }
}
