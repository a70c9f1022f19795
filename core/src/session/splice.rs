//! The difference of two byte strings that differ in one place.

/// Where a new byte string differs from an old one: what is kept at both ends, and what is between.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Splice {
    pub(crate) keep_front: u32,
    pub(crate) keep_back: u32,
    pub(crate) middle: Vec<u8>,
}

impl Splice {
    /// Finds the longest common front, then the longest common back of what is left.
    pub(crate) fn between(old: &[u8], new: &[u8]) -> Self {
        let front = old.iter().zip(new).take_while(|(a, b)| a == b).count();
        let old_rest = old.get(front..).unwrap_or_default();
        let new_rest = new.get(front..).unwrap_or_default();
        let back = old_rest.iter().rev().zip(new_rest.iter().rev()).take_while(|(a, b)| a == b).count();
        let middle = new_rest.get(..new_rest.len().saturating_sub(back)).unwrap_or_default();
        Self {
            keep_front: u32::try_from(front).unwrap_or(u32::MAX),
            keep_back: u32::try_from(back).unwrap_or(u32::MAX),
            middle: middle.to_vec(),
        }
    }

    /// Makes the new byte string of the old one; `None` when the old one is too short for what is kept.
    pub(crate) fn apply(&self, old: &[u8]) -> Option<Vec<u8>> {
        let front = usize::try_from(self.keep_front).ok()?;
        let back = old.len().checked_sub(usize::try_from(self.keep_back).ok()?)?;
        if front > back {
            return None;
        }
        Some([old.get(..front)?, self.middle.as_slice(), old.get(back..)?].concat())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_splice_makes_the_new_of_the_old(
            old in proptest::collection::vec(0u8..3, 0..40),
            new in proptest::collection::vec(0u8..3, 0..40),
        ) {
            prop_assert_eq!(Splice::between(&old, &new).apply(&old), Some(new));
        }
    }

    #[test]
    fn an_overlapping_splice_is_refused() {
        let splice = Splice { keep_front: 3, keep_back: 2, middle: Vec::new() };
        assert_eq!(splice.apply(b"abcd"), None);
        assert_eq!(splice.apply(b"a"), None);
    }
}
