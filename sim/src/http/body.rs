//! Bodies: JSON and YAML as the API server reads them, with the paths of keys that are there twice.

use std::cell::RefCell;
use std::fmt::{self, Write as _};

use argosy_core::yaml::{self, Limits};
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// A body and what is odd about it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Read {
    pub(crate) value: Value,
    /// Paths of keys that are there twice.
    pub(crate) duplicates: Vec<String>,
}

/// Deepest nesting that is read.
const DEPTH: usize = 128;
/// Integers beyond this are not exact as floats.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// Reads JSON; of a key that is there twice the last value counts.
pub(crate) fn json(bytes: &[u8]) -> Result<Read, serde_json::Error> {
    let duplicates = RefCell::new(Vec::new());
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let seed = Seed { spot: Spot { parent: None, step: Step::Root }, depth: 0, duplicates: &duplicates };
    let value = seed.deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(Read { value, duplicates: duplicates.into_inner() })
}

/// Reads YAML, of which JSON is a part; only the first document counts, and an empty one is null.
pub(crate) fn yaml(bytes: &[u8]) -> Result<Read, yaml::YamlError> {
    if let Ok(read) = json(bytes) {
        return Ok(read);
    }
    let limits = Limits { file_bytes: 4 << 20, document_bytes: 3 << 20, ..Limits::default() };
    let document = yaml::parse_each(bytes, &limits)?.into_iter().next().transpose()?;
    Ok(match document {
        Some(document) => Read {
            value: document.value,
            duplicates: document.warnings.into_iter().map(|warning| warning.field).collect(),
        },
        None => Read { value: Value::Null, duplicates: Vec::new() },
    })
}

/// Reads one value and knows where it is.
struct Seed<'a> {
    spot: Spot<'a>,
    depth: usize,
    duplicates: &'a RefCell<Vec<String>>,
}

/// Where a value is; its path is written only when it is told.
#[derive(Clone, Copy)]
struct Spot<'a> {
    parent: Option<&'a Spot<'a>>,
    step: Step<'a>,
}

#[derive(Clone, Copy)]
enum Step<'a> {
    Root,
    Key(&'a str),
    Index(usize),
}

// === impl Seed ===

impl<'a> Seed<'a> {
    fn inner<'b, E: serde::de::Error>(&'b self, step: Step<'b>) -> Result<Seed<'b>, E>
    where
        'a: 'b,
    {
        let depth = self.depth.saturating_add(1);
        if depth > DEPTH {
            return Err(E::custom("exceeded max depth"));
        }
        Ok(Seed { spot: Spot { parent: Some(&self.spot), step }, depth, duplicates: self.duplicates })
    }
}

// === impl Spot ===

impl Spot<'_> {
    fn path(&self) -> String {
        let mut path = self.parent.map(Spot::path).unwrap_or_default();
        match self.step {
            Step::Root => {}
            Step::Key(key) if path.is_empty() => path.push_str(key),
            Step::Key(key) => {
                path.push('.');
                path.push_str(key);
            }
            Step::Index(at) => {
                // Writing to a string does not fail.
                let _written = write!(path, "[{at}]");
            }
        }
        path
    }
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        number(value).map(Value::Number).ok_or_else(|| E::custom("not a finite number"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        loop {
            match items.next_element_seed(self.inner::<A::Error>(Step::Index(list.len()))?)? {
                Some(item) => list.push(item),
                None => return Ok(Value::Array(list)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            let inner = self.inner::<A::Error>(Step::Key(&key))?;
            if map.contains_key(&key) {
                self.duplicates.borrow_mut().push(inner.spot.path());
            }
            let value = entries.next_value_seed(inner)?;
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }
}

/// Reads a number as the API server writes it: one without a fraction is an integer.
#[expect(clippy::cast_possible_truncation, reason = "exact within the bounds that are looked at before")]
fn number(value: f64) -> Option<Number> {
    if value.fract() == 0.0 && value.abs() < EXACT {
        return Some(Number::from(value as i64));
    }
    Number::from_f64(value)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn keys_that_are_there_twice_are_named_with_their_path() {
        let read = json(br#"{"a":{"b":1,"b":2},"l":[{"x":1},{"x":1,"x":3}],"a":{"c":2.0,"d":1.5}}"#).unwrap();
        assert_eq!(read.value, json!({"a": {"c": 2, "d": 1.5}, "l": [{"x": 1}, {"x": 3}]}));
        assert_eq!(read.duplicates, ["a.b", "l[1].x", "a"]);
    }

    #[test]
    fn yaml_is_read_with_the_scalars_of_kubernetes() {
        let read = yaml(b"a: yes\nb: 0777\n---\nc: 1\n").unwrap();
        assert_eq!(read.value, json!({"a": true, "b": 511}));
        assert_eq!(yaml(b"").unwrap().value, Value::Null);
        assert_eq!(yaml(br#"{"a": 1}"#).unwrap().value, json!({"a": 1}));
        assert!(yaml(b"{a: b").is_err());
    }

    #[test]
    fn what_is_nested_without_end_is_refused() {
        let deep = format!("{}{}", "[".repeat(500), "]".repeat(500));
        assert!(json(deep.as_bytes()).is_err());
        assert!(json(b"{\"a\"").is_err());
        assert!(json(b"{} x").is_err());
    }
}
