//! `AgentLink`: one stream of one agent, pumped between the wire and the engine.

use argosy_core::hub::Input;
use argosy_core::session::frame::AgentFrame;
use argosy_core::session::hub::SessionId;
use argosy_proto::v1::agent_link_server::AgentLink;
use argosy_proto::{FrameError, v1};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};
use tracing::{Instrument as _, debug, info_span, warn};

use super::{Services, cluster_of};
use crate::engine::{Handle, OUTGOING, Sender, Stopped};

/// How long an agent may take to end its side of a stream that is closed.
const FLUSH: std::time::Duration = std::time::Duration::from_secs(2);

/// The service.
pub(super) struct Link {
    services: Services,
}

// === impl Link ===

impl Link {
    pub(super) fn new(services: Services) -> Self {
        Self { services }
    }
}

#[tonic::async_trait]
impl AgentLink for Link {
    type ConnectStream = ReceiverStream<Result<v1::HubFrame, Status>>;

    async fn connect(
        &self,
        request: Request<Streaming<v1::AgentFrame>>,
    ) -> Result<Response<Self::ConnectStream>, Status> {
        let (cluster, rejoin) = cluster_of(&request)?;
        let (frames, outgoing) = mpsc::channel(OUTGOING);
        let closing = CancellationToken::new();
        let sender = Sender { frames: frames.clone(), closing: closing.clone() };
        let handle = self.services.handle.clone();
        let session = handle
            .open(cluster, rejoin, sender)
            .await
            .map_err(|Stopped| Status::unavailable("the hub stops"))?;
        let incoming = request.into_inner();
        let span = info_span!("session", cluster = %cluster, session = session.0);
        let pump = async move {
            read(session, incoming, &handle, &closing, frames).await;
            // Whatever happened, the machine learns once that the stream ended.
            if handle.input(Input::Closed(session)).await.is_err() {
                debug!("the engine is gone");
            }
            Ok::<_, std::convert::Infallible>(())
        };
        self.services.supervisor.spawn_isolated("session", pump.instrument(span));
        Ok(Response::new(ReceiverStream::new(outgoing)))
    }
}

/// Reads frames until the stream ends, at either side.
async fn read(
    session: SessionId,
    mut incoming: Streaming<v1::AgentFrame>,
    handle: &Handle,
    closing: &CancellationToken,
    frames: mpsc::Sender<Result<v1::HubFrame, Status>>,
) {
    loop {
        let next = tokio::select! {
            next = incoming.message() => next,
            () = closing.cancelled() => {
                // The last frames leave when nobody can add to them; the agent ends its side when it has read them.
                drop(frames);
                let rest = async { while matches!(incoming.message().await, Ok(Some(_))) {} };
                if tokio::time::timeout(FLUSH, rest).await.is_err() {
                    debug!("the agent did not end its side");
                }
                return;
            }
        };
        let frame = match next {
            Ok(Some(frame)) => frame,
            Ok(None) => return,
            Err(status) => {
                debug!(error = status.message(), "the stream broke");
                return;
            }
        };
        match AgentFrame::try_from(frame) {
            Ok(frame) => {
                if handle.input(Input::Frame(session, Box::new(frame))).await.is_err() {
                    return;
                }
            }
            Err(FrameError::UnknownFrame) => {
                debug!("the agent says something that this version does not know");
            }
            Err(error) => {
                warn!(%error, "the agent sent a bad frame: its stream is closed");
                let refused = argosy_core::session::frame::HubFrame::Refused(error.refusal());
                if frames.try_send(Ok(v1::HubFrame::from(refused))).is_err() {
                    debug!("the agent does not read");
                }
                return;
            }
        }
    }
}
