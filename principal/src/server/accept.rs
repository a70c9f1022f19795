//! Connections: accepted, shaken hands with, and named after their certificate.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use argosy_runtime::pki::{PeerCertificate, PeerIdentity, TrustAnchor};
use argosy_runtime::supervisor::Supervisor;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::Sleep;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::server::Connected;
use tracing::{debug, warn};

use super::admission::{Admission, Place, STRANGER_TIME};
use crate::metrics::Metrics;

/// How long a refused peer may take to hang up.
const PARTING: Duration = Duration::from_secs(1);
/// What a refused peer may still say.
const UNHEARD: u64 = 64 << 10;
/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// Handshakes at a time; the ones above wait in the system's queue.
const HANDSHAKES: usize = 256;
/// Connections that wait for the server. Full: their handshakes wait.
const READY: usize = 64;
/// Pause after the system refused to accept: it is out of file descriptors, and that passes.
const REFUSED: Duration = Duration::from_millis(100);

/// Who a connection's other end is.
#[derive(Debug, Clone)]
pub(super) enum Peer {
    /// It showed no certificate.
    Nobody,
    /// It showed one that says who it is.
    Known(PeerIdentity),
    /// It showed one that says nothing that we know.
    Refused(String),
}

/// A connection that knows who its other end is.
pub(super) struct Connection {
    stream: TlsStream<TcpStream>,
    peer: Peer,
    /// When a peer without a certificate has had its time.
    ends: Option<Pin<Box<Sleep>>>,
    _place: Place,
}

/// Accepts connections until `stopping` is cancelled.
pub(super) fn incoming(
    listener: TcpListener,
    tls: Arc<ServerConfig>,
    authority: TrustAnchor,
    supervisor: &Supervisor,
    metrics: Metrics,
    stopping: CancellationToken,
) -> ReceiverStream<io::Result<Connection>> {
    let (ready, accepted) = mpsc::channel(READY);
    let acceptor = TlsAcceptor::from(tls);
    let shakers = supervisor.clone();
    supervisor.spawn("accept", async move {
        let turns = Arc::new(Semaphore::new(HANDSHAKES));
        let admission = Admission::default();
        loop {
            let Ok(turn) = Arc::clone(&turns).acquire_owned().await else { break };
            let tcp = tokio::select! {
                tcp = listener.accept() => tcp,
                () = stopping.cancelled() => break,
            };
            let (tcp, address) = match tcp {
                Ok(accepted) => accepted,
                Err(error) => {
                    warn!(%error, "a connection cannot be accepted");
                    tokio::time::sleep(REFUSED).await;
                    continue;
                }
            };
            let (acceptor, authority, ready) = (acceptor.clone(), authority.clone(), ready.clone());
            let admission = admission.clone();
            let failures = metrics.handshake_failures.clone();
            shakers.spawn_isolated("handshake", async move {
                let _turn = turn;
                match tokio::time::timeout(HANDSHAKE, shake(tcp, &acceptor, &authority, &admission)).await {
                    Ok(Ok(connection)) => {
                        if ready.send(Ok(connection)).await.is_err() {
                            debug!("a connection came too late");
                        }
                    }
                    Ok(Err(error)) => {
                        failures.inc();
                        warn!(peer = %address, %error, "a connection was refused in the handshake");
                    }
                    Err(_elapsed) => {
                        failures.inc();
                        warn!(peer = %address, "a connection was refused: the handshake took too long");
                    }
                }
                Ok::<_, std::convert::Infallible>(())
            });
        }
        Ok::<_, std::convert::Infallible>(())
    });
    ReceiverStream::new(accepted)
}

async fn shake(
    tcp: TcpStream,
    acceptor: &TlsAcceptor,
    authority: &TrustAnchor,
    admission: &Admission,
) -> io::Result<Connection> {
    tcp.set_nodelay(true)?;
    let stream = match acceptor.accept(tcp).into_fallible().await {
        Ok(stream) => stream,
        Err((error, tcp)) => {
            part(tcp).await;
            return Err(error);
        }
    };
    let (_, session) = stream.get_ref();
    if session.alpn_protocol() != Some(b"h2") {
        return Err(io::Error::other("the peer does not speak HTTP/2"));
    }
    let peer = match session.peer_certificates().and_then(<[_]>::first) {
        None => Peer::Nobody,
        Some(leaf) => match PeerCertificate::read(leaf, authority) {
            Ok(certificate) => Peer::Known(certificate.identity),
            Err(error) => Peer::Refused(error.to_string()),
        },
    };
    let place = admission
        .admit(&peer)
        .ok_or_else(|| io::Error::other(format!("too many connections of one peer: {peer:?}")))?;
    let ends = match peer {
        Peer::Known(_) => None,
        Peer::Nobody | Peer::Refused(_) => Some(Box::pin(tokio::time::sleep(STRANGER_TIME))),
    };
    Ok(Connection { stream, peer, ends, _place: place })
}

/// Ends a connection whose peer is still to read why: closed at once, what it has sent by now would make the system
/// throw away the alert that is on its way.
async fn part(mut tcp: TcpStream) {
    let parted = async {
        tcp.shutdown().await?;
        tokio::io::copy(&mut tcp.take(UNHEARD), &mut tokio::io::sink()).await
    };
    match tokio::time::timeout(PARTING, parted).await {
        Ok(Ok(_unheard)) => {}
        Ok(Err(error)) => debug!(%error, "a refused peer was gone before it was told why"),
        Err(_elapsed) => debug!("a refused peer does not hang up"),
    }
}

// === impl Connection ===

impl Connected for Connection {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer.clone()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.ends.as_mut().is_some_and(|ends| ends.as_mut().poll(context).is_ready()) {
            let why = "a peer without a certificate has had its time";
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, why)));
        }
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, buffers)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
