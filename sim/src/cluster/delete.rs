//! Deletes.

use super::call::{Call, DeleteOptions, ListOptions};
use super::reply::{Body, Reply};
use super::status::{Details, Status};
use super::store::Key;
use super::watch::at_version;
use super::{Cluster, place_of};

// === impl Cluster ===

impl Cluster {
    pub(super) fn delete(&mut self, call: &Call<'_>, options: &DeleteOptions) -> Result<Reply, Status> {
        let resource = call.resource;
        let object = self
            .find(resource, call.namespace, call.name)
            .ok_or_else(|| Status::not_found(resource, call.name))?
            .clone();
        if let Some(uid) = options.uid.as_deref().filter(|uid| *uid != object.uid()) {
            let why = format!(
                "the UID in the precondition ({uid}) does not match the UID in record ({}). The object might have \
                 been deleted and then recreated",
                object.uid()
            );
            return Err(Status::conflict(resource, call.name, &why));
        }
        if !call.dry_run {
            let last = at_version(&object, self.store.next());
            self.store.remove(&place_of(resource), Key::new(call.namespace, call.name), last);
        }
        let details = Details {
            name: call.name.to_owned(),
            group: resource.group.clone(),
            kind: resource.plural.clone(),
            uid: object.uid().to_owned(),
            ..Details::default()
        };
        Ok(Reply { code: 200, body: Body::Success(details), warnings: Vec::new() })
    }

    pub(super) fn delete_collection(
        &mut self,
        call: &Call<'_>,
        options: &DeleteOptions,
        selection: &ListOptions,
    ) -> Result<Reply, Status> {
        let reply = self.list(call.resource, call.namespace, selection)?;
        if let Body::List(list) = &reply.body {
            for item in &list.items {
                let value = item.bare();
                let text = |field: &str| {
                    let metadata = value.get("metadata").and_then(|metadata| metadata.get(field));
                    metadata.and_then(serde_json::Value::as_str).unwrap_or_default()
                };
                let one = Call {
                    namespace: text("namespace"),
                    name: text("name"),
                    verb: super::Verb::Get,
                    manager: call.manager,
                    ..*call
                };
                match self.delete(&one, options) {
                    Err(status) if status.code == 404 => {}
                    outcome => {
                        outcome?;
                    }
                }
            }
        }
        Ok(reply)
    }
}
