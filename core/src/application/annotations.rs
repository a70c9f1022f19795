//! Annotations and finalizers of an `Application` that mean something.

use std::collections::BTreeMap;

use super::SpecError;
use crate::policy::{Propagation, Tool};

/// Argo CD's finalizer for an application whose objects are deleted with it.
const FINALIZER: &str = "resources-finalizer.argocd.argoproj.io";
/// Finalizers that Argo CD gives an application with hooks for its deletion, each while they are to run and while they are
/// to be deleted. The hooks run wherever its objects are deleted with it, so they say nothing of their own.
const HOOK_FINALIZERS: [&str; 2] =
    ["pre-delete-finalizer.argocd.argoproj.io", "post-delete-finalizer.argocd.argoproj.io"];

/// Annotation: the application is left alone.
pub(crate) const SKIP_RECONCILE: &str = "argocd.argoproj.io/skip-reconcile";

/// Annotation: for how long an app may be Degraded before it goes back by itself to the release that was healthy.
const ROLLBACK_ON_DEGRADED: &str = "argosy.dev/rollback-on-degraded";

/// Annotation: the tools whose objects the application takes over.
const TAKE_OVER: &str = "argosy.dev/take-over";

/// Refuses annotations of Argo CD that ask for what this version does not do. Those of other controllers are not ours
/// to judge.
pub(super) fn check(annotations: &BTreeMap<String, String>) -> Result<(), SpecError> {
    for (name, value) in annotations {
        let Some(own) = name.strip_prefix("argocd.argoproj.io/") else { continue };
        let harmless = match own {
            // A refresh is what every poll does; the paths are an optimisation that the cache by content ids has anyway.
            "refresh" | "manifest-generate-paths" | "tracking-id" | "installation-id" => true,
            "skip-reconcile" => truth(value).is_some(),
            // A comparison always is the API server's.
            "compare-options" => {
                value.split(',').map(str::trim).all(|option| ["", "ServerSideDiff=true"].contains(&option))
            }
            "sync-wave" => value.trim().parse() == Ok(0),
            _ => value.is_empty(),
        };
        if !harmless {
            let why = format!("is not supported (value {value:?})");
            return Err(SpecError::new(format!("metadata.annotations[{name}]"), why));
        }
    }
    Ok(())
}

/// Tells whether nothing of an application goes by itself (Argo CD: `skip-reconcile`).
pub(super) fn is_paused(annotations: &BTreeMap<String, String>) -> bool {
    annotations.get(SKIP_RECONCILE).is_some_and(|value| truth(value) == Some(true))
}

/// Reads a word for yes or no as Go's `strconv.ParseBool` does, and so Argo CD.
fn truth(value: &str) -> Option<bool> {
    match value {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// Reads for how long an app may be Degraded before it goes back to the release that was healthy, in milliseconds.
pub(super) fn rollback_on_degraded(annotations: &BTreeMap<String, String>) -> Result<Option<u64>, SpecError> {
    let Some(text) = annotations.get(ROLLBACK_ON_DEGRADED) else { return Ok(None) };
    let units = [("h", 3_600_000_u64), ("m", 60_000), ("s", 1_000)];
    let soak = units.into_iter().find_map(|(suffix, unit)| {
        let number: u64 = text.trim().strip_suffix(suffix)?.parse().ok()?;
        number.checked_mul(unit).filter(|soak| *soak > 0)
    });
    soak.map(Some).ok_or_else(|| {
        let why = format!("must be how long the app may be Degraded, e.g. 90s, 10m or 1h, not {text:?}");
        SpecError::new(format!("metadata.annotations[{ROLLBACK_ON_DEGRADED}]"), why)
    })
}

/// Reads whose objects the application takes over.
pub(super) fn take_over(annotations: &BTreeMap<String, String>) -> Result<Vec<Tool>, SpecError> {
    let tools = annotations.get(TAKE_OVER).map(|text| Tool::list(text)).transpose();
    let tools = tools.map_err(|why| SpecError::new(format!("metadata.annotations[{TAKE_OVER}]"), why));
    tools.map(Option::unwrap_or_default)
}

/// Reads from the finalizers how the objects go when the application goes.
pub(super) fn cascade(finalizers: &[String]) -> Result<Option<Propagation>, SpecError> {
    let mut cascade = None;
    for (index, finalizer) in finalizers.iter().enumerate() {
        let rest = HOOK_FINALIZERS.iter().find_map(|of_hooks| finalizer.strip_prefix(of_hooks));
        if matches!(rest, Some("" | "/cleanup")) {
            continue;
        }
        let propagation = match finalizer.strip_prefix(FINALIZER) {
            Some("" | "/foreground") => Propagation::Foreground,
            Some("/background") => Propagation::Background,
            Some(_) | None => {
                let why = format!("finalizer {finalizer:?} is not supported");
                return Err(SpecError::new(format!("metadata.finalizers[{index}]"), why));
            }
        };
        cascade = Some(propagation);
    }
    Ok(cascade)
}
