//! Objects and lists in the form that a client wants.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::media::Form;
use super::table::{self, Include, Printer};
use crate::cluster::{Body, Event, EventKind, List, Object, Status, Time};
use crate::kinds::Resource;

/// Writes what a cluster answers.
pub(crate) struct Writer<'a> {
    pub(crate) resource: &'a Resource,
    pub(crate) form: Form,
    pub(crate) include: Include,
    pub(crate) now: Time,
}

/// Writes the events of a watch, one a line.
pub(crate) struct Frames {
    resource: Arc<Resource>,
    form: Form,
    include: Include,
    /// Told once, with the first table.
    columns: Option<Value>,
    printer: Option<Printer>,
}

// === impl Writer ===

impl Writer<'_> {
    /// Writes an answer.
    pub(crate) fn body(&self, body: &Body) -> Result<Vec<u8>, Status> {
        match body {
            Body::Object(object) => self.object(object),
            Body::List(list) => self.list(list),
            Body::Value(value) => Ok(value.to_string().into_bytes()),
            Body::Success(details) => Ok(Body::success(details).to_string().into_bytes()),
        }
    }

    fn object(&self, object: &Object) -> Result<Vec<u8>, Status> {
        let mut out = Vec::new();
        match self.form {
            Form::Whole => object.write(self.resource, &mut out),
            Form::Partial => out.extend(partial(self.resource, object).to_string().into_bytes()),
            Form::PartialList => {
                return Err(mismatch("PartialObjectMetadataList", "not a list", &self.resource.kind));
            }
            Form::Table => {
                let value = object.value(self.resource);
                let printer = Printer::of(self.resource);
                let version = json!({"resourceVersion": object.version().to_string()});
                let rows = json!([printer.row(&value, self.include, self.now)]);
                out.extend(table(&version, &printer.columns(), &rows).to_string().into_bytes());
            }
        }
        Ok(out)
    }

    fn list(&self, list: &List) -> Result<Vec<u8>, Status> {
        let mut metadata = metadata(list);
        if self.resource.custom().is_some()
            && self.form == Form::Whole
            && let Some(map) = metadata.as_object_mut()
        {
            // Lists of definitions' kinds have always said that nothing follows.
            map.entry("continue").or_insert_with(|| "".into());
        }
        match self.form {
            Form::Whole => Ok(self.whole_list(list, &metadata)),
            Form::Partial => Err(mismatch("PartialObjectMetadata", "a list", &self.resource.list_kind)),
            Form::PartialList => {
                let items: Vec<Value> =
                    list.items.iter().map(|object| partial(self.resource, object)).collect();
                let items = if items.is_empty() { Value::Null } else { items.into() };
                let list = json!({"kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1",
                    "metadata": metadata, "items": items});
                Ok(list.to_string().into_bytes())
            }
            Form::Table => {
                let printer = Printer::of(self.resource);
                let row =
                    |object: &Arc<Object>| printer.row(&object.value(self.resource), self.include, self.now);
                let rows = list.items.iter().map(row).collect();
                Ok(table(&metadata, &printer.columns(), &rows).to_string().into_bytes())
            }
        }
    }

    fn whole_list(&self, list: &List, metadata: &Value) -> Vec<u8> {
        let mut out = format!(
            r#"{{"kind":"{}","apiVersion":"{}","metadata":{metadata},"items":["#,
            self.resource.list_kind,
            self.resource.api_version()
        )
        .into_bytes();
        // Items of built-in kinds do not repeat what the list says.
        let is_custom = self.resource.custom().is_some();
        for (at, object) in list.items.iter().enumerate() {
            if at > 0 {
                out.push(b',');
            }
            if is_custom {
                object.write(self.resource, &mut out);
            } else {
                out.extend_from_slice(object.json());
            }
        }
        out.extend_from_slice(b"]}");
        out
    }
}

// === impl Frames ===

impl Frames {
    pub(crate) fn new(resource: Arc<Resource>, form: Form, include: Include) -> Self {
        let printer = (form == Form::Table).then(|| Printer::of(&resource));
        let columns = printer.as_ref().map(Printer::columns);
        Self { resource, form, include, columns, printer }
    }

    /// Writes an event.
    pub(crate) fn event(&mut self, event: &Event, now: Time) -> Vec<u8> {
        let mut out = format!(r#"{{"type":"{}","object":"#, event.kind.name()).into_bytes();
        match (self.form, &self.printer) {
            (Form::Partial | Form::PartialList, _) => {
                out.extend(partial(&self.resource, &event.object).to_string().into_bytes());
            }
            (Form::Table, Some(printer)) => {
                let version = json!({"resourceVersion": event.object.version().to_string()});
                let row = printer.row(&event.object.value(&self.resource), self.include, now);
                let columns = self.columns.take().unwrap_or(Value::Null);
                out.extend(table(&version, &columns, &json!([row])).to_string().into_bytes());
            }
            (Form::Whole | Form::Table, _) => event.object.write(&self.resource, &mut out),
        }
        out.extend_from_slice(b"}\n");
        out
    }

    /// Writes an object that was there when the watch began.
    pub(crate) fn initial(&mut self, object: &Arc<Object>, now: Time) -> Vec<u8> {
        self.event(&Event { kind: EventKind::Added, object: object.clone() }, now)
    }

    /// Writes that nothing else happened up to a version.
    pub(crate) fn bookmark(&mut self, version: u64, ends_initial: bool) -> Vec<u8> {
        let mut metadata = Map::new();
        metadata.insert("resourceVersion".to_owned(), version.to_string().into());
        if ends_initial {
            metadata.insert("annotations".to_owned(), json!({"k8s.io/initial-events-end": "true"}));
        }
        let object = match self.form {
            Form::Whole => json!({"kind": self.resource.kind, "apiVersion": self.resource.api_version(),
                "metadata": metadata}),
            Form::Partial | Form::PartialList => {
                json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": metadata})
            }
            Form::Table => {
                let columns = self.columns.take().unwrap_or(Value::Null);
                table(&metadata.into(), &columns, &json!([]))
            }
        };
        frame("BOOKMARK", &object)
    }

    /// Writes why a watch ends.
    pub(crate) fn error(status: &Status) -> Vec<u8> {
        frame("ERROR", &status.to_value())
    }
}

fn frame(kind: &str, object: &Value) -> Vec<u8> {
    format!("{}\n", json!({"type": kind, "object": object})).into_bytes()
}

fn partial(resource: &Resource, object: &Object) -> Value {
    table::partial(&object.value(resource))
}

fn table(metadata: &Value, columns: &Value, rows: &Value) -> Value {
    json!({"kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": metadata,
        "columnDefinitions": columns, "rows": rows})
}

fn metadata(list: &List) -> Value {
    let mut metadata = Map::new();
    metadata.insert("resourceVersion".to_owned(), list.version.to_string().into());
    if !list.continue_token.is_empty() {
        metadata.insert("continue".to_owned(), list.continue_token.as_str().into());
    }
    if let Some(remaining) = list.remaining {
        metadata.insert("remainingItemCount".to_owned(), remaining.into());
    }
    metadata.into()
}

fn mismatch(wanted: &str, is: &str, kind: &str) -> Status {
    let message = format!("you requested {wanted}, but the requested object is {is} (*core.{kind})");
    Status::new(406, "NotAcceptable", message)
}
