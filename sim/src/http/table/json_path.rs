//! The part of `JSONPath` that columns use.

use serde_json::Value;

/// A path into an object.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Path {
    /// Nothing if the text is no path.
    steps: Option<Vec<Step>>,
}

#[derive(Debug, Clone, PartialEq)]
enum Step {
    Field(String),
    Index(i64),
    All,
    /// Items of a list in which a path has a value.
    Where(Vec<Step>, Value),
}

// === impl Path ===

impl Path {
    /// Reads a path such as `.status.conditions[?(@.type=="Ready")].status`.
    pub(super) fn of(text: &str) -> Self {
        let text = text.trim().trim_start_matches('{').trim_end_matches('}');
        Self { steps: steps(text.strip_prefix('$').unwrap_or(text)) }
    }

    /// Finds the first value.
    pub(super) fn first<'a>(&self, object: &'a Value) -> Option<&'a Value> {
        find(self.steps.as_ref()?, object)
    }
}

fn find<'a>(steps: &[Step], value: &'a Value) -> Option<&'a Value> {
    let Some((step, rest)) = steps.split_first() else { return Some(value) };
    match step {
        Step::Field(name) => find(rest, value.get(name)?),
        Step::Index(index) => {
            let list = value.as_array()?;
            let at = if *index < 0 { i64::try_from(list.len()).ok()?.checked_add(*index)? } else { *index };
            find(rest, list.get(usize::try_from(at).ok()?)?)
        }
        Step::All => match value {
            Value::Array(list) => list.iter().find_map(|item| find(rest, item)),
            Value::Object(map) => map.values().find_map(|item| find(rest, item)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
        },
        Step::Where(path, wanted) => {
            let mut items = value.as_array()?.iter().filter(|item| find(path, item) == Some(wanted));
            items.find_map(|item| find(rest, item))
        }
    }
}

fn steps(mut text: &str) -> Option<Vec<Step>> {
    let mut steps = Vec::new();
    while !text.is_empty() {
        if let Some(rest) = text.strip_prefix('.') {
            let (name, after) = field(rest);
            if name == "*" {
                steps.push(Step::All);
            } else if !name.is_empty() {
                steps.push(Step::Field(name));
            }
            text = after;
        } else if let Some(rest) = text.strip_prefix("[?(") {
            let (condition, after) = rest.split_once(")]")?;
            let (path, wanted) = condition.split_once("==")?;
            steps.push(Step::Where(self::steps(path.trim().strip_prefix('@')?)?, literal(wanted.trim())?));
            text = after;
        } else if let Some(rest) = text.strip_prefix('[') {
            let (inner, after) = bracket(rest)?;
            steps.push(inner);
            text = after;
        } else {
            return None;
        }
    }
    Some(steps)
}

/// Reads a name up to the next dot or bracket; a backslash makes the next letter part of the name.
fn field(text: &str) -> (String, &str) {
    let mut name = String::new();
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '\\' => name.extend(letters.next().map(|(_, escaped)| escaped)),
            '.' | '[' => return (name, text.get(at..).unwrap_or_default()),
            other => name.push(other),
        }
    }
    (name, "")
}

fn bracket(text: &str) -> Option<(Step, &str)> {
    for quote in ['\'', '"'] {
        if let Some(rest) = text.strip_prefix(quote) {
            let (name, after) = rest.split_once(&format!("{quote}]"))?;
            return Some((Step::Field(name.to_owned()), after));
        }
    }
    let (inner, after) = text.split_once(']')?;
    let step = if inner.trim() == "*" { Step::All } else { Step::Index(inner.trim().parse().ok()?) };
    Some((step, after))
}

fn literal(text: &str) -> Option<Value> {
    let quoted = text.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\''));
    match quoted {
        Some(text) => Some(Value::String(text.to_owned())),
        None => serde_json::from_str(text).ok(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn fields_indices_and_conditions_are_followed() {
        let object =
            json!({"spec": {"a.b/c": 1, "list": [{"n": "x", "v": 1}, {"n": "y", "v": 2}]}, "m": {"k": true}});
        for (path, wanted) in [
            (".spec['a.b/c']", json!(1)),
            (".spec.a\\.b/c", json!(1)),
            ("{.spec.list[1].v}", json!(2)),
            ("$.spec.list[-1].v", json!(2)),
            (".spec.list[*].n", json!("x")),
            (".spec.list[?(@.n=='y')].v", json!(2)),
            (".spec.list[?(@.v==1)].n", json!("x")),
            (".m.*", json!(true)),
        ] {
            assert_eq!(Path::of(path).first(&object), Some(&wanted), "{path}");
        }
        for path in [".spec.none", ".spec.list[7]", "spec", ".spec[?(x)]", ".spec.list[x]"] {
            assert_eq!(Path::of(path).first(&object), None, "{path}");
        }
    }
}
