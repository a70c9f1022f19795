//! The wire: generated messages and services, and their conversion from and to core's validated types.
//!
//! Whatever comes from the other end is checked once, here: every length, every number, every count. Inside the
//! program there are only core's types. Conversions towards the wire cannot fail.

mod bundle;
mod enrollment;
mod error;
mod field;
mod fleet;
mod link;
mod zstd_codec;

pub use bundle::{BUNDLE, FileError, PartReader, PartWriter, RECEIPTS};
pub use enrollment::{Enrolled, EnrollmentRequest, TOKEN_LENGTH};
pub use error::FrameError;
pub use link::limits;
pub use zstd_codec::ZstdCodec;

/// Generated messages and services of the package `argosy.v1`.
#[allow(
    missing_docs,
    unreachable_pub,
    unused_qualifications,
    clippy::all,
    clippy::pedantic,
    clippy::allow_attributes_without_reason,
    clippy::unused_trait_names,
    clippy::wildcard_enum_match_arm,
    reason = "generated code; the comments of the .proto files are its documentation"
)]
pub mod v1 {
    tonic::include_proto!("argosy.v1");
}

/// The descriptors of all messages and services, as a protobuf `FileDescriptorSet`.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

#[cfg(test)]
mod tests;
