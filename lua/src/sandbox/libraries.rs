//! What a script can call.

use std::rc::Rc;

use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use mlua::{Function, IntoLuaMulti as _, Lua, MultiValue, Table, Value};

use super::{Budget, Clock, Libraries};
use crate::pattern;

/// Basic functions that a script does not have: they catch errors, run other code, reach the state, or hide loops.
const NO_BASICS: [&str; 10] = [
    "collectgarbage",
    "dofile",
    "getmetatable",
    "load",
    "loadfile",
    "loadstring",
    "pcall",
    "setmetatable",
    "warn",
    "xpcall",
];
/// Functions of `table` that it has; each pays for the length of its table.
const TABLE: [&str; 6] = ["concat", "insert", "remove", "sort", "unpack", "pack"];
/// Functions of `string` that are Lua's own; each pays for the length of its text.
const STRING: [&str; 8] = ["byte", "char", "format", "len", "lower", "reverse", "sub", "upper"];

/// Sets the globals of a state.
pub(super) fn install(
    lua: &Lua,
    libraries: Libraries,
    clock: Clock,
    budget: &Rc<Budget>,
) -> mlua::Result<()> {
    let globals = lua.globals();
    for name in NO_BASICS {
        globals.raw_set(name, Value::Nil)?;
    }
    globals.raw_set("print", lua.create_function(|_, _: MultiValue| Ok(()))?)?;
    let table = limited(lua, &globals.raw_get("table")?, &TABLE, budget)?;
    table.raw_set("getn", lua.create_function(|_, table: Table| Ok(table.raw_len()))?)?;
    globals.raw_set("unpack", table.raw_get::<Value>("unpack")?)?;
    globals.raw_set("table", table)?;
    globals.raw_set("os", os(lua, clock)?)?;
    let all: Table = globals.raw_get("string")?;
    let string = limited(lua, &all, &STRING, budget)?;
    string.raw_set("rep", repeat(lua, &all, budget)?)?;
    pattern::install(lua, &string, budget)?;
    // Methods of text go through the library, whether or not a script can name it.
    for pair in all.pairs::<Value, Value>() {
        let (name, _function) = pair?;
        all.raw_set(name, Value::Nil)?;
    }
    if libraries == Libraries::All {
        for pair in string.pairs::<Value, Value>() {
            let (name, function) = pair?;
            all.raw_set(name, function)?;
        }
    } else {
        globals.raw_set("string", Value::Nil)?;
        globals.raw_set("math", Value::Nil)?;
    }
    let modules = globals.clone();
    let require = lua.create_function(move |_, name: String| match name.as_str() {
        "os" | "table" | "string" | "math" => modules.raw_get::<Value>(name),
        _ => Err(mlua::Error::runtime(format!("module {name:?} is not there"))),
    })?;
    globals.raw_set("require", require)
}

/// Gives a library with some of its functions, which pay for the size of what they are given.
fn limited(lua: &Lua, library: &Table, names: &[&'static str], budget: &Rc<Budget>) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    for name in names.iter().copied() {
        let function: Function = library.raw_get(name)?;
        let budget = Rc::clone(budget);
        let pays = lua.create_function(move |_, arguments: MultiValue| {
            budget.pay(cost(name, &arguments))?;
            budget.nested(|| function.call::<MultiValue>(arguments))
        })?;
        table.raw_set(name, pays)?;
    }
    Ok(table)
}

fn cost(name: &str, arguments: &MultiValue) -> u64 {
    let size: u64 = arguments.iter().map(size).sum();
    match name {
        // Nothing is moved to append.
        "insert" if arguments.len() == 2 => 1,
        "sort" => size.saturating_mul(20),
        _ => size,
    }
}

fn size(value: &Value) -> u64 {
    let text = value.as_string().map(|text| text.as_bytes().len());
    let size = text.or_else(|| value.as_table().map(Table::raw_len));
    size.unwrap_or(1) as u64
}

/// `string.rep`: pays for what it makes.
fn repeat(lua: &Lua, library: &Table, budget: &Rc<Budget>) -> mlua::Result<Function> {
    let function: Function = library.raw_get("rep")?;
    let budget = Rc::clone(budget);
    lua.create_function(
        move |lua, (text, times, separator): (mlua::LuaString, i64, Option<mlua::LuaString>)| {
            let each = text.as_bytes().len().saturating_add(1) as u64;
            let between = separator.as_ref().map_or(0, |separator| separator.as_bytes().len() as u64);
            let times_or_none = u64::try_from(times).unwrap_or(0);
            budget.pay(each.saturating_add(between).saturating_mul(times_or_none))?;
            function.call::<Value>((text, times, separator).into_lua_multi(lua)?)
        },
    )
}

/// `os`, as far as it is safe: `time` and `date`, in UTC.
fn os(lua: &Lua, clock: Clock) -> mlua::Result<Table> {
    let os = lua.create_table()?;
    let time = lua.create_function(move |_, when: Option<Table>| match when {
        None => Ok((clock.unix)()),
        Some(when) => seconds(&when),
    })?;
    os.raw_set("time", time)?;
    let date = lua.create_function(move |lua, (form, time): (Option<String>, Option<i64>)| {
        let time = time.unwrap_or_else(|| (clock.unix)());
        date(lua, form.as_deref().unwrap_or("%c"), time)
    })?;
    os.raw_set("date", date)?;
    Ok(os)
}

fn seconds(when: &Table) -> mlua::Result<i64> {
    let field = |name: &str, otherwise: Option<i64>| -> mlua::Result<i64> {
        let missing = || mlua::Error::runtime(format!("field '{name}' missing in date table"));
        when.raw_get::<Option<i64>>(name)?.or(otherwise).ok_or_else(missing)
    };
    let wrong = |error: &dyn std::fmt::Display| mlua::Error::runtime(format!("os.time: {error}"));
    let small = |value: i64| i8::try_from(value).map_err(|error| wrong(&error));
    let year = i16::try_from(field("year", None)?).map_err(|error| wrong(&error))?;
    let (month, day) = (small(field("month", None)?)?, small(field("day", None)?)?);
    let (hour, minute, second) =
        (small(field("hour", Some(12))?)?, small(field("min", Some(0))?)?, small(field("sec", Some(0))?)?);
    let when = jiff::civil::DateTime::new(year, month, day, hour, minute, second, 0);
    let when = when.and_then(|when| when.to_zoned(TimeZone::UTC)).map_err(|error| wrong(&error))?;
    Ok(when.timestamp().as_second())
}

fn date(lua: &Lua, form: &str, time: i64) -> mlua::Result<Value> {
    let wrong = |error: jiff::Error| mlua::Error::runtime(format!("os.date: {error}"));
    let when: Zoned = Timestamp::from_second(time).map_err(wrong)?.to_zoned(TimeZone::UTC);
    let form = form.strip_prefix('!').unwrap_or(form);
    if !form.starts_with("*t") {
        let text = jiff::fmt::strtime::format(form, &when).map_err(wrong)?;
        return lua.create_string(text).map(Value::String);
    }
    let table = lua.create_table()?;
    let fields = [
        ("year", i64::from(when.year())),
        ("month", i64::from(when.month())),
        ("day", i64::from(when.day())),
        ("hour", i64::from(when.hour())),
        ("min", i64::from(when.minute())),
        ("sec", i64::from(when.second())),
        ("wday", i64::from(when.weekday().to_sunday_one_offset())),
        ("yday", i64::from(when.day_of_year())),
    ];
    for (name, value) in fields {
        table.raw_set(name, value)?;
    }
    table.raw_set("isdst", false)?;
    Ok(Value::Table(table))
}
