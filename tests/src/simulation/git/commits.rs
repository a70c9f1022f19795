//! Commits that people make.

use argosy_core::ids::AppId;
use argosy_core::key::ResourceKey;

use super::super::objects::{self, Piece, Stay};
use super::super::random::Random;
use super::{Document, Git, REPOSITORIES, Snapshot, Source};

pub(super) const NAMESPACES: [&str; 2] = ["shop", "mesh"];
pub(super) const NAMES: [&str; 8] = ["a", "b", "c", "d", "e", "f", "g", "h"];

impl Git {
    /// Makes a repository with a first commit.
    pub(in super::super) fn new(random: &mut Random, apps: u64, clusters: usize) -> Self {
        let mut snapshot = Snapshot::new();
        for number in 0..apps {
            let cluster = random.index(clusters);
            let mut source = source(random, cluster);
            for _ in 0..random.between(1, 8) {
                let key = key(random, number);
                source.objects.insert(key, piece(random));
            }
            snapshot.insert(AppId::new("", format!("app-{number}")), source);
        }
        Self { history: vec![Snapshot::new(), snapshot], away_until: [0; REPOSITORIES], slices: None }
    }

    /// Makes one more commit; says what it does.
    pub(in super::super) fn commit(
        &mut self,
        random: &mut Random,
        clusters: usize,
        troubles: bool,
    ) -> String {
        let mut next = self.newest();
        if let Some(what) = self.slice(&mut next) {
            self.history.push(next);
            return format!("commit {}: {what}", self.head());
        }
        let apps: Vec<AppId> = next.keys().cloned().collect();
        let what = match random.pick(&apps) {
            None => add(&mut next, random, clusters),
            Some(app) => match random.under(if troubles { 20 } else { 13 }) {
                0..=3 => change(&mut next, random, &app),
                4 | 5 => put_object(&mut next, random, &app),
                6 => take_object(&mut next, random, &app),
                7 | 8 => move_object(&mut next, random, &app),
                9 => add(&mut next, random, clusters),
                10 => policy(&mut next, random, &app),
                11 => rename(&mut next, &app),
                12 | 17 => remove(&mut next, &app),
                13 => empty(&mut next, &app),
                14 => document(&mut next, random, &app),
                15 => rendering(&mut next, &app),
                16 => move_and_break(&mut next, random, &app),
                18 => destination(&mut next, random, &app, clusters),
                _ => repair_in(&mut next, &app),
            },
        };
        self.history.push(next);
        format!("commit {}: {what}", self.head())
    }

    /// Makes every document and directory good again.
    pub(in super::super) fn repair(&mut self) {
        let mut next = self.newest();
        for source in next.values_mut() {
            source.document = Document::Good;
            source.renders = true;
            source.windowed = false;
        }
        self.history.push(next);
    }
}

fn source(random: &mut Random, cluster: usize) -> Source {
    let automated = random.percent(85);
    Source {
        cluster,
        namespace: random.pick(&NAMESPACES).unwrap_or_default().to_owned(),
        repository: random.index(REPOSITORIES),
        automated,
        prune: random.percent(85),
        self_heal: random.percent(80),
        allow_empty: random.percent(20),
        create_namespace: random.percent(90),
        cascade: random.percent(50),
        windowed: false,
        document: Document::Good,
        renders: true,
        objects: std::collections::BTreeMap::new(),
    }
}

/// Gives a key: mostly of this app's own, sometimes one that another app may name as well.
fn key(random: &mut Random, number: u64) -> ResourceKey {
    let name = random.pick(&NAMES).unwrap_or_default();
    let own = if random.percent(85) { format!("{name}-{number}") } else { name.to_owned() };
    match random.under(20) {
        0 => ResourceKey::new("", "PersistentVolumeClaim", "", own),
        1 => ResourceKey::new("batch", "Job", "", own),
        2 => objects::definition(),
        3 => ResourceKey::new("example.com", "Widget", "", own),
        4 => objects::namespace(random.pick(&["shop", "mesh", "extra"]).unwrap_or_default()),
        5 => objects::config_map("mesh", &own),
        _ => objects::config_map("", &own),
    }
}

fn piece(random: &mut Random) -> Piece {
    let stay = match random.under(20) {
        0 => Stay::Kept,
        1 => Stay::NotPruned,
        _ => Stay::Normal,
    };
    // More than fits into the credit that a hub has unasked.
    let filler = if random.percent(3) { 72 << 10 } else { 0 };
    Piece { version: 1, stay, filler }
}

fn number(app: &AppId) -> u64 {
    app.name.rsplit('-').next().and_then(|number| number.parse().ok()).unwrap_or_default()
}

fn change(next: &mut Snapshot, random: &mut Random, app: &AppId) -> String {
    let Some(source) = next.get_mut(app) else { return String::new() };
    let keys: Vec<ResourceKey> = source.objects.keys().cloned().collect();
    let count = random.between(1, 3);
    for _ in 0..count {
        if let Some(piece) = random.pick(&keys).and_then(|key| source.objects.get_mut(&key)) {
            piece.version += 1;
        }
    }
    format!("{app} changes {count} objects")
}

fn put_object(next: &mut Snapshot, random: &mut Random, app: &AppId) -> String {
    let Some(source) = next.get_mut(app) else { return String::new() };
    let key = key(random, number(app));
    let what = format!("{app} gets {key}");
    let version = source.objects.get(&key).map_or(1, |piece| piece.version + 1);
    source.objects.insert(key, Piece { version, ..piece(random) });
    what
}

fn take_object(next: &mut Snapshot, random: &mut Random, app: &AppId) -> String {
    let Some(source) = next.get_mut(app) else { return String::new() };
    let keys: Vec<ResourceKey> = source.objects.keys().cloned().collect();
    let Some(key) = random.pick(&keys) else { return "nothing".to_owned() };
    source.objects.remove(&key);
    format!("{app} loses {key}")
}

/// Moves an object to another app of the same repository; gives both.
fn moved(next: &mut Snapshot, random: &mut Random, app: &AppId) -> Option<(AppId, ResourceKey)> {
    let from = next.get(app)?.clone();
    let others: Vec<AppId> = next
        .iter()
        .filter(|(other, source)| {
            *other != app
                && source.repository == from.repository
                && source.cluster == from.cluster
                && source.namespace == from.namespace
        })
        .map(|(other, _)| other.clone())
        .collect();
    let to = random.pick(&others)?;
    let keys: Vec<ResourceKey> = from.objects.keys().cloned().collect();
    let key = random.pick(&keys)?;
    let piece = next.get_mut(app)?.objects.remove(&key)?;
    next.get_mut(&to)?.objects.insert(key.clone(), piece);
    Some((to, key))
}

fn move_object(next: &mut Snapshot, random: &mut Random, app: &AppId) -> String {
    match moved(next, random, app) {
        Some((to, key)) => format!("{key} moves from {app} to {to}"),
        None => "nothing".to_owned(),
    }
}

fn move_and_break(next: &mut Snapshot, random: &mut Random, app: &AppId) -> String {
    let Some((to, key)) = moved(next, random, app) else { return "nothing".to_owned() };
    if let Some(source) = next.get_mut(&to) {
        source.renders = false;
    }
    format!("{key} moves from {app} to {to}, which does not render")
}

fn add(next: &mut Snapshot, random: &mut Random, clusters: usize) -> String {
    let number = next.keys().map(number).max().unwrap_or_default() + 1;
    let cluster = random.index(clusters);
    let mut new = source(random, cluster);
    for _ in 0..random.between(1, 6) {
        new.objects.insert(key(random, number), piece(random));
    }
    let app = AppId::new("", format!("app-{number}"));
    let what = format!("{app} is added");
    next.insert(app, new);
    what
}

fn policy(next: &mut Snapshot, random: &mut Random, app: &AppId) -> String {
    let Some(before) = next.get_mut(app) else { return String::new() };
    let fresh = source(random, before.cluster);
    *before = Source {
        namespace: before.namespace.clone(),
        repository: before.repository,
        document: before.document,
        renders: before.renders,
        objects: before.objects.clone(),
        windowed: random.percent(30),
        ..fresh
    };
    let window = if before.windowed { ", and may not sync now" } else { "" };
    format!("{app} changes its policy{window}")
}

fn rename(next: &mut Snapshot, app: &AppId) -> String {
    // Only directories that are read together with the fleet move with it in one commit.
    if next.get(app).is_none_or(|source| source.repository != 0) {
        return "nothing".to_owned();
    }
    let number = next.keys().map(number).max().unwrap_or_default() + 1;
    let to = AppId::new("", format!("app-{number}"));
    if let Some(source) = next.remove(app) {
        next.insert(to.clone(), source);
    }
    format!("{app} is renamed to {to}")
}

fn remove(next: &mut Snapshot, app: &AppId) -> String {
    let cascade = next.remove(app).and_then(|source| super::cascade(&source)).is_some();
    format!("{app} is removed, {}", if cascade { "with its objects" } else { "its objects stay" })
}

fn empty(next: &mut Snapshot, app: &AppId) -> String {
    if let Some(source) = next.get_mut(app) {
        source.objects.clear();
    }
    format!("{app} becomes empty")
}

fn document(next: &mut Snapshot, random: &mut Random, app: &AppId) -> String {
    let how =
        random.pick(&[Document::BrokenFile, Document::Invalid, Document::Refused]).unwrap_or(Document::Good);
    if let Some(source) = next.get_mut(app) {
        source.document = how;
    }
    format!("the document of {app} becomes {how:?}")
}

fn rendering(next: &mut Snapshot, app: &AppId) -> String {
    if let Some(source) = next.get_mut(app) {
        source.renders = false;
    }
    format!("{app} does not render")
}

fn destination(next: &mut Snapshot, random: &mut Random, app: &AppId, clusters: usize) -> String {
    let Some(source) = next.get_mut(app) else { return String::new() };
    if random.percent(50) {
        random.pick(&NAMESPACES).unwrap_or_default().clone_into(&mut source.namespace);
    } else {
        source.cluster = random.index(clusters);
    }
    format!("{app} goes to {} of cluster {}", source.namespace, source.cluster)
}

fn repair_in(next: &mut Snapshot, app: &AppId) -> String {
    if let Some(source) = next.get_mut(app) {
        source.document = Document::Good;
        source.renders = true;
        source.windowed = false;
    }
    format!("{app} is repaired")
}
