//! Hooks: objects that a sync, or the deletion of an app, makes, waits for and deletes, and that are no part of the app's
//! state (Argo CD: resource hooks; Helm's own are read as Argo CD reads them).

use minicbor::{Decode, Encode};

use super::annotations::list;
use crate::order::SyncPhase;

/// Annotation that makes an object a hook.
const HOOK: &str = "argocd.argoproj.io/hook";
/// Helm's.
const HELM_HOOK: &str = "helm.sh/hook";
/// When a hook is deleted.
const DELETE_POLICY: &str = "argocd.argoproj.io/hook-delete-policy";
/// Helm's.
const HELM_DELETE_POLICY: &str = "helm.sh/hook-delete-policy";

/// What an object's annotations make of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Encode, Decode)]
pub enum Role {
    /// Part of the app's state.
    #[default]
    #[n(0)]
    Resource,
    /// Neither applied, compared nor counted; deleted by nobody (Argo CD: `Skip`).
    #[n(1)]
    Skipped,
    /// A hook.
    #[n(2)]
    Hook(#[n(0)] Hook),
    /// A hook of Helm's that no sync runs, such as a test: it is left out.
    #[n(3)]
    Ignored,
}

/// When a hook runs and when it is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Encode, Decode)]
pub struct Hook {
    /// The phases in which it runs, a bit each, in their order.
    #[n(0)]
    phases: u8,
    /// Deleted before it is made anew; so is one that names no policy (`BeforeHookCreation`).
    #[n(1)]
    pub before_creation: bool,
    /// Deleted when the whole sync succeeded (`HookSucceeded`).
    #[n(2)]
    pub when_succeeded: bool,
    /// Deleted when the sync failed (`HookFailed`).
    #[n(3)]
    pub when_failed: bool,
}

impl Role {
    /// Reads the role of an object; `annotation` gives the text of one, or none. `Err`: the annotation, and what is wrong
    /// with it.
    pub(super) fn read<'a>(
        annotation: impl Fn(&str) -> Option<&'a str>,
    ) -> Result<Self, (&'static str, String)> {
        let mut hook = Hook::default();
        let words: Vec<&str> = annotation(HOOK).into_iter().flat_map(list).collect();
        if words == ["Skip"] {
            return Ok(Self::Skipped);
        }
        for word in &words {
            match *word {
                "PreSync" => hook.runs(SyncPhase::PreSync),
                "Sync" => hook.runs(SyncPhase::Sync),
                "PostSync" => hook.runs(SyncPhase::PostSync),
                "SyncFail" => hook.runs(SyncPhase::SyncFail),
                // Beside others it says nothing, as in Argo CD.
                "Skip" => {}
                "PreDelete" => hook.runs(SyncPhase::PreDelete),
                "PostDelete" => hook.runs(SyncPhase::PostDelete),
                _ => return Err((HOOK, format!("{word:?} is no hook"))),
            }
        }
        let helm: Vec<&str> = annotation(HELM_HOOK).into_iter().flat_map(list).collect();
        if hook.phases == 0 && !helm.is_empty() {
            for word in &helm {
                match *word {
                    "pre-install" | "pre-upgrade" => hook.runs(SyncPhase::PreSync),
                    "post-install" | "post-upgrade" => hook.runs(SyncPhase::PostSync),
                    "crd-install" => return Ok(Self::Resource),
                    "pre-delete" => hook.runs(SyncPhase::PreDelete),
                    "post-delete" => hook.runs(SyncPhase::PostDelete),
                    "test" | "test-success" | "test-failure" | "pre-rollback" | "post-rollback" => {}
                    _ => return Err((HELM_HOOK, format!("{word:?} is no hook"))),
                }
            }
            if hook.phases == 0 {
                return Ok(Self::Ignored);
            }
        }
        if hook.phases == 0 {
            return Ok(Self::Resource);
        }
        let own: Vec<&str> = annotation(DELETE_POLICY).into_iter().flat_map(list).collect();
        let (name, policies) = if own.is_empty() {
            (HELM_DELETE_POLICY, annotation(HELM_DELETE_POLICY).into_iter().flat_map(list).collect())
        } else {
            (DELETE_POLICY, own)
        };
        for policy in policies {
            match policy {
                "BeforeHookCreation" | "before-hook-creation" => hook.before_creation = true,
                "HookSucceeded" | "hook-succeeded" => hook.when_succeeded = true,
                "HookFailed" | "hook-failed" => hook.when_failed = true,
                _ => return Err((name, format!("{policy:?} is no delete policy of a hook"))),
            }
        }
        hook.before_creation |= !(hook.when_succeeded || hook.when_failed);
        Ok(Self::Hook(hook))
    }
}

impl Hook {
    fn runs(&mut self, phase: SyncPhase) {
        self.phases |= 1 << phase as u8;
    }

    /// Gives the phases in which it runs, in their order.
    pub fn phases(self) -> impl Iterator<Item = SyncPhase> {
        SyncPhase::ALL.into_iter().filter(move |phase| self.runs_in(*phase))
    }

    /// Tells whether it runs in a phase.
    pub const fn runs_in(self, phase: SyncPhase) -> bool {
        self.phases & (1 << phase as u8) != 0
    }

    /// Gives the same hook in one of its phases alone.
    #[must_use]
    pub fn only_in(self, phase: SyncPhase) -> Self {
        Self { phases: self.phases & (1 << phase as u8), ..self }
    }

    /// Tells whether a sync that ended so deletes it.
    pub const fn is_deleted_after(self, succeeded: bool) -> bool {
        if succeeded { self.when_succeeded } else { self.when_failed }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn read(annotations: &[(&str, &'static str)]) -> Result<Role, (&'static str, String)> {
        let annotations: BTreeMap<&str, &'static str> = annotations.iter().copied().collect();
        Role::read(|name| annotations.get(name).copied())
    }

    fn hook(annotations: &[(&str, &'static str)]) -> (Vec<SyncPhase>, [bool; 3]) {
        match read(annotations) {
            Ok(Role::Hook(hook)) => {
                (hook.phases().collect(), [hook.before_creation, hook.when_succeeded, hook.when_failed])
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn phases_and_policies_are_read_as_argo_cd_reads_them() {
        use SyncPhase::{PostDelete, PostSync, PreDelete, PreSync, Sync, SyncFail};

        assert_eq!(read(&[]), Ok(Role::Resource));
        assert_eq!(read(&[(HOOK, "")]), Ok(Role::Resource));
        assert_eq!(read(&[(HOOK, "Skip")]), Ok(Role::Skipped));
        assert_eq!(hook(&[(HOOK, "PreSync")]), (vec![PreSync], [true, false, false]));
        assert_eq!(hook(&[(HOOK, "PostSync, Skip,PreSync")]).0, [PreSync, PostSync]);
        assert_eq!(hook(&[(HOOK, "Sync,SyncFail")]).0, [Sync, SyncFail]);
        let kept = [(HOOK, "Sync"), (DELETE_POLICY, "HookSucceeded,HookFailed")];
        assert_eq!(hook(&kept).1, [false, true, true]);
        assert_eq!(hook(&[(HELM_HOOK, "pre-install,pre-upgrade")]).0, [PreSync]);
        assert_eq!(hook(&[(HELM_HOOK, "post-upgrade,test")]).0, [PostSync]);
        assert_eq!(hook(&[(HOOK, "PostDelete,PreDelete")]).0, [PreDelete, PostDelete]);
        assert_eq!(hook(&[(HELM_HOOK, "pre-delete, post-delete")]).0, [PreDelete, PostDelete]);
        let helm = [(HELM_HOOK, "post-install"), (HELM_DELETE_POLICY, "before-hook-creation,hook-succeeded")];
        assert_eq!(hook(&helm).1, [true, true, false]);
        assert_eq!(read(&[(HELM_HOOK, "crd-install")]), Ok(Role::Resource));
        assert_eq!(read(&[(HELM_HOOK, "test")]), Ok(Role::Ignored));
        assert_eq!(hook(&[(HOOK, "Sync"), (HELM_HOOK, "test")]).0, [Sync], "Argo CD's own counts");
    }

    #[test]
    fn what_is_not_known_is_refused_by_its_annotation() {
        for (annotations, at) in [
            (&[(HOOK, "Presync")][..], HOOK),
            (&[(HOOK, "Predelete")], HOOK),
            (&[(HELM_HOOK, "after-delete")], HELM_HOOK),
            (&[(HELM_HOOK, "whenever")], HELM_HOOK),
            (&[(HOOK, "Sync"), (DELETE_POLICY, "Never")], DELETE_POLICY),
            (&[(HELM_HOOK, "pre-install"), (HELM_DELETE_POLICY, "never")], HELM_DELETE_POLICY),
        ] {
            assert_eq!(read(annotations).unwrap_err().0, at);
        }
    }
}
