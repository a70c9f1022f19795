//! The options of requests: parameters of the query, or a `DeleteOptions` object.

use serde_json::{Map, Value};

use super::query::{NotANumber, Query};
use crate::cluster::{Cause, DeleteOptions, FieldValidation, ListOptions, Status};

/// The longest name of a manager of fields.
const MANAGER_LIMIT: usize = 128;

/// Options of a creation or a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WriteOptions {
    pub(crate) manager: String,
    pub(crate) dry_run: bool,
    pub(crate) validation: FieldValidation,
    pub(crate) force: bool,
}

/// Options of a watch besides those of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WatchOptions {
    pub(crate) bookmarks: bool,
    pub(crate) initial_events: Option<bool>,
    /// In seconds; 0 for a time of the server's choice.
    pub(crate) timeout: u64,
}

/// What kind of a change is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    Create,
    Update,
    Patch,
    Apply,
}

impl From<NotANumber> for Status {
    fn from(error: NotANumber) -> Self {
        Self::bad_request(error.to_string())
    }
}

// === impl WriteOptions ===

impl WriteOptions {
    /// Reads the options of a change; without a manager the client's program is it.
    pub(crate) fn read(query: &Query, change: Change, user_agent: &str) -> Result<Self, Status> {
        let mut causes = Vec::new();
        let given = query.text("fieldManager");
        if given.len() > MANAGER_LIMIT {
            causes.push(Cause::too_long("fieldManager", MANAGER_LIMIT));
        } else if let Some((at, letter)) = given.chars().enumerate().find(|(_, letter)| letter.is_control()) {
            let detail = format!("invalid character U+{:04X} (at position {at})", u32::from(letter));
            causes.push(Cause::invalid("fieldManager", &given.into(), &detail));
        } else if given.is_empty() && change == Change::Apply {
            causes.push(Cause::required("fieldManager", "is required for apply patch"));
        }
        if change != Change::Apply && query.all("force").next().is_some() {
            causes.push(Cause::forbidden("force", "may not be specified for non-apply patch"));
        }
        let dry_run = dry_run(query.all("dryRun"), &mut causes);
        let validation = match query.text("fieldValidation") {
            "" | "Warn" => FieldValidation::Warn,
            "Ignore" => FieldValidation::Ignore,
            "Strict" => FieldValidation::Strict,
            other => {
                causes.push(Cause::unsupported("fieldValidation", other, &["", "Ignore", "Strict", "Warn"]));
                FieldValidation::Warn
            }
        };
        if !causes.is_empty() {
            return Err(Status::invalid_kind("meta.k8s.io", change.options(), "", causes));
        }
        let manager = if given.is_empty() { program(user_agent) } else { given.to_owned() };
        Ok(Self { manager, dry_run, validation, force: query.flag("force") })
    }
}

// === impl Change ===

impl Change {
    fn options(self) -> &'static str {
        match self {
            Self::Create => "CreateOptions",
            Self::Update => "UpdateOptions",
            Self::Patch | Self::Apply => "PatchOptions",
        }
    }
}

/// Reads the options of a list or watch.
pub(crate) fn list(query: &Query, watch: bool) -> Result<(ListOptions, WatchOptions), Status> {
    let limit = query.number("limit")?.unwrap_or_default();
    let timeout = query.number("timeoutSeconds")?.unwrap_or_default();
    let list = ListOptions {
        label_selector: query.text("labelSelector").to_owned(),
        field_selector: query.text("fieldSelector").to_owned(),
        limit: usize::try_from(limit).unwrap_or_default(),
        continue_token: query.text("continue").to_owned(),
        resource_version: query.text("resourceVersion").to_owned(),
        resource_version_match: query.text("resourceVersionMatch").to_owned(),
    };
    let initial = query.all("sendInitialEvents").next().map(|_| query.flag("sendInitialEvents"));
    let watched = WatchOptions {
        bookmarks: query.flag("allowWatchBookmarks"),
        initial_events: initial,
        timeout: u64::try_from(timeout).unwrap_or_default(),
    };
    let causes = if watch { of_watch(&list, initial) } else { of_list(&list, initial) };
    if causes.is_empty() {
        Ok((list, watched))
    } else {
        Err(Status::invalid_kind("meta.k8s.io", "ListOptions", "", causes))
    }
}

fn of_list(list: &ListOptions, initial: Option<bool>) -> Vec<Cause> {
    const FIELD: &str = "resourceVersionMatch";
    let mut causes = Vec::new();
    let wanted = list.resource_version_match.as_str();
    if !wanted.is_empty() {
        if list.resource_version.is_empty() {
            causes.push(Cause::forbidden(
                FIELD,
                "resourceVersionMatch is forbidden unless resourceVersion is provided",
            ));
        }
        if !list.continue_token.is_empty() {
            causes
                .push(Cause::forbidden(FIELD, "resourceVersionMatch is forbidden when continue is provided"));
        }
        if !matches!(wanted, "Exact" | "NotOlderThan") {
            causes.push(Cause::unsupported(FIELD, wanted, &["Exact", "NotOlderThan", ""]));
        }
        if wanted == "Exact" && list.resource_version == "0" {
            let detail = "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"";
            causes.push(Cause::forbidden(FIELD, detail));
        }
    }
    if initial.is_some() {
        causes.push(Cause::forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list"));
    }
    causes
}

fn of_watch(list: &ListOptions, initial: Option<bool>) -> Vec<Cause> {
    const FIELD: &str = "resourceVersionMatch";
    let mut causes = Vec::new();
    let wanted = list.resource_version_match.as_str();
    if initial.is_some() {
        if wanted != "NotOlderThan" {
            let detail = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan";
            causes.push(Cause::forbidden(FIELD, detail));
        }
        if !list.continue_token.is_empty() {
            causes
                .push(Cause::forbidden(FIELD, "resourceVersionMatch is forbidden when continue is provided"));
        }
    } else if !wanted.is_empty() {
        let detail = "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided";
        causes.push(Cause::forbidden(FIELD, detail));
    }
    if !matches!(wanted, "" | "NotOlderThan") {
        causes.push(Cause::unsupported(FIELD, wanted, &["NotOlderThan"]));
    }
    causes
}

/// Reads the options of a delete: those of the body if there is one, those of the query otherwise.
pub(crate) fn delete(query: &Query, body: Option<&Value>) -> Result<(DeleteOptions, bool), Status> {
    let of_query;
    let value = if let Some(body) = body {
        body
    } else {
        of_query = delete_of_query(query)?;
        &of_query
    };
    let mut causes = Vec::new();
    let text = |field: &str| value.get(field).and_then(Value::as_str);
    let policy = text("propagationPolicy").unwrap_or_default();
    if !policy.is_empty() {
        if value.get("orphanDependents").is_some_and(Value::is_boolean) {
            let detail = "orphanDependents and deletionPropagation cannot be both set";
            causes.push(Cause::invalid("propagationPolicy", &policy.into(), detail));
        } else if !matches!(policy, "Foreground" | "Background" | "Orphan") {
            let known = ["Foreground", "Background", "Orphan", "nil"];
            causes.push(Cause::unsupported("propagationPolicy", policy, &known));
        }
    }
    let asked = value.get("dryRun").and_then(Value::as_array).into_iter().flatten();
    let dry_run = dry_run(asked.filter_map(Value::as_str), &mut causes);
    if !causes.is_empty() {
        return Err(Status::invalid_kind("meta.k8s.io", "DeleteOptions", "", causes));
    }
    let options = DeleteOptions::read(value).map_err(Status::bad_request)?;
    Ok((options, dry_run))
}

fn delete_of_query(query: &Query) -> Result<Value, Status> {
    let mut map = Map::new();
    if let Some(grace) = query.number("gracePeriodSeconds")? {
        map.insert("gracePeriodSeconds".to_owned(), grace.into());
    }
    if query.all("orphanDependents").next().is_some() {
        map.insert("orphanDependents".to_owned(), query.flag("orphanDependents").into());
    }
    if !query.text("propagationPolicy").is_empty() {
        map.insert("propagationPolicy".to_owned(), query.text("propagationPolicy").into());
    }
    map.insert("dryRun".to_owned(), query.all("dryRun").collect::<Vec<_>>().into());
    Ok(Value::Object(map))
}

fn dry_run<'a>(asked: impl Iterator<Item = &'a str>, causes: &mut Vec<Cause>) -> bool {
    let asked: Vec<&str> = asked.collect();
    if asked.iter().any(|stage| *stage != "All") {
        causes.push(Cause {
            reason: "FieldValueNotSupported".to_owned(),
            message: format!("Unsupported value: {}: supported values: \"All\"", Value::from(asked.clone())),
            field: "dryRun".to_owned(),
        });
    }
    !asked.is_empty()
}

/// Gives the name of a program, as it stands before the slash of its user agent.
fn program(user_agent: &str) -> String {
    let name = user_agent.split('/').next().unwrap_or_default();
    name.chars().filter(|letter| !letter.is_control()).take(MANAGER_LIMIT).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cluster::Propagation;

    fn message<T: std::fmt::Debug>(result: Result<T, Status>) -> String {
        result.unwrap_err().message
    }

    #[test]
    fn the_manager_is_named_or_the_program() {
        let read =
            |query: &str| WriteOptions::read(&Query::of(query), Change::Create, "kubectl/v1.36 (linux)");
        assert_eq!(read("").unwrap().manager, "kubectl");
        assert_eq!(read("fieldManager=me&dryRun=All").unwrap().manager, "me");
        assert!(read("dryRun=All").unwrap().dry_run);
        assert_eq!(read("fieldValidation=Strict").unwrap().validation, FieldValidation::Strict);
        assert_eq!(
            message(read("dryRun=Foo")),
            "CreateOptions.meta.k8s.io \"\" is invalid: dryRun: Unsupported value: [\"Foo\"]: supported values: \"All\""
        );
        let apply = WriteOptions::read(&Query::default(), Change::Apply, "x");
        assert_eq!(
            message(apply),
            "PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: is required for apply patch"
        );
        assert!(WriteOptions::read(&Query::of("force=true"), Change::Patch, "x").is_err());
    }

    #[test]
    fn options_that_contradict_each_other_are_refused() {
        let read = |query: &str, watch| list(&Query::of(query), watch);
        assert!(read("resourceVersionMatch=Exact&resourceVersion=5", false).is_ok());
        assert!(
            message(read("resourceVersionMatch=Exact", false)).contains("unless resourceVersion is provided")
        );
        assert!(message(read("sendInitialEvents=true", false)).contains("forbidden for list"));
        assert!(message(read("sendInitialEvents=true", true)).contains("requires setting"));
        assert!(read("sendInitialEvents=true&resourceVersionMatch=NotOlderThan", true).is_ok());
        assert_eq!(message(read("limit=x", false)), "strconv.ParseInt: parsing \"x\": invalid syntax");
    }

    #[test]
    fn a_delete_is_told_by_its_body_or_its_query() {
        let body = json!({"preconditions": {"uid": "u"}, "propagationPolicy": "Orphan", "dryRun": ["All"]});
        let (options, dry_run) = delete(&Query::of("propagationPolicy=Foreground"), Some(&body)).unwrap();
        assert_eq!(options.uid.as_deref(), Some("u"));
        assert_eq!(options.propagation, Some(Propagation::Orphan));
        assert!(dry_run);
        let (options, dry_run) = delete(&Query::of("propagationPolicy=Foreground"), None).unwrap();
        assert_eq!(options.propagation, Some(Propagation::Foreground));
        assert!(!dry_run);
        assert!(message(delete(&Query::of("propagationPolicy=x"), None)).contains("\"nil\""));
    }
}
