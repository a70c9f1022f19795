//! Simple controllers that make workloads come to life.

use std::sync::Arc;

use crate::cluster::{Cluster, Key, Place};

/// Tells whether a controller looks at a kind.
pub(crate) fn cares(_group: &str, _plural: &str) -> bool {
    false
}

/// Lets the controller of a kind look at an object.
pub(crate) fn reconcile(_cluster: &mut Cluster, _place: &Arc<Place>, _key: &Key) {}
