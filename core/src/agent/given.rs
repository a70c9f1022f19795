//! What people at the edge give an agent before it starts.

use std::sync::Arc;

use crate::health::UserRules;
use crate::local::LocalPolicy;

/// Files of the edge, as they were read at the start.
#[derive(Default, Clone)]
pub struct Given {
    /// Health rules: what is seen was judged by these, too.
    pub rules: Option<Arc<dyn UserRules>>,
    /// What may be done to the cluster, whatever the hub says.
    pub policy: Option<Arc<LocalPolicy>>,
}
