//! The join string: all that a new agent must know, in one word that survives copying.
//!
//! `argosy1.` and then base64url of a CBOR map with a checksum behind it. It carries a one-time token, so it is a secret
//! until it is used; what it pins (the authority's fingerprint, the head-signing key) makes the first contact as safe as
//! every later one. Fields that a later version adds are skipped.

use std::fmt;
use std::str::FromStr;

use argosy_core::ids::{ClusterId, InstallationId, RejoinSerial};
use argosy_core::time::Entropy;
use minicbor::{Decode, Encode};

use crate::pki::{Fingerprint, HeadVerifier};

/// What a join string of this version starts with.
const PREFIX: &str = "argosy1.";

/// Longest join string that is read.
const MAX_LEN: usize = 8 * 1024;

/// Most addresses in a join string.
const MAX_ADDRESSES: usize = 16;

/// Length of the checksum behind the map.
const CHECKSUM_LEN: usize = 4;

/// Domain of the hash of a token.
const TOKEN_DOMAIN: &str = "argosy join token v1";

/// All that a new agent must know.
#[derive(Debug, Clone, PartialEq)]
pub struct JoinString {
    /// Where the hub listens: `HOST:PORT`, in the order to try them.
    pub addresses: Vec<String>,
    /// The name to verify the server by, where it is not the host of the address.
    pub server_name: Option<String>,
    /// The authority's fingerprint.
    pub authority: Fingerprint,
    /// The key that signs heads.
    pub head_key: HeadVerifier,
    /// The hub's installation.
    pub installation: InstallationId,
    /// The cluster's UUID.
    pub cluster: ClusterId,
    /// The cluster's name in the registry.
    pub cluster_name: String,
    /// The one-time token.
    pub token: JoinToken,
    /// Grows with each time the cluster is asked to join again; zero the first time.
    pub rejoin_serial: RejoinSerial,
}

/// A one-time secret of 256 bits. It is neither shown nor compared; its hash is.
#[derive(Clone, Encode, Decode)]
#[cbor(transparent)]
pub struct JoinToken(#[cbor(n(0), with = "minicbor::bytes")] [u8; 32]);

/// The hash of a token: all of it that a hub keeps. Comparisons take the same time whatever they find.
#[derive(Clone, Copy, Encode, Decode)]
#[cbor(transparent)]
pub struct TokenHash(#[cbor(n(0), with = "minicbor::bytes")] [u8; 32]);

/// Text that is no join string.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseJoinError {
    /// It starts otherwise.
    #[error("not a join string: it must start with {PREFIX:?}, as `argosy cluster add` prints it")]
    Prefix,
    /// It is of a version that this program does not know.
    #[error("this join string is of version {version:?}; this program knows version 1")]
    Version {
        /// The version.
        version: String,
    },
    /// It is too long.
    #[error("a join string has at most {MAX_LEN} characters")]
    TooLong,
    /// It lost or changed characters on its way.
    #[error("the join string is damaged; was all of it copied?")]
    Damaged,
    /// A field is not what it must be.
    #[error("the join string is not sound: {why}")]
    Field {
        /// Which field, and what is wrong with it.
        why: String,
    },
}

/// The join string as it is encoded.
#[derive(Encode, Decode)]
#[cbor(map)]
struct Encoded {
    #[n(0)]
    addresses: Vec<String>,
    #[n(1)]
    server_name: Option<String>,
    #[n(2)]
    authority: Fingerprint,
    #[cbor(n(3), with = "minicbor::bytes")]
    head_key: [u8; 32],
    #[n(4)]
    installation: InstallationId,
    #[n(5)]
    cluster: ClusterId,
    #[n(6)]
    cluster_name: String,
    #[n(7)]
    token: JoinToken,
    #[n(8)]
    rejoin_serial: RejoinSerial,
}

// === impl JoinString ===

impl JoinString {
    /// Gives the text. It holds the token: for the operator's eyes and the agent's command line only.
    pub fn reveal(&self) -> Result<String, ParseJoinError> {
        let encoded = Encoded {
            addresses: self.addresses.clone(),
            server_name: self.server_name.clone(),
            authority: self.authority,
            head_key: *self.head_key.as_bytes(),
            installation: self.installation,
            cluster: self.cluster,
            cluster_name: self.cluster_name.clone(),
            token: self.token.clone(),
            rejoin_serial: self.rejoin_serial,
        };
        let mut bytes = minicbor::to_vec(&encoded).map_err(|error| field(error.to_string()))?;
        let checksum = checksum(&bytes);
        bytes.extend_from_slice(&checksum);
        let text = format!("{PREFIX}{}", data_encoding::BASE64URL_NOPAD.encode(&bytes));
        // What is given out must be readable where it goes.
        text.parse::<Self>()?;
        Ok(text)
    }
}

impl FromStr for JoinString {
    type Err = ParseJoinError;

    fn from_str(text: &str) -> Result<Self, ParseJoinError> {
        let text = text.trim();
        if text.len() > MAX_LEN {
            return Err(ParseJoinError::TooLong);
        }
        let payload = text.strip_prefix(PREFIX).ok_or_else(|| other_version(text))?;
        let bytes = data_encoding::BASE64URL_NOPAD
            .decode(payload.as_bytes())
            .map_err(|_not_base64| ParseJoinError::Damaged)?;
        let (map, sum) = bytes.split_last_chunk::<CHECKSUM_LEN>().ok_or(ParseJoinError::Damaged)?;
        if checksum(map) != *sum {
            return Err(ParseJoinError::Damaged);
        }
        let encoded: Encoded = minicbor::decode(map).map_err(|error| field(error.to_string()))?;
        if encoded.addresses.is_empty() || encoded.addresses.len() > MAX_ADDRESSES {
            return Err(field(format!("it must have 1 to {MAX_ADDRESSES} addresses")));
        }
        for address in &encoded.addresses {
            check_address(address)?;
        }
        check_name(&encoded.cluster_name)?;
        Ok(Self {
            addresses: encoded.addresses,
            server_name: encoded.server_name,
            authority: encoded.authority,
            head_key: HeadVerifier::new(encoded.head_key),
            installation: encoded.installation,
            cluster: encoded.cluster,
            cluster_name: encoded.cluster_name,
            token: encoded.token,
            rejoin_serial: encoded.rejoin_serial,
        })
    }
}

// === impl JoinToken ===

impl JoinToken {
    /// Makes a new one.
    pub fn generate(entropy: &mut dyn Entropy) -> Self {
        let mut bytes = [0; 32];
        entropy.fill(&mut bytes);
        Self(bytes)
    }

    /// Takes the bytes as they came.
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Gives the bytes, to be sent to the hub and nowhere else.
    pub const fn reveal(&self) -> &[u8; 32] {
        &self.0
    }

    /// Gives the hash.
    pub fn hash(&self) -> TokenHash {
        TokenHash(blake3::derive_key(TOKEN_DOMAIN, &self.0))
    }
}

impl fmt::Debug for JoinToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JoinToken(..)")
    }
}

impl PartialEq for JoinToken {
    fn eq(&self, other: &Self) -> bool {
        self.hash() == other.hash()
    }
}

impl Eq for JoinToken {}

// === impl TokenHash ===

impl TokenHash {
    /// Takes the bytes as they were kept.
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Gives the bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenHash(..)")
    }
}

impl PartialEq for TokenHash {
    fn eq(&self, other: &Self) -> bool {
        // blake3 compares in constant time.
        blake3::Hash::from_bytes(self.0) == blake3::Hash::from_bytes(other.0)
    }
}

impl Eq for TokenHash {}

fn other_version(text: &str) -> ParseJoinError {
    match text.strip_prefix("argosy").and_then(|rest| rest.split_once('.')) {
        Some((version, _)) if !version.is_empty() && version.bytes().all(|b| b.is_ascii_digit()) => {
            ParseJoinError::Version { version: version.to_owned() }
        }
        Some(_) | None => ParseJoinError::Prefix,
    }
}

fn checksum(bytes: &[u8]) -> [u8; CHECKSUM_LEN] {
    blake3::hash(bytes).as_bytes().first_chunk().copied().unwrap_or_default()
}

fn field(why: String) -> ParseJoinError {
    ParseJoinError::Field { why }
}

fn check_address(address: &str) -> Result<(), ParseJoinError> {
    let sound = address.rsplit_once(':').is_some_and(|(host, port)| {
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let host_is_sound = match bare {
            Some(bare) => bare.parse::<std::net::Ipv6Addr>().is_ok(),
            None => {
                !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b))
            }
        };
        host_is_sound && port.parse::<u16>().is_ok_and(|port| port != 0)
    });
    if sound { Ok(()) } else { Err(field(format!("{address:?} is no address: expected HOST:PORT"))) }
}

fn check_name(name: &str) -> Result<(), ParseJoinError> {
    let sound = (1..=253).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-.".contains(&b));
    if sound { Ok(()) } else { Err(field(format!("{name:?} is no name of a cluster"))) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::SystemEntropy;

    fn join() -> JoinString {
        JoinString {
            addresses: vec![
                "hub.example:8443".to_owned(),
                "[2001:db8::1]:8443".to_owned(),
                "10.0.0.1:1".to_owned(),
            ],
            server_name: Some("hub.example".to_owned()),
            authority: Fingerprint::new([1; 32]),
            head_key: HeadVerifier::new([2; 32]),
            installation: InstallationId::from_random([3; 16]),
            cluster: ClusterId::from_random([4; 16]),
            cluster_name: "edge-1".to_owned(),
            token: JoinToken::generate(&mut SystemEntropy),
            rejoin_serial: RejoinSerial(7),
        }
    }

    #[test]
    fn a_join_string_is_one_word_that_reads_back() {
        let join = join();
        let text = join.reveal().unwrap();
        assert!(text.starts_with("argosy1.") && !text.contains(char::is_whitespace));
        assert!(text.len() < 400, "{}", text.len());
        assert_eq!(format!("\n{text} ").parse::<JoinString>().unwrap(), join);
    }

    #[test]
    fn every_lost_or_changed_character_is_noticed() {
        let text = join().reveal().unwrap();
        for at in PREFIX.len()..text.len() {
            let changed = if text.as_bytes()[at] == b'A' { "B" } else { "A" };
            let mut bad = text.clone();
            bad.replace_range(at..=at, changed);
            assert_eq!(bad.parse::<JoinString>(), Err(ParseJoinError::Damaged), "changed at {at}");
            assert_eq!(text[..at].parse::<JoinString>(), Err(ParseJoinError::Damaged), "cut at {at}");
        }
    }

    #[test]
    fn other_text_is_refused_with_a_reason() {
        let parse = |text: &str| text.parse::<JoinString>().unwrap_err();
        assert_eq!(parse("hello"), ParseJoinError::Prefix);
        assert_eq!(parse("argosyX.abc"), ParseJoinError::Prefix);
        assert_eq!(parse("argosy2.abc"), ParseJoinError::Version { version: "2".to_owned() });
        assert_eq!(parse(&format!("argosy1.{}", "A".repeat(9000))), ParseJoinError::TooLong);
    }

    #[test]
    fn a_join_string_that_leads_nowhere_is_never_given_out() {
        for (addresses, name, says) in [
            (vec![], "edge", "1 to 16 addresses"),
            (vec!["hub.example"], "edge", "expected HOST:PORT"),
            (vec!["hub.example:0"], "edge", "expected HOST:PORT"),
            (vec!["::1:8443"], "edge", "expected HOST:PORT"),
            (vec!["hub:1"], "Edge 1", "no name of a cluster"),
        ] {
            let addresses = addresses.into_iter().map(str::to_owned).collect();
            let join = JoinString { addresses, cluster_name: name.to_owned(), ..join() };
            let error = join.reveal().unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }

    #[test]
    fn a_token_is_compared_by_its_hash_and_never_shown() {
        let join = join();
        let (token, other) = (&join.token, JoinToken::generate(&mut SystemEntropy));
        assert_eq!(JoinToken::new(*token.reveal()).hash(), token.hash());
        assert_ne!(other.hash(), token.hash());
        assert_ne!(token.hash().as_bytes(), token.reveal());
        let shown = format!("{join:?} {:?}", token.hash());
        assert!(shown.contains("JoinToken(..)") && shown.contains("TokenHash(..)"));
        let kept = minicbor::to_vec(token.hash()).unwrap();
        assert_eq!(minicbor::decode::<TokenHash>(&kept).unwrap(), token.hash());
    }
}
