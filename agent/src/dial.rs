//! Connections to the hub: one TLS stack, one place for time limits.

use std::sync::Arc;
use std::time::Duration;

use argosy_core::session::frame::FRAME_LIMIT;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::transport::{Channel, Endpoint, Uri};
use tower::service_fn;

/// How long a connection may take to stand, handshake included.
const CONNECT: Duration = Duration::from_secs(10);
/// A peer that does not answer a ping for this long is gone; with [`PING`] a dead link is noticed within 30 s.
const PONG: Duration = Duration::from_secs(10);
/// How often a silent connection is pinged.
const PING: Duration = Duration::from_secs(10);
/// Room for the framing around the largest frame.
pub(crate) const MESSAGE_LIMIT: usize = FRAME_LIMIT + 1024;

/// No connection to the hub.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DialError {
    /// An address that names no host and port.
    #[error("hub address {0:?} is not HOST:PORT")]
    Address(String),
    /// Nobody answers, or the handshake fails.
    #[error("cannot connect to the hub at {address}: {why}")]
    Connect {
        /// Where.
        address: String,
        /// The whole chain of causes.
        why: String,
    },
}

/// Connects to the first address that answers.
///
/// # Cancel safety
/// Safe: a connection that was not returned is closed.
pub(crate) async fn connect(
    addresses: &[String],
    server_name: Option<&str>,
    tls: &Arc<ClientConfig>,
) -> Result<Channel, DialError> {
    let mut last = DialError::Address(String::new());
    for address in addresses {
        match connect_to(address, server_name, tls).await {
            Ok(channel) => return Ok(channel),
            Err(error) => last = error,
        }
    }
    Err(last)
}

async fn connect_to(
    address: &str,
    server_name: Option<&str>,
    tls: &Arc<ClientConfig>,
) -> Result<Channel, DialError> {
    let bad = || DialError::Address(address.to_owned());
    let (host, port) = address.rsplit_once(':').ok_or_else(bad)?;
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let port: u16 = port.parse().map_err(|_number| bad())?;
    let name = server_name.unwrap_or(&host).to_owned();
    let name = ServerName::try_from(name).map_err(|_name| bad())?;
    let connector = TlsConnector::from(Arc::clone(tls));
    let dial = service_fn(move |_uri: Uri| {
        let (host, name, connector) = (host.clone(), name.clone(), connector.clone());
        async move {
            let stream = TcpStream::connect((host.as_str(), port)).await?;
            stream.set_nodelay(true)?;
            let stream = connector.connect(name, stream).await?;
            Ok::<_, std::io::Error>(TokioIo::new(stream))
        }
    });
    let endpoint = Endpoint::from_static("https://argosy-hub")
        .connect_timeout(CONNECT)
        .http2_keep_alive_interval(PING)
        .keep_alive_timeout(PONG)
        .keep_alive_while_idle(true);
    let failed = |why: String| DialError::Connect { address: address.to_owned(), why };
    match tokio::time::timeout(CONNECT, endpoint.connect_with_connector(dial)).await {
        Ok(Ok(channel)) => Ok(channel),
        Ok(Err(error)) => Err(failed(chain(&error))),
        Err(_elapsed) => Err(failed(format!("no answer within {} s", CONNECT.as_secs()))),
    }
}

/// Gives an error with all its causes, each said once.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.contains(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        cause = error.source();
    }
    text
}
