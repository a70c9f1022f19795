//! How the built-in kinds merge in server-side apply.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use parking_lot::Mutex;
use serde_json::{Value, json};

use super::decode;
use super::fields::{self, Field, FieldType, ListMerge, Struct};
use crate::ownership::{self, ListKind, MapType, Type};

/// Types that were made already, by the names of their structs.
static MADE: LazyLock<Mutex<BTreeMap<&'static str, Arc<Type>>>> = LazyLock::new(Mutex::default);

/// Gives the type of a built-in kind.
pub(crate) fn of(name: &'static str) -> Arc<Type> {
    if let Some(made) = MADE.lock().get(name) {
        return made.clone();
    }
    let fields = fields::find(name).map(|of| fields_of(of, &mut vec![name])).unwrap_or_default();
    let mut empty = json!({"metadata": {}});
    // Nothing can be wrong with nothing.
    let _nothing = decode::decode(&mut empty, name);
    let made = Arc::new(Type::resource_with_empty(fields, empty));
    MADE.lock().insert(name, made.clone());
    made
}

fn fields_of(of: &'static Struct, within: &mut Vec<&'static str>) -> BTreeMap<String, ownership::Field> {
    let field = |field: &Field| {
        let ty = type_of(&field.ty, field, within);
        (field.name.to_owned(), ownership::Field { ty, default: None })
    };
    of.fields.iter().map(field).collect()
}

fn type_of(ty: &FieldType, field: &Field, within: &mut Vec<&'static str>) -> Arc<Type> {
    match ty {
        FieldType::Text | FieldType::Bytes => Arc::new(Type::STRING),
        FieldType::Truth => Arc::new(Type::BOOLEAN),
        FieldType::Int32 | FieldType::Int64 | FieldType::Float => Arc::new(Type::NUMERIC),
        FieldType::Time
        | FieldType::MicroTime
        | FieldType::Duration
        | FieldType::Quantity
        | FieldType::IntOrText => Arc::new(Type::UNTYPED),
        FieldType::Object | FieldType::Any => Arc::new(Type::Deduced),
        FieldType::Struct("meta.ObjectMeta") => Type::nested_metadata(),
        // A schema within a schema: what is within it merges as any object does.
        FieldType::Struct(name) if within.contains(name) => Arc::new(Type::Deduced),
        FieldType::Struct(name) => {
            let Some(of) = fields::find(name) else { return Arc::new(Type::Deduced) };
            within.push(of.name);
            let fields = fields_of(of, within);
            within.pop();
            Arc::new(Type::Map(MapType { fields, element: None, atomic: of.atomic || field.atomic }))
        }
        FieldType::Map(item) => {
            let element = Some(type_of(item, field, within));
            Arc::new(Type::Map(MapType { fields: BTreeMap::new(), element, atomic: field.atomic }))
        }
        FieldType::List(item) => {
            let mut element = type_of(item, field, within);
            let kind = match &field.list {
                ListMerge::Atomic => ListKind::Atomic,
                ListMerge::Set => ListKind::Set,
                ListMerge::Map(keys) => {
                    element = with_defaults(element, item, keys);
                    ListKind::Map(keys.iter().map(|(key, _)| (*key).to_owned()).collect())
                }
            };
            Arc::new(Type::list(element, kind))
        }
    }
}

/// Gives the keys of a list's items their defaults.
fn with_defaults(
    element: Arc<Type>,
    item: &FieldType,
    keys: &[(&'static str, Option<&'static str>)],
) -> Arc<Type> {
    let mut element = Arc::unwrap_or_clone(element);
    if let Type::Map(map) = &mut element {
        for (key, default) in keys {
            if let Some(field) = map.fields.get_mut(*key) {
                field.default = default.map(Value::from).or_else(|| zero(item, key));
            }
        }
    }
    Arc::new(element)
}

/// Gives what a key is that nobody stated: a field that is always written is then empty.
fn zero(item: &FieldType, key: &str) -> Option<Value> {
    let FieldType::Struct(name) = item else { return None };
    let field = fields::find(name)?.field(key).filter(|field| !field.omit_empty && !field.pointer)?;
    match field.ty {
        FieldType::Text => Some("".into()),
        FieldType::Int32 | FieldType::Int64 => Some(0.into()),
        FieldType::Truth
        | FieldType::Float
        | FieldType::Bytes
        | FieldType::Time
        | FieldType::MicroTime
        | FieldType::Duration
        | FieldType::Quantity
        | FieldType::IntOrText
        | FieldType::Object
        | FieldType::Any
        | FieldType::Struct(_)
        | FieldType::List(_)
        | FieldType::Map(_) => None,
    }
}
