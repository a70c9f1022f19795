//! One growth of a read: app after app, each with the documents that it brings.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::claim::Claimed;
use super::orders::{Order, Ordered};
use super::split::{Document, Split, split};
use super::standing::{Good, Standing, Still};
use super::{Family, Grown, Known, PARENTS, Parents, Renderings};
use crate::application::{API_VERSION, Application, ClusterRef};
use crate::fleet::projects::Projects;
use crate::fleet::read::{ChildState, FleetRead};
use crate::fleet::{Fleet, Placement, condition};
use crate::ids::{AppId, ClusterId};
use crate::key::{ResourceKey, split_api_version};
use crate::project::normalise_repository;
use crate::release::{Release, Root};
use crate::session::tables::{RELEASES, put_release};
use crate::status::{Condition, ResourceRow, SyncStatus};
use crate::store::{StoreError, StoreOp, StoreRead, encode};
use crate::time::WallTime;

/// So many conditions are said of one app's documents; the rest is counted.
const CONDITIONS: usize = 10;

/// What is said of a document with a sync wave.
const WAVE: &str = "its sync wave orders nothing: the documents that an app brings are taken at once";

/// A growth under way.
pub(super) struct Growth<'a> {
    pub(super) before: &'a Parents,
    pub(super) placements: &'a BTreeMap<(ClusterId, AppId), Placement>,
    pub(super) projects: &'a Projects,
    base: &'a FleetRead,
    pub(super) renderings: Renderings<'a>,
    pub(super) order: Option<&'a Order>,
    pub(super) at: WallTime,
    pub(super) store: &'a dyn StoreRead,
    pub(super) read: FleetRead,
    /// Apps that were brought and not looked at yet.
    pub(super) frontier: BTreeSet<AppId>,
    /// Sync windows had a say.
    pub(super) grown_windows: bool,
    /// Apps whose row of the table of parents is dealt with.
    pub(super) visited: BTreeSet<AppId>,
    /// What each app brings from now on.
    next: BTreeMap<AppId, Next>,
    /// What apps brought and do not render any more.
    left: Vec<Left>,
    /// Repositories of apps that may bring documents, and of which it is not known what they render.
    unknown: BTreeMap<String, AppId>,
    pub(super) families: BTreeMap<AppId, Family>,
    pub(super) rest: BTreeMap<AppId, Root>,
    splits: BTreeMap<(AppId, Root), Arc<Split>>,
    pub(super) ops: Vec<StoreOp>,
    /// What became of the order.
    pub(super) answer: Option<Result<(), String>>,
}

/// What an app brings from now on.
#[derive(Default)]
struct Next {
    documents: BTreeMap<ResourceKey, Document>,
    /// It leaves with the app.
    cascade: bool,
    ordered: Option<Ordered>,
}

/// What is taken from an app.
pub(super) struct Taken<'a> {
    pub(super) documents: &'a [Document],
    /// Somebody asks that it lets go of what it brought and does not render any more.
    pub(super) prune: bool,
    /// The order that it is taken by: then what its document says of pruning counts for nothing.
    pub(super) ordered: Option<Ordered>,
}

/// A document that its app does not render any more.
struct Left {
    parent: AppId,
    document: Document,
    /// The repository of its app; empty where that is gone.
    repository: String,
    /// Why it stays; absent: it may go.
    stays: Option<String>,
    /// Its app renders it again, and has a row for it.
    again: bool,
}

// === impl Growth ===

impl<'a> Growth<'a> {
    pub(super) fn new(
        fleet: &'a Fleet,
        projects: &'a Projects,
        base: &'a FleetRead,
        renderings: Renderings<'a>,
        (order, at): (Option<&'a Order>, WallTime),
        store: &'a dyn StoreRead,
    ) -> Self {
        Self {
            before: &fleet.parents,
            placements: &fleet.placements,
            projects,
            base,
            renderings,
            order,
            at,
            store,
            read: base.clone(),
            frontier: base.apps.keys().cloned().collect(),
            grown_windows: false,
            visited: BTreeSet::new(),
            next: BTreeMap::new(),
            left: Vec::new(),
            unknown: BTreeMap::new(),
            families: BTreeMap::new(),
            rest: BTreeMap::new(),
            splits: BTreeMap::new(),
            ops: Vec::new(),
            answer: None,
        }
    }

    /// Looks at every app, the nearest to the fleet's folder first.
    pub(super) fn run(mut self) -> Result<(Grown, Parents), StoreError> {
        loop {
            while !self.frontier.is_empty() {
                for app in std::mem::take(&mut self.frontier) {
                    self.visit(&app)?;
                }
            }
            self.leave();
            if self.frontier.is_empty() && !self.forgotten()? {
                break;
            }
        }
        Ok(self.finish())
    }

    fn visit(&mut self, app: &AppId) -> Result<(), StoreError> {
        let Some(document) = self.read.apps.get(app) else { return Ok(()) };
        let application = match &document.application {
            Ok(application) => application.clone(),
            Err(why) => {
                let why = format!("it is refused: {why}");
                self.refuse_order(app, &why);
                if self.before.known.contains_key(app) {
                    self.keep(app, &ChildState::Failing(why), self.cascaded(app))?;
                }
                return Ok(());
            }
        };
        // An app that moved away is looked at when all others were.
        if application.destination.cluster.name() != Some(ClusterRef::IN_CLUSTER) {
            return Ok(());
        }
        let cascade = application.cascade.is_some();
        let state = match self.standing(app, &application)? {
            Standing::Good(good) => return self.take(app, &application, &good),
            Standing::Unread(why) => {
                self.refuse_order(app, &why);
                ChildState::Unread(why)
            }
            Standing::Failing(why) => {
                self.refuse_order(app, &why);
                ChildState::Failing(why)
            }
        };
        self.unknown.insert(normalise_repository(&application.source.repo_url), app.clone());
        if self.before.known.contains_key(app) {
            return self.keep(app, &state, cascade);
        }
        // One that is on a cluster was rendered before, and brought nothing.
        if !self.placements.keys().any(|(_, of)| of == app) {
            self.read.unread_parents.insert(app.clone());
        }
        Ok(())
    }

    /// Leaves what an app brought last as it is.
    fn keep(&mut self, app: &AppId, state: &ChildState, cascade: bool) -> Result<(), StoreError> {
        self.visited.insert(app.clone());
        let known = self.known(app)?;
        let message = match state {
            ChildState::Failing(why) | ChildState::Unread(why) => {
                format!("its last good state stays: app {app}: {why}")
            }
            ChildState::Current | ChildState::LeftOver(_) => String::new(),
        };
        let mut next = BTreeMap::new();
        for document in &known {
            self.claim(app, document, state.clone());
            self.row(app, document, SyncStatus::Unknown, false, message.clone());
            next.insert(document.id(), document.clone());
        }
        let ordered = self.before.known.get(app).and_then(|known| known.ordered.clone());
        self.next.insert(app.clone(), Next { documents: next, cascade, ordered });
        Ok(())
    }

    /// Takes documents from an app.
    pub(super) fn bring(
        &mut self,
        app: &AppId,
        application: &Application,
        good: &Good,
        known: &[Document],
        Taken { documents, prune, ordered }: Taken<'_>,
    ) {
        let mut next = BTreeMap::new();
        let mut rendered = BTreeSet::new();
        for document in documents {
            let id = document.id();
            rendered.insert(id.clone());
            if let Err(why) = self.permitted(app, document, application, &good.limits) {
                self.refuse(app, document, "SyncError", &why);
                if let Some(old) = known.iter().find(|old| old.id() == id) {
                    self.claim(app, old, ChildState::Failing(format!("{document} is refused: {why}")));
                    next.insert(id, old.clone());
                }
                continue;
            }
            match self.claim(app, document, ChildState::Current) {
                Claimed::Taken => {
                    let (status, message) = match document.refusal() {
                        Some(why) => (SyncStatus::OutOfSync, format!("refused: {why}")),
                        None if document.wave != 0 => (SyncStatus::Synced, WAVE.to_owned()),
                        None => (SyncStatus::Synced, String::new()),
                    };
                    self.row(app, document, status, false, message);
                    next.insert(id, document.clone());
                }
                Claimed::Same(file) => {
                    let message = format!("{file} gives it as well, and keeps it");
                    self.row(app, document, SyncStatus::Synced, false, message);
                }
                Claimed::Given(file) => {
                    let why = self.keeper(&file, app, document);
                    self.refuse(app, document, "SharedResourceWarning", &why);
                }
                Claimed::Refused => {
                    self.refuse(app, document, "SyncError", document.refusal().unwrap_or_default());
                }
            }
        }
        let automated = application.policy.automated.unwrap_or_default();
        let stays = if good.split.empty && !automated.allow_empty {
            Some("it renders nothing at all any more, and spec.syncPolicy.automated.allowEmpty is not set")
        } else if prune || (ordered.is_none() && automated.prune) {
            None
        } else if ordered.is_none() {
            Some("it does not render it any more, and spec.syncPolicy.automated.prune is not set")
        } else {
            Some("it does not render it any more, and was synced without --prune")
        };
        let is_ordered = ordered.is_some();
        let cascade = application.cascade.is_some();
        self.next.insert(app.clone(), Next { documents: next, cascade, ordered });
        let repository = normalise_repository(&application.source.repo_url);
        for document in known.iter().filter(|document| !rendered.contains(&document.id())) {
            let newest = &good.split.documents;
            let again = is_ordered && newest.iter().any(|newest| newest.id() == document.id());
            let stays = if again {
                Some("it renders it again since it was synced")
            } else {
                stays.or(document.prune_refused(application.policy.prune))
            };
            self.left.push(Left {
                parent: app.clone(),
                document: document.clone(),
                repository: repository.clone(),
                stays: stays.map(|why| format!("app {app}: {why}")),
                again,
            });
        }
    }

    /// Leaves what an app brought as it is, because nothing of it goes by itself now; tells what differs.
    pub(super) fn stay(
        &mut self,
        app: &AppId,
        application: &Application,
        (rendered, known): (&[Document], &[Document]),
        still: &Still,
        ordered: Option<Ordered>,
    ) {
        let words = still.words(app);
        let mut next = BTreeMap::new();
        for document in known {
            self.claim(app, document, ChildState::Current);
            next.insert(document.id(), document.clone());
            if !rendered.iter().any(|new| new.id() == document.id()) {
                self.row(app, document, SyncStatus::OutOfSync, true, words.clone());
            }
        }
        for document in rendered {
            let same = known.iter().any(|old| old.id() == document.id() && old.digest == document.digest);
            // What no sync takes is told as such.
            let (status, message) = match document.refusal() {
                Some(why) => (SyncStatus::OutOfSync, format!("refused: {why}")),
                None if same => (SyncStatus::Synced, String::new()),
                None => (SyncStatus::OutOfSync, words.clone()),
            };
            self.row(app, document, status, false, message);
        }
        let cascade = application.cascade.is_some();
        self.next.insert(app.clone(), Next { documents: next, cascade, ordered });
    }

    /// Decides on what apps do not render any more: what nobody else gives goes, or stays with its reason.
    fn leave(&mut self) {
        for Left { parent, document, repository, stays, again } in std::mem::take(&mut self.left) {
            if self.is_given(&document) {
                continue;
            }
            // It may be on its way to an app that does not render now (M5).
            let waits = self.unknown.get(&repository).filter(|_| !again).map(|other| {
                format!("app {parent} does not render it any more; it stays until app {other} of its repository renders")
            });
            let Some(why) = waits.or(stays) else { continue };
            self.claim(&parent, &document, ChildState::LeftOver(why.clone()));
            if self.families.contains_key(&parent) && !again {
                self.row(&parent, &document, SyncStatus::OutOfSync, true, why);
            }
            self.next.entry(parent.clone()).or_default().documents.insert(document.id(), document);
        }
    }

    /// Looks at one app that brought documents and brings none now; tells whether there was one.
    fn forgotten(&mut self) -> Result<bool, StoreError> {
        let open: Vec<AppId> =
            self.before.known.keys().filter(|app| !self.visited.contains(*app)).cloned().collect();
        let mut brought = BTreeSet::new();
        for app in &open {
            for document in self.known(app)? {
                brought.insert(document.id());
            }
        }
        let is_brought =
            |app: &&AppId| brought.iter().any(|id| id.kind == "Application" && id.name == app.name);
        let Some(app) = open.iter().find(|app| !is_brought(app)).or(open.first()).cloned() else {
            return Ok(false);
        };
        let cascade = self.cascaded(&app);
        let why = match self.read.apps.get(&app) {
            Some(_) => format!("app {app} is not for {} any more", ClusterRef::IN_CLUSTER),
            None if self.base.may_mean(&app) => {
                let why = "its document cannot be read".to_owned();
                return self.keep(&app, &ChildState::Failing(why), cascade).map(|()| true);
            }
            None if !self.base.complete => {
                return self.keep(&app, &ChildState::Current, cascade).map(|()| true);
            }
            None if cascade => {
                format!("app {app} has left the fleet, and its sync options say Delete=false or confirm")
            }
            None => format!("app {app} has left the fleet without a finalizer"),
        };
        // What goes along with an app goes without a word.
        let goes = cascade && !self.read.apps.contains_key(&app);
        let stays = format!("{why}: what it brought stays until another app or the fleet's folder gives it");
        for document in self.known(&app)?.into_iter().filter(|document| !goes || document.delete_refused()) {
            let (parent, stays) = (app.clone(), Some(stays.clone()));
            self.left.push(Left { parent, document, repository: String::new(), stays, again: false });
        }
        self.visited.insert(app);
        self.leave();
        Ok(true)
    }

    fn cascaded(&self, app: &AppId) -> bool {
        self.before.known.get(app).is_some_and(|known| known.cascade)
    }

    /// Gives what an app brought last.
    pub(super) fn known(&mut self, app: &AppId) -> Result<Vec<Document>, StoreError> {
        let Some(known) = self.before.known.get(app) else { return Ok(Vec::new()) };
        let split = self.split(app, known.documents)?.ok_or_else(|| {
            // Nothing leaves for want of a row.
            let why = format!("release {} is not there", known.documents);
            StoreError::Undecodable { table: RELEASES, why }
        })?;
        Ok(split.documents.clone())
    }

    /// Takes a release apart, or remembers how.
    pub(super) fn split(&mut self, app: &AppId, root: Root) -> Result<Option<Arc<Split>>, StoreError> {
        let key = (app.clone(), root);
        if let Some(known) = self.splits.get(&key).or_else(|| self.before.splits.get(&key)).cloned() {
            self.splits.insert(key, Arc::clone(&known));
            return Ok(Some(known));
        }
        let Some(split) = split(app, root, self.store)?.map(Arc::new) else { return Ok(None) };
        self.splits.insert(key, Arc::clone(&split));
        Ok(Some(split))
    }

    fn refuse(&mut self, app: &AppId, document: &Document, kind: &str, why: &str) {
        self.row(app, document, SyncStatus::OutOfSync, false, format!("refused: {why}"));
        self.say(app, kind, format!("{document} is refused: {why}"));
    }

    pub(super) fn say(&mut self, app: &AppId, kind: &str, message: String) {
        self.families.entry(app.clone()).or_default().conditions.push(condition(kind, message));
    }

    pub(super) fn row(
        &mut self,
        app: &AppId,
        document: &Document,
        status: SyncStatus,
        requires_pruning: bool,
        message: String,
    ) {
        let health_message = String::new();
        let row = ResourceRow {
            key: document.id(),
            status,
            health: None,
            health_message,
            requires_pruning,
            message,
            wave: document.wave,
            confirms: false,
            version: split_api_version(API_VERSION).1.to_owned(),
        };
        self.families.entry(app.clone()).or_default().rows.push(row);
    }

    fn finish(self) -> (Grown, Parents) {
        let Self { before, read, mut ops, rest, mut families, next, splits, grown_windows, answer, .. } =
            self;
        let mut known = BTreeMap::new();
        for (app, Next { documents, cascade, ordered }) in next {
            if documents.is_empty() && ordered.is_none() {
                continue;
            }
            let (release, _) =
                Release::build(documents.into_iter().map(|(key, document)| (key, document.digest)));
            let row = Known { documents: release.root(), cascade, ordered };
            if before.known.get(&app) != Some(&row) {
                ops.push(put_release(&release));
                ops.push(StoreOp::put(PARENTS, encode(&app), &row));
            }
            known.insert(app, row);
        }
        let gone = before.known.keys().filter(|app| !known.contains_key(*app));
        ops.extend(gone.map(|app| StoreOp::delete(PARENTS, encode(app))));
        for family in families.values_mut() {
            family.rows.sort_by(|one, other| one.key.cmp(&other.key));
            shorten(&mut family.conditions);
        }
        let grown = Grown { read, rest, families, ops, windows: grown_windows, answer };
        (grown, Parents { known, splits })
    }
}

/// Keeps as many conditions as are shown; the last one tells how many are not.
fn shorten(conditions: &mut Vec<Condition>) {
    conditions.sort();
    let more = conditions.len().saturating_sub(CONDITIONS);
    conditions.truncate(CONDITIONS);
    if let Some(last) = conditions.last_mut().filter(|_| more > 0) {
        last.message = format!("{}; and {more} more", last.message);
    }
}
