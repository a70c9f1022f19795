//! Changes of a list: what the hub sends, and what the agent makes of it.

use crate::desired::DesiredList;
use crate::ids::AppId;
use crate::session::frame::{ListBase, ListChange};
use crate::session::splice::Splice;

/// Bytes of changes in one frame.
const PART: usize = 1 << 20;
/// Most bytes of a list that either end takes from the other.
pub(crate) const LIST_LIMIT: usize = 64 << 20;

/// A list, or changes of one, that make no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PatchError {
    #[error("the list changes element {0} of a list that has no such element")]
    Index(u32),
    #[error("a splice keeps more of element {0} than there is")]
    Splice(u32),
    #[error("element {0} changes its app")]
    App(u32),
    #[error("a whole list begins without settings")]
    Settings,
    #[error("the list is larger than {LIST_LIMIT} bytes")]
    Limit,
    #[error(transparent)]
    List(#[from] crate::desired::ListError),
}

/// Gives the changes that make `to` of `from`, in parts of bounded size; of an empty list where `from` is absent.
pub(crate) fn changes(from: Option<&DesiredList>, to: &DesiredList) -> (ListBase, Vec<Vec<ListChange>>) {
    let mut parts = Parts::default();
    let Some(from) = from else {
        parts.push(ListChange::Settings(to.settings_bytes().to_vec()));
        for element in to.elements().values() {
            parts.push(ListChange::Set(element.bytes.clone()));
        }
        return (ListBase::Empty, parts.done);
    };
    if from.settings_bytes() != to.settings_bytes() {
        parts.push(ListChange::Settings(to.settings_bytes().to_vec()));
    }
    for (index, (app, old)) in (0u32..).zip(from.elements()) {
        match to.elements().get(app) {
            None => parts.push(ListChange::Remove { index }),
            Some(new) if new.bytes == old.bytes => {}
            Some(new) => {
                let Splice { keep_front, keep_back, middle } = Splice::between(&old.bytes, &new.bytes);
                parts.push(ListChange::Splice { index, keep_front, keep_back, middle });
            }
        }
    }
    for (app, new) in to.elements() {
        if !from.elements().contains_key(app) {
            parts.push(ListChange::Set(new.bytes.clone()));
        }
    }
    (ListBase::Held, parts.done)
}

#[derive(Default)]
struct Parts {
    done: Vec<Vec<ListChange>>,
    size: usize,
}

impl Parts {
    fn push(&mut self, change: ListChange) {
        let size = size(&change);
        match self.done.last_mut() {
            Some(part) if self.size + size <= PART => {
                part.push(change);
                self.size += size;
            }
            Some(_) | None => {
                self.done.push(vec![change]);
                self.size = size;
            }
        }
    }
}

/// Gives about how many bytes a change takes.
fn size(change: &ListChange) -> usize {
    16 + match change {
        ListChange::Set(bytes) | ListChange::Settings(bytes) => bytes.len(),
        ListChange::Splice { middle, .. } => middle.len(),
        ListChange::Remove { .. } => 0,
    }
}

/// A list that is being put together of changes.
#[derive(Debug, Clone)]
pub(crate) struct ListPatch {
    /// Apps of the held list, by index.
    apps: Vec<AppId>,
    list: Option<DesiredList>,
    received: usize,
}

impl ListPatch {
    /// Begins with the held list, or with none.
    pub(crate) fn new(base: ListBase, held: Option<&DesiredList>) -> Self {
        let held = match base {
            ListBase::Held => held,
            ListBase::Empty => None,
        };
        let apps = held.map(|list| list.elements().keys().cloned().collect()).unwrap_or_default();
        Self { apps, list: held.cloned(), received: 0 }
    }

    /// Makes one change.
    pub(crate) fn apply(&mut self, change: ListChange) -> Result<(), PatchError> {
        self.received += size(&change);
        if self.received > LIST_LIMIT {
            return Err(PatchError::Limit);
        }
        let Some(list) = &mut self.list else {
            let ListChange::Settings(bytes) = change else { return Err(PatchError::Settings) };
            self.list = Some(DesiredList::from_parts(bytes, [])?);
            return Ok(());
        };
        let app_at = |index: u32| {
            let position = usize::try_from(index).unwrap_or(usize::MAX);
            self.apps.get(position).ok_or(PatchError::Index(index))
        };
        match change {
            ListChange::Settings(bytes) => list.set_settings_bytes(bytes)?,
            ListChange::Set(bytes) => {
                list.set_bytes(bytes)?;
            }
            ListChange::Remove { index } => {
                list.remove(app_at(index)?).ok_or(PatchError::Index(index))?;
            }
            ListChange::Splice { index, keep_front, keep_back, middle } => {
                let app = app_at(index)?;
                let old = list.elements().get(app).ok_or(PatchError::Index(index))?;
                let splice = Splice { keep_front, keep_back, middle };
                let bytes = splice.apply(&old.bytes).ok_or(PatchError::Splice(index))?;
                if list.set_bytes(bytes)? != *app {
                    return Err(PatchError::App(index));
                }
            }
        }
        Ok(())
    }

    /// Gives the list.
    pub(crate) fn finish(self) -> Result<DesiredList, PatchError> {
        self.list.ok_or(PatchError::Settings)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::session::tests::fixture::{assignment, settings};

    fn list_of(apps: &[(u8, u8)], hold: bool) -> DesiredList {
        let mut held = settings();
        held.hold_deletes = hold;
        DesiredList::build(held, apps.iter().map(|(name, root)| assignment(&format!("app-{name}"), &[*root])))
    }

    fn list() -> impl Strategy<Value = DesiredList> {
        (proptest::collection::vec((0u8..6, 0u8..4), 0..6), any::<bool>())
            .prop_map(|(apps, hold)| list_of(&apps, hold))
    }

    proptest! {
        #[test]
        fn changes_make_the_new_list_of_the_old(from in proptest::option::of(list()), to in list()) {
            let (base, parts) = changes(from.as_ref(), &to);
            let mut patch = ListPatch::new(base, from.as_ref());
            for change in parts.into_iter().flatten() {
                patch.apply(change).unwrap();
            }
            prop_assert_eq!(patch.finish().unwrap(), to);
        }
    }

    #[test]
    fn changes_of_elements_that_are_not_there_are_refused() {
        let list = list_of(&[(1, 1)], false);
        let mut patch = ListPatch::new(ListBase::Held, Some(&list));
        assert_eq!(patch.apply(ListChange::Remove { index: 1 }), Err(PatchError::Index(1)));
        patch.apply(ListChange::Remove { index: 0 }).unwrap();
        assert_eq!(patch.apply(ListChange::Remove { index: 0 }), Err(PatchError::Index(0)));
        let mut whole = ListPatch::new(ListBase::Empty, Some(&list));
        assert_eq!(whole.apply(ListChange::Remove { index: 0 }), Err(PatchError::Settings));
    }
}
