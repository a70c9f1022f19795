//! One stream to the hub: dials, pumps frames both ways, and says exactly once that it ended.

use std::sync::Arc;

use argosy_core::agent::Input;
use argosy_core::session::frame::{AgentFrame, ClusterFacts, HubFrame};
use argosy_proto::v1::agent_link_client::AgentLinkClient;
use argosy_proto::{FrameError, v1};
use prost::Message as _;
use rustls::ClientConfig;
use tokio::sync::mpsc;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::Streaming;
use tracing::{debug, info, warn};

use crate::counters::{Lane, LinkCounters};
use crate::dial::{self, MESSAGE_LIMIT};
use crate::engine::Event;

/// Frames that wait for a slow link. Full: the stream is closed, and the next one begins from what both ends hold.
pub(crate) const OUTGOING: usize = 1024;
/// How long the last frames may take to leave a stream that is closed.
const FLUSH: std::time::Duration = std::time::Duration::from_secs(2);

/// How to reach the hub.
#[derive(Debug, Clone)]
pub(crate) struct Hub {
    pub(crate) addresses: Vec<String>,
    pub(crate) server_name: Option<String>,
    pub(crate) tls: Arc<ClientConfig>,
    pub(crate) counters: LinkCounters,
}

/// The sending side of a stream.
#[derive(Debug)]
pub(crate) struct Sender {
    pub(crate) frames: mpsc::Sender<v1::AgentFrame>,
    pub(crate) closing: CancellationToken,
    counters: LinkCounters,
}

/// Makes the two sides of a stream's queue.
pub(crate) fn channel(counters: &LinkCounters) -> (Sender, mpsc::Receiver<v1::AgentFrame>) {
    let (frames, outgoing) = mpsc::channel(OUTGOING);
    let sender = Sender { frames, closing: CancellationToken::new(), counters: counters.clone() };
    (sender, outgoing)
}

/// Runs one stream to its end. Whatever happens, the last event is [`Input::Disconnected`].
pub(crate) async fn run(
    hub: Hub,
    facts: ClusterFacts,
    outgoing: mpsc::Receiver<v1::AgentFrame>,
    closing: CancellationToken,
    events: mpsc::Sender<Event>,
) {
    let ended = stream(&hub, facts, outgoing, &closing, &events).await;
    match ended {
        Ok(()) => info!("the link to the hub ended"),
        Err(error) => warn!(%error, "no link to the hub"),
    }
    // Nobody listens any more only when the process stops.
    if events.send(Event::Input(Box::new(Input::Disconnected))).await.is_err() {
        debug!("the engine is gone");
    }
}

async fn stream(
    hub: &Hub,
    facts: ClusterFacts,
    outgoing: mpsc::Receiver<v1::AgentFrame>,
    closing: &CancellationToken,
    events: &mpsc::Sender<Event>,
) -> Result<(), String> {
    let channel = dial::connect(&hub.addresses, hub.server_name.as_deref(), &hub.tls)
        .await
        .map_err(|error| error.to_string())?;
    let mut client = AgentLinkClient::new(channel)
        .max_decoding_message_size(MESSAGE_LIMIT)
        .max_encoding_message_size(MESSAGE_LIMIT);
    if events.send(Event::Input(Box::new(Input::Connected(facts)))).await.is_err() {
        return Ok(());
    }
    // The stream of answers stands only once the hub has read our Hello, so both are opened together.
    let opening = client.connect(ReceiverStream::new(outgoing));
    let incoming = tokio::select! {
        opened = opening => opened.map_err(|status| format!("the hub refuses: {}", status.message()))?.into_inner(),
        () = closing.cancelled() => return Ok(()),
    };
    hub.counters.session();
    read(incoming, &hub.counters, closing, events).await
}

async fn read(
    mut incoming: Streaming<v1::HubFrame>,
    counters: &LinkCounters,
    closing: &CancellationToken,
    events: &mpsc::Sender<Event>,
) -> Result<(), String> {
    loop {
        let next = tokio::select! {
            next = incoming.next() => next,
            () = closing.cancelled() => {
                // Our queue is closed behind its last frame; the hub ends the stream when it has read that.
                let rest = async { while incoming.next().await.is_some_and(|frame| frame.is_ok()) {} };
                if tokio::time::timeout(FLUSH, rest).await.is_err() {
                    debug!("the hub did not end the stream");
                }
                return Ok(());
            }
        };
        let frame = match next {
            None => return Ok(()),
            Some(Err(status)) => {
                return Err(format!("the stream broke: {} ({:?})", status.message(), status.code()));
            }
            Some(Ok(frame)) => {
                let bulk = matches!(frame.frame, Some(v1::hub_frame::Frame::Chunk(_)));
                counters.received(if bulk { Lane::Bulk } else { Lane::Urgent }, frame.encoded_len());
                match HubFrame::try_from(frame) {
                    Ok(frame) => frame,
                    Err(FrameError::UnknownFrame) => {
                        debug!("the hub says something that this version does not know");
                        continue;
                    }
                    Err(error) => return Err(format!("the hub sent a bad frame: {error}")),
                }
            }
        };
        if events.send(Event::Input(Box::new(Input::Frame(frame)))).await.is_err() {
            return Ok(());
        }
    }
}

/// Puts a frame on its way; `false` when the link is too slow to take it.
pub(crate) fn send(sender: &Sender, frame: AgentFrame) -> bool {
    let frame = v1::AgentFrame::from(frame);
    sender.counters.sent(frame.encoded_len());
    sender.frames.try_send(frame).is_ok()
}
