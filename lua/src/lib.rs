//! Health rules that users write in Lua, as they write them for Argo CD.
//!
//! A rule is a script that reads the global `obj` and returns a table with `status` and `message`, or nothing. Rules come
//! from an `argocd-cm` ConfigMap or from files of a folder in the layout of Argo CD's own (`GROUP/KIND/health.lua`). Each script runs in a state of its own, in a sandbox with limits of steps, time and
//! memory that it cannot catch: there is no `pcall`. This package depends on core alone and keeps C out of it.

mod load;
mod pattern;
mod rules;
mod sandbox;

pub use load::LoadError;
pub use rules::{Rules, RulesError};
pub use sandbox::{Clock, Libraries};
