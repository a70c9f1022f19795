//! One step of a path: a field, an item of a map list by its keys, an item of a set by its value.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt::{self, Write as _};

use serde_json::Value;

use crate::golang;

/// One step on the way to a field, as `fieldsV1` names it.
///
/// The order is the one in which the API server keeps the steps of one level: fields, keys, values, indexes.
#[derive(Debug, Clone)]
pub(crate) enum Element<'a> {
    /// `f:name`: a field of an object.
    Field(&'a str),
    /// `k:{"name":"x"}`: the item of a map list that has these keys, sorted by name.
    Key(Box<[(Cow<'a, str>, Scalar<'a>)]>),
    /// `v:"x"`: the item of a set that has this value.
    Value(Scalar<'a>),
    /// `i:0`: the item at this place of a list.
    Index(i64),
}

/// A scalar that identifies an item of a list.
#[derive(Debug, Clone)]
pub(crate) enum Scalar<'a> {
    Float(f64),
    Int(i64),
    String(Cow<'a, str>),
    Bool(bool),
    Null,
}

impl<'a> Scalar<'a> {
    /// The scalar that a JSON value is; `None` for lists and objects.
    pub(crate) fn of(value: &'a Value) -> Option<Self> {
        Some(match value {
            Value::Null => Self::Null,
            Value::Bool(bool) => Self::Bool(*bool),
            Value::Number(number) => match number.as_i64() {
                Some(int) => Self::Int(int),
                None => Self::Float(number.as_f64()?),
            },
            Value::String(text) => Self::String(Cow::Borrowed(text)),
            Value::Array(_) | Value::Object(_) => return None,
        })
    }

    fn rank(&self) -> u8 {
        match self {
            Self::Float(_) | Self::Int(_) => 0,
            Self::String(_) => 1,
            Self::Bool(_) => 2,
            Self::Null => 3,
        }
    }

    /// Writes the scalar as JSON, escaped as Go's encoder does it for HTML.
    pub(crate) fn write_json(&self, out: &mut String) {
        match self {
            Self::Float(float) => golang::write_float(*float, out),
            Self::Int(int) => {
                let _infallible = write!(out, "{int}");
            }
            Self::String(text) => golang::write_json_string(text, out),
            Self::Bool(bool) => out.push_str(if *bool { "true" } else { "false" }),
            Self::Null => out.push_str("null"),
        }
    }
}

impl fmt::Display for Scalar<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Float(float) => write!(f, "{}", golang::float(*float)),
            Self::Int(int) => write!(f, "{int}"),
            Self::String(text) => f.write_str(&golang::quoted(text)),
            Self::Bool(bool) => write!(f, "{bool}"),
            Self::Null => f.write_str("null"),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "the API server compares integers with floats as floats")]
impl Ord for Scalar<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Int(a), Self::Int(b)) => a.cmp(b),
            (Self::Float(a), Self::Float(b)) => a.partial_cmp(b).unwrap_or(Ordering::Equal),
            (Self::Float(a), Self::Int(b)) => a.partial_cmp(&(*b as f64)).unwrap_or(Ordering::Equal),
            (Self::Int(a), Self::Float(b)) => (*a as f64).partial_cmp(b).unwrap_or(Ordering::Equal),
            (Self::String(a), Self::String(b)) => a.cmp(b),
            (Self::Bool(a), Self::Bool(b)) => a.cmp(b),
            (Self::Null, Self::Null) => Ordering::Equal,
            _ => self.rank().cmp(&other.rank()),
        }
    }
}

impl PartialOrd for Scalar<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Scalar<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Scalar<'_> {}

impl Element<'_> {
    fn rank(&self) -> u8 {
        match self {
            Self::Field(_) => 0,
            Self::Key(_) => 1,
            Self::Value(_) => 2,
            Self::Index(_) => 3,
        }
    }

    /// The step as a key of `fieldsV1`.
    pub(crate) fn to_key(&self) -> String {
        match self {
            Self::Field(name) => {
                let mut out = String::with_capacity(name.len() + 2);
                out.push_str("f:");
                out.push_str(name);
                out
            }
            Self::Key(fields) => {
                let mut out = String::with_capacity(64);
                out.push_str("k:{");
                for (index, (name, value)) in fields.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    golang::write_json_string(name, &mut out);
                    out.push(':');
                    value.write_json(&mut out);
                }
                out.push('}');
                out
            }
            Self::Value(value) => {
                let mut out = String::from("v:");
                value.write_json(&mut out);
                out
            }
            Self::Index(index) => format!("i:{index}"),
        }
    }
}

impl Ord for Element<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Field(a), Self::Field(b)) => a.cmp(b),
            (Self::Key(a), Self::Key(b)) => a.cmp(b),
            (Self::Value(a), Self::Value(b)) => a.cmp(b),
            (Self::Index(a), Self::Index(b)) => a.cmp(b),
            _ => self.rank().cmp(&other.rank()),
        }
    }
}

impl PartialOrd for Element<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Element<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Element<'_> {}

/// Written as in the message of a conflict: `.spec`, `[name="x"]`, `[="x"]`.
impl fmt::Display for Element<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field(name) => write!(f, ".{name}"),
            Self::Key(fields) => {
                f.write_str("[")?;
                for (index, (name, value)) in fields.iter().enumerate() {
                    if index > 0 {
                        f.write_str(",")?;
                    }
                    write!(f, "{name}={value}")?;
                }
                f.write_str("]")
            }
            Self::Value(value) => write!(f, "[={value}]"),
            Self::Index(index) => write!(f, "[{index}]"),
        }
    }
}
