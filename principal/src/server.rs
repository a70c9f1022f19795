//! The hub's one port: TLS 1.3, HTTP/2, and three services that each ask who the peer is.
//!
//! Who a peer is comes from its certificate alone, never from what it sends.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use argosy_core::ids::{ClusterId, RejoinSerial};
use argosy_core::session::frame::FRAME_LIMIT;
use argosy_proto::v1::agent_link_server::AgentLinkServer;
use argosy_proto::v1::enrollment_server::EnrollmentServer;
use argosy_proto::v1::fleet_server::FleetServer;
use argosy_runtime::pki::{PeerIdentity, TrustAnchor};
use argosy_runtime::supervisor::Supervisor;
use rustls::ServerConfig;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;
use tonic::{Request, Status};

use crate::engine::Handle;
use crate::fleet::LastRead;
use crate::metrics::Metrics;
use crate::preview::Previewer;

mod accept;
mod admission;
mod enrollment;
mod fleet;
mod join;
mod link;
mod view;

use self::accept::Peer;
pub(crate) use self::join::JoinSettings;

/// Streams of one connection at a time.
const STREAMS: u32 = 4;
/// Largest list of headers.
const HEADERS: u32 = 16 << 10;
/// How often a silent connection is pinged, and how long its answer may take.
const PING: Duration = Duration::from_secs(10);
/// Room for the framing around the largest frame.
const MESSAGE_LIMIT: usize = FRAME_LIMIT + 1024;
/// Largest request of an operator or an enrolling agent.
const REQUEST_LIMIT: usize = 64 << 10;

/// What the services need.
#[derive(Clone)]
pub(crate) struct Services {
    pub(crate) handle: Handle,
    pub(crate) supervisor: Supervisor,
    pub(crate) join: Arc<JoinSettings>,
    pub(crate) fleet: Arc<FleetFacts>,
    pub(crate) preview: Arc<Previewer>,
    /// Receipts that are read: one file at a time.
    pub(crate) reading: Arc<Semaphore>,
}

/// What operators are told of the fleet's source beyond what the hub decides from it.
#[derive(Debug)]
pub(crate) struct FleetFacts {
    /// Where it is.
    pub(crate) source: String,
    /// When it was read last.
    pub(crate) last_read: LastRead,
}

/// A port that listens.
pub(crate) struct BoundServer {
    listener: TcpListener,
    address: SocketAddr,
}

// === impl BoundServer ===

impl BoundServer {
    /// Opens the port; connections wait until [`Self::serve`] runs.
    pub(crate) async fn bind(address: SocketAddr) -> std::io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address })
    }

    /// Gives the address that it listens on.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stopping` is cancelled and the open streams have ended.
    ///
    /// # Cancel safety
    /// Dropped, every connection is cut.
    pub(crate) async fn serve(
        self,
        tls: Arc<ServerConfig>,
        authority: TrustAnchor,
        services: Services,
        metrics: Metrics,
        stopping: CancellationToken,
    ) -> Result<(), tonic::transport::Error> {
        let incoming =
            accept::incoming(self.listener, tls, authority, &services.supervisor, metrics, stopping.clone());
        let link = AgentLinkServer::new(link::Link::new(services.clone()))
            .max_decoding_message_size(MESSAGE_LIMIT)
            .max_encoding_message_size(MESSAGE_LIMIT);
        let enrollment = EnrollmentServer::new(enrollment::Enrollment::new(services.clone()))
            .max_decoding_message_size(REQUEST_LIMIT);
        let fleet = FleetServer::new(fleet::Fleet::new(services)).max_decoding_message_size(REQUEST_LIMIT);
        Server::builder()
            .max_concurrent_streams(STREAMS)
            .http2_max_header_list_size(HEADERS)
            .http2_keepalive_interval(Some(PING))
            .http2_keepalive_timeout(Some(PING))
            .add_service(link)
            .add_service(enrollment)
            .add_service(fleet)
            .serve_with_incoming_shutdown(incoming, stopping.cancelled_owned())
            .await
    }
}

/// Gives the cluster that a request comes from, and which of its joins the certificate came from.
fn cluster_of<T>(request: &Request<T>) -> Result<(ClusterId, RejoinSerial), Status> {
    match identity_of(request)? {
        PeerIdentity::Cluster { id, rejoin } => Ok((id, rejoin)),
        PeerIdentity::Operator(_) => {
            Err(Status::permission_denied("this is for agents; the certificate is an operator's"))
        }
    }
}

/// Gives the operator that a request comes from.
fn operator_of<T>(request: &Request<T>) -> Result<String, Status> {
    match identity_of(request)? {
        PeerIdentity::Operator(name) => Ok(name),
        PeerIdentity::Cluster { .. } => {
            Err(Status::permission_denied("this is for operators; the certificate is an agent's"))
        }
    }
}

fn identity_of<T>(request: &Request<T>) -> Result<PeerIdentity, Status> {
    match request.extensions().get::<Peer>() {
        Some(Peer::Known(identity)) => Ok(identity.clone()),
        Some(Peer::Refused(why)) => Err(Status::unauthenticated(why.clone())),
        Some(Peer::Nobody) | None => Err(Status::unauthenticated("a client certificate is needed here")),
    }
}
