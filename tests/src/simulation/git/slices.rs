//! Commits that state parts of objects: of what an app has itself, of what another has, of what nobody does yet.

use argosy_core::ids::AppId;
use argosy_core::key::ResourceKey;

use super::super::objects::{self, Piece, Stay};
use super::super::random::Random;
use super::commits::{NAMES, NAMESPACES};
use super::{Git, Snapshot};

const PARTS: [&str; 2] = ["mesh", "net"];

impl Git {
    /// Has apps state parts from now on, some of them in the newest commit.
    pub(in super::super) fn state_parts(&mut self, mut random: Random) {
        if let Some(newest) = self.history.last_mut() {
            let apps: Vec<AppId> = newest.keys().cloned().collect();
            for app in apps {
                if random.percent(60) {
                    put(newest, &mut random, &app);
                }
            }
        }
        self.slices = Some(random);
    }

    /// Changes which parts an app states, now and then; says what it did.
    pub(super) fn slice(&mut self, next: &mut Snapshot) -> Option<String> {
        let random = self.slices.as_mut()?;
        if !random.percent(30) {
            return None;
        }
        let apps: Vec<AppId> = next.keys().cloned().collect();
        let app = random.pick(&apps)?;
        Some(match random.under(10) {
            0..=3 => put(next, random, &app),
            4..=6 => take(next, random, &app),
            _ => turn(next, random, &app),
        })
    }
}

/// An app states a part, or another version of it.
fn put(next: &mut Snapshot, random: &mut Random, app: &AppId) -> String {
    let key = whole(next, random).with_part(random.pick(&PARTS).unwrap_or_default());
    let Some(source) = next.get_mut(app) else { return String::new() };
    let version = source.objects.get(&key).map_or(1, |piece| piece.version + 1);
    let what = format!("{app} states {key}");
    source.objects.insert(key, piece(random, version));
    what
}

/// An app states a part no more.
fn take(next: &mut Snapshot, random: &mut Random, app: &AppId) -> String {
    let Some(source) = next.get_mut(app) else { return String::new() };
    let parts: Vec<ResourceKey> = source.objects.keys().filter(|key| key.is_part()).cloned().collect();
    let Some(key) = random.pick(&parts) else { return "nothing".to_owned() };
    source.objects.remove(&key);
    format!("{app} states {key} no more")
}

/// An app states in part what it had as a whole, or the other way round.
fn turn(next: &mut Snapshot, random: &mut Random, app: &AppId) -> String {
    let Some(source) = next.get_mut(app) else { return String::new() };
    let keys: Vec<ResourceKey> = source.objects.keys().filter(|key| is_sliced(key)).cloned().collect();
    let Some(key) = random.pick(&keys) else { return "nothing".to_owned() };
    let piece = source.objects.remove(&key);
    let other = if key.is_part() { "" } else { random.pick(&PARTS).unwrap_or_default() };
    let turned = key.clone().with_part(other);
    let what = format!("{app} states {turned} and not {key}");
    if let Some(piece) = piece {
        source.objects.insert(turned, Piece { version: piece.version + 1, filler: 0, ..piece });
    }
    what
}

/// Gives an object: one that an app states as a whole, one that others may make, or a namespace.
fn whole(next: &Snapshot, random: &mut Random) -> ResourceKey {
    let sources: Vec<_> = next.values().collect();
    let stated: Vec<ResourceKey> =
        random.pick(&sources).into_iter().flat_map(|of| of.objects.keys()).cloned().collect();
    let stated: Vec<ResourceKey> =
        stated.iter().filter(|key| is_sliced(key)).map(ResourceKey::whole).collect();
    let namespace = random.pick(&NAMESPACES).unwrap_or_default();
    let anybodys = match random.under(10) {
        0..=2 => objects::namespace(namespace),
        _ => objects::config_map(namespace, random.pick(&NAMES).unwrap_or_default()),
    };
    random.pick(&stated).filter(|_| random.percent(60)).unwrap_or(anybodys)
}

/// Tells whether parts of an object are stated.
fn is_sliced(key: &ResourceKey) -> bool {
    key.is_namespace() || key.kind == "ConfigMap"
}

fn piece(random: &mut Random, version: u32) -> Piece {
    let stay = match random.under(20) {
        0 => Stay::Kept,
        1 => Stay::NotPruned,
        _ => Stay::Normal,
    };
    Piece { version, stay, filler: 0 }
}
