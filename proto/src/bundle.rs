//! Files for a cluster that has no link: a line that says what it is, then messages, each after its length.

use std::io::{self, Read};

use argosy_core::bundle::{Header, Part, ReceiptsHeader, ReceiptsPart, Sum};
use argosy_core::desired::Signature;
use argosy_core::ids::{ClusterId, Digest, InstallationId};
use argosy_core::session::frame::{AgentFrame, FRAME_LIMIT, HubFrame};
use argosy_core::time::WallTime;
use prost::Message;

use crate::error::FrameError;
use crate::field;
use crate::link::limits;
use crate::v1;

/// The line that a bundle begins with.
pub const BUNDLE: &str = "argosy bundle 1\n";
/// The line that receipts begin with.
pub const RECEIPTS: &str = "argosy receipts 1\n";
/// Largest certificate.
const CERTIFICATE: usize = 16 << 10;
/// Largest seal.
const SEAL: usize = 1 << 10;
/// Largest message of a file.
const MESSAGE: usize = FRAME_LIMIT + 1024;

/// A file that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It is something else.
    #[error("this is no {what} of a version that this program reads: it does not begin with {line:?}")]
    OtherKind {
        /// What was expected.
        what: &'static str,
        /// The line that it begins with.
        line: &'static str,
    },
    /// It ends too early.
    #[error("the file is cut short")]
    Truncated,
    /// Bytes follow its end.
    #[error("the file goes on after its seal")]
    Trailing,
    /// A message of it is larger than any may be, empty, or does not decode.
    #[error("the file is damaged: {0}")]
    Damaged(String),
    /// It cannot be read.
    #[error("the file cannot be read")]
    Read(#[source] io::Error),
}

/// Writes the parts of a file, one after the other.
#[derive(Debug, Clone, Default)]
pub struct PartWriter {
    sum: Sum,
}

/// Reads the messages of a file.
#[derive(Debug)]
pub struct PartReader<R> {
    from: R,
    sum: Sum,
    /// The sum before the message that was read last.
    before: Digest,
}

// === impl PartWriter ===

impl PartWriter {
    /// Gives the line that the file begins with.
    pub fn begin(&mut self, line: &str) -> Vec<u8> {
        self.sum.add(line.as_bytes());
        line.as_bytes().to_vec()
    }

    /// Gives a message as it is written.
    pub fn message(&mut self, message: &impl Message) -> Vec<u8> {
        let body = message.encode_to_vec();
        let length = u32::try_from(body.len()).unwrap_or(u32::MAX);
        let mut bytes = length.to_be_bytes().to_vec();
        bytes.extend_from_slice(&body);
        self.sum.add(&bytes);
        bytes
    }

    /// Gives the digest of everything that was written, which the seal signs.
    pub fn digest(&self) -> Digest {
        self.sum.digest()
    }
}

// === impl PartReader ===

impl<R: Read> PartReader<R> {
    /// Begins with the line that says what the file is.
    pub fn begin(mut from: R, what: &'static str, line: &'static str) -> Result<Self, FileError> {
        let mut found = vec![0; line.len()];
        match from.read_exact(&mut found) {
            Ok(()) if found == line.as_bytes() => {}
            Ok(()) => return Err(FileError::OtherKind { what, line }),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                return Err(FileError::OtherKind { what, line });
            }
            Err(error) => return Err(FileError::Read(error)),
        }
        let mut sum = Sum::default();
        sum.add(&found);
        Ok(Self { from, before: sum.digest(), sum })
    }

    /// Reads the next message; a file that ends before its seal is cut short.
    pub fn message<M: Message + Default>(&mut self) -> Result<M, FileError> {
        self.before = self.sum.digest();
        let mut length = [0; 4];
        self.fill(&mut length)?;
        let size = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
        if size == 0 || size > MESSAGE {
            return Err(FileError::Damaged(format!("a message of {size} bytes")));
        }
        let mut body = vec![0; size];
        self.fill(&mut body)?;
        self.sum.add(&length);
        self.sum.add(&body);
        M::decode(body.as_slice()).map_err(|error| FileError::Damaged(error.to_string()))
    }

    /// Gives the digest of everything before the message that was read last.
    pub fn digest_before(&self) -> Digest {
        self.before
    }

    /// Checks that nothing follows, and gives back what was read from.
    pub fn end(mut self) -> Result<R, FileError> {
        let mut one = [0; 1];
        match self.from.read(&mut one) {
            Ok(0) => Ok(self.from),
            Ok(_) => Err(FileError::Trailing),
            Err(error) => Err(FileError::Read(error)),
        }
    }

    fn fill(&mut self, to: &mut [u8]) -> Result<(), FileError> {
        self.from.read_exact(to).map_err(|error| {
            if error.kind() == io::ErrorKind::UnexpectedEof {
                FileError::Truncated
            } else {
                FileError::Read(error)
            }
        })
    }
}

impl From<FrameError> for FileError {
    fn from(error: FrameError) -> Self {
        Self::Damaged(error.to_string())
    }
}

impl From<Part> for v1::BundlePart {
    fn from(part: Part) -> Self {
        use v1::bundle_part::Part as Wire;
        let part = match part {
            Part::Header(header) => Wire::Header(header.into()),
            Part::Frame(frame) => Wire::Frame(frame.into()),
            Part::Seal(signature) => Wire::Seal(signature.0.to_vec()),
        };
        Self { part: Some(part) }
    }
}

impl TryFrom<v1::BundlePart> for Part {
    type Error = FrameError;

    fn try_from(part: v1::BundlePart) -> Result<Self, FrameError> {
        use v1::bundle_part::Part as Wire;
        Ok(match field::required("bundle.part", part.part)? {
            Wire::Header(header) => Self::Header(header.try_into()?),
            Wire::Frame(frame) => Self::Frame(HubFrame::try_from(frame)?),
            Wire::Seal(bytes) => Self::Seal(Signature(field::fixed("bundle.seal", &bytes)?)),
        })
    }
}

impl From<Header> for v1::BundleHeader {
    fn from(header: Header) -> Self {
        Self {
            cluster: header.cluster.as_bytes().to_vec(),
            installation: header.installation.as_bytes().to_vec(),
            chain: header.chain.into_iter().map(Into::into).collect(),
            made_ms: header.made.0,
        }
    }
}

impl TryFrom<v1::BundleHeader> for Header {
    type Error = FrameError;

    fn try_from(header: v1::BundleHeader) -> Result<Self, FrameError> {
        field::count("bundle.chain", header.chain.len(), limits::ELEMENTS)?;
        let chain: Result<Vec<_>, FrameError> = header.chain.into_iter().map(TryInto::try_into).collect();
        Ok(Self {
            cluster: field::fixed("bundle.cluster", &header.cluster).map(ClusterId::new)?,
            installation: field::fixed("bundle.installation", &header.installation)
                .map(InstallationId::new)?,
            chain: chain?,
            made: WallTime(header.made_ms),
        })
    }
}

impl From<ReceiptsPart> for v1::ReceiptsPart {
    fn from(part: ReceiptsPart) -> Self {
        use v1::receipts_part::Part as Wire;
        let part = match part {
            ReceiptsPart::Header(header) => Wire::Header(header.into()),
            ReceiptsPart::Frame(frame) => Wire::Frame(frame.into()),
            ReceiptsPart::Seal(bytes) => Wire::Seal(bytes),
        };
        Self { part: Some(part) }
    }
}

impl TryFrom<v1::ReceiptsPart> for ReceiptsPart {
    type Error = FrameError;

    fn try_from(part: v1::ReceiptsPart) -> Result<Self, FrameError> {
        use v1::receipts_part::Part as Wire;
        Ok(match field::required("receipts.part", part.part)? {
            Wire::Header(header) => Self::Header(header.try_into()?),
            Wire::Frame(frame) => Self::Frame(AgentFrame::try_from(frame)?),
            Wire::Seal(bytes) => Self::Seal(short("receipts.seal", bytes, SEAL)?),
        })
    }
}

impl From<ReceiptsHeader> for v1::ReceiptsHeader {
    fn from(header: ReceiptsHeader) -> Self {
        Self {
            cluster: header.cluster.as_bytes().to_vec(),
            installation: header.installation.as_bytes().to_vec(),
            made_ms: header.made.0,
            certificate_der: header.certificate,
        }
    }
}

impl TryFrom<v1::ReceiptsHeader> for ReceiptsHeader {
    type Error = FrameError;

    fn try_from(header: v1::ReceiptsHeader) -> Result<Self, FrameError> {
        Ok(Self {
            cluster: field::fixed("receipts.cluster", &header.cluster).map(ClusterId::new)?,
            installation: field::fixed("receipts.installation", &header.installation)
                .map(InstallationId::new)?,
            made: WallTime(header.made_ms),
            certificate: short("receipts.certificate", header.certificate_der, CERTIFICATE)?,
        })
    }
}

fn short(field: &'static str, bytes: Vec<u8>, limit: usize) -> Result<Vec<u8>, FrameError> {
    if bytes.len() > limit {
        return Err(FrameError::TooLong { field, limit, got: bytes.len() });
    }
    field::filled(field, bytes)
}
