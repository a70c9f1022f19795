//! Groups of command-line arguments that both daemons flatten into theirs.

use std::net::SocketAddr;
use std::time::Duration;

use clap::{Args, ValueEnum};

/// What is logged, and how it looks.
#[derive(Debug, Clone, Args)]
pub struct LogArgs {
    /// What to log: a level, or directives such as `info,argosy_agent=debug`.
    #[arg(long = "log", env = "ARGOSY_LOG", default_value = "info", value_name = "FILTER")]
    pub filter: String,
    /// How a line of the log looks.
    #[arg(long = "log-format", env = "ARGOSY_LOG_FORMAT", default_value = "text", value_name = "FORMAT")]
    pub format: LogFormat,
}

/// How a line of the log looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One line of text per event.
    Text,
    /// One JSON object per event.
    Json,
}

/// Where the admin endpoint listens.
#[derive(Debug, Clone, Args)]
pub struct AdminArgs {
    /// Address of the admin endpoint (health, metrics, debugging); port 0 takes a free one.
    #[arg(id = "admin_listen", long = "admin-listen", value_name = "HOST:PORT")]
    pub listen: Option<SocketAddr>,
}

impl AdminArgs {
    /// Gives the address to listen on: the one that was asked for, or the daemon's own.
    pub fn listen_or(&self, default: SocketAddr) -> SocketAddr {
        self.listen.unwrap_or(default)
    }
}

/// Text that is no duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseDurationError {
    /// Nothing was given.
    #[error("empty; expected a number and a unit, such as 30s, 100ms or 5m")]
    Empty,
    /// A number is missing where one must be.
    #[error("{text:?} has no number before {at:?}; expected a number and a unit, such as 30s, 100ms or 5m")]
    NoNumber {
        /// The text as given.
        text: String,
        /// The rest that does not start with a number.
        at: String,
    },
    /// A number is not followed by a unit that is known.
    #[error("{text:?}: {unit:?} is no unit; known are ms, s, m, h and d, and numbers are whole")]
    Unit {
        /// The text as given.
        text: String,
        /// What stands where the unit must be.
        unit: String,
    },
    /// The number does not fit.
    #[error("{text:?} is too long")]
    TooLong {
        /// The text as given.
        text: String,
    },
}

/// Reads a duration: whole numbers with a unit each (`30s`, `100ms`, `1h30m`), or `0`.
pub fn parse_duration(text: &str) -> Result<Duration, ParseDurationError> {
    let too_long = || ParseDurationError::TooLong { text: text.to_owned() };
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(ParseDurationError::Empty);
    }
    if rest == "0" {
        return Ok(Duration::ZERO);
    }
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (number, after) = rest.split_at(digits);
        if number.is_empty() {
            return Err(ParseDurationError::NoNumber { text: text.to_owned(), at: rest.to_owned() });
        }
        let letters = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, next) = after.split_at(letters);
        let unit_millis = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return Err(ParseDurationError::Unit { text: text.to_owned(), unit: unit.to_owned() }),
        };
        let number: u64 = number.parse().map_err(|_out_of_range| too_long())?;
        let millis = number.checked_mul(unit_millis).ok_or_else(too_long)?;
        total = total.checked_add(Duration::from_millis(millis)).ok_or_else(too_long)?;
        rest = next;
    }
    Ok(total)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Daemon {
        #[command(flatten)]
        log: LogArgs,
        #[command(flatten)]
        admin: AdminArgs,
        #[arg(long, value_parser = parse_duration, default_value = "30s")]
        poll_interval: Duration,
    }

    #[test]
    fn durations_are_whole_numbers_with_units() {
        for (text, millis) in [
            ("30s", 30_000),
            ("100ms", 100),
            ("5m", 300_000),
            ("1h30m", 5_400_000),
            ("0", 0),
            ("2d", 172_800_000),
        ] {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn a_bad_duration_says_what_is_wrong() {
        for (text, says) in [
            ("", "empty"),
            ("s", "no number before \"s\""),
            ("30", "\"\" is no unit"),
            ("1.5s", "\".\" is no unit"),
            ("3 weeks", "\" weeks\" is no unit"),
            ("99999999999999999999d", "too long"),
            ("18446744073709551615d", "too long"),
        ] {
            let error = parse_duration(text).unwrap_err().to_string();
            assert!(error.contains(says), "{text:?}: {error}");
        }
    }

    #[test]
    fn a_daemon_takes_both_groups() {
        let daemon = Daemon::try_parse_from([
            "d",
            "--log",
            "debug",
            "--log-format",
            "json",
            "--poll-interval",
            "100ms",
        ])
        .unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(daemon.log.filter, "debug");
        assert_eq!(daemon.log.format, LogFormat::Json);
        assert_eq!(daemon.poll_interval, Duration::from_millis(100));
        let default = "127.0.0.1:9000".parse().unwrap();
        assert_eq!(daemon.admin.listen_or(default), default);
    }
}
