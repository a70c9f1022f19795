//! The only place that reads clocks.
//!
//! Elapsed time is the machine's boot time clock, which goes on while the machine is suspended; wall time is for people
//! and certificates. Both are handed to the deciding code as arguments.

use std::path::Path;

use argosy_core::ids::BootId;
use argosy_core::time::{MonoTime, Now, WallTime};
use rustix::time::{ClockId, Timespec, clock_gettime};

/// Where Linux tells the random name of its boot.
const BOOT_ID_PATH: &str = "/proc/sys/kernel/random/boot_id";

/// The boot of this machine cannot be told from any other.
#[derive(Debug, thiserror::Error)]
pub enum ClockError {
    /// The kernel's file is not readable.
    #[error("cannot read the boot id from {path}")]
    Read {
        /// The file.
        path: String,
        /// The system's error.
        #[source]
        source: std::io::Error,
    },
    /// The kernel's file holds something else.
    #[error("{path} holds no boot id")]
    Parse {
        /// The file.
        path: String,
        /// What is wrong with it.
        #[source]
        source: argosy_core::ids::ParseIdError,
    },
}

/// Reads elapsed and wall time of this machine.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    boot: BootId,
}

// === impl Clock ===

impl Clock {
    /// Makes a clock of this boot.
    pub fn new() -> Result<Self, ClockError> {
        Self::of_boot_file(Path::new(BOOT_ID_PATH))
    }

    /// Gives the time.
    pub fn now(&self) -> Now {
        Now { mono: self.mono(), wall: wall() }
    }

    /// Gives the elapsed time of this boot.
    pub fn mono(&self) -> MonoTime {
        MonoTime { boot: self.boot, elapsed_ms: elapsed_millis(clock_gettime(ClockId::Boottime)) }
    }

    /// Gives the name of this boot.
    pub fn boot(&self) -> BootId {
        self.boot
    }

    fn of_boot_file(path: &Path) -> Result<Self, ClockError> {
        let named = || path.display().to_string();
        let text =
            std::fs::read_to_string(path).map_err(|source| ClockError::Read { path: named(), source })?;
        let boot = text
            .trim()
            .replace('-', "")
            .parse()
            .map_err(|source| ClockError::Parse { path: named(), source })?;
        Ok(Self { boot })
    }
}

/// Gives the wall time: for people, certificates and metrics.
pub fn wall() -> WallTime {
    let time = clock_gettime(ClockId::Realtime);
    WallTime(time.tv_sec.saturating_mul(1000).saturating_add(time.tv_nsec / 1_000_000))
}

fn elapsed_millis(time: Timespec) -> u64 {
    let millis = time.tv_sec.saturating_mul(1000).saturating_add(time.tv_nsec / 1_000_000);
    u64::try_from(millis).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elapsed_time_never_runs_backwards_and_names_its_boot() {
        let clock = Clock::new().unwrap();
        let earlier = clock.now();
        let later = clock.now();
        assert!(later.mono.since(&earlier.mono).is_some());
        assert!(later.mono.elapsed_ms >= earlier.mono.elapsed_ms);
        assert_eq!(Clock::new().unwrap().boot(), clock.boot());
    }

    #[test]
    fn a_boot_file_with_something_else_is_an_error_that_names_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("boot_id");
        std::fs::write(&path, "not a boot\n").unwrap();
        let error = Clock::of_boot_file(&path).unwrap_err();
        assert!(error.to_string().contains("boot_id"), "{error}");
        assert!(matches!(Clock::of_boot_file(&directory.path().join("none")), Err(ClockError::Read { .. })));
    }
}
