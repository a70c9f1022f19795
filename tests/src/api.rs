//! A small blocking client of an API server, for what a test asks often: a call takes a few milliseconds, where
//! kubectl takes a hundred and most of a core.
//!
//! It speaks HTTP/1.0, so a response is one header, one body and the end of the connection: nothing to parse that a
//! test could get wrong.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::Value;

/// The longest time that a call waits for the next bytes.
const PATIENCE: Duration = Duration::from_secs(30);

/// A client that acts as one user of one API server.
#[derive(Clone, Debug)]
pub struct Api {
    address: SocketAddr,
    tls: Arc<ClientConfig>,
    token: String,
}

/// The answer to a call.
#[derive(Clone, Debug)]
pub struct Response {
    /// The HTTP status code.
    pub status: u16,
    /// The body as it came.
    pub body: String,
}

// === impl Api ===

impl Api {
    /// Makes a client that trusts the authority in `authority` (PEM) and shows a bearer token.
    pub fn new(address: SocketAddr, authority: &str, token: &str) -> anyhow::Result<Self> {
        let mut roots = RootCertStore::empty();
        let certificate =
            CertificateDer::from_pem_slice(authority.as_bytes()).context("no certificate of an authority")?;
        roots.add(certificate).context("cannot use the authority's certificate")?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .context("cannot set up TLS")?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self { address, tls: Arc::new(tls), token: token.to_owned() })
    }

    /// Returns the same client with another user's token.
    #[must_use]
    pub fn with_token(&self, token: &str) -> Self {
        Self { token: token.to_owned(), ..self.clone() }
    }

    /// Gets an object or a list by its path, or `None` if it does not exist.
    pub fn get(&self, path: &str) -> anyhow::Result<Option<Value>> {
        let response = self.call("GET", path, None)?;
        if response.status == 404 {
            return Ok(None);
        }
        response.accepted("GET", path)?.json().map(Some)
    }

    /// Creates an object below the path of its kind.
    pub fn create(&self, path: &str, object: &Value) -> anyhow::Result<Value> {
        self.call("POST", path, Some(("application/json", object)))?.accepted("POST", path)?.json()
    }

    /// Changes an object by a JSON merge patch, the way a careless other writer does.
    pub fn merge(&self, path: &str, patch: &Value) -> anyhow::Result<Value> {
        let patch = Some(("application/merge-patch+json", patch));
        self.call("PATCH", path, patch)?.accepted("PATCH", path)?.json()
    }

    /// Applies an object on the server's side, with force, as a field manager.
    pub fn apply(&self, path: &str, manager: &str, object: &Value) -> anyhow::Result<Value> {
        let query = format!("{path}?force=true&fieldManager={manager}");
        let patch = Some(("application/apply-patch+yaml", object));
        self.call("PATCH", &query, patch)?.accepted("PATCH", path)?.json()
    }

    /// Deletes an object; one that does not exist is fine.
    pub fn delete(&self, path: &str) -> anyhow::Result<()> {
        let response = self.call("DELETE", path, None)?;
        if response.status != 404 {
            response.accepted("DELETE", path)?;
        }
        Ok(())
    }

    /// Makes one call and returns the answer, whatever its status.
    pub fn call(&self, method: &str, path: &str, body: Option<(&str, &Value)>) -> anyhow::Result<Response> {
        let context = || format!("{method} {path}");
        let stream = TcpStream::connect_timeout(&self.address, PATIENCE).with_context(context)?;
        stream.set_read_timeout(Some(PATIENCE)).with_context(context)?;
        stream.set_write_timeout(Some(PATIENCE)).with_context(context)?;
        let server = ServerName::from(self.address.ip());
        let session = ClientConnection::new(Arc::clone(&self.tls), server).with_context(context)?;
        let mut stream = StreamOwned::new(session, stream);

        let content = match body {
            Some((kind, body)) => {
                let body = body.to_string();
                format!("Content-Type: {kind}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
            }
            None => "\r\n".to_owned(),
        };
        let request = format!(
            "{method} {path} HTTP/1.0\r\nHost: {}\r\nAccept: application/json\r\nUser-Agent: argosy-tests\r\n\
             Authorization: Bearer {}\r\n{content}",
            self.address, self.token
        );
        stream.write_all(request.as_bytes()).with_context(context)?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).with_context(context)?;
        Response::parse(&answer).with_context(context)
    }
}

// === impl Response ===

impl Response {
    /// Reads the body as JSON.
    pub fn json(&self) -> anyhow::Result<Value> {
        serde_json::from_str(&self.body).context("the API server's answer is not JSON")
    }

    /// Returns the response if it is a success, and the server's own words otherwise.
    fn accepted(self, method: &str, path: &str) -> anyhow::Result<Self> {
        if (200..300).contains(&self.status) {
            return Ok(self);
        }
        let reason = self.json().ok().and_then(|status| Some(status.get("message")?.as_str()?.to_owned()));
        bail!("{method} {path}: {}: {}", self.status, reason.unwrap_or(self.body))
    }

    fn parse(answer: &[u8]) -> anyhow::Result<Self> {
        let answer = std::str::from_utf8(answer).context("the answer is not text")?;
        let (head, body) = answer.split_once("\r\n\r\n").context("the answer has no header")?;
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        Ok(Self { status: status.context("the answer has no status")?, body: body.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_told_in_the_servers_words() {
        let answer = b"HTTP/1.0 409 Conflict\r\nX: y\r\n\r\n{\"message\":\"it exists\"}";

        let error = Response::parse(answer).unwrap().accepted("POST", "/api").unwrap_err();

        assert_eq!(error.to_string(), "POST /api: 409: it exists");
    }

    #[test]
    fn half_an_answer_is_no_answer() {
        assert!(Response::parse(b"HTTP/1.0 200 OK\r\nConte").is_err());
    }
}
