//! What planning the sync of a large app costs.

#![expect(clippy::unwrap_used, clippy::panic, reason = "all of it is a test")]

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use argosy_core::cluster::{Answer, Applied, KindInfo, Kinds, LiveMeta, Request, Tracking, WatchEvent};
use argosy_core::desired::{Assignment, DesiredList, Destination, ListSettings, Phase};
use argosy_core::ids::{AppId, BootId, Digest, InstallationId};
use argosy_core::key::{GroupKind, ResourceKey};
use argosy_core::policy::{Automated, SyncPolicy};
use argosy_core::project::Project;
use argosy_core::reconcile::Reconciler;
use argosy_core::release::Release;
use argosy_core::session::tables::{put_manifest, put_release};
use argosy_core::status::SyncStatus;
use argosy_core::store::{MemoryStore, StoreOp};
use argosy_core::time::{Entropy, MonoTime, Now, WallTime};
use serde_json::json;

const OBJECTS: usize = 5_000;
/// The most that a plan of [`OBJECTS`] may take on one core, in release mode.
const BOUND: Duration = Duration::from_millis(50);

struct Zeros;

impl Entropy for Zeros {
    fn fill(&mut self, bytes: &mut [u8]) {
        bytes.fill(0);
    }
}

/// A reconciler, and a cluster that takes whatever it is sent.
struct World {
    store: MemoryStore,
    reconciler: Reconciler,
    list: DesiredList,
    version: u64,
    /// The watch of the kind has begun.
    listed: bool,
}

fn installation() -> InstallationId {
    InstallationId::from_random([3; 16])
}

fn app() -> AppId {
    AppId::new("", "web")
}

fn config_maps() -> GroupKind {
    GroupKind::new("", "ConfigMap")
}

fn now() -> Now {
    Now { mono: MonoTime { boot: BootId::new([1; 16]), elapsed_ms: 1_000 }, wall: WallTime(0) }
}

impl World {
    fn new() -> Self {
        let store = MemoryStore::default();
        let mut reconciler = Reconciler::load(&store, installation(), now()).unwrap();
        let kinds = Kinds::from([(config_maps(), KindInfo { namespaced: true })]);
        reconciler.set_kinds(kinds, BTreeSet::new(), &store, now()).unwrap();
        let settings = ListSettings { installation: installation(), hold_deletes: false };
        Self { store, reconciler, list: DesiredList::empty(settings), version: 1, listed: false }
    }

    /// Stores a release of config maps, of which the first ones have another value; gives its assignment.
    fn put(&mut self, objects: usize, changed: usize) -> Assignment {
        let manifests: Vec<(ResourceKey, Vec<u8>)> = (0..objects)
            .map(|number| {
                let name = format!("object-{number:04}");
                let body = json!({"apiVersion": "v1", "kind": "ConfigMap",
                    "metadata": {"name": name, "namespace": "shop"}, "data": {"v": number < changed}});
                (ResourceKey::new("", "ConfigMap", "shop", &name), body.to_string().into_bytes())
            })
            .collect();
        let mut ops: Vec<StoreOp> = manifests.iter().map(|(_, bytes)| put_manifest(bytes)).collect();
        let entries = manifests.into_iter().map(|(key, bytes)| (key, Digest::of(&bytes)));
        let (release, _) = Release::build(entries);
        ops.push(put_release(&release));
        self.store.commit(&ops);
        Assignment {
            app: app(),
            root: release.root(),
            destination: Destination { namespace: "shop".to_owned(), ..Destination::default() },
            policy: SyncPolicy {
                automated: Some(Automated { prune: true, self_heal: true, allow_empty: false }),
                ..SyncPolicy::default()
            },
            limits: Project::permissive().limits,
            phase: Phase::Active,
            held: Vec::new(),
            cascade_confirmed: false,
            deletion: None,
            ignore: Vec::new(),
        }
    }

    /// Gives how long it takes from an assignment to the first requests, which are what it begins with.
    #[expect(clippy::disallowed_methods, reason = "it measures")]
    fn plan(&mut self, assignment: Assignment) -> Duration {
        self.list.set(assignment.clone());
        let assigned = BTreeMap::from([(app(), assignment)]);
        let begin = Instant::now();
        self.reconciler.set_desired(Some(&self.list), &assigned, true, &self.store, now()).unwrap();
        let output = self.reconciler.turn(&self.store, now()).unwrap();
        let took = begin.elapsed();
        self.store.commit(&output.ops);
        for (id, request) in output.requests {
            let answer = self.answer(request);
            self.reconciler.answered(id, Ok(answer), now(), &mut Zeros);
        }
        took
    }

    /// Goes on until nothing is asked any more.
    fn settle(&mut self) {
        loop {
            let output = self.reconciler.turn(&self.store, now()).unwrap();
            self.store.commit(&output.ops);
            let unseen = !self.listed && self.reconciler.kinds_to_watch().contains(&config_maps());
            if unseen {
                self.listed = true;
                let event = WatchEvent::Listed { resource_version: 1, objects: Vec::new() };
                self.reconciler.watched(&config_maps(), event, now());
            }
            if output.requests.is_empty() && !unseen {
                return;
            }
            for (id, request) in output.requests {
                let answer = self.answer(request);
                self.reconciler.answered(id, Ok(answer), now(), &mut Zeros);
            }
        }
    }

    fn answer(&mut self, request: Request) -> Answer {
        match request {
            Request::Try { .. } => Answer::Tried,
            Request::Get { .. } => Answer::Absent,
            Request::Apply { key, uid, manifest, app, .. } => {
                self.version += 1;
                let live = LiveMeta {
                    tracking: Tracking::Ours { installation: Some(installation()), app, names: key.clone() },
                    uid: uid.clone().unwrap_or_else(|| key.name.to_string()),
                    key,
                    resource_version: self.version,
                    labelled: true,
                    owned: false,
                    deleting: false,
                    fingerprint: Some(manifest),
                    last_writer: None,
                    health: None,
                    lagging: false,
                };
                Answer::Applied(Applied { live, created: uid.is_none(), changed: Vec::new() })
            }
            Request::GiveUp { .. }
            | Request::Delete { .. }
            | Request::EnsureNamespace { .. }
            | Request::Compare { .. } => {
                panic!("nobody asks for that here")
            }
        }
    }
}

/// Run it with `cargo test --release -p argosy-core --test plan -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement: it prints how long plans of 5,000 objects take"]
#[expect(clippy::print_stdout, reason = "it tells what it measured")]
fn a_plan_of_five_thousand_objects_takes_at_most_fifty_milliseconds() {
    let mut fastest = [Duration::MAX; 3];
    for _ in 0..5 {
        let mut world = World::new();
        // The kind is watched from the beginning.
        let assignment = world.put(1, 0);
        world.plan(assignment);
        world.settle();
        for (place, changed) in [0, 1, OBJECTS].into_iter().enumerate() {
            let assignment = world.put(OBJECTS, changed);
            fastest[place] = fastest[place].min(world.plan(assignment));
            world.settle();
            let status = &world.reconciler.statuses()[&app()];
            assert_eq!((status.sync, status.counts.total), (SyncStatus::Synced, OBJECTS as u64));
        }
    }
    let [new, one, all] = fastest;
    println!(
        "plan of {OBJECTS} objects: {new:?} when all are new, {one:?} for one change, {all:?} for changes of all"
    );
    assert!(cfg!(debug_assertions) || fastest.iter().all(|took| *took <= BOUND), "{fastest:?}");
}
