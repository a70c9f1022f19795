//! Whether a lease may be taken: pure decisions.

use std::fmt;
use std::time::Duration;

use argosy_core::time::MonoTime;

use super::record::Record;

/// Nobody's lease is taken before this time, whatever it says of its duration.
const SHORTEST: Duration = Duration::from_secs(15);
/// Nobody's lease holds longer than this without a renewal, whatever it says.
const LONGEST: Duration = Duration::from_mins(5);

/// A process of an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    agent: String,
    process: String,
    host: String,
}

/// Takes part in the contest for one lease.
#[derive(Debug)]
pub(super) struct Contest {
    holder: Holder,
    /// Somebody else's lease: its version, and since when it was seen unchanged.
    seen: Option<(String, MonoTime)>,
    /// Whether this process ever held the lease.
    held: bool,
}

/// What to do with a lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Move {
    /// Create, take or renew it.
    Write,
    /// It is somebody else's.
    Wait {
        /// The name of its holder.
        holder: String,
    },
}

// === impl Holder ===

impl Holder {
    /// Names a process: by its agent's own id, which all processes of that agent share, an id of this start, and the
    /// host for people to read.
    pub fn new(agent: impl Into<String>, process: impl Into<String>, host: impl Into<String>) -> Self {
        Self { agent: agent.into(), process: process.into(), host: host.into() }
    }

    /// Tells whether a lease names a process of the same agent.
    fn is_sibling(&self, name: &str) -> bool {
        name.split_once('_').is_some_and(|(agent, _)| agent == self.agent)
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_{}_{}", self.agent, self.process, self.host)
    }
}

// === impl Contest ===

impl Contest {
    pub(super) fn new(holder: Holder) -> Self {
        Self { holder, seen: None, held: false }
    }

    pub(super) fn holder(&self) -> &Holder {
        &self.holder
    }

    /// Learns that the lease was written with our name.
    pub(super) fn won(&mut self) {
        (self.held, self.seen) = (true, None);
    }

    /// Decides about the lease as it is.
    pub(super) fn judge(&mut self, record: Option<&Record>, now: &MonoTime) -> Move {
        let Some(record) = record else { return Move::Write };
        let holder = record.holder();
        // A predecessor is dead: it ran on our own files. A process that takes the lease from us is a copy of this
        // agent, or its successor; from it nothing is taken back but what it leaves.
        if holder.is_empty() || record.is_of(&self.holder) || (self.holder.is_sibling(holder) && !self.held) {
            return Move::Write;
        }
        let since = match self.seen.take() {
            Some((version, since)) if version == record.version() && now.since(&since).is_some() => since,
            Some(_) | None => *now,
        };
        self.seen = Some((record.version().to_owned(), since));
        let patience = record.duration().clamp(SHORTEST, LONGEST);
        if now.since(&since).is_some_and(|quiet| quiet >= patience) {
            Move::Write
        } else {
            Move::Wait { holder: holder.to_owned() }
        }
    }
}

#[cfg(test)]
mod tests {
    use argosy_core::ids::BootId;
    use serde_json::json;

    use super::*;

    fn at(seconds: u64) -> MonoTime {
        MonoTime { boot: BootId::default(), elapsed_ms: seconds * 1000 }
    }

    fn record(holder: &str, version: u32, duration: u64) -> Record {
        Record::of(json!({"metadata": {"name": "l", "resourceVersion": version.to_string()}, "spec": {
            "holderIdentity": holder, "leaseDurationSeconds": duration, "renewTime": "1970-01-01T00:00:00.000000Z"}}))
    }

    fn contest() -> Contest {
        Contest::new(Holder::new("us", "p2", "here"))
    }

    fn waits(next: &Move) -> bool {
        matches!(next, Move::Wait { .. })
    }

    #[test]
    fn an_absent_or_returned_lease_is_taken_at_once() {
        assert_eq!(contest().judge(None, &at(0)), Move::Write);
        assert_eq!(contest().judge(Some(&record("", 1, 1)), &at(0)), Move::Write);
    }

    #[test]
    fn anothers_lease_is_taken_only_after_it_was_seen_unchanged_by_the_own_clock() {
        let mut contest = contest();
        // Its own renew time lies far in the past: that says nothing.
        assert!(waits(&contest.judge(Some(&record("them_p_there", 1, 15)), &at(100))));
        assert!(waits(&contest.judge(Some(&record("them_p_there", 1, 15)), &at(110))));
        assert!(waits(&contest.judge(Some(&record("them_p_there", 2, 15)), &at(116))));
        assert!(waits(&contest.judge(Some(&record("them_p_there", 2, 15)), &at(130))));
        assert_eq!(contest.judge(Some(&record("them_p_there", 2, 15)), &at(131)), Move::Write);
    }

    #[test]
    fn a_lease_that_names_an_absurd_duration_is_bounded() {
        for (duration, shorter, long_enough) in [(0, 14, 15), (1_000_000, 299, 300)] {
            let mut contest = contest();
            let record = record("them_p_there", 1, duration);
            assert!(waits(&contest.judge(Some(&record), &at(0))));
            assert!(waits(&contest.judge(Some(&record), &at(shorter))));
            assert_eq!(contest.judge(Some(&record), &at(long_enough)), Move::Write);
        }
    }

    #[test]
    fn a_predecessor_is_succeeded_at_once_and_a_successor_is_left_alone() {
        let mut contest = contest();
        assert_eq!(contest.judge(Some(&record("us_p1_here", 1, 15)), &at(0)), Move::Write);
        contest.won();
        assert_eq!(contest.judge(Some(&record("us_p2_here", 2, 15)), &at(5)), Move::Write);
        assert!(waits(&contest.judge(Some(&record("us_p3_here", 3, 15)), &at(10))));
        assert!(waits(&contest.judge(Some(&record("us2_p3_here", 3, 15)), &at(11))));
    }
}
