//! What a store says about itself, in one row that every transaction rewrites: its format, its owner, and of each table
//! the number of rows and their set digest.
//!
//! One row, so that it cannot vanish in parts: a table that lost a row, or all of them, no longer agrees with it.

use std::collections::BTreeMap;

use minicbor::{Decode, Encode};

/// Version of everything that this module and `value` write.
pub(super) const FORMAT: u32 = 1;

/// Name of the table that holds the one row.
pub(super) const STATE_TABLE: &str = "argosy.state";

/// Key of the one row.
pub(super) const STATE_KEY: &[u8] = b"state";

/// What a store says about itself.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub(super) struct State {
    #[n(0)]
    pub(super) format: u32,
    #[n(1)]
    pub(super) owner: String,
    /// Number of transactions since the store was made.
    #[n(2)]
    pub(super) revision: u64,
    #[n(3)]
    pub(super) tables: BTreeMap<String, TableSum>,
}

/// How many rows a table has, and which.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Encode, Decode)]
pub(super) struct TableSum {
    #[n(0)]
    pub(super) rows: u64,
    /// Sum of the rows' shares modulo 2^128.
    #[cbor(n(1), with = "minicbor::bytes")]
    digest: [u8; 16],
}

// === impl TableSum ===

impl TableSum {
    /// Takes a row in.
    pub(super) fn add(&mut self, share: u128) {
        self.rows = self.rows.wrapping_add(1);
        self.digest = u128::from_le_bytes(self.digest).wrapping_add(share).to_le_bytes();
    }

    /// Takes a row out.
    pub(super) fn remove(&mut self, share: u128) {
        self.rows = self.rows.wrapping_sub(1);
        self.digest = u128::from_le_bytes(self.digest).wrapping_sub(share).to_le_bytes();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_knows_nothing_of_order_and_forgets_what_is_taken_out() {
        let (mut a, mut b) = (TableSum::default(), TableSum::default());
        for share in [1, u128::MAX, 7] {
            a.add(share);
        }
        for share in [7, 1, 9, u128::MAX] {
            b.add(share);
        }
        assert_ne!(a, b);
        b.remove(9);
        assert_eq!(a, b);
    }
}
