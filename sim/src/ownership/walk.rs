//! Walks over values by their type: the set of fields, the merge, the comparison, the removal.

mod compare;
mod equal;
mod fields;
mod merge;
mod prune;
mod reconcile;
mod remove;
mod validate;

pub(crate) use compare::{Changes, compare};
pub(crate) use equal::equal;
pub(crate) use fields::fields_of;
pub(crate) use merge::merge;
pub(crate) use prune::prune;
pub(crate) use reconcile::{is_outdated, reconcile};
pub(crate) use validate::{Duplicates, validate};
