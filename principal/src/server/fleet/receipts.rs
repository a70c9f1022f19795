//! Receipts: read whole, judged by the certificate that they bring, then handed to the engine as if a stream had come.

use std::io::Cursor;

use argosy_core::bundle::{Receipts, ReceiptsHeader, ReceiptsPart, ReceiptsRefused, receipts_seal_bytes};
use argosy_core::hub::{ReceiptsRequest, Refused, Reply, Request as Order};
use argosy_core::session::frame::AgentFrame;
use argosy_proto::{FileError, PartReader, RECEIPTS, v1};
use argosy_runtime::blocking;
use argosy_runtime::pki::{PeerCertificate, PeerIdentity, is_signed_by};
use tonic::{Status, Streaming};
use tracing::warn;

use super::{Fleet, status_of, unexpected};
use crate::server::JoinSettings;

/// Largest file of receipts: it is read into memory, one at a time.
const LARGEST: usize = 128 << 20;

/// Why a file is not taken.
#[derive(Debug, thiserror::Error)]
enum ReadError {
    #[error("{0}")]
    File(#[from] FileError),
    #[error("{0}")]
    Refused(#[from] ReceiptsRefused),
}

impl Fleet {
    pub(super) async fn receipts(
        &self,
        operator: &str,
        mut pieces: Streaming<v1::FilePiece>,
    ) -> Result<v1::ImportReceiptsResponse, Status> {
        let busy = |_full| Status::resource_exhausted("other receipts are being read; try again");
        let _turn = self.services.reading.try_acquire().map_err(busy)?;
        let mut bytes = Vec::new();
        while let Some(piece) = pieces.message().await? {
            if bytes.len() + piece.data.len() > LARGEST {
                return Err(Status::invalid_argument(format!("the file is larger than {LARGEST} bytes")));
            }
            bytes.extend(piece.data);
        }
        let join = std::sync::Arc::clone(&self.services.join);
        let read = blocking::run("read receipts", move || read(bytes, &join)).await;
        let read = read.map_err(|error| Status::internal(error.to_string()))?;
        let request = read.map_err(|error| {
            warn!(operator, %error, "receipts are refused");
            match error {
                ReadError::File(error) => Status::invalid_argument(error.to_string()),
                ReadError::Refused(refused) => status_of(&Refused::Receipts(refused)),
            }
        })?;
        let Reply::Received(taken) = self.order(operator, Order::Receipts(Box::new(request))).await? else {
            return Err(unexpected());
        };
        Ok(v1::ImportReceiptsResponse {
            cluster: taken.name,
            generation: taken.generation.map(|generation| generation.0),
            apps: taken.apps,
            already: taken.already,
        })
    }
}

/// Reads a file and verifies that the key of the certificate in it, which this hub's authority issued to a cluster, sealed
/// every byte. An expired certificate is taken: an agent with no link cannot renew it, and whose it is does not change;
/// whether the cluster still is a member is the registry's to say.
fn read(bytes: Vec<u8>, ours: &JoinSettings) -> Result<ReceiptsRequest, ReadError> {
    let damaged = |why: &str| ReceiptsRefused::Damaged(why.to_owned());
    let mut reader = PartReader::begin(Cursor::new(bytes), "receipts", RECEIPTS)?;
    let ReceiptsPart::Header(header) = part(&mut reader)? else {
        return Err(damaged("they do not begin with a header").into());
    };
    let mut frames: Vec<AgentFrame> = Vec::new();
    let seal = loop {
        match part(&mut reader)? {
            ReceiptsPart::Frame(frame) => frames.push(frame),
            ReceiptsPart::Seal(seal) => break seal,
            ReceiptsPart::Header(_) => return Err(damaged("they have a second header").into()),
        }
    };
    let sealed = receipts_seal_bytes(reader.digest_before());
    reader.end()?;
    let ReceiptsHeader { certificate, installation: theirs, .. } = &header;
    if *theirs != ours.installation {
        return Err(ReceiptsRefused::OtherHub { ours: ours.installation, theirs: *theirs }.into());
    }
    let peer = PeerCertificate::read(certificate, &ours.authority)
        .map_err(|error| ReceiptsRefused::Forged(error.to_string()))?;
    if !is_signed_by(certificate, &sealed, &seal) {
        let why = "the seal is not that of the certificate's key".to_owned();
        return Err(ReceiptsRefused::Forged(why).into());
    }
    let PeerIdentity::Cluster { id: cluster, rejoin } = peer.identity else {
        return Err(ReceiptsRefused::Forged("the certificate is an operator's".to_owned()).into());
    };
    let receipts = Receipts::of_frames(frames)?;
    Ok(ReceiptsRequest { cluster, rejoin, header, receipts })
}

fn part(reader: &mut PartReader<Cursor<Vec<u8>>>) -> Result<ReceiptsPart, ReadError> {
    let part: v1::ReceiptsPart = reader.message()?;
    Ok(ReceiptsPart::try_from(part).map_err(FileError::from)?)
}

#[cfg(test)]
mod tests {
    use argosy_core::ids::{ClusterId, Incarnation, InstallationId, RejoinSerial};
    use argosy_core::session::frame::{ClusterFacts, Hello, PROTOCOL, Statement};
    use argosy_core::time::WallTime;
    use argosy_proto::PartWriter;
    use argosy_runtime::pki::{AgentKey, CertificateAuthority, HeadSigner, Identity};

    use super::*;

    const CLUSTER: ClusterId = ClusterId::new([7; 16]);
    const OURS: InstallationId = InstallationId::new([8; 16]);

    struct Hub {
        authority: CertificateAuthority,
        join: JoinSettings,
    }

    fn hub() -> Hub {
        let folder = tempfile::tempdir().unwrap();
        let domain = "argosy.test".parse().unwrap();
        let authority = CertificateAuthority::create(folder.path(), &domain, WallTime(1)).unwrap();
        let join = JoinSettings {
            address: "hub:1".to_owned(),
            authority: authority.anchor().clone(),
            head_key: HeadSigner::create(folder.path()).unwrap().verifier(),
            installation: OURS,
        };
        Hub { authority, join }
    }

    impl Hub {
        fn agent(&self) -> Identity {
            let key = AgentKey::generate().unwrap();
            let (day, rejoin) = (std::time::Duration::from_hours(24), RejoinSerial::default());
            let issued =
                self.authority.sign_csr(&key.csr().unwrap(), CLUSTER, rejoin, day, WallTime(1)).unwrap();
            key.into_identity(vec![issued.certificate]).unwrap()
        }
    }

    fn receipts(certificate: &Identity, sealed_by: &Identity) -> Vec<u8> {
        let hello = Hello {
            protocol: PROTOCOL,
            capabilities: std::collections::BTreeSet::new(),
            facts: ClusterFacts::default(),
            head: None,
            anchor: None,
            incarnation: Incarnation::new([3; 16]),
            status_sequence: 4,
            read_only: None,
            paused: None,
            statement: Some(Statement { series: Incarnation::new([3; 16]), number: 1 }),
        };
        let header = ReceiptsHeader {
            cluster: CLUSTER,
            installation: OURS,
            made: WallTime(9),
            certificate: certificate.chain()[0].to_vec(),
        };
        let mut writer = PartWriter::default();
        let mut bytes = writer.begin(RECEIPTS);
        for part in [ReceiptsPart::Header(header), ReceiptsPart::Frame(AgentFrame::Hello(Box::new(hello)))] {
            bytes.extend(writer.message(&v1::ReceiptsPart::from(part)));
        }
        let seal = sealed_by.sign(&receipts_seal_bytes(writer.digest())).unwrap();
        bytes.extend(writer.message(&v1::ReceiptsPart::from(ReceiptsPart::Seal(seal))));
        bytes
    }

    #[test]
    fn receipts_with_any_byte_changed_missing_or_added_are_refused() {
        let hub = hub();
        let agent = hub.agent();
        let bytes = receipts(&agent, &agent);
        // The certificate has ended long ago: whose it is has not changed.
        assert_eq!(read(bytes.clone(), &hub.join).unwrap().cluster, CLUSTER);
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 0x01;
            assert!(read(changed, &hub.join).is_err(), "byte {at}");
            assert!(read(bytes[..at].to_vec(), &hub.join).is_err(), "cut at {at}");
        }
        let longer = bytes.iter().copied().chain([0]).collect();
        assert!(matches!(read(longer, &hub.join), Err(ReadError::File(FileError::Trailing))));
    }

    #[test]
    fn receipts_that_another_key_sealed_or_another_authority_certified_are_forged() {
        let (ours, theirs) = (hub(), hub());
        let forged = receipts(&ours.agent(), &ours.agent());
        assert!(matches!(read(forged, &ours.join), Err(ReadError::Refused(ReceiptsRefused::Forged(_)))));
        let stranger = theirs.agent();
        let foreign = receipts(&stranger, &stranger);
        assert!(matches!(read(foreign, &ours.join), Err(ReadError::Refused(ReceiptsRefused::Forged(_)))));
        let operator =
            ours.authority.issue_operator("ana", std::time::Duration::from_hours(1), WallTime(1)).unwrap();
        let of_operator = receipts(&operator, &operator);
        assert!(matches!(read(of_operator, &ours.join), Err(ReadError::Refused(ReceiptsRefused::Forged(_)))));
    }
}
