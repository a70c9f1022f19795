//! Objects in bodies: of which kind they say they are, and whether that is the one that was asked for.

use serde_json::Value;

use super::body::{self, Read};
use super::media::Content;
use super::protobuf::{self, ProtobufError};
use crate::cluster::Status;
use crate::kinds::{Resource, built_in};

/// Reads the object of a creation or replacement.
pub(crate) fn object(
    resource: &Resource,
    kind: &str,
    api_version: &str,
    content: Content,
    bytes: &[u8],
) -> Result<Read, Status> {
    let read = match content {
        Content::Json => body::json(bytes).map_err(|error| {
            let why = format!("couldn't get version/kind; json parse error: {}", worded(&error, bytes));
            unrecognized(kind, &why, bytes)
        })?,
        Content::Yaml => {
            body::yaml(bytes).map_err(|error| unrecognized(kind, &format!("yaml: {error}"), bytes))?
        }
        Content::Protobuf => Read {
            value: protobuf::object(bytes).map_err(|error| unreadable(&error))?,
            duplicates: Vec::new(),
        },
        Content::JsonPatch | Content::MergePatch | Content::StrategicPatch | Content::ApplyPatch => {
            let accepted = "application/json, application/yaml, application/vnd.kubernetes.protobuf";
            return Err(super::refusal::unsupported_body(accepted));
        }
    };
    if !read.value.is_object() {
        return Err(unrecognized(kind, &no_object(&read.value), bytes));
    }
    let stated = |field: &str| read.value.get(field).and_then(Value::as_str).unwrap_or_default();
    let (stated_version, stated_kind) = (stated("apiVersion"), stated("kind"));
    if resource.custom().is_some() && kind == resource.kind {
        custom(resource, stated_version, stated_kind, bytes)?;
    } else {
        typed(kind, api_version, stated_version, stated_kind)?;
    }
    Ok(read)
}

/// A kind of a definition is stated in full; which kind it is, is looked at with the rest of the object.
fn custom(resource: &Resource, version: &str, kind: &str, bytes: &[u8]) -> Result<(), Status> {
    if kind.is_empty() {
        let why = format!("Object 'Kind' is missing in '{}'", String::from_utf8_lossy(bytes));
        return Err(unrecognized(&resource.kind, &why, bytes));
    }
    let expected = resource.api_version();
    if version != expected {
        return Err(Status::bad_request(format!(
            "the API version in the data ({version}) does not match the expected API version ({expected})"
        )));
    }
    Ok(())
}

/// A built-in kind need not be stated; if it is, it is the one that was asked for.
fn typed(kind: &str, api_version: &str, stated_version: &str, stated_kind: &str) -> Result<(), Status> {
    let version = if stated_version.is_empty() { api_version } else { stated_version };
    let stated = if stated_kind.is_empty() { kind } else { stated_kind };
    if version == api_version && stated == kind {
        return Ok(());
    }
    let short = version.rsplit('/').next().unwrap_or(version);
    let is_known = built_in().iter().any(|known| known.kind == stated && known.api_version() == version);
    let why = if is_known {
        let group = api_version.split_once('/').map_or("core", |(group, _)| group);
        let package = group.split('.').next().unwrap_or(group);
        format!("converting ({short}.{stated}) to ({package}.{kind}): unknown conversion")
    } else {
        format!(
            "no kind {stated:?} is registered for version {version:?} in scheme \"pkg/runtime/scheme.go:111\""
        )
    };
    Err(Status::bad_request(format!("{stated} in version {short:?} cannot be handled as a {kind}: {why}")))
}

/// Reads the body of a patch; an apply may be YAML.
pub(crate) fn patch(content: Content, bytes: &[u8]) -> Result<Read, Status> {
    let refused = |why: String| Status::bad_request(format!("error decoding patch: {why}"));
    if content == Content::ApplyPatch {
        let read = body::yaml(bytes)
            .map_err(|error| Status::bad_request(format!("error decoding YAML: {error}")))?;
        return Ok(read);
    }
    let read = body::json(bytes).map_err(|error| refused(worded(&error, bytes)))?;
    let wanted = match content {
        Content::JsonPatch => (!read.value.is_array()).then_some("[]handlers.jsonPatchOp"),
        Content::MergePatch | Content::StrategicPatch => {
            (!read.value.is_object()).then_some("map[string]interface {}")
        }
        Content::Json | Content::Yaml | Content::Protobuf | Content::ApplyPatch => None,
    };
    let Some(wanted) = wanted else { return Ok(read) };
    let is = go_name(&read.value);
    let why = format!("json: cannot unmarshal {is} into Go value of type {wanted}");
    Err(if content == Content::StrategicPatch { Status::bad_request(why) } else { refused(why) })
}

/// Reads the body of a delete, if there is one.
pub(crate) fn delete_options(content: Option<Content>, bytes: &[u8]) -> Result<Option<Value>, Status> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let value = match content {
        Some(Content::Json) => {
            body::json(bytes)
                .map_err(|error| {
                    let why = worded(&error, bytes);
                    Status::bad_request(format!("couldn't get version/kind; json parse error: {why}"))
                })?
                .value
        }
        Some(Content::Yaml) => {
            body::yaml(bytes).map_err(|error| Status::bad_request(format!("yaml: {error}")))?.value
        }
        Some(Content::Protobuf) => protobuf::object(bytes).map_err(|error| unreadable(&error))?,
        Some(Content::JsonPatch | Content::MergePatch | Content::StrategicPatch | Content::ApplyPatch)
        | None => {
            let accepted = "application/json, application/yaml, application/vnd.kubernetes.protobuf";
            return Err(super::refusal::unsupported_body(accepted));
        }
    };
    if !value.is_object() {
        return Err(Status::bad_request(no_object(&value)));
    }
    let stated = |field: &str| value.get(field).and_then(Value::as_str).unwrap_or_default();
    let (kind, version) = (stated("kind"), stated("apiVersion"));
    if !matches!(kind, "" | "DeleteOptions") {
        return Err(Status::bad_request(format!(
            "no kind {kind:?} is registered for version {version:?} in scheme \"pkg/runtime/scheme.go:111\""
        )));
    }
    Ok(Some(value))
}

/// Says that a body is no object, in the words of the API server.
fn no_object(value: &Value) -> String {
    format!(
        "couldn't get version/kind; json parse error: json: cannot unmarshal {} into Go value of type struct {{ APIVersion \
         string \"json:\\\"apiVersion,omitempty\\\"\"; Kind string \"json:\\\"kind,omitempty\\\"\" }}",
        go_name(value)
    )
}

/// Names the type of a value as Go's errors do.
fn go_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn unreadable(error: &ProtobufError) -> Status {
    match error {
        ProtobufError::Malformed => Status::bad_request(error.to_string()),
        ProtobufError::Message(_) | ProtobufError::Field { .. } => {
            Status::new(415, "UnsupportedMediaType", error.to_string())
        }
    }
}

fn unrecognized(kind: &str, why: &str, bytes: &[u8]) -> Status {
    let summary = summary(bytes);
    Status::bad_request(format!(
        "the object provided is unrecognized (must be of type {kind}): {why} ({summary})"
    ))
}

/// Shows the beginning of a body: JSON as it is, all else in hexadecimal.
fn summary(bytes: &[u8]) -> String {
    const LIMIT: usize = 30;
    let Some(first) = bytes.first() else { return "<empty>".to_owned() };
    let (start, more) = match bytes.get(..LIMIT) {
        Some(start) if bytes.len() > LIMIT => (start, " ..."),
        Some(_) | None => (bytes, ""),
    };
    let shown = if *first == b'{' {
        String::from_utf8_lossy(start).into_owned()
    } else {
        data_encoding::HEXLOWER.encode(start)
    };
    format!("{shown}{more}")
}

/// Words an error of JSON as Go words the most common ones.
fn worded(error: &serde_json::Error, bytes: &[u8]) -> String {
    if error.is_eof() {
        return "unexpected end of JSON input".to_owned();
    }
    let first = bytes.iter().find(|byte| !byte.is_ascii_whitespace()).copied().map(char::from);
    match first {
        Some(letter)
            if !matches!(letter, '{' | '[' | '"' | '-' | 't' | 'f' | 'n') && !letter.is_ascii_digit() =>
        {
            format!("invalid character '{letter}' looking for beginning of value")
        }
        Some(_) | None => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config_map(body: &str) -> Result<Read, Status> {
        let resource = built_in().iter().find(|resource| resource.is("", "configmaps")).unwrap();
        object(resource, "ConfigMap", "v1", Content::Json, body.as_bytes())
    }

    #[test]
    fn a_body_of_another_kind_is_refused_in_the_words_of_the_api_server() {
        for (body, message) in [
            (
                r#"{"apiVersion":"v1","kind":"Secret"}"#,
                "Secret in version \"v1\" cannot be handled as a ConfigMap: converting (v1.Secret) to (core.ConfigMap): \
                 unknown conversion",
            ),
            (
                r#"{"kind":"Foo"}"#,
                "Foo in version \"v1\" cannot be handled as a ConfigMap: no kind \"Foo\" is registered for version \
                 \"v1\" in scheme \"pkg/runtime/scheme.go:111\"",
            ),
            (
                "",
                "the object provided is unrecognized (must be of type ConfigMap): couldn't get version/kind; json parse \
                 error: unexpected end of JSON input (<empty>)",
            ),
        ] {
            assert_eq!(config_map(body).unwrap_err().message, message);
        }
        assert!(config_map(r#"{"metadata":{"name":"a"}}"#).is_ok());
    }

    #[test]
    fn patches_of_another_form_are_refused() {
        let message = |content, body: &str| patch(content, body.as_bytes()).unwrap_err().message;
        assert_eq!(
            message(Content::JsonPatch, "{}"),
            "error decoding patch: json: cannot unmarshal object into Go value of type []handlers.jsonPatchOp"
        );
        assert_eq!(
            message(Content::MergePatch, "x"),
            "error decoding patch: invalid character 'x' looking for beginning of value"
        );
        assert!(patch(Content::ApplyPatch, b"a: 1").is_ok());
    }

    #[test]
    fn a_delete_may_have_no_body() {
        assert_eq!(delete_options(None, b""), Ok(None));
        assert!(delete_options(None, b"x").is_err());
        assert!(delete_options(Some(Content::Json), br#"{"kind":"Foo","apiVersion":"v1"}"#).is_err());
    }
}
