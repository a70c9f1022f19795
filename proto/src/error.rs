//! Frames that make no sense.

use argosy_core::session::frame::{Refusal, RefusalReason};

/// A message of the other end that is not what it must be. Each names the field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// A whole frame is of a kind that this version does not know: a newer one says more. It is passed over (I20).
    #[error("the frame is empty or of an unknown kind")]
    UnknownFrame,
    /// A field that must be there is not, or is of a kind that this version does not know.
    #[error("{field} is missing or of an unknown kind")]
    Missing {
        /// The field.
        field: &'static str,
    },
    /// A field of fixed length has another.
    #[error("{field} has {got} bytes instead of {expected}")]
    Length {
        /// The field.
        field: &'static str,
        /// Its length.
        expected: usize,
        /// The length that came.
        got: usize,
    },
    /// A field is longer than it may be.
    #[error("{field} has {got} bytes, more than {limit}")]
    TooLong {
        /// The field.
        field: &'static str,
        /// Its longest length.
        limit: usize,
        /// The length that came.
        got: usize,
    },
    /// A repeated field has more elements than it may have.
    #[error("{field} has {got} elements, more than {limit}")]
    TooMany {
        /// The field.
        field: &'static str,
        /// The most that it may have.
        limit: usize,
        /// The number that came.
        got: usize,
    },
    /// A name holds characters that names never hold.
    #[error("{field} is not a name")]
    NotAName {
        /// The field.
        field: &'static str,
    },
    /// A field that must not be empty is.
    #[error("{field} is empty")]
    Empty {
        /// The field.
        field: &'static str,
    },
    /// A number is out of its range.
    #[error("{field} is {got}, which is not {expected}")]
    Number {
        /// The field.
        field: &'static str,
        /// What it must be.
        expected: &'static str,
        /// What came.
        got: u64,
    },
    /// Bytes are not the CBOR that they must be.
    #[error("{field} does not decode")]
    Undecodable {
        /// The field.
        field: &'static str,
    },
    /// Elements are not in rising order.
    #[error("{field} is not in rising order")]
    Unsorted {
        /// The field.
        field: &'static str,
    },
}

// === impl FrameError ===

impl FrameError {
    /// Gives the refusal to close the link with.
    pub fn refusal(&self) -> Refusal {
        Refusal { reason: RefusalReason::Malformed, message: self.to_string() }
    }
}

impl From<FrameError> for tonic::Status {
    fn from(error: FrameError) -> Self {
        Self::invalid_argument(error.to_string())
    }
}
