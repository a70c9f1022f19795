//! Words of names. What is known of objects is found by comparing and copying their keys, thousands of times in a turn: a
//! short word stands in place, so that a copy allocates nothing and two are compared by three numbers.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::sync::Arc;

use minicbor::decode::Error as DecodeError;
use minicbor::encode::{Error as EncodeError, Write};
use minicbor::{Decode, Decoder, Encode, Encoder};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The most bytes of a word that stands in place.
const SHORT: usize = 22;

/// A string that never changes: a kind, a namespace, a name. It is ordered, hashed, printed and written as a [`str`].
#[derive(Clone)]
pub struct Word(Repr);

#[derive(Clone)]
enum Repr {
    /// Zeros follow what it says.
    Short {
        length: u8,
        bytes: [u8; SHORT],
    },
    Long(Arc<str>),
}

impl Word {
    /// Makes one.
    pub fn new(text: &str) -> Self {
        let mut bytes = [0; SHORT];
        match (u8::try_from(text.len()), bytes.get_mut(..text.len())) {
            (Ok(length), Some(place)) => {
                place.copy_from_slice(text.as_bytes());
                Self(Repr::Short { length, bytes })
            }
            (Ok(_) | Err(_), None) | (Err(_), Some(_)) => Self(Repr::Long(text.into())),
        }
    }

    /// Gives it as a string.
    pub fn as_str(&self) -> &str {
        match &self.0 {
            // What was made of a string is one.
            Repr::Short { .. } => std::str::from_utf8(self.as_bytes()).unwrap_or_default(),
            Repr::Long(text) => text,
        }
    }

    /// Gives its bytes.
    pub fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Repr::Short { length, bytes } => bytes.get(..usize::from(*length)).unwrap_or_default(),
            Repr::Long(text) => text.as_bytes(),
        }
    }

    /// Gives how many bytes it has.
    pub fn len(&self) -> usize {
        match &self.0 {
            Repr::Short { length, .. } => usize::from(*length),
            Repr::Long(text) => text.len(),
        }
    }

    /// Tells whether it says nothing.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Gives numbers that order short words of one length; bytes may be in two of them.
#[inline]
fn numbers(bytes: &[u8; SHORT]) -> [u64; 3] {
    let number = |chunk: Option<&[u8; 8]>| chunk.map_or(0, |chunk| u64::from_be_bytes(*chunk));
    let (_, rest) = bytes.split_at(8);
    [number(bytes.first_chunk()), number(rest.first_chunk()), number(bytes.last_chunk())]
}

impl Ord for Word {
    #[inline]
    fn cmp(&self, other: &Self) -> Ordering {
        match (&self.0, &other.0) {
            (Repr::Short { length, bytes }, Repr::Short { length: other_length, bytes: other }) => {
                numbers(bytes).cmp(&numbers(other)).then_with(|| length.cmp(other_length))
            }
            (Repr::Long(text), Repr::Long(other)) if Arc::ptr_eq(text, other) => Ordering::Equal,
            (Repr::Short { .. } | Repr::Long(_), Repr::Short { .. } | Repr::Long(_)) => {
                self.as_bytes().cmp(other.as_bytes())
            }
        }
    }
}

impl PartialOrd for Word {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Word {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Repr::Short { length, bytes }, Repr::Short { length: other_length, bytes: other }) => {
                length == other_length && bytes == other
            }
            (Repr::Long(text), Repr::Long(other)) => Arc::ptr_eq(text, other) || text == other,
            (Repr::Short { .. }, Repr::Long(_)) | (Repr::Long(_), Repr::Short { .. }) => false,
        }
    }
}

impl Eq for Word {}

impl Hash for Word {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_bytes().hash(state);
    }
}

impl PartialEq<str> for Word {
    fn eq(&self, other: &str) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl PartialEq<&str> for Word {
    fn eq(&self, other: &&str) -> bool {
        self == *other
    }
}

impl PartialEq<String> for Word {
    fn eq(&self, other: &String) -> bool {
        self == other.as_str()
    }
}

impl PartialEq<Word> for str {
    fn eq(&self, other: &Word) -> bool {
        other == self
    }
}

impl PartialEq<Word> for &str {
    fn eq(&self, other: &Word) -> bool {
        other == *self
    }
}

impl PartialEq<Word> for String {
    fn eq(&self, other: &Word) -> bool {
        other == self.as_str()
    }
}

impl Deref for Word {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl Default for Word {
    fn default() -> Self {
        Self::new("")
    }
}

impl From<&str> for Word {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl From<String> for Word {
    fn from(text: String) -> Self {
        Self::new(&text)
    }
}

impl From<&String> for Word {
    fn from(text: &String) -> Self {
        Self::new(text)
    }
}

impl From<&Word> for Word {
    fn from(word: &Word) -> Self {
        word.clone()
    }
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.as_str(), f)
    }
}

impl fmt::Debug for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl<C> Encode<C> for Word {
    fn encode<W: Write>(&self, encoder: &mut Encoder<W>, _: &mut C) -> Result<(), EncodeError<W::Error>> {
        encoder.str(self)?.ok()
    }
}

impl<'b, C> Decode<'b, C> for Word {
    fn decode(decoder: &mut Decoder<'b>, _: &mut C) -> Result<Self, DecodeError> {
        decoder.str().map(Self::new)
    }
}

impl Serialize for Word {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self)
    }
}

impl<'de> Deserialize<'de> for Word {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn words_are_as_their_strings(
            one in "[a-b\\x00\u{e9}]{0,30}", other in "[a-b\\x00\u{e9}]{0,30}", common in "[a-b]{0,25}",
        ) {
            let longer = |text: &str| format!("{common}{text}");
            for (one, other) in [(one.clone(), other.clone()), (longer(&one), longer(&other)), (one.clone(), longer(&one))] {
                let words = (Word::new(&one), Word::new(&other));
                proptest::prop_assert_eq!(words.0.cmp(&words.1), one.cmp(&other));
                proptest::prop_assert_eq!(words.0 == words.1, one == other);
                proptest::prop_assert_eq!(words.0 == other, one == other);
                proptest::prop_assert_eq!(words.0.cmp(&Word::new(&one)), Ordering::Equal);
                proptest::prop_assert_eq!((words.0.as_str(), words.0.len()), (one.as_str(), one.len()));
                let bytes = minicbor::to_vec(&words.0).unwrap();
                proptest::prop_assert_eq!(&bytes, &minicbor::to_vec(&one).unwrap());
                proptest::prop_assert_eq!(minicbor::decode::<Word>(&bytes).unwrap(), words.0);
            }
        }
    }
}
