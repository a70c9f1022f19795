//! How the API server is reached: kubeconfig or service account, TLS, timeouts.
//!
//! A kubeconfig is input, not code: plugins that it would have us run are refused by name, and so is everything in it
//! that would otherwise be ignored.

use std::path::{Path, PathBuf};
use std::time::Duration;

use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use kube::client::{Body, Client, ConfigExt as _};
use kube::config::{AuthInfo, Cluster, KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Config, config};
use tower::{BoxError, ServiceBuilder};

/// Longest time to open a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// A quiet connection is probed after this time, so that a quiet watch on a dead one is noticed.
const PROBE_AFTER: Duration = Duration::from_secs(20);
/// Time between probes.
const PROBE_INTERVAL: Duration = Duration::from_secs(5);
/// Probes without an answer until the connection counts as dead.
const PROBES: u32 = 3;

/// There is no way to the API server.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The kubeconfig is not readable or not complete.
    #[error("cannot use the kubeconfig {path}")]
    Kubeconfig {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: Box<KubeconfigError>,
    },
    /// The kubeconfig asks for something that is not supported.
    #[error("kubeconfig {path}: {field} is not supported: {why}")]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// The field.
        field: &'static str,
        /// Why, or what to do instead.
        why: &'static str,
    },
    /// There is neither a kubeconfig nor a service account.
    #[error("no --kubeconfig is given and this process does not run in a pod with a service account")]
    InCluster(#[source] Box<config::InClusterError>),
    /// TLS or authentication cannot be set up.
    #[error("cannot set up the connection to the API server")]
    Setup(#[source] Box<kube::Error>),
}

/// Makes the client, and tells whether it acts for another user. Proxies of the environment are not used.
pub(super) async fn client(kubeconfig: Option<&Path>) -> Result<(Client, bool), ConnectError> {
    let mut config = match kubeconfig {
        Some(path) => of_file(path).await?,
        None => Config::incluster().map_err(|error| ConnectError::InCluster(Box::new(error)))?,
    };
    let agent = concat!("argosy-agent/", env!("CARGO_PKG_VERSION"));
    config.headers.push((http::header::USER_AGENT, http::HeaderValue::from_static(agent)));
    let acts_for_another = config.auth_info.impersonate.is_some();
    let client = build(&config).map_err(|error| ConnectError::Setup(Box::new(error)))?;
    Ok((client, acts_for_another))
}

async fn of_file(path: &Path) -> Result<Config, ConnectError> {
    let wrong = |source| ConnectError::Kubeconfig { path: path.to_owned(), source: Box::new(source) };
    let file = Kubeconfig::read_from(path).map_err(wrong)?;
    check(&file).map_err(|(field, why)| ConnectError::Unsupported { path: path.to_owned(), field, why })?;
    Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await.map_err(wrong)
}

/// Refuses what the current context asks for and this program does not do.
fn check(file: &Kubeconfig) -> Result<(), (&'static str, &'static str)> {
    let current = file.current_context.as_deref().unwrap_or_default();
    let context =
        file.contexts.iter().find(|named| named.name == current).and_then(|named| named.context.as_ref());
    let Some(context) = context else { return Ok(()) };
    let cluster = file.clusters.iter().find(|named| named.name == context.cluster);
    if let Some(cluster) = cluster.and_then(|named| named.cluster.as_ref()) {
        check_cluster(cluster)?;
    }
    let user = file.auth_infos.iter().find(|named| Some(&named.name) == context.user.as_ref());
    user.and_then(|named| named.auth_info.as_ref()).map_or(Ok(()), check_user)
}

fn check_cluster(cluster: &Cluster) -> Result<(), (&'static str, &'static str)> {
    if cluster.insecure_skip_tls_verify.unwrap_or(false) {
        return Err(("insecure-skip-tls-verify", "name the authority in certificate-authority-data instead"));
    }
    if cluster.proxy_url.as_ref().is_some_and(|url| !url.is_empty()) {
        return Err(("proxy-url", "the API server is reached directly"));
    }
    Ok(())
}

fn check_user(user: &AuthInfo) -> Result<(), (&'static str, &'static str)> {
    if user.exec.is_some() {
        return Err(("exec", "no program is run; use a token, a token file or a client certificate"));
    }
    if user.auth_provider.is_some() {
        return Err(("auth-provider", "use a token, a token file or a client certificate"));
    }
    if user.impersonate_user_extra.is_some() {
        return Err(("as-user-extra", "impersonate by as, as-uid and as-groups alone"));
    }
    Ok(())
}

fn build(config: &Config) -> kube::Result<Client> {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // Somebody else was faster: then there is a provider, which is all that is wanted.
        drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    }
    let mut connector = HttpConnector::new();
    connector.enforce_http(false);
    connector.set_nodelay(true);
    connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
    connector.set_keepalive(Some(PROBE_AFTER));
    connector.set_keepalive_interval(Some(PROBE_INTERVAL));
    connector.set_keepalive_retries(Some(PROBES));
    let connector = config.rustls_https_connector_with_connector(connector)?;
    let http: HttpClient<_, Body> = HttpClient::builder(TokioExecutor::new()).build(connector);
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer()?)
        .layer(config.extra_headers_layer()?)
        .map_err(BoxError::from)
        .service(http);
    Ok(Client::new(service, config.default_namespace.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(user: &str, cluster: &str) -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("config");
        let text = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: c\ncontexts: [{{name: c, context: {{cluster: k, user: u}}}}]\n\
             clusters: [{{name: k, cluster: {{server: \"https://127.0.0.1:1\"{cluster}}}}}]\n\
             users: [{{name: u, user: {{{user}}}}}]\n"
        );
        std::fs::write(&path, text).unwrap();
        (directory, path)
    }

    async fn refused(user: &str, cluster: &str) -> String {
        let (_directory, path) = write(user, cluster);
        client(Some(&path)).await.err().unwrap().to_string()
    }

    #[tokio::test]
    async fn plugins_of_a_kubeconfig_are_refused_by_name() {
        let exec =
            "exec: {apiVersion: client.authentication.k8s.io/v1, command: /bin/sh, interactiveMode: Never}";
        assert!(refused(exec, "").await.contains(": exec is not supported"));
        assert!(refused("auth-provider: {name: gcp}", "").await.contains("auth-provider is not supported"));
        assert!(refused("token: t, as: a, as-user-extra: {a: [b]}", "").await.contains("as-user-extra"));
        assert!(
            refused("token: t", ", insecure-skip-tls-verify: true")
                .await
                .contains("insecure-skip-tls-verify")
        );
        assert!(refused("token: t", ", proxy-url: \"http://p\"").await.contains("proxy-url"));
    }

    #[tokio::test]
    async fn a_token_is_enough() {
        let (_directory, path) = write("token: t", "");
        assert!(client(Some(&path)).await.is_ok());
    }

    #[tokio::test]
    async fn a_file_that_is_no_kubeconfig_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let error = client(Some(&directory.path().join("none"))).await.err().unwrap();
        assert!(error.to_string().contains("none"), "{error}");
    }
}
