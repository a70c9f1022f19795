//! `fieldsV1`: a set of fields as the JSON of a `managedFields` entry.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserializer as _, Error as _, MapAccess, Visitor};
use serde_json::{Map, Value};

use super::element::{Element, Scalar};
use super::set::{FieldSet, Node};

/// Why a `fieldsV1` is not one.
#[derive(Debug, thiserror::Error)]
pub enum FieldsV1Error {
    /// A level of the set is not an object.
    #[error("fieldsV1 must be made of objects")]
    NotAnObject,
    /// A key does not begin with a letter and a colon.
    #[error("missing colon: {0}")]
    MissingColon(String),
    /// A `k:` or `v:` key does not go on with JSON, or an `i:` key with a number.
    #[error("parsing key as path element: {0}")]
    BadElement(String),
}

impl<'a> FieldSet<'a> {
    /// Reads the set that a `fieldsV1` states. Elements of unknown types are left out, as the API server does.
    pub fn from_fields_v1(value: &'a Value) -> Result<Self, FieldsV1Error> {
        let fields = value.as_object().ok_or(FieldsV1Error::NotAnObject)?;
        Ok(read_level(fields)?.0)
    }

    /// Writes the set as a `fieldsV1`.
    pub fn to_fields_v1(&self) -> Value {
        Value::Object(self.level(false))
    }

    /// Writes the set as JSON text with the keys in the order of the set, which is the API server's own.
    pub fn write_fields_v1(&self, out: &mut String) {
        self.write_level(false, out);
    }

    fn level(&self, include_self: bool) -> Map<String, Value> {
        let mut fields = Map::new();
        if include_self && !self.is_empty() {
            fields.insert(".".to_owned(), Value::Object(Map::new()));
        }
        for node in &self.nodes {
            fields.insert(node.element.to_key(), Value::Object(node.children.level(node.member)));
        }
        fields
    }

    fn write_level(&self, include_self: bool, out: &mut String) {
        out.push('{');
        let mut first = true;
        if include_self && !self.is_empty() {
            out.push_str(r#"".":{}"#);
            first = false;
        }
        for node in &self.nodes {
            if !first {
                out.push(',');
            }
            first = false;
            crate::golang::write_json_string(&node.element.to_key(), out);
            out.push(':');
            node.children.write_level(node.member, out);
        }
        out.push('}');
    }
}

/// Reads one level; the flag says that the level's own path is a member.
fn read_level(fields: &Map<String, Value>) -> Result<(FieldSet<'_>, bool), FieldsV1Error> {
    let mut set = FieldSet { nodes: Vec::with_capacity(fields.len()) };
    let mut member = false;
    for (key, value) in fields {
        if key == "." {
            member = true;
            continue;
        }
        let Some(element) = read_element(key)? else { continue };
        let below = value.as_object().ok_or(FieldsV1Error::NotAnObject)?;
        let (children, member) =
            if below.is_empty() { (FieldSet::default(), true) } else { read_level(below)? };
        if set.nodes.last().is_none_or(|last| last.element < element) {
            set.nodes.push(Node { element, member, children });
        } else {
            set.add(element, member, children);
        }
    }
    member |= set.is_empty();
    Ok((set, member))
}

fn read_element(key: &str) -> Result<Option<Element<'_>>, FieldsV1Error> {
    let Some((kind, rest)) = key.split_once(':').filter(|(kind, _)| kind.len() == 1) else {
        return Err(FieldsV1Error::MissingColon(key.to_owned()));
    };
    let bad = |error: serde_json::Error| FieldsV1Error::BadElement(error.to_string());
    Ok(match kind {
        "f" => Some(Element::Field(rest)),
        "k" => {
            let mut json = serde_json::Deserializer::from_str(rest);
            let mut fields = json.deserialize_map(KeyVisitor).map_err(bad)?;
            fields.sort_by(|(a, _), (b, _)| a.cmp(b));
            Some(Element::Key(fields.into_boxed_slice()))
        }
        "v" => {
            let mut json = serde_json::Deserializer::from_str(rest);
            Some(Element::Value(json.deserialize_any(ScalarVisitor).map_err(bad)?))
        }
        "i" => Some(Element::Index(
            rest.parse().map_err(|error| FieldsV1Error::BadElement(format!("{error}: {rest}")))?,
        )),
        _ => None,
    })
}

struct KeyVisitor;

impl<'de> Visitor<'de> for KeyVisitor {
    type Value = Vec<(Cow<'de, str>, Scalar<'de>)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of keys")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut fields = Vec::new();
        while let Some(name) = map.next_key_seed(TextSeed)? {
            fields.push((name, map.next_value_seed(ScalarSeed)?));
        }
        Ok(fields)
    }
}

struct TextSeed;

impl<'de> serde::de::DeserializeSeed<'de> for TextSeed {
    type Value = Cow<'de, str>;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        match deserializer.deserialize_str(ScalarVisitor)? {
            Scalar::String(text) => Ok(text),
            Scalar::Float(_) | Scalar::Int(_) | Scalar::Bool(_) | Scalar::Null => {
                Err(D::Error::custom("the name of a key must be a string"))
            }
        }
    }
}

struct ScalarSeed;

impl<'de> serde::de::DeserializeSeed<'de> for ScalarSeed {
    type Value = Scalar<'de>;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(ScalarVisitor)
    }
}

struct ScalarVisitor;

impl<'de> Visitor<'de> for ScalarVisitor {
    type Value = Scalar<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a scalar")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
        Ok(Scalar::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
        Ok(Scalar::Int(value))
    }

    #[expect(clippy::cast_precision_loss, reason = "beyond 64 bits the API server holds integers as floats")]
    fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
        Ok(i64::try_from(value).map_or(Scalar::Float(value as f64), Scalar::Int))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Self::Value, E> {
        Ok(Scalar::Float(value))
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Scalar::Null)
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Self::Value, E> {
        Ok(Scalar::String(Cow::Borrowed(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Self::Value, E> {
        Ok(Scalar::String(Cow::Owned(value.to_owned())))
    }
}
