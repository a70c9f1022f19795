//! Whether a value is of its type.

use serde_json::Value;

use crate::golang;
use crate::ownership::types::{Form, ListType, MapType, Scalar, Type};

/// Whether a list may state an identity more than once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Duplicates {
    Allowed,
    Refused,
}

/// Checks a value; the error is worded as the API server words it.
pub(crate) fn validate(value: &Value, ty: &Type, duplicates: Duplicates) -> Result<(), String> {
    let mut walk = Walk { duplicates, errors: Vec::new() };
    walk.check(value, ty);
    match walk.errors.as_slice() {
        [] => Ok(()),
        [one] => Err(one.text()),
        many => {
            let mut text = "errors:".to_owned();
            for error in many {
                text.push_str("\n  ");
                text.push_str(&error.text());
            }
            Err(text)
        }
    }
}

struct Walk {
    duplicates: Duplicates,
    errors: Vec<Problem>,
}

struct Problem {
    /// The steps to the place, from the innermost to the outermost.
    steps: Vec<String>,
    message: String,
}

impl Problem {
    fn text(&self) -> String {
        let path: String = self.steps.iter().rev().map(String::as_str).collect();
        if path.is_empty() { self.message.clone() } else { format!("{path}: {}", self.message) }
    }
}

impl Walk {
    fn fail(&mut self, message: String) {
        self.errors.push(Problem { steps: Vec::new(), message });
    }

    fn descend(&mut self, value: &Value, ty: &Type, step: impl Fn() -> String) {
        let before = self.errors.len();
        self.check(value, ty);
        for error in self.errors.iter_mut().skip(before) {
            error.steps.push(step());
        }
    }

    fn check(&mut self, value: &Value, ty: &Type) {
        match ty.form(value) {
            Form::Hidden => {}
            Form::Scalar(scalar) => self.check_scalar(value, scalar),
            Form::Map(map) => self.check_map(value, map),
            Form::List(list) => self.check_list(value, list),
        }
    }

    fn check_scalar(&mut self, value: &Value, scalar: Scalar) {
        let boxed = || format!("&value.valueUnstructured{{Value:{}}}", golang::syntax(value));
        let plain = || format!("&{{{}}}", golang::plain(value));
        match scalar {
            _ if value.is_null() => {}
            Scalar::Numeric if !value.is_number() => {
                self.fail(format!("expected numeric (int or float), got {}", golang::type_name(value)));
            }
            Scalar::String if !value.is_string() => self.fail(format!("expected string, got {}", boxed())),
            Scalar::Boolean if !value.is_boolean() => {
                self.fail(format!("expected boolean, got {}", plain()));
            }
            Scalar::Untyped if value.is_array() || value.is_object() => {
                self.fail(format!("expected any scalar, got {}", plain()));
            }
            Scalar::Numeric | Scalar::String | Scalar::Boolean | Scalar::Untyped => {}
        }
    }

    fn check_map(&mut self, value: &Value, map: &MapType) {
        let fields = match value {
            Value::Object(fields) => fields,
            Value::Null => return,
            Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
                return self.fail(format!("expected map, got &{{{}}}", golang::plain(value)));
            }
        };
        for (name, value) in fields {
            let Some(ty) = map.below(name) else {
                self.errors.push(Problem {
                    steps: vec![format!(".{name}")],
                    message: "field not declared in schema".to_owned(),
                });
                return;
            };
            self.descend(value, ty, || format!(".{name}"));
        }
    }

    fn check_list(&mut self, value: &Value, list: &ListType) {
        let items = match value {
            Value::Array(items) => items,
            Value::Null => return,
            Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
                return self.fail(format!("expected list, got &{{{}}}", golang::plain(value)));
            }
        };
        let mut seen = Vec::new();
        for (index, item) in items.iter().enumerate() {
            if list.is_atomic() {
                self.descend(item, &list.element, || format!("[{index}]"));
                continue;
            }
            if let Err(error) = list.check_identity(item) {
                return self.fail(format!("element {index}: {error}"));
            }
            let step = || list.element_of(item).map(|element| element.to_string()).unwrap_or_default();
            if self.duplicates == Duplicates::Refused
                && let Some(element) = list.element_of(item)
            {
                match seen.binary_search(&element) {
                    Ok(_) => self.fail(format!("duplicate entries for key {element}")),
                    Err(at) => seen.insert(at, element),
                }
            }
            self.descend(item, &list.element, step);
        }
    }
}
