//! What any control plane has, whatever serves it: a folder, a port, users, and the files that its servers read.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde_json::json;

use crate::api::Api;
use crate::certificates;
use crate::port::Port;
use crate::scratch::Scratch;

const TOKENS: &str = "tokens.csv";

/// A user that the API server knows by a token.
#[derive(Clone, Debug)]
pub(super) struct User {
    pub(super) token: String,
    pub(super) groups: Vec<String>,
}

/// Where a control plane is.
#[derive(Debug)]
pub(super) struct Site {
    pub(super) name: String,
    pub(super) port: Port,
    pub(super) users: BTreeMap<String, User>,
    pub(super) audit: bool,
    pub(super) scratch: Scratch,
}

// === impl Site ===

impl Site {
    pub(super) fn url(&self) -> String {
        format!("https://{}", self.port.address())
    }

    /// Returns the path of a file in the folder.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.scratch.join(name)
    }

    /// Returns the file of users with their tokens.
    pub(super) fn tokens(&self) -> PathBuf {
        self.file(TOKENS)
    }

    /// Returns the path of a user's kubeconfig.
    pub(super) fn kubeconfig(&self, user: &str) -> PathBuf {
        self.file(&format!("{user}.kubeconfig"))
    }

    /// Writes what the servers read at their start: certificates, tokens, a kubeconfig for each user.
    pub(super) fn write_files(&self) -> anyhow::Result<()> {
        certificates::write(self.scratch.path())?;
        let mut tokens = String::new();
        for (name, user) in &self.users {
            // Columns: token, user name, user id, groups.
            let row = format!("{},{name},{name},\"{}\"\n", user.token, user.groups.join(","));
            tokens.push_str(&row);
            let config = json!({
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [{"name": self.name, "cluster": {
                    "server": self.url(),
                    "certificate-authority": self.file(certificates::AUTHORITY),
                }}],
                "users": [{"name": name, "user": {"token": user.token}}],
                "contexts": [{"name": self.name, "context": {"cluster": self.name, "user": name}}],
                "current-context": self.name,
            });
            write(&self.kubeconfig(name), &format!("{config:#}\n"))?;
        }
        write(&self.tokens(), &tokens)
    }

    /// Makes a client that acts as a user; the files are written.
    pub(super) fn client(&self, user: &str) -> anyhow::Result<Api> {
        let user = self.users.get(user).with_context(|| format!("there is no user {user:?}"))?;
        let authority = std::fs::read_to_string(self.file(certificates::AUTHORITY))
            .context("cannot read the authority's certificate")?;
        Api::new(self.port.address(), &authority, &user.token)
    }
}

pub(super) fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}
