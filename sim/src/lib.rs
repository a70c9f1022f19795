//! An in-memory Kubernetes API that behaves as the real one for what Argosy uses of it.
//!
//! The layers, from the pure to the outside: values and who owns their fields ([`ownership`]), the forms of a
//! patch ([`patch`]) and the schemas of custom resources ([`structural`]); the kinds that are served ([`kinds`]);
//! one cluster without I/O, clock or threads ([`cluster`]); and its server ([`http`]).

pub mod cluster;
pub mod http;
pub mod kinds;
pub mod ownership;
pub mod patch;
pub mod structural;

mod controllers;
mod golang;
