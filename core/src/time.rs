//! Time as an argument: only the process shell reads clocks.
//!
//! Order never comes from wall clocks (I17). Ages and deadlines are measured in elapsed time since the machine's boot;
//! wall time is for people and certificates only.

use std::time::Duration;

use minicbor::{Decode, Encode};

use crate::ids::BootId;

/// A point in elapsed time of one boot of one machine. Two of different boots do not compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct MonoTime {
    /// Which boot.
    #[n(0)]
    pub boot: BootId,
    /// Milliseconds since that boot, suspended time included.
    #[n(1)]
    pub elapsed_ms: u64,
}

impl MonoTime {
    /// Gives the time from `earlier` to this point; `None` over a reboot. A clock that ran backwards gives zero.
    pub fn since(&self, earlier: &Self) -> Option<Duration> {
        (self.boot == earlier.boot)
            .then(|| Duration::from_millis(self.elapsed_ms.saturating_sub(earlier.elapsed_ms)))
    }

    /// Gives the point `after` from now.
    #[must_use]
    pub fn plus(&self, after: Duration) -> Self {
        Self { boot: self.boot, elapsed_ms: self.elapsed_ms.saturating_add(millis(after)) }
    }
}

/// Milliseconds since 1970 by a machine's own clock: shown to people, never compared across machines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode, Decode, Default)]
#[cbor(transparent)]
pub struct WallTime(#[n(0)] pub i64);

/// What time it is, both ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Elapsed time.
    pub mono: MonoTime,
    /// Wall time.
    pub wall: WallTime,
}

impl Now {
    /// Gives the elapsed milliseconds of this boot: what timers inside a machine count in.
    pub fn ms(&self) -> u64 {
        self.mono.elapsed_ms
    }
}

/// Gives whole milliseconds, saturating.
pub fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Randomness as an argument: the shell's is the operating system's, a simulation's comes from its seed.
pub trait Entropy {
    /// Fills `bytes`.
    fn fill(&mut self, bytes: &mut [u8]);

    /// Gives 16 random bytes.
    fn bytes16(&mut self) -> [u8; 16] {
        let mut bytes = [0; 16];
        self.fill(&mut bytes);
        bytes
    }

    /// Gives a number below `bound` (0 when `bound` is 0). The bias of the modulus is of no matter to jitter.
    fn below(&mut self, bound: u64) -> u64 {
        let mut bytes = [0; 8];
        self.fill(&mut bytes);
        if bound == 0 { 0 } else { u64::from_le_bytes(bytes) % bound }
    }
}
