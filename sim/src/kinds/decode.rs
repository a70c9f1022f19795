//! Reading objects of the built-in kinds as the API server's own types would: unknown fields are found, wrong types
//! refused, values brought to their one form, and what an encoder leaves out or always writes is left out or written.

use std::fmt::Write as _;

use data_encoding::BASE64;
use serde_json::{Map, Number, Value};

use super::fields::{self, Field, FieldType, Struct};
use super::quantity;
use crate::cluster::Time;

/// What was found on the way.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Findings {
    /// Paths of fields that the type does not have, e.g. `spec.containers[0].nome`.
    pub(crate) unknown: Vec<String>,
}

/// Where a value is.
#[derive(Clone, Copy)]
struct Spot<'a> {
    parent: Option<&'a Spot<'a>>,
    step: Step<'a>,
    /// The struct whose field this is, and the field's declared type.
    owner: &'static str,
}

#[derive(Clone, Copy)]
enum Step<'a> {
    Root,
    Field(&'a str),
    Index(usize),
}

/// Brings an object of a built-in kind to the form that its type gives it. The error is what Go's decoder says.
pub(crate) fn decode(value: &mut Value, name: &str) -> Result<Findings, String> {
    let mut findings = Findings::default();
    let Some(of) = fields::find(name) else { return Ok(findings) };
    let root = Spot { parent: None, step: Step::Root, owner: of.short() };
    structure(value, of, &root, &mut findings)?;
    Ok(findings)
}

fn structure(
    value: &mut Value,
    of: &'static Struct,
    spot: &Spot<'_>,
    findings: &mut Findings,
) -> Result<(), String> {
    if value.is_null() {
        *value = Value::Object(Map::new());
    }
    let Value::Object(map) = value else {
        return Err(mismatch(value, &FieldType::Struct(of.name), spot));
    };
    let mut failure = None;
    map.retain(|name, inner| {
        let Some(field) = of.field(name) else {
            findings
                .unknown
                .push(Spot { parent: Some(spot), step: Step::Field(name), owner: of.short() }.path(false));
            return false;
        };
        if failure.is_some() {
            return true;
        }
        if inner.is_null() && (field.pointer || !matches!(field.ty, FieldType::Struct(_))) {
            return false;
        }
        let here = Spot { parent: Some(spot), step: Step::Field(name), owner: of.short() };
        if let Err(why) = convert(inner, &field.ty, &here, findings) {
            failure = Some(why);
        }
        !is_left_out(field, inner)
    });
    if let Some(why) = failure {
        return Err(why);
    }
    for field in &of.fields {
        if !map.contains_key(field.name)
            && let Some(zero) = always_written(field)
        {
            map.insert(field.name.to_owned(), zero);
        }
    }
    Ok(())
}

/// Writes empty lists as the API server does once it has kept them: those that are always written as nothing.
pub(crate) fn forget_empty_lists(value: &mut Value, name: &str) {
    let Some(of) = fields::find(name) else { return };
    let Some(map) = value.as_object_mut() else { return };
    for field in &of.fields {
        let Some(inner) = map.get_mut(field.name) else { continue };
        if !field.omit_empty && matches!(inner, Value::Array(items) if items.is_empty()) {
            *inner = Value::Null;
        }
        match &field.ty {
            FieldType::Struct(name) => forget_empty_lists(inner, name),
            FieldType::List(item) => {
                if let (FieldType::Struct(name), Some(items)) = (&**item, inner.as_array_mut()) {
                    for item in items {
                        forget_empty_lists(item, name);
                    }
                }
            }
            FieldType::Text
            | FieldType::Truth
            | FieldType::Int32
            | FieldType::Int64
            | FieldType::Float
            | FieldType::Bytes
            | FieldType::Time
            | FieldType::MicroTime
            | FieldType::Duration
            | FieldType::Quantity
            | FieldType::IntOrText
            | FieldType::Object
            | FieldType::Any
            | FieldType::Map(_) => {}
        }
    }
}

/// Tells whether an encoder leaves a field out because of its value.
fn is_left_out(field: &Field, value: &Value) -> bool {
    if field.pointer {
        return false;
    }
    match &field.ty {
        FieldType::Struct(_) => field.omit_zero && value.as_object().is_some_and(Map::is_empty),
        FieldType::Time | FieldType::MicroTime | FieldType::Quantity | FieldType::IntOrText => {
            value.is_null()
        }
        FieldType::Object | FieldType::Any => value.is_null(),
        FieldType::Text
        | FieldType::Truth
        | FieldType::Int32
        | FieldType::Int64
        | FieldType::Float
        | FieldType::Bytes
        | FieldType::Duration
        | FieldType::List(_)
        | FieldType::Map(_) => field.omit_empty && is_empty(value),
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(truth) => !truth,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
    }
}

/// Gives what an encoder writes for a field that nobody set.
fn always_written(field: &Field) -> Option<Value> {
    if let FieldType::Struct(name) = &field.ty
        && !field.pointer
    {
        if field.omit_zero {
            return None;
        }
        let mut zero = Value::Null;
        let root = Spot { parent: None, step: Step::Root, owner: "" };
        structure(&mut zero, fields::find(name)?, &root, &mut Findings::default()).ok()?;
        return Some(zero);
    }
    // Structs of their own form are written whatever they hold.
    let formed = matches!(
        field.ty,
        FieldType::Time | FieldType::MicroTime | FieldType::Quantity | FieldType::IntOrText
    );
    if field.omit_zero || field.omit_empty && (field.pointer || !formed) {
        return None;
    }
    if field.pointer {
        return Some(Value::Null);
    }
    Some(match &field.ty {
        FieldType::Text | FieldType::Duration => "".into(),
        FieldType::Truth => false.into(),
        FieldType::Int32 | FieldType::Int64 | FieldType::Float | FieldType::IntOrText => 0.into(),
        FieldType::Quantity => "0".into(),
        FieldType::Bytes
        | FieldType::Time
        | FieldType::MicroTime
        | FieldType::Object
        | FieldType::Any
        | FieldType::Struct(_)
        | FieldType::List(_)
        | FieldType::Map(_) => Value::Null,
    })
}

fn convert(
    value: &mut Value,
    ty: &FieldType,
    spot: &Spot<'_>,
    findings: &mut Findings,
) -> Result<(), String> {
    let wrong = |value: &Value| Err(mismatch(value, ty, spot));
    match (ty, &mut *value) {
        (FieldType::Any, _)
        | (FieldType::Text | FieldType::IntOrText | FieldType::Duration, Value::String(_))
        | (FieldType::Truth, Value::Bool(_))
        | (FieldType::Object, Value::Object(_) | Value::Null)
        | (FieldType::Float, Value::Number(_)) => Ok(()),
        (FieldType::Text | FieldType::Bytes, Value::Null) => {
            *value = "".into();
            Ok(())
        }
        (FieldType::Int32, Value::Number(number)) => {
            if number.as_i64().is_some_and(|number| i32::try_from(number).is_ok()) {
                Ok(())
            } else {
                wrong_number(number, ty, spot)
            }
        }
        (FieldType::Int64, Value::Number(number)) => {
            if number.as_i64().is_some() {
                Ok(())
            } else {
                wrong_number(number, ty, spot)
            }
        }
        (FieldType::IntOrText, Value::Number(number)) => {
            if number.as_i64().is_some_and(|number| i32::try_from(number).is_ok()) {
                Ok(())
            } else {
                Err(format!("json: cannot unmarshal number {number} into Go value of type int32"))
            }
        }
        (FieldType::Bytes, Value::String(text)) => bytes(text),
        (FieldType::Time | FieldType::MicroTime, Value::String(text)) => time(text, ty),
        (FieldType::Quantity, _) => quantity_of(value),
        (FieldType::Struct(name), _) => match fields::find(name) {
            Some(of) => structure(value, of, spot, findings),
            None => Ok(()),
        },
        (FieldType::List(item), Value::Array(items)) => {
            for (at, inner) in items.iter_mut().enumerate() {
                convert(
                    inner,
                    item,
                    &Spot { parent: Some(spot), step: Step::Index(at), owner: spot.owner },
                    findings,
                )?;
            }
            Ok(())
        }
        (FieldType::Map(item), Value::Object(map)) => {
            for (name, inner) in map.iter_mut() {
                let here = Spot { parent: Some(spot), step: Step::Field(name), owner: spot.owner };
                convert_entry(inner, item, &here, spot, findings)?;
            }
            Ok(())
        }
        (_, other) => {
            let other = &*other;
            wrong(other)
        }
    }
}

/// Converts a value of a map. A wrong one is told by the path of the map.
fn convert_entry(
    value: &mut Value,
    ty: &FieldType,
    here: &Spot<'_>,
    map: &Spot<'_>,
    findings: &mut Findings,
) -> Result<(), String> {
    let scalar = !matches!(ty, FieldType::Struct(_) | FieldType::List(_) | FieldType::Map(_));
    convert(value, ty, if scalar { map } else { here }, findings)
}

fn bytes(text: &mut String) -> Result<(), String> {
    // Go's decoder skips line ends.
    let plain: String = text.chars().filter(|letter| !matches!(letter, '\n' | '\r')).collect();
    match BASE64.decode(plain.as_bytes()) {
        Ok(_) => {
            *text = plain;
            Ok(())
        }
        Err(error) => {
            let valid = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=');
            let at = plain.bytes().position(|byte| !valid(&byte)).unwrap_or(match error.kind {
                data_encoding::DecodeKind::Length => plain.len(),
                data_encoding::DecodeKind::Symbol
                | data_encoding::DecodeKind::Trailing
                | data_encoding::DecodeKind::Padding => error.position,
            });
            Err(format!("illegal base64 data at input byte {at}"))
        }
    }
}

fn time(text: &mut String, ty: &FieldType) -> Result<(), String> {
    let layout =
        if *ty == FieldType::Time { "2006-01-02T15:04:05Z07:00" } else { "2006-01-02T15:04:05.000000Z07:00" };
    let Some(time) = Time::parse(text) else {
        return Err(format!("parsing time {text:?} as {layout:?}: cannot parse {text:?} as \"2006\""));
    };
    *text = if *ty == FieldType::Time { time.seconds() } else { time.micros() };
    Ok(())
}

fn quantity_of(value: &mut Value) -> Result<(), String> {
    let text = match &*value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Null => "0".to_owned(),
        Value::Bool(_) | Value::Array(_) | Value::Object(_) => String::new(),
    };
    let canonical = quantity::canonical(&text).ok_or(
        "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
    )?;
    *value = canonical.into();
    Ok(())
}

fn wrong_number(number: &Number, ty: &FieldType, spot: &Spot<'_>) -> Result<(), String> {
    Err(told(&format!("number {number}"), ty, spot))
}

fn mismatch(value: &Value, ty: &FieldType, spot: &Spot<'_>) -> String {
    let what = match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    told(what, ty, spot)
}

fn told(what: &str, ty: &FieldType, spot: &Spot<'_>) -> String {
    let (path, go) = (spot.path(true), ty.go());
    if path.is_empty() {
        return format!("json: cannot unmarshal {what} into Go value of type {go}");
    }
    format!("json: cannot unmarshal {what} into Go struct field {}.{path} of type {go}", spot.owner)
}

// === impl Spot ===

impl Spot<'_> {
    /// Writes the path; without the places in lists if only names are told.
    fn path(&self, names: bool) -> String {
        let mut path = self.parent.map(|parent| parent.path(names)).unwrap_or_default();
        match self.step {
            Step::Root => {}
            Step::Field(name) => {
                if !path.is_empty() {
                    path.push('.');
                }
                path.push_str(name);
            }
            Step::Index(_) if names => {}
            Step::Index(at) => {
                // Writing to a string does not fail.
                let _written = write!(path, "[{at}]");
            }
        }
        path
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refusal(mut value: Value, name: &str) -> String {
        decode(&mut value, name).unwrap_err()
    }

    #[test]
    fn unknown_fields_are_found_and_dropped() {
        let mut value = json!({"metadata": {"name": "d", "foo": 1}, "spec": {"replica": 1,
            "template": {"spec": {"containers": [{"name": "a", "nome": "x"}]}}}});

        let findings = decode(&mut value, "apps.Deployment").unwrap();

        let expected = ["metadata.foo", "spec.replica", "spec.template.spec.containers[0].nome"];
        assert_eq!(findings.unknown, expected);
        assert_eq!(value["spec"]["template"]["spec"]["containers"], json!([{"name": "a", "resources": {}}]));
    }

    #[test]
    fn wrong_types_are_refused_as_go_says_it() {
        assert_eq!(
            refusal(json!({"data": {"a": 1}}), "core.ConfigMap"),
            "json: cannot unmarshal number into Go struct field ConfigMap.data of type string"
        );
        assert_eq!(
            refusal(json!({"spec": {"replicas": 1.5}}), "apps.Deployment"),
            "json: cannot unmarshal number 1.5 into Go struct field DeploymentSpec.spec.replicas of type int32"
        );
        assert_eq!(
            refusal(json!({"spec": {"template": {"spec": {"containers": {}}}}}), "apps.Deployment"),
            "json: cannot unmarshal object into Go struct field PodSpec.spec.template.spec.containers of type []v1.Container"
        );
        assert_eq!(
            refusal(json!({"data": {"k": "5!"}}), "core.Secret"),
            "illegal base64 data at input byte 1"
        );
    }

    #[test]
    fn values_have_one_form() {
        let mut value = json!({"metadata": {"labels": {}, "creationTimestamp": null}, "immutable": false, "data": {"a": null}});
        decode(&mut value, "core.ConfigMap").unwrap();
        assert_eq!(value, json!({"metadata": {}, "immutable": false, "data": {"a": ""}}));

        let mut value = json!({"spec": {"containers": [{"name": "c", "tty": false,
            "resources": {"limits": {"cpu": "1000m", "memory": 5}}}]}});
        decode(&mut value, "core.Pod").unwrap();
        let container = json!({"name": "c", "resources": {"limits": {"cpu": "1", "memory": "5"}}});
        assert_eq!(value, json!({"metadata": {}, "spec": {"containers": [container]}, "status": {}}));
    }
}
