//! The connection to a hub: gRPC over mutual TLS.

use std::error::Error;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use argosy_proto::v1::fleet_client::FleetClient;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tonic::transport::{Channel, Endpoint, Uri};
use tonic::{Response, Status};
use tower::service_fn;

use crate::config::HubConfig;
use crate::failure::{Failure, causes};

/// How long dialling and the handshake may take.
const CONNECT: Duration = Duration::from_secs(10);
/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(30);
/// Largest answer: a list of many apps.
const LARGEST: usize = 64 << 20;

/// A connection to a hub.
#[derive(Clone)]
pub(crate) struct Hub {
    client: FleetClient<Channel>,
    address: String,
}

// === impl Hub ===

impl Hub {
    /// Connects.
    ///
    /// # Cancel safety
    ///
    /// Nothing is left behind.
    pub(crate) async fn connect(config: &HubConfig) -> Result<Self, Failure> {
        let tls = TlsConnector::from(Arc::new(tls(config)?));
        let name = ServerName::try_from(config.server_name.clone()).map_err(|error| {
            Failure::Usage(format!("the server name {:?} in hub.json: {error}", config.server_name))
        })?;
        let unreachable = |why| Failure::Unreachable { address: config.address.clone(), why };
        // The scheme is never looked at: the connector does TLS whatever it is.
        let endpoint = Endpoint::from_shared(format!("http://{}", config.address))
            .map_err(|error| Failure::Usage(format!("the hub's address {:?}: {error}", config.address)))?
            .http2_keep_alive_interval(Duration::from_secs(10))
            .keep_alive_timeout(Duration::from_secs(10));
        let address = config.address.clone();
        let dial = service_fn(move |_: Uri| {
            let (tls, name, address) = (tls.clone(), name.clone(), address.clone());
            async move {
                let tcp = TcpStream::connect(address.as_str()).await?;
                tcp.set_nodelay(true)?;
                let stream = tls.connect(name, tcp).await?;
                if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
                    Ok(TokioIo::new(stream))
                } else {
                    Err(io::Error::other("what listens there does not speak HTTP/2"))
                }
            }
        });
        let channel = timeout(CONNECT, endpoint.connect_with_connector(dial))
            .await
            .map_err(|_elapsed| unreachable(format!("no answer within {} s", CONNECT.as_secs())))?
            .map_err(|error| Failure::of_transport(&config.address, &error))?;
        let client = FleetClient::new(channel).max_decoding_message_size(LARGEST);
        Ok(Self { client, address: config.address.clone() })
    }

    /// Makes one call and waits for its answer.
    ///
    /// # Cancel safety
    ///
    /// The hub may have carried out the request.
    pub(crate) async fn call<T, F>(&self, call: impl FnOnce(FleetClient<Channel>) -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<Response<T>, Status>>,
    {
        match timeout(ANSWER, call(self.client.clone())).await {
            Ok(Ok(response)) => Ok(response.into_inner()),
            Ok(Err(status)) => Err(self.failure(&status)),
            Err(_elapsed) => Err(Failure::Unreachable {
                address: self.address.clone(),
                why: format!("no answer within {} s", ANSWER.as_secs()),
            }),
        }
    }

    /// Reads the answer of a hub that refuses.
    pub(crate) fn failure(&self, status: &Status) -> Failure {
        Failure::of_status(&self.address, status)
    }
}

fn tls(config: &HubConfig) -> Result<ClientConfig, Failure> {
    let wrong =
        |file: &str, error: &dyn Error| Failure::Usage(format!("{file} is not usable: {}", causes(error)));
    let mut roots = rustls::RootCertStore::empty();
    for certificate in certificates("ca.crt", &config.ca)? {
        roots.add(certificate).map_err(|error| wrong("ca.crt", &error))?;
    }
    let chain = certificates("operator.crt", &config.certificate)?;
    let key = PrivateKeyDer::from_pem_slice(&config.key).map_err(|error| wrong("operator.key", &error))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut tls = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| wrong("TLS 1.3", &error))?
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key)
        .map_err(|error| wrong("operator.crt with operator.key", &error))?;
    tls.alpn_protocols = vec![b"h2".to_vec()];
    Ok(tls)
}

fn certificates(file: &str, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, Failure> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match certificates {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        Ok(_none) => Err(Failure::Usage(format!("{file} holds no certificate"))),
        Err(error) => Err(Failure::Usage(format!("{file} is not usable: {error}"))),
    }
}
