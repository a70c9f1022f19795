//! What others than agents do to a cluster.

use argosy_core::cluster::Tracking;
use argosy_core::ids::Digest;
use argosy_core::key::ResourceKey;

use super::super::objects;
use super::super::random::Random;
use super::Cluster;

/// One thing that somebody else does to one object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meddling {
    /// Changes values that we applied.
    Change,
    /// Changes a field of its own.
    Beside,
    /// Takes our label off.
    Unlabel,
    /// Takes label and tracking off.
    Untrack,
    /// Makes it an object of another tool.
    Claim,
    /// Deletes it.
    Delete,
    /// Deletes it and makes an untracked one of the same name.
    Recreate,
    /// Restores it from a backup: the same metadata under a new UID.
    Restore,
}

impl Meddling {
    const ALL: [Self; 8] = [
        Self::Change,
        Self::Beside,
        Self::Unlabel,
        Self::Untrack,
        Self::Claim,
        Self::Delete,
        Self::Recreate,
        Self::Restore,
    ];
}

impl Cluster {
    /// Does something somewhere; says what.
    pub(in super::super) fn meddle_somewhere(&mut self, random: &mut Random) -> Option<String> {
        let keys: Vec<_> = self
            .objects
            .keys()
            .filter(|key| !key.is_namespace() && (!key.is_crd() || random.percent(10)))
            .cloned()
            .collect();
        if random.percent(10) {
            let name = random.pick(&["a", "b", "c", "d", "a-0", "b-1"]).unwrap_or_default();
            let namespace = random.pick(&["shop", "mesh"]).unwrap_or_default();
            let key = objects::config_map(namespace, name);
            let claims = random.percent(30);
            let homed = self.objects.contains_key(&objects::namespace(namespace));
            if !homed || self.objects.contains_key(&key) {
                return None;
            }
            self.put(&key, "kubectl");
            self.meddled.insert(key.clone());
            if claims {
                self.meddle(&key, Meddling::Claim);
            }
            return Some(format!("makes {key}"));
        }
        let (key, how) = (random.pick(&keys)?, random.pick(&Meddling::ALL)?);
        self.meddle(&key, how);
        Some(format!("does {how:?} to {key}"))
    }

    /// Replaces the definition: with it go all objects of its kind.
    pub(in super::super) fn replace_definition(&mut self) {
        let key = objects::definition();
        if self.objects.contains_key(&key) {
            for key in self.objects.keys().filter(|key| key.group_kind() == objects::widget_kind()) {
                self.meddled.insert(key.clone());
            }
            self.meddle(&key, Meddling::Recreate);
        }
    }

    /// Meddles with an object.
    fn meddle(&mut self, key: &ResourceKey, how: Meddling) {
        let Some(before) = self.objects.get(key).cloned() else { return };
        if how != Meddling::Beside {
            self.meddled.insert(key.clone());
        }
        let mut object = before.clone();
        object.writer = Some("kubectl".to_owned());
        let robbed = |fingerprint: Option<Digest>, what: &str| {
            fingerprint
                .map(|before| Digest::of_parts("robbed", [before.as_bytes().as_slice(), what.as_bytes()]))
        };
        match how {
            Meddling::Change => {
                object.manifest = None;
                object.fingerprint = robbed(object.fingerprint, "values");
            }
            Meddling::Beside => {}
            Meddling::Unlabel => {
                object.labelled = false;
                object.fingerprint = robbed(object.fingerprint, "label");
            }
            Meddling::Untrack => {
                object.labelled = false;
                object.tracking = Tracking::None;
                object.fingerprint = robbed(object.fingerprint, "tracking");
            }
            Meddling::Claim => {
                object.tracking = Tracking::Other("Helm release shop/other".to_owned());
                object.fingerprint = robbed(object.fingerprint, "tracking");
            }
            Meddling::Delete | Meddling::Recreate | Meddling::Restore => {
                self.remove(key);
                match how {
                    Meddling::Recreate => self.put(key, "kubectl"),
                    Meddling::Restore => {
                        let mut restored = self.fresh("velero-server");
                        restored.manifest = before.manifest;
                        restored.tracking = before.tracking;
                        restored.labelled = before.labelled;
                        restored.grown = before.grown;
                        self.store(key, restored, false);
                    }
                    Meddling::Change
                    | Meddling::Beside
                    | Meddling::Unlabel
                    | Meddling::Untrack
                    | Meddling::Claim
                    | Meddling::Delete => {}
                }
                return;
            }
        }
        object.version = self.next_version();
        self.store(key, object, before.labelled);
    }
}
