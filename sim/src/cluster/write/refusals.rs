//! Why changes are refused whose result has no place in the type of its kind.

use serde_json::Value;

use super::super::call::{Patch, PatchKind};
use super::super::status::{Cause, Status};
use super::change::patched;
use crate::golang;
use crate::kinds::{Resource, metadata};

/// Says that what a patch makes of an object cannot be read.
pub(super) fn unpatched(resource: &Resource, old: &Value, patch: &Patch, why: &str) -> Status {
    let (shown, why) = match patch.kind {
        PatchKind::Strategic => (golang::plain(&patch.body), restored(why)),
        PatchKind::Json | PatchKind::Merge | PatchKind::Apply { .. } => {
            let mut text = String::new();
            // It was made before.
            golang::write_json(&patched(resource, old, patch).unwrap_or_default(), &mut text);
            (text, why.to_owned())
        }
    };
    Status::invalid_kind("", "", "", vec![Cause::invalid("patch", &shown.into(), &why)])
}

/// Says that an applied object has no place in its kind's type; the API server takes that for a fault of its own.
pub(super) fn unconverted(resource: &Resource, config: &Value, why: &str) -> Status {
    let why = restored(why);
    let kind = format!("{}/{}, Kind={}", resource.group, resource.version, resource.kind);
    let (namespace, name) = (metadata::text(config, "namespace"), metadata::text(config, "name"));
    let message = format!(
        "failed to convert new object ({namespace}/{name}; {kind}) to proper version: unable to convert unstructured \
         object to {kind}: {why}"
    );
    Status::new(500, "", message)
}

/// Says in the words of the API server's conversion of untyped objects what its JSON decoder says in others.
fn restored(why: &str) -> String {
    if why.starts_with("illegal base64") {
        return format!("error decoding from json: {why}");
    }
    let Some((found, ty)) = why
        .strip_prefix("json: cannot unmarshal ")
        .and_then(|rest| rest.split_once(" into Go "))
        .and_then(|(found, place)| Some((found, place.rsplit_once(" of type ")?.1)))
    else {
        return why.to_owned();
    };
    let (word, number) = found.split_once(' ').unwrap_or((found, ""));
    let number = if number.contains(['.', 'e', 'E']) { "float64" } else { "int64" };
    let kind = match word {
        "number" => number,
        "array" => "slice",
        "object" => "map",
        word => word,
    };
    match ty {
        "v1.Time" | "v1.MicroTime" => format!("json: cannot unmarshal {word} into Go value of type string"),
        "intstr.IntOrString" => format!("json: cannot unmarshal {word} into Go value of type int32"),
        "string" if kind == "int64" => "cannot convert int64 to string".to_owned(),
        "int32" | "int64" if word == "number" => format!("cannot convert float64 to {ty}"),
        "string" | "bool" | "int32" | "int64" | "float64" => format!("unrecognized type: {ty}"),
        ty if ty.starts_with("map[") => format!("cannot restore map from {kind}"),
        ty if ty.starts_with("[]") => format!("cannot restore slice from {kind}"),
        ty if ty.starts_with("v1.") => format!("cannot restore struct from: {kind}"),
        _ => why.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_conversion_of_untyped_objects_has_its_own_words() {
        let place = "into Go struct field DeploymentSpec.spec.x of type";
        for (found, said) in [
            ("string {} int32", "unrecognized type: int32"),
            ("number 1.5 {} int32", "cannot convert float64 to int32"),
            ("number {} string", "cannot convert int64 to string"),
            ("bool {} string", "unrecognized type: string"),
            ("string {} v1.PodTemplateSpec", "cannot restore struct from: string"),
            ("array {} map[string]string", "cannot restore map from slice"),
            ("object {} []string", "cannot restore slice from map"),
            ("number {} v1.Time", "json: cannot unmarshal number into Go value of type string"),
            ("array {} intstr.IntOrString", "json: cannot unmarshal array into Go value of type int32"),
        ] {
            assert_eq!(restored(&format!("json: cannot unmarshal {}", found.replace("{}", place))), said);
        }
        let said = "error decoding from json: illegal base64 data at input byte 2";
        assert_eq!(restored("illegal base64 data at input byte 2"), said);
        assert_eq!(
            restored("strict decoding error: unknown field \"a\""),
            "strict decoding error: unknown field \"a\""
        );
    }
}
