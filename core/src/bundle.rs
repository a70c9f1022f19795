//! Desired state by file, for a cluster that has no link: what the stream would bring, in the order in which it would.
//!
//! A bundle is a header, the frames that a stream would carry (the whole list, its head, then every release), and a
//! seal. The list is named by a head that the pinned key signed, releases by the list, manifests by the releases, so each
//! is verified by what was verified before it; the seal is the same key's word for every byte of the file. There is no
//! other secret in it. A head follows the one that the agent holds (M13), and a hub that makes a bundle does not know which
//! of the earlier bundles came through: so the header holds all heads since the last one that is known to have, each
//! following the one before.

use minicbor::{Decode, Encode};

use crate::desired::{Anchor, Signature, SignedHead, VerifyHead};
use crate::ids::{ClusterId, Digest, Generation, InstallationId};
use crate::journal::JournalBatch;
use crate::session::frame::{AgentFrame, Hello, HubFrame, StatusBatch};
use crate::time::WallTime;

/// Most heads that a bundle leads along; an agent that holds an older one brings its receipts first.
pub const CHAIN: usize = 64;

/// What a bundle is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Whose.
    pub cluster: ClusterId,
    /// Which hub made it.
    pub installation: InstallationId,
    /// Heads, each following the one before; the last one is that of the list in the bundle.
    pub chain: Vec<SignedHead>,
    /// When it was made, by the hub's clock: for people.
    pub made: WallTime,
}

/// One part of a bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// The first.
    Header(Header),
    /// What a stream would bring.
    Frame(HubFrame),
    /// The last: a signature over [`seal_bytes`].
    Seal(Signature),
}

/// Why a bundle is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImportRefused {
    /// It is another cluster's.
    #[error("this bundle is of cluster {theirs}, and this agent is that of {ours}")]
    OtherCluster {
        /// The agent's cluster.
        ours: ClusterId,
        /// The bundle's.
        theirs: ClusterId,
    },
    /// It is another hub's.
    #[error("this bundle is of installation {theirs}, and this agent belongs to {ours}")]
    OtherHub {
        /// The agent's installation.
        ours: InstallationId,
        /// The bundle's.
        theirs: InstallationId,
    },
    /// A signature is not the pinned key's.
    #[error("the signature of {0} does not verify: the bundle was changed, or another hub made it")]
    Signature(String),
    /// It is older than what the agent holds.
    #[error(
        "this bundle is older than what is here: its head is {bundle}, and {held} was accepted before; if the hub made it \
         just now, the hub was restored from a backup: bring this agent's receipts to it and export again"
    )]
    Older {
        /// The bundle's newest head.
        bundle: Generation,
        /// The agent's.
        held: Generation,
    },
    /// It has the number of the agent's head, and is of another.
    #[error(
        "this bundle is of another head {generation} than the one that is here: the hub was restored from a backup, or \
         two hubs have one key; bring this agent's receipts to it and export again"
    )]
    Forked {
        /// The number of both.
        generation: Generation,
    },
    /// It does not lead on from what the agent holds.
    #[error(
        "this bundle does not follow the head that is here: it begins at head {first}, and here is {held}; bring this \
         agent's receipts to the hub and export again"
    )]
    Unrelated {
        /// The bundle's oldest head.
        first: Generation,
        /// The agent's.
        held: Generation,
    },
    /// A stream brought another head while it was read.
    #[error(
        "a stream brought head {held} while this bundle was read: if the bundle is newer than that, import it again"
    )]
    Overtaken {
        /// The agent's head by now.
        held: Generation,
    },
    /// Its parts do not fit each other.
    #[error("this bundle is damaged: {0}")]
    Damaged(String),
}

/// What came of a bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Imported {
    /// The head that the agent holds by now.
    #[n(0)]
    pub generation: Generation,
    /// Apps in its list.
    #[n(1)]
    pub apps: u64,
    /// Whether that head and all releases of its list were here before.
    #[n(2)]
    pub already: bool,
}

/// A step of an import.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImportStep {
    /// A bundle whose seal was verified is about to be read.
    Begin(Box<Header>),
    /// The next frame of it.
    Frame(HubFrame),
    /// Everything was read.
    End,
}

/// What an agent says of itself, by file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceiptsHeader {
    /// Whose.
    pub cluster: ClusterId,
    /// The hub's installation.
    pub installation: InstallationId,
    /// When they were made, by the agent's clock.
    pub made: WallTime,
    /// The agent's certificate, whose key seals the file; DER.
    pub certificate: Vec<u8>,
}

/// One part of a file of receipts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReceiptsPart {
    /// The first.
    Header(ReceiptsHeader),
    /// What a stream would bring.
    Frame(AgentFrame),
    /// The last: a signature over [`receipts_seal_bytes`].
    Seal(Vec<u8>),
}

/// The frames of receipts, sorted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipts {
    /// What the agent is and holds.
    pub hello: Hello,
    /// Settings of the agent's own list; absent when it holds none.
    pub settings: Option<Vec<u8>>,
    /// Assignments' bytes of that list.
    pub elements: Vec<Vec<u8>>,
    /// The newest status of every app.
    pub statuses: Vec<StatusBatch>,
    /// Rows of its journal.
    pub journal: Vec<JournalBatch>,
}

/// Why receipts are not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReceiptsRefused {
    /// They are for another hub.
    #[error("these receipts are for installation {theirs}, and this hub is {ours}")]
    OtherHub {
        /// This hub's installation.
        ours: InstallationId,
        /// The receipts'.
        theirs: InstallationId,
    },
    /// Their certificate is another cluster's.
    #[error("these receipts are of cluster {theirs} by their own words, and of {ours} by their certificate")]
    OtherCluster {
        /// That of the certificate.
        ours: ClusterId,
        /// What they say.
        theirs: ClusterId,
    },
    /// The cluster is no member of this hub.
    #[error("these receipts are of cluster {cluster}, {why}")]
    NoMember {
        /// The cluster.
        cluster: ClusterId,
        /// Why it is none.
        why: &'static str,
    },
    /// The seal is not the certificate's.
    #[error("these receipts were forged or changed: {0}")]
    Forged(String),
    /// Newer words of the agent are here.
    #[error(
        "these receipts are older than what the agent has told since; an agent whose machine was put back to a snapshot \
         has to be connected once"
    )]
    Older,
    /// A stream is open.
    #[error("the agent is connected: it has told this hub itself, and later")]
    Connected,
    /// They are of another Kubernetes cluster.
    #[error(
        "these receipts are of the cluster with kube-system {other}, and this identity is that of {known}"
    )]
    Cloned {
        /// The known UID.
        known: String,
        /// The other.
        other: String,
    },
    /// No version is common.
    #[error("these receipts are of a version of the protocol that this hub does not speak")]
    Protocol,
    /// Their parts do not fit each other.
    #[error("these receipts are damaged: {0}")]
    Damaged(String),
}

// === impl Receipts ===

impl Receipts {
    /// Sorts the frames of a file; refuses what no receipts have.
    pub fn of_frames(frames: impl IntoIterator<Item = AgentFrame>) -> Result<Self, ReceiptsRefused> {
        let damaged = |why: &str| ReceiptsRefused::Damaged(why.to_owned());
        let mut frames = frames.into_iter();
        let Some(AgentFrame::Hello(hello)) = frames.next() else {
            return Err(damaged("they do not begin with who they are of"));
        };
        let mut receipts = Self {
            hello: *hello,
            settings: None,
            elements: Vec::new(),
            statuses: Vec::new(),
            journal: Vec::new(),
        };
        for frame in frames {
            match frame {
                AgentFrame::OwnList { settings, elements, last: _ } => {
                    receipts.settings = settings.or(receipts.settings);
                    receipts.elements.extend(elements);
                }
                AgentFrame::Status(batch) => receipts.statuses.push(batch),
                AgentFrame::Journal(batch) => receipts.journal.push(batch),
                AgentFrame::Hello(_)
                | AgentFrame::HeadAck { .. }
                | AgentFrame::Pull(_)
                | AgentFrame::Cancel(_)
                | AgentFrame::Credit(_)
                | AgentFrame::CommandUpdate(_)
                | AgentFrame::Facts { .. }
                | AgentFrame::Refused(_)
                | AgentFrame::Alive => return Err(damaged("a frame that no receipts have")),
            }
        }
        Ok(receipts)
    }
}

/// Gives the bytes that the seal of receipts signs.
pub fn receipts_seal_bytes(digest: Digest) -> Vec<u8> {
    let mut bytes = b"argosy receipts v1\0".to_vec();
    bytes.extend_from_slice(digest.as_bytes());
    bytes
}

/// Gives the bytes that a bundle's seal signs: a domain tag and the digest of every byte before the seal.
pub fn seal_bytes(digest: Digest) -> Vec<u8> {
    let mut bytes = b"argosy bundle v1\0".to_vec();
    bytes.extend_from_slice(digest.as_bytes());
    bytes
}

/// The digest of a file while it is written or read.
#[derive(Debug, Clone, Default)]
pub struct Sum(blake3::Hasher);

// === impl Sum ===

impl Sum {
    /// Adds bytes.
    pub fn add(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Gives the digest of everything that was added.
    pub fn digest(&self) -> Digest {
        Digest::new(*self.0.finalize().as_bytes())
    }
}

// === impl Header ===

impl Header {
    /// Checks that the bundle is for this cluster and of this hub, and that its heads are one chain of signed ones; gives
    /// the newest.
    pub fn verify(
        &self,
        cluster: ClusterId,
        installation: InstallationId,
        verifier: &dyn VerifyHead,
    ) -> Result<SignedHead, ImportRefused> {
        if self.installation != installation {
            return Err(ImportRefused::OtherHub { ours: installation, theirs: self.installation });
        }
        if self.cluster != cluster {
            return Err(ImportRefused::OtherCluster { ours: cluster, theirs: self.cluster });
        }
        let damaged = |why: &str| ImportRefused::Damaged(why.to_owned());
        let mut before: Option<SignedHead> = None;
        for signed in &self.chain {
            let head = &signed.head;
            if head.cluster != cluster {
                return Err(ImportRefused::OtherCluster { ours: cluster, theirs: head.cluster });
            }
            if !verifier.verify(&head.signed_bytes(), &signed.signature) {
                return Err(ImportRefused::Signature(format!("head {}", head.generation)));
            }
            if before.is_some_and(|before| {
                before.head.hash() != head.previous || before.head.generation >= head.generation
            }) {
                return Err(damaged("its heads do not follow each other"));
            }
            before = Some(*signed);
        }
        before.filter(|_| self.chain.len() <= CHAIN).ok_or_else(|| damaged("it has no heads, or too many"))
    }

    /// Tells whether the bundle begins with a head that follows none.
    pub fn begins(&self) -> bool {
        self.chain.first().is_some_and(|first| first.head.previous == Digest::ZERO)
    }

    /// Tells whether the bundle leads on from a head: from one of its own, or from the one that its first follows.
    pub fn follows(&self, position: &Anchor) -> bool {
        let first = self.chain.first().is_some_and(|first| first.head.previous == position.hash);
        first || self.chain.iter().any(|signed| Anchor::of(&signed.head) == *position)
    }
}
