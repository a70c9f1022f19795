//! Validation of values, in the order and the words of the API server's validator.

use serde_json::{Map, Value};

use super::{Additional, FieldError, FieldErrorKind, Kind, Schema, formats};
use crate::golang;

/// Validates a new object.
pub(super) fn root(schema: &Schema, object: &Value) -> Vec<FieldError> {
    Check { path: String::new() }.value(schema, object, None).errors
}

/// Validates a new state of an object; what is as it was is left alone.
pub(super) fn changed(schema: &Schema, object: &Value, old: &Value) -> Vec<FieldError> {
    Check { path: String::new() }.value(schema, object, Some(old)).errors
}

/// What came of a check. The count of what was right chooses the alternative whose errors are told.
#[derive(Default)]
struct Outcome {
    errors: Vec<FieldError>,
    matched: usize,
}

impl Outcome {
    fn merge(&mut self, other: Self) {
        for error in other.errors {
            if !self.errors.contains(&error) {
                self.errors.push(error);
            }
        }
        self.matched += other.matched;
    }

    fn is_valid(&self) -> bool {
        self.errors.is_empty()
    }
}

struct Check {
    path: String,
}

impl Check {
    /// Checks a value; an old one is there only if the two states can be told to be of one place.
    fn value(&mut self, schema: &Schema, value: &Value, old: Option<&Value>) -> Outcome {
        let mut outcome = Outcome::default();
        if old == Some(value) {
            return outcome;
        }
        outcome.merge(self.kind(schema, value));
        if value.is_null() {
            outcome.merge(self.values(schema, value));
            return outcome;
        }
        outcome.matched += 1;
        outcome.merge(self.alternatives(schema, value, old));
        match value {
            Value::String(text) => outcome.merge(self.text(schema, text)),
            Value::Number(_) => outcome.merge(self.number(schema, value)),
            Value::Array(items) => outcome.merge(self.array(schema, items, old)),
            Value::Null | Value::Bool(_) | Value::Object(_) => {}
        }
        outcome.merge(self.values(schema, value));
        if let Value::Object(fields) = value {
            outcome.merge(self.object(schema, fields, old));
        }
        outcome.matched += 1;
        outcome
    }

    fn within(&mut self, step: &str, check: impl FnOnce(&mut Self) -> Outcome) -> Outcome {
        let length = self.path.len();
        self.path.push_str(step);
        let outcome = check(self);
        self.path.truncate(length);
        outcome
    }

    /// The path as errors show it: without the leading dot.
    fn shown(&self) -> &str {
        self.path.strip_prefix('.').unwrap_or(&self.path)
    }

    fn fail(&self, value: impl Into<Value>, detail: &str) -> Outcome {
        self.error(FieldErrorKind::Invalid, value.into(), format!("{} in body {detail}", self.shown()))
    }

    fn error(&self, kind: FieldErrorKind, value: Value, detail: String) -> Outcome {
        let error = FieldError::new(self.place(), kind, value, detail);
        Outcome { errors: vec![error], matched: 0 }
    }

    /// The path of an error; the root of the object has none.
    fn place(&self) -> String {
        if self.path.is_empty() { "<nil>".to_owned() } else { self.shown().to_owned() }
    }

    fn kind(&self, schema: &Schema, value: &Value) -> Outcome {
        let wanted = match schema.kind {
            _ if schema.int_or_string => "integer,string",
            Some(kind) => kind.as_str(),
            None => return Outcome::default(),
        };
        let found = found_kind(value);
        let whole =
            matches!(value, Value::Number(number) if number.as_f64().is_some_and(|n| n.fract() == 0.0));
        let fits = match value {
            Value::Null if schema.nullable => true,
            Value::Number(_) if wanted == "number" => true,
            Value::Number(_) if wanted.starts_with("integer") => whole,
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Array(_)
            | Value::Object(_) => wanted.split(',').any(|kind| kind == found),
        };
        let by_format =
            !schema.rules.format.is_empty() && matches!(value, Value::String(_) | Value::Array(_));
        if fits || (by_format && matches!(schema.kind, None | Some(Kind::String))) {
            return Outcome { errors: Vec::new(), matched: 1 };
        }
        let format = schema.rules.format.as_str();
        let (wanted, found) = match value {
            Value::Bool(_) | Value::Object(_) if !format.is_empty() => (format, ""),
            Value::Number(_) if !format.is_empty() => (format, number_format(value)),
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Array(_)
            | Value::Object(_) => (wanted, found),
        };
        let detail = format!("{} in body must be of type {wanted}: {}", self.shown(), golang::quoted(found));
        self.error(FieldErrorKind::TypeInvalid, found.into(), detail)
    }

    fn values(&self, schema: &Schema, value: &Value) -> Outcome {
        let Some(allowed) = schema.rules.values.as_deref().filter(|values| !values.is_empty()) else {
            return Outcome::default();
        };
        let same = |other: &Value| match (value.as_f64(), other.as_f64()) {
            (Some(a), Some(b)) => (a - b).abs() == 0.0,
            _ => value == other,
        };
        if allowed.iter().any(same) {
            return Outcome::default();
        }
        let shown = |value: &Value| {
            let json = || {
                let mut out = String::new();
                golang::write_json(value, &mut out);
                out
            };
            value.as_str().map_or_else(json, str::to_owned)
        };
        let allowed: Vec<_> = allowed.iter().map(shown).collect();
        let error = FieldError::not_supported(self.place(), value.clone(), &allowed);
        Outcome { errors: vec![error], matched: 0 }
    }

    fn text(&self, schema: &Schema, text: &str) -> Outcome {
        let rules = &schema.rules;
        let length = text.chars().count() as u64;
        let mut outcome = Outcome::default();
        if let Some(most) = rules.max_length.filter(|most| length > *most) {
            outcome.errors.push(FieldError::too_long(self.place(), most));
        } else if let Some(least) = rules.min_length.filter(|least| length < *least) {
            outcome.merge(self.fail(text, &format!("should be at least {least} chars long")));
        } else if let Some(pattern) = rules.pattern.as_ref().filter(|pattern| !pattern.is_match(text)) {
            outcome.merge(self.fail(text, &format!("should match '{pattern}'")));
        }
        if matches!(schema.kind, None | Some(Kind::String)) && !formats::is_valid(&rules.format, text) {
            let format = &rules.format;
            let detail =
                format!("{} in body must be of type {format}: {}", self.shown(), golang::quoted(text));
            outcome.merge(self.error(FieldErrorKind::TypeInvalid, text.into(), detail));
        }
        outcome
    }

    fn number(&self, schema: &Schema, value: &Value) -> Outcome {
        let rules = &schema.rules;
        let mut outcome = Outcome::default();
        let Some(number) = value.as_f64() else { return outcome };
        let text = |limit: f64| golang::float(limit);
        if schema.kind == Some(Kind::Integer) && !schema.int_or_string && !in_range(value, &rules.format) {
            let format = match rules.format.as_str() {
                "" => "(default format)".to_owned(),
                format => format!("with format {format}"),
            };
            let detail = format!("Checked value must be of type integer {format} in {}", self.shown());
            let error = FieldError::invalid("<nil>", "", detail);
            outcome.merge(Outcome { errors: vec![error], matched: 0 });
        }
        // An integer is compared with the whole part of a bound.
        let bound = |limit: f64| if value.is_f64() { limit } else { limit.trunc() };
        if let Some(factor) = rules.multiple_of {
            let times = if factor < 1.0 { 1.0 / factor * number } else { number / factor };
            if times.fract() != 0.0 {
                outcome.merge(self.fail(value.clone(), &format!("should be a multiple of {}", text(factor))));
            }
        }
        if let Some((least, exclusive)) = rules.minimum.map(|limit| (bound(limit.value), limit.exclusive))
            && (number < least || (exclusive && number <= least))
        {
            let words = if exclusive { "greater than" } else { "greater than or equal to" };
            outcome.merge(self.fail(value.clone(), &format!("should be {words} {}", text(least))));
        }
        if let Some((most, exclusive)) = rules.maximum.map(|limit| (bound(limit.value), limit.exclusive))
            && (number > most || (exclusive && number >= most))
        {
            let words = if exclusive { "less than" } else { "less than or equal to" };
            outcome.merge(self.fail(value.clone(), &format!("should be {words} {}", text(most))));
        }
        outcome
    }

    fn array(&mut self, schema: &Schema, items: &[Value], old: Option<&Value>) -> Outcome {
        let mut outcome = Outcome::default();
        if let Some(below) = schema.items.as_deref() {
            for (index, item) in items.iter().enumerate() {
                let before = old.and_then(Value::as_array).and_then(|old| correlated(schema, old, item));
                outcome.merge(self.within(&format!("[{index}]"), |check| check.value(below, item, before)));
            }
        }
        let size = items.len();
        let rules = &schema.rules;
        if let Some(least) = rules.min_items.filter(|least| (size as u64) < *least) {
            outcome.merge(self.fail(size, &format!("should have at least {least} items")));
        }
        if let Some(most) = rules.max_items.filter(|most| size as u64 > *most) {
            outcome.errors.push(FieldError::too_many(self.place(), size, most));
        }
        let repeated = |(index, item): (usize, &Value)| items.iter().take(index).any(|other| other == item);
        if rules.unique_items && items.iter().enumerate().any(repeated) {
            outcome.merge(self.fail("", "shouldn't contain duplicates"));
        }
        outcome
    }

    fn object(&mut self, schema: &Schema, fields: &Map<String, Value>, old: Option<&Value>) -> Outcome {
        let mut outcome = Outcome::default();
        let rules = &schema.rules;
        let size = fields.len();
        if let Some(least) = rules.min_properties.filter(|least| (size as u64) < *least) {
            outcome.merge(self.fail(size, &format!("should have at least {least} properties")));
        }
        if let Some(most) = rules.max_properties.filter(|most| size as u64 > *most) {
            outcome.errors.push(FieldError::too_many(self.place(), size, most));
        }
        for (name, value) in fields {
            if let Some(below) = schema.field(name) {
                let before = old.and_then(|old| old.get(name));
                outcome.merge(self.within(&format!(".{name}"), |check| check.value(below, value, before)));
            } else if matches!(schema.additional, Additional::Allowed(false)) {
                let detail = format!("{}.{name} in body is a forbidden property", self.shown());
                outcome.merge(self.error(FieldErrorKind::Invalid, name.as_str().into(), detail));
            }
        }
        for name in &rules.required {
            if !fields.contains_key(name) {
                let path = format!("{}.{name}", self.path);
                let path = path.strip_prefix('.').unwrap_or(&path);
                outcome.errors.push(FieldError::required(path, ""));
            }
        }
        outcome
    }

    fn alternatives(&mut self, schema: &Schema, value: &Value, old: Option<&Value>) -> Outcome {
        let rules = &schema.rules;
        let mut outcome = Outcome::default();
        let composite = |check: &Self, words: &str| {
            let detail = format!("{} {words}", golang::quoted(check.shown()));
            Outcome { errors: vec![FieldError::invalid("<nil>", "", detail)], matched: 0 }
        };
        if !rules.any_of.is_empty() {
            let (valid, best) = self.try_all(&rules.any_of, value, old);
            if valid == 0 {
                outcome.merge(composite(self, "must validate at least one schema (anyOf)"));
                outcome.merge(best);
            }
        }
        if !rules.one_of.is_empty() {
            let (valid, best) = self.try_all(&rules.one_of, value, old);
            if valid == 0 {
                outcome.merge(composite(
                    self,
                    "must validate one and only one schema (oneOf). Found none valid",
                ));
                outcome.merge(best);
            } else if valid > 1 {
                let words = format!(
                    "must validate one and only one schema (oneOf). Found {valid} valid alternatives"
                );
                outcome.merge(composite(self, &words));
            }
        }
        let mut valid = 0;
        for rule in &rules.all_of {
            let result = self.value(rule, value, old);
            valid += usize::from(result.is_valid());
            outcome.merge(result);
        }
        if valid != rules.all_of.len() {
            let more = if valid == 0 { ". None validated" } else { "" };
            outcome.merge(composite(self, &format!("must validate all the schemas (allOf){more}")));
        }
        if let Some(not) = rules.not.as_deref()
            && self.value(not, value, None).is_valid()
        {
            outcome.merge(composite(self, "must not validate the schema (not)"));
        }
        outcome.matched += 1;
        outcome
    }

    /// How many of the alternatives are satisfied, and the errors of the one that comes nearest.
    fn try_all(&mut self, rules: &[Schema], value: &Value, old: Option<&Value>) -> (usize, Outcome) {
        let mut valid = 0;
        let mut best: Option<Outcome> = None;
        for rule in rules {
            let result = self.value(rule, value, old);
            if result.is_valid() {
                valid += 1;
            } else if best.as_ref().is_none_or(|best| result.matched > best.matched) {
                best = Some(result);
            }
        }
        (valid, best.unwrap_or_default())
    }
}

/// The old item that is the same item as this one: only map lists tell.
fn correlated<'o>(schema: &Schema, old: &'o [Value], item: &Value) -> Option<&'o Value> {
    let super::ListKind::Map(keys) = &schema.list else { return None };
    old.iter().find(|other| keys.iter().all(|key| other.get(key) == item.get(key)))
}

fn found_kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_i64() || number.is_u64() => "integer",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// True if a number is an integer that its format holds.
fn in_range(value: &Value, format: &str) -> bool {
    match value.as_i64() {
        Some(int) => format != "int32" || i32::try_from(int).is_ok(),
        None => value.as_f64().is_some_and(|float| float.fract() == 0.0 && float.abs() < 9.2e18),
    }
}

fn number_format(value: &Value) -> &'static str {
    if value.is_i64() || value.is_u64() { "int64" } else { "float64" }
}
