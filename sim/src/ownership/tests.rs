//! Ownership as the real API server decides it, and what its rules look like one by one.

mod kinds;
mod replay;
mod rules;
