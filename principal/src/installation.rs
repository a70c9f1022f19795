//! What `init` makes and `run` needs: the identity of one hub, in one folder that appears whole or not at all.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use argosy_core::ids::InstallationId;
use argosy_core::time::Entropy as _;
use argosy_runtime::clock::wall;
use argosy_runtime::entropy::SystemEntropy;
use argosy_runtime::files;
use argosy_runtime::pki::{CertificateAuthority, HeadSigner, Identity, TrustDomain};
use rustls::pki_types::ServerName;
use serde::{Deserialize, Serialize};

/// How long the server's certificate is valid; it is made anew at every start, and every day.
const SERVER_LIFETIME: Duration = Duration::from_hours(90 * 24);

/// The file that makes a folder an installation.
const FILE: &str = "installation.json";

/// What an installation says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Facts {
    /// Its id.
    pub(crate) installation: InstallationId,
    /// Where agents and operators reach it.
    pub(crate) address: String,
    /// What the server's certificate is good for, the address's host first.
    pub(crate) hosts: Vec<String>,
}

/// An installation with its keys.
#[derive(Debug)]
pub(crate) struct Installation {
    pub(crate) facts: Facts,
    pub(crate) authority: CertificateAuthority,
    pub(crate) signer: HeadSigner,
}

/// Folders and files under a hub's data folder.
#[derive(Debug, Clone)]
pub(crate) struct Folder {
    root: PathBuf,
}

// === impl Folder ===

impl Folder {
    pub(crate) fn at(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    pub(crate) fn store(&self) -> PathBuf {
        self.root.join("store.redb")
    }

    pub(crate) fn mirrors(&self) -> PathBuf {
        self.root.join("mirrors")
    }

    pub(crate) fn listening(&self) -> PathBuf {
        self.root.join("listening.json")
    }

    fn identity(&self) -> PathBuf {
        self.root.join("identity")
    }
}

// === impl Installation ===

impl Installation {
    /// Refuses where there is an installation.
    pub(crate) fn refuse_second(folder: &Folder) -> anyhow::Result<()> {
        if let Some(there) = Self::look(folder)? {
            bail!(
                "{} holds installation {} already (address {}); start it with `argosy-principal run`, make another \
                 operator's identity with `argosy-principal init --operator-only`, or use another --data-dir",
                folder.root.display(),
                there.installation,
                there.address
            );
        }
        Ok(())
    }

    /// Makes a new installation; refuses where there is one.
    pub(crate) fn create(folder: &Folder, address: &str, hosts: &[String]) -> anyhow::Result<Self> {
        Self::refuse_second(folder)?;
        let identity = folder.identity();
        let mut all = vec![host_of(address)?];
        all.extend(hosts.iter().filter(|host| !host.is_empty()).cloned());
        all.dedup();
        let installation = InstallationId::from_random(SystemEntropy.bytes16());
        let facts = Facts { installation, address: address.to_owned(), hosts: all };
        facts.server_names()?;
        // What a start that was killed had begun is of no use to anybody.
        let new = folder.root.join("identity.new");
        remove(&new)?;
        let trust_domain: TrustDomain = format!("{installation}.argosy").parse()?;
        let authority = CertificateAuthority::create(&new, &trust_domain, wall())?;
        let signer = HeadSigner::create(&new)?;
        files::write(&new.join(FILE), serde_json::to_string_pretty(&facts)?.as_bytes())?;
        fs::rename(&new, &identity).with_context(|| format!("cannot make {}", identity.display()))?;
        fs::File::open(&folder.root)
            .and_then(|root| root.sync_all())
            .context("cannot keep the installation")?;
        Ok(Self { facts, authority, signer })
    }

    /// Reads the installation; says how to make one where there is none.
    pub(crate) fn load(folder: &Folder) -> anyhow::Result<Self> {
        let Some(facts) = Self::look(folder)? else {
            bail!(
                "{} holds no installation: make one with `argosy-principal init --data-dir {} --address HOST:PORT`",
                folder.root.display(),
                folder.root.display()
            );
        };
        let identity = folder.identity();
        let authority = CertificateAuthority::load(&identity)?;
        let signer = HeadSigner::load(&identity)?;
        Ok(Self { facts, authority, signer })
    }

    fn look(folder: &Folder) -> anyhow::Result<Option<Facts>> {
        let path = folder.identity().join(FILE);
        let Some(text) = files::read(&path)? else { return Ok(None) };
        let facts = serde_json::from_slice(&text);
        facts.map(Some).with_context(|| format!("{} does not parse", path.display()))
    }

    /// Makes the server's identity anew.
    pub(crate) fn server_identity(&self) -> anyhow::Result<Identity> {
        self.facts.server_identity(&self.authority)
    }
}

// === impl Facts ===

impl Facts {
    /// Gives the host of the address, by which the server is verified.
    pub(crate) fn server_name(&self) -> &str {
        self.hosts.first().map_or("", String::as_str)
    }

    /// Makes the server's identity anew.
    pub(crate) fn server_identity(&self, authority: &CertificateAuthority) -> anyhow::Result<Identity> {
        Ok(authority.issue_server(&self.server_names()?, SERVER_LIFETIME, wall())?)
    }

    fn server_names(&self) -> anyhow::Result<Vec<ServerName<'static>>> {
        let name = |host: &String| {
            ServerName::try_from(host.clone())
                .with_context(|| format!("{host:?} is neither a DNS name nor an IP address"))
        };
        self.hosts.iter().map(name).collect()
    }
}

/// Gives the host of `HOST:PORT` or `[ADDRESS]:PORT`.
fn host_of(address: &str) -> anyhow::Result<String> {
    let parts = address.rsplit_once(':').filter(|(host, port)| {
        let bare = !host.contains(':') || (host.starts_with('[') && host.ends_with(']'));
        bare && !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port != 0)
    });
    let (host, _) = parts.with_context(|| format!("--address {address:?} is not HOST:PORT"))?;
    Ok(host.trim_matches(['[', ']']).to_owned())
}

fn remove(path: &Path) -> anyhow::Result<()> {
    match fs::remove_dir_all(path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error).with_context(|| format!("cannot remove {}", path.display())),
    }
}
