//! Files that come and go by hand, for a cluster that has no link.
//!
//! A bundle whose first bytes are for this agent is written to a file beside the store and its seal verified over every byte;
//! only then does the machine see the first of it. So a bundle that was changed or cut short anywhere changes nothing, and
//! memory does not grow with its size.

use std::fs::File;
use std::io::{BufReader, Read, Seek as _, Write as _};
use std::path::PathBuf;
use std::time::Duration;

use argosy_core::bundle::{
    Header, ImportRefused, ImportStep, Imported, Part, ReceiptsHeader, ReceiptsPart, receipts_seal_bytes,
    seal_bytes,
};
use argosy_core::ids::{ClusterId, InstallationId};
use argosy_core::session::frame::{ClusterFacts, HubFrame};
use argosy_proto::{BUNDLE, FileError, PartReader, PartWriter, RECEIPTS, v1};
use argosy_runtime::blocking::{BlockingError, Pool};
use argosy_runtime::clock::wall;
use argosy_runtime::files;
use argosy_runtime::pki::HeadVerifier;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::sync::{Mutex, mpsc};
use tracing::{info, warn};

use crate::control;
use crate::engine::{Asked, Event};
use crate::identity::{Enrolled, Folder};

/// How long the other end of the socket may say nothing.
const SILENCE: Duration = Duration::from_secs(30);
/// Largest bundle.
const LARGEST: u64 = 8 << 30;
/// Bytes that are written at a time.
const PIECE: usize = 256 << 10;

/// Why no receipts are made on a stream.
const CONNECTED: &str =
    "this agent is connected: it tells the hub itself, and later; make receipts when the link is gone";

/// Takes bundles, one at a time, and gives receipts.
#[derive(Debug)]
pub(crate) struct Files {
    folder: Folder,
    enrolled: Enrolled,
    facts: ClusterFacts,
    events: mpsc::Sender<Event>,
    pool: Pool,
    turn: Mutex<()>,
}

/// Why a bundle is not taken.
#[derive(Debug, thiserror::Error)]
enum ImportError {
    #[error("{0}")]
    Refused(#[from] ImportRefused),
    #[error("{0}")]
    File(#[from] FileError),
    #[error("another bundle is being imported")]
    Busy,
    #[error("the bundle is larger than {LARGEST} bytes")]
    TooLarge,
    #[error("the bundle did not come through: {0}")]
    Broken(String),
    #[error("the bundle cannot be kept beside the store: {0}")]
    Disk(String),
    #[error("{0}")]
    Stopped(String),
}

// === impl Files ===

impl Files {
    /// `facts` are what is known of a cluster that was not reached in this life.
    pub(crate) fn new(
        folder: Folder,
        enrolled: Enrolled,
        facts: ClusterFacts,
        events: mpsc::Sender<Event>,
    ) -> Self {
        Self { folder, enrolled, facts, events, pool: Pool::new("bundle", 1), turn: Mutex::new(()) }
    }

    /// Takes a bundle of so many bytes; all of it is durable on return. `Err` has words for people.
    pub(crate) async fn take(&self, from: impl AsyncRead + Unpin) -> Result<Imported, String> {
        let taken = self.try_take(from).await;
        match &taken {
            Ok(imported) => {
                info!(
                    generation = imported.generation.0,
                    already = imported.already,
                    "a bundle was imported"
                );
            }
            Err(error) => warn!(%error, "a bundle is refused"),
        }
        taken.map_err(|error| error.to_string())
    }

    /// Gives receipts: everything that a hub would be told, sealed by the key of the agent's certificate. None are made while
    /// the hub is told by a stream, which goes on after them: they would be older than what it has heard.
    pub(crate) async fn receipts(&self) -> Result<Vec<u8>, String> {
        if control::put(&self.events, |answer| Asked::Status { answer }).await?.link.connected {
            return Err(CONNECTED.to_owned());
        }
        let Enrolled { enrolment, identity, .. } = &self.enrolled;
        let certificate = identity.chain().first().ok_or("this agent has no certificate")?.to_vec();
        let facts = Box::new(self.facts.clone());
        let frames = control::put(&self.events, |answer| Asked::Receipts { facts, answer }).await?;
        let header = ReceiptsHeader {
            cluster: enrolment.cluster,
            installation: enrolment.installation,
            made: wall(),
            certificate,
        };
        let mut writer = PartWriter::default();
        let mut bytes = writer.begin(RECEIPTS);
        let parts = frames.into_iter().map(ReceiptsPart::Frame);
        for part in std::iter::once(ReceiptsPart::Header(header)).chain(parts) {
            bytes.extend(writer.message(&v1::ReceiptsPart::from(part)));
        }
        let seal = identity.sign(&receipts_seal_bytes(writer.digest())).map_err(|error| error.to_string())?;
        bytes.extend(writer.message(&v1::ReceiptsPart::from(ReceiptsPart::Seal(seal))));
        Ok(bytes)
    }

    async fn try_take(&self, from: impl AsyncRead + Unpin) -> Result<Imported, ImportError> {
        let Ok(_turn) = self.turn.try_lock() else { return Err(ImportError::Busy) };
        let path = self.folder.incoming();
        let taken = self.keep_and_read(path.clone(), from).await;
        if let Err(error) = files::remove(&path) {
            warn!(%error, "what is left of a bundle cannot be removed");
        }
        taken
    }

    async fn keep_and_read(
        &self,
        path: PathBuf,
        from: impl AsyncRead + Unpin,
    ) -> Result<Imported, ImportError> {
        let enrolment = &self.enrolled.enrolment;
        let (cluster, installation) = (enrolment.cluster, enrolment.installation);
        let verifier = enrolment.verifier();
        let begins = |piece: &[u8]| begins(piece, cluster, installation, &verifier);
        let file = keep(&self.pool, path, from, begins).await?;
        let check = move || check(file, cluster, installation, &verifier);
        let mut parts = run(&self.pool, "check a bundle", check).await??;
        self.step(ImportStep::Begin(Box::new(parts.header.clone()))).await?;
        loop {
            let read = move || {
                let next = parts.next(&verifier);
                (parts, next)
            };
            let (rest, next) = run(&self.pool, "read a bundle", read).await?;
            parts = rest;
            match next? {
                Some(frame) => self.step(ImportStep::Frame(frame)).await?,
                None => break,
            };
        }
        let done = self.step(ImportStep::End).await?;
        done.ok_or_else(|| ImportError::Stopped("the agent did not say what came of it".to_owned()))
    }

    async fn step(&self, step: ImportStep) -> Result<Option<Imported>, ImportError> {
        let step = Box::new(step);
        let asked = control::put(&self.events, |answer| Asked::Import { step, answer }).await;
        Ok(asked.map_err(ImportError::Stopped)??)
    }
}

/// Writes what comes to a file beside the store, once its first piece is found to begin a bundle for this agent.
async fn keep(
    pool: &Pool,
    path: PathBuf,
    mut from: impl AsyncRead + Unpin,
    begins: impl FnOnce(&[u8]) -> Result<(), ImportError>,
) -> Result<File, ImportError> {
    let disk = |error: std::io::Error| ImportError::Disk(error.to_string());
    let mut piece = next_piece(&mut from).await?;
    begins(&piece)?;
    let create = move || File::options().read(true).write(true).create(true).truncate(true).open(path);
    let mut file = run(pool, "keep a bundle", create).await?.map_err(disk)?;
    let mut size = 0u64;
    while !piece.is_empty() {
        size = size.saturating_add(piece.len() as u64);
        if size > LARGEST {
            return Err(ImportError::TooLarge);
        }
        let write = move || file.write_all(&piece).map(|()| file);
        file = run(pool, "keep a bundle", write).await?.map_err(disk)?;
        piece = next_piece(&mut from).await?;
    }
    Ok(file)
}

/// Reads the next bytes; none at the end.
async fn next_piece(from: &mut (impl AsyncRead + Unpin)) -> Result<Vec<u8>, ImportError> {
    let mut piece = Vec::with_capacity(PIECE);
    while piece.len() < PIECE {
        let read = tokio::time::timeout(SILENCE, from.read_buf(&mut piece)).await;
        let read = read.map_err(|_elapsed| ImportError::Broken("nothing came for too long".to_owned()))?;
        if read.map_err(|error| ImportError::Broken(error.to_string()))? == 0 {
            break;
        }
    }
    Ok(piece)
}

async fn run<T: Send + 'static>(
    pool: &Pool,
    job: &'static str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ImportError> {
    let failed = |error: BlockingError| ImportError::Stopped(error.to_string());
    pool.run(job, work).await.map_err(failed)
}

/// The parts of a bundle, in order.
#[derive(Debug)]
struct Parts {
    header: Header,
    reader: PartReader<BufReader<File>>,
}

impl Parts {
    fn begin(file: File) -> Result<Self, ImportError> {
        let (header, reader) = header(BufReader::with_capacity(PIECE, file))?;
        Ok(Self { header, reader })
    }

    /// Gives the next frame; `None` at the seal, once that is verified.
    fn next(&mut self, verifier: &HeadVerifier) -> Result<Option<HubFrame>, ImportError> {
        match part(&mut self.reader)? {
            Part::Frame(frame) => Ok(Some(frame)),
            Part::Seal(seal) => {
                let sealed = seal_bytes(self.reader.digest_before());
                if verifier.verify(&sealed, &seal.0) {
                    Ok(None)
                } else {
                    Err(ImportRefused::Signature("the bundle".to_owned()).into())
                }
            }
            Part::Header(_) => Err(damaged("it has a second header")),
        }
    }

    /// Checks that nothing follows the seal, and gives the file back.
    fn end(self) -> Result<File, ImportError> {
        Ok(self.reader.end()?.into_inner())
    }
}

/// Reads a whole bundle and verifies its header and its seal; gives it from its begin. Whose it is goes before what is wrong
/// with it: the seal of another hub's bundle cannot verify here.
fn check(
    mut file: File,
    cluster: ClusterId,
    installation: InstallationId,
    verifier: &HeadVerifier,
) -> Result<Parts, ImportError> {
    rewind(&mut file)?;
    let mut parts = Parts::begin(file)?;
    parts.header.verify(cluster, installation, verifier)?;
    while parts.next(verifier)?.is_some() {}
    let mut file = parts.end()?;
    rewind(&mut file)?;
    Parts::begin(file)
}

/// Verifies that the first piece of a file begins a bundle for this agent; a header is smaller than a piece.
fn begins(
    piece: &[u8],
    cluster: ClusterId,
    installation: InstallationId,
    verifier: &HeadVerifier,
) -> Result<(), ImportError> {
    let (header, _reader) = header(piece)?;
    header.verify(cluster, installation, verifier)?;
    Ok(())
}

fn header<R: Read>(from: R) -> Result<(Header, PartReader<R>), ImportError> {
    let mut reader = PartReader::begin(from, "bundle", BUNDLE)?;
    match part(&mut reader)? {
        Part::Header(header) => Ok((header, reader)),
        Part::Frame(_) | Part::Seal(_) => Err(damaged("it does not begin with a header")),
    }
}

fn part<R: Read>(reader: &mut PartReader<R>) -> Result<Part, ImportError> {
    let part: v1::BundlePart = reader.message()?;
    Ok(Part::try_from(part).map_err(FileError::from)?)
}

fn rewind(file: &mut File) -> Result<(), ImportError> {
    file.rewind().map_err(|error| ImportError::Disk(error.to_string()))
}

fn damaged(why: &str) -> ImportError {
    ImportRefused::Damaged(why.to_owned()).into()
}

#[cfg(test)]
mod tests {
    use argosy_core::desired::{Head, Signature, SignedHead};
    use argosy_core::ids::{Digest, Epoch, Generation};
    use argosy_core::session::frame::{Chunk, ListBase, ListChange, TransferId};
    use argosy_core::time::WallTime;
    use argosy_runtime::pki::HeadSigner;

    use super::*;

    const CLUSTER: ClusterId = ClusterId::new([7; 16]);
    const OURS: InstallationId = InstallationId::new([8; 16]);

    fn bundle(signer: &HeadSigner) -> Vec<u8> {
        let head = Head {
            cluster: CLUSTER,
            epoch: Epoch::new([1; 16]),
            generation: Generation(3),
            list_root: Digest::of(b"list"),
            previous: Digest::ZERO,
        };
        let signature = Signature(signer.sign(&head.signed_bytes()));
        let chain = vec![SignedHead { head, signature }];
        let header = Header { cluster: CLUSTER, installation: OURS, chain, made: WallTime(5) };
        let changes = vec![ListChange::Settings(vec![1, 2]), ListChange::Set(vec![3; 40])];
        let (epoch, generation) = (Some(head.epoch), head.generation);
        let parts = [
            Part::Header(header),
            Part::Frame(HubFrame::ListChanges { base: ListBase::Empty, changes }),
            Part::Frame(HubFrame::Head { epoch, generation, signature, unasked: vec![0] }),
            Part::Frame(HubFrame::Chunk(Chunk { transfer: TransferId(2), data: vec![9; 100], last: true })),
        ];
        let mut writer = PartWriter::default();
        let mut bytes = writer.begin(BUNDLE);
        for part in parts {
            bytes.extend(writer.message(&v1::BundlePart::from(part)));
        }
        let seal = Signature(signer.sign(&seal_bytes(writer.digest())));
        bytes.extend(writer.message(&v1::BundlePart::from(Part::Seal(seal))));
        bytes
    }

    fn checked(bytes: &[u8], verifier: &HeadVerifier) -> Result<Parts, ImportError> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        check(file, CLUSTER, OURS, verifier)
    }

    #[test]
    fn a_bundle_with_any_byte_changed_missing_or_added_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let signer = HeadSigner::create(folder.path()).unwrap();
        let (bytes, verifier) = (bundle(&signer), signer.verifier());
        checked(&bytes, &verifier).unwrap();
        for at in 0..bytes.len() {
            for bit in [0x01, 0x20, 0x80] {
                let mut changed = bytes.clone();
                changed[at] ^= bit;
                assert!(checked(&changed, &verifier).is_err(), "byte {at} with {bit:#x}");
            }
            assert!(checked(&bytes[..at], &verifier).is_err(), "cut at {at}");
        }
        let longer: Vec<u8> = bytes.iter().copied().chain([0]).collect();
        assert!(matches!(checked(&longer, &verifier), Err(ImportError::File(FileError::Trailing))));
    }

    #[test]
    fn a_bundle_that_another_key_signed_is_refused() {
        let (ours, theirs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let verifier = HeadSigner::create(ours.path()).unwrap().verifier();
        let forged = bundle(&HeadSigner::create(theirs.path()).unwrap());
        let refused = checked(&forged, &verifier).unwrap_err();
        assert!(matches!(refused, ImportError::Refused(ImportRefused::Signature(_))), "{refused}");
    }

    #[tokio::test]
    async fn a_file_that_is_no_bundle_for_this_agent_is_refused_before_it_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let signer = HeadSigner::create(folder.path()).unwrap();
        let (bytes, verifier) = (bundle(&signer), signer.verifier());
        let (pool, path) = (Pool::new("bundle", 1), folder.path().join("incoming"));
        let other = ClusterId::new([9; 16]);
        for (cluster, start) in [(CLUSTER, b"something".as_slice()), (other, bytes.as_slice())] {
            // It goes on for ever.
            let from = tokio::io::AsyncReadExt::chain(start, tokio::io::repeat(b'x'));
            let begins = |piece: &[u8]| begins(piece, cluster, OURS, &verifier);
            let refused = keep(&pool, path.clone(), from, begins).await.unwrap_err();
            assert!(matches!(
                refused,
                ImportError::File(FileError::OtherKind { .. })
                    | ImportError::Refused(ImportRefused::OtherCluster { .. })
            ));
            assert!(!path.exists());
        }
        let kept =
            keep(&pool, path.clone(), bytes.as_slice(), |piece| begins(piece, CLUSTER, OURS, &verifier));
        assert!(check(kept.await.unwrap(), CLUSTER, OURS, &verifier).is_ok());
    }
}
