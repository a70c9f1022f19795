//! Join strings: what a new agent must know.

use argosy_core::ids::{ClusterId, InstallationId, RejoinSerial};
use argosy_runtime::join::{JoinString, JoinToken, ParseJoinError};
use argosy_runtime::pki::{HeadVerifier, TrustAnchor};

/// What all join strings of this hub have in common.
pub(crate) struct JoinSettings {
    pub(crate) address: String,
    pub(crate) authority: TrustAnchor,
    pub(crate) head_key: HeadVerifier,
    pub(crate) installation: InstallationId,
}

// === impl JoinSettings ===

impl JoinSettings {
    /// Makes a join string: a secret until it is used.
    pub(super) fn join(
        &self,
        cluster: ClusterId,
        name: &str,
        rejoin_serial: RejoinSerial,
        token: JoinToken,
    ) -> Result<String, ParseJoinError> {
        JoinString {
            addresses: vec![self.address.clone()],
            server_name: None,
            authority: self.authority.fingerprint(),
            head_key: self.head_key,
            installation: self.installation,
            cluster,
            cluster_name: name.to_owned(),
            token,
            rejoin_serial,
        }
        .reveal()
    }
}
