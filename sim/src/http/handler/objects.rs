//! Requests about objects.

use std::sync::Arc;

use http::Method;

use super::Asked;
use crate::cluster::{
    Call, Cause, DeleteOptions, FieldValidation, ListOptions, Patch, PatchKind, Reply, Status, Subresource,
    Verb,
};
use crate::http::answer::Answer;
use crate::http::forms::{Frames, Writer};
use crate::http::media::{Accepted, Content};
use crate::http::options::{self, Change, WriteOptions};
use crate::http::path::Address;
use crate::http::shared::Shared;
use crate::http::table::Include;
use crate::http::watch::{self, Wanted};
use crate::http::{decode, refusal, reviews};
use crate::kinds::Resource;

/// A request whose place is there.
struct Request<'a> {
    shared: &'a Arc<Shared>,
    asked: &'a Asked<'a>,
    address: &'a Address,
    resource: Arc<Resource>,
    subresource: Subresource,
    accepted: Accepted,
}

/// A change that was read.
struct Write {
    options: WriteOptions,
    verb: Verb<'static>,
    duplicates: Vec<String>,
}

/// Answers a request about objects.
pub(super) fn answer(shared: &Arc<Shared>, address: &Address, asked: &Asked<'_>) -> Result<Answer, Status> {
    let found = shared.with(|cluster| cluster.resource(&address.group, &address.version, &address.resource));
    let found = found.or_else(|| reviews::resource(&address.group, &address.version, &address.resource));
    let Some(resource) = found else {
        let catalogue = shared.catalogue();
        // Of a group of definitions alone nothing is told, not even that it is there.
        let is_known =
            catalogue.has(&address.group, &address.version) && !catalogue.is_custom(&address.group);
        return if address.group.is_empty() || is_known {
            Err(refusal::not_found())
        } else {
            Ok(Answer::no_such_page())
        };
    };
    let is_custom = resource.custom().is_some();
    let one = !address.name.is_empty();
    let reads_all = *asked.method == Method::GET && !one;
    if resource.namespaced == address.namespace.is_empty() && !(resource.namespaced && reads_all) {
        return match (is_custom, *asked.method == Method::GET || one || !resource.namespaced) {
            (true, _) => Ok(Answer::no_such_page()),
            (false, true) => Err(refusal::not_found()),
            (false, false) => Err(Status::method_not_allowed()),
        };
    }
    let Some(subresource) = part(&resource, address) else {
        return Err(if is_custom {
            Status::not_found(&resource, &address.name)
        } else {
            refusal::not_found()
        });
    };
    let accepted = Accepted::negotiate(asked.accept).ok_or_else(|| refusal::not_acceptable(is_custom))?;
    let request = Request { shared, asked, address, resource, subresource, accepted };
    if request.resource.verbs == ["create"] {
        return request.review();
    }
    request.answer()
}

/// Finds the part of the object; nothing if there is no such part.
fn part(resource: &Resource, address: &Address) -> Option<Subresource> {
    if address.subresource.is_empty() {
        return Some(Subresource::None);
    }
    resource.subresource(&address.subresource)?;
    Subresource::parse(&address.subresource)
}

// === impl Request ===

impl Request<'_> {
    fn answer(&self) -> Result<Answer, Status> {
        let one = !self.address.name.is_empty();
        match self.asked.method.as_str() {
            "GET" | "HEAD" if self.address.watch || (!one && self.asked.query.flag("watch")) => self.watch(),
            "GET" | "HEAD" if one => self.get(),
            "GET" | "HEAD" => self.list(),
            "POST" if !one || self.subresource != Subresource::None => self.write(Change::Create),
            "PUT" if one => self.write(Change::Update),
            "PATCH" if one => self.patch(),
            "DELETE" if one => self.delete(),
            "DELETE" => self.delete_collection(),
            "PUT" | "PATCH" if self.resource.custom().is_some() => {
                Err(Status::bad_request("name must be provided"))
            }
            _ => Err(Status::method_not_allowed()),
        }
    }

    /// Refuses what the kind, or the part of it, does not know.
    fn allowed(&self, verb: &str) -> Result<(), Status> {
        let part = self.resource.subresource(&self.address.subresource);
        let verbs = part.map_or(&self.resource.verbs, |part| &part.verbs);
        if verbs.contains(&verb) { Ok(()) } else { Err(Status::method_not_allowed()) }
    }

    fn call(&self, verb: Verb<'_>, options: Option<&WriteOptions>, dry_run: bool) -> Result<Reply, Status> {
        self.shared.call(Call {
            resource: &self.resource,
            namespace: &self.address.namespace,
            name: &self.address.name,
            subresource: self.subresource,
            verb,
            manager: options.map_or("", |options| options.manager.as_str()),
            user: &self.asked.user.name,
            dry_run,
            validation: options.map_or(FieldValidation::Ignore, |options| options.validation),
            now: self.shared.now(),
        })
    }

    fn get(&self) -> Result<Answer, Status> {
        self.allowed("get")?;
        let wanted = self.asked.query.text("resourceVersion");
        if !wanted.is_empty() {
            wanted.parse::<u64>().map_err(|_no_number| refusal::bad_version(wanted))?;
            let options =
                ListOptions { resource_version: wanted.to_owned(), limit: 1, ..ListOptions::default() };
            // A version that is not reached yet is refused as it is of a list.
            self.call(Verb::List(&options), None, false)?;
        }
        let reply = self.call(Verb::Get, None, false)?;
        self.reply(reply)
    }

    fn list(&self) -> Result<Answer, Status> {
        self.allowed("list")?;
        let (options, _) = options::list(&self.asked.query, false)?;
        let reply = self.call(Verb::List(&options), None, false)?;
        self.reply(reply)
    }

    fn watch(&self) -> Result<Answer, Status> {
        self.allowed("watch")?;
        let (mut list, watch) = options::list(&self.asked.query, true)?;
        if !self.address.name.is_empty() {
            let name = format!("metadata.name={}", self.address.name);
            let comma = if list.field_selector.is_empty() { "" } else { "," };
            list.field_selector = format!("{name}{comma}{}", list.field_selector);
        }
        let frames = Frames::new(Arc::clone(&self.resource), self.accepted.form, self.include()?);
        let resource = Arc::clone(&self.resource);
        let wanted = Wanted { resource, namespace: &self.address.namespace, list, watch, frames };
        Ok(Answer::stream(watch::begin(self.shared, wanted)?))
    }

    fn write(&self, change: Change) -> Result<Answer, Status> {
        self.allowed(if change == Change::Create { "create" } else { "update" })?;
        let read = self.body()?;
        let options = WriteOptions::read(&self.asked.query, change, self.asked.user_agent)?;
        let verb = if change == Change::Create { Verb::Create(read.value) } else { Verb::Update(read.value) };
        self.carry_out(Write { options, verb, duplicates: read.duplicates })
    }

    fn patch(&self) -> Result<Answer, Status> {
        self.allowed("patch")?;
        let is_custom = self.resource.custom().is_some();
        let content = Content::of(self.asked.content_type).filter(|content| match content {
            Content::JsonPatch | Content::MergePatch | Content::ApplyPatch => true,
            Content::StrategicPatch => !is_custom,
            Content::Json | Content::Yaml | Content::Protobuf => false,
        });
        let content = content.ok_or_else(|| {
            if is_custom {
                let accepted =
                    "application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml";
                refusal::unsupported_body(accepted)
            } else {
                refusal::unsupported_patch()
            }
        })?;
        let change = if content == Content::ApplyPatch { Change::Apply } else { Change::Patch };
        let options = WriteOptions::read(&self.asked.query, change, self.asked.user_agent)?;
        let read = match decode::patch(content, &self.asked.body) {
            Ok(read) => read,
            // What is not there is told first, but for an apply, which would make it.
            Err(_) if change == Change::Patch && self.call(Verb::Get, None, false).is_err() => {
                return Err(Status::not_found(&self.resource, &self.address.name));
            }
            Err(status) => return Err(status),
        };
        let kind = match content {
            Content::JsonPatch => PatchKind::Json,
            Content::StrategicPatch => PatchKind::Strategic,
            Content::ApplyPatch => PatchKind::Apply { force: options.force },
            Content::MergePatch | Content::Json | Content::Yaml | Content::Protobuf => PatchKind::Merge,
        };
        let verb = Verb::Patch(Patch { kind, body: read.value });
        self.carry_out(Write { options, verb, duplicates: read.duplicates })
    }

    /// Carries a change out. Keys that are there twice are judged here: a cluster sees the value that counts alone.
    fn carry_out(&self, write: Write) -> Result<Answer, Status> {
        let Write { options, verb, duplicates } = write;
        let is_apply = matches!(verb, Verb::Patch(Patch { kind: PatchKind::Apply { .. }, .. }));
        let is_patch = matches!(verb, Verb::Patch(_));
        let doubled = duplicates.iter().map(|path| {
            if is_apply {
                let key = path.rsplit('.').next().unwrap_or(path);
                format!("line 1: key {key:?} already set in map")
            } else {
                format!("duplicate field {path:?}")
            }
        });
        let mut doubled: Vec<String> = doubled.collect();
        if doubled.is_empty() || options.validation == FieldValidation::Ignore {
            doubled.clear();
        } else if options.validation == FieldValidation::Strict {
            let tried = self.call(verb, Some(&options), true);
            return Err(self.strictly(&doubled, tried.err().as_ref(), is_patch));
        }
        let mut reply = self.call(verb, Some(&options), options.dry_run)?;
        if is_patch || self.resource.custom().is_some() {
            doubled.append(&mut reply.warnings);
            reply.warnings = doubled;
        } else {
            reply.warnings.append(&mut doubled);
        }
        self.reply(reply)
    }

    /// Refuses a body with keys that are there twice, together with what else is wrong with its fields.
    fn strictly(&self, doubled: &[String], tried: Option<&Status>, is_patch: bool) -> Status {
        const STRICT: &str = "strict decoding error: ";
        let doubled = doubled.join(", ");
        let message = tried.map_or("", |status| status.message.as_str());
        if let (Some(other), Some((_, unknown))) = (tried, message.split_once(STRICT)) {
            let both = if is_patch || self.resource.custom().is_some() {
                format!("{doubled}, {unknown}")
            } else {
                format!("{unknown}, {doubled}")
            };
            let mut status = other.clone();
            status.message = status.message.replacen(unknown, &both, 1);
            for cause in status.details.iter_mut().flat_map(|details| &mut details.causes) {
                cause.message = cause.message.replacen(unknown, &both, 1);
            }
            return status;
        }
        if is_patch {
            let body = String::from_utf8_lossy(&self.asked.body).into_owned();
            let cause = Cause::invalid("patch", &body.into(), &format!("{STRICT}{doubled}"));
            return Status::invalid_kind("", "", "", vec![cause]);
        }
        let (kind, version) = (&self.resource.kind, &self.resource.version);
        Status::bad_request(format!(
            "{kind} in version {version:?} cannot be handled as a {kind}: {STRICT}{doubled}"
        ))
    }

    fn delete(&self) -> Result<Answer, Status> {
        self.allowed("delete")?;
        let (options, dry_run) = self.delete_options()?;
        let reply = self.call(Verb::Delete(options), None, dry_run)?;
        self.reply(reply)
    }

    fn delete_collection(&self) -> Result<Answer, Status> {
        self.allowed("deletecollection")?;
        let (selection, _) = options::list(&self.asked.query, false)?;
        let (options, dry_run) = self.delete_options()?;
        let reply = self.call(Verb::DeleteCollection(options, &selection), None, dry_run)?;
        self.reply(reply)
    }

    fn delete_options(&self) -> Result<(DeleteOptions, bool), Status> {
        let content = Content::of(self.asked.content_type);
        let body = decode::delete_options(content, &self.asked.body)?;
        options::delete(&self.asked.query, body.as_ref())
    }

    fn review(&self) -> Result<Answer, Status> {
        if *self.asked.method != Method::POST || !self.address.name.is_empty() {
            return Err(Status::method_not_allowed());
        }
        let read = self.body()?;
        let answer = reviews::answer(self.shared, &self.resource, &self.asked.user, &read.value)?;
        Ok(Answer::bytes(201, self.accepted.encoding.media(), answer.to_string()))
    }

    /// Reads the object in the body; that of a part may be of another kind.
    fn body(&self) -> Result<crate::http::body::Read, Status> {
        let content = Content::of(self.asked.content_type).ok_or_else(|| {
            let accepted = "application/json, application/yaml, application/vnd.kubernetes.protobuf";
            refusal::unsupported_body(accepted)
        })?;
        let part = self.resource.subresource(&self.address.subresource).and_then(|part| part.kind);
        let (kind, api_version) = match part {
            Some(("", version, kind)) => (kind.to_owned(), version.to_owned()),
            Some((group, version, kind)) => (kind.to_owned(), format!("{group}/{version}")),
            None => (self.resource.kind.clone(), self.resource.api_version()),
        };
        decode::object(&self.resource, &kind, &api_version, content, &self.asked.body)
    }

    fn include(&self) -> Result<Include, Status> {
        let wanted = self.asked.query.text("includeObject");
        Include::of(wanted)
            .ok_or_else(|| Status::bad_request(format!("unrecognized includeObject value: {wanted:?}")))
    }

    fn reply(&self, reply: Reply) -> Result<Answer, Status> {
        let writer = Writer {
            resource: &self.resource,
            form: self.accepted.form,
            include: self.include()?,
            now: self.shared.now(),
        };
        let bytes = writer.body(&reply.body)?;
        Ok(Answer::bytes(reply.code, self.accepted.encoding.media(), bytes).with_warnings(reply.warnings))
    }
}
