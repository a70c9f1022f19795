//! How strategic merge patches merge the built-in kinds.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use parking_lot::Mutex;

use super::fields::{self, Field, FieldType};
use crate::patch::{ListStrategy, Strategy};

/// Strategies that were made already, by the names of their structs.
static MADE: LazyLock<Mutex<BTreeMap<&'static str, Arc<Strategy>>>> = LazyLock::new(Mutex::default);

/// Gives the strategy of a built-in kind.
pub(crate) fn of(name: &'static str) -> Arc<Strategy> {
    if let Some(made) = MADE.lock().get(name) {
        return made.clone();
    }
    let made = Arc::new(of_struct(name, &mut Vec::new()));
    MADE.lock().insert(name, made.clone());
    made
}

fn of_struct(name: &'static str, within: &mut Vec<&'static str>) -> Strategy {
    let Some(of) = fields::find(name).filter(|_| !within.contains(&name)) else { return Strategy::default() };
    within.push(name);
    let mut strategy = Strategy::default();
    for field in &of.fields {
        let below = of_field(field, within);
        if below != Strategy::default() {
            strategy.fields.insert(field.name.to_owned(), below);
        }
    }
    within.pop();
    strategy
}

fn of_field(field: &Field, within: &mut Vec<&'static str>) -> Strategy {
    let mut strategy = of_type(&field.ty, within);
    let Some((how, key)) = field.patch else { return strategy };
    let words: Vec<&str> = how.split(',').collect();
    if words.contains(&"merge") && matches!(field.ty, FieldType::List(_)) {
        strategy.list = ListStrategy::Merge { key: key.unwrap_or_default().to_owned() };
    }
    if words.contains(&"replace") {
        strategy.replaces = true;
    }
    strategy
}

fn of_type(ty: &FieldType, within: &mut Vec<&'static str>) -> Strategy {
    match ty {
        FieldType::Struct(name) => of_struct(name, within),
        FieldType::List(item) => of_type(item, within),
        FieldType::Map(item) => {
            let others = of_type(item, within);
            let plain = others == Strategy::default();
            Strategy { others: (!plain).then(|| Box::new(others)), ..Strategy::default() }
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
        | FieldType::Any => Strategy::default(),
    }
}
