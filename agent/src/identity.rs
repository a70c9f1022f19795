//! What the agent is: identity, pins and anchor, beside the store and not in it (M23).

use std::path::{Path, PathBuf};

use argosy_core::desired::Anchor;
use argosy_core::ids::{ClusterId, InstallationId, RejoinSerial};
use argosy_core::pause::PauseOrder;
use argosy_core::store::encode;
use argosy_core::time::{Entropy as _, Now};
use argosy_runtime::entropy::SystemEntropy;
use argosy_runtime::files::{self, FileError};
use argosy_runtime::pki::{HeadVerifier, Identity, PkiError, TrustAnchor};
use minicbor::{Decode, Encode};

/// The folder of an agent.
#[derive(Debug, Clone)]
pub struct Folder {
    root: PathBuf,
}

/// What an agent that enrolled knows of itself and its hub.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct Enrolment {
    /// Its cluster.
    #[n(0)]
    pub cluster: ClusterId,
    /// The cluster's name in the registry.
    #[n(1)]
    pub cluster_name: String,
    /// The hub's installation.
    #[n(2)]
    pub installation: InstallationId,
    /// Where the hub listens.
    #[n(3)]
    pub addresses: Vec<String>,
    /// The name to verify the hub by, where it is not the host of the address.
    #[n(4)]
    pub server_name: Option<String>,
    /// The pinned key that signs heads.
    #[cbor(n(5), with = "minicbor::bytes")]
    pub head_key: [u8; 32],
    /// UID of kube-system: the cluster that this agent belongs to.
    #[n(6)]
    pub kube_system_uid: String,
    /// Which join this was.
    #[n(7)]
    pub rejoin_serial: RejoinSerial,
    /// Name of this installation of the agent, for its Lease.
    #[cbor(n(8), with = "minicbor::bytes")]
    pub instance: [u8; 16],
}

/// Everything of an enrolled agent.
#[derive(Debug, Clone)]
pub struct Enrolled {
    /// What it knows.
    pub enrolment: Enrolment,
    /// Its certificate and key.
    pub identity: Identity,
    /// The pinned CA.
    pub authority: TrustAnchor,
    /// Where its chain stands.
    pub anchor: Option<Anchor>,
}

/// The identity cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// A file cannot be read or written.
    #[error("cannot use the agent's folder")]
    File(#[from] FileError),
    /// A certificate or key is of no use.
    #[error("cannot use the agent's certificate")]
    Pki(#[from] PkiError),
    /// A file does not decode.
    #[error("{file} does not decode: {why}; restore the folder or enrol again in a new one")]
    Undecodable {
        /// Which.
        file: PathBuf,
        /// The decoder's words.
        why: String,
    },
    /// A file is missing beside others that are there.
    #[error("{0} is missing beside an enrolment; restore the folder or enrol again in a new one")]
    Missing(PathBuf),
}

impl Folder {
    /// Opens a folder, made private if it is not there.
    pub fn open(root: &Path) -> Result<Self, FileError> {
        files::create_private_dir(root)?;
        files::create_private_dir(&root.join("identity"))?;
        Ok(Self { root: root.to_owned() })
    }

    /// Names a folder without touching it.
    pub fn at(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// Gives the store's file.
    pub fn store(&self) -> PathBuf {
        self.root.join("store.redb")
    }

    /// Gives the control socket.
    pub fn socket(&self) -> PathBuf {
        self.root.join("agent.sock")
    }

    /// Gives the file in which a bundle is kept while it is read.
    pub fn incoming(&self) -> PathBuf {
        self.root.join("incoming.bundle")
    }

    /// Gives the file that tells where the admin endpoint listens.
    pub fn listening(&self) -> PathBuf {
        self.root.join("listening.json")
    }

    /// Gives the mark of a start that has not come to rest yet.
    pub fn starting(&self) -> PathBuf {
        self.root.join("starting")
    }

    /// Gives the mark of an agent that held the Lease last.
    pub fn holder(&self) -> PathBuf {
        self.root.join("identity/holder")
    }

    /// Gives the key of an enrolment that is under way: the same one is used again after a crash.
    pub fn key(&self) -> PathBuf {
        self.root.join("identity/enrolling.key")
    }

    fn file(&self, name: &str) -> PathBuf {
        self.root.join("identity").join(name)
    }

    /// Reads the identity; `None` before enrolment.
    pub fn load(&self) -> Result<Option<Enrolled>, IdentityError> {
        let file = self.file("agent");
        let Some(bytes) = files::read_sealed(&file)? else { return Ok(None) };
        let enrolment = decode(file, &bytes)?;
        let file = self.file("agent.pem");
        let identity = Identity::load(&file)?.ok_or(IdentityError::Missing(file))?;
        let authority = TrustAnchor::load(&self.file("ca.pem"))?;
        let file = self.file("anchor");
        let anchor = match files::read_sealed(&file)? {
            Some(bytes) => Some(decode(file, &bytes)?),
            None => None,
        };
        Ok(Some(Enrolled { enrolment, identity, authority, anchor }))
    }

    /// Writes the identity; the last file makes it valid.
    pub fn save(&self, enrolled: &Enrolled) -> Result<(), IdentityError> {
        enrolled.identity.save(&self.file("agent.pem"))?;
        files::write(&self.file("ca.pem"), enrolled.authority.to_pem().as_bytes())?;
        files::write_sealed(&self.file("agent"), &encode(&enrolled.enrolment))?;
        files::remove(&self.key())?;
        Ok(())
    }

    /// Sets store and anchor aside: they describe another cluster.
    pub fn forget_cluster(&self) -> Result<(), FileError> {
        if self.store().exists() {
            argosy_runtime::store::set_aside(&self.store())?;
        }
        files::remove(&self.file("anchor"))
    }

    /// Leaves the hub: moves identity and store into a folder beside them, which it gives. The cluster's objects stay.
    pub fn leave(&self) -> Result<PathBuf, IdentityError> {
        let free = (1..1_000)
            .map(|number: u32| self.root.join(format!("left-{number}")))
            .find(|left| !left.exists());
        let left = free.unwrap_or_else(|| self.root.join("left"));
        files::create_private_dir(&left)?;
        let failed = |path: &Path, source| FileError::Io { doing: "move", path: path.to_owned(), source };
        for name in ["identity", "store.redb", "store.redb.clean"] {
            let from = self.root.join(name);
            if from.exists() {
                std::fs::rename(&from, left.join(name)).map_err(|error| failed(&from, error))?;
            }
        }
        Ok(left)
    }

    /// Reads what somebody at the edge ordered last: a pause or its end. One that cannot be read counts as a pause.
    pub fn order(&self, now: Now) -> Option<PauseOrder> {
        let file = self.file("order");
        match files::read_sealed(&file) {
            Ok(None) => None,
            Ok(Some(bytes)) => Some(
                decode(file, &bytes).unwrap_or_else(|error| PauseOrder::unreadable(&error.to_string(), now)),
            ),
            Err(error) => Some(PauseOrder::unreadable(&error.to_string(), now)),
        }
    }

    /// Writes what somebody at the edge orders: durable on return.
    pub fn save_order(&self, order: &PauseOrder) -> Result<(), FileError> {
        files::write_sealed(&self.file("order"), &encode(order))
    }

    /// Writes the anchor: durable on return.
    pub fn save_anchor(&self, anchor: &Anchor) -> Result<(), FileError> {
        files::write_sealed(&self.file("anchor"), &encode(anchor))
    }
}

impl Enrolment {
    /// Gives the verifier of heads.
    pub fn verifier(&self) -> HeadVerifier {
        HeadVerifier::new(self.head_key)
    }

    /// Draws a name for an agent's installation.
    pub fn new_instance() -> [u8; 16] {
        SystemEntropy.bytes16()
    }
}

fn decode<T: for<'b> Decode<'b, ()>>(file: PathBuf, bytes: &[u8]) -> Result<T, IdentityError> {
    minicbor::decode(bytes).map_err(|error| IdentityError::Undecodable { file, why: error.to_string() })
}

#[cfg(test)]
mod tests {
    use argosy_core::ids::{Digest, Epoch, Generation};

    use super::*;

    #[test]
    fn an_anchor_is_read_back_and_a_damaged_one_is_no_absence() {
        let root = tempfile::tempdir().unwrap();
        let folder = Folder::open(root.path()).unwrap();
        let anchor =
            Anchor { epoch: Epoch::new([1; 16]), generation: Generation(7), hash: Digest::of(b"head") };
        folder.save_anchor(&anchor).unwrap();
        let bytes = files::read_sealed(&folder.file("anchor")).unwrap().unwrap();
        assert_eq!(decode::<Anchor>(PathBuf::new(), &bytes).unwrap(), anchor);
        let raw = std::fs::read(folder.file("anchor")).unwrap();
        std::fs::write(folder.file("anchor"), &raw[..raw.len() - 1]).unwrap();
        assert!(files::read_sealed(&folder.file("anchor")).unwrap_err().is_damage());
    }

    #[test]
    fn an_order_that_cannot_be_read_is_a_pause() {
        use argosy_core::ids::BootId;
        use argosy_core::pause::PauseKind;
        use argosy_core::time::{MonoTime, WallTime};

        let root = tempfile::tempdir().unwrap();
        let folder = Folder::open(root.path()).unwrap();
        let now = Now { mono: MonoTime { boot: BootId::new([1; 16]), elapsed_ms: 5 }, wall: WallTime(6) };
        assert_eq!(folder.order(now), None);
        let order = PauseOrder::new(PauseKind::Resume, "ana", "", now);
        folder.save_order(&order).unwrap();
        assert_eq!(folder.order(now), Some(order));
        std::fs::write(folder.file("order"), b"argosy-sealed-1\nspoilt").unwrap();
        assert!(folder.order(now).unwrap().is_pause());
    }

    #[test]
    fn before_enrolment_there_is_no_identity() {
        let root = tempfile::tempdir().unwrap();
        assert!(Folder::open(root.path()).unwrap().load().unwrap().is_none());
    }
}
