//! Where a script runs: a Lua state of its own, with the libraries that Argo CD gives, and limits.
//!
//! Lua counts instructions by a hook that does not fire inside of C functions, so whatever could be long in one is either
//! not there (`setmetatable`, `table.move`, `string.pack`, coroutines, `load`), written here (patterns), or pays for its
//! size before it runs. Nothing can catch the end of its time: `pcall` and its like are not there.

mod libraries;

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use argosy_core::health::{Health, Ruling};
use mlua::{HookTriggers, Lua, LuaOptions, StdLib, VmState};
use serde_json::Value;

/// How long a script may take.
const TIME: Duration = Duration::from_secs(1);
/// How many steps a script may take: instructions, and what functions cost.
const STEPS: u64 = 20_000_000;
/// How much memory a script may take, its object included.
const MEMORY: usize = 64 << 20;
/// How deep functions that are ours may call back into a script: each level takes of the thread's stack, whose end would
/// be that of the process.
const NESTED: u32 = 16;
/// Instructions between two looks at the limits.
const STRIDE: u32 = 100;

/// Where scripts get time from.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    /// Time that passes, from any beginning.
    pub elapsed: fn() -> Duration,
    /// Seconds since 1970, for people.
    pub unix: fn() -> i64,
}

/// Which libraries a script has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Libraries {
    /// The basic functions, `table`, and of `os` what is safe: what Argo CD gives to rules of users.
    #[default]
    Few,
    /// `string` and `math` as well: what Argo CD gives to those that ask for it, and to rules in its folder.
    All,
}

/// Runs scripts.
#[derive(Debug)]
pub(crate) struct Sandbox {
    clock: Clock,
}

/// What a script may still use up.
pub(crate) struct Budget {
    steps: Cell<u64>,
    nested: Cell<u32>,
    clock: Clock,
    deadline: Duration,
}

// === impl Budget ===

impl Budget {
    fn new(clock: Clock, steps: u64) -> Self {
        let deadline = (clock.elapsed)().saturating_add(TIME);
        Self { steps: Cell::new(steps), nested: Cell::new(0), clock, deadline }
    }

    /// Runs what may call back into the script, unless too much of that is under way.
    pub(crate) fn nested<T>(&self, work: impl FnOnce() -> mlua::Result<T>) -> mlua::Result<T> {
        let outer = self.nested.get();
        if outer >= NESTED {
            let message = format!("functions call each other back more than {NESTED} deep");
            return Err(mlua::Error::runtime(message));
        }
        self.nested.set(outer.saturating_add(1));
        let done = work();
        self.nested.set(outer);
        done
    }

    /// Pays for steps, or ends the script.
    pub(crate) fn pay(&self, steps: u64) -> mlua::Result<()> {
        let Some(left) = self.steps.get().checked_sub(steps) else {
            return Err(mlua::Error::runtime(format!("the script takes more than {STEPS} steps")));
        };
        self.steps.set(left);
        // Single steps are cheaper than the clock.
        let look = steps > 1 || left.is_multiple_of(64);
        if look && (self.clock.elapsed)() > self.deadline {
            return Err(mlua::Error::runtime(format!("the script takes more than {} s", TIME.as_secs())));
        }
        Ok(())
    }
}

// === impl Sandbox ===

impl Sandbox {
    pub(crate) fn new(clock: Clock) -> Self {
        Self { clock }
    }

    /// Tells what is wrong with a script before it runs.
    pub(crate) fn check(&self, script: &str) -> Result<(), String> {
        let (lua, _budget) = self.state(Libraries::Few).map_err(|error| words(&error))?;
        let compiled =
            lua.load(script).set_name("=rule").set_mode(mlua::chunk::ChunkMode::Text).into_function();
        compiled.map(drop).map_err(|error| words(&error))
    }

    /// Judges an object by a script.
    pub(crate) fn judge(&self, script: &str, libraries: Libraries, object: &Value) -> Ruling {
        match self.run(script, libraries, object) {
            Ok(ruling) => ruling,
            Err(error) => Ruling::Verdict(Health::Unknown, words(&error)),
        }
    }

    fn run(&self, script: &str, libraries: Libraries, object: &Value) -> mlua::Result<Ruling> {
        let (lua, _budget) = self.state(libraries)?;
        lua.globals().raw_set("obj", value(&lua, object)?)?;
        let chunk = lua.load(script).set_name("=rule").set_mode(mlua::chunk::ChunkMode::Text);
        let returned = chunk.eval::<mlua::Value>()?;
        if returned.is_nil() {
            return Ok(Ruling::NoOpinion);
        }
        let Some(table) = returned.as_table() else {
            let message = format!("expect table output from Lua script, not {}", returned.type_name());
            return Ok(Ruling::Verdict(Health::Unknown, message));
        };
        Ok(match Health::parse(&text(&table.raw_get("status")?)) {
            Some(health) => Ruling::Verdict(health, text(&table.raw_get("message")?)),
            None => Ruling::Verdict(Health::Unknown, "Lua returned an invalid health status".to_owned()),
        })
    }

    /// Makes a state with these libraries.
    fn state(&self, libraries: Libraries) -> mlua::Result<(Lua, Rc<Budget>)> {
        let standard = StdLib::TABLE | StdLib::STRING | StdLib::MATH;
        let lua = Lua::new_with(standard, LuaOptions::new().catch_rust_panics(false))?;
        lua.set_memory_limit(MEMORY)?;
        let budget = Rc::new(Budget::new(self.clock, STEPS));
        libraries::install(&lua, libraries, self.clock, &budget)?;
        let paid = Rc::clone(&budget);
        let triggers = HookTriggers::new().every_nth_instruction(STRIDE);
        lua.set_hook(triggers, move |_lua, _debug| paid.pay(STRIDE.into()).map(|()| VmState::Continue))?;
        Ok((lua, budget))
    }
}

/// Gives an object to a script. What is null is not there.
fn value(lua: &Lua, json: &Value) -> mlua::Result<mlua::Value> {
    Ok(match json {
        Value::Null => mlua::Value::Nil,
        Value::Bool(value) => mlua::Value::Boolean(*value),
        Value::Number(number) => match number.as_i64() {
            Some(number) => mlua::Value::Integer(number),
            None => mlua::Value::Number(number.as_f64().unwrap_or(f64::NAN)),
        },
        Value::String(text) => mlua::Value::String(lua.create_string(text)?),
        Value::Array(items) => {
            let table = lua.create_table_with_capacity(items.len(), 0)?;
            for item in items {
                table.raw_push(value(lua, item)?)?;
            }
            mlua::Value::Table(table)
        }
        Value::Object(fields) => {
            let table = lua.create_table_with_capacity(0, fields.len())?;
            for (key, field) in fields {
                table.raw_set(key.as_str(), value(lua, field)?)?;
            }
            mlua::Value::Table(table)
        }
    })
}

/// Reads what a script returns as text; what is neither text nor a number is none.
fn text(value: &mlua::Value) -> String {
    let number = || value.as_integer().map(|number| number.to_string());
    let fraction = || value.as_number().map(|number| number.to_string());
    let text = value.as_string().map(mlua::LuaString::to_string_lossy);
    text.or_else(number).or_else(fraction).unwrap_or_default()
}

/// Says what ended a script, without the stack.
fn words(error: &mlua::Error) -> String {
    let mut cause = error;
    while let mlua::Error::CallbackError { cause: inner, .. } = cause {
        cause = inner;
    }
    let said = if let mlua::Error::RuntimeError(message)
    | mlua::Error::MemoryError(message)
    | mlua::Error::SyntaxError { message, .. } = cause
    {
        message.clone()
    } else {
        cause.to_string()
    };
    said.lines().next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests;
