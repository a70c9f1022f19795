//! What a sync does otherwise than its application's document says.

use argosy_core::policy::Retry;
use argosy_core::selection::{SELECTORS, Selector, SyncOptions};

use crate::error::FrameError;
use crate::field;
use crate::link::limits;
use crate::v1;

impl From<Selector> for v1::ResourceSelector {
    fn from(selector: Selector) -> Self {
        let Selector { group, kind, namespace, name, exclude } = selector;
        Self { group, kind, namespace, name, exclude }
    }
}

impl TryFrom<v1::ResourceSelector> for Selector {
    type Error = FrameError;

    fn try_from(selector: v1::ResourceSelector) -> Result<Self, FrameError> {
        let word = |text| field::word("sync.resources", text, limits::NAME);
        Ok(Self {
            group: word(selector.group)?,
            kind: word(selector.kind)?,
            namespace: word(selector.namespace)?,
            name: word(selector.name)?,
            exclude: selector.exclude,
        })
    }
}

impl v1::SyncWithCommand {
    /// Makes a command.
    pub fn new(expect: Vec<u8>, prune: bool, options: SyncOptions) -> Self {
        let SyncOptions { resources, dry_run, without_hooks, replace, force, retry } = options;
        let resources = resources.into_iter().map(Into::into).collect();
        let retry = retry.map(Into::into);
        Self { expect, prune, resources, dry_run, without_hooks, replace, force, retry }
    }

    /// Reads what is different.
    pub(crate) fn options(&self) -> Result<SyncOptions, FrameError> {
        field::count("sync.resources", self.resources.len(), SELECTORS)?;
        let resources: Result<Vec<Selector>, FrameError> =
            self.resources.iter().cloned().map(Selector::try_from).collect();
        Ok(SyncOptions {
            resources: resources?,
            dry_run: self.dry_run,
            without_hooks: self.without_hooks,
            replace: self.replace,
            force: self.force,
            retry: self.retry.map(Retry::try_from).transpose()?,
        })
    }
}

impl From<Retry> for v1::RetryPolicy {
    fn from(retry: Retry) -> Self {
        let Retry { limit, delay_ms, factor, max_delay_ms, refresh } = retry;
        Self { limit, delay_ms, factor, max_delay_ms, refresh }
    }
}

impl TryFrom<v1::RetryPolicy> for Retry {
    type Error = FrameError;

    fn try_from(retry: v1::RetryPolicy) -> Result<Self, FrameError> {
        let v1::RetryPolicy { limit, delay_ms, factor, max_delay_ms, refresh } = retry;
        for (field, got) in [("sync.retry.delay_ms", delay_ms), ("sync.retry.max_delay_ms", max_delay_ms)] {
            if got > Self::LONGEST_MS {
                return Err(FrameError::Number { field, expected: "at most a day", got });
            }
        }
        let wrong = FrameError::Number {
            field: "sync.retry.factor",
            expected: "between 1 and 100",
            got: u64::from(factor),
        };
        let factor = Self::read_factor(i64::from(factor)).ok_or(wrong)?;
        Ok(Self { limit, delay_ms, factor, max_delay_ms, refresh })
    }
}
