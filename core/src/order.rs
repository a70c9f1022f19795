//! The order in which kinds are applied (Argo CD: sync order of kinds); deletes go the other way.

use crate::key::ResourceKey;

/// Kinds in the order in which they are applied; what is not listed comes last.
const KINDS: &[&str] = &[
    "NetworkPolicy",
    "ResourceQuota",
    "LimitRange",
    "PodSecurityPolicy",
    "PodDisruptionBudget",
    "ServiceAccount",
    "Secret",
    "SecretList",
    "ConfigMap",
    "StorageClass",
    "PersistentVolume",
    "PersistentVolumeClaim",
    "ClusterRole",
    "ClusterRoleList",
    "ClusterRoleBinding",
    "ClusterRoleBindingList",
    "Role",
    "RoleList",
    "RoleBinding",
    "RoleBindingList",
    "Service",
    "DaemonSet",
    "Pod",
    "ReplicationController",
    "ReplicaSet",
    "Deployment",
    "HorizontalPodAutoscaler",
    "StatefulSet",
    "Job",
    "CronJob",
    "IngressClass",
    "Ingress",
    "APIService",
];

/// A group of objects that are applied side by side; groups follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rank(u16);

impl Rank {
    /// Namespaces: before all that lives in them.
    pub const NAMESPACE: Self = Self(0);
    /// Definitions: before all whose kind they define.
    pub const DEFINITION: Self = Self(1);
}

/// Gives the rank of an object.
pub fn rank(key: &ResourceKey) -> Rank {
    if key.is_namespace() {
        return Rank::NAMESPACE;
    }
    if key.is_crd() {
        return Rank::DEFINITION;
    }
    let position = KINDS.iter().position(|kind| *kind == key.kind).unwrap_or(KINDS.len());
    Rank(u16::try_from(position + 2).unwrap_or(u16::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn namespaces_and_definitions_come_first_and_unknown_kinds_last() {
        let rank = |group: &str, kind: &str| rank(&ResourceKey::new(group, kind, "", "x"));
        let order = [
            rank("", "Namespace"),
            rank("apiextensions.k8s.io", "CustomResourceDefinition"),
            rank("", "ServiceAccount"),
            rank("", "ConfigMap"),
            rank("", "Service"),
            rank("apps", "Deployment"),
            rank("networking.istio.io", "VirtualService"),
        ];
        assert!(order.is_sorted_by(|a, b| a < b), "{order:?}");
    }
}
