//! Local policies of agents: some agents of some runs refuse something, whatever the hub says.

use std::sync::Arc;

use argosy_core::key::ResourceKey;
use argosy_core::local::{LocalPolicy, PolicyError};

use super::objects;
use super::random::Random;

/// What an agent's policy refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Guard {
    /// One kind.
    Widgets,
    /// One namespace.
    Mesh,
    /// Everything of the cluster's scope.
    ClusterScope,
    /// All deletes.
    Deletes,
    /// Deletes of everything but config maps.
    OtherDeletes,
    /// All syncs, at any time.
    Syncs,
}

impl Guard {
    /// Draws the policies of a run, for each cluster.
    pub(super) fn draw(random: &mut Random, clusters: usize) -> Vec<Option<Self>> {
        let all =
            [Self::Widgets, Self::Mesh, Self::ClusterScope, Self::Deletes, Self::OtherDeletes, Self::Syncs];
        (0..clusters).map(|_| random.pick(&all).filter(|_| random.percent(60))).collect()
    }

    /// Gives the policy as its agent reads it.
    pub(super) fn policy(self) -> Result<Arc<LocalPolicy>, PolicyError> {
        let says = match self {
            Self::Widgets => "kinds: {deny: [{group: example.com, kind: Widget}]}",
            Self::Mesh => "namespaces: ['*', '!mesh']",
            Self::ClusterScope => "clusterScope: no",
            Self::Deletes => "deletes: never",
            Self::OtherDeletes => "deletes: [{group: '', kind: ConfigMap}]",
            Self::Syncs => {
                "syncWindows: [{kind: deny, schedule: '* * * * *', duration: 1h, applications: ['*']}]"
            }
        };
        let file = format!("apiVersion: argosy.dev/v1alpha1\nkind: AgentPolicy\n{says}\n");
        LocalPolicy::read(file.as_bytes()).map(Arc::new)
    }

    /// Tells whether an object may be written.
    pub(super) fn permits(self, key: &ResourceKey) -> bool {
        match self {
            Self::Widgets => key.kind != "Widget",
            Self::Mesh => key.namespace != "mesh" && !(key.is_namespace() && key.name == "mesh"),
            Self::ClusterScope => objects::is_namespaced(key),
            Self::Deletes | Self::OtherDeletes | Self::Syncs => true,
        }
    }

    /// Tells whether an object may be deleted.
    pub(super) fn permits_delete(self, key: &ResourceKey) -> bool {
        let deletes = match self {
            Self::Deletes => false,
            Self::OtherDeletes => key.kind == "ConfigMap",
            Self::Widgets | Self::Mesh | Self::ClusterScope | Self::Syncs => true,
        };
        deletes && self.permits(key)
    }

    /// Tells whether no sync may begin.
    pub(super) fn is_closed(self) -> bool {
        self == Self::Syncs
    }
}
