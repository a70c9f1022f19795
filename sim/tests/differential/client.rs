//! A plain HTTP client: one connection, one request at a time.

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

use super::script::Step;

/// What a server answered.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) code: u16,
    pub(crate) media: String,
    pub(crate) warnings: Vec<String>,
    pub(crate) retry_after: Option<String>,
    pub(crate) body: Bytes,
}

/// A client of one API server.
pub(crate) struct Client {
    host: String,
    secure: bool,
    token: String,
    connection: Option<SendRequest<Full<Bytes>>>,
    drivers: JoinSet<()>,
}

/// Lets every certificate pass: the servers are this test's own.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

// === impl Client ===

impl Client {
    pub(crate) fn new(url: &str, token: &str) -> Self {
        let (scheme, host) = url.split_once("://").expect("a URL with a scheme");
        Self {
            host: host.trim_end_matches('/').to_owned(),
            secure: scheme == "https",
            token: token.to_owned(),
            connection: None,
            drivers: JoinSet::new(),
        }
    }

    /// Sends a request and reads the whole answer.
    pub(crate) async fn send(&mut self, step: &Step) -> Reply {
        let request = self.request(step);
        let mut connection = match self.connection.take().filter(|connection| !connection.is_closed()) {
            Some(connection) => connection,
            None => self.connect().await,
        };
        connection.ready().await.expect("a connection");
        let response = connection.send_request(request).await.expect("an answer");
        let (parts, body) = response.into_parts();
        let text = |name: &str| parts.headers.get(name).map(|value| value.to_str().unwrap().to_owned());
        let warnings =
            parts.headers.get_all("warning").iter().map(|value| value.to_str().unwrap().to_owned());
        let reply = Reply {
            code: parts.status.as_u16(),
            media: text("content-type").unwrap_or_default(),
            warnings: warnings.collect(),
            retry_after: text("retry-after"),
            body: body.collect().await.expect("a body").to_bytes(),
        };
        self.connection = Some(connection);
        reply
    }

    /// Sends a request by a connection of its own, for an answer without end.
    pub(crate) async fn open(&mut self, step: &Step) -> Response<Incoming> {
        let request = self.request(step);
        let mut connection = self.connect().await;
        connection.send_request(request).await.expect("an answer")
    }

    fn request(&self, step: &Step) -> Request<Full<Bytes>> {
        let mut request = Request::builder()
            .method(step.method)
            .uri(&step.path)
            .header("host", &self.host)
            .header("user-agent", "differential/1")
            .header("authorization", format!("Bearer {}", self.token));
        if !step.accept.is_empty() {
            request = request.header("accept", step.accept);
        }
        if !step.content.is_empty() {
            request = request.header("content-type", step.content);
        }
        request.body(Full::new(Bytes::from(step.body.clone()))).expect("a request")
    }

    async fn connect(&mut self) -> SendRequest<Full<Bytes>> {
        let stream = TcpStream::connect(&self.host).await.expect("a server that listens");
        stream.set_nodelay(true).expect("a socket");
        if !self.secure {
            let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.expect("HTTP");
            self.drivers.spawn(async move { drop(connection.await) });
            return sender;
        }
        let provider = Arc::new(aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .expect("TLS versions")
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Anybody(provider)))
            .with_no_client_auth();
        let name = self.host.split(':').next().unwrap_or_default().to_owned();
        let name = ServerName::try_from(name).expect("a host");
        let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.expect("TLS");
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.expect("HTTP");
        self.drivers.spawn(async move { drop(connection.await) });
        sender
    }
}

// === impl Anybody ===

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
