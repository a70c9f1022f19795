//! Bodies of the kinds that scripts are about now and then: one of a few, with other metadata.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::workloads::pod;
use crate::differential::kinds::Kind;

/// Gives a body of a kind with the least in it.
pub(super) fn smallest(kind: Kind) -> Value {
    bodies(kind).swap_remove(0)
}

/// Gives bodies of a kind.
pub(super) fn body(kind: Kind) -> BoxedStrategy<Value> {
    prop::sample::select(bodies(kind)).boxed()
}

fn bodies(kind: Kind) -> Vec<Value> {
    match kind.name {
        "Role" | "ClusterRole" => vec![
            json!({}),
            json!({"rules": [{"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}]}),
            json!({"rules": [{"verbs": ["*"], "apiGroups": ["apps", ""], "resources": ["*"]},
                {"verbs": ["get"], "apiGroups": [""], "resources": ["pods"], "resourceNames": ["x"]}]}),
            json!({"rules": [{"verbs": [], "apiGroups": [""], "resources": ["pods"]}]}),
        ],
        "RoleBinding" => vec![
            json!({"roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "x"}}),
            json!({"roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "x"},
                "subjects": [{"kind": "User", "name": "u"}, {"kind": "ServiceAccount", "name": "s", "namespace": "n"}]}),
            json!({"roleRef": {"kind": "ClusterRole", "name": "y"}, "subjects": [{"kind": "Group", "name": "g"}]}),
        ],
        "PersistentVolumeClaim" => vec![
            json!({"spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}),
            json!({"spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "2Gi"}}, "storageClassName": "s"}}),
            json!({"spec": {"accessModes": ["ReadWriteMany"], "volumeMode": "Block", "resources": {"requests": {"storage": "1Gi"}}}}),
            json!({"spec": {"resources": {"requests": {"storage": "1Gi"}}}}),
        ],
        "LimitRange" => vec![
            json!({"spec": {"limits": [{"type": "Container", "max": {"cpu": "1"}}]}}),
            json!({"spec": {"limits": [{"type": "Container", "default": {"memory": "1Gi"}, "defaultRequest": {"memory": "1Mi"}}]}}),
            json!({"spec": {"limits": [{"type": "Pod", "max": {"cpu": "2"}}]}}),
        ],
        "Ingress" => vec![
            json!({"spec": {"defaultBackend": {"service": {"name": "s", "port": {"number": 80}}}}}),
            json!({"spec": {"rules": [{"host": "a.test", "http": {"paths": [{"path": "/", "pathType": "Prefix",
                "backend": {"service": {"name": "s", "port": {"name": "http"}}}}]}}]}}),
            json!({"spec": {"ingressClassName": "c", "rules": [{"host": "b.test"}], "tls": [{"hosts": ["a.test"], "secretName": "x"}]}}),
        ],
        "NetworkPolicy" => vec![
            json!({"spec": {"podSelector": {}}}),
            json!({"spec": {"podSelector": {"matchLabels": {"a": "b"}}, "egress": [{"to": [{"podSelector": {}}], "ports": [{"port": 80}]}]}}),
            json!({"spec": {"podSelector": {}, "ingress": [{"from": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}], "policyTypes": ["Ingress"]}}),
        ],
        "HorizontalPodAutoscaler" => vec![
            json!({"spec": {"maxReplicas": 3, "scaleTargetRef": {"kind": "Deployment", "name": "d", "apiVersion": "apps/v1"}}}),
            json!({"spec": {"minReplicas": 2, "maxReplicas": 5, "scaleTargetRef": {"kind": "Deployment", "name": "d", "apiVersion": "apps/v1"},
                "metrics": [{"type": "Resource", "resource": {"name": "memory", "target": {"type": "Utilization", "averageUtilization": 50}}}]}}),
        ],
        "PodDisruptionBudget" => vec![
            json!({"spec": {"minAvailable": 1, "selector": {"matchLabels": {"a": "b"}}}}),
            json!({"spec": {"maxUnavailable": "50%", "selector": {"matchLabels": {"a": "c"}}}}),
        ],
        "PriorityClass" => vec![
            json!({"value": 10}),
            json!({"value": 10, "description": "x"}),
            json!({"value": 20, "preemptionPolicy": "Never"}),
        ],
        "StorageClass" => vec![
            json!({"provisioner": "p"}),
            json!({"provisioner": "p", "allowVolumeExpansion": true, "mountOptions": ["a", "b"]}),
            json!({"provisioner": "q", "reclaimPolicy": "Retain", "parameters": {"a": "b"}}),
        ],
        "ReplicaSet" => vec![
            json!({"spec": {"selector": {"matchLabels": {"a": "b"}}, "template": pod("c", "i")}}),
            json!({"spec": {"replicas": 2, "selector": {"matchLabels": {"a": "b"}}, "template": pod("c", "j")}}),
        ],
        "CronJob" => {
            let mut template = pod("c", "i");
            template["spec"]["restartPolicy"] = "OnFailure".into();
            vec![
                json!({"spec": {"schedule": "* * * * *", "jobTemplate": {"spec": {"template": template}}}}),
                json!({"spec": {"schedule": "0 1 * * *", "suspend": true, "jobTemplate": {"spec": {"template": template, "backoffLimit": 2}}}}),
            ]
        }
        "Lease" => vec![
            json!({"spec": {}}),
            json!({"spec": {"holderIdentity": "x", "leaseDurationSeconds": 10, "renewTime": "2026-01-01T00:00:00.000001Z"}}),
            json!({"spec": {"holderIdentity": "y", "leaseTransitions": 1}}),
            json!({"spec": {"leaseDurationSeconds": 0}}),
        ],
        "EndpointSlice" => vec![
            json!({"addressType": "IPv4", "endpoints": []}),
            json!({"addressType": "IPv4", "endpoints": [{"addresses": ["10.1.2.3"], "conditions": {"ready": true}}],
                "ports": [{"name": "http", "port": 80}]}),
        ],
        _ => {
            let webhook = |name: &str, more: Value| {
                let mut webhook = json!({"name": name, "sideEffects": "None", "admissionReviewVersions": ["v1"],
                    "clientConfig": {"service": {"name": "s", "namespace": "n"}},
                    "rules": [{"operations": ["CREATE"], "apiGroups": ["none.test"], "apiVersions": ["v1"], "resources": ["nothings"]}]});
                for (field, value) in more.as_object().into_iter().flatten() {
                    webhook[field] = value.clone();
                }
                webhook
            };
            vec![
                json!({}),
                json!({"webhooks": [webhook("a.b.test", json!({}))]}),
                json!({"webhooks": [webhook("a.b.test", json!({"failurePolicy": "Ignore"})), webhook("b.b.test", json!({"timeoutSeconds": 3}))]}),
            ]
        }
    }
}
