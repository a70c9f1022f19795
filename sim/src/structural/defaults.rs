//! Fills in what a schema has defaults for.

use serde_json::Value;

use super::Schema;

/// Fills in the defaults of a value and of all that is in it.
pub(super) fn fill(schema: &Schema, value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, property) in &schema.properties {
                let Some(default) = &property.default else { continue };
                let missing = fields.get(name).is_none_or(|value| value.is_null() && property.refuses_null());
                if missing {
                    fields.insert(name.clone(), default.clone());
                }
            }
            for (name, value) in fields {
                if let Some(property) = schema.properties.get(name) {
                    fill(property, value);
                } else if let Some(element) = schema.field(name) {
                    fill_null(element, value);
                }
            }
        }
        Value::Array(items) => {
            let Some(schema) = schema.items.as_deref() else { return };
            for item in items {
                fill_null(schema, item);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn fill_null(schema: &Schema, value: &mut Value) {
    if value.is_null() && schema.refuses_null() {
        *value = schema.default.clone().unwrap_or_default();
    }
    fill(schema, value);
}
