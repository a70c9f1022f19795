//! Fields of rows and frames that came after the first version: where they are absent, or null, they have their default,
//! and their default is not written. So an end of an earlier version says, and hashes, the same bytes as before.
//!
//! Used as `#[cbor(with = "crate::later", has_nil)]`.

use minicbor::decode::Error as DecodeError;
use minicbor::encode::{Error as EncodeError, Write};
use minicbor::{Decode, Decoder, Encode, Encoder, data::Type};

/// Writes a field that is not its default.
pub(crate) fn encode<C, T: Encode<C>, W: Write>(
    value: &T,
    encoder: &mut Encoder<W>,
    context: &mut C,
) -> Result<(), EncodeError<W::Error>> {
    value.encode(encoder, context)
}

/// Reads a field; null is its default.
pub(crate) fn decode<'b, C, T: Decode<'b, C> + Default>(
    decoder: &mut Decoder<'b>,
    context: &mut C,
) -> Result<T, DecodeError> {
    if decoder.datatype()? == Type::Null {
        decoder.skip()?;
        return Ok(T::default());
    }
    T::decode(decoder, context)
}

/// Gives what an absent field says.
#[expect(clippy::unnecessary_wraps, reason = "the signature that the derive macro asks for")]
pub(crate) fn nil<T: Default>() -> Option<T> {
    Some(T::default())
}

/// Tells whether a field needs not be written.
pub(crate) fn is_nil<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
