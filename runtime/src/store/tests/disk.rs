//! A disk in memory that remembers what it was told, and what a loss of power may leave of that.

use std::collections::BTreeSet;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use argosy_core::time::Entropy;
use parking_lot::Mutex;
use redb::StorageBackend;

/// What a disk writes whole or not at all.
const SECTOR: usize = 512;

/// So many units of an epoch are tried in every combination.
const EXHAUSTIVE: usize = 6;

/// One thing that a disk was told.
#[derive(Debug, Clone)]
pub(super) enum Told {
    Write { offset: usize, bytes: Vec<u8> },
    Length(usize),
    Sync,
}

/// A disk. Clones share it.
#[derive(Debug, Clone)]
pub(super) struct Disk(Arc<Mutex<Content>>);

#[derive(Debug)]
struct Content {
    bytes: Vec<u8>,
    told: Option<Vec<Told>>,
    /// The process that wrote was killed: nothing it still says arrives.
    cut: bool,
}

/// What was told between two syncs: a loss of power leaves any part of it, in units of a sector or a change of length.
pub(super) struct Epoch {
    /// Where it lies in the trace.
    pub(super) range: Range<usize>,
    /// The units of each thing told.
    units: Vec<usize>,
}

/// Which units of an epoch arrived.
pub(super) type Arrived = Vec<bool>;

// === impl Disk ===

impl Disk {
    /// Makes one that remembers nothing.
    pub(super) fn new(bytes: Vec<u8>) -> Self {
        Self(Arc::new(Mutex::new(Content { bytes, told: None, cut: false })))
    }

    /// Makes one that remembers what it is told.
    pub(super) fn recording(bytes: Vec<u8>) -> Self {
        Self(Arc::new(Mutex::new(Content { bytes, told: Some(Vec::new()), cut: false })))
    }

    /// Gives the disk to the next process; what the one before still says is lost.
    pub(super) fn cut(&self) -> Self {
        let mut content = self.0.lock();
        content.cut = true;
        let (bytes, told) = (content.bytes.clone(), content.told.take());
        Self(Arc::new(Mutex::new(Content { bytes, told, cut: false })))
    }

    /// Gives what is on it.
    pub(super) fn bytes(&self) -> Vec<u8> {
        self.0.lock().bytes.clone()
    }

    /// Inverts a bit behind the storage's back.
    pub(super) fn flip(&self, bit: usize) {
        self.0.lock().bytes[bit / 8] ^= 1 << (bit % 8);
    }

    /// Gives how much it was told so far.
    pub(super) fn told(&self) -> usize {
        self.0.lock().told.as_ref().map_or(0, Vec::len)
    }

    /// Gives what it was told.
    pub(super) fn trace(&self) -> Vec<Told> {
        self.0.lock().told.clone().unwrap_or_default()
    }

    fn tell(&self, told: Told) {
        let mut content = self.0.lock();
        if content.cut {
            return;
        }
        told.arrive(&mut content.bytes, &mut std::iter::repeat(true));
        if let Some(trace) = &mut content.told {
            trace.push(told);
        }
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.lock().bytes.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let content = self.0.lock();
        let start = usize::try_from(offset).map_err(io::Error::other)?;
        let end = start.checked_add(out.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        let found = content.bytes.get(start..end).ok_or(io::ErrorKind::UnexpectedEof)?;
        out.copy_from_slice(found);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.tell(Told::Length(usize::try_from(len).map_err(io::Error::other)?));
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.tell(Told::Sync);
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let offset = usize::try_from(offset).map_err(io::Error::other)?;
        self.tell(Told::Write { offset, bytes: data.to_vec() });
        Ok(())
    }
}

// === impl Told ===

impl Told {
    fn units(&self) -> usize {
        match self {
            Self::Write { bytes, .. } if bytes.is_empty() => 0,
            Self::Write { offset, bytes } => (offset + bytes.len() - 1) / SECTOR - offset / SECTOR + 1,
            Self::Length(_) => 1,
            Self::Sync => 0,
        }
    }

    /// Changes what is on a disk by those units of this that arrive.
    fn arrive(&self, disk: &mut Vec<u8>, arrives: &mut impl Iterator<Item = bool>) {
        let mut next = || arrives.next().unwrap_or_default();
        match self {
            Self::Write { offset, bytes } => {
                let mut from = *offset;
                while from < offset + bytes.len() {
                    let to = ((from / SECTOR + 1) * SECTOR).min(offset + bytes.len());
                    if next() {
                        if disk.len() < to {
                            disk.resize(to, 0);
                        }
                        disk[from..to].copy_from_slice(&bytes[from - offset..to - offset]);
                    }
                    from = to;
                }
            }
            Self::Length(len) => {
                if next() {
                    disk.resize(*len, 0);
                }
            }
            Self::Sync => {}
        }
    }
}

// === impl Epoch ===

impl Epoch {
    /// Gives the epochs of a trace: each but the last ends before a sync.
    pub(super) fn all(trace: &[Told]) -> Vec<Self> {
        let mut found = Vec::new();
        let mut start = 0;
        let syncs = trace.iter().enumerate().filter(|(_, told)| matches!(told, Told::Sync)).map(|(at, _)| at);
        for end in syncs.chain([trace.len()]) {
            let units = trace[start..end].iter().map(Told::units).collect();
            found.push(Self { range: start..end, units });
            start = (end + 1).min(trace.len());
        }
        found
    }

    /// Gives the epoch that starts earlier, for a disk that only says that it syncs.
    pub(super) fn from(&self, start: usize, trace: &[Told]) -> Self {
        let range = start..self.range.end;
        Self { units: trace[range.clone()].iter().map(Told::units).collect(), range }
    }

    /// Gives what is on a disk that had `before` when the epoch began.
    pub(super) fn left(&self, before: &[u8], trace: &[Told], arrived: &[bool]) -> Vec<u8> {
        let mut disk = before.to_vec();
        let mut arrives = arrived.iter().copied();
        for told in &trace[self.range.clone()] {
            told.arrive(&mut disk, &mut arrives);
        }
        disk
    }

    /// Gives the number of its units.
    pub(super) fn units(&self) -> usize {
        self.units.iter().sum()
    }

    /// Gives how many different states it can leave, as far as anybody counts.
    pub(super) fn capacity(&self) -> usize {
        1 << self.units().min(20)
    }

    /// Gives `wanted` different states: first what arrives in order, what is left out or alone or torn, then at random.
    pub(super) fn states(&self, wanted: usize, entropy: &mut impl Entropy) -> Vec<Arrived> {
        let total = self.units();
        let mut ordered = if total <= EXHAUSTIVE {
            (0..1_usize << total).map(|set| (0..total).map(|unit| (set >> unit) & 1 == 1).collect()).collect()
        } else {
            self.ordered()
        };
        if ordered.len() > wanted {
            let (all, from) = (ordered.len(), pick(entropy, ordered.len() as u64));
            let some = (0..wanted).map(|number| (from + number * all / wanted) % all);
            ordered = some.map(|at| std::mem::take(&mut ordered[at])).collect();
        }
        let mut known: BTreeSet<Arrived> = ordered.into_iter().collect();
        let mut tries = 0;
        while known.len() < wanted.min(self.capacity()) {
            known.insert(self.random(entropy));
            tries += 1;
            assert!(tries < 1000 * (wanted + 100), "{} of {wanted} states of {total} units", known.len());
        }
        known.into_iter().collect()
    }

    fn ordered(&self) -> Vec<Arrived> {
        let by = |arrives: &dyn Fn(usize, usize, usize) -> bool| -> Arrived {
            let each = self.units.iter().enumerate();
            each.flat_map(|(at, units)| (0..*units).map(move |unit| arrives(at, unit, *units))).collect()
        };
        let mut found = BTreeSet::from([by(&|_, _, _| true)]);
        for one in 0..self.units.len() {
            found.extend([
                by(&|at, _, _| at < one),
                by(&|at, _, _| at != one),
                by(&|at, _, _| at == one),
                by(&|at, unit, units| at < one || at == one && unit < units / 2),
                by(&|at, unit, units| at < one || at == one && unit >= units / 2),
                by(&|at, unit, units| at != one || unit < units / 2),
            ]);
        }
        found.into_iter().collect()
    }

    fn random(&self, entropy: &mut impl Entropy) -> Arrived {
        let (arriving, torn) = ([128, 20, 235][pick(entropy, 3)], [0, 60, 255][pick(entropy, 3)]);
        let mut found = Vec::new();
        for units in &self.units {
            let mut bytes = vec![0; units + 2];
            entropy.fill(&mut bytes);
            let (whole, apart) = (bytes[0] < arriving, bytes[1] < torn);
            found.extend(bytes[2..].iter().map(|byte| if apart { *byte < arriving } else { whole }));
        }
        found
    }
}

fn pick(entropy: &mut impl Entropy, of: u64) -> usize {
    usize::try_from(entropy.below(of)).unwrap()
}
