//! Frames of the link, from and to core's validated types.

mod agent;
mod hub;
mod shared;
mod sync;

/// Limits of what a frame may hold, beside [`argosy_core::session::frame::FRAME_LIMIT`] on the whole.
pub mod limits {
    /// Longest name of an app, a cluster or a namespace.
    pub const NAME: usize = 253;
    /// Longest version or UID.
    pub const WORD: usize = 256;
    /// Longest text for people. A sender cuts at it.
    pub const TEXT: usize = 16 << 10;
    /// Most capabilities of an agent.
    pub const CAPABILITIES: usize = 64;
    /// Most elements, changes, ranges or statuses of one frame.
    pub const ELEMENTS: usize = 1 << 16;
}

#[cfg(test)]
mod engine_tests;
#[cfg(test)]
mod tests;
