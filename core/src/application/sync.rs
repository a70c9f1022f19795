//! `spec.syncPolicy`.

use serde_json::Value;

use super::SpecError;
use super::fields::Fields;
use crate::policy::{Automated, Consent, NamespaceMetadata, Propagation, Retry, SyncPolicy};
use crate::tracking::TRACKING_ID;

/// Reads `syncPolicy` of a spec.
pub(super) fn policy(spec: &mut Fields<'_>) -> Result<SyncPolicy, SpecError> {
    let Some(mut sync) = spec.object("syncPolicy")? else { return Ok(SyncPolicy::default()) };
    let mut policy = SyncPolicy {
        automated: sync.object("automated")?.map(automated).transpose()?.flatten(),
        retry: sync.object("retry")?.map(retry).transpose()?,
        ..SyncPolicy::default()
    };
    for (index, option) in sync.texts("syncOptions")?.iter().enumerate() {
        if let Err(why) = take_option(&mut policy, option) {
            return Err(sync.error(&format!("syncOptions[{index}]"), why));
        }
    }
    if policy.replace && policy.respect_ignored {
        let why = "Replace=true and RespectIgnoreDifferences=true do not go together: the one takes away what the other leaves";
        return Err(sync.error("syncOptions", why));
    }
    if let Some(fields) = sync.object("managedNamespaceMetadata")? {
        policy.namespace = namespace(fields)?;
        if !policy.create_namespace {
            let why = "needs the sync option CreateNamespace=true, and says nothing without it";
            return Err(sync.error("managedNamespaceMetadata", why));
        }
    }
    sync.finish()?;
    Ok(policy)
}

/// Reads `managedNamespaceMetadata`; what tells whose an object is may not be given.
fn namespace(mut fields: Fields<'_>) -> Result<NamespaceMetadata, SpecError> {
    let (labels, annotations) = (fields.text_map("labels")?, fields.text_map("annotations")?);
    for (field, map) in [("labels", &labels), ("annotations", &annotations)] {
        let ours = |name: &&String| name.starts_with("argosy.dev/") || *name == TRACKING_ID;
        if let Some(name) = map.keys().find(ours) {
            return Err(
                fields.error(field, format!("{name:?} says whose an object is, and is not given by hand"))
            );
        }
    }
    fields.finish()?;
    Ok(NamespaceMetadata { labels, annotations })
}

/// Takes one sync option. Those that say what is done anyway, or what server-side apply has no use for, change nothing:
/// every apply is a server-side one, of what is out of sync only.
fn take_option(policy: &mut SyncPolicy, option: &str) -> Result<(), String> {
    let (name, value) = option.split_once('=').unwrap_or((option, ""));
    let switch = || match value {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(format!("sync option {option:?} must end in =true or =false")),
    };
    let consent = || {
        let wrong = || format!("sync option {option:?} must end in =true, =false or =confirm");
        Consent::read(value).ok_or_else(wrong)
    };
    match name {
        "CreateNamespace" => policy.create_namespace = switch()?,
        "PruneLast" => policy.prune_last = switch()?,
        "Prune" => policy.prune = consent()?,
        "Delete" => policy.delete = consent()?,
        "PrunePropagationPolicy" => {
            policy.propagation = match value {
                "foreground" => Propagation::Foreground,
                "background" => Propagation::Background,
                "orphan" => Propagation::Orphan,
                _ => {
                    return Err(format!("sync option {option:?} must name foreground, background or orphan"));
                }
            }
        }
        "Validate" => policy.unvalidated = !switch()?,
        "FailOnSharedResource" => policy.fail_on_shared = switch()?,
        "ClientSideApplyMigration" => policy.unmigrated = !switch()?,
        "SkipDryRunOnMissingResource" => policy.skip_dry_run = switch()?,
        "ServerSideApply" | "ApplyOutOfSyncOnly" => {
            switch()?;
        }
        "RespectIgnoreDifferences" => policy.respect_ignored = switch()?,
        "Replace" => policy.replace = switch()?,
        "Force" => policy.force = switch()?,
        _ => return Err(format!("sync option {option:?} is not supported")),
    }
    Ok(())
}

/// Reads `automated`, whose presence turns automated sync on unless it says otherwise.
fn automated(mut fields: Fields<'_>) -> Result<Option<Automated>, SpecError> {
    let enabled = fields.boolean("enabled")?.unwrap_or(true);
    let automated = Automated {
        prune: fields.boolean("prune")?.unwrap_or(false),
        self_heal: fields.boolean("selfHeal")?.unwrap_or(false),
        allow_empty: fields.boolean("allowEmpty")?.unwrap_or(false),
    };
    fields.finish()?;
    Ok(enabled.then_some(automated))
}

fn retry(mut fields: Fields<'_>) -> Result<Retry, SpecError> {
    // A retry block without a limit retries nothing, as in Argo CD.
    let limit = fields.integer("limit")?.unwrap_or(0);
    let refresh = fields.boolean("refresh")?.unwrap_or(false);
    let mut retry = Retry { limit, refresh, ..Retry::default() };
    if let Some(mut backoff) = fields.object("backoff")? {
        if let Some(delay) = duration(&mut backoff, "duration")? {
            retry.delay_ms = delay;
        }
        if let Some(longest) = duration(&mut backoff, "maxDuration")? {
            retry.max_delay_ms = longest;
        }
        if let Some(factor) = backoff.integer("factor")? {
            let wrong = || backoff.error("factor", format!("must be between 1 and {}", Retry::MOST));
            retry.factor = Retry::read_factor(factor).ok_or_else(wrong)?;
        }
        backoff.finish()?;
    }
    fields.finish()?;
    Ok(retry)
}

/// Takes a duration in Go's form (`1m30s`), or as a number of seconds.
fn duration(fields: &mut Fields<'_>, key: &'static str) -> Result<Option<u64>, SpecError> {
    let text = match fields.value(key) {
        None => return Ok(None),
        Some(Value::String(text)) if text.is_empty() => return Ok(None),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => number.to_string(),
        Some(Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_)) => String::new(),
    };
    Retry::read_delay(&text).map(Some).ok_or_else(|| {
        fields.error(key, format!("{text:?} is not a duration of at most a day, like 5s or 1m30s"))
    })
}
