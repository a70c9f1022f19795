//! The layer of faults as a process in between: the agent connects to it, it connects to a real API server.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use kube::Client;
use kube::config::{Config, KubeConfigOptions, Kubeconfig};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::layer::{ApiServer, Asked, Body, BoxError, Layer};

/// A proxy on a port of its own, until it is dropped.
pub(super) struct Proxy {
    pub(super) layer: Arc<Layer>,
    pub(super) kubeconfig: PathBuf,
    /// Ends with it.
    _listens: JoinSet<()>,
}

/// An API server over the network.
struct Upstream(Client);

// === impl Upstream ===

impl ApiServer for Upstream {
    fn answer(&self, mut asked: Asked) -> BoxFuture<'_, Result<Response<Body>, BoxError>> {
        // The client knows where the server is and who asks.
        asked.headers_mut().remove(http::header::HOST);
        asked.headers_mut().remove(http::header::AUTHORIZATION);
        let (parts, body) = asked.into_parts();
        Box::pin(async move {
            let body = body.collect().await?.to_bytes();
            let asked = Request::from_parts(parts, kube::client::Body::from(body));
            let (parts, body) = self.0.send(asked).await?.into_parts();
            Ok(Response::from_parts(parts, body.map_err(BoxError::from).boxed_unsync()))
        })
    }
}

// === impl Proxy ===

impl Proxy {
    /// Starts in front of the API server of a kubeconfig; its own kubeconfig comes into the folder.
    pub(super) async fn start(kubeconfig: &Path, folder: &Path) -> Self {
        let file = Kubeconfig::read_from(kubeconfig).unwrap();
        let config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await.unwrap();
        let upstream = Upstream(Client::try_from(config).unwrap());
        let layer = Arc::new(Layer::new(Arc::new(upstream)));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let server = format!("http://{}", listener.local_addr().unwrap());
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "c",
            "clusters": [{"name": "c", "cluster": {"server": server}}],
            "users": [{"name": "u", "user": {"token": "of-the-proxy"}}],
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        });
        let kubeconfig = folder.join("proxy.kubeconfig");
        std::fs::write(&kubeconfig, config.to_string()).unwrap();
        let mut listens = JoinSet::new();
        listens.spawn(listen(listener, Arc::clone(&layer)));
        Self { layer, kubeconfig, _listens: listens }
    }
}

async fn listen(listener: TcpListener, layer: Arc<Layer>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _peer)) = listener.accept().await {
        let layer = Arc::clone(&layer);
        let service = service_fn(move |request: Request<Incoming>| {
            let layer = Arc::clone(&layer);
            async move {
                let (parts, body) = request.into_parts();
                let body: Bytes = body.collect().await.map_err(std::io::Error::other)?.to_bytes();
                let asked = Request::from_parts(parts, Full::new(body));
                layer.call(asked).await.map_err(std::io::Error::other)
            }
        });
        connections.spawn(async move {
            // A broken connection is what this is for.
            drop(http1::Builder::new().serve_connection(TokioIo::new(stream), service).await);
        });
    }
}
