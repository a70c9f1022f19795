//! What two servers can never agree on is taken out: times, UIDs, versions, addresses.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use serde_json::{Map, Value, json};

use crate::differential::client::Reply;

/// Names that were given to values, in the order in which they came up.
#[derive(Debug, Clone, Default)]
pub(crate) struct Names {
    uids: BTreeMap<String, usize>,
    versions: BTreeMap<String, usize>,
    places: BTreeMap<String, usize>,
}

// === impl Names ===

impl Names {
    /// Gives an answer in a form that can be compared.
    pub(crate) fn reply(&mut self, reply: &Reply) -> Value {
        let body = match serde_json::from_slice(&reply.body) {
            Ok(body) => self.body(body),
            Err(_text) => String::from_utf8_lossy(&reply.body).into_owned().into(),
        };
        json!({"code": reply.code, "media": reply.media, "warnings": reply.warnings, "retryAfter": reply.retry_after,
            "body": body})
    }

    /// Gives an object, list or event in a form that can be compared.
    pub(crate) fn body(&mut self, mut body: Value) -> Value {
        let is_list = body.get("items").is_some() || body.get("rows").is_some();
        if let (true, Some(metadata)) = (is_list, body.get_mut("metadata").and_then(Value::as_object_mut)) {
            // The version of a list is that of the whole cluster.
            metadata.insert("resourceVersion".to_owned(), "of the list".into());
            if metadata.contains_key("continue") {
                metadata.insert("continue".to_owned(), "more".into());
            }
        }
        if let Some(columns) = body.get_mut("columnDefinitions").and_then(Value::as_array_mut) {
            for column in columns.iter_mut().filter_map(Value::as_object_mut) {
                column.remove("description");
            }
        }
        self.value("", &mut body);
        body
    }

    fn value(&mut self, field: &str, value: &mut Value) {
        match value {
            Value::Object(map) => {
                // Tells servers of one cluster apart from each other.
                map.remove("storageVersionHash");
                // An apply that lets go of a custom resource is answered with what it merged, emptied maps included.
                if field == "metadata" && map.contains_key("deletionTimestamp") {
                    map.retain(|key, inner| {
                        !matches!(key.as_str(), "annotations" | "labels")
                            || inner.as_object().is_some_and(|inner| !inner.is_empty())
                    });
                }
                sort_causes(map);
                for (key, inner) in map {
                    self.value(key, inner);
                }
            }
            Value::Array(list) => {
                if field == "managedFields" {
                    // They are ordered by time, which is another one on the other side.
                    let key = |entry: &Value| {
                        ["manager", "operation", "subresource", "apiVersion"]
                            .map(|part| entry[part].to_string())
                    };
                    list.sort_by_key(key);
                }
                for inner in list.iter_mut() {
                    self.value(field, inner);
                }
            }
            Value::String(text) => *text = self.text(field, text),
            Value::Number(number) if field == "nodePort" || field == "healthCheckNodePort" => {
                *value = format!("port {}", numbered(&mut self.places, &number.to_string())).into();
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    fn text(&mut self, field: &str, text: &str) -> String {
        match field {
            "resourceVersion" => return format!("version {}", numbered(&mut self.versions, text)),
            "clusterIP" | "clusterIPs" if text != "None" && !text.is_empty() => {
                return format!("address {}", numbered(&mut self.places, text));
            }
            "message" => return self.message(text),
            "cells" if is_age(text) => return "some age".to_owned(),
            "cells" if is_address(text) => return format!("address {}", numbered(&mut self.places, text)),
            "cells" if text.contains(":3") => return without_node_ports(text),
            _ => {}
        }
        if is_time(text) {
            return "some time".to_owned();
        }
        self.with_uids(text)
    }

    /// A message repeats parts of bodies in an order of its own.
    fn message(&mut self, text: &str) -> String {
        const ERRORS: &str = "errors:\n";
        const RECORD: &str = "does not match the ResourceVersion in record (";
        const OBJECT: &str = "ResourceVersion in object meta: ";
        if text.starts_with("duplicate nodePort: {") {
            return "duplicate nodePort: some port".to_owned();
        }
        let text = self.with_uids(text);
        let object =
            ["Invalid value: \"{", "Invalid value: \"map["].iter().find_map(|start| text.find(start));
        if let (Some(start), Some(end)) = (object, text.rfind("\": "))
            && let (Some(before), Some(after)) = (text.get(..start), text.get(end..))
        {
            return format!("{before}Invalid value: ...{after}");
        }
        if let Some(undeclared) = undeclared(&text) {
            return undeclared;
        }
        if let Some((before, errors)) = text.split_once(ERRORS) {
            // What an apply gets wrong is told in the order of the server's hash maps.
            let mut lines: Vec<&str> = errors.lines().collect();
            lines.sort_unstable();
            return format!("{before}{ERRORS}{}", lines.join("\n"));
        }
        if let Some((before, after)) = text.split_once(RECORD)
            && let Some((_version, after)) = after.split_once(')')
        {
            return format!("{before}{RECORD}some version){after}");
        }
        if let Some((before, _version)) = text.split_once(OBJECT) {
            return format!("{before}{OBJECT}some version");
        }
        text
    }

    fn with_uids(&mut self, text: &str) -> String {
        let mut out = String::new();
        let mut rest = text;
        while let Some(at) = find_uid(rest) {
            let (before, after) = rest.split_at(at);
            let (uid, after) = after.split_at(UID);
            out.push_str(before);
            out.push_str("uid ");
            out.push_str(&numbered(&mut self.uids, uid).to_string());
            rest = after;
        }
        out.push_str(rest);
        out
    }
}

/// Fields whose wrong values are shown as Go has them.
const GO_VALUES: [&str; 4] = ["spec", "spec.template", "spec.template.spec", "spec.versions"];

/// Puts what is wrong with an object in order, each once: the real server tells it as it comes out of hash maps, and
/// validates some things more than once. The message is taken out if it is made of the causes.
fn sort_causes(status: &mut Map<String, Value>) {
    let causes =
        status.get_mut("details").and_then(|details| details.get_mut("causes")).and_then(Value::as_array_mut);
    let Some(causes) = causes.filter(|causes| !causes.is_empty()) else { return };
    let mut texts: Vec<String> = Vec::new();
    for cause in causes.iter() {
        let part = |name: &str| cause[name].as_str().unwrap_or_default();
        let text = match part("field") {
            "" => part("message").to_owned(),
            field => format!("{field}: {}", part("message")),
        };
        if !texts.contains(&text) {
            texts.push(text);
        }
    }
    for cause in causes.iter_mut() {
        let field = cause["field"].as_str().unwrap_or_default();
        let message = cause["message"].as_str().unwrap_or_default();
        let short = match message.split_once('\n') {
            // What follows is how two Go values differ.
            Some((said, _difference)) if field == "spec" => Some(said.to_owned()),
            _ if field.ends_with(".nodePort") && message.starts_with("Duplicate value: ") => {
                Some("Duplicate value: some port".to_owned())
            }
            _ if GO_VALUES.contains(&field) && message.starts_with("Invalid value: ") => {
                message.rsplit_once(": ").map(|(_shown, why)| format!("Invalid value: ...: {why}"))
            }
            // Labels that were all taken away by a patch are none.
            _ if field == "spec.template.metadata.labels" => {
                Some(message.replace("Invalid value: {}: ", "Invalid value: null: "))
            }
            _ => None,
        };
        if let Some(short) = short {
            cause["message"] = short.into();
        }
    }
    causes.sort_by_key(Value::to_string);
    causes.dedup();
    let whole = match texts.as_slice() {
        [one] => one.clone(),
        many => format!("[{}]", many.join(", ")),
    };
    if let Some(Value::String(message)) = status.get_mut("message")
        && let Some(before) = message.strip_suffix(&whole)
    {
        *message = format!("{before}all of the causes");
    }
}

/// The real server stops at a field that the schema does not have, and comes to it in the order of a hash map: it may
/// have told other things before.
fn undeclared(message: &str) -> Option<String> {
    const UNDECLARED: &str = ": field not declared in schema";
    let line = message.lines().find(|line| line.ends_with(UNDECLARED))?;
    let field = line.trim().rsplit_once(": .").map_or(line.trim(), |(_, field)| field);
    let (before, _) = message.split_once("): ")?;
    Some(format!("{before}): .{}", field.trim_start_matches('.')))
}

const UID: usize = 36;

fn find_uid(text: &str) -> Option<usize> {
    let is_uid = |bytes: &[u8]| {
        bytes.iter().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
    };
    text.as_bytes().windows(UID).position(is_uid)
}

/// Tells whether a cell of a table says how old an object is: a few seconds here.
fn is_age(text: &str) -> bool {
    text.strip_suffix('s')
        .is_some_and(|seconds| !seconds.is_empty() && seconds.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Tells whether a cell of a table shows the address of a service.
fn is_address(text: &str) -> bool {
    text.parse::<Ipv4Addr>().is_ok()
}

/// A cell of a table shows the ports of a service with those that nodes open for them, as in `80:30123/TCP`.
fn without_node_ports(text: &str) -> String {
    let port = |shown: &str| match (shown.split_once(':'), shown.split_once('/')) {
        (Some((port, _)), Some((_, protocol))) => format!("{port}:some port/{protocol}"),
        _ => shown.to_owned(),
    };
    text.split(',').map(port).collect::<Vec<_>>().join(",")
}

fn is_time(text: &str) -> bool {
    let shape = text.bytes().take(19).map(|byte| if byte.is_ascii_digit() { b'0' } else { byte });
    text.len() >= 20 && text.ends_with('Z') && shape.eq(*b"0000-00-00T00:00:00")
}

fn numbered(known: &mut BTreeMap<String, usize>, text: &str) -> usize {
    let next = known.len();
    *known.entry(text.to_owned()).or_insert(next)
}
