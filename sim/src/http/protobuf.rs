//! The protobuf encoding of Kubernetes, as far as clients send it: `kubectl create` and `kubectl auth` know no other.
//!
//! A body is an envelope that names the kind, and a message of that kind. The messages are in a table; a field that the
//! table lacks is refused by its number, so that nothing is lost in silence.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use data_encoding::BASE64;
use serde_json::{Map, Value, json};

use crate::cluster::Time;

/// What every body begins with.
const MAGIC: &[u8] = b"k8s\0";
const TABLE: &str = include_str!("protobuf/messages.txt");
/// Deepest nesting that is read.
const DEPTH: usize = 32;

static MESSAGES: LazyLock<BTreeMap<&'static str, Message>> = LazyLock::new(read_table);

/// A body that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ProtobufError {
    /// The bytes are no message.
    #[error("the body is no protobuf message of Kubernetes")]
    Malformed,
    /// The table has no such message.
    #[error("objects of the kind {0} are read as JSON or YAML alone")]
    Message(String),
    /// The table's message has no such field.
    #[error("field {number} of {message} is read in JSON or YAML alone")]
    Field {
        /// The message.
        message: &'static str,
        /// The field's number.
        number: u64,
    },
}

type Message = BTreeMap<u64, Field>;

#[derive(Debug, Clone, Copy)]
struct Field {
    name: &'static str,
    list: bool,
    pointer: bool,
    kind: Kind,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Text,
    Integer,
    Truth,
    Bytes,
    Time,
    IntOrText,
    Quantity,
    TextMap,
    BytesMap,
    QuantityMap,
    Message(&'static str),
}

/// A field as it is on the wire.
enum Wire<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

/// Reads a body: the object, with its API version and kind.
pub(crate) fn object(bytes: &[u8]) -> Result<Value, ProtobufError> {
    let envelope = bytes.strip_prefix(MAGIC).ok_or(ProtobufError::Malformed)?;
    let (mut version, mut kind, mut raw) = (String::new(), String::new(), &[][..]);
    for field in fields(envelope)? {
        match field {
            (1, Wire::Bytes(identity)) => {
                for field in fields(identity)? {
                    match field {
                        (1, Wire::Bytes(text)) => version = utf8(text)?,
                        (2, Wire::Bytes(text)) => kind = utf8(text)?,
                        _ => return Err(ProtobufError::Malformed),
                    }
                }
            }
            (2, Wire::Bytes(message)) => raw = message,
            // Encodings and types within the envelope are of no use to us.
            (3 | 4, Wire::Bytes(_)) => {}
            _ => return Err(ProtobufError::Malformed),
        }
    }
    let Some((name, _)) = MESSAGES.get_key_value(kind.as_str()) else {
        return Err(ProtobufError::Message(kind));
    };
    let mut object = message(name, raw, 0)?;
    object.insert("apiVersion".to_owned(), version.into());
    object.insert("kind".to_owned(), kind.into());
    Ok(Value::Object(object))
}

fn message(name: &'static str, bytes: &[u8], depth: usize) -> Result<Map<String, Value>, ProtobufError> {
    if depth > DEPTH {
        return Err(ProtobufError::Malformed);
    }
    let known = MESSAGES.get(name).ok_or_else(|| ProtobufError::Message(name.to_owned()))?;
    let mut object = Map::new();
    for (number, wire) in fields(bytes)? {
        let field = known.get(&number).ok_or(ProtobufError::Field { message: name, number })?;
        if let Kind::TextMap | Kind::BytesMap | Kind::QuantityMap = field.kind {
            let (key, value) = entry(field.kind, &wire)?;
            let map = object.entry(field.name).or_insert_with(|| json!({}));
            if let Some(map) = map.as_object_mut() {
                map.insert(key, value);
            }
            continue;
        }
        let value = value(field.kind, &wire, depth)?;
        if field.list {
            let list = object.entry(field.name).or_insert_with(|| json!([]));
            if let Some(list) = list.as_array_mut() {
                list.push(value);
            }
        } else if field.pointer || !is_zero(&value) {
            object.insert(field.name.to_owned(), value);
        }
    }
    Ok(object)
}

fn value(kind: Kind, wire: &Wire<'_>, depth: usize) -> Result<Value, ProtobufError> {
    let value = match (kind, wire) {
        (Kind::Text, Wire::Bytes(bytes)) => utf8(bytes)?.into(),
        (Kind::Integer, Wire::Number(number)) => number.cast_signed().into(),
        (Kind::Truth, Wire::Number(number)) => (*number != 0).into(),
        (Kind::Bytes, Wire::Bytes(bytes)) => BASE64.encode(bytes).into(),
        (Kind::Time, Wire::Bytes(bytes)) => match fields(bytes)?.first() {
            Some((1, Wire::Number(seconds))) => {
                Time(seconds.cast_signed().saturating_mul(1_000_000)).seconds().into()
            }
            Some(_) | None => Value::Null,
        },
        (Kind::Quantity, Wire::Bytes(bytes)) => match fields(bytes)?.first() {
            Some((1, Wire::Bytes(text))) => utf8(text)?.into(),
            Some(_) | None => "0".into(),
        },
        (Kind::IntOrText, Wire::Bytes(bytes)) => int_or_text(bytes)?,
        (Kind::Message(name), Wire::Bytes(bytes)) => {
            Value::Object(message(name, bytes, depth.saturating_add(1))?)
        }
        _ => return Err(ProtobufError::Malformed),
    };
    Ok(value)
}

fn int_or_text(bytes: &[u8]) -> Result<Value, ProtobufError> {
    let (mut is_text, mut number, mut text) = (false, 0, String::new());
    for field in fields(bytes)? {
        match field {
            (1, Wire::Number(kind)) => is_text = kind == 1,
            (2, Wire::Number(value)) => number = value.cast_signed(),
            (3, Wire::Bytes(value)) => text = utf8(value)?,
            _ => return Err(ProtobufError::Malformed),
        }
    }
    Ok(if is_text { text.into() } else { number.into() })
}

fn entry(kind: Kind, wire: &Wire<'_>) -> Result<(String, Value), ProtobufError> {
    let Wire::Bytes(bytes) = wire else { return Err(ProtobufError::Malformed) };
    let inner = match kind {
        Kind::BytesMap => Kind::Bytes,
        Kind::QuantityMap => Kind::Quantity,
        Kind::Text
        | Kind::Integer
        | Kind::Truth
        | Kind::Bytes
        | Kind::Time
        | Kind::IntOrText
        | Kind::Quantity
        | Kind::TextMap
        | Kind::Message(_) => Kind::Text,
    };
    let (mut key, mut value) = (String::new(), Value::from(""));
    for field in fields(bytes)? {
        match field {
            (1, Wire::Bytes(text)) => key = utf8(text)?,
            (2, wire) => value = self::value(inner, &wire, 0)?,
            _ => return Err(ProtobufError::Malformed),
        }
    }
    Ok((key, value))
}

fn is_zero(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(truth) => !truth,
        Value::Number(number) => number.as_i64() == Some(0),
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
    }
}

/// Splits a message into its fields.
fn fields(mut bytes: &[u8]) -> Result<Vec<(u64, Wire<'_>)>, ProtobufError> {
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let (key, rest) = varint(bytes)?;
        let (wire, rest) = match key & 7 {
            0 => {
                let (number, rest) = varint(rest)?;
                (Wire::Number(number), rest)
            }
            2 => {
                let (length, rest) = varint(rest)?;
                let length = usize::try_from(length).map_err(|_too_long| ProtobufError::Malformed)?;
                let (inner, rest) = rest.split_at_checked(length).ok_or(ProtobufError::Malformed)?;
                (Wire::Bytes(inner), rest)
            }
            _ => return Err(ProtobufError::Malformed),
        };
        fields.push((key >> 3, wire));
        bytes = rest;
    }
    Ok(fields)
}

fn varint(bytes: &[u8]) -> Result<(u64, &[u8]), ProtobufError> {
    let mut number = 0_u64;
    for (at, byte) in bytes.iter().take(10).enumerate() {
        number |= u64::from(byte & 0x7f) << (7 * at).min(63);
        if byte & 0x80 == 0 {
            return Ok((number, bytes.get(at.saturating_add(1)..).unwrap_or_default()));
        }
    }
    Err(ProtobufError::Malformed)
}

fn utf8(bytes: &[u8]) -> Result<String, ProtobufError> {
    String::from_utf8(bytes.to_vec()).map_err(|_no_text| ProtobufError::Malformed)
}

fn read_table() -> BTreeMap<&'static str, Message> {
    let mut messages = BTreeMap::new();
    let mut current = "";
    for line in TABLE.lines().filter(|line| !line.starts_with('#')) {
        match line.strip_prefix(' ') {
            None => {
                current = line;
                messages.insert(line, Message::new());
            }
            Some(row) => {
                let mut words = row.split(' ');
                let number = words.next().and_then(|word| word.parse().ok());
                let (name, kind) = (words.next(), words.next().and_then(field_of));
                if let (Some(number), Some(name), Some(field), Some(message)) =
                    (number, name, kind, messages.get_mut(current))
                {
                    message.insert(number, Field { name, ..field });
                }
            }
        }
    }
    messages
}

fn field_of(text: &'static str) -> Option<Field> {
    let (text, pointer) = text.strip_suffix('*').map_or((text, false), |text| (text, true));
    let (text, list) = text.strip_prefix('[').map_or((text, false), |text| (text, true));
    let kind = match text {
        "s" => Kind::Text,
        "i" => Kind::Integer,
        "b" => Kind::Truth,
        "y" => Kind::Bytes,
        "t" => Kind::Time,
        "x" => Kind::IntOrText,
        "q" => Kind::Quantity,
        "{s" => Kind::TextMap,
        "{y" => Kind::BytesMap,
        "{q" => Kind::QuantityMap,
        other => Kind::Message(other.strip_prefix('@')?),
    };
    Some(Field { name: "", list, pointer, kind })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
        let mut out = vec![number << 3 | 2, u8::try_from(bytes.len()).unwrap()];
        out.extend_from_slice(bytes);
        out
    }

    fn envelope(kind: &str, raw: &[u8]) -> Vec<u8> {
        let identity = [field(1, b"v1"), field(2, kind.as_bytes())].concat();
        [MAGIC.to_vec(), field(1, &identity), field(2, raw), field(3, b""), field(4, b"")].concat()
    }

    #[test]
    fn an_object_is_read_as_its_json_would_be() {
        let metadata = [field(1, b"a"), field(3, b""), field(8, b""), vec![7 << 3, 0]].concat();
        let entry = [field(1, b"k"), field(2, b"v")].concat();
        let raw = [field(1, &metadata), field(2, &entry), vec![4 << 3, 0]].concat();
        assert_eq!(
            object(&envelope("ConfigMap", &raw)),
            Ok(
                json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"k": "v"},
                "immutable": false})
            )
        );
    }

    #[test]
    fn a_job_is_read_with_its_empty_status() {
        let status = [vec![4 << 3, 0], vec![5 << 3, 0], vec![6 << 3, 0], field(7, b"")].concat();
        let raw = [field(1, &field(1, b"j")), field(3, &status)].concat();

        let job = object(&envelope("Job", &raw)).unwrap();

        assert_eq!(job, json!({"apiVersion": "v1", "kind": "Job", "metadata": {"name": "j"}}));
    }

    #[test]
    fn what_is_not_known_is_refused_by_name() {
        assert_eq!(object(b"{}"), Err(ProtobufError::Malformed));
        assert_eq!(object(&envelope("Gizmo", b"")), Err(ProtobufError::Message("Gizmo".to_owned())));
        let refused = object(&envelope("ConfigMap", &field(9, b""))).unwrap_err();
        assert_eq!(refused.to_string(), "field 9 of ConfigMap is read in JSON or YAML alone");
        assert_eq!(object(&envelope("Secret", &[0x0a, 0x7f])), Err(ProtobufError::Malformed));
    }

    #[test]
    fn every_message_of_the_table_is_there() {
        let fields = TABLE.lines().filter(|line| line.starts_with(' ')).count();
        assert_eq!(MESSAGES.values().map(BTreeMap::len).sum::<usize>(), fields);
        for field in MESSAGES.values().flat_map(BTreeMap::values) {
            if let Kind::Message(name) = field.kind {
                assert!(MESSAGES.contains_key(name), "{name}");
            }
        }
    }
}
