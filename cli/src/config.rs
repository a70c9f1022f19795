//! Where the hub is and who the operator is, as `argosy-principal init` wrote it.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::args::HubArguments;
use crate::failure::Failure;

/// What a connection to a hub takes.
pub(crate) struct HubConfig {
    /// HOST:PORT to dial.
    pub(crate) address: String,
    /// The name that the hub's certificate must have.
    pub(crate) server_name: String,
    /// Certificates of the hub's CA, PEM.
    pub(crate) ca: Vec<u8>,
    /// The operator's certificate chain, PEM.
    pub(crate) certificate: Vec<u8>,
    /// The operator's key, PEM.
    pub(crate) key: Vec<u8>,
}

/// What of `hub.json` matters here.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct HubFile {
    address: String,
    #[serde(default)]
    server_name: String,
}

// === impl HubConfig ===

impl HubConfig {
    /// Finds the configuration.
    pub(crate) fn load(arguments: &HubArguments) -> Result<Self, Failure> {
        let directory = match &arguments.config {
            Some(directory) => directory.clone(),
            None => default_directory()
                .ok_or_else(|| none_configured("neither $XDG_CONFIG_HOME nor $HOME is set"))?,
        };
        Self::read(&directory, arguments.hub.as_deref())
    }

    fn read(directory: &Path, hub: Option<&str>) -> Result<Self, Failure> {
        if !directory.is_dir() {
            return Err(none_configured(&format!("{} is not there", directory.display())));
        }
        let file = if hub.is_some() && !directory.join("hub.json").exists() {
            None
        } else {
            let path = directory.join("hub.json");
            let file: HubFile = serde_json::from_slice(&read(&path)?)
                .map_err(|error| Failure::Usage(format!("{} does not parse: {error}", path.display())))?;
            Some(file)
        };
        let (configured, server_name) = file.map(|file| (file.address, file.server_name)).unwrap_or_default();
        let address = hub.map_or(configured, str::to_owned);
        let host = host_of(&address)?;
        Ok(Self {
            server_name: if server_name.is_empty() { host } else { server_name },
            address,
            ca: read(&directory.join("ca.crt"))?,
            certificate: read(&directory.join("operator.crt"))?,
            key: read(&directory.join("operator.key"))?,
        })
    }
}

fn default_directory() -> Option<PathBuf> {
    let set = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let base = set("XDG_CONFIG_HOME").or_else(|| set("HOME").map(|home| home.join(".config")))?;
    Some(base.join("argosy"))
}

fn none_configured(why: &str) -> Failure {
    Failure::Usage(format!(
        "no hub configured ({why}): run `argosy-principal init` on the hub and copy the directory that it names here, \
         or pass --config DIR"
    ))
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    fs::read(path).map_err(|error| {
        Failure::Usage(format!(
            "{}: {error}; `argosy-principal init` writes it (or pass --config DIR)",
            path.display()
        ))
    })
}

/// Gives the host of HOST:PORT or [ADDRESS]:PORT.
fn host_of(address: &str) -> Result<String, Failure> {
    let parts = address.rsplit_once(':').filter(|(host, port)| {
        let bare = !host.contains(':') || (host.starts_with('[') && host.ends_with(']'));
        bare && !host.is_empty() && port.parse::<u16>().is_ok()
    });
    match parts {
        Some((host, _port)) => Ok(host.trim_matches(['[', ']']).to_owned()),
        None => Err(Failure::Usage(format!("the hub's address {address:?} is not HOST:PORT"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_told_from_ports() {
        assert_eq!(host_of("hub.example:8443").unwrap(), "hub.example");
        assert_eq!(host_of("[::1]:8443").unwrap(), "::1");
        for wrong in ["", "hub", "hub:x", ":1", "::1:2"] {
            assert_eq!(host_of(wrong).unwrap_err().code(), 2, "{wrong}");
        }
    }

    #[test]
    fn a_missing_configuration_names_the_remedy() {
        let error = HubConfig::read(Path::new("/nonexistent/argosy"), None).err().unwrap();
        assert_eq!(error.code(), 2);
        assert!(error.to_string().contains("argosy-principal init"), "{error}");
    }
}
