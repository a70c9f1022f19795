//! Placeholder.
pub mod directory;
pub mod git;
