//! `argosy-principal init`: a new installation and an operator who can reach it.

use std::env;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use argosy_core::ids::InstallationId;
use argosy_runtime::clock::wall;
use argosy_runtime::files;
use argosy_runtime::pki::TrustAnchor;
use serde_json::json;

use crate::args::InitArgs;
use crate::installation::{Folder, Installation};

/// How long an operator's certificate is valid.
const OPERATOR_LIFETIME: Duration = Duration::from_hours(365 * 24);
/// Where the certificates of an identity begin, behind its key.
const CERTIFICATES: &str = "-----BEGIN CERTIFICATE-----";

/// What was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Initialized {
    /// The installation.
    pub installation: InstallationId,
    /// Where it is reached.
    pub address: String,
    /// Where the operator's configuration is.
    pub config: PathBuf,
    data_dir: PathBuf,
}

// === impl Initialized ===

impl fmt::Display for Initialized {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Installation {} at {}", self.installation, self.address)?;
        writeln!(f, "Operator's identity and address: {}", self.config.display())?;
        write!(f, "Start it: argosy-principal run --data-dir {} --fleet SOURCE", self.data_dir.display())
    }
}

/// Makes an installation, or only an operator's identity for the one that is there.
pub fn init(args: &InitArgs) -> anyhow::Result<Initialized> {
    init_at(args, &config_folder()?)
}

/// Does what [`init`] does, with the operator's configuration in `config`.
pub fn init_at(args: &InitArgs, config: &Path) -> anyhow::Result<Initialized> {
    let folder = Folder::at(&args.data_dir);
    let installation = if args.operator_only {
        Installation::load(&folder)?
    } else {
        Installation::refuse_second(&folder)?;
        check_config(config, None, args.overwrite_config)?;
        let address = args.address.as_deref().context("--address is missing")?;
        Installation::create(&folder, address, &args.hosts)?
    };
    if args.operator_only {
        check_config(config, Some(installation.authority.anchor()), args.overwrite_config)?;
    }
    write_config(config, &installation, &args.operator)?;
    Ok(Initialized {
        installation: installation.facts.installation,
        address: installation.facts.address.clone(),
        config: config.to_owned(),
        data_dir: args.data_dir.clone(),
    })
}

/// Refuses to replace the configuration of another hub unasked.
fn check_config(config: &Path, ours: Option<&TrustAnchor>, overwrite: bool) -> anyhow::Result<()> {
    let Some(text) = files::read(&config.join("ca.crt"))? else { return Ok(()) };
    let same = match (ours, TrustAnchor::from_pem(&text)) {
        (Some(ours), Ok(theirs)) => ours.fingerprint() == theirs.fingerprint(),
        (None, _) | (_, Err(_)) => false,
    };
    if same || overwrite {
        return Ok(());
    }
    bail!(
        "{} holds the operator's configuration of another hub: pass --overwrite-config to replace it, or set \
         XDG_CONFIG_HOME to keep both",
        config.display()
    )
}

fn write_config(config: &Path, installation: &Installation, operator: &str) -> anyhow::Result<()> {
    let identity = installation.authority.issue_operator(operator, OPERATOR_LIFETIME, wall())?;
    let pem = identity.to_pem();
    let at = pem.find(CERTIFICATES).context("an identity without a certificate")?;
    let (key, chain) = pem.split_at(at);
    let hub = json!({
        "address": installation.facts.address,
        "serverName": installation.facts.server_name(),
        "trustDomain": installation.authority.anchor().trust_domain().as_str(),
    });
    files::create_private_dir(config)?;
    files::write(&config.join("operator.key"), key.as_bytes())?;
    files::write(&config.join("operator.crt"), chain.as_bytes())?;
    files::write(&config.join("ca.crt"), installation.authority.anchor().to_pem().as_bytes())?;
    files::write(&config.join("hub.json"), format!("{hub:#}\n").as_bytes())?;
    Ok(())
}

fn config_folder() -> anyhow::Result<PathBuf> {
    let set = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let base = set("XDG_CONFIG_HOME").or_else(|| set("HOME").map(|home| home.join(".config")));
    Ok(base.context("neither $XDG_CONFIG_HOME nor $HOME is set")?.join("argosy"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(home: &Path, name: &str) -> InitArgs {
        InitArgs {
            data_dir: home.join(name),
            address: Some("127.0.0.1:8443".to_owned()),
            hosts: vec!["hub.example".to_owned()],
            operator: "admin".to_owned(),
            operator_only: false,
            overwrite_config: false,
        }
    }

    #[test]
    fn an_installation_is_made_once() {
        let home = tempfile::tempdir().unwrap();
        let config = home.path().join("config");
        let made = init_at(&args(home.path(), "hub"), &config).unwrap();
        for file in ["hub.json", "ca.crt", "operator.crt", "operator.key"] {
            assert!(config.join(file).exists(), "{file}");
        }
        let key = std::fs::read_to_string(config.join("operator.key")).unwrap();
        assert!(key.contains("PRIVATE KEY") && !key.contains("CERTIFICATE"));
        let hub: serde_json::Value =
            serde_json::from_slice(&std::fs::read(config.join("hub.json")).unwrap()).unwrap();
        assert_eq!((&hub["address"], &hub["serverName"]), (&json!("127.0.0.1:8443"), &json!("127.0.0.1")));
        std::fs::remove_dir_all(&config).unwrap();
        let again = init_at(&args(home.path(), "hub"), &config).unwrap_err().to_string();
        assert!(
            again.contains(&made.installation.to_string()) && again.contains("--operator-only"),
            "{again}"
        );
        let only = InitArgs { operator_only: true, ..args(home.path(), "hub") };
        assert_eq!(init_at(&only, &config).unwrap(), made);
        assert!(init_at(&only, &config).is_ok(), "its own configuration is replaced");
    }

    #[test]
    fn the_configuration_of_another_hub_is_kept_unless_told_otherwise() {
        let home = tempfile::tempdir().unwrap();
        let config = home.path().join("config");
        init_at(&args(home.path(), "one"), &config).unwrap();
        let error = init_at(&args(home.path(), "two"), &config).unwrap_err().to_string();
        assert!(error.contains("--overwrite-config"), "{error}");
        assert!(!home.path().join("two").join("identity").exists(), "nothing is made");
        let overwrite = InitArgs { overwrite_config: true, ..args(home.path(), "two") };
        assert!(init_at(&overwrite, &config).is_ok());
    }

    #[test]
    fn what_cannot_be_an_address_is_refused() {
        let home = tempfile::tempdir().unwrap();
        for bad in ["hub", "hub:0", ":1", "::1:2", "a b:1"] {
            let args = InitArgs { address: Some(bad.to_owned()), ..args(home.path(), "hub") };
            assert!(init_at(&args, &home.path().join("config")).is_err(), "{bad}");
        }
    }
}
