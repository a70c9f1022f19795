//! Break-glass: somebody at the edge stops all writes to a cluster, and lets them go on (I4).
//!
//! The newest order lies beside the agent's store, not in it, as the anchor does: a store that is lost, damaged or set
//! aside ends no pause. It is durable before it is in force, and in force until somebody at the edge says otherwise; no
//! hub can give one.

use std::fmt;
use std::time::Duration;

use minicbor::{Decode, Encode};

use crate::time::{MonoTime, Now, WallTime, millis};

/// Most bytes of a person's name.
const WHO: usize = 128;
/// Most bytes of a reason.
const WHY: usize = 512;

/// What an order asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum PauseKind {
    /// Nothing is written from now on.
    #[n(0)]
    Pause,
    /// Writing goes on.
    #[n(1)]
    Resume,
}

/// What somebody at the edge said last.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct PauseOrder {
    /// Pause or resume.
    #[n(0)]
    pub kind: PauseKind,
    /// Who said it.
    #[n(1)]
    pub by: String,
    /// Why; may be empty.
    #[n(2)]
    pub reason: String,
    /// When, by the agent's wall clock: for people.
    #[n(3)]
    pub at: WallTime,
    /// When, in elapsed time: for its age.
    #[n(4)]
    pub given: MonoTime,
}

/// Why an order changes nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PauseRefused {
    /// It is paused already: who did it first, and since when, stays.
    #[error("already {0}")]
    Already(Box<PauseOrder>),
    /// Nothing is paused.
    #[error("nothing is paused")]
    NotPaused,
    /// The order could not be written beside the store: a pause is in force until the agent ends, a resume is not.
    #[error(
        "the order could not be written: {0}; a pause is in force until the agent's process ends, a resume is not: mend what \
         keeps the file from being written, then order it again"
    )]
    Unsaved(String),
}

/// A pause as an agent tells a hub of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToldPause {
    /// Who paused it.
    pub by: String,
    /// Why; may be empty.
    pub reason: String,
    /// When, by the agent's wall clock.
    pub at: WallTime,
    /// How long ago by the agent's elapsed time; absent when its machine was restarted since.
    pub held_ms: Option<u64>,
}

impl PauseOrder {
    /// Makes an order as it is given now; what is too long is cut, and nothing in it obeys a terminal.
    pub fn new(kind: PauseKind, by: &str, reason: &str, now: Now) -> Self {
        Self { kind, by: plain(by, WHO), reason: plain(reason, WHY), at: now.wall, given: now.mono }
    }

    /// Stands for an order that cannot be read any more: nothing is written until somebody says so.
    pub fn unreadable(why: &str, now: Now) -> Self {
        Self::new(PauseKind::Pause, "unknown", &format!("what was ordered last cannot be read: {why}"), now)
    }

    /// Tells whether it stops writes.
    pub fn is_pause(&self) -> bool {
        self.kind == PauseKind::Pause
    }

    /// Tells whether it changes anything after what was said before.
    pub fn follows(&self, before: Option<&Self>) -> Result<(), PauseRefused> {
        let paused = before.filter(|before| before.is_pause());
        match (self.kind, paused) {
            (PauseKind::Pause, Some(paused)) => Err(PauseRefused::Already(Box::new(paused.clone()))),
            (PauseKind::Resume, None) => Err(PauseRefused::NotPaused),
            (PauseKind::Pause, None) | (PauseKind::Resume, Some(_)) => Ok(()),
        }
    }

    /// Gives how long ago it was given; `None` over a reboot.
    pub fn age(&self, now: Now) -> Option<Duration> {
        now.mono.since(&self.given)
    }

    /// Says it to a hub.
    pub fn told(&self, now: Now) -> ToldPause {
        let (by, reason) = (self.by.clone(), self.reason.clone());
        ToldPause { by, reason, at: self.at, held_ms: self.age(now).map(millis) }
    }

    /// Says why nothing is written. It names no time, which every reader says with its own clock's age.
    pub fn words(&self) -> String {
        words(&self.by, &self.reason)
    }
}

impl ToldPause {
    /// Says why nothing is written, as [`PauseOrder::words`] does.
    pub fn words(&self) -> String {
        words(&self.by, &self.reason)
    }
}

impl fmt::Display for PauseOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            PauseKind::Pause => f.write_str(&self.words()),
            PauseKind::Resume => write!(f, "resumed by {}", self.by),
        }
    }
}

fn words(by: &str, reason: &str) -> String {
    let why = if reason.is_empty() { String::new() } else { format!(": {reason}") };
    format!("paused by {by}{why}")
}

/// Takes text on one line, without control characters, of at most `most` bytes.
fn plain(text: &str, most: usize) -> String {
    let spaced = text.chars().map(|character| if character.is_whitespace() { ' ' } else { character });
    let mut plain: String = spaced.filter(|character| !character.is_control()).collect();
    plain.truncate(plain.floor_char_boundary(most));
    plain.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::BootId;

    fn at(ms: u64) -> Now {
        Now { mono: MonoTime { boot: BootId::new([1; 16]), elapsed_ms: ms }, wall: WallTime(7) }
    }

    #[test]
    fn who_paused_first_stays_and_nothing_is_resumed_twice() {
        let first = PauseOrder::new(PauseKind::Pause, "ana", "the plant is down", at(10));
        let second = PauseOrder::new(PauseKind::Pause, "bob", "", at(20));
        let resume = PauseOrder::new(PauseKind::Resume, "bob", "", at(30));
        assert_eq!(first.follows(None), Ok(()));
        assert_eq!(
            second.follows(Some(&first)).unwrap_err().to_string(),
            "already paused by ana: the plant is down"
        );
        assert_eq!(resume.follows(Some(&first)), Ok(()));
        assert_eq!(resume.follows(Some(&resume)), Err(PauseRefused::NotPaused));
        assert_eq!(resume.follows(None), Err(PauseRefused::NotPaused));
        assert_eq!(second.follows(Some(&resume)), Ok(()));
    }

    #[test]
    fn what_a_person_types_is_one_short_line() {
        let order = PauseOrder::new(PauseKind::Pause, "a\x1b[31mna\n", &"é\n".repeat(1_000), at(0));
        assert_eq!(order.by, "a[31mna");
        assert!(order.reason.len() <= WHY && !order.reason.contains('\n'));
    }

    #[test]
    fn a_pause_has_an_age_until_the_machine_starts_anew() {
        let order = PauseOrder::new(PauseKind::Pause, "ana", "", at(1_000));
        assert_eq!(order.told(at(4_000)).held_ms, Some(3_000));
        let rebooted =
            Now { mono: MonoTime { boot: BootId::new([2; 16]), elapsed_ms: 9_000 }, wall: WallTime(9) };
        assert_eq!(order.told(rebooted).held_ms, None);
    }
}
