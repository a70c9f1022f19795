//! What a webhook of admission would do to writes, set from outside: nobody else's code runs here.

use serde_json::Value;

use super::call::Subresource;
use super::{Cluster, Status};
use crate::kinds::{Resource, metadata};
use crate::patch;

/// Something that interferes with the writes of one resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interference {
    /// The plural name of the resource, with its group after a dot: `configmaps`, `deployments.apps`.
    pub resource: String,
    /// The name of the objects; empty for all.
    pub name: String,
    /// What it does.
    pub effect: Effect,
}

/// What becomes of a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// A JSON merge patch is applied to each new state, once it is known who owns which fields: so it is with webhooks,
    /// and owners do not see it in their managed fields.
    Mutate(Value),
    /// It is refused with these words.
    Deny(String),
}

// === impl Cluster ===

impl Cluster {
    /// Sets what interferes with writes from now on, in this order. What controllers create is not spared, their other
    /// writes are.
    pub fn set_interference(&mut self, interference: Vec<Interference>) {
        self.interference = interference;
    }

    /// Lets what interferes have its way with an object's next state.
    pub(super) fn interfere(
        &self,
        resource: &Resource,
        subresource: Subresource,
        new: &mut Value,
    ) -> Result<(), Status> {
        if subresource != Subresource::None {
            return Ok(());
        }
        let name = metadata::text(new, "name").to_owned();
        for one in self.interference.iter().filter(|one| one.is_about(resource, &name)) {
            match &one.effect {
                Effect::Deny(why) => {
                    let message = format!("admission webhook \"sim.argosy.dev\" denied the request: {why}");
                    return Err(Status::new(403, "Forbidden", message));
                }
                Effect::Mutate(merge) => {
                    let mutated = patch::merge(new.take(), merge);
                    *new = mutated.map_err(|error| {
                        Status::new(500, "InternalError", format!("Internal error occurred: {error}"))
                    })?;
                }
            }
        }
        Ok(())
    }
}

// === impl Interference ===

impl Interference {
    fn is_about(&self, resource: &Resource, name: &str) -> bool {
        let (plural, group) = self.resource.split_once('.').unwrap_or((&self.resource, ""));
        resource.is(group, plural) && (self.name.is_empty() || self.name == name)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cluster::{Body, Call, Config, FieldValidation, Patch, PatchKind, Reply, Time, Verb};

    fn apply(cluster: &mut Cluster, value: &str) -> Result<Reply, Status> {
        let resource = cluster.resource("", "v1", "configmaps").unwrap();
        let body =
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"k": value}});
        cluster.call(Call {
            resource: &resource,
            namespace: "default",
            name: "a",
            subresource: Subresource::None,
            verb: Verb::Patch(Patch { kind: PatchKind::Apply { force: true }, body }),
            manager: "ours",
            user: "test",
            dry_run: false,
            validation: FieldValidation::Strict,
            now: Time(1_700_000_000_000_000),
        })
    }

    fn object(reply: Reply) -> Value {
        let Body::Object(object) = reply.body else { panic!("{:?}", reply.body) };
        object.bare()
    }

    #[test]
    fn what_is_mutated_on_its_way_still_belongs_to_who_wrote_it() {
        let mut cluster = Cluster::new(Config::default());
        let effect = Effect::Mutate(json!({"data": {"k": "theirs"}}));
        let (resource, name) = ("configmaps".to_owned(), "a".to_owned());
        cluster.set_interference(vec![Interference { resource, name, effect }]);

        let made = object(apply(&mut cluster, "ours").unwrap());
        let again = object(apply(&mut cluster, "ours").unwrap());

        assert_eq!(made["data"]["k"], "theirs");
        assert_eq!(made["metadata"]["managedFields"][0]["fieldsV1"], json!({"f:data": {"f:k": {}}}));
        assert_eq!(again, made, "the same again is no change");
    }

    #[test]
    fn what_is_denied_is_not_written_and_the_next_write_may_be() {
        let mut cluster = Cluster::new(Config::default());
        let denial = |resource: &str, name: &str| Interference {
            resource: resource.to_owned(),
            name: name.to_owned(),
            effect: Effect::Deny("not today".to_owned()),
        };
        cluster.set_interference(vec![denial("configmaps", "")]);
        let refused = apply(&mut cluster, "1").unwrap_err();
        assert_eq!((refused.code, refused.reason), (403, "Forbidden"));
        assert!(refused.message.ends_with("denied the request: not today"), "{refused}");

        let others = [("configmaps.example.com", ""), ("secrets", ""), ("configmaps", "b")];
        cluster.set_interference(others.map(|(resource, name)| denial(resource, name)).to_vec());
        assert_eq!(apply(&mut cluster, "1").unwrap().code, 201, "they are about other objects");
    }
}
