//! Entries of a release as a script against those of another.

use super::{BulkError, Item};
use crate::release::{Release, Root};
use crate::session::splice::Splice;

/// Most bytes of one release's entries.
const ENTRIES_LIMIT: usize = 64 << 20;

/// Gives the script that makes the entries of `target` of those of `base`. It depends on the two releases alone, so that
/// a receiver can go on where it stopped.
pub(crate) fn entry_items(base: Option<&Release>, target: &Release) -> Vec<Item> {
    let mut items = Vec::new();
    let (mut old, mut new) = (0usize, 0usize);
    let old_at = |at: usize| base.and_then(|base| Some((base.entries().get(at)?, base.elements().get(at)?)));
    while let (Some(entry), Some(element)) = (target.entries().get(new), target.elements().get(new)) {
        match old_at(old) {
            Some((before, _)) if before.id < entry.id => {
                skip(&mut items);
                old += 1;
            }
            Some((before, bytes)) if before.id == entry.id => {
                if bytes == element {
                    keep(&mut items);
                } else {
                    items.push(Item::Splice(Splice::between(bytes, element)));
                }
                old += 1;
                new += 1;
            }
            Some(_) | None => {
                items.push(Item::Insert(element.clone()));
                new += 1;
            }
        }
    }
    items
}

fn keep(items: &mut Vec<Item>) {
    if let Some(Item::Keep(count)) = items.last_mut() {
        *count += 1;
    } else {
        items.push(Item::Keep(1));
    }
}

fn skip(items: &mut Vec<Item>) {
    if let Some(Item::Skip(count)) = items.last_mut() {
        *count += 1;
    } else {
        items.push(Item::Skip(1));
    }
}

/// Entries of a release that are on their way; kept over a broken link.
#[derive(Debug, Clone, Default)]
pub(crate) struct EntriesDecoder {
    base: Option<Root>,
    base_elements: Vec<Vec<u8>>,
    position: usize,
    elements: Vec<Vec<u8>>,
    size: usize,
    items: u32,
}

impl EntriesDecoder {
    /// Begins with the release that the script is made to.
    pub(crate) fn new(base: Option<&Release>) -> Self {
        Self {
            base: base.map(Release::root),
            base_elements: base.map(|base| base.elements().to_vec()).unwrap_or_default(),
            ..Self::default()
        }
    }

    /// Gives the release that the script is made to.
    pub(crate) fn base(&self) -> Option<Root> {
        self.base
    }

    /// Gives how many items were taken.
    pub(crate) fn items(&self) -> u32 {
        self.items
    }

    /// Takes one item.
    pub(crate) fn apply(&mut self, item: &Item) -> Result<(), BulkError> {
        match item {
            Item::Keep(count) => {
                for element in self.take(*count)?.to_vec() {
                    self.push(element)?;
                }
            }
            Item::Skip(count) => {
                self.take(*count)?;
            }
            Item::Insert(bytes) => self.push(bytes.clone())?,
            Item::Splice(splice) => {
                let old = self.take(1)?.first().ok_or(BulkError::Base)?;
                let new = splice.apply(old).ok_or(BulkError::Base)?;
                self.push(new)?;
            }
            Item::Manifest { .. } => return Err(BulkError::Malformed("a manifest among entries")),
        }
        self.items = self.items.saturating_add(1);
        Ok(())
    }

    /// Gives the release once all items are there; verified against its root.
    pub(crate) fn finish(&self, root: Root) -> Result<Release, BulkError> {
        let release = Release::from_elements(self.elements.clone())
            .map_err(|error| BulkError::Entries(error.to_string()))?;
        if release.root() == root {
            Ok(release)
        } else {
            Err(BulkError::Entries(format!("they hash to {}", release.root())))
        }
    }

    fn take(&mut self, count: u32) -> Result<&[Vec<u8>], BulkError> {
        let from = self.position;
        let to = from.checked_add(usize::try_from(count).unwrap_or(usize::MAX)).ok_or(BulkError::Base)?;
        let taken = self.base_elements.get(from..to).ok_or(BulkError::Base)?;
        self.position = to;
        Ok(taken)
    }

    fn push(&mut self, element: Vec<u8>) -> Result<(), BulkError> {
        self.size += element.len() + size_of::<Vec<u8>>();
        if self.size > ENTRIES_LIMIT {
            return Err(BulkError::TooLarge(self.size as u64));
        }
        self.elements.push(element);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ids::Digest;
    use crate::key::ResourceKey;

    fn release(objects: &[(u8, u8)]) -> Release {
        let manifests = objects.iter().map(|(name, content)| {
            (ResourceKey::new("", "ConfigMap", "shop", format!("object-{name}")), Digest::of(&[*content]))
        });
        Release::build(manifests).0
    }

    fn objects() -> impl Strategy<Value = Vec<(u8, u8)>> {
        proptest::collection::vec((0u8..20, 0u8..3), 0..20)
    }

    proptest! {
        #[test]
        fn a_script_makes_the_new_entries_of_the_old(old in proptest::option::of(objects()), new in objects()) {
            let old = old.map(|old| release(&old));
            let new = release(&new);
            let mut decoder = EntriesDecoder::new(old.as_ref());
            for item in entry_items(old.as_ref(), &new) {
                decoder.apply(&item).unwrap();
            }
            prop_assert_eq!(decoder.finish(new.root()).unwrap(), new);
        }
    }

    #[test]
    fn a_script_for_another_base_gives_no_release() {
        let items = entry_items(Some(&release(&[(1, 1), (2, 2)])), &release(&[(1, 1), (2, 2), (3, 3)]));
        let mut decoder = EntriesDecoder::new(None);
        assert_eq!(decoder.apply(&items[0]), Err(BulkError::Base));
        let mut decoder = EntriesDecoder::new(Some(&release(&[(1, 0), (2, 0)])));
        for item in &items {
            decoder.apply(item).unwrap();
        }
        assert!(matches!(
            decoder.finish(release(&[(1, 1), (2, 2), (3, 3)]).root()),
            Err(BulkError::Entries(_))
        ));
    }
}
