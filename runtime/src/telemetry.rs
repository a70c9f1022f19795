//! The process's log: text or JSON on standard error, with a filter that can be changed while it runs.

use std::fmt;
use std::io::IsTerminal as _;
use std::sync::Arc;

use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Registry, fmt as lines, reload};

use crate::args::{LogArgs, LogFormat};

/// Longest filter that is taken.
const MAX_FILTER_LEN: usize = 1024;

/// The log cannot be set up or changed.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter does not parse.
    #[error("log filter {filter:?}: {why}")]
    Filter {
        /// The filter as given.
        filter: String,
        /// What is wrong with it.
        why: String,
    },
    /// The process has a log already.
    #[error("the log is set up already")]
    AlreadySet,
    /// The log is gone, so its filter cannot be read or changed.
    #[error("the log is closed")]
    Closed,
}

/// Reads and changes the filter of the running log.
#[derive(Clone)]
pub struct LogHandle {
    filter: Arc<reload::Handle<EnvFilter, Registry>>,
}

// === impl LogHandle ===

impl fmt::Debug for LogHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogHandle").field("filter", &self.filter().ok()).finish()
    }
}

impl LogHandle {
    /// Gives the filter as it is now.
    pub fn filter(&self) -> Result<String, TelemetryError> {
        self.filter.with_current(ToString::to_string).map_err(|_gone| TelemetryError::Closed)
    }

    /// Replaces the filter; a filter that does not parse changes nothing.
    pub fn set_filter(&self, filter: &str) -> Result<(), TelemetryError> {
        let parsed = parse_filter(filter)?;
        self.filter.reload(parsed).map_err(|_gone| TelemetryError::Closed)
    }
}

/// Sets up the process's log; once in its life.
pub fn init(args: &LogArgs) -> Result<LogHandle, TelemetryError> {
    let (filter, handle) = reload::Layer::new(parse_filter(&args.filter)?);
    let registry = tracing_subscriber::registry().with(filter);
    let set = match args.format {
        LogFormat::Text => registry
            .with(lines::layer().with_writer(std::io::stderr).with_ansi(std::io::stderr().is_terminal()))
            .try_init(),
        LogFormat::Json => {
            registry.with(lines::layer().json().flatten_event(true).with_writer(std::io::stderr)).try_init()
        }
    };
    set.map_err(|_second| TelemetryError::AlreadySet)?;
    Ok(LogHandle { filter: Arc::new(handle) })
}

fn parse_filter(filter: &str) -> Result<EnvFilter, TelemetryError> {
    let refused = |why: String| TelemetryError::Filter { filter: filter.chars().take(80).collect(), why };
    let trimmed = filter.trim();
    if trimmed.is_empty() {
        return Err(refused(
            "empty; expected a level or directives such as info,argosy_agent=debug".to_owned(),
        ));
    }
    if trimmed.len() > MAX_FILTER_LEN {
        return Err(refused(format!("longer than {MAX_FILTER_LEN} bytes")));
    }
    // A lone word that is no level would silently become the name of a module.
    if trimmed.chars().all(char::is_alphanumeric)
        && trimmed.parse::<tracing::level_filters::LevelFilter>().is_err()
    {
        return Err(refused("no level; known are off, error, warn, info, debug and trace".to_owned()));
    }
    EnvFilter::builder().parse(trimmed).map_err(|error| refused(error.to_string()))
}

#[cfg(test)]
pub(crate) mod tests {
    use tracing::Subscriber;
    use tracing_subscriber::Layer as _;

    use super::*;

    /// Makes a handle and the subscriber that it belongs to, without setting up the process's log.
    pub(crate) fn detached(filter: &str) -> (LogHandle, impl Subscriber + use<>) {
        let (layer, handle) = reload::Layer::new(parse_filter(filter).unwrap());
        let subscriber = layer.with_subscriber(Registry::default());
        (LogHandle { filter: Arc::new(handle) }, subscriber)
    }

    #[test]
    fn the_filter_changes_while_the_log_runs() {
        let (handle, subscriber) = detached("info");
        tracing::subscriber::with_default(subscriber, || {
            assert!(!tracing::enabled!(tracing::Level::DEBUG));
            handle.set_filter("info,argosy_runtime=debug").unwrap();
            assert!(tracing::enabled!(tracing::Level::DEBUG));
            assert!(handle.filter().unwrap().contains("argosy_runtime=debug"));
        });
    }

    #[test]
    fn a_bad_filter_is_refused_and_changes_nothing() {
        let (handle, _subscriber) = detached("info");
        for bad in ["", "loud", "a=b=c", &"x".repeat(2000)] {
            assert!(matches!(handle.set_filter(bad), Err(TelemetryError::Filter { .. })), "{bad}");
        }
        assert_eq!(handle.filter().unwrap(), "info");
    }

    #[test]
    fn a_closed_log_says_so() {
        let (handle, subscriber) = detached("info");
        drop(subscriber);
        assert!(matches!(handle.filter(), Err(TelemetryError::Closed)));
    }
}
