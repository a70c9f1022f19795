//! What an object's annotations ask for, and which of that is refused.

use serde_json::Value;

use super::ManifestError;
use super::hook::Role;
use crate::json;
use crate::policy::Consent;

/// Annotation with the sync options of one object.
const SYNC_OPTIONS: &str = "argocd.argoproj.io/sync-options";
/// Annotation with the compare options of one object.
const COMPARE_OPTIONS: &str = "argocd.argoproj.io/compare-options";
/// Helm's annotation for objects that stay.
const RESOURCE_POLICY: &str = "helm.sh/resource-policy";

/// Annotations that give an object's wave; the first that is a number counts.
const WAVES: [&str; 2] = ["argocd.argoproj.io/sync-wave", "helm.sh/hook-weight"];

/// What one object's annotations say about its sync; what they leave open is the application's to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ObjectOptions {
    /// Whether it may be deleted when it leaves the desired state (`Prune=`).
    pub prune: Option<Consent>,
    /// Whether it may be deleted with its application (`Delete=`).
    pub delete: Option<Consent>,
    /// Is deleted after everything else of its sync (`PruneLast=true`).
    pub prune_last: bool,
    /// Its wave (Argo CD: sync waves; Helm's hook weight counts for objects that are no hooks as well).
    pub wave: i32,
    /// Whether it is a hook.
    pub role: Role,
    /// Whether it is applied though it does not fit its schema (`Validate=false`).
    pub unvalidated: Option<bool>,
    /// Is not tried before the first write of a sync while its kind is not served (`SkipDryRunOnMissingResource=true`).
    pub skip_dry_run: bool,
    /// Whether it takes the place of all that is there (`Replace=`).
    pub replace: Option<bool>,
    /// Whether it is deleted and made anew where it cannot be changed (`Force=`).
    pub force: Option<bool>,
    /// Does not make its app `OutOfSync` when it has left the desired state (`compare-options: IgnoreExtraneous`).
    pub ignore_extraneous: bool,
}

// === impl ObjectOptions ===

impl ObjectOptions {
    /// Reads the options of an object as it is, live or as a manifest; what else its annotations say is not looked at.
    pub fn of(object: &Value) -> Self {
        let texts = |name: &str| json::text_at(object, &["metadata", "annotations", name]);
        let annotation = |name: &str| texts(name).unwrap_or_default();
        let mut options = Self::default();
        for option in list(annotation(SYNC_OPTIONS)) {
            // What is not known was refused when it was rendered.
            let _known = options.take(option);
        }
        if list(annotation(RESOURCE_POLICY)).any(|policy| policy == "keep") {
            options.prune = Some(Consent::Refused);
            options.delete = Some(Consent::Refused);
        }
        options.ignore_extraneous =
            list(annotation(COMPARE_OPTIONS)).any(|option| option == "IgnoreExtraneous");
        // What is wrong with a hook was refused when it was rendered, so it is one of a later version: nothing that this one
        // may apply.
        options.role = Role::read(texts).unwrap_or(Role::Skipped);
        options.wave = WAVES.iter().find_map(|name| annotation(name).parse().ok()).unwrap_or_default();
        options
    }

    /// Takes one sync option; tells whether it is one that is supported.
    fn take(&mut self, option: &str) -> bool {
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        let switch = || match value {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        };
        match name {
            "Prune" => Consent::read(value).map(|consent| self.prune = Some(consent)).is_some(),
            "Delete" => Consent::read(value).map(|consent| self.delete = Some(consent)).is_some(),
            "PruneLast" => switch().map(|last| self.prune_last = last).is_some(),
            "Validate" => switch().map(|validate| self.unvalidated = Some(!validate)).is_some(),
            "SkipDryRunOnMissingResource" => switch().map(|skip| self.skip_dry_run = skip).is_some(),
            // Every apply is a server-side one, whatever this says.
            "ServerSideApply" => switch().is_some(),
            "Replace" => switch().map(|replace| self.replace = Some(replace)).is_some(),
            "Force" => switch().map(|force| self.force = Some(force)).is_some(),
            _ => false,
        }
    }
}

/// Checks a manifest's annotations and reads its options.
pub(super) fn check(annotations: Option<&Value>) -> Result<ObjectOptions, ManifestError> {
    let annotations = match annotations {
        None | Some(Value::Null) => return Ok(ObjectOptions::default()),
        Some(Value::Object(annotations)) => annotations,
        Some(other) => {
            let why = format!("must be an object, not {}", json::type_name(other));
            return Err(ManifestError::new("metadata.annotations", why));
        }
    };
    for (name, value) in annotations {
        let refuse = |why: String| Err(ManifestError::new(format!("metadata.annotations[{name}]"), why));
        if !has_meaning(name) {
            continue;
        }
        let text = match value {
            Value::String(text) => text.as_str(),
            Value::Null => "",
            Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
                return refuse(format!("must be a string, not {}", json::type_name(value)));
            }
        };
        match name.as_str() {
            SYNC_OPTIONS => {
                if let Some(option) = list(text).find(|option| !ObjectOptions::default().take(option)) {
                    return refuse(format!("sync option {option:?} is not supported"));
                }
            }
            RESOURCE_POLICY if text != "keep" => return refuse(format!("policy {text:?} is not supported")),
            "argocd.argoproj.io/ignore-healthcheck" if !["true", "false"].contains(&text) => {
                return refuse(format!("must be \"true\" or \"false\", not {text:?}"));
            }
            COMPARE_OPTIONS => {
                // A comparison always is the API server's.
                let known = ["IgnoreExtraneous", "ServerSideDiff=true"];
                if let Some(option) = list(text).find(|option| !known.contains(option)) {
                    return refuse(format!("compare option {option:?} is not supported"));
                }
            }
            _ => {}
        }
    }
    let text = |name: &str| annotations.get(name).and_then(Value::as_str);
    Role::read(text)
        .map_err(|(name, why)| ManifestError::new(format!("metadata.annotations[{name}]"), why))?;
    let object = serde_json::json!({ "metadata": { "annotations": annotations } });
    Ok(ObjectOptions::of(&object))
}

/// Tells whether an annotation is one that is looked at; the types of all others are the API server's to judge.
pub(super) fn has_meaning(name: &str) -> bool {
    name.starts_with("argocd.argoproj.io/") || name.starts_with("helm.sh/")
}

pub(super) fn list(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty())
}
