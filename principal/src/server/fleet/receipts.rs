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
