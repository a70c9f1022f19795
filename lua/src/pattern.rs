//! Patterns of Lua 5.4, with a budget: Lua's own matcher can take exponential time and cannot be interrupted.

mod matcher;

use std::cell::Cell;
use std::rc::Rc;

use mlua::{Function, Lua, LuaString as Text, MultiValue, Result, Table, Value};

use self::matcher::{Capture, Matcher};
use crate::sandbox::Budget;

/// Sets `find`, `match`, `gmatch` and `gsub`.
pub(crate) fn install(lua: &Lua, string: &Table, budget: &Rc<Budget>) -> Result<()> {
    string.raw_set("find", find(lua, budget)?)?;
    string.raw_set("match", first_match(lua, budget)?)?;
    string.raw_set("gmatch", all_matches(lua, budget)?)?;
    string.raw_set("gsub", substitute(lua, budget)?)
}

/// Where a search begins, from Lua's first index; `None` beyond the end.
fn begin(init: Option<i64>, length: usize) -> Option<usize> {
    let init = init.unwrap_or(1);
    let at = match usize::try_from(init) {
        Ok(from_one) => from_one.saturating_sub(1),
        Err(_negative) => length.saturating_sub(usize::try_from(init.unsigned_abs()).unwrap_or(usize::MAX)),
    };
    (at <= length).then_some(at)
}

fn find(lua: &Lua, budget: &Rc<Budget>) -> Result<Function> {
    let budget = Rc::clone(budget);
    lua.create_function(move |lua, (text, pattern, init, plain): (Text, Text, Option<i64>, Option<bool>)| {
        let (text, pattern) = (text.as_bytes(), pattern.as_bytes());
        let Some(from) = begin(init, text.len()) else { return nil() };
        if plain.unwrap_or(false) {
            let size = (text.len() as u64).saturating_mul(pattern.len().max(1) as u64);
            budget.pay(size)?;
            let rest = text.get(from..).unwrap_or_default();
            let Some(at) = position(rest, &pattern) else { return nil() };
            let start = from.saturating_add(at);
            return Ok(span(start, start.saturating_add(pattern.len())));
        }
        let mut matcher = Matcher::new(&text, &pattern, &budget);
        match matcher.search(from)? {
            Some((start, end)) => {
                let mut values = span(start, end);
                for capture in matcher.captures() {
                    values.push_back(value(lua, &text, capture?)?);
                }
                Ok(values)
            }
            None => nil(),
        }
    })
}

fn first_match(lua: &Lua, budget: &Rc<Budget>) -> Result<Function> {
    let budget = Rc::clone(budget);
    lua.create_function(move |lua, (text, pattern, init): (Text, Text, Option<i64>)| {
        let (text, pattern) = (text.as_bytes(), pattern.as_bytes());
        let Some(from) = begin(init, text.len()) else { return nil() };
        let mut matcher = Matcher::new(&text, &pattern, &budget);
        match matcher.search(from)? {
            Some(span) => captured(lua, &text, &matcher, span),
            None => nil(),
        }
    })
}

fn all_matches(lua: &Lua, budget: &Rc<Budget>) -> Result<Function> {
    let budget = Rc::clone(budget);
    lua.create_function(move |lua, (text, pattern): (Text, Text)| {
        let (text, pattern) = (text.as_bytes().to_vec(), pattern.as_bytes().to_vec());
        budget.pay(text.len().saturating_add(pattern.len()) as u64)?;
        let budget = Rc::clone(&budget);
        let (next, last) = (Cell::new(0_usize), Cell::new(None));
        lua.create_function(move |lua, _: MultiValue| {
            let mut from = next.get();
            while from <= text.len() {
                let mut matcher = Matcher::new(&text, &pattern, &budget);
                match matcher.at(from)? {
                    Some(end) if Some(end) != last.get() => {
                        next.set(end);
                        last.set(Some(end));
                        return captured(lua, &text, &matcher, (from, end));
                    }
                    Some(_) | None => from = from.saturating_add(1),
                }
            }
            next.set(from);
            nil()
        })
    })
}

fn substitute(lua: &Lua, budget: &Rc<Budget>) -> Result<Function> {
    let budget = Rc::clone(budget);
    lua.create_function(move |lua, (text, pattern, replacement, most): (Text, Text, Value, Option<u64>)| {
        let (text, pattern) = (text.as_bytes(), pattern.as_bytes());
        let anchored = pattern.first() == Some(&b'^');
        let (mut at, mut last, mut count, mut result) = (0_usize, None, 0_u64, Vec::new());
        while most.is_none_or(|most| count < most) {
            let mut matcher = Matcher::new(&text, &pattern, &budget);
            match matcher.at(at)? {
                Some(end) if Some(end) != last => {
                    count = count.saturating_add(1);
                    let found = (at, end);
                    let new = budget.nested(|| replaced(lua, &text, &matcher, found, &replacement))?;
                    budget.pay(new.len() as u64)?;
                    result.extend_from_slice(&new);
                    (at, last) = (end, Some(end));
                }
                Some(_) | None => match text.get(at) {
                    Some(byte) => {
                        result.push(*byte);
                        at = at.saturating_add(1);
                    }
                    None => break,
                },
            }
            if anchored {
                break;
            }
        }
        result.extend_from_slice(text.get(at..).unwrap_or_default());
        Ok((lua.create_string(&result)?, count))
    })
}

/// Gives what one match is replaced by.
fn replaced(
    lua: &Lua,
    text: &[u8],
    matcher: &Matcher<'_>,
    found: (usize, usize),
    replacement: &Value,
) -> Result<Vec<u8>> {
    let new = if let Some(table) = replacement.as_table() {
        let key = captured(lua, text, matcher, found)?.pop_front().unwrap_or(Value::Nil);
        table.raw_get::<Value>(key)?
    } else if let Some(function) = replacement.as_function() {
        function.call::<Value>(captured(lua, text, matcher, found)?)?
    } else if let Some(template) = lua.coerce_string(replacement.clone())? {
        return expanded(lua, text, matcher, found, &template.as_bytes());
    } else {
        let message = format!("string/function/table expected, got {}", replacement.type_name());
        return Err(mlua::Error::runtime(message));
    };
    if new.is_nil() || new.as_boolean() == Some(false) {
        return Ok(text.get(found.0..found.1).unwrap_or_default().to_vec());
    }
    let kind = new.type_name();
    match lua.coerce_string(new)? {
        Some(new) => Ok(new.as_bytes().to_vec()),
        None => Err(mlua::Error::runtime(format!("invalid replacement value (a {kind})"))),
    }
}

/// Puts captures into a template: `%0` is the whole match, `%1` to `%9` are captures, `%%` is a percent sign.
fn expanded(
    lua: &Lua,
    text: &[u8],
    matcher: &Matcher<'_>,
    found: (usize, usize),
    template: &[u8],
) -> Result<Vec<u8>> {
    let mut result = Vec::new();
    let mut bytes = template.iter().copied();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            result.push(byte);
            continue;
        }
        match bytes.next() {
            Some(b'%') => result.push(b'%'),
            Some(b'0') => result.extend_from_slice(text.get(found.0..found.1).unwrap_or_default()),
            Some(digit @ b'1'..=b'9') => {
                let index = usize::from(digit.saturating_sub(b'1'));
                let mut values = captured(lua, text, matcher, found)?;
                let value = values.remove(index).ok_or_else(|| {
                    let number = index.saturating_add(1);
                    mlua::Error::runtime(format!("invalid capture index %{number} in replacement string"))
                })?;
                if let Some(value) = lua.coerce_string(value)? {
                    result.extend_from_slice(&value.as_bytes());
                }
            }
            Some(_) | None => {
                return Err(mlua::Error::runtime("invalid use of '%' in replacement string"));
            }
        }
    }
    Ok(result)
}

/// Gives the captures of a match, or all of it where there are none.
fn captured(lua: &Lua, text: &[u8], matcher: &Matcher<'_>, found: (usize, usize)) -> Result<MultiValue> {
    let mut values = MultiValue::new();
    for capture in matcher.captures() {
        values.push_back(value(lua, text, capture?)?);
    }
    if values.is_empty() {
        values.push_back(value(lua, text, Capture::Span(found.0, found.1))?);
    }
    Ok(values)
}

fn value(lua: &Lua, text: &[u8], capture: Capture) -> Result<Value> {
    match capture {
        Capture::Position(at) => Ok(index(at)),
        Capture::Span(start, end) => {
            lua.create_string(text.get(start..end).unwrap_or_default()).map(Value::String)
        }
    }
}

/// Counts as Lua does, from one.
fn index(at: usize) -> Value {
    Value::Integer(i64::try_from(at.saturating_add(1)).unwrap_or(i64::MAX))
}

fn span(start: usize, end: usize) -> MultiValue {
    let mut values = MultiValue::new();
    values.push_back(index(start));
    values.push_back(Value::Integer(i64::try_from(end).unwrap_or(i64::MAX)));
    values
}

#[expect(clippy::unnecessary_wraps, reason = "it ends functions that may fail")]
fn nil() -> Result<MultiValue> {
    let mut values = MultiValue::new();
    values.push_back(Value::Nil);
    Ok(values)
}

fn position(text: &[u8], word: &[u8]) -> Option<usize> {
    if word.is_empty() {
        return Some(0);
    }
    text.windows(word.len()).position(|window| window == word)
}
