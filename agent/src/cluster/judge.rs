//! By what the health of live objects is judged.
//!
//! Our own rules are fast and run where an object is read. A user's rule is a script that may take its whole second: it
//! runs on a thread of its own, those for single objects apart from those for pages, so that neither the link nor a
//! write waits for a slow script.

use std::fmt;
use std::sync::Arc;

use argosy_core::cluster::{ApiError, Watched};
use argosy_core::health::{Assessor, UserRules};
use argosy_core::key::GroupKind;
use argosy_runtime::blocking::Pool;

/// How much is judged at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Size {
    /// One object.
    One,
    /// A page of a list.
    Page,
}

/// Judges objects by our rules and by those of users.
#[derive(Clone)]
pub(super) struct Judge {
    rules: Option<Arc<dyn UserRules>>,
    single: Pool,
    pages: Pool,
}

// === impl Judge ===

impl Judge {
    pub(super) fn new(rules: Option<Arc<dyn UserRules>>) -> Self {
        Self { rules, single: Pool::new("health", 1), pages: Pool::new("health of pages", 1) }
    }

    /// Tells whether objects of a kind must be seen whole.
    pub(super) fn needs_whole(&self, kind: &GroupKind) -> bool {
        match &self.rules {
            Some(rules) => Assessor::default().with_rules(&**rules).has_rule(kind),
            None => Assessor::default().has_rule(kind),
        }
    }

    /// Tells whether what a watch is about must be seen whole: a part has no health.
    pub(super) fn shows_whole(&self, watched: &Watched) -> bool {
        match watched {
            Watched::Kind(kind) => self.needs_whole(kind),
            Watched::Part(_) => false,
        }
    }

    /// Runs a job that judges objects of a kind.
    ///
    /// # Cancel safety
    /// The job may run to its end; its result is lost.
    pub(super) async fn run<T, F>(&self, kind: &GroupKind, size: Size, job: F) -> Result<T, ApiError>
    where
        T: Send + 'static,
        F: FnOnce(&Assessor<'_>) -> T + Send + 'static,
    {
        let Some(rules) = self.rules.as_ref().filter(|rules| rules.covers(kind)).map(Arc::clone) else {
            return Ok(job(&Assessor::default()));
        };
        let pool = match size {
            Size::One => &self.single,
            Size::Page => &self.pages,
        };
        let judged = pool.run("judge health", move || job(&Assessor::default().with_rules(&*rules))).await;
        judged.map_err(|error| ApiError::Unreachable(format!("{kind} cannot be judged: {error}")))
    }
}

impl fmt::Debug for Judge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Judge").field("rules", &self.rules.is_some()).finish_non_exhaustive()
    }
}
