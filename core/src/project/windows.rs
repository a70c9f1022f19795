//! A project's sync windows: read from its document, and matched with applications.

use std::str::FromStr;

use super::limits::matches;
use crate::application::SpecError;
use crate::application::fields::Fields;
use crate::desired::Destination;
use crate::glob::Glob;
use crate::windows::{SyncWindow, WindowKind};

/// Reads `spec.syncWindows`.
pub(crate) fn windows(spec: &mut Fields<'_>) -> Result<Vec<SyncWindow>, SpecError> {
    spec.objects("syncWindows")?.into_iter().map(window).collect()
}

fn window(mut item: Fields<'_>) -> Result<SyncWindow, SpecError> {
    let kind = match item.text("kind")?.as_str() {
        "allow" => WindowKind::Allow,
        "deny" => WindowKind::Deny,
        other => return Err(item.error("kind", format!("must be allow or deny, not {other:?}"))),
    };
    let window = SyncWindow {
        kind,
        schedule: parsed(&mut item, "schedule")?,
        duration: parsed(&mut item, "duration")?,
        zone: parsed(&mut item, "timeZone")?,
        manual: item.boolean("manualSync")?.unwrap_or_default(),
        overrun: item.boolean("syncOverrun")?.unwrap_or_default(),
        applications: globs(&mut item, "applications")?,
        namespaces: globs(&mut item, "namespaces")?,
        clusters: globs(&mut item, "clusters")?,
        all: item.boolean("andOperator")?.unwrap_or_default(),
        description: item.text("description")?,
    };
    if window.applications.is_empty() && window.namespaces.is_empty() && window.clusters.is_empty() {
        let why = "matches nothing: none of applications, namespaces and clusters is given";
        return Err(item.error("applications", why));
    }
    item.finish()?;
    Ok(window)
}

fn parsed<T>(item: &mut Fields<'_>, key: &'static str) -> Result<T, SpecError>
where
    T: FromStr,
    T::Err: std::fmt::Display,
{
    item.text(key)?.parse().map_err(|error: T::Err| item.error(key, error.to_string()))
}

fn globs(item: &mut Fields<'_>, key: &'static str) -> Result<Vec<String>, SpecError> {
    let patterns = item.texts(key)?;
    for (index, pattern) in patterns.iter().enumerate() {
        Glob::new(pattern, &[]).map_err(|error| item.error(&format!("{key}[{index}]"), error.to_string()))?;
    }
    Ok(patterns)
}

impl SyncWindow {
    /// Tells whether it is about an application, which its document names by URL or name of the cluster. A pattern that does not compile matches, so that nothing is let through
    /// by it unseen.
    pub fn is_about(&self, name: &str, destination: &Destination) -> bool {
        let hits = |patterns: &[String], text: &str| {
            !text.is_empty() && patterns.iter().any(|pattern| matches(pattern, text, true))
        };
        let lists = [
            (&self.applications, hits(&self.applications, name)),
            (&self.namespaces, hits(&self.namespaces, &destination.namespace)),
            (
                &self.clusters,
                hits(&self.clusters, &destination.cluster) || hits(&self.clusters, &destination.server),
            ),
        ];
        let mut given = lists.into_iter().filter(|(patterns, _)| !patterns.is_empty());
        if self.all { given.all(|(_, hit)| hit) } else { given.any(|(_, hit)| hit) }
    }
}
