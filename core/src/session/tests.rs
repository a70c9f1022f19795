//! Both ends of the link, driven against each other.

mod bulk;
mod bundles;
mod commands;
pub(crate) mod fixture;
mod heads;
mod paused;
mod properties;
mod statuses;
mod streams;
mod world;
