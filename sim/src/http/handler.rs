//! One request, from its head to its answer.

mod objects;

use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;
use http::{Method, Request, Response, header};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::Body as HttpBody;
use serde_json::{Value, json};

use super::answer::{Answer, Body};
use super::audit::Event;
use super::media::DiscoveryForm;
use super::path::{Address, Target};
use super::query::Query;
use super::rbac::{ANONYMOUS, AUTHENTICATED, UNAUTHENTICATED, User, Wish};
use super::shared::Shared;
use super::{openapi, refusal};
use crate::cluster::Status;

/// The longest body that is read.
const BODY_LIMIT: usize = 3 << 20;

/// A request that was read.
pub(super) struct Asked<'a> {
    pub(super) method: &'a Method,
    pub(super) query: Query,
    pub(super) accept: &'a str,
    pub(super) content_type: &'a str,
    pub(super) user_agent: &'a str,
    pub(super) user: User,
    pub(super) body: Bytes,
}

/// Answers a request.
///
/// # Cancel safety
/// Dropped early, the request was carried out or not; the client has no answer.
pub(crate) async fn handle<B>(shared: Arc<Shared>, request: Request<B>) -> Response<Body>
where
    B: HttpBody<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let (parts, body) = request.into_parts();
    let (answer, body) = match Limited::new(body, BODY_LIMIT).collect().await {
        Ok(body) => {
            let body = body.to_bytes();
            (answer(&shared, &parts, body.clone()).await, body)
        }
        Err(error) if error.is::<LengthLimitError>() => (Err(refusal::too_large()), Bytes::new()),
        Err(error) => {
            let why = format!("the body of the request cannot be read: {error}");
            (Err(Status::bad_request(why)), Bytes::new())
        }
    };
    let answer = answer.unwrap_or_else(|status| Answer::refusal(&status));
    let told = audited(&shared, &parts, &body, answer.code());
    told.map_or_else(|status| Answer::refusal(&status), |()| answer).into_response()
}

/// Writes a request down, if requests are written down.
fn audited(shared: &Shared, parts: &Parts, body: &[u8], code: u16) -> Result<(), Status> {
    let Some(audit) = &shared.audit else { return Ok(()) };
    let user = authenticate(shared, parts).map_or_else(|_unknown| String::new(), |user| user.name);
    audit.record(&Event { parts, body, user: &user, code, now: shared.now() })
}

async fn answer(shared: &Arc<Shared>, parts: &Parts, body: Bytes) -> Result<Answer, Status> {
    let query = Query::of(parts.uri.query().unwrap_or_default());
    let target = Target::of(parts.uri.path());
    let user = impersonated(shared, authenticate(shared, parts)?, parts)?;
    if !matches!(target, Target::Health) {
        misfortune(shared, &query).await?;
    }
    authorize(shared, &user, parts, &target, &query)?;
    let text = |name: header::HeaderName| {
        parts.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    };
    let asked = Asked {
        method: &parts.method,
        query,
        accept: text(header::ACCEPT),
        content_type: text(header::CONTENT_TYPE),
        user_agent: text(header::USER_AGENT),
        user,
        body,
    };
    if let Target::Objects(address) = &target {
        objects::answer(shared, address, &asked)
    } else {
        documents(shared, &target, &asked)
    }
}

/// Answers what is about the server itself.
fn documents(shared: &Shared, target: &Target, asked: &Asked<'_>) -> Result<Answer, Status> {
    if *asked.method != Method::GET && *asked.method != Method::HEAD {
        return Err(Status::method_not_allowed());
    }
    let found =
        |document: Option<Value>| Ok(document.as_ref().map_or_else(Answer::no_such_page, Answer::json));
    let aggregated = |core: bool| {
        let form = DiscoveryForm::negotiate(asked.accept).ok_or_else(|| refusal::not_acceptable(false))?;
        let catalogue = shared.catalogue();
        let document = match form {
            DiscoveryForm::Aggregated => catalogue.aggregated(core),
            DiscoveryForm::Legacy if core => json!({"kind": "APIVersions", "versions": ["v1"],
                "serverAddressByClientCIDRs": []}),
            DiscoveryForm::Legacy => catalogue.groups(),
        };
        Ok(Answer::bytes(200, form.media(), document.to_string()))
    };
    match target {
        Target::Version => Ok(Answer::json(&version())),
        Target::Health => Ok(Answer::text(200, "ok")),
        Target::LegacyVersions => aggregated(true),
        Target::Groups => aggregated(false),
        Target::Group(name) => found(shared.catalogue().one_group(name)),
        Target::Resources { group, version } => match shared.catalogue().list(group, version) {
            None if group.is_empty() => Err(refusal::not_found()),
            list => found(list),
        },
        Target::OpenApi => Ok(Answer::json(&openapi::root(&shared.catalogue()))),
        Target::OpenApiOf { group, version } => found(openapi::of(&shared.catalogue(), group, version)),
        Target::OpenApiV2 => Err(refusal::not_found()),
        Target::Root => Ok(Answer::json(&root(shared))),
        Target::Nothing | Target::Objects(_) => Ok(Answer::no_such_page()),
    }
}

/// Finds out who asks: nobody in particular without a token, nobody at all with a wrong one.
fn authenticate(shared: &Shared, parts: &Parts) -> Result<User, Status> {
    let Some(value) = parts.headers.get(header::AUTHORIZATION) else { return Ok(User::anonymous()) };
    let text = value.to_str().map_err(|_no_text| refusal::unauthorized())?;
    let token = text.split_once(' ').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    match token.map(|(_, token)| token.trim()) {
        // An empty token, or one of another scheme, says nothing.
        None | Some("") => Ok(User::anonymous()),
        Some(token) => shared.user(token).ok_or_else(refusal::unauthorized),
    }
}

/// Gives whom somebody acts for, if that is asked for and allowed.
fn impersonated(shared: &Shared, user: User, parts: &Parts) -> Result<User, Status> {
    let texts = |name: &str| -> Vec<String> {
        let values = parts.headers.get_all(name).iter();
        values.filter_map(|value| value.to_str().ok().map(str::to_owned)).collect()
    };
    let groups = texts("impersonate-group");
    let Some(name) = texts("impersonate-user").into_iter().next() else {
        if groups.is_empty() {
            return Ok(user);
        }
        let message = "requested groups without impersonating a user";
        return Err(Status::new(500, "InternalError", format!("Internal error occurred: {message}")));
    };
    // A service account is an object, and brings the groups of its namespace.
    let account = name.strip_prefix("system:serviceaccount:").and_then(|rest| rest.split_once(':'));
    let own = match account {
        Some((namespace, name)) => ("serviceaccounts", namespace, name),
        None => ("users", "", name.as_str()),
    };
    for (resource, namespace, name) in
        std::iter::once(own).chain(groups.iter().map(|group| ("groups", "", group.as_str())))
    {
        let wish =
            Wish::Objects { verb: "impersonate", group: "", resource, subresource: "", namespace, name };
        if shared.policy().allows(&user, &wish).is_none() {
            return Err(refusal::forbidden(&user, &wish));
        }
    }
    let known = if name == ANONYMOUS { UNAUTHENTICATED } else { AUTHENTICATED };
    let of_accounts = match account {
        Some((namespace, _)) if groups.is_empty() => {
            vec!["system:serviceaccounts".to_owned(), format!("system:serviceaccounts:{namespace}")]
        }
        Some(_) | None => Vec::new(),
    };
    let groups = groups.into_iter().chain(of_accounts).chain([known.to_owned()]).collect();
    Ok(User { name, groups })
}

/// Waits, and refuses, as the server's temper wants it. The client's own deadline holds.
async fn misfortune(shared: &Shared, query: &Query) -> Result<(), Status> {
    let fate = shared.faults.draw();
    if !fate.wait.is_zero() {
        let limit = argosy_runtime::args::parse_duration(query.text("timeout")).ok();
        let wait = limit.map_or(fate.wait, |limit| limit.min(fate.wait));
        tokio::time::sleep(wait).await;
        if wait < fate.wait {
            let message =
                "Timeout: request did not complete within requested timeout - context deadline exceeded";
            return Err(Status::new(504, "Timeout", message));
        }
    }
    fate.refusal.map_or(Ok(()), Err)
}

fn authorize(
    shared: &Shared,
    user: &User,
    parts: &Parts,
    target: &Target,
    query: &Query,
) -> Result<(), Status> {
    if user.is_master() {
        return Ok(());
    }
    let method = parts.method.as_str().to_lowercase();
    let name;
    let wish = match target {
        Target::Objects(address) => {
            name = selected_name(address, query);
            Wish::Objects {
                verb: verb(&parts.method, address, query),
                group: &address.group,
                resource: &address.resource,
                subresource: &address.subresource,
                namespace: target_namespace(address),
                name: &name,
            }
        }
        Target::Root
        | Target::Version
        | Target::Health
        | Target::OpenApi
        | Target::OpenApiOf { .. }
        | Target::OpenApiV2
        | Target::LegacyVersions
        | Target::Groups
        | Target::Group(_)
        | Target::Resources { .. }
        | Target::Nothing => Wish::Path { verb: &method, path: parts.uri.path() },
    };
    match shared.policy().allows(user, &wish) {
        Some(_reason) => Ok(()),
        None => Err(refusal::forbidden(user, &wish)),
    }
}

/// Gives the namespace that a request is about: a namespace is judged by the rules inside of it.
pub(super) fn target_namespace(address: &Address) -> &str {
    if address.resource == "namespaces" { &address.name } else { &address.namespace }
}

/// Gives the verb that roles know a request by.
pub(super) fn verb(method: &Method, address: &Address, query: &Query) -> &'static str {
    let one = !address.name.is_empty();
    match method.as_str() {
        "POST" => "create",
        "PUT" => "update",
        "PATCH" => "patch",
        "DELETE" if one => "delete",
        "DELETE" => "deletecollection",
        _ if address.watch || (!one && query.flag("watch")) => "watch",
        _ if one => "get",
        _ => "list",
    }
}

/// Gives the name that a request is about: a list of one name counts as that one.
fn selected_name(address: &Address, query: &Query) -> String {
    if !address.name.is_empty() {
        return address.name.clone();
    }
    let term =
        query.text("fieldSelector").split(',').find_map(|term| term.trim().strip_prefix("metadata.name="));
    term.unwrap_or_default().trim_start_matches('=').to_owned()
}

fn version() -> Value {
    json!({
        "major": "1",
        "minor": "36",
        "emulationMajor": "1",
        "emulationMinor": "36",
        "minCompatibilityMajor": "1",
        "minCompatibilityMinor": "35",
        "gitVersion": "v1.36.3",
        "gitCommit": "argosy-sim",
        "gitTreeState": "",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "none",
        "compiler": "rustc",
        "platform": "linux/amd64",
    })
}

fn root(shared: &Shared) -> Value {
    let mut paths: Vec<String> =
        ["/api", "/apis", "/healthz", "/livez", "/openapi/v3", "/readyz", "/version"]
            .map(str::to_owned)
            .to_vec();
    let catalogue = shared.catalogue();
    paths.extend(catalogue.group_versions().map(|(group, version)| {
        if group.is_empty() { format!("/api/{version}") } else { format!("/apis/{group}/{version}") }
    }));
    paths.sort();
    json!({"paths": paths})
}
