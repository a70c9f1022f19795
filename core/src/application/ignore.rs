//! `spec.ignoreDifferences`.

use super::SpecError;
use super::fields::Fields;
use crate::compare::{IgnoreError, IgnoreRule, Ignored};
use crate::glob::Glob;

/// Reads `ignoreDifferences` of a spec. An expression that an agent could not evaluate is refused here, by name.
pub(super) fn rules(spec: &mut Fields<'_>) -> Result<Vec<IgnoreRule>, SpecError> {
    spec.objects("ignoreDifferences")?.into_iter().map(rule).collect()
}

fn rule(mut fields: Fields<'_>) -> Result<IgnoreRule, SpecError> {
    let (group, kind) = (fields.text("group")?, fields.text("kind")?);
    if kind.is_empty() {
        return Err(fields.error("kind", "is missing"));
    }
    for (key, pattern) in [("group", &group), ("kind", &kind)] {
        Glob::new(pattern, &[]).map_err(|error| fields.error(key, error.to_string()))?;
    }
    let ignored = Ignored {
        pointers: checked(&mut fields, "jsonPointers", Ignored::check_pointer)?,
        expressions: checked(&mut fields, "jqPathExpressions", Ignored::check_expression)?,
        managers: fields.texts("managedFieldsManagers")?,
    };
    let rule =
        IgnoreRule { group, kind, name: fields.text("name")?, namespace: fields.text("namespace")?, ignored };
    fields.finish()?;
    Ok(rule)
}

fn checked(
    fields: &mut Fields<'_>,
    key: &'static str,
    check: impl Fn(&str) -> Result<(), IgnoreError>,
) -> Result<Vec<String>, SpecError> {
    let texts = fields.texts(key)?;
    for (index, text) in texts.iter().enumerate() {
        check(text).map_err(|error| fields.error(&format!("{key}[{index}]"), error.to_string()))?;
    }
    Ok(texts)
}
