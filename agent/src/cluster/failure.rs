//! What went wrong with a request to the API server.

use argosy_core::cluster::{ApiError, Refusal, Subject};

/// Why there is no good answer.
#[derive(Debug)]
pub(super) enum Failure {
    /// No answer, half an answer, or one that makes no sense.
    Transport(String),
    /// An answer beyond the limit.
    TooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// An answer that says no.
    Refused(Box<Refusal>),
}

// === impl Failure ===

impl Failure {
    /// Says what it means for a request.
    pub(super) fn classify(&self, subject: Subject) -> ApiError {
        match self {
            Self::Transport(why) => ApiError::Unreachable(why.clone()),
            Self::TooLarge { limit } => {
                ApiError::Unreachable(format!("its answer has more than {} MiB", limit >> 20))
            }
            Self::Refused(refusal) => refusal.classify(subject),
        }
    }

    /// Says what it means for a dry run; see [`Refusal::of_trial`].
    pub(super) fn of_trial(&self, subject: Subject) -> Result<(), ApiError> {
        match self {
            Self::Refused(refusal) => refusal.of_trial(subject),
            Self::Transport(_) | Self::TooLarge { .. } => Err(self.classify(subject)),
        }
    }

    /// Tells whether something with a name is absent: the object, or its namespace.
    pub(super) fn is_absent(&self) -> bool {
        matches!(self, Self::Refused(refusal) if refusal.is_absent())
    }

    /// Tells whether the answer has this HTTP status.
    pub(super) fn has_code(&self, code: u16) -> bool {
        matches!(self, Self::Refused(refusal) if refusal.code() == code)
    }

    /// Tells whether something of the name exists already.
    pub(super) fn already_exists(&self) -> bool {
        matches!(self, Self::Refused(refusal) if refusal.already_exists())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_answered_may_have_had_its_effect() {
        for failure in [Failure::Transport("reset".to_owned()), Failure::TooLarge { limit: 1 << 20 }] {
            assert!(matches!(failure.classify(Subject::default()), ApiError::Unreachable(_)), "{failure:?}");
            assert!(!failure.is_absent() && !failure.already_exists() && !failure.has_code(404));
        }
    }
}
