//! From the parser's events to one JSON value.

use std::collections::{BTreeMap, BTreeSet};

use granit_parser::{Event, Parser, ScalarStyle, Tag};
use serde_json::{Map, Number, Value};

use super::scalar::{self, Scalar};
use super::{Limits, YamlErrorKind, YamlWarning};

/// What one document's text came to.
pub(super) struct Built {
    pub(super) value: Value,
    pub(super) line: usize,
    pub(super) warnings: Vec<YamlWarning>,
    pub(super) places: BTreeMap<String, usize>,
}

/// Why a document's text is refused, with the line inside it.
pub(super) struct Failure {
    pub(super) line: usize,
    pub(super) kind: YamlErrorKind,
}

/// Whether it is remembered where fields stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Places {
    /// Nobody asks.
    Unnoted,
    /// The line of each field is kept, by its path.
    Noted,
}

/// Builds the value of one document.
pub(super) fn build(text: &str, limits: &Limits, places: Places) -> Result<Built, Failure> {
    let options = granit_parser::options! {
        emit_comments: false,
        disallow_directives: true,
        flow_nesting_limit: limits.depth,
        block_nesting_limit: limits.depth,
    };
    let mut builder = Builder::new(limits);
    builder.noted = places;
    for next in Parser::new_from_str_with_options(text, options) {
        let (event, span) = next.map_err(|error| Failure {
            line: error.marker().line(),
            kind: YamlErrorKind::Syntax(error.info()),
        })?;
        builder.line = span.start.line();
        builder.event(event)?;
    }
    Ok(Built {
        value: builder.root.unwrap_or(Value::Null),
        line: builder.first_line.unwrap_or(1),
        warnings: builder.warnings,
        places: builder.places,
    })
}

/// Counts the levels of maps and lists.
pub(super) fn depth(value: &Value) -> usize {
    match value {
        Value::Object(map) => 1 + map.values().map(depth).max().unwrap_or(0),
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
    }
}

/// Folds the integral floats of a JSON value, as for YAML.
pub(super) fn fold_numbers(value: Value) -> Value {
    match value {
        Value::Object(map) => map.into_iter().map(|(key, value)| (key, fold_numbers(value))).collect(),
        Value::Array(items) => items.into_iter().map(fold_numbers).collect(),
        Value::Number(number) if number.as_i64().is_none() => match number.as_f64().map(scalar::fold) {
            Some(Scalar::Int(folded)) => Value::from(folded),
            Some(Scalar::Float(folded)) => {
                Number::from_f64(folded).map_or(Value::Number(number), Value::Number)
            }
            Some(Scalar::Null | Scalar::Bool(_) | Scalar::NonFinite | Scalar::Text) | None => {
                Value::Number(number)
            }
        },
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value,
    }
}

/// A map or list that is not complete yet.
struct Frame {
    anchor: usize,
    /// Line of the value that is being read, for messages about it.
    line: usize,
    node: Partial,
}

enum Partial {
    Map {
        map: Map<String, Value>,
        /// The key whose value comes next.
        key: Option<Key>,
        /// Keys that came by `<<` only: stating one again is no repetition.
        merged: BTreeSet<String>,
    },
    List(Vec<Value>),
}

enum Key {
    Name(String),
    Merge,
}

/// A finished node on its way into its parent.
struct Node {
    value: Value,
    /// The unquoted `<<`, which merges when it stands as a key.
    merge: bool,
}

struct Anchored {
    value: Value,
    weight: usize,
    depth: usize,
}

struct Builder<'a> {
    limits: &'a Limits,
    line: usize,
    first_line: Option<usize>,
    root: Option<Value>,
    stack: Vec<Frame>,
    anchors: BTreeMap<usize, Anchored>,
    alias_bytes: usize,
    warnings: Vec<YamlWarning>,
    noted: Places,
    places: BTreeMap<String, usize>,
}

// === impl Builder ===

impl<'a> Builder<'a> {
    fn new(limits: &'a Limits) -> Self {
        Self {
            limits,
            line: 1,
            first_line: None,
            root: None,
            stack: Vec::new(),
            anchors: BTreeMap::new(),
            alias_bytes: 0,
            warnings: Vec::new(),
            noted: Places::Unnoted,
            places: BTreeMap::new(),
        }
    }

    /// Notes where the node stands that is being read; its key comes before its value.
    fn note_place(&mut self) {
        if self.noted == Places::Noted {
            self.places.entry(self.path(None)).or_insert(self.line);
        }
    }

    fn event(&mut self, event: Event<'_>) -> Result<(), Failure> {
        match event {
            Event::DocumentStart(..) if self.root.is_some() => {
                Err(self.refuse("a second document begins here without a `---` line"))
            }
            Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(..)
            | Event::DocumentEnd
            | Event::Comment(..)
            | Event::Anchor(..) => Ok(()),
            Event::UnresolvedAlias(name) => Err(self.refuse(&format!("alias *{name} has no anchor"))),
            Event::Alias(id) => {
                let value = self.alias(id)?;
                self.attach(Node { value, merge: false })
            }
            Event::Scalar(text, style, anchor, tag) => {
                self.note_place();
                let plain = style == ScalarStyle::Plain;
                let merge = plain && tag.is_none() && text == "<<";
                let value = self.scalar(&text, plain, tag.as_deref())?;
                self.anchor(anchor, &value);
                self.attach(Node { value, merge })
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.collection_tag(tag.as_deref(), "seq")?;
                self.push(anchor, Partial::List(Vec::new()))
            }
            Event::MappingStart(_, anchor, tag) => {
                self.collection_tag(tag.as_deref(), "map")?;
                self.push(anchor, Partial::Map { map: Map::new(), key: None, merged: BTreeSet::new() })
            }
            Event::SequenceEnd | Event::MappingEnd => self.pop(),
            _ => Err(self.refuse("this YAML construct is not supported")),
        }
    }

    fn push(&mut self, anchor: usize, node: Partial) -> Result<(), Failure> {
        if self.stack.len() >= self.limits.depth {
            return Err(self.limit("levels of nesting", self.limits.depth));
        }
        if matches!(self.stack.last(), Some(Frame { node: Partial::Map { key: None, .. }, .. })) {
            return Err(self.refuse("a map or list as a key is not supported"));
        }
        self.note_place();
        self.first_line.get_or_insert(self.line);
        self.stack.push(Frame { anchor, line: self.line, node });
        Ok(())
    }

    fn pop(&mut self) -> Result<(), Failure> {
        let Some(frame) = self.stack.pop() else {
            return Err(self.refuse("an end without a beginning"));
        };
        let value = match frame.node {
            Partial::Map { map, .. } => Value::Object(map),
            Partial::List(items) => Value::Array(items),
        };
        self.anchor(frame.anchor, &value);
        self.attach(Node { value, merge: false })
    }

    /// Puts a finished node where it belongs: a key, a value, an item or the document itself.
    fn attach(&mut self, node: Node) -> Result<(), Failure> {
        let line = self.line;
        let Some(frame) = self.stack.last_mut() else {
            self.first_line.get_or_insert(line);
            self.root = Some(node.value);
            return Ok(());
        };
        match &mut frame.node {
            Partial::List(items) => {
                items.push(node.value);
                Ok(())
            }
            Partial::Map { map, key, merged } => match key.take() {
                None => {
                    frame.line = line;
                    match key_of(node) {
                        Ok(name) => *key = Some(name),
                        Err(why) => return Err(self.refuse(&why)),
                    }
                    self.note_place();
                    Ok(())
                }
                Some(Key::Name(name)) => {
                    let repeated = map.contains_key(&name) && !merged.remove(&name);
                    map.insert(name.clone(), node.value);
                    if repeated {
                        let line = frame.line;
                        let field = self.path(Some(&name));
                        let message = "the key is given more than once; the last one counts".to_owned();
                        self.warnings.push(YamlWarning { line, field, message });
                    }
                    Ok(())
                }
                Some(Key::Merge) => match merge(map, merged, node.value) {
                    Ok(()) => Ok(()),
                    Err(why) => Err(self.refuse(why)),
                },
            },
        }
    }

    fn scalar(&self, text: &str, plain: bool, tag: Option<&Tag>) -> Result<Value, Failure> {
        let wanted = match tag {
            None if plain => return self.value_of(scalar::resolve(text), text),
            None => return Ok(Value::String(text.to_owned())),
            Some(tag) => tag,
        };
        let resolved = scalar::resolve(text);
        let fits = match wanted.core_suffix() {
            Some("str") => return Ok(Value::String(text.to_owned())),
            Some("int") => matches!(resolved, Scalar::Int(_)),
            Some("float") => matches!(resolved, Scalar::Int(_) | Scalar::Float(_) | Scalar::NonFinite),
            Some("bool") => matches!(resolved, Scalar::Bool(_)),
            Some("null") => matches!(resolved, Scalar::Null),
            Some(_) | None if wanted.original() == "!" => return Ok(Value::String(text.to_owned())),
            Some(_) | None => return Err(self.refuse(&format!("tag {} is not supported", wanted.original()))),
        };
        if fits {
            self.value_of(resolved, text)
        } else {
            Err(self.refuse(&format!("the value is not what its tag {} says", wanted.original())))
        }
    }

    fn value_of(&self, scalar: Scalar, text: &str) -> Result<Value, Failure> {
        Ok(match scalar {
            Scalar::Null => Value::Null,
            Scalar::Bool(value) => Value::Bool(value),
            Scalar::Int(value) => Value::from(value),
            Scalar::Float(value) => Number::from_f64(value).map_or(Value::Null, Value::Number),
            Scalar::NonFinite => return Err(self.refuse(&format!("{text} is no number that JSON can say"))),
            Scalar::Text => Value::String(text.to_owned()),
        })
    }

    fn collection_tag(&self, tag: Option<&Tag>, core: &str) -> Result<(), Failure> {
        match tag {
            Some(tag) if tag.core_suffix() != Some(core) && tag.original() != "!" => {
                Err(self.refuse(&format!("tag {} is not supported", tag.original())))
            }
            Some(_) | None => Ok(()),
        }
    }

    fn anchor(&mut self, id: usize, value: &Value) {
        if id != 0 {
            let anchored = Anchored { value: value.clone(), weight: weight(value), depth: depth(value) };
            self.anchors.insert(id, anchored);
        }
    }

    fn alias(&mut self, id: usize) -> Result<Value, Failure> {
        let Some(anchored) = self.anchors.get(&id) else {
            return Err(self.refuse("an alias refers to a node that contains it"));
        };
        self.alias_bytes = self.alias_bytes.saturating_add(anchored.weight);
        if self.alias_bytes > self.limits.alias_bytes {
            return Err(self.limit("bytes by aliases", self.limits.alias_bytes));
        }
        if self.stack.len() + anchored.depth > self.limits.depth {
            return Err(self.limit("levels of nesting", self.limits.depth));
        }
        Ok(anchored.value.clone())
    }

    /// Gives the path of the node that is being read; `last` when the innermost key was taken already.
    fn path(&self, last: Option<&str>) -> String {
        let mut path = String::new();
        for frame in &self.stack {
            match &frame.node {
                Partial::List(items) => {
                    path.push('[');
                    path.push_str(&items.len().to_string());
                    path.push(']');
                }
                Partial::Map { key: Some(Key::Name(name)), .. } => push_key(&mut path, name),
                Partial::Map { key: Some(Key::Merge), .. } => push_key(&mut path, "<<"),
                Partial::Map { key: None, .. } => {}
            }
        }
        if let Some(last) = last {
            push_key(&mut path, last);
        }
        if path.is_empty() { ".".to_owned() } else { path }
    }

    fn refuse(&self, why: &str) -> Failure {
        let kind = YamlErrorKind::Value { field: self.path(None), why: why.to_owned() };
        Failure { line: self.line, kind }
    }

    fn limit(&self, what: &'static str, limit: usize) -> Failure {
        Failure { line: self.line, kind: YamlErrorKind::Limit { what, limit } }
    }
}

fn push_key(path: &mut String, key: &str) {
    if !path.is_empty() {
        path.push('.');
    }
    path.push_str(key);
}

/// Names a key as Kubernetes does: booleans and numbers become their text.
fn key_of(node: Node) -> Result<Key, String> {
    if node.merge {
        return Ok(Key::Merge);
    }
    match node.value {
        Value::String(name) => Ok(Key::Name(name)),
        Value::Bool(value) => Ok(Key::Name(value.to_string())),
        Value::Number(number) if number.is_i64() || number.is_u64() => Ok(Key::Name(number.to_string())),
        Value::Number(number) => match number.as_f64() {
            Some(value) if (1e-4..1e6).contains(&value.abs()) => Ok(Key::Name(value.to_string())),
            Some(_) | None => {
                Err(format!("the number {number} as a key is not supported: write it in quotes"))
            }
        },
        Value::Null => Err("null as a key is not supported".to_owned()),
        Value::Array(_) | Value::Object(_) => Err("a map or list as a key is not supported".to_owned()),
    }
}

/// Merges the value of `<<` in the order of Go's parser: over what stands before it, under what stands after it; of a
/// list the first map wins.
fn merge(
    map: &mut Map<String, Value>,
    merged: &mut BTreeSet<String>,
    value: Value,
) -> Result<(), &'static str> {
    const WHY: &str = "`<<` needs a map, or a list of maps";
    let sources = match value {
        Value::Object(source) => vec![Value::Object(source)],
        Value::Array(sources) => sources,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => return Err(WHY),
    };
    for source in sources.into_iter().rev() {
        let Value::Object(source) = source else { return Err(WHY) };
        for (key, value) in source {
            if map.insert(key.clone(), value).is_none() {
                merged.insert(key);
            }
        }
    }
    Ok(())
}

/// Estimates what a copy of the value costs.
fn weight(value: &Value) -> usize {
    const NODE: usize = 32;
    NODE + match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(weight).sum(),
        Value::Object(map) => map.iter().map(|(key, value)| key.len() + weight(value)).sum(),
    }
}
