//! What a sync does otherwise than its application's document says.

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
        let SyncOptions { resources, dry_run, without_hooks, replace, force } = options;
        let resources = resources.into_iter().map(Into::into).collect();
        Self { expect, prune, resources, dry_run, without_hooks, replace, force }
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
        })
    }
}
