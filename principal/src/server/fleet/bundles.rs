//! Bundles: read from the engine piece by piece, so that memory does not grow with what a cluster runs.

use std::time::Duration;

use argosy_core::bundle::{Header, Part};
use argosy_core::hub::{ExportId, Reply, Request as Order};
use argosy_proto::{BUNDLE, PartWriter, v1};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tonic::Status;
use tracing::debug;

use super::{Fleet, status_of, stopped, unexpected};
use crate::engine::Handle;

/// Pieces that wait for a slow reader. Full: the engine is not asked for more.
pub(super) const PIECES: usize = 4;
/// How often the engine is told that a slow reader is still there.
const HOLDS: Duration = Duration::from_secs(20);

impl Fleet {
    /// Begins a bundle; what follows is told to `to` by a task of its own.
    pub(super) async fn begin_bundle(
        &self,
        operator: &str,
        name: String,
        to: mpsc::Sender<Result<v1::FilePiece, Status>>,
    ) -> Result<(), Status> {
        let Reply::Exporting { id, header } = self.order(operator, Order::ExportBundle { name }).await?
        else {
            return Err(unexpected());
        };
        let (handle, stopping) = (self.services.handle.clone(), self.services.supervisor.stopping());
        self.services.supervisor.spawn_isolated("bundle", async move {
            let told = stopping.run_until_cancelled(tell(&handle, id, *header, &to)).await;
            if let Some(Err(status)) = told
                && to.send(Err(status)).await.is_err()
            {
                debug!("nobody reads the bundle any more");
            }
            Ok::<_, std::convert::Infallible>(())
        });
        Ok(())
    }
}

/// Sends a piece, however long its reader takes; `false` when nobody reads any more, which the engine is told.
async fn send(
    handle: &Handle,
    id: ExportId,
    data: Vec<u8>,
    to: &mpsc::Sender<Result<v1::FilePiece, Status>>,
) -> Result<bool, Status> {
    loop {
        match timeout(HOLDS, to.reserve()).await {
            Ok(Ok(place)) => {
                place.send(Ok(v1::FilePiece { data }));
                return Ok(true);
            }
            Ok(Err(_gone)) => {
                debug!("nobody reads the bundle any more");
                ask(handle, Order::DropBundle(id)).await?;
                return Ok(false);
            }
            Err(_slow) => {
                ask(handle, Order::HoldBundle(id)).await?;
            }
        }
    }
}

/// Tells a whole bundle; ends early when nobody reads it any more.
async fn tell(
    handle: &Handle,
    id: ExportId,
    header: Header,
    to: &mpsc::Sender<Result<v1::FilePiece, Status>>,
) -> Result<(), Status> {
    let mut writer = PartWriter::default();
    let mut data = writer.begin(BUNDLE);
    data.extend(writer.message(&v1::BundlePart::from(Part::Header(header))));
    loop {
        if !send(handle, id, data, to).await? {
            return Ok(());
        }
        let Reply::Exported(frames) = ask(handle, Order::MoreOfBundle(id)).await? else {
            return Err(unexpected());
        };
        if frames.is_empty() {
            break;
        }
        data = Vec::new();
        for frame in frames {
            data.extend(writer.message(&v1::BundlePart::from(Part::Frame(frame))));
        }
    }
    let digest = writer.digest();
    let Reply::Sealed(seal) = ask(handle, Order::SealBundle { id, digest }).await? else {
        return Err(unexpected());
    };
    let data = writer.message(&v1::BundlePart::from(Part::Seal(seal)));
    if to.send(Ok(v1::FilePiece { data })).await.is_err() {
        debug!("nobody reads the bundle any more");
    }
    Ok(())
}

async fn ask(handle: &Handle, order: Order) -> Result<Reply, Status> {
    handle.ask(order).await.map_err(stopped)?.map_err(|refused| status_of(&refused))
}
