//! An error about one field, as the API server writes it.

use std::fmt;

use serde_json::Value;

use crate::golang;

/// What is wrong with a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldErrorKind {
    /// It is not there and has to be.
    Required,
    /// Its value breaks a rule.
    Invalid,
    /// Its value is of another type.
    TypeInvalid,
    /// Its value is none of those allowed.
    NotSupported,
    /// Its value is there already.
    Duplicate,
    /// It must not be there.
    Forbidden,
    /// Its value is too long.
    TooLong,
    /// It has too many items.
    TooMany,
}

/// One error about one field; it displays as the API server writes it: `spec.x: Required value`.
#[derive(Debug, Clone, PartialEq)]
pub struct FieldError {
    /// Where it is.
    pub path: String,
    /// What it is.
    pub kind: FieldErrorKind,
    /// The value that is wrong; kinds that show none ignore it.
    pub value: Value,
    /// What more there is to say; may be empty.
    pub detail: String,
}

// === impl FieldErrorKind ===

impl FieldErrorKind {
    /// The reason of the cause in a status.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Required => "FieldValueRequired",
            Self::Invalid => "FieldValueInvalid",
            Self::TypeInvalid => "FieldValueTypeInvalid",
            Self::NotSupported => "FieldValueNotSupported",
            Self::Duplicate => "FieldValueDuplicate",
            Self::Forbidden => "FieldValueForbidden",
            Self::TooLong => "FieldValueTooLong",
            Self::TooMany => "FieldValueTooMany",
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::Required => "Required value",
            Self::Invalid | Self::TypeInvalid => "Invalid value",
            Self::NotSupported => "Unsupported value",
            Self::Duplicate => "Duplicate value",
            Self::Forbidden => "Forbidden",
            Self::TooLong => "Too long",
            Self::TooMany => "Too many",
        }
    }
}

// === impl FieldError ===

impl FieldError {
    /// A field that is not there.
    pub fn required(path: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(path, FieldErrorKind::Required, Value::String(String::new()), detail)
    }

    /// A value that breaks a rule.
    pub fn invalid(path: impl Into<String>, value: impl Into<Value>, detail: impl Into<String>) -> Self {
        Self::new(path, FieldErrorKind::Invalid, value.into(), detail)
    }

    /// A value that is none of those allowed.
    pub fn not_supported(path: impl Into<String>, value: impl Into<Value>, allowed: &[String]) -> Self {
        let allowed: Vec<_> = allowed.iter().map(|value| golang::quoted(value)).collect();
        let detail = if allowed.is_empty() {
            String::new()
        } else {
            format!("supported values: {}", allowed.join(", "))
        };
        Self::new(path, FieldErrorKind::NotSupported, value.into(), detail)
    }

    /// A value that is there already.
    pub fn duplicate(path: impl Into<String>, value: impl Into<Value>) -> Self {
        Self::new(path, FieldErrorKind::Duplicate, value.into(), "")
    }

    /// A field that must not be there.
    pub fn forbidden(path: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(path, FieldErrorKind::Forbidden, Value::String(String::new()), detail)
    }

    /// A value that is longer than so many bytes.
    pub fn too_long(path: impl Into<String>, most: u64) -> Self {
        let unit = if most == 1 { "byte" } else { "bytes" };
        let detail = format!("may not be more than {most} {unit}");
        Self::new(path, FieldErrorKind::TooLong, Value::Null, detail)
    }

    /// A list or map of more than so many items.
    pub fn too_many(path: impl Into<String>, found: usize, most: u64) -> Self {
        let unit = if most == 1 { "item" } else { "items" };
        let detail = format!("must have at most {most} {unit}");
        Self::new(path, FieldErrorKind::TooMany, Value::from(found), detail)
    }

    pub(super) fn new(
        path: impl Into<String>,
        kind: FieldErrorKind,
        value: Value,
        detail: impl Into<String>,
    ) -> Self {
        Self { path: path.into(), kind, value, detail: detail.into() }
    }

    /// The error without the path: the message of the cause in a status.
    pub fn body(&self) -> String {
        let mut out = self.kind.title().to_owned();
        match self.kind {
            FieldErrorKind::Required | FieldErrorKind::Forbidden | FieldErrorKind::TooLong => {}
            FieldErrorKind::Invalid
            | FieldErrorKind::TypeInvalid
            | FieldErrorKind::NotSupported
            | FieldErrorKind::Duplicate
            | FieldErrorKind::TooMany => {
                out.push_str(": ");
                match &self.value {
                    Value::String(text) => out.push_str(&golang::quoted(text)),
                    Value::Number(_) | Value::Bool(_) => out.push_str(&golang::plain(&self.value)),
                    Value::Null | Value::Array(_) | Value::Object(_) => {
                        golang::write_json(&self.value, &mut out);
                    }
                }
            }
        }
        if !self.detail.is_empty() {
            out.push_str(": ");
            out.push_str(&self.detail);
        }
        out
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.body())
    }
}
