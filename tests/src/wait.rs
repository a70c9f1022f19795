//! Waiting for what becomes true later: the only place of the harness that reads a clock or sleeps.
//!
//! Nothing in a scenario sleeps for a guessed time. It says what it waits for, and a wait that fails says what was
//! seen last.

use std::fmt::Display;
use std::time::{Duration, Instant};

/// How long a probe rests between two looks.
const PAUSE: Duration = Duration::from_millis(50);

/// What a probe of [`eventually`] returns: the value awaited, or what was seen instead.
pub trait Observation {
    /// The value that the wait returns.
    type Value;

    /// Turns the observation into the awaited value, or a sentence about the present state.
    fn observed(self) -> Result<Self::Value, String>;
}

/// A moment after which a wait gives up.
#[derive(Clone, Copy, Debug)]
pub struct Deadline(Instant);

/// A running measurement of elapsed time.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch(Instant);

// === impl Observation ===

impl<T> Observation for Option<T> {
    type Value = T;

    fn observed(self) -> Result<T, String> {
        self.ok_or_else(|| "nothing".to_owned())
    }
}

impl<T, E: Display> Observation for Result<T, E> {
    type Value = T;

    fn observed(self) -> Result<T, String> {
        self.map_err(|error| format!("{error:#}"))
    }
}

impl Observation for bool {
    type Value = ();

    fn observed(self) -> Result<(), String> {
        if self { Ok(()) } else { Err("not yet true".to_owned()) }
    }
}

// === impl Deadline ===

impl Deadline {
    /// Returns the moment that lies `after` from now.
    pub fn after(after: Duration) -> Self {
        Self(now() + after)
    }

    /// Tells whether the moment has come.
    pub fn is_over(&self) -> bool {
        now() >= self.0
    }
}

// === impl Stopwatch ===

impl Stopwatch {
    /// Starts to measure.
    pub fn start() -> Self {
        Self(now())
    }

    /// Returns the time since the start.
    pub fn elapsed(&self) -> Duration {
        now() - self.0
    }
}

/// Probes until the awaited value is there and returns it.
///
/// # Panics
/// When the deadline passes first; the message says what was awaited and what was seen last.
#[track_caller]
pub fn eventually<O: Observation>(deadline: Duration, what: &str, probe: impl FnMut() -> O) -> O::Value {
    match poll(deadline, what, probe) {
        Ok(value) => value,
        #[expect(clippy::panic, reason = "the failed assertion of a test")]
        Err(error) => panic!("{error}"),
    }
}

/// Probes until the awaited value is there and returns it, or an error that says what was seen last.
pub fn poll<O: Observation>(
    deadline: Duration,
    what: &str,
    mut probe: impl FnMut() -> O,
) -> anyhow::Result<O::Value> {
    let end = Deadline::after(deadline);
    loop {
        match probe().observed() {
            Ok(value) => return Ok(value),
            Err(seen) if end.is_over() => {
                anyhow::bail!("waited {deadline:?} for {what}, in vain; last seen: {seen}")
            }
            Err(_) => pause(PAUSE),
        }
    }
}

/// Probes for the whole `duration` and demands that every look succeeds.
///
/// # Panics
/// At the first look that fails; the message says what should have held and what was seen.
#[track_caller]
pub fn throughout<O: Observation>(duration: Duration, what: &str, mut probe: impl FnMut() -> O) {
    let watch = Stopwatch::start();
    while watch.elapsed() < duration {
        if let Err(seen) = probe().observed() {
            #[expect(clippy::panic, reason = "the failed assertion of a test")]
            {
                panic!("{what}: held for {:?} only; seen: {seen}", watch.elapsed());
            }
        }
        pause(PAUSE);
    }
}

/// Rests for some time: between two looks, or until a moment that chance has chosen.
pub fn pause(time: Duration) {
    #[expect(clippy::disallowed_methods, reason = "the harness has no runtime; all its pauses are here")]
    std::thread::sleep(time);
}

fn now() -> Instant {
    #[expect(clippy::disallowed_methods, reason = "the harness has no runtime; its one clock is here")]
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_in_vain_says_what_was_awaited_and_what_was_seen() {
        let mut looks = 0;
        let error = poll(Duration::from_millis(1), "the moon", || -> Result<(), String> {
            looks += 1;
            Err(format!("look {looks}"))
        })
        .unwrap_err()
        .to_string();

        assert!(error.contains("the moon"), "{error}");
        assert!(error.contains(&format!("look {looks}")), "{error}");
    }

    #[test]
    fn a_wait_returns_the_value_as_soon_as_it_is_there() {
        let mut looks = 0;
        let value = eventually(Duration::from_mins(1), "the third look", || {
            looks += 1;
            (looks == 3).then_some("seen")
        });

        assert_eq!((value, looks), ("seen", 3));
    }

    #[test]
    #[should_panic(expected = "the calm: held for")]
    fn a_state_that_should_last_fails_at_the_first_look_that_differs() {
        throughout(Duration::from_mins(1), "the calm", || false);
    }
}
