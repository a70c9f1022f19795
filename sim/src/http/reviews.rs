//! Questions about access: kinds whose objects are asked, not kept.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::rbac::{User, Wish};
use super::shared::Shared;
use crate::cluster::Status;
use crate::kinds::{Origin, Resource};

const AUTHENTICATION: &str = "authentication.k8s.io";
const AUTHORIZATION: &str = "authorization.k8s.io";

const KINDS: [(&str, &str, &str, &str, bool); 6] = [
    (AUTHENTICATION, "selfsubjectreviews", "selfsubjectreview", "SelfSubjectReview", false),
    (AUTHENTICATION, "tokenreviews", "tokenreview", "TokenReview", false),
    (
        AUTHORIZATION,
        "localsubjectaccessreviews",
        "localsubjectaccessreview",
        "LocalSubjectAccessReview",
        true,
    ),
    (AUTHORIZATION, "selfsubjectaccessreviews", "selfsubjectaccessreview", "SelfSubjectAccessReview", false),
    (AUTHORIZATION, "selfsubjectrulesreviews", "selfsubjectrulesreview", "SelfSubjectRulesReview", false),
    (AUTHORIZATION, "subjectaccessreviews", "subjectaccessreview", "SubjectAccessReview", false),
];

/// Gives the kinds.
pub(crate) fn resources() -> impl Iterator<Item = Arc<Resource>> {
    KINDS.iter().map(|(group, plural, singular, kind, namespaced)| {
        Arc::new(Resource {
            group: (*group).to_owned(),
            version: "v1".to_owned(),
            plural: (*plural).to_owned(),
            singular: (*singular).to_owned(),
            kind: (*kind).to_owned(),
            list_kind: String::new(),
            short_names: Vec::new(),
            categories: Vec::new(),
            namespaced: *namespaced,
            verbs: vec!["create"],
            subresources: Vec::new(),
            origin: Origin::BuiltIn(""),
            habits: crate::kinds::Habits::default(),
        })
    })
}

/// Finds one of the kinds.
pub(crate) fn resource(group: &str, version: &str, plural: &str) -> Option<Arc<Resource>> {
    resources().find(|known| known.group == group && known.version == version && known.plural == plural)
}

/// Answers a question.
pub(crate) fn answer(
    shared: &Shared,
    resource: &Resource,
    user: &User,
    asked: &Value,
) -> Result<Value, Status> {
    let status = match resource.plural.as_str() {
        "selfsubjectreviews" => json!({"userInfo": info(user)}),
        "tokenreviews" => token(shared, asked),
        "selfsubjectaccessreviews" => access(shared, user, asked)?,
        "selfsubjectrulesreviews" => rules(shared, user, asked)?,
        _ => access(shared, &subject(asked), asked)?,
    };
    let mut answer = Map::new();
    answer.insert("kind".to_owned(), resource.kind.as_str().into());
    answer.insert("apiVersion".to_owned(), resource.api_version().into());
    let mut metadata = asked.get("metadata").cloned().unwrap_or_else(|| json!({}));
    if resource.plural == "selfsubjectreviews"
        && let Some(metadata) = metadata.as_object_mut()
    {
        metadata.insert("creationTimestamp".to_owned(), shared.now().seconds().into());
    }
    answer.insert("metadata".to_owned(), metadata);
    match resource.plural.as_str() {
        "selfsubjectreviews" => None,
        // What was asked is not told again.
        "selfsubjectrulesreviews" => answer.insert("spec".to_owned(), json!({})),
        _ => answer.insert("spec".to_owned(), asked.get("spec").cloned().unwrap_or_else(|| json!({}))),
    };
    answer.insert("status".to_owned(), status);
    Ok(Value::Object(answer))
}

fn info(user: &User) -> Value {
    json!({"username": user.name, "uid": user.name, "groups": user.groups})
}

fn token(shared: &Shared, asked: &Value) -> Value {
    match shared.user(text(asked, "/spec/token")) {
        Some(user) => json!({"authenticated": true, "user": info(&user)}),
        None => json!({"user": {}, "error": "[invalid bearer token]"}),
    }
}

fn access(shared: &Shared, user: &User, asked: &Value) -> Result<Value, Status> {
    let wish = if asked.pointer("/spec/resourceAttributes").is_some() {
        let of = |field: &str| text(asked, &format!("/spec/resourceAttributes/{field}"));
        Wish::Objects {
            verb: of("verb"),
            group: of("group"),
            resource: of("resource"),
            subresource: of("subresource"),
            namespace: of("namespace"),
            name: of("name"),
        }
    } else if asked.pointer("/spec/nonResourceAttributes").is_some() {
        Wish::Path {
            verb: text(asked, "/spec/nonResourceAttributes/verb"),
            path: text(asked, "/spec/nonResourceAttributes/path"),
        }
    } else {
        return Err(Status::bad_request(
            "spec.resourceAttributes: Invalid value: exactly one of nonResourceAttributes or resourceAttributes must be \
             specified",
        ));
    };
    Ok(match shared.policy().allows(user, &wish) {
        Some(reason) if reason.is_empty() => json!({"allowed": true}),
        Some(reason) => json!({"allowed": true, "reason": reason}),
        None => json!({"allowed": false}),
    })
}

fn rules(shared: &Shared, user: &User, asked: &Value) -> Result<Value, Status> {
    let namespace = text(asked, "/spec/namespace");
    if namespace.is_empty() {
        return Err(Status::bad_request("no namespace on request"));
    }
    let rules = shared.policy().rules_of(user, namespace);
    let (mut objects, mut paths) = (Vec::new(), Vec::new());
    for (is_path, rule) in rules.iter().map(super::rbac::Rule::to_value) {
        if is_path { paths.push(rule) } else { objects.push(rule) }
    }
    Ok(json!({"resourceRules": objects, "nonResourceRules": paths, "incomplete": false}))
}

fn subject(asked: &Value) -> User {
    let groups = asked.pointer("/spec/groups").and_then(Value::as_array).into_iter().flatten();
    let groups = groups.filter_map(Value::as_str).map(str::to_owned).collect();
    User { name: text(asked, "/spec/user").to_owned(), groups }
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}
