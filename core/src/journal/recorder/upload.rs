//! Rows on their way to the hub: one batch at a time, from where the hub is.

use super::{Recorder, Upload, key};
use crate::ids::Digest;
use crate::journal::tables::JOURNAL;
use crate::journal::{BATCH_ROWS, JournalBatch, JournalHeld, cut};
use crate::store::{StoreError, StoreRead};
use crate::time::{Entropy, Now};

/// Most bytes of one batch (a batch holds at least one row); one is on its way at a time.
const BATCH: usize = 16 << 10;

impl Recorder {
    /// Takes what the hub says it has. One that has what was never written here, or other rows than these, leads to
    /// another journal: numbers may have been used twice.
    pub fn welcomed(
        &mut self,
        held: JournalHeld,
        store: &dyn StoreRead,
        now: Now,
        entropy: &mut dyn Entropy,
    ) -> Result<(), StoreError> {
        let position = match held {
            JournalHeld::NotKept => {
                self.upload = Upload::Off;
                return Ok(());
            }
            JournalHeld::UpTo(position) if position.journal == self.meta.journal => position,
            JournalHeld::Nothing | JournalHeld::UpTo(_) => {
                self.upload = Upload::From(self.meta.first);
                return Ok(());
            }
        };
        let known = self.hash_at(position.sequence);
        let why = if position.sequence >= self.meta.next {
            Some(format!("the hub has rows up to {} that this store has not", position.sequence))
        } else if known.is_some_and(|hash| hash != position.hash) {
            Some(format!("the hub has another row {}", position.sequence))
        } else {
            None
        };
        if let Some(why) = why {
            let rows = store.scan(JOURNAL, &[])?;
            self.begin(&rows, &why, now, entropy);
            self.upload = Upload::From(1);
            return Ok(());
        }
        let next = position.sequence.saturating_add(1);
        self.upload = Upload::From(next.max(self.meta.first));
        if next < self.meta.first {
            // What the hub will lack is said anew of every app.
            self.meta.since_checkpoint = u64::MAX / 2;
        }
        Ok(())
    }

    /// The stream ended.
    pub fn disconnected(&mut self) {
        self.upload = Upload::Off;
    }

    /// The hub has everything up to this row.
    pub fn acknowledged(&mut self, sequence: u64) {
        if let Upload::Sent(up_to) = self.upload
            && sequence <= up_to
        {
            self.upload = Upload::From(sequence.saturating_add(1));
        }
    }

    /// The hub refuses the rows: another journal begins, which the next stream offers.
    pub fn refused(
        &mut self,
        why: &str,
        store: &dyn StoreRead,
        now: Now,
        entropy: &mut dyn Entropy,
    ) -> Result<(), StoreError> {
        if !matches!(self.upload, Upload::Sent(_)) {
            return Ok(());
        }
        self.upload = Upload::Off;
        let rows = store.scan(JOURNAL, &[])?;
        let mut why = format!("the hub refused the one before: {why}");
        cut(&mut why);
        self.begin(&rows, &why, now, entropy);
        Ok(())
    }

    /// Gives the next rows to send, if none are on their way. They are read with what this input's transaction adds.
    pub fn next_batch(
        &mut self,
        store: &dyn StoreRead,
        now: Now,
    ) -> Result<Option<JournalBatch>, StoreError> {
        let Upload::From(next) = self.upload else { return Ok(None) };
        let first = next.max(self.meta.first);
        if first >= self.meta.next {
            return Ok(None);
        }
        let rows = self.rows_from(first, store)?;
        let sequence = first.saturating_add(rows.len() as u64);
        self.upload = Upload::Sent(sequence.saturating_sub(1));
        let complete = sequence == self.meta.next;
        Ok(Some(JournalBatch { journal: self.meta.journal, rows, now: now.mono, complete }))
    }

    /// Gives every row that is kept, in batches: what of it the hub has is not known.
    pub fn all_batches(&self, store: &dyn StoreRead, now: Now) -> Result<Vec<JournalBatch>, StoreError> {
        let mut batches = Vec::new();
        let mut sequence = self.meta.first;
        while sequence < self.meta.next {
            let rows = self.rows_from(sequence, store)?;
            sequence = sequence.saturating_add(rows.len() as u64);
            let complete = sequence == self.meta.next;
            batches.push(JournalBatch { journal: self.meta.journal, rows, now: now.mono, complete });
        }
        Ok(batches)
    }

    /// Reads rows from this number on, as many as a batch has.
    fn rows_from(&self, mut sequence: u64, store: &dyn StoreRead) -> Result<Vec<Vec<u8>>, StoreError> {
        let mut rows = Vec::new();
        let mut size = 0;
        while sequence < self.meta.next && rows.len() < BATCH_ROWS {
            let Some(row) = store.get(JOURNAL, &key(sequence))? else {
                let why = format!("row {sequence} is not there");
                return Err(StoreError::Undecodable { table: JOURNAL, why });
            };
            size += row.len();
            if size > BATCH && !rows.is_empty() {
                break;
            }
            rows.push(row);
            sequence = sequence.saturating_add(1);
        }
        Ok(rows)
    }

    /// Gives the hash of a row, or of the one before the oldest that is kept.
    fn hash_at(&self, sequence: u64) -> Option<Digest> {
        if sequence.saturating_add(1) == self.meta.first {
            return Some(self.meta.start);
        }
        let index = usize::try_from(sequence.checked_sub(self.meta.first)?).ok()?;
        self.kept.get(index).map(|row| row.hash)
    }
}
