//! The kinds that scripts are about.

/// What scripts are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Area {
    ConfigMaps,
    CustomResources,
    Deployments,
    Services,
    SecretsAndAccounts,
    Workloads,
    Namespaces,
    Definitions,
    Rest,
}

/// Where objects of a kind live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// In the script's namespace.
    Namespace,
    /// In the cluster: their names begin with that of the script's namespace.
    Cluster,
    /// In the cluster: their groups do.
    Definition,
}

/// A kind that scripts are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kind {
    pub(crate) collection: &'static str,
    pub(crate) api_version: &'static str,
    pub(crate) name: &'static str,
    pub(crate) subresources: &'static [&'static str],
    pub(crate) strategic: bool,
    pub(crate) scope: Scope,
}

pub(crate) const CONFIG_MAP: Kind = plain("/api/v1/namespaces/{ns}/configmaps", "v1", "ConfigMap");

pub(crate) const WIDGET: Kind = Kind {
    strategic: false,
    ..with_status("/apis/diff.test/v1/namespaces/{ns}/widgets", "diff.test/v1", "Widget")
};

pub(crate) const OLD_WIDGET: Kind = Kind {
    collection: "/apis/diff.test/v1beta1/namespaces/{ns}/widgets",
    api_version: "diff.test/v1beta1",
    ..WIDGET
};

const SECRETS_AND_ACCOUNTS: [Kind; 2] = [
    plain("/api/v1/namespaces/{ns}/secrets", "v1", "Secret"),
    plain("/api/v1/namespaces/{ns}/serviceaccounts", "v1", "ServiceAccount"),
];

const WORKLOADS: [Kind; 3] = [
    with_status("/apis/apps/v1/namespaces/{ns}/statefulsets", "apps/v1", "StatefulSet"),
    with_status("/apis/apps/v1/namespaces/{ns}/daemonsets", "apps/v1", "DaemonSet"),
    with_status("/apis/batch/v1/namespaces/{ns}/jobs", "batch/v1", "Job"),
];

const DEFINITION: Kind = Kind {
    scope: Scope::Definition,
    ..plain(
        "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
        "apiextensions.k8s.io/v1",
        "CustomResourceDefinition",
    )
};

const RBAC: &str = "rbac.authorization.k8s.io/v1";
const NETWORKING: &str = "networking.k8s.io/v1";

const REST: [Kind; 16] = [
    plain("/apis/rbac.authorization.k8s.io/v1/namespaces/{ns}/roles", RBAC, "Role"),
    plain("/apis/rbac.authorization.k8s.io/v1/namespaces/{ns}/rolebindings", RBAC, "RoleBinding"),
    in_cluster("/apis/rbac.authorization.k8s.io/v1/clusterroles", RBAC, "ClusterRole"),
    plain("/api/v1/namespaces/{ns}/persistentvolumeclaims", "v1", "PersistentVolumeClaim"),
    plain("/api/v1/namespaces/{ns}/limitranges", "v1", "LimitRange"),
    with_status("/apis/networking.k8s.io/v1/namespaces/{ns}/ingresses", NETWORKING, "Ingress"),
    plain("/apis/networking.k8s.io/v1/namespaces/{ns}/networkpolicies", NETWORKING, "NetworkPolicy"),
    with_status(
        "/apis/autoscaling/v2/namespaces/{ns}/horizontalpodautoscalers",
        "autoscaling/v2",
        "HorizontalPodAutoscaler",
    ),
    with_status("/apis/policy/v1/namespaces/{ns}/poddisruptionbudgets", "policy/v1", "PodDisruptionBudget"),
    in_cluster("/apis/scheduling.k8s.io/v1/priorityclasses", "scheduling.k8s.io/v1", "PriorityClass"),
    in_cluster("/apis/storage.k8s.io/v1/storageclasses", "storage.k8s.io/v1", "StorageClass"),
    with_status("/apis/apps/v1/namespaces/{ns}/replicasets", "apps/v1", "ReplicaSet"),
    with_status("/apis/batch/v1/namespaces/{ns}/cronjobs", "batch/v1", "CronJob"),
    plain("/apis/coordination.k8s.io/v1/namespaces/{ns}/leases", "coordination.k8s.io/v1", "Lease"),
    plain("/apis/discovery.k8s.io/v1/namespaces/{ns}/endpointslices", "discovery.k8s.io/v1", "EndpointSlice"),
    in_cluster(
        "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations",
        "admissionregistration.k8s.io/v1",
        "ValidatingWebhookConfiguration",
    ),
];

const fn plain(collection: &'static str, api_version: &'static str, name: &'static str) -> Kind {
    Kind { collection, api_version, name, subresources: &[], strategic: true, scope: Scope::Namespace }
}

const fn with_status(collection: &'static str, api_version: &'static str, name: &'static str) -> Kind {
    Kind { subresources: &["status"], ..plain(collection, api_version, name) }
}

const fn in_cluster(collection: &'static str, api_version: &'static str, name: &'static str) -> Kind {
    Kind { scope: Scope::Cluster, ..plain(collection, api_version, name) }
}

// === impl Area ===

impl Area {
    /// Gives how many scripts of a hundred are about it.
    pub(crate) fn share(self) -> u32 {
        match self {
            Self::ConfigMaps | Self::CustomResources => 25,
            Self::Deployments => 15,
            Self::Workloads => 10,
            Self::SecretsAndAccounts => 9,
            Self::Services | Self::Rest => 6,
            Self::Definitions | Self::Namespaces => 2,
        }
    }

    /// Gives what the names of its namespaces begin with.
    pub(crate) fn letter(self) -> char {
        match self {
            Self::ConfigMaps => 'c',
            Self::CustomResources => 'w',
            Self::Deployments => 'd',
            Self::Services => 's',
            Self::SecretsAndAccounts => 'a',
            Self::Workloads => 'j',
            Self::Namespaces => 'n',
            Self::Definitions => 'k',
            Self::Rest => 'r',
        }
    }

    /// Gives the kinds that it is about; a script is about one of them.
    pub(crate) fn kinds(self) -> &'static [Kind] {
        const DEPLOYMENTS: [Kind; 1] =
            [with_status("/apis/apps/v1/namespaces/{ns}/deployments", "apps/v1", "Deployment")];
        const SERVICES: [Kind; 1] = [with_status("/api/v1/namespaces/{ns}/services", "v1", "Service")];
        const NAMESPACES: [Kind; 1] = [Kind {
            subresources: &["status", "finalize"],
            ..in_cluster("/api/v1/namespaces", "v1", "Namespace")
        }];
        match self {
            Self::ConfigMaps => &[CONFIG_MAP],
            Self::CustomResources => &[WIDGET],
            Self::Deployments => &DEPLOYMENTS,
            Self::Services => &SERVICES,
            Self::SecretsAndAccounts => &SECRETS_AND_ACCOUNTS,
            Self::Workloads => &WORKLOADS,
            Self::Namespaces => &NAMESPACES,
            Self::Definitions => &[DEFINITION],
            Self::Rest => &REST,
        }
    }
}

// === impl Kind ===

impl Kind {
    /// Gives the name in the cluster of an object that the script knows by a short one.
    pub(crate) fn object(&self, short: &str) -> String {
        match self.scope {
            Scope::Namespace => short.to_owned(),
            Scope::Cluster => format!("{{ns}}-{short}"),
            Scope::Definition => format!("{short}s.{{ns}}.test"),
        }
    }

    /// Tells whether the API server itself works on its objects, so that an answer may be overtaken.
    pub(crate) fn settles(&self) -> bool {
        self.scope == Scope::Definition
    }

    /// Tells whether its objects take what there is little of: addresses, or space in every answer of discovery.
    pub(crate) fn is_scarce(&self) -> bool {
        self.name == "Service" || self.scope != Scope::Namespace
    }
}
