//! Kinds of operators: certificates, secrets, Keycloak, Developer Hub, OLM, Tekton.

use super::{Around, table, table_among};

fn by_ready(group: &str, kind: &str, waiting: &str) {
    let waiting = format!("Progressing: {waiting}");
    table(
        group,
        kind,
        &[
            ("{}", &waiting),
            ("{status: {conditions: [{type: Ready, status: Unknown, message: m}]}}", &waiting),
            ("{status: {conditions: [{type: Ready, status: 'False', message: m}]}}", "Degraded: m"),
            ("{status: {conditions: [{type: Ready, status: 'True', message: m}]}}", "Healthy: m"),
        ],
    );
}

#[test]
fn certificates_and_issuers_are_judged_by_ready() {
    by_ready("cert-manager.io", "Certificate", "Waiting for certificate");
    by_ready("cert-manager.io", "Issuer", "Initializing issuer");
    by_ready("cert-manager.io", "ClusterIssuer", "Initializing ClusterIssuer");
    by_ready("certmanager.k8s.io", "Certificate", "Waiting for certificate");
    by_ready("certmanager.k8s.io", "Issuer", "Initializing issuer");
    let renewed = "{status: {conditions: [{type: Ready, status: 'True'}, {type: Issuing, status: 'True', message: anew}]}}";
    table("cert-manager.io", "Certificate", &[(renewed, "Progressing: anew")]);
    table("certmanager.k8s.io", "Certificate", &[(renewed, "Healthy")]);
}

#[test]
fn external_secrets_are_judged_by_ready_and_a_history_by_its_end() {
    for kind in ["ExternalSecret", "SecretStore", "ClusterSecretStore", "PushSecret"] {
        by_ready("external-secrets.io", kind, &format!("Waiting for {kind}"));
    }
    table(
        "external-secrets.io",
        "ClusterExternalSecret",
        &[
            ("{}", "Progressing: Waiting for ClusterExternalSecret"),
            (
                "{status: {conditions: [{type: NotReady, status: 'True', message: a}, {type: Ready, status: 'True', message: b}]}}",
                "Healthy: b",
            ),
            (
                "{status: {conditions: [{type: Ready, status: 'True', message: a}, {type: PartiallyReady, status: 'True', message: b}]}}",
                "Degraded: b",
            ),
            ("{status: {conditions: [{type: NotReady, status: 'True', message: a}]}}", "Degraded: a"),
        ],
    );
}

#[test]
fn a_class_of_mounted_secrets_is_judged_by_the_pods_that_mount_it() {
    let group = "secrets-store.csi.x-k8s.io";
    let plain = "{metadata: {name: vault, namespace: rhdh}, spec: {provider: vault}}";
    let makes = "{metadata: {name: vault, namespace: rhdh}, spec: {secretObjects: [{secretName: keycloak}]}}";
    table(group, "SecretProviderClass", &[(plain, "Healthy"), (makes, "no opinion")]);
    table_among(
        group,
        "SecretProviderClass",
        &Around::default(),
        &[(plain, "Healthy"), (makes, "Progressing: no pod mounts it yet, so its secrets are not there")],
    );
    let mount = |mounted: bool| {
        format!(
            "{{apiVersion: secrets-store.csi.x-k8s.io/v1, kind: SecretProviderClassPodStatus, metadata: {{name: a, namespace: rhdh}},
              status: {{secretProviderClassName: vault, podName: hub, mounted: {mounted}}}}}"
        )
    };
    table_among(group, "SecretProviderClass", &Around::of(&[&mount(true)]), &[(makes, "Healthy")]);
    let failed = "Degraded: pod hub could not mount it";
    table_among(group, "SecretProviderClass", &Around::of(&[&mount(false)]), &[(makes, failed)]);
}

#[test]
fn keycloak_says_true_in_two_ways() {
    let group = "k8s.keycloak.org";
    table(
        group,
        "Keycloak",
        &[
            ("{}", "Progressing: Waiting for Keycloak status conditions to exist"),
            ("{status: {conditions: [{type: Ready, status: 'False'}]}}", "Progressing"),
            ("{status: {conditions: [{type: Ready, status: 'True', message: m}]}}", "Healthy"),
            ("{status: {conditions: [{type: Ready, status: true}]}}", "Healthy"),
            ("{status: {conditions: [{type: Ready, status: 'true'}]}}", "Healthy"),
            (
                "{status: {conditions: [{type: Ready, status: 'True'}, {type: HasErrors, status: true, message: db}]}}",
                "Degraded: Has Errors: db",
            ),
            (
                "{status: {conditions: [{type: Ready, status: 'True'}, {type: RollingUpdate, status: 'True', message: m}]}}",
                "Progressing: m",
            ),
            (
                "{metadata: {generation: 2}, status: {observedGeneration: 1, conditions: [{type: Ready, status: 'True'}]}}",
                "Progressing: Waiting for generation 2 to be observed: the status is of generation 1",
            ),
        ],
    );
    table(
        group,
        "KeycloakRealmImport",
        &[
            ("{}", "Progressing: Waiting for the realm to be imported"),
            (
                "{status: {conditions: [{type: Started, status: 'True', message: m}, {type: Done, status: 'False'}]}}",
                "Progressing: m",
            ),
            (
                "{status: {conditions: [{type: Started, status: 'False'}, {type: Done, status: 'True'}]}}",
                "Healthy",
            ),
            (
                "{status: {conditions: [{type: HasErrors, status: true, message: m}]}}",
                "Degraded: Has Errors: m",
            ),
        ],
    );
}

#[test]
fn developer_hub_is_deployed_when_its_workload_has_rolled_out() {
    let group = "rhdh.redhat.com";
    let deployed = "{metadata: {name: hub, namespace: rhdh}, status: {conditions: [{type: Deployed, status: 'True', reason: Deployed}]}}";
    table(
        group,
        "Backstage",
        &[
            ("{}", "Progressing: Waiting for the operator to deploy"),
            (
                "{status: {conditions: [{type: Deployed, status: 'False', reason: DeployInProgress, message: m}]}}",
                "Progressing: m",
            ),
            (
                "{status: {conditions: [{type: Deployed, status: 'False', reason: DeployFailed, message: no ConfigMap}]}}",
                "Degraded: no ConfigMap",
            ),
            (
                "{status: {conditions: [{type: Deployed, status: 'False', reason: Idled, message: idle}]}}",
                "Suspended: idle",
            ),
            (deployed, "Healthy"),
        ],
    );
    let lagging = Around::of(&["{apiVersion: apps/v1, kind: Deployment, metadata: {name: backstage-hub, namespace: rhdh, generation: 2},
        spec: {replicas: 2}, status: {observedGeneration: 2, updatedReplicas: 1}}"]);
    table_among(
        group,
        "Backstage",
        &lagging,
        &[(deployed, "Progressing: 1 of 2 replicas of backstage-hub are updated")],
    );
    let done = Around::of(&["{apiVersion: apps/v1, kind: StatefulSet, metadata: {name: backstage-hub, namespace: rhdh, generation: 2},
        spec: {replicas: 2}, status: {observedGeneration: 2, updatedReplicas: 2}}"]);
    table_among(group, "Backstage", &done, &[(deployed, "Healthy")]);
}

#[test]
fn a_subscription_that_waits_for_a_person_is_healthy_once_something_is_installed() {
    let group = "operators.coreos.com";
    let pending = "Progressing: An install plan for a subscription is pending installation";
    table(
        group,
        "Subscription",
        &[
            ("{}", pending),
            ("{status: {installedCSV: a.v1, conditions: [{type: InstallPlanPending, status: 'True', reason: Installing}]}}", pending),
            ("{status: {state: UpgradePending, installedCSV: a.v1}}", pending),
            ("{status: {state: AtLatestKnown}}", pending),
            (
                "{spec: {installPlanApproval: Manual}, status: {state: UpgradePending, conditions: [{type: InstallPlanPending, status: 'True', reason: RequiresApproval}]}}",
                pending,
            ),
            (
                "{spec: {installPlanApproval: Manual}, status: {state: UpgradePending, installedCSV: a.v1, conditions: [
                  {type: CatalogSourcesUnhealthy, status: 'False'}, {type: InstallPlanPending, status: 'True', reason: RequiresApproval}]}}",
                "Healthy: 1: CatalogSourcesUnhealthy | False\n",
            ),
            (
                "{status: {state: AtLatestKnown, installedCSV: a.v1, conditions: [{type: CatalogSourcesUnhealthy, status: 'False'}]}}",
                "Healthy: 1: CatalogSourcesUnhealthy | False\n",
            ),
            (
                "{status: {installedCSV: a.v1, conditions: [{type: CatalogSourcesUnhealthy, status: 'False'}, {type: ResolutionFailed, status: 'True'}]}}",
                "Degraded: 1: CatalogSourcesUnhealthy | False\n2: ResolutionFailed | True\n",
            ),
            ("{status: {conditions: [{type: InstallPlanFailed, status: 'True'}]}}", "Degraded: 1: InstallPlanFailed | True\n"),
            ("{status: {state: UpgradeFailed, installedCSV: a.v1}}", "Degraded"),
            (
                "{status: {installedCSV: a.v1, conditions: [{type: InstallPlanMissing, status: 'True', reason: ReferencedInstallPlanNotFound}]}}",
                "Healthy: 1: InstallPlanMissing | True\n",
            ),
            ("{status: {conditions: [{type: InstallPlanMissing, status: 'True'}]}}", "Degraded: 1: InstallPlanMissing | True\n"),
        ],
    );
    table(
        group,
        "ClusterServiceVersion",
        &[
            ("{}", "Progressing"),
            ("{status: {phase: Installing, message: m}}", "Progressing: m"),
            ("{status: {phase: Succeeded, message: m}}", "Healthy: m"),
            ("{status: {phase: Failed, message: m}}", "Degraded: m"),
        ],
    );
    for kind in ["OperatorGroup", "CatalogSource"] {
        table(group, kind, &[("{status: {conditions: [{type: Ready, status: 'False'}]}}", "no opinion")]);
    }
}

#[test]
fn pipelines_are_there_and_runs_succeed() {
    for kind in ["StepAction", "Task", "Pipeline"] {
        table("tekton.dev", kind, &[("{}", "Healthy")]);
    }
    for kind in ["PipelineRun", "TaskRun"] {
        table(
            "tekton.dev",
            kind,
            &[
                ("{}", "Progressing: Waiting for the run to begin"),
                (
                    "{status: {conditions: [{type: Succeeded, status: Unknown, reason: Running, message: m}]}}",
                    "Progressing: m",
                ),
                (
                    "{status: {conditions: [{type: Succeeded, status: Unknown, reason: PipelineRunPending, message: m}]}}",
                    "Suspended: m",
                ),
                ("{status: {conditions: [{type: Succeeded, status: 'False', message: m}]}}", "Degraded: m"),
                ("{status: {conditions: [{type: Succeeded, status: 'True', message: m}]}}", "Healthy: m"),
            ],
        );
    }
    for kind in ["TektonConfig", "TektonPruner"] {
        table(
            "operator.tekton.dev",
            kind,
            &[
                ("{}", "Progressing: Waiting for the operator"),
                ("{status: {conditions: [{type: Ready, status: 'True'}]}}", "Healthy"),
                ("{status: {conditions: [{type: Ready, status: Unknown, message: m}]}}", "Progressing: m"),
                ("{status: {conditions: [{type: Ready, status: 'False', reason: Error}, {type: PreInstall, status: 'False'}]}}", "Progressing: Error"),
                (
                    "{status: {conditions: [{type: Ready, status: 'False'}, {type: ComponentsReady, status: 'False', message: Invalid Pruner Configuration}]}}",
                    "Degraded: Invalid Pruner Configuration",
                ),
                (
                    "{status: {conditions: [{type: Ready, status: 'False'}, {type: ComponentsReady, status: 'False',
                      message: 'Components not in ready state: TektonTrigger: reconcile again and proceed'}]}}",
                    "Progressing: Components not in ready state: TektonTrigger: reconcile again and proceed",
                ),
            ],
        );
    }
}
