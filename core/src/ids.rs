//! Names of things: digests, clusters, applications, epochs and numbers.
//!
//! Every identifier is a type of its own, so that a generation is never compared with a sequence number and a cluster
//! never named where an application is meant.

use std::fmt;
use std::str::FromStr;

use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

use crate::word::Word;

/// Text that is not what it should be: an identifier, a digest, a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} {text:?}: {why}")]
pub struct ParseIdError {
    /// What was to be read.
    pub what: &'static str,
    /// The text as given.
    pub text: String,
    /// What is wrong with it.
    pub why: &'static str,
}

macro_rules! bytes_id {
    ($(#[$doc:meta])* $name:ident, $len:literal, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, Default)]
        #[cbor(transparent)]
        pub struct $name(#[cbor(n(0), with = "minicbor::bytes")] [u8; $len]);

        impl $name {
            /// Length in bytes.
            pub const LEN: usize = $len;
            /// Takes the bytes as they are.
            pub const fn new(bytes: [u8; $len]) -> Self {
                Self(bytes)
            }
            /// Gives the bytes.
            pub const fn as_bytes(&self) -> &[u8; $len] {
                &self.0
            }
            /// Reads exactly the right number of bytes; `None` otherwise.
            pub fn from_slice(bytes: &[u8]) -> Option<Self> {
                <[u8; $len]>::try_from(bytes).ok().map(Self)
            }
            /// Gives the first 12 hexadecimal digits: enough for a person to tell two apart.
            pub fn short(&self) -> String {
                let mut hex = data_encoding::HEXLOWER.encode(&self.0);
                hex.truncate(12);
                hex
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&data_encoding::HEXLOWER.encode(&self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.short())
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                let error = |why| ParseIdError { what: $what, text: text.to_owned(), why };
                let bytes = data_encoding::HEXLOWER_PERMISSIVE
                    .decode(text.as_bytes())
                    .map_err(|_not_hex| error("not hexadecimal"))?;
                Self::from_slice(&bytes).ok_or_else(|| error("wrong length"))
            }
        }

        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

bytes_id!(
    /// BLAKE3-256 of some bytes: names a manifest, a release root, a list root, a head or a plan.
    Digest, 32, "digest"
);
bytes_id!(
    /// Random name of one unbroken chain of a cluster's heads (M14).
    Epoch, 16, "epoch"
);
bytes_id!(
    /// Random name of one life of an agent's store: sequence numbers of two incarnations do not compare (M23).
    Incarnation, 16, "incarnation"
);
bytes_id!(
    /// Random name of an operator's command; durable at the agent before any effect.
    CommandId, 16, "command"
);
bytes_id!(
    /// Random name of one deletion of an app from a cluster (M6).
    DeletionId, 16, "deletion"
);
bytes_id!(
    /// Random name of one unbroken chain of a cluster's journal rows.
    JournalId, 16, "journal"
);
bytes_id!(
    /// Random name of a machine's boot: elapsed times of two boots do not compare.
    BootId, 16, "boot"
);

impl Digest {
    /// All zeros: the "head before" of a very first head (M13).
    pub const ZERO: Self = Self([0; 32]);

    /// Hashes `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }

    /// Hashes a domain tag and then length-framed parts, so that no two sequences of parts share an input.
    pub fn of_parts<'a>(domain: &str, parts: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&(domain.len() as u64).to_le_bytes());
        hasher.update(domain.as_bytes());
        for part in parts {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
        Self(*hasher.finalize().as_bytes())
    }
}

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
        #[cbor(transparent)]
        pub struct $name(#[cbor(n(0), with = "minicbor::bytes")] [u8; 16]);

        impl $name {
            /// Makes a random (version 4) UUID of 16 random bytes.
            pub const fn from_random(mut bytes: [u8; 16]) -> Self {
                bytes[6] = (bytes[6] & 0x0f) | 0x40;
                bytes[8] = (bytes[8] & 0x3f) | 0x80;
                Self(bytes)
            }
            /// Takes the bytes as they are.
            pub const fn new(bytes: [u8; 16]) -> Self {
                Self(bytes)
            }
            /// Gives the bytes.
            pub const fn as_bytes(&self) -> &[u8; 16] {
                &self.0
            }
            /// Reads exactly 16 bytes; `None` otherwise.
            pub fn from_slice(bytes: &[u8]) -> Option<Self> {
                <[u8; 16]>::try_from(bytes).ok().map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let hex = data_encoding::HEXLOWER.encode(&self.0);
                let part = |from, to| hex.get(from..to).unwrap_or_default();
                write!(f, "{}-{}-{}-{}-{}", part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                let error = |why| ParseIdError { what: $what, text: text.to_owned(), why };
                let groups: Vec<usize> = text.split('-').map(str::len).collect();
                if groups != [8, 4, 4, 4, 12] {
                    return Err(error("not in the form 8-4-4-4-12"));
                }
                let bytes = data_encoding::HEXLOWER
                    .decode(text.replace('-', "").as_bytes())
                    .map_err(|_not_hex| error("not lower-case hexadecimal"))?;
                Self::from_slice(&bytes).ok_or_else(|| error("wrong length"))
            }
        }

        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

uuid_id!(
    /// A cluster's UUID, as in its certificate (M1). A cluster that is revoked and added again is a new one.
    ClusterId, "cluster UUID"
);
uuid_id!(
    /// A hub's installation id, kept with its CA; part of tracking metadata, so two hubs never share an object (M1).
    InstallationId, "installation id"
);

/// Number of a cluster's head; only grows.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Encode, Decode, Serialize, Deserialize,
)]
#[cbor(transparent)]
#[serde(transparent)]
pub struct Generation(#[n(0)] pub u64);

impl Generation {
    /// Gives the number after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// Which of a cluster's joins an identity came from: it grows with each `argosy cluster add NAME --rejoin`, and what an
/// older one gave is revoked (M23). Zero is the first.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Encode, Decode, Serialize, Deserialize,
)]
#[cbor(transparent)]
#[serde(transparent)]
pub struct RejoinSerial(#[n(0)] pub u64);

impl RejoinSerial {
    /// Gives the one after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for RejoinSerial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// An application: namespace and name of its `Application` document (M1).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct AppId {
    /// Namespace of the document; `argocd` where the document gives none.
    #[n(0)]
    pub namespace: Word,
    /// Name of the document.
    #[n(1)]
    pub name: Word,
}

impl AppId {
    /// The namespace of an `Application` that states none.
    pub const DEFAULT_NAMESPACE: &'static str = "argocd";

    /// Makes an id; an empty namespace is the default one.
    pub fn new(namespace: impl Into<Word>, name: impl Into<Word>) -> Self {
        let namespace = namespace.into();
        let namespace = if namespace.is_empty() { Self::DEFAULT_NAMESPACE.into() } else { namespace };
        Self { namespace, name: name.into() }
    }

    /// Gives the instance name of tracking metadata: the app's name, with `<namespace>_` before it when the namespace
    /// is not the default one (Argo CD: resource tracking).
    pub fn instance(&self) -> String {
        if self.namespace == Self::DEFAULT_NAMESPACE {
            self.name.to_string()
        } else {
            format!("{}_{}", self.namespace, self.name)
        }
    }

    /// Reads an instance name of tracking metadata.
    pub fn from_instance(instance: &str) -> Self {
        match instance.split_once('_') {
            Some((namespace, name)) => Self::new(namespace, name),
            None => Self::new("", instance),
        }
    }
}

impl fmt::Display for AppId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

impl fmt::Debug for AppId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for AppId {
    type Err = ParseIdError;

    /// Reads `name` or `namespace/name`.
    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        let (namespace, name) = text.split_once('/').unwrap_or(("", text));
        if name.is_empty() || name.contains('/') {
            return Err(ParseIdError {
                what: "app",
                text: text.to_owned(),
                why: "expected NAME or NAMESPACE/NAME",
            });
        }
        Ok(Self::new(namespace, name))
    }
}

impl Serialize for AppId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_read_back_what_they_print() {
        let cluster = ClusterId::from_random([0xab; 16]);
        assert_eq!(cluster.to_string(), "abababab-abab-4bab-abab-abababababab");
        assert_eq!(cluster.to_string().parse::<ClusterId>().unwrap(), cluster);
        let digest = Digest::of(b"x");
        assert_eq!(digest.to_string().parse::<Digest>().unwrap(), digest);
        assert!("abc".parse::<Digest>().unwrap_err().to_string().contains("digest \"abc\""));
        assert!("ABABABAB-ABAB-4BAB-ABAB-ABABABABABAB".parse::<ClusterId>().is_err());
    }

    #[test]
    fn an_app_is_named_with_or_without_its_namespace() {
        assert_eq!("web".parse::<AppId>().unwrap(), AppId::new("argocd", "web"));
        assert_eq!("team/web".parse::<AppId>().unwrap().instance(), "team_web");
        assert_eq!(AppId::from_instance("team_web"), AppId::new("team", "web"));
        assert_eq!(AppId::from_instance("web").instance(), "web");
        assert!("a/b/c".parse::<AppId>().is_err());
    }

    #[test]
    fn framed_parts_never_collide() {
        let a = Digest::of_parts("t", [b"ab".as_slice(), b"c".as_slice()]);
        let b = Digest::of_parts("t", [b"a".as_slice(), b"bc".as_slice()]);
        assert_ne!(a, b);
    }

    #[test]
    fn identifiers_are_plain_bytes_in_cbor() {
        let digest = Digest::of(b"x");
        let bytes = minicbor::to_vec(digest).unwrap();
        assert_eq!(bytes.len(), 34);
        assert_eq!(minicbor::decode::<Digest>(&bytes).unwrap(), digest);
    }
}
