//! Refusals that the server itself gives, before a cluster is asked.

use super::rbac::{User, Wish};
use crate::cluster::{Details, Status};

pub(crate) fn unauthorized() -> Status {
    Status::new(401, "Unauthorized", "Unauthorized")
}

/// Says that a path, or a resource of a group that is there, is not.
pub(crate) fn not_found() -> Status {
    with_details(Status::new(404, "NotFound", "the server could not find the requested resource"))
}

pub(crate) fn not_acceptable(custom: bool) -> Status {
    if custom {
        let message = "only the following media types are accepted: application/json, application/yaml";
        return Status::new(406, "NotAcceptable", message);
    }
    let message = "406: Not Acceptable\n\nAvailable representations: application/json, application/yaml, \
                   application/json;stream=watch";
    with_details(Status::new(406, "NotAcceptable", message))
}

/// Says that a body is of no type that is read.
pub(crate) fn unsupported_body(accepted: &str) -> Status {
    let message = format!(
        "the body of the request was in an unknown format - accepted media types include: {accepted}"
    );
    Status::new(415, "UnsupportedMediaType", message)
}

pub(crate) fn unsupported_patch() -> Status {
    with_details(Status::new(415, "UnsupportedMediaType", "415: Unsupported Media Type"))
}

pub(crate) fn too_large() -> Status {
    let message = "Request entity too large: limit is 3145728";
    with_details(Status::new(413, "RequestEntityTooLarge", message))
}

/// Says that the version in a query is no number.
pub(crate) fn bad_version(text: &str) -> Status {
    let why = format!("strconv.ParseUint: parsing {text:?}: invalid syntax");
    Status::new(500, "", format!("resourceVersion: Invalid value: {text:?}: {why}"))
}

/// Says that somebody may not do something.
pub(crate) fn forbidden(user: &User, wish: &Wish<'_>) -> Status {
    let why = wish.denied(user);
    let (what, details) = match wish {
        Wish::Path { .. } => (String::new(), Details::default()),
        Wish::Objects { group, resource, name, .. } => {
            let dotted =
                if group.is_empty() { (*resource).to_owned() } else { format!("{resource}.{group}") };
            let what =
                if name.is_empty() { format!("{dotted} is ") } else { format!("{dotted} {name:?} is ") };
            let details = Details {
                name: (*name).to_owned(),
                group: (*group).to_owned(),
                kind: (*resource).to_owned(),
                ..Details::default()
            };
            (what, details)
        }
    };
    let mut status = Status::new(403, "Forbidden", format!("{what}forbidden: {why}"));
    status.details = Some(Box::new(details));
    status
}

fn with_details(mut status: Status) -> Status {
    status.details = Some(Box::default());
    status
}
