//! What is told of a comparison: bounded, and what is left out is told by name.

use minicbor::{Decode, Encode};
use serde_json::Value;

use crate::json;
use crate::key::ResourceKey;
use crate::release::Root;
use crate::status::cut;

/// Most bytes of a report: it travels beside heads and commands, which wait no longer for it than a thin link takes.
pub const DIFF_LIMIT: usize = 256 << 10;
/// Most bytes of one value.
const VALUE_LIMIT: usize = 32 << 10;
/// Most differing fields of one object.
const FIELDS: usize = 500;
/// What an object or a field costs beside its texts.
const COST: usize = 32;

/// How an object differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum Change {
    /// Values of it differ.
    #[n(0)]
    Changed,
    /// It is desired and not there.
    #[n(1)]
    Missing,
    /// It is there, managed by the app, and not desired any more.
    #[n(2)]
    Extra,
    /// It could not be compared; the message says why.
    #[n(3)]
    Unknown,
}

/// One field that differs, or a whole object.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct FieldDiff {
    /// Where; empty for the whole object.
    #[n(0)]
    pub path: String,
    /// The live value, as JSON; absent where there is none, or where it is not told.
    #[n(1)]
    pub live: Option<String>,
    /// The desired value, as JSON; absent where there is none, or where it is not told.
    #[n(2)]
    pub desired: Option<String>,
    /// Bytes of the values where they are too large to be told.
    #[n(3)]
    pub untold: u64,
}

/// How one object differs.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct ObjectDiff {
    /// Which object.
    #[n(0)]
    pub key: ResourceKey,
    /// How.
    #[n(1)]
    pub change: Change,
    /// What of it, by path.
    #[n(2)]
    pub fields: Vec<FieldDiff>,
    /// For people: why it could not be compared.
    #[n(3)]
    pub message: String,
    /// How many further fields differ.
    #[n(4)]
    pub left_out: u64,
}

/// How an app differs from its assigned release.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct DiffReport {
    /// The release.
    #[n(0)]
    pub root: Root,
    /// The objects that differ, by key.
    #[n(1)]
    pub objects: Vec<ObjectDiff>,
    /// How many objects are the same.
    #[n(2)]
    pub same: u64,
    /// How many further objects differ.
    #[n(3)]
    pub more: u64,
}

// === impl ObjectDiff ===

impl ObjectDiff {
    /// Tells of an object that could not be compared.
    pub fn unknown(key: ResourceKey, mut message: String) -> Self {
        cut(&mut message);
        Self { key, change: Change::Unknown, fields: Vec::new(), message, left_out: 0 }
    }

    pub(super) fn missing(key: ResourceKey, desired: Value) -> Self {
        Self::of(key, Change::Missing, vec![(String::new(), None, Some(desired))])
    }

    pub(super) fn extra(key: ResourceKey, live: Value) -> Self {
        Self::of(key, Change::Extra, vec![(String::new(), Some(live), None)])
    }

    pub(super) fn changed(key: ResourceKey, found: Vec<super::Difference>) -> Self {
        Self::of(key, Change::Changed, found)
    }

    fn of(key: ResourceKey, change: Change, found: Vec<super::Difference>) -> Self {
        let left_out = found.len().saturating_sub(FIELDS) as u64;
        let fields = found.into_iter().take(FIELDS).map(FieldDiff::of).collect();
        Self { key, change, fields, message: String::new(), left_out }
    }

    fn cost(&self) -> usize {
        let ResourceKey { group, kind, namespace, name, part } = &self.key;
        [group, kind, namespace, name, part].iter().map(|word| word.len()).sum::<usize>()
            + self.message.len()
            + COST
    }
}

// === impl FieldDiff ===

impl FieldDiff {
    fn of((path, live, desired): super::Difference) -> Self {
        let text = |value: Value| String::from_utf8_lossy(&json::canonical(&value)).into_owned();
        let mut field = Self { path, live: live.map(text), desired: desired.map(text), untold: 0 };
        if [&field.live, &field.desired].into_iter().flatten().any(|text| text.len() > VALUE_LIMIT) {
            field.leave_out();
        }
        field
    }

    fn size(&self) -> usize {
        [&self.live, &self.desired].into_iter().flatten().map(String::len).sum()
    }

    fn leave_out(&mut self) {
        self.untold = self.untold.saturating_add(self.size() as u64);
        self.live = None;
        self.desired = None;
    }
}

// === impl DiffReport ===

impl DiffReport {
    /// Keeps what fits into so many bytes: names of objects before paths, paths before values.
    #[must_use]
    pub fn bounded(mut self, limit: usize) -> Self {
        let mut left = limit;
        let mut take = |cost: usize| {
            let fits = cost <= left;
            left = if fits { left - cost } else { left };
            fits
        };
        let all = self.objects.len();
        let fitting = self.objects.iter().take_while(|object| take(object.cost())).count();
        self.objects.truncate(fitting);
        self.more = self.more.saturating_add((all - fitting) as u64);
        for object in &mut self.objects {
            let all = object.fields.len();
            let fitting = object.fields.iter().take_while(|field| take(field.path.len() + COST)).count();
            object.fields.truncate(fitting);
            object.left_out = object.left_out.saturating_add((all - fitting) as u64);
        }
        for field in self.objects.iter_mut().flat_map(|object| &mut object.fields) {
            if !take(field.size()) {
                field.leave_out();
            }
        }
        self
    }

    /// Tells whether nothing differs, and nothing could not be compared.
    pub fn is_empty(&self) -> bool {
        self.objects.is_empty() && self.more == 0
    }
}
