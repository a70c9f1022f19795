//! Creations.

use serde_json::{Map, Value};

use super::super::call::{Call, Subresource};
use super::super::reply::{Body, Reply};
use super::super::status::Status;
use super::super::store::Key;
use super::super::{Cluster, place_of};
use super::{Traits, check_type, own, place, read, unkept};
use crate::kinds::{metadata, prepare, rules};

/// How many letters are added to a `generateName`.
const SUFFIX: usize = 5;
/// The longest name to which they are added.
const LONGEST: usize = 63;

// === impl Cluster ===

impl Cluster {
    /// Creates an object that was sent as one.
    pub(super) fn create(
        &mut self,
        call: &Call<'_>,
        mut body: Value,
        warnings: &mut Vec<String>,
    ) -> Result<Reply, Status> {
        check_object(&mut body)?;
        check_type(call.resource, &body)?;
        let traits = Traits::of(&body);
        read(call, &mut body, warnings)?;
        place(call, &mut body)?;
        if let (Some(metadata), false) = (metadata::of(&mut body), call.name.is_empty()) {
            crate::kinds::fill::fill(metadata, "name", call.name);
        }
        self.admit(call.resource, call.namespace, metadata::text(&body, "name"))?;
        let empty = rules::empty(call.resource);
        let new = own(call, Some(&empty), clean(body));
        self.finish_create(call, new, traits, warnings)
    }

    /// Creates an object that has its owners.
    pub(super) fn finish_create(
        &mut self,
        call: &Call<'_>,
        mut new: Value,
        mut traits: Traits,
        warnings: &mut Vec<String>,
    ) -> Result<Reply, Status> {
        let resource = call.resource;
        self.interfere(resource, call.subresource, &mut new)?;
        if !metadata::text(&new, "resourceVersion").is_empty() {
            return Err(Status::new(500, "", "resourceVersion should not be set on objects to be created"));
        }
        let now = call.now.seconds();
        let generated = {
            let prefix: String =
                metadata::text(&new, "generateName").chars().take(LONGEST - SUFFIX).collect();
            let wanted = metadata::text(&new, "name").is_empty() && !prefix.is_empty();
            wanted.then(|| format!("{prefix}{}", self.random.suffix(SUFFIX)))
        };
        let uid = self.random.uid();
        if let Some(metadata) = metadata::of(&mut new) {
            if let Some(name) = generated {
                metadata.insert("name".to_owned(), name.into());
            }
            for field in ["deletionTimestamp", "deletionGracePeriodSeconds", "selfLink"] {
                metadata.remove(field);
            }
            metadata.insert("uid".to_owned(), uid.into());
            metadata.insert("creationTimestamp".to_owned(), now.as_str().into());
        }
        if call.subresource == Subresource::None {
            self.allocate(resource, &mut new, None, call.dry_run)?;
        }
        rules::prepare_create(resource, &mut new, &now);
        if traits.unlabelled {
            prepare::share_labels(resource, &mut new);
        }
        let name = metadata::text(&new, "name").to_owned();
        let causes = rules::validate(resource, &new, None, call.subresource);
        if !causes.is_empty() {
            return Err(Status::invalid(resource, &name, causes));
        }
        warnings.extend(rules::warn(resource, &new, None, call.subresource));
        rules::conform(resource, &mut new);
        if let Some(there) = self.find(resource, call.namespace, &name) {
            let mut status = Status::already_exists(resource, &name);
            if there.is_deleting() {
                status.message = format!("object is being deleted: {}", status.message);
            }
            return Err(status);
        }
        if call.dry_run {
            return Ok(unkept(&new, 201));
        }
        // The first write of a claim after this one is kept, whatever it changes.
        traits.untidy |= resource.is("", "persistentvolumeclaims");
        let object = self.commit_as(&place_of(resource), &Key::new(call.namespace, &name), new, traits);
        Ok(Reply { code: 201, body: Body::Object(object), warnings: Vec::new() })
    }
}

/// Checks that a body is an object with metadata, which are made if they are not there.
pub(super) fn check_object(body: &mut Value) -> Result<(), Status> {
    let map = body
        .as_object_mut()
        .ok_or_else(|| Status::bad_request("the body of the request was not an object"))?;
    let metadata = map.entry("metadata").or_insert_with(|| Map::new().into());
    if metadata.is_null() {
        *metadata = Map::new().into();
    }
    Ok(())
}

/// Takes from a new object what clients do not decide.
fn clean(mut object: Value) -> Value {
    if let Some(metadata) = metadata::of(&mut object) {
        for field in
            ["uid", "creationTimestamp", "selfLink", "deletionTimestamp", "deletionGracePeriodSeconds"]
        {
            metadata.remove(field);
        }
    }
    object
}
