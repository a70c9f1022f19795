//! Annotations and finalizers of an `Application` that mean something.

use std::collections::BTreeMap;

use super::SpecError;
use crate::policy::Propagation;

/// Argo CD's finalizer for an application whose objects are deleted with it.
const FINALIZER: &str = "resources-finalizer.argocd.argoproj.io";

/// Refuses annotations of Argo CD that ask for what this version does not do. Those of other controllers are not ours
/// to judge.
pub(super) fn check(annotations: &BTreeMap<String, String>) -> Result<(), SpecError> {
    for (name, value) in annotations {
        let Some(own) = name.strip_prefix("argocd.argoproj.io/") else { continue };
        let harmless = match own {
            // A refresh is what every poll does; the paths are an optimisation that the cache by content ids has anyway.
            "refresh" | "manifest-generate-paths" | "tracking-id" | "installation-id" => true,
            "skip-reconcile" => value == "false",
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

/// Reads from the finalizers how the objects go when the application goes.
pub(super) fn cascade(finalizers: &[String]) -> Result<Option<Propagation>, SpecError> {
    let mut cascade = None;
    for (index, finalizer) in finalizers.iter().enumerate() {
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
