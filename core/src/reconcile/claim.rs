//! What to do with an object that is there before its first apply, and with what turned out to be somebody else's (M17).

use super::{InventoryEntry, Reconciler};
use crate::cluster::{LiveMeta, Tracking};
use crate::ids::{AppId, InstallationId};
use crate::key::ResourceKey;
use crate::policy::Tool;

/// The decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Claim {
    /// Nothing is there.
    Create,
    /// Take this incarnation; the note is worth an event.
    Take { uid: String, note: Option<String> },
    /// Another app of ours is listed and has it: that one owns it.
    Shared(AppId),
    /// Somebody else's.
    Refused(String),
    /// It is on its way out: wait.
    Wait,
    /// The object of a part is not there, or on its way out.
    NoObject,
}

/// Decides of a part: whoever has the object, and only if it is there.
pub(super) fn claim_part(found: Option<&LiveMeta>) -> Claim {
    match found {
        Some(live) if !live.deleting => Claim::Take { uid: live.uid.clone(), note: None },
        Some(_) | None => Claim::NoObject,
    }
}

/// Decides for an app, which may take over what these tools track. `has` tells whether an app is listed and its release has
/// the object.
pub(super) fn claim(
    found: Option<&LiveMeta>,
    (app, tools): (&AppId, &[Tool]),
    key: &ResourceKey,
    installation: InstallationId,
    has: impl Fn(&AppId) -> bool,
) -> Claim {
    let Some(live) = found else { return Claim::Create };
    if live.deleting {
        return Claim::Wait;
    }
    let take = |note: Option<String>| Claim::Take { uid: live.uid.clone(), note };
    match &live.tracking {
        Tracking::Ours { installation: theirs, .. } if *theirs != Some(installation) => {
            let id = theirs.map(|id| id.to_string()).unwrap_or_default();
            Claim::Refused(format!("tracked by another Argosy installation {id}"))
        }
        // Controllers copy labels and annotations onto what they make: such tracking names another object.
        Tracking::Ours { names, .. } if names != key || live.owned => {
            take(Some("adopted: its tracking was copied from another object".to_owned()))
        }
        Tracking::Ours { app: theirs, .. } if theirs == app => take(None),
        Tracking::Ours { app: theirs, .. } if has(theirs) => Claim::Shared(theirs.clone()),
        Tracking::Ours { app: theirs, .. } => take(Some(format!("taken over from app {theirs}"))),
        // A definition carries our label alone.
        Tracking::None if key.is_crd() && live.labelled => take(None),
        Tracking::None => take(Some("adopted: it was there and nobody tracked it".to_owned())),
        Tracking::Other(other) if tools.iter().any(|tool| tool.tracks(other)) => {
            take(Some(format!("taken over, as the app says: it was tracked by {other}")))
        }
        Tracking::Other(other) => Claim::Refused(format!("tracked by {other}")),
    }
}

impl Reconciler {
    /// An entry of an object that turned out to be somebody else's says nothing any more.
    pub(super) fn drop_unclaimed(&mut self, key: &ResourceKey) {
        if self.inventory.contains_key(key) {
            self.put_inventory(key, None);
        }
    }

    /// What is there is somebody else's, who may take it away again: what was applied stays known, to be healed then.
    pub(super) fn unclaim(&mut self, key: &ResourceKey) {
        let Some(entry) = self.inventory.get(key).cloned() else { return };
        let wanted = self.desirers.get(key).is_some_and(|apps| apps.contains(&entry.app));
        let kept = (wanted && entry.applied.is_some()).then_some(InventoryEntry {
            uid: None,
            fingerprint: None,
            resource_version: 0,
            intent: None,
            done: false,
            going: false,
            ..entry
        });
        self.put_inventory(key, kept);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::tracking;

    fn installation() -> InstallationId {
        InstallationId::from_random([1; 16])
    }

    fn key() -> ResourceKey {
        ResourceKey::new("", "ConfigMap", "n", "a")
    }

    fn live(tracking: Tracking) -> LiveMeta {
        LiveMeta {
            key: key(),
            uid: "u".to_owned(),
            resource_version: 1,
            tracking,
            labelled: true,
            owned: false,
            deleting: false,
            fingerprint: None,
            last_writer: None,
            health: None,
            lagging: false,
        }
    }

    fn ours(app: &str, names: ResourceKey) -> Tracking {
        Tracking::Ours { installation: Some(installation()), app: AppId::new("", app), names }
    }

    fn decide(live: &LiveMeta) -> Claim {
        decide_with(live, &[])
    }

    fn decide_with(live: &LiveMeta, tools: &[Tool]) -> Claim {
        let app = AppId::new("", "web");
        claim(Some(live), (&app, tools), &key(), installation(), |app| app.name == "listed")
    }

    #[test]
    fn what_is_ours_is_taken_and_what_is_anothers_is_not() {
        let app = AppId::new("", "web");
        assert_eq!(claim(None, (&app, &[]), &key(), installation(), |_| false), Claim::Create);
        assert_eq!(decide(&live(ours("web", key()))), Claim::Take { uid: "u".to_owned(), note: None });
        assert_eq!(decide(&live(ours("listed", key()))), Claim::Shared(AppId::new("", "listed")));
        assert!(matches!(decide(&live(ours("gone", key()))), Claim::Take { note: Some(_), .. }));
        assert!(matches!(decide(&live(Tracking::None)), Claim::Take { note: Some(_), .. }));
        assert!(matches!(decide(&live(Tracking::Other("Helm release a/b".to_owned()))), Claim::Refused(_)));
        let other = Tracking::Ours {
            installation: Some(InstallationId::from_random([2; 16])),
            app: AppId::new("", "web"),
            names: key(),
        };
        assert!(matches!(decide(&live(other)), Claim::Refused(_)));
    }

    #[test]
    fn what_a_tool_tracks_is_taken_over_where_the_app_names_the_tool() {
        for (tool, metadata) in [
            (Tool::ArgoCd, json!({"annotations": {"argocd.argoproj.io/tracking-id": "web:/ConfigMap:n/a"}})),
            (Tool::Helm, json!({"annotations": {"meta.helm.sh/release-name": "web"}})),
            (Tool::Flux, json!({"labels": {"kustomize.toolkit.fluxcd.io/name": "web"}})),
            (Tool::Flux, json!({"labels": {"helm.toolkit.fluxcd.io/name": "web"}})),
        ] {
            let live = live(tracking::read(&metadata));
            assert!(matches!(decide_with(&live, &[]), Claim::Refused(_)), "{live:?}");
            let taken = decide_with(&live, &[tool]);
            assert!(
                matches!(&taken, Claim::Take { note: Some(note), .. } if note.contains("tracked by")),
                "{taken:?}"
            );
            let another = if tool == Tool::Helm { Tool::Flux } else { Tool::Helm };
            assert!(matches!(decide_with(&live, &[another]), Claim::Refused(_)), "{live:?}");
        }
        let another_hub = json!({"annotations": {"argocd.argoproj.io/tracking-id": "bad", "argosy.dev/installation-id": "bad"}});
        let all = [Tool::ArgoCd, Tool::Helm, Tool::Flux];
        let refused = decide_with(&live(tracking::read(&another_hub)), &all);
        assert!(matches!(refused, Claim::Refused(_)), "{refused:?}");
    }

    #[test]
    fn a_part_takes_whatever_object_is_there_and_makes_none() {
        let helm = live(Tracking::Other("Helm release a/b".to_owned()));
        assert_eq!(claim_part(Some(&helm)), Claim::Take { uid: "u".to_owned(), note: None });
        assert_eq!(claim_part(None), Claim::NoObject);
        assert_eq!(claim_part(Some(&LiveMeta { deleting: true, ..helm })), Claim::NoObject);
    }

    #[test]
    fn copied_tracking_is_no_tracking_and_a_dying_object_is_waited_for() {
        let copy = live(ours("listed", ResourceKey::new("", "ConfigMap", "n", "original")));
        assert!(matches!(decide(&copy), Claim::Take { note: Some(_), .. }));
        let dying = LiveMeta { deleting: true, ..live(Tracking::None) };
        assert_eq!(decide(&dying), Claim::Wait);
    }
}
