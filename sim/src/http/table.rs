//! Tables: what `kubectl get` shows.

mod built_in;
mod json_path;

use serde_json::{Value, json};

use crate::cluster::Time;
use crate::kinds::Resource;

/// What a row says about its object besides its cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Include {
    Nothing,
    Metadata,
    Object,
}

/// How objects of one kind are shown.
pub(crate) struct Printer {
    columns: Vec<Column>,
    cells: Cells,
}

struct Column {
    name: String,
    kind: String,
    format: String,
    description: String,
    priority: i64,
}

enum Cells {
    BuiltIn(built_in::Cells),
    /// A path and a type for each column after the name.
    Custom(Vec<(json_path::Path, String)>),
}

const NAME: &str = "Name must be unique within a namespace. Is required when creating resources, although some \
    resources may allow a client to request the generation of an appropriate name automatically. Name is primarily \
    intended for creation idempotence and configuration definition. Cannot be updated. More info: \
    https://kubernetes.io/docs/concepts/overview/working-with-objects/names#names";

// === impl Include ===

impl Include {
    /// Reads the parameter `includeObject`.
    pub(crate) fn of(text: &str) -> Option<Self> {
        match text {
            "" | "Metadata" => Some(Self::Metadata),
            "None" => Some(Self::Nothing),
            "Object" => Some(Self::Object),
            _ => None,
        }
    }
}

// === impl Printer ===

impl Printer {
    /// Chooses the columns of a kind.
    pub(crate) fn of(resource: &Resource) -> Self {
        let name = Column {
            name: "Name".to_owned(),
            kind: "string".to_owned(),
            format: "name".to_owned(),
            description: NAME.to_owned(),
            priority: 0,
        };
        if let Some(custom) = resource.custom() {
            return Self::custom(name, &custom.columns);
        }
        let (names, cells) = built_in::of(resource);
        let columns = names.iter().map(|(column, kind, priority)| match *column {
            "Name" => Column { priority: *priority, ..name.clone() },
            other => Column {
                name: other.to_owned(),
                kind: (*kind).to_owned(),
                format: String::new(),
                description: String::new(),
                priority: *priority,
            },
        });
        Self { columns: columns.collect(), cells: Cells::BuiltIn(cells) }
    }

    fn custom(name: Column, columns: &Value) -> Self {
        let age = json!([{"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}]);
        let stated = columns.as_array().filter(|columns| !columns.is_empty());
        let stated = stated.or(age.as_array()).into_iter().flatten();
        let (mut all, mut paths) = (vec![name], Vec::new());
        for column in stated {
            let text = |field: &str| column.get(field).and_then(Value::as_str).unwrap_or_default();
            let described = match text("description") {
                "" => format!("Custom resource definition column (in JSONPath format): {}", text("jsonPath")),
                description => description.to_owned(),
            };
            all.push(Column {
                name: text("name").to_owned(),
                kind: text("type").to_owned(),
                format: text("format").to_owned(),
                description: described,
                priority: column.get("priority").and_then(Value::as_i64).unwrap_or_default(),
            });
            paths.push((json_path::Path::of(text("jsonPath")), text("type").to_owned()));
        }
        Self { columns: all, cells: Cells::Custom(paths) }
    }

    /// Gives the definitions of the columns.
    pub(crate) fn columns(&self) -> Value {
        let column = |column: &Column| {
            json!({"name": column.name, "type": column.kind, "format": column.format,
                "description": column.description, "priority": column.priority})
        };
        self.columns.iter().map(column).collect()
    }

    /// Gives one row.
    pub(crate) fn row(&self, object: &Value, include: Include, now: Time) -> Value {
        let cells = match &self.cells {
            Cells::BuiltIn(cells) => cells(object, now),
            Cells::Custom(paths) => {
                let name = object.pointer("/metadata/name").cloned().unwrap_or_default();
                let more = paths.iter().map(|(path, kind)| custom_cell(path.first(object), kind, now));
                std::iter::once(name).chain(more).collect()
            }
        };
        let shown = match include {
            Include::Nothing => Value::Null,
            Include::Metadata => partial(object),
            Include::Object => object.clone(),
        };
        json!({"cells": cells, "object": shown})
    }
}

impl Clone for Column {
    fn clone(&self) -> Self {
        Self {
            name: self.name.clone(),
            kind: self.kind.clone(),
            format: self.format.clone(),
            description: self.description.clone(),
            priority: self.priority,
        }
    }
}

/// Gives the metadata of an object alone.
pub(crate) fn partial(object: &Value) -> Value {
    let mut metadata = object.get("metadata").cloned().unwrap_or_default();
    if object.get("kind").and_then(Value::as_str) == Some("DaemonSet")
        && let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut)
    {
        // It is an annotation in the form of the version alone.
        annotations.remove("deprecated.daemonset.template.generation");
        let none = annotations.is_empty();
        if let (Some(map), true) = (metadata.as_object_mut(), none) {
            map.remove("annotations");
        }
    }
    json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": metadata})
}

fn custom_cell(value: Option<&Value>, kind: &str, now: Time) -> Value {
    let Some(value) = value.filter(|value| !value.is_null()) else { return Value::Null };
    match kind {
        "string" => match value {
            Value::String(text) => text.as_str().into(),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
                value.to_string().into()
            }
        },
        "integer" => value
            .as_i64()
            .map_or_else(|| value.as_f64().map_or(Value::Null, |number| json!(number.trunc())), Value::from),
        "number" if value.is_number() => value.clone(),
        "boolean" if value.is_boolean() => value.clone(),
        "date" => value.as_str().map_or(Value::Null, |text| since(text, now).into()),
        _ => Value::Null,
    }
}

/// Says how long ago a time is, as `kubectl` says it.
fn since(text: &str, now: Time) -> String {
    match Time::parse(text) {
        Some(then) => human(now.0.saturating_sub(then.0).div_euclid(1_000_000)),
        None => "<invalid>".to_owned(),
    }
}

/// Says how long some seconds are: two units where the first one is small.
fn human(seconds: i64) -> String {
    let (minutes, hours) = (seconds / 60, seconds / 3600);
    let (days, years) = (hours / 24, hours / 24 / 365);
    let two = |many: i64, unit: &str, rest: i64, small: &str| {
        if rest == 0 { format!("{many}{unit}") } else { format!("{many}{unit}{rest}{small}") }
    };
    if seconds < -1 {
        "<invalid>".to_owned()
    } else if seconds < 0 {
        "0s".to_owned()
    } else if seconds < 120 {
        format!("{seconds}s")
    } else if minutes < 10 {
        two(minutes, "m", seconds % 60, "s")
    } else if minutes < 180 {
        format!("{minutes}m")
    } else if hours < 8 {
        two(hours, "h", minutes % 60, "m")
    } else if hours < 48 {
        format!("{hours}h")
    } else if days < 8 {
        two(days, "d", hours % 24, "h")
    } else if days < 730 {
        format!("{days}d")
    } else if years < 8 {
        two(years, "y", days % 365, "d")
    } else {
        format!("{years}y")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::built_in;

    #[test]
    fn spans_are_told_as_people_like_them() {
        for (seconds, text) in [
            (-5, "<invalid>"),
            (-1, "0s"),
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (147, "2m27s"),
            (660, "11m"),
            (4 * 3600 + 60, "4h1m"),
            (9 * 3600 + 60, "9h"),
            (3 * 86_400 + 7200, "3d2h"),
            (30 * 86_400, "30d"),
            (800 * 86_400, "2y70d"),
            (9 * 365 * 86_400, "9y"),
        ] {
            assert_eq!(human(seconds), text);
        }
    }

    #[test]
    fn columns_of_a_definition_are_found_by_their_paths() {
        let name = Printer::of(built_in().first().unwrap()).columns.remove(0);
        let columns = json!([
            {"name": "Ready", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Ready\")].status"},
            {"name": "Size", "type": "integer", "jsonPath": ".spec.size", "priority": 1},
            {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}]);
        let printer = Printer::custom(name, &columns);
        let object = json!({"metadata": {"name": "a", "creationTimestamp": "1970-01-01T00:00:00Z"}, "spec": {"size": 3},
            "status": {"conditions": [{"type": "X", "status": "False"}, {"type": "Ready", "status": "True"}]}});
        let row = printer.row(&object, Include::Nothing, Time(7_000_000));
        assert_eq!(row, json!({"cells": ["a", "True", 3, "7s"], "object": null}));
        let row = printer.row(&json!({"metadata": {"name": "b"}}), Include::Metadata, Time(0));
        assert_eq!(row["cells"], json!(["b", null, null, null]));
        assert_eq!(row["object"]["kind"], "PartialObjectMetadata");
        assert_eq!(printer.columns()[2]["priority"], 1);
    }

    #[test]
    fn every_built_in_kind_has_as_many_cells_as_columns() {
        for resource in built_in() {
            let printer = Printer::of(resource);
            let row = printer.row(&json!({"metadata": {"name": "a"}}), Include::Object, Time(0));
            let columns = printer.columns();
            assert_eq!(
                row["cells"].as_array().unwrap().len(),
                columns.as_array().unwrap().len(),
                "{}",
                resource.kind
            );
        }
    }
}
