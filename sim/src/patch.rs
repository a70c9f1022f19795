//! The forms of a patch: merge patch, JSON patch and strategic merge patch.
//!
//! All three are pure and say what they refuse in the API server's words. What the patched object is worth
//! (unknown fields, validation) is for the caller to find out.

mod json;
mod merge;
mod strategic;

#[cfg(test)]
mod tests;

pub use json::{MAX_JSON_OPERATIONS, json};
pub use merge::merge;
pub use strategic::{ListStrategy, Strategy, strategic};

/// Why a patch is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatchError {
    /// The patch is not one: 400.
    #[error("{0}")]
    Malformed(String),
    /// The patch has more operations than are allowed: 413.
    #[error("The allowed maximum operations in a JSON patch is {MAX_JSON_OPERATIONS}, got {0}")]
    TooManyOperations(usize),
    /// The patch does not fit the object: 422. The API server keeps the words to itself and says only that it
    /// rejects the request.
    #[error("{0}")]
    DoesNotApply(String),
    /// The patch cannot be understood, for which the API server answers 500.
    #[error("{0}")]
    Internal(String),
}
