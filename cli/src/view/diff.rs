//! How live objects differ from a release, as `diff` prints it: live first (Argo CD: `app diff`).

use argosy_core::ids::AppId;
use argosy_proto::v1;
use serde::Serialize;
use serde_json::Value;
use similar::{DiffTag, TextDiff};

use crate::text;
use crate::view::{Observed, age_of, name_of, revision_of};

/// The answer of `app diff` as a document.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Differences {
    namespace: String,
    name: String,
    revision: String,
    observed: Option<Observed>,
    same: u64,
    objects: Vec<Object>,
    /// Further objects that differ and are not told.
    more: u64,
}

/// How one object differs.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Object {
    group: String,
    kind: String,
    namespace: String,
    name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    part: String,
    change: &'static str,
    #[serde(skip_serializing_if = "String::is_empty")]
    message: String,
    fields: Vec<Field>,
    /// Further fields that differ and are not told.
    left_out: u64,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Field {
    path: String,
    /// Absent where there is none, or where it is not told.
    #[serde(skip_serializing_if = "Option::is_none")]
    live: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    desired: Option<Value>,
    /// Bytes of the values where they are too large to be told.
    #[serde(skip_serializing_if = "is_zero")]
    untold_bytes: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde asks for")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

// === impl Differences ===

impl Differences {
    /// Puts the answer together.
    pub(crate) fn of(app: &AppId, diff: &v1::Diff, observed: Option<&v1::Observation>) -> Self {
        Self {
            namespace: app.namespace.to_string(),
            name: app.name.to_string(),
            revision: revision_of(diff.release.as_ref()),
            observed: observed.map(Into::into),
            same: diff.same,
            objects: diff.objects.iter().map(Object::from).collect(),
            more: diff.more,
        }
    }
}

impl From<&v1::ObjectDiff> for Object {
    fn from(object: &v1::ObjectDiff) -> Self {
        let key = object.key.clone().unwrap_or_default();
        Self {
            group: key.group,
            kind: key.kind,
            namespace: key.namespace,
            name: key.name,
            part: key.part,
            change: word(object.change()),
            message: object.message.clone(),
            fields: object.fields.iter().map(Field::from).collect(),
            left_out: object.left_out,
        }
    }
}

impl From<&v1::FieldDiff> for Field {
    fn from(field: &v1::FieldDiff) -> Self {
        Self {
            path: field.path.clone(),
            live: field.live.as_deref().map(value),
            desired: field.desired.as_deref().map(value),
            untold_bytes: field.untold,
        }
    }
}

fn word(change: v1::Change) -> &'static str {
    match change {
        v1::Change::Changed => "Changed",
        v1::Change::Missing => "Missing",
        v1::Change::Extra => "Extra",
        v1::Change::Unspecified | v1::Change::Unknown => "Unknown",
    }
}

/// Reads a value; what is no JSON is shown as it came.
fn value(json: &str) -> Value {
    serde_json::from_str(json).unwrap_or_else(|_no_json| Value::from(json))
}

/// Gives all differences for people.
pub(crate) fn text(diff: &v1::Diff) -> String {
    let mut text = String::new();
    for object in &diff.objects {
        text.extend(["\n===== ", &named(object), " ======\n"]);
        if !object.message.is_empty() {
            text.extend(["not compared: ", &text::clean(&object.message), "\n"]);
        }
        for field in &object.fields {
            if !field.path.is_empty() {
                text.extend([text::clean(&field.path).as_str(), "\n"]);
            }
            if field.untold > 0 {
                text.extend([format!("values of {} bytes differ, too many to be told\n", field.untold)]);
            } else {
                text.push_str(&lines(&shown(field.live.as_deref()), &shown(field.desired.as_deref())));
            }
        }
        if object.left_out > 0 {
            text.extend([format!("{} more fields differ\n", object.left_out)]);
        }
    }
    if diff.more > 0 {
        text.extend([format!("\n{} more objects differ\n", diff.more)]);
    }
    text
}

/// Names an object as Argo CD does.
fn named(object: &v1::ObjectDiff) -> String {
    let key = object.key.clone().unwrap_or_default();
    text::clean(&format!("{}/{} {}/{}", key.group, key.kind, key.namespace, name_of(&key)))
}

/// Gives a value as lines: text as it is, anything else as YAML.
fn shown(json: Option<&str>) -> String {
    let Some(json) = json else { return String::new() };
    let value = value(json);
    let text = value.as_str().filter(|text| text.contains('\n')).map(str::to_owned);
    let shown =
        text.unwrap_or_else(|| serde_saphyr::to_string(&value).unwrap_or_else(|_no_yaml| value.to_string()));
    let mut shown = text::clean_lines(&shown);
    if !shown.ends_with('\n') {
        shown.push('\n');
    }
    shown
}

/// Gives the lines that differ, in the form of `diff`.
fn lines(live: &str, desired: &str) -> String {
    let diff = TextDiff::from_lines(live, desired);
    let (old, new) = (diff.old_slices(), diff.new_slices());
    let part = |lines: &[&str], range: std::ops::Range<usize>, mark: &str| -> String {
        let lines = lines.get(range).unwrap_or_default();
        let line = |line: &&str| [mark, " ", line.trim_end_matches('\n'), "\n"].concat();
        lines.iter().map(line).collect()
    };
    let mut text = String::new();
    for op in diff.ops() {
        if op.tag() == DiffTag::Equal {
            continue;
        }
        let (before, after) = (part(old, op.old_range(), "<"), part(new, op.new_range(), ">"));
        let between = if before.is_empty() || after.is_empty() { "" } else { "---\n" };
        text.extend([before.as_str(), between, after.as_str()]);
    }
    text
}

/// Says in one line what was compared, and how old the part is that was not asked for anew.
pub(crate) fn summary(diff: &v1::Diff, observed: Option<&v1::Observation>) -> String {
    let differ = (diff.objects.len() as u64).saturating_add(diff.more);
    let verb = if differ == 1 { "differs" } else { "differ" };
    format!(
        "{differ} of {} objects {verb} from {} (observed: {})",
        differ.saturating_add(diff.same),
        text::short(&revision_of(diff.release.as_ref())),
        age_of(observed)
    )
}

/// Names the objects that could not be compared.
pub(crate) fn unknown(diff: &v1::Diff) -> Vec<String> {
    let unknown = diff.objects.iter().filter(|object| word(object.change()) == "Unknown");
    unknown.map(|object| format!("{}: {}", named(object), text::clean(&object.message))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Format;
    use crate::output;

    fn object(
        change: v1::Change,
        name: &str,
        fields: &[(&str, Option<&str>, Option<&str>)],
    ) -> v1::ObjectDiff {
        let field = |(path, live, desired): &(&str, Option<&str>, Option<&str>)| v1::FieldDiff {
            path: (*path).to_owned(),
            live: live.map(str::to_owned),
            desired: desired.map(str::to_owned),
            untold: 0,
        };
        v1::ObjectDiff {
            key: Some(v1::ResourceKey {
                group: "apps".to_owned(),
                kind: "Deployment".to_owned(),
                namespace: "shop".to_owned(),
                name: name.to_owned(),
                part: String::new(),
            }),
            change: change.into(),
            fields: fields.iter().map(field).collect(),
            ..v1::ObjectDiff::default()
        }
    }

    fn diff() -> v1::Diff {
        let mut large = object(v1::Change::Changed, "large", &[("data[\"a.json\"]", None, None)]);
        large.fields[0].untold = 70_000;
        large.left_out = 3;
        let mut unknown = object(v1::Change::Unknown, "odd", &[]);
        unknown.message = "the API server is \x1b[31mnot able to answer".to_owned();
        v1::Diff {
            release: Some(v1::ReleaseRef { root: vec![1; 32], revision: "c0ffee1122".to_owned() }),
            objects: vec![
                object(
                    v1::Change::Changed,
                    "web",
                    &[
                        ("spec.replicas", Some("3"), Some("2")),
                        ("data.script", Some("\"a\\nb\\nc\\n\""), Some("\"a\\nB\\nc\\nd\\n\"")),
                        ("metadata.labels.tier", Some("\"front\""), None),
                    ],
                ),
                object(
                    v1::Change::Missing,
                    "new",
                    &[("", None, Some("{\"kind\":\"Deployment\",\"spec\":{}}"))],
                ),
                object(v1::Change::Extra, "old", &[("", Some("{\"kind\":\"Deployment\"}"), None)]),
                large,
                unknown,
            ],
            same: 7,
            more: 2,
        }
    }

    #[test]
    fn differences_are_shown_as_diff_shows_them() {
        insta::assert_snapshot!("diff", text(&diff()));
    }

    #[test]
    fn differences_are_a_document() {
        let document = Differences::of(&AppId::new("argocd", "web"), &diff(), None);
        insta::assert_snapshot!("diff_json", output::document(Format::Json, &document).unwrap());
    }

    #[test]
    fn what_could_not_be_compared_is_named() {
        assert_eq!(unknown(&diff()), ["apps/Deployment shop/odd: the API server is not able to answer"]);
        assert_eq!(summary(&diff(), None), "7 of 14 objects differ from c0ffee1 (observed: never seen)");
        assert_eq!(text(&v1::Diff::default()), "");
    }
}
