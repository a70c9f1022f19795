//! Desired state of a cluster: assignments in a list, and the signed chain of heads that name it.
//!
//! Rules M4, M6, M12, M13. An assignment travels and is stored as opaque bytes; the list's root hashes those bytes, so
//! what a version does not know survives it.

use std::collections::BTreeMap;

use minicbor::{Decode, Encode};

use crate::compare::IgnoreRule;
use crate::ids::{AppId, ClusterId, DeletionId, Digest, Epoch, Generation, InstallationId};
use crate::key::ResourceKey;
use crate::policy::{ProjectLimits, SyncPolicy};
use crate::release::Root;
use crate::store::encode;

/// Where an application goes, as its document says it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Encode, Decode)]
pub struct Destination {
    /// Namespace of objects that name none.
    #[n(0)]
    pub namespace: String,
    /// The cluster's name in the registry.
    #[n(1)]
    pub cluster: String,
    /// The server's URL, where the document names one.
    #[n(2)]
    pub server: String,
}

/// What an agent does with an application that it is assigned (M6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Encode, Decode)]
#[cbor(index_only)]
pub enum Phase {
    /// Delivers and enforces it.
    #[default]
    #[n(0)]
    Active,
    /// The document is refused or unreadable: nothing new, no deletes, heals only.
    #[n(1)]
    Frozen,
    /// Lets go of its objects, which stay.
    #[n(2)]
    Released,
    /// Deletes its objects; the listing ends when none remains.
    #[n(3)]
    Deleting,
}

/// One application on one cluster: its release and everything the agent needs to enforce it with no hub (M4).
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Assignment {
    /// Which application.
    #[n(0)]
    pub app: AppId,
    /// Its release.
    #[n(1)]
    pub root: Root,
    /// Where it goes.
    #[n(2)]
    pub destination: Destination,
    /// How it syncs.
    #[n(3)]
    pub policy: SyncPolicy,
    /// What its project permits.
    #[n(4)]
    pub limits: ProjectLimits,
    /// What the agent does with it.
    #[n(5)]
    pub phase: Phase,
    /// Keys, in the destination's namespace where the manifest names none, that nobody may delete because an object may be on its way to an app that fails (M5).
    #[n(6)]
    pub held: Vec<ResourceKey>,
    /// A deletion that an operator ordered, which confirms all but Namespaces and claims (M22).
    #[n(7)]
    pub cascade_confirmed: bool,
    /// Names one deletion: the report that nothing remains counts for this one alone (M6).
    #[n(8)]
    pub deletion: Option<DeletionId>,
    /// What is not compared of its objects.
    #[n(9)]
    #[cbor(with = "crate::later", has_nil)]
    pub ignore: Vec<IgnoreRule>,
}

impl Assignment {
    /// Gives the assignment's bytes, as they travel.
    pub fn to_bytes(&self) -> Vec<u8> {
        encode(self)
    }

    /// Hashes an assignment's bytes.
    pub fn digest_of(bytes: &[u8]) -> Digest {
        Digest::of_parts("argosy assignment v1", [bytes])
    }
}

/// What holds for the whole list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct ListSettings {
    /// The hub's installation.
    #[n(0)]
    pub installation: InstallationId,
    /// Holds every delete of the cluster until an operator has reconciled hub and agent (M14).
    #[n(1)]
    pub hold_deletes: bool,
}

/// A list that is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ListError {
    /// An element does not decode.
    #[error("assignment does not decode: {0}")]
    Undecodable(String),
    /// The settings do not decode.
    #[error("settings of the list do not decode: {0}")]
    Settings(String),
    /// Two elements name one app.
    #[error("app {0} is listed twice")]
    Twice(AppId),
}

/// All assignments of a cluster, by app, as bytes and as read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DesiredList {
    settings: ListSettings,
    settings_bytes: Vec<u8>,
    elements: BTreeMap<AppId, ListElement>,
}

/// One element of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListElement {
    /// As it travels.
    pub bytes: Vec<u8>,
    /// As read.
    pub assignment: Assignment,
}

impl DesiredList {
    /// Makes an empty list.
    pub fn empty(settings: ListSettings) -> Self {
        Self { settings, settings_bytes: encode(&settings), elements: BTreeMap::new() }
    }

    /// Makes a list of assignments.
    pub fn build(settings: ListSettings, assignments: impl IntoIterator<Item = Assignment>) -> Self {
        let mut list = Self::empty(settings);
        for assignment in assignments {
            list.set(assignment);
        }
        list
    }

    /// Reads a list from its bytes.
    pub fn from_parts(
        settings_bytes: Vec<u8>,
        elements: impl IntoIterator<Item = Vec<u8>>,
    ) -> Result<Self, ListError> {
        let settings =
            minicbor::decode(&settings_bytes).map_err(|error| ListError::Settings(error.to_string()))?;
        let mut list = Self { settings, settings_bytes, elements: BTreeMap::new() };
        for bytes in elements {
            let element = Self::read(bytes)?;
            let app = element.assignment.app.clone();
            if list.elements.insert(app.clone(), element).is_some() {
                return Err(ListError::Twice(app));
            }
        }
        Ok(list)
    }

    fn read(bytes: Vec<u8>) -> Result<ListElement, ListError> {
        let assignment: Assignment =
            minicbor::decode(&bytes).map_err(|error| ListError::Undecodable(error.to_string()))?;
        Ok(ListElement { bytes, assignment })
    }

    /// Sets one assignment.
    pub fn set(&mut self, assignment: Assignment) {
        let bytes = assignment.to_bytes();
        self.elements.insert(assignment.app.clone(), ListElement { bytes, assignment });
    }

    /// Sets one assignment from its bytes.
    pub fn set_bytes(&mut self, bytes: Vec<u8>) -> Result<AppId, ListError> {
        let element = Self::read(bytes)?;
        let app = element.assignment.app.clone();
        self.elements.insert(app.clone(), element);
        Ok(app)
    }

    /// Takes an app off the list.
    pub fn remove(&mut self, app: &AppId) -> Option<ListElement> {
        self.elements.remove(app)
    }

    /// Gives what holds for the whole list.
    pub fn settings(&self) -> ListSettings {
        self.settings
    }

    /// Gives the settings' bytes.
    pub fn settings_bytes(&self) -> &[u8] {
        &self.settings_bytes
    }

    /// Changes the settings.
    pub fn set_settings(&mut self, settings: ListSettings) {
        self.settings = settings;
        self.settings_bytes = encode(&settings);
    }

    /// Changes the settings to bytes as they travelled.
    pub fn set_settings_bytes(&mut self, bytes: Vec<u8>) -> Result<(), ListError> {
        self.settings = minicbor::decode(&bytes).map_err(|error| ListError::Settings(error.to_string()))?;
        self.settings_bytes = bytes;
        Ok(())
    }

    /// Gives the elements, by app.
    pub fn elements(&self) -> &BTreeMap<AppId, ListElement> {
        &self.elements
    }

    /// Gives one app's assignment.
    pub fn get(&self, app: &AppId) -> Option<&Assignment> {
        self.elements.get(app).map(|element| &element.assignment)
    }

    /// Hashes the list: settings, then the assignments' bytes by app (M12).
    pub fn root(&self) -> Digest {
        let elements = self.elements.values().map(|element| element.bytes.as_slice());
        Digest::of_parts("argosy list v1", std::iter::once(self.settings_bytes.as_slice()).chain(elements))
    }
}

/// What a head says: which list a cluster should run, after which head (M13).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Head {
    /// Whose.
    #[n(0)]
    pub cluster: ClusterId,
    /// Which chain.
    #[n(1)]
    pub epoch: Epoch,
    /// Its number; only grows.
    #[n(2)]
    pub generation: Generation,
    /// Root of the list.
    #[n(3)]
    pub list_root: Digest,
    /// Hash of the head that the agent held; zeros at the very first.
    #[n(4)]
    pub previous: Digest,
}

impl Head {
    /// Gives the bytes that are signed: a domain tag and every field.
    pub fn signed_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(160);
        bytes.extend_from_slice(b"argosy head v1\0");
        bytes.extend_from_slice(self.cluster.as_bytes());
        bytes.extend_from_slice(self.epoch.as_bytes());
        bytes.extend_from_slice(&self.generation.0.to_be_bytes());
        bytes.extend_from_slice(self.list_root.as_bytes());
        bytes.extend_from_slice(self.previous.as_bytes());
        bytes
    }

    /// Gives the head's hash, which the next head names.
    pub fn hash(&self) -> Digest {
        Digest::of_parts("argosy head hash v1", [self.signed_bytes().as_slice()])
    }
}

/// Ed25519 signature over [`Head::signed_bytes`].
#[derive(Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(transparent)]
pub struct Signature(#[cbor(n(0), with = "minicbor::bytes")] pub [u8; 64]);

impl std::fmt::Debug for Signature {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Signature(..)")
    }
}

/// A head with its signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct SignedHead {
    /// What it says.
    #[n(0)]
    pub head: Head,
    /// The hub's word for it.
    #[n(1)]
    pub signature: Signature,
}

/// Where an agent's chain stands, kept beside its store: a store below it was rolled back (M23).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Anchor {
    /// Which chain.
    #[n(0)]
    pub epoch: Epoch,
    /// The newest number that was accepted.
    #[n(1)]
    pub generation: Generation,
    /// Hash of that head.
    #[n(2)]
    pub hash: Digest,
}

impl Anchor {
    /// Gives the anchor of a head.
    pub fn of(head: &Head) -> Self {
        Self { epoch: head.epoch, generation: head.generation, hash: head.hash() }
    }
}

/// Signs heads, with a key kept apart from the TLS keys.
pub trait SignHead {
    /// Signs the bytes of a head.
    fn sign(&self, bytes: &[u8]) -> Signature;
}

/// Verifies heads against the pinned key.
pub trait VerifyHead {
    /// Tells whether the signature is the pinned key's over `bytes`.
    fn verify(&self, bytes: &[u8], signature: &Signature) -> bool;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> ListSettings {
        ListSettings { installation: InstallationId::from_random([1; 16]), hold_deletes: false }
    }

    fn assignment(name: &str) -> Assignment {
        Assignment {
            app: AppId::new("", name),
            root: Root(Digest::of(name.as_bytes())),
            destination: Destination::default(),
            policy: SyncPolicy::default(),
            limits: ProjectLimits::default(),
            phase: Phase::Active,
            held: Vec::new(),
            cascade_confirmed: false,
            deletion: None,
            ignore: Vec::new(),
        }
    }

    #[test]
    fn a_list_is_read_back_with_the_same_root() {
        let list = DesiredList::build(settings(), [assignment("b"), assignment("a")]);
        let elements = list.elements().values().map(|element| element.bytes.clone());
        let read = DesiredList::from_parts(list.settings_bytes().to_vec(), elements).unwrap();
        assert_eq!(read, list);
        assert_eq!(read.root(), list.root());
    }

    #[test]
    fn every_field_of_a_list_is_in_its_root() {
        let list = DesiredList::build(settings(), [assignment("a")]);
        let mut held = list.clone();
        held.set_settings(ListSettings { hold_deletes: true, ..settings() });
        assert_ne!(list.root(), held.root());
        let mut frozen = list.clone();
        frozen.set(Assignment { phase: Phase::Frozen, ..assignment("a") });
        assert_ne!(list.root(), frozen.root());
    }

    #[test]
    fn one_app_twice_is_refused() {
        let bytes = assignment("a").to_bytes();
        let error = DesiredList::from_parts(encode(&settings()), [bytes.clone(), bytes]).unwrap_err();
        assert_eq!(error, ListError::Twice(AppId::new("", "a")));
    }

    #[test]
    fn a_heads_hash_covers_every_field() {
        let head = Head {
            cluster: ClusterId::from_random([1; 16]),
            epoch: Epoch::new([2; 16]),
            generation: Generation(3),
            list_root: Digest::of(b"list"),
            previous: Digest::ZERO,
        };
        for other in [
            Head { cluster: ClusterId::from_random([9; 16]), ..head },
            Head { epoch: Epoch::new([9; 16]), ..head },
            Head { generation: Generation(4), ..head },
            Head { list_root: Digest::of(b"other"), ..head },
            Head { previous: Digest::of(b"other"), ..head },
        ] {
            assert_ne!(other.hash(), head.hash());
        }
    }
}
