//! Which rule a kind has.

use serde_json::Value;

use super::surroundings::Surroundings;
use super::{
    Verdict, apiextensions, apiregistration, apps, argo, autoscaling, batch, cert_manager, core_group,
    external_secrets, gateway, istio, keycloak, networking, olm, openshift, policy, rhdh, sail,
    secrets_store, tekton,
};
use crate::key::GroupKind;

/// Kinds of other objects, as (group, kind).
pub(super) type Kinds = &'static [(&'static str, &'static str)];

/// How the objects of a kind are judged.
#[derive(Debug, Clone, Copy)]
pub(super) enum Rule {
    /// By themselves.
    Own(fn(&Value) -> Verdict),
    /// With what is around them.
    Among {
        /// Judges; `None` where it cannot be told.
        judge: fn(&Value, &dyn Surroundings) -> Option<Verdict>,
        /// What it looks at.
        auxiliary: Kinds,
    },
}

// === impl Rule ===

impl Rule {
    /// Judges an object.
    pub(super) fn judge(self, object: &Value, surroundings: &dyn Surroundings) -> Option<Verdict> {
        match self {
            Self::Own(judge) => Some(judge(object)),
            Self::Among { judge, .. } => judge(object, surroundings),
        }
    }
}

/// Finds the rule of a kind.
pub(super) fn rule(kind: &GroupKind) -> Option<Rule> {
    let GroupKind { group, kind } = kind;
    match group.as_str() {
        "" => core_group::rule(kind),
        "apps" => apps::rule(kind),
        "batch" => batch::rule(kind),
        "autoscaling" => autoscaling::rule(kind),
        "policy" => policy::rule(kind),
        "networking.k8s.io" | "extensions" => networking::rule(kind),
        "apiextensions.k8s.io" => apiextensions::rule(kind),
        "apiregistration.k8s.io" => apiregistration::rule(kind),
        "gateway.networking.k8s.io" => gateway::rule(kind),
        "install.istio.io" | "security.istio.io" | "telemetry.istio.io" => istio::rule(group, kind),
        "sailoperator.io" => sail::rule(kind),
        "argoproj.io" => argo::rule(kind),
        "cert-manager.io" => cert_manager::rule(kind),
        "certmanager.k8s.io" => cert_manager::legacy_rule(kind),
        "external-secrets.io" => external_secrets::rule(kind),
        "secrets-store.csi.x-k8s.io" => secrets_store::rule(kind),
        "k8s.keycloak.org" => keycloak::rule(kind),
        "rhdh.redhat.com" => rhdh::rule(kind),
        "route.openshift.io" | "apps.openshift.io" | "config.openshift.io" | "operator.openshift.io" => {
            openshift::rule(group, kind)
        }
        "operators.coreos.com" => olm::rule(kind),
        "tekton.dev" | "operator.tekton.dev" => tekton::rule(group, kind),
        _ => None,
    }
}

/// Gives the kinds that the rule of a kind looks at besides its own objects. Nobody has to: a rule judges without them
/// as well, by the object alone.
pub fn auxiliary(kind: &GroupKind) -> Vec<GroupKind> {
    match rule(kind) {
        Some(Rule::Among { auxiliary, .. }) => {
            auxiliary.iter().map(|(group, kind)| GroupKind::new(*group, *kind)).collect()
        }
        Some(Rule::Own(_)) | None => Vec::new(),
    }
}
