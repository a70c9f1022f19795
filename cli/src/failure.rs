//! Why a command did not succeed, and the exit code that says so.

use std::error::Error as _;
use std::io;

use tonic::{Code, Status};

/// All went well.
pub(crate) const OK: u8 = 0;
/// The command failed, or what it looked at differs from what was asked.
pub(crate) const FAILED: u8 = 1;
/// The command line makes no sense.
pub(crate) const USAGE: u8 = 2;
/// The hub cannot be reached.
pub(crate) const UNREACHABLE: u8 = 3;
/// It cannot be told whether anything differs (Argo CD: `app diff`).
pub(crate) const UNTOLD: u8 = 20;

/// What rustls says when the other side ends a handshake. HTTP/2 keeps of an error of the connection its words alone.
const ALERT: &str = "received fatal alert";

/// A command that did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// It failed, or what it looked at differs from what was asked.
    #[error("{0}")]
    Failed(String),
    /// The command line or the configuration makes no sense.
    #[error("{0}")]
    Usage(String),
    /// The hub cannot be reached.
    #[error("the hub at {address} cannot be reached: {why}; is it running, and is this its address (--hub)?")]
    Unreachable {
        /// Where it was looked for.
        address: String,
        /// What happened.
        why: String,
    },
    /// The hub does not know what was named.
    #[error("{0}")]
    NotFound(String),
    /// The hub cannot do it as things stand: the agent is not connected, a source was not read yet.
    #[error("{0}")]
    NotNow(String),
    /// It cannot be told whether anything differs.
    #[error("{0}")]
    Untold(Box<Failure>),
    /// The output cannot be written.
    #[error("the output cannot be written: {0}")]
    Output(#[from] io::Error),
}

// === impl Failure ===

impl Failure {
    /// Gives the exit code.
    pub fn code(&self) -> u8 {
        match self {
            Self::Failed(_) | Self::NotFound(_) | Self::NotNow(_) | Self::Output(_) => FAILED,
            Self::Usage(_) => USAGE,
            Self::Unreachable { .. } => UNREACHABLE,
            Self::Untold(_) => UNTOLD,
        }
    }

    /// Makes of a failure one that no caller takes for a difference.
    #[must_use]
    pub(crate) fn untold(self) -> Self {
        if self.code() == FAILED { Self::Untold(Box::new(self)) } else { self }
    }

    /// Tells whether nobody reads the output any more.
    pub fn is_closed_pipe(&self) -> bool {
        match self {
            Self::Output(error) => error.kind() == io::ErrorKind::BrokenPipe,
            Self::Untold(failure) => failure.is_closed_pipe(),
            Self::Failed(_)
            | Self::NotFound(_)
            | Self::NotNow(_)
            | Self::Usage(_)
            | Self::Unreachable { .. } => false,
        }
    }

    /// Reads what kept a link from coming up, or ended it.
    pub(crate) fn of_transport(address: &str, error: &dyn std::error::Error) -> Self {
        let why = causes(error);
        if why.contains(ALERT) {
            return Self::Failed(format!(
                "the hub at {address} refuses the certificate of this operator ({why}); is it of another hub? \
                 `argosy-principal init` on the hub makes a new identity"
            ));
        }
        Self::Unreachable { address: address.to_owned(), why }
    }

    /// Reads the answer of a hub that refuses.
    pub(crate) fn of_status(address: &str, status: &Status) -> Self {
        // A status with a cause was made on this side of the link: the hub never said it.
        if status.source().is_some() {
            return Self::of_transport(address, status);
        }
        let message = status.message().to_owned();
        let message = if message.is_empty() { status.code().description().to_owned() } else { message };
        match status.code() {
            Code::NotFound => Self::NotFound(message),
            Code::FailedPrecondition => Self::NotNow(message),
            Code::Unauthenticated | Code::PermissionDenied => Self::Failed(format!(
                "the hub refuses this operator: {message}; run `argosy-principal init` on the hub for a new identity"
            )),
            Code::Ok
            | Code::Cancelled
            | Code::Unknown
            | Code::InvalidArgument
            | Code::DeadlineExceeded
            | Code::AlreadyExists
            | Code::ResourceExhausted
            | Code::Aborted
            | Code::OutOfRange
            | Code::Unimplemented
            | Code::Internal
            | Code::Unavailable
            | Code::DataLoss => Self::Failed(message),
        }
    }
}

/// Gives an error's words and those of its causes, each once.
pub(crate) fn causes(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !words.contains(&text) {
            words.push_str(": ");
            words.push_str(&text);
        }
        cause = error.source();
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hub_that_answers_is_not_unreachable() {
        let code = |status: Status| Failure::of_status("hub:1", &status).code();
        assert_eq!(code(Status::unavailable("busy")), FAILED);
        assert_eq!(code(Status::not_found("app web")), FAILED);
        assert_eq!(code(Status::from_error(Box::new(io::Error::other("reset")))), UNREACHABLE);
        let alert = rustls::Error::AlertReceived(rustls::AlertDescription::UnknownCA);
        let refused = io::Error::new(io::ErrorKind::InvalidData, alert);
        assert_eq!(code(Status::from_error(Box::new(refused))), FAILED);
        assert_eq!(code(Status::deadline_exceeded("the agent did not begin in time")), FAILED);
    }
}
