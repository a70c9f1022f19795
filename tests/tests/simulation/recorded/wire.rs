//! Frames as bytes and back, as either end's shell does it.

use argosy_core::session::frame::{AgentFrame, HubFrame};
use argosy_proto::{BUNDLE, FrameError, PartReader, PartWriter, v1};

/// What precedes a message in a file: its length.
const LENGTH: usize = 4;

/// Which end of the link a frame is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum End {
    Agent,
    Hub,
}

/// A frame of either end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Frame {
    Agent(AgentFrame),
    Hub(HubFrame),
}

impl Frame {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut writer = PartWriter::default();
        let message = match self {
            Self::Agent(frame) => writer.message(&v1::AgentFrame::from(frame.clone())),
            Self::Hub(frame) => writer.message(&v1::HubFrame::from(frame.clone())),
        };
        message[LENGTH..].to_vec()
    }

    pub(super) fn decode(end: End, bytes: &[u8]) -> Result<Self, FrameError> {
        let length = u32::try_from(bytes.len()).unwrap().to_be_bytes();
        let file = [BUNDLE.as_bytes(), &length, bytes].concat();
        let mut reader = PartReader::begin(file.as_slice(), "frame", BUNDLE).unwrap();
        match end {
            End::Agent => AgentFrame::try_from(reader.message::<v1::AgentFrame>().unwrap()).map(Self::Agent),
            End::Hub => HubFrame::try_from(reader.message::<v1::HubFrame>().unwrap()).map(Self::Hub),
        }
    }

    pub(super) fn end(&self) -> End {
        match self {
            Self::Agent(_) => End::Agent,
            Self::Hub(_) => End::Hub,
        }
    }
}

/// Adds a field that nobody has heard of to a frame, and to the message in it if it holds one.
pub(super) fn widen(bytes: &[u8], holds_message: bool) -> Vec<u8> {
    /// Field 1000, a text.
    const UNHEARD_OF: &[u8] = &[0xc2, 0x3e, 4, b'n', b'e', b'w', b'!'];
    let mut wide = bytes.to_vec();
    if holds_message {
        let tag = varint_end(bytes);
        let body = tag + varint_end(&bytes[tag..]);
        let inner = [&bytes[body..], UNHEARD_OF].concat();
        wide = bytes[..tag].to_vec();
        let mut length = inner.len();
        while length >= 0x80 {
            wide.push(u8::try_from(length & 0x7f).unwrap() | 0x80);
            length >>= 7;
        }
        wide.push(u8::try_from(length).unwrap());
        wide.extend(inner);
    }
    wide.extend_from_slice(UNHEARD_OF);
    wide
}

/// Gives where a number ends that bytes begin with.
fn varint_end(bytes: &[u8]) -> usize {
    bytes.iter().position(|byte| *byte < 0x80).unwrap() + 1
}
