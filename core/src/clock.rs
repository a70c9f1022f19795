//! Which time it is as far as a machine's own clock can be believed.
//!
//! A hub states its time when it welcomes an agent, over a connection that its certificate proves. Within the same boot
//! that time goes on with the machine's elapsed time, whatever its wall clock says. After a reboot there is only the wall
//! clock: it is believed unless it is behind a time that was proved, as the clock of a machine without a battery is.

use minicbor::{Decode, Encode};

use crate::session::tables::LINK_META;
use crate::store::{StoreError, StoreOp, StoreRead, get_as};
use crate::time::{MonoTime, Now, WallTime, millis};

/// Key of the row of [`LINK_META`].
const TIME: &[u8] = b"time";
/// How long a time holds that rests on a wall clock: nobody tells when that is set.
pub(crate) const WALL_HOLDS_MS: u64 = 60_000;

/// A time that was proved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
struct Proof {
    /// The hub's time.
    #[n(0)]
    wall: WallTime,
    /// When it was heard; absent for one that was on its way for nobody knows how long.
    #[n(1)]
    heard: Option<MonoTime>,
}

/// What a time rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trusted {
    /// What a hub said in this boot.
    Proved(WallTime),
    /// The machine's wall clock.
    Plausible(WallTime),
    /// Nothing: it is not known.
    Unknown,
}

/// What is known of the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct TrustedClock {
    proof: Option<Proof>,
}

// === impl Trusted ===

impl Trusted {
    /// Gives the time, where it is known.
    pub(crate) fn time(self) -> Option<WallTime> {
        match self {
            Self::Proved(time) | Self::Plausible(time) => Some(time),
            Self::Unknown => None,
        }
    }
}

// === impl TrustedClock ===

impl TrustedClock {
    /// Reads what was proved before.
    pub(crate) fn load(store: &dyn StoreRead) -> Result<Self, StoreError> {
        Ok(Self { proof: get_as(store, LINK_META, TIME)? })
    }

    /// Takes the time that a hub states, as it comes.
    pub(crate) fn proved(&mut self, wall: WallTime, now: Now) -> StoreOp {
        self.keep(Proof { wall, heard: Some(now.mono) })
    }

    /// Takes a time that has passed since. One that is known to go on is better.
    pub(crate) fn passed(&mut self, wall: WallTime, now: Now) -> Option<StoreOp> {
        let better = self.proof.is_some_and(|proof| {
            proof.wall >= wall || proof.heard.is_some_and(|heard| heard.boot == now.mono.boot)
        });
        (!better).then(|| self.keep(Proof { wall, heard: None }))
    }

    /// Gives the time.
    pub(crate) fn time(&self, now: Now) -> Trusted {
        let Some(proof) = self.proof else { return Trusted::Unknown };
        let elapsed = proof.heard.and_then(|heard| now.mono.since(&heard));
        if let Some(elapsed) = elapsed {
            let elapsed = i64::try_from(millis(elapsed)).unwrap_or(i64::MAX);
            return Trusted::Proved(WallTime(proof.wall.0.saturating_add(elapsed)));
        }
        if now.wall >= proof.wall { Trusted::Plausible(now.wall) } else { Trusted::Unknown }
    }

    fn keep(&mut self, proof: Proof) -> StoreOp {
        self.proof = Some(proof);
        StoreOp::put(LINK_META, TIME, &proof)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::BootId;
    use crate::store::MemoryStore;

    fn now(boot: u8, elapsed_ms: u64, wall: i64) -> Now {
        Now { mono: MonoTime { boot: BootId::new([boot; 16]), elapsed_ms }, wall: WallTime(wall) }
    }

    #[test]
    fn nothing_is_known_before_a_hub_was_heard() {
        assert_eq!(TrustedClock::default().time(now(1, 5, 1_000_000)), Trusted::Unknown);
    }

    #[test]
    fn within_a_boot_the_hubs_time_goes_on_whatever_the_wall_clock_says() {
        let mut clock = TrustedClock::default();
        let _row = clock.proved(WallTime(50_000), now(1, 1_000, 7));
        assert_eq!(clock.time(now(1, 4_000, 7)), Trusted::Proved(WallTime(53_000)));
        assert_eq!(clock.time(now(1, 4_000, 9_000_000)), Trusted::Proved(WallTime(53_000)));
    }

    #[test]
    fn after_a_reboot_a_wall_clock_that_is_behind_what_was_proved_is_not_believed() {
        let mut store = MemoryStore::default();
        let row = TrustedClock::default().proved(WallTime(50_000), now(1, 1_000, 7));
        store.commit(&[row]);
        let clock = TrustedClock::load(&store).unwrap();
        assert_eq!(clock.time(now(2, 10, 49_999)), Trusted::Unknown);
        assert_eq!(clock.time(now(2, 10, 50_001)), Trusted::Plausible(WallTime(50_001)));
    }

    #[test]
    fn a_time_that_came_by_file_is_a_bound_and_no_clock() {
        let mut clock = TrustedClock::default();
        assert!(clock.passed(WallTime(50_000), now(1, 1_000, 7)).is_some());
        assert_eq!(clock.time(now(1, 2_000, 49_000)), Trusted::Unknown);
        assert_eq!(clock.time(now(1, 2_000, 51_000)), Trusted::Plausible(WallTime(51_000)));
        assert!(clock.passed(WallTime(49_000), now(1, 3_000, 7)).is_none(), "an older one says nothing new");
        let _row = clock.proved(WallTime(60_000), now(1, 3_000, 7));
        assert!(
            clock.passed(WallTime(70_000), now(1, 4_000, 7)).is_none(),
            "a hub's own word goes before it"
        );
    }
}
