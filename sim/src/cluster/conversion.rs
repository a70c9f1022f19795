//! Requests in a version that only a webhook could convert: nobody else's code runs here, so they end as they do on a real
//! cluster whose webhook is not there.

use super::Cluster;
use super::call::{Call, Verb};
use super::reply::{Body, Reply};
use super::status::Status;
use crate::kinds::Resource;

/// How the conversion of objects fails.
pub(super) struct Unconvertible<'a> {
    resource: &'a Resource,
    kept: &'a str,
    failure: &'a str,
}

// === impl Unconvertible ===

impl<'a> Unconvertible<'a> {
    /// Tells how the objects of a kind cannot be brought to the version that is asked for; nothing if they can.
    pub(super) fn of(resource: &'a Resource) -> Option<Self> {
        let custom = resource.custom()?;
        let failure = custom.webhook.as_deref().filter(|_| custom.storage_version != resource.version)?;
        Some(Self { resource, kept: &custom.storage_version, failure })
    }

    /// Says why an object that is kept cannot be shown.
    pub(super) fn shown(&self) -> Status {
        self.from(self.kept)
    }

    /// Says why an object that was sent cannot be kept.
    fn sent(&self) -> Status {
        self.from(&self.resource.version)
    }

    fn from(&self, version: &str) -> Status {
        let Resource { group, kind, .. } = self.resource;
        let failure = self.failure;
        Status::new(
            500,
            "",
            format!("conversion webhook for {group}/{version}, Kind={kind} failed: {failure}"),
        )
    }
}

// === impl Cluster ===

impl Cluster {
    /// Carries out what needs no conversion, and refuses the rest after whatever is found before a conversion.
    pub(super) fn call_unconverted(
        &mut self,
        call: &mut Call<'_>,
        why: &Unconvertible<'_>,
    ) -> Result<Reply, Status> {
        let Call { resource, namespace, name, .. } = *call;
        let is_there = self.find(resource, namespace, name).is_some();
        match call.verb {
            Verb::Get | Verb::Delete(_) if !is_there => Err(Status::not_found(resource, name)),
            Verb::Get | Verb::Delete(_) => Err(why.shown()),
            Verb::List(options) | Verb::DeleteCollection(_, options) => {
                let reply = self.list(resource, namespace, options)?;
                match &reply.body {
                    Body::List(list) if list.items.is_empty() => Ok(reply),
                    Body::List(_) | Body::Object(_) | Body::Value(_) | Body::Success(_) => Err(why.shown()),
                }
            }
            Verb::Update(_) | Verb::Patch(_) if is_there => Err(why.shown()),
            Verb::Create(_) | Verb::Update(_) | Verb::Patch(_) => {
                call.dry_run = true;
                self.write(call)?;
                Err(why.sent())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::cluster::{Config, DeleteOptions, FieldValidation, ListOptions, Selection, Subresource, Time};

    const NOW: Time = Time(1_700_000_000_000_000);

    fn ask(cluster: &mut Cluster, at: [&str; 3], name: &str, verb: Verb<'_>) -> Result<Reply, Status> {
        let [group, version, plural] = at;
        let resource = cluster.resource(group, version, plural).expect("the kind is served");
        let namespace = if resource.namespaced { "default" } else { "" };
        let (subresource, validation) = (Subresource::None, FieldValidation::Strict);
        let (manager, user) = ("test", "test");
        cluster.call(Call {
            resource: &resource,
            namespace,
            name,
            subresource,
            verb,
            manager,
            user,
            dry_run: false,
            validation,
            now: NOW,
        })
    }

    /// A cluster that keeps widgets in v1 and serves them in v2 as well, by a webhook.
    fn cluster() -> Cluster {
        let mut cluster = Cluster::new(Config { now: NOW, ..Config::default() });
        let version = |name: &str, storage: bool| {
            json!({"name": name, "served": true, "storage": storage,
            "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": {"type": "object"}}}}})
        };
        let service = json!({"namespace": "ops", "name": "hook", "path": "/convert"});
        let definition = json!({"metadata": {"name": "widgets.x.dev"}, "spec": {"group": "x.dev", "scope": "Namespaced",
            "names": {"plural": "widgets", "kind": "Widget"}, "versions": [version("v1", true), version("v2", false)],
            "conversion": {"strategy": "Webhook", "webhook": {
                "conversionReviewVersions": ["v1"], "clientConfig": {"service": service}}}}});
        let at = ["apiextensions.k8s.io", "v1", "customresourcedefinitions"];
        ask(&mut cluster, at, "", Verb::Create(definition)).unwrap();
        while let Some(due) = cluster.next_tick() {
            cluster.tick(due);
        }
        cluster
    }

    fn widget(version: &str) -> Value {
        json!({"apiVersion": format!("x.dev/{version}"), "kind": "Widget", "metadata": {"name": "w"}, "spec": {}})
    }

    #[test]
    fn the_version_that_is_kept_needs_no_webhook_and_the_others_fail_by_its_name() {
        let mut cluster = cluster();
        let [v1, v2] = ["v1", "v2"].map(|version| ["x.dev", version, "widgets"]);
        let list = ListOptions::default();

        let refused = ask(&mut cluster, v2, "", Verb::Create(widget("v2"))).unwrap_err();
        assert_eq!(
            (refused.code, refused.message.as_str()),
            (
                500,
                "conversion webhook for x.dev/v2, Kind=Widget failed: Post \"https://hook.ops.svc:443/convert?timeout=30s\": \
                 service \"hook\" not found"
            )
        );
        assert_eq!(ask(&mut cluster, v2, "w", Verb::Get).unwrap_err().code, 404);
        assert!(ask(&mut cluster, v2, "", Verb::List(&list)).is_ok(), "nothing needs conversion");

        ask(&mut cluster, v1, "", Verb::Create(widget("v1"))).unwrap();
        assert!(ask(&mut cluster, v1, "w", Verb::Get).is_ok());
        let shown = Status { message: refused.message.replace("x.dev/v2", "x.dev/v1"), ..refused };
        for verb in
            [Verb::Get, Verb::List(&list), Verb::Delete(DeleteOptions::default()), Verb::Update(widget("v2"))]
        {
            assert_eq!(ask(&mut cluster, v2, "w", verb).unwrap_err(), shown);
        }
        let resource = cluster.resource("x.dev", "v2", "widgets").unwrap();
        let selection = Selection::parse(&resource, "", "", "").unwrap();
        assert_eq!(cluster.events_since(&resource, &selection, 0).unwrap_err(), shown);
    }
}
