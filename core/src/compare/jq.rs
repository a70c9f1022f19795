//! The part of jq that names paths: what `jqPathExpressions` of ignored differences are written in.
//!
//! An expression is evaluated as jq does, on one object, to the paths that it names; those are deleted (jq: `del`). What is
//! no path, and every function that is not listed here, is refused by name when the document is read. There are no loops
//! and no definitions, and the number of steps is bounded, so an evaluation always ends.

mod parse;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::cmp::Ordering;

use serde_json::Value;

use super::path::{Place, Segment};

/// Most values that one evaluation looks at.
const STEPS: usize = 200_000;

/// An expression that names paths.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PathExpression(Filter);

/// An expression that is none, or none that this version knows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{expression:?}: {why}")]
pub struct JqError {
    /// The expression as given.
    pub expression: String,
    /// What is wrong with it.
    pub why: String,
}

/// An evaluation that takes more steps than are given to one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the expression takes more than {STEPS} steps on this object")]
pub struct TooManySteps;

#[derive(Debug, Clone, PartialEq)]
enum Filter {
    /// `.`
    Identity,
    /// `.name`
    Field(String),
    /// `.[n]`, from the end where it is below zero.
    Index(i64),
    /// `.[]`
    Each,
    /// `..`
    Recurse,
    Literal(Value),
    /// `a | b`
    Pipe(Box<Filter>, Box<Filter>),
    /// `a, b`
    Comma(Box<Filter>, Box<Filter>),
    /// `a and b`, `a == b`, …
    Binary(Operator, Box<Filter>, Box<Filter>),
    /// `select(f)`
    Select(Box<Filter>),
    /// `first(f)`
    First(Box<Filter>),
    /// `not`
    Not,
    /// A function of one argument that compares: `startswith("x")`, `has("x")`, …
    Test(Test, Box<Filter>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Or,
    And,
    Equal,
    Unequal,
    Less,
    LessOrEqual,
    More,
    MoreOrEqual,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Test {
    StartsWith,
    EndsWith,
    Contains,
    Has,
}

/// A value on its way through filters; with its path unless it was made.
#[derive(Debug, Clone)]
struct Node<'a> {
    path: Option<Place>,
    value: Cow<'a, Value>,
}

// === impl PathExpression ===

impl PathExpression {
    /// Reads an expression.
    pub(crate) fn read(expression: &str) -> Result<Self, JqError> {
        let refused = |why: String| JqError { expression: expression.to_owned(), why };
        let filter = parse::parse(expression).map_err(refused)?;
        if filter.is_path() {
            Ok(Self(filter))
        } else {
            Err(refused("names no path that could be left out".to_owned()))
        }
    }

    /// Gives the places that it names in an object. A step that does not fit the value there, e.g. into a field of a list,
    /// names none.
    pub(crate) fn places(&self, object: &Value) -> Result<Vec<Place>, TooManySteps> {
        let start = Node { path: Some(Place::default()), value: Cow::Borrowed(object) };
        let mut steps = STEPS;
        let mut named = Vec::new();
        self.0.evaluate(start, &mut steps, &mut named)?;
        Ok(named.into_iter().filter_map(|node| node.path).collect())
    }
}

// === impl Filter ===

impl Filter {
    /// Tells whether everything that it gives has a path.
    fn is_path(&self) -> bool {
        match self {
            Self::Identity
            | Self::Field(_)
            | Self::Index(_)
            | Self::Each
            | Self::Recurse
            | Self::Select(_) => true,
            Self::Pipe(one, other) | Self::Comma(one, other) => one.is_path() && other.is_path(),
            Self::First(filter) => filter.is_path(),
            Self::Literal(_) | Self::Binary(..) | Self::Not | Self::Test(..) => false,
        }
    }

    fn evaluate<'a>(
        &self,
        node: Node<'a>,
        steps: &mut usize,
        out: &mut Vec<Node<'a>>,
    ) -> Result<(), TooManySteps> {
        *steps = steps.checked_sub(1).ok_or(TooManySteps)?;
        match self {
            Self::Identity => out.push(node),
            Self::Field(name) => out.push(node.below(Segment::Key(name.clone()))),
            Self::Index(index) => {
                let length = node.value.as_array().map_or(0, Vec::len);
                let from_end = usize::try_from(index.unsigned_abs()).ok();
                let at = if *index < 0 {
                    from_end.and_then(|back| length.checked_sub(back))
                } else {
                    usize::try_from(*index).ok()
                };
                out.extend(at.map(|at| node.below(Segment::Index(at))));
            }
            Self::Each => out.extend(node.children()),
            Self::Recurse => {
                let mut pending = vec![node];
                while let Some(node) = pending.pop() {
                    *steps = steps.checked_sub(1).ok_or(TooManySteps)?;
                    pending.extend(node.children());
                    out.push(node);
                }
            }
            Self::Literal(value) => out.push(Node::made(value.clone())),
            Self::Pipe(first, then) => {
                let mut between = Vec::new();
                first.evaluate(node, steps, &mut between)?;
                for node in between {
                    then.evaluate(node, steps, out)?;
                }
            }
            Self::Comma(one, other) => {
                one.evaluate(node.clone(), steps, out)?;
                other.evaluate(node, steps, out)?;
            }
            Self::Binary(operator, one, other) => {
                let mut left = Vec::new();
                one.evaluate(node.clone(), steps, &mut left)?;
                for left in left {
                    if let Some(decided) = operator.decides(&left.value) {
                        out.push(Node::made(Value::Bool(decided)));
                        continue;
                    }
                    let mut right = Vec::new();
                    other.evaluate(node.clone(), steps, &mut right)?;
                    for right in right {
                        *steps = steps.checked_sub(1).ok_or(TooManySteps)?;
                        out.push(Node::made(Value::Bool(operator.holds(&left.value, &right.value))));
                    }
                }
            }
            Self::Select(condition) => {
                let mut held = Vec::new();
                condition.evaluate(node.clone(), steps, &mut held)?;
                // More than once is no other path.
                if held.iter().any(|node| is_true(&node.value)) {
                    out.push(node);
                }
            }
            Self::First(filter) => {
                let mut all = Vec::new();
                filter.evaluate(node, steps, &mut all)?;
                out.extend(all.into_iter().next());
            }
            Self::Not => out.push(Node::made(Value::Bool(!is_true(&node.value)))),
            Self::Test(test, argument) => {
                let mut arguments = Vec::new();
                argument.evaluate(node.clone(), steps, &mut arguments)?;
                for argument in arguments {
                    out.push(Node::made(Value::Bool(test.holds(&node.value, &argument.value))));
                }
            }
        }
        Ok(())
    }
}

// === impl Operator ===

impl Operator {
    /// Tells what the left side decides alone.
    fn decides(self, left: &Value) -> Option<bool> {
        match self {
            Self::Or => is_true(left).then_some(true),
            Self::And => (!is_true(left)).then_some(false),
            Self::Equal | Self::Unequal | Self::Less | Self::LessOrEqual | Self::More | Self::MoreOrEqual => {
                None
            }
        }
    }

    fn holds(self, left: &Value, right: &Value) -> bool {
        match self {
            Self::Or => is_true(left) || is_true(right),
            Self::And => is_true(left) && is_true(right),
            Self::Equal => left == right,
            Self::Unequal => left != right,
            Self::Less => order(left, right) == Some(Ordering::Less),
            Self::LessOrEqual => order(left, right).is_some_and(Ordering::is_le),
            Self::More => order(left, right) == Some(Ordering::Greater),
            Self::MoreOrEqual => order(left, right).is_some_and(Ordering::is_ge),
        }
    }
}

/// Orders numbers and texts; other values have no order here.
fn order(left: &Value, right: &Value) -> Option<Ordering> {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => left.as_f64()?.partial_cmp(&right.as_f64()?),
        (Value::String(left), Value::String(right)) => Some(left.cmp(right)),
        (
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Array(_)
            | Value::Object(_),
            _,
        ) => None,
    }
}

// === impl Test ===

impl Test {
    fn holds(self, value: &Value, argument: &Value) -> bool {
        let texts = value.as_str().zip(argument.as_str());
        match self {
            Self::StartsWith => texts.is_some_and(|(text, start)| text.starts_with(start)),
            Self::EndsWith => texts.is_some_and(|(text, end)| text.ends_with(end)),
            Self::Contains => contains(value, argument),
            Self::Has => match (value, argument) {
                (Value::Object(map), Value::String(name)) => map.contains_key(name),
                (Value::Array(items), Value::Number(index)) => {
                    index.as_u64().is_some_and(|index| index < items.len() as u64)
                }
                (
                    Value::Null
                    | Value::Bool(_)
                    | Value::Number(_)
                    | Value::String(_)
                    | Value::Array(_)
                    | Value::Object(_),
                    _,
                ) => false,
            },
        }
    }
}

fn contains(value: &Value, part: &Value) -> bool {
    match (value, part) {
        (Value::String(text), Value::String(part)) => text.contains(part.as_str()),
        (Value::Array(items), Value::Array(parts)) => {
            parts.iter().all(|part| items.iter().any(|item| contains(item, part)))
        }
        (Value::Object(map), Value::Object(parts)) => {
            parts.iter().all(|(name, part)| map.get(name).is_some_and(|value| contains(value, part)))
        }
        (
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Array(_)
            | Value::Object(_),
            _,
        ) => value == part,
    }
}

fn is_true(value: &Value) -> bool {
    !matches!(value, Value::Null | Value::Bool(false))
}

// === impl Node ===

impl Node<'_> {
    fn made(value: Value) -> Self {
        Self { path: None, value: Cow::Owned(value) }
    }

    /// Takes one step; a place that is not there has the value null, as in jq, and is no place to leave out.
    fn below(&self, segment: Segment) -> Self {
        let value = match &self.value {
            Cow::Borrowed(value) => segment.of(value).map(Cow::Borrowed),
            Cow::Owned(value) => segment.of(value).cloned().map(Cow::Owned),
        };
        match value {
            Some(value) => {
                let path = self.path.as_ref().map(|path| path.then(segment));
                Self { path, value }
            }
            None => Self::made(Value::Null),
        }
    }

    fn children(&self) -> Vec<Self> {
        let segments: Vec<Segment> = match self.value.as_ref() {
            Value::Object(map) => map.keys().cloned().map(Segment::Key).collect(),
            Value::Array(items) => (0..items.len()).map(Segment::Index).collect(),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
        };
        segments.into_iter().map(|segment| self.below(segment)).collect()
    }
}
