//! Answers as kube-apiserver 1.36 gives them.

use serde_json::json;

use super::*;

const PLAIN: Subject = Subject { incarnation: false, secret: false };
const INCARNATION: Subject = Subject { incarnation: true, secret: false };
const SECRET: Subject = Subject { incarnation: false, secret: true };

fn status(code: u16, reason: &str, message: &str, details: &Value) -> Refusal {
    let body = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "reason": reason, "message": message, "code": code, "details": details
    });
    Refusal::read(code, None, body.to_string().as_bytes())
}

#[test]
fn another_incarnation_and_an_absent_one_are_told_from_other_conflicts() {
    let absent = status(
        409,
        "Conflict",
        "Operation cannot be fulfilled on configmaps \"a\": uid mismatch: the provided object specified uid 1, and no \
         existing object was found",
        &json!({"name": "a", "kind": "configmaps"}),
    );
    assert!(matches!(absent.classify(INCARNATION), ApiError::Replaced(_)));
    let other = status(
        422,
        "Invalid",
        "ConfigMap \"a\" is invalid: metadata.uid: Invalid value: \"1\": field is immutable",
        &json!({"name": "a", "kind": "ConfigMap", "causes": [{"field": "metadata.uid"}, {"field": "metadata.uid"}]}),
    );
    assert!(matches!(other.classify(INCARNATION), ApiError::Replaced(_)));
    assert!(matches!(other.classify(PLAIN), ApiError::Immutable(_)));
    let delete = status(
        409,
        "Conflict",
        "Operation cannot be fulfilled on ConfigMap \"a\": the UID in the precondition (x) does not match the UID in \
         record (y). The object might have been deleted and then recreated",
        &json!({"name": "a", "kind": "ConfigMap"}),
    );
    assert!(matches!(delete.classify(INCARNATION), ApiError::Replaced(_)));
    let busy = status(409, "Conflict", "the object has been modified", &json!({"name": "a"}));
    assert!(matches!(busy.classify(INCARNATION), ApiError::Conflict(_)));
}

#[test]
fn what_is_not_there_is_told_apart() {
    let namespace =
        status(404, "NotFound", "namespaces \"n\" not found", &json!({"name": "n", "kind": "namespaces"}));
    assert!(matches!(namespace.classify(PLAIN), ApiError::NamespaceMissing(why) if why.contains("\"n\"")));
    let kind = status(404, "NotFound", "the server could not find the requested resource", &json!({}));
    assert!(matches!(kind.classify(PLAIN), ApiError::NotServed(_)));
    assert!(matches!(
        Refusal::read(404, None, b"404 page not found").classify(PLAIN),
        ApiError::NotServed(_)
    ));
    let object =
        status(404, "NotFound", "configmaps \"a\" not found", &json!({"name": "a", "kind": "configmaps"}));
    assert!(object.is_absent());
    assert!(!kind.is_absent());
    assert!(namespace.is_absent());
}

#[test]
fn a_failing_webhook_refuses_and_a_failing_api_server_does_not() {
    let message =
        "Internal error occurred: failed calling webhook \"a.b\": failed to call webhook: Post: refused";
    let webhook = status(500, "InternalError", message, &json!({"causes": [{"message": message}]}));
    assert!(matches!(webhook.classify(PLAIN), ApiError::Refused(_)));
    let etcd = status(500, "", "etcdserver: request timed out", &json!({}));
    assert!(matches!(etcd.classify(PLAIN), ApiError::Unavailable { .. }));
    let starting = Refusal::read(503, Some(Duration::from_secs(2)), b"starting");
    let expected =
        ApiError::Unavailable { message: "starting".into(), retry_after: Some(Duration::from_secs(2)) };
    assert_eq!(starting.classify(PLAIN), expected);
    let busy = status(429, "TooManyRequests", "slow down", &json!({"retryAfterSeconds": 7}));
    let expected =
        ApiError::Unavailable { message: "slow down".into(), retry_after: Some(Duration::from_secs(7)) };
    assert_eq!(busy.classify(PLAIN), expected);
    let credentials = status(401, "Unauthorized", "Unauthorized", &json!({}));
    assert!(
        matches!(credentials.classify(PLAIN), ApiError::Unavailable { message, .. } if message.contains("credentials"))
    );
}

#[test]
fn an_apply_that_does_not_fit_the_schema_is_refused_though_it_comes_as_500() {
    for message in [
        "failed to create typed patch object (/b; /v1, Kind=ConfigMap): .dota: field not declared in schema",
        "failed to convert new object (/b; /v1, Kind=Secret) to proper version: illegal base64 data at input byte 7",
    ] {
        assert!(
            matches!(status(500, "", message, &json!({})).classify(PLAIN), ApiError::Refused(why) if why == message)
        );
    }
    for (code, reason) in
        [(400, "BadRequest"), (403, "Forbidden"), (405, "MethodNotAllowed"), (413, ""), (422, "Invalid")]
    {
        assert!(
            matches!(status(code, reason, "no", &json!({})).classify(PLAIN), ApiError::Refused(why) if why == "no")
        );
    }
}

#[test]
fn a_trial_is_refused_by_what_no_other_object_of_the_sync_can_change() {
    let trial = |code, reason, message| status(code, reason, message, &json!({})).of_trial(PLAIN);
    for (code, reason, message) in [
        (
            403,
            "Forbidden",
            "configmaps \"a\" is forbidden: exceeded quota: q, requested: count/configmaps=1, used",
        ),
        (
            403,
            "Forbidden",
            "pods \"a\" is forbidden: violates PodSecurity \"restricted:latest\": runAsNonRoot != true",
        ),
        (
            403,
            "Forbidden",
            "configmaps \"a\" is forbidden: unable to create new content in namespace x because",
        ),
        (400, "BadRequest", "admission webhook \"w.example.com\" denied the request: not today"),
        (400, "BadRequest", "admission webhook \"w.example.com\" does not support dry run"),
        (500, "InternalError", "failed calling webhook \"w.example.com\": Post: connection refused"),
        (422, "Invalid", "ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no"),
        (
            422,
            "Invalid",
            "Service \"s\" is invalid: spec.ports[0].nodePort: Invalid value: 30000: provided port is already allocated",
        ),
        (409, "Conflict", "the object has been modified"),
    ] {
        assert_eq!(trial(code, reason, message), Ok(()), "{message}");
    }
    for (code, reason, message) in [
        (
            403,
            "Forbidden",
            "configmaps \"a\" is forbidden: User \"agent\" cannot patch resource \"configmaps\" in API group \"\"",
        ),
        (422, "Invalid", "Service \"s\" is invalid: spec.ports: Required value"),
        (
            500,
            "",
            "failed to create typed patch object (n/a; /v1, Kind=ConfigMap): .dota: field not declared in schema",
        ),
    ] {
        assert!(matches!(trial(code, reason, message), Err(ApiError::Refused(_))), "{message}");
    }
    let away = trial(503, "ServiceUnavailable", "the server is currently unable to handle the request");
    assert!(matches!(away, Err(ApiError::Unavailable { .. })));
}

#[test]
fn a_secret_is_never_echoed() {
    let canary = "hunter2";
    let typed = status(
        500,
        "",
        &format!(
            "failed to create typed patch object (/b; /v1, Kind=Secret): .data.k: expected string, got {canary}"
        ),
        &json!({}),
    );
    assert_eq!(typed.classify(SECRET), ApiError::Refused("HTTP status 500 at .data.k".to_owned()));
    let webhook = status(400, "", &format!("admission webhook denied: {canary}"), &json!({}));
    let invalid = status(
        422,
        "Invalid",
        &format!("Secret \"b\" is invalid: data[k]: Invalid value: {canary}"),
        &json!({"causes": [{"field": "data[k]", "message": canary}]}),
    );
    assert_eq!(invalid.classify(SECRET).to_string(), "Invalid (HTTP status 422) at data[k]");
    let tricky = status(500, "", &format!("failed to convert x): {canary}: y"), &json!({}));
    for refusal in [&typed, &webhook, &invalid, &tricky] {
        for code in [400, 401, 403, 404, 409, 422, 429, 500, 503] {
            let refusal = status(code, &refusal.reason, &refusal.message, &json!({}));
            assert!(!refusal.classify(SECRET).to_string().contains(canary), "{refusal:?}");
        }
    }
}

#[test]
fn a_watchs_error_event_carries_its_code() {
    let expired = Refusal::of_status(
        &json!({"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"}),
    );
    assert_eq!(expired.code(), 410);
    assert_eq!(Refusal::of_status(&json!("?")).code(), 500);
}

#[test]
fn what_may_not_change_is_told_from_what_is_wrong_and_from_what_a_policy_forbids() {
    let classify = |message| status(422, "Invalid", message, &json!({})).classify(PLAIN);
    for message in [
        "ConfigMap \"a\" is invalid: data: Forbidden: field is immutable when `immutable` is set",
        "Job.batch \"j\" is invalid: spec.template: Invalid value: {}: field is immutable",
        "StatefulSet.apps \"s\" is invalid: spec: Forbidden: updates to statefulset spec for fields other than 'replicas'",
        "Pod \"p\" is invalid: spec: Forbidden: pod updates may not change fields other than `spec.tolerations`",
    ] {
        assert!(matches!(classify(message), ApiError::Immutable(_)), "{message}");
    }
    for message in [
        "Service \"s\" is invalid: spec.ports: Required value",
        "configmaps \"a\" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: it is immutable",
        "admission webhook \"w.example.com\" denied the request: the field is immutable",
    ] {
        assert!(matches!(classify(message), ApiError::Refused(_)), "{message}");
    }
}

#[test]
fn a_missing_right_to_act_for_an_account_is_told_before_the_first_write() {
    for message in [
        "serviceaccounts \"a\" is forbidden: User \"u\" cannot impersonate resource \"serviceaccounts\" in API group \"\"",
        // From Kubernetes 1.36 on.
        "configmaps \"a\" is forbidden: User \"u\" cannot impersonate-on:serviceaccount:patch resource \"configmaps\"",
    ] {
        let refused = status(403, "Forbidden", message, &json!({})).of_trial(PLAIN);
        assert_eq!(refused, Err(ApiError::Refused(message.to_owned())));
    }
}
