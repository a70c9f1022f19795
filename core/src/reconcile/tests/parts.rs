//! Parts of objects that others have: waited for, applied, healed, told, given up.

mod storm;
mod whole;

use super::*;
use crate::cluster::{Answer, Applied};
use crate::health::Health;
use crate::policy::SyncPolicy;
use crate::status::ResourceRow;
use crate::tracking::PART;

impl Bench {
    /// Answers about a part: its object is there if the whole is, and what is ours of it is noted beside that.
    pub(super) fn of_part(&mut self, request: &Request) -> Result<Answer, ApiError> {
        let (Request::Get { key } | Request::Apply { key, .. } | Request::GiveUp { key, .. }) = request
        else {
            panic!("{request:?}")
        };
        let key = key.clone();
        let fingerprint = self.objects.get(&key).and_then(|part| part.fingerprint);
        let whole = self.objects.get(&key.whole()).cloned();
        let live = |whole: LiveMeta| LiveMeta { key: key.clone(), fingerprint, health: None, ..whole };
        let (asked, now_ours) = if let Request::Apply { uid, manifest, .. } = request {
            (uid.clone(), Some(*manifest))
        } else if let Request::GiveUp { uid, .. } = request {
            (Some(uid.clone()), None)
        } else {
            self.reads += 1;
            return Ok(whole.map_or(Answer::Absent, |whole| Answer::Found(live(whole))));
        };
        self.writes.push(request.clone());
        let Some(whole) = whole.filter(|whole| asked.as_ref() == Some(&whole.uid)) else {
            return Err(ApiError::Replaced("uid".to_owned()));
        };
        self.version += 1;
        self.objects.get_mut(&key.whole()).unwrap().resource_version = self.version;
        let live = LiveMeta { fingerprint: now_ours, resource_version: self.version, ..live(whole) };
        self.objects.insert(key.clone(), LiveMeta { labelled: false, ..live.clone() });
        Ok(match now_ours {
            Some(_) => Answer::Applied(Applied { live, created: false, changed: Vec::new() }),
            None => Answer::Deleted,
        })
    }

    /// Lists the objects of parts that were not; tells whether there were any.
    pub(super) fn list_parts(&mut self) -> bool {
        let unseen: Vec<ResourceKey> = self.reconciler.watch_generations().parts.into_keys().collect();
        let unseen: Vec<ResourceKey> =
            unseen.into_iter().filter(|key| self.reconciler.parts.state(key).is_none()).collect();
        for key in &unseen {
            self.tell_part(key, true);
        }
        !unseen.is_empty()
    }

    fn tell_part(&mut self, key: &ResourceKey, listed: bool) {
        let fingerprint = self.objects.get(key).and_then(|part| part.fingerprint);
        let live = self.objects.get(&key.whole()).cloned();
        let live = live.map(|whole| LiveMeta { key: key.clone(), fingerprint, health: None, ..whole });
        let event = match live {
            live if listed => {
                WatchEvent::Listed { resource_version: self.version, objects: live.into_iter().collect() }
            }
            Some(live) => WatchEvent::Seen(live),
            None => WatchEvent::Gone(key.clone()),
        };
        self.reconciler.part_watched(key, event, now(self.now));
    }

    /// Somebody makes an object, or changes it; of its part this is left.
    fn made(&mut self, key: &ResourceKey, uid: &str, left: Option<Digest>) {
        self.version += 1;
        let live = LiveMeta { labelled: false, ..foreign(&key.whole(), uid, self.version) };
        self.objects.insert(key.whole(), live.clone());
        self.objects.insert(key.clone(), LiveMeta { key: key.clone(), fingerprint: left, ..live });
        self.tell_part(key, false);
        self.settle();
    }

    fn taken_away(&mut self, key: &ResourceKey) {
        self.objects.remove(&key.whole());
        self.objects.remove(key);
        self.tell_part(key, false);
        self.settle();
    }

    fn put_part(&mut self, name: &str, key: &ResourceKey, value: u32, options: &str) -> Assignment {
        let annotations = json!({PART: key.part, "argocd.argoproj.io/sync-options": options});
        let body = json!({"apiVersion": "v1", "kind": key.kind, "data": {"v": value},
            "metadata": {"name": key.name, "annotations": annotations}});
        self.put_manifests(name, vec![(key.clone(), body)])
    }

    fn assign_part(&mut self, name: &str, key: &ResourceKey, value: u32) {
        let assignment = self.put_part(name, key, value, "");
        self.list.set(assignment);
        self.desire();
    }

    /// Assigns what an app desires, with prune of all of it.
    fn assign_pruning(&mut self, mut assignment: Assignment) {
        assignment.policy.automated = Some(Automated { prune: true, self_heal: true, allow_empty: true });
        self.list.set(assignment);
        self.desire();
    }

    /// The store is lost, and what it knew with it.
    fn lose_store(&mut self) {
        for table in tables::ALL {
            let rows = self.store.scan(table, &[]).unwrap();
            let lost: Vec<StoreOp> = rows.into_iter().map(|(key, _)| StoreOp::delete(table, key)).collect();
            self.store.commit(&lost);
        }
    }

    fn part_row(&self, name: &str, key: &ResourceKey) -> ResourceRow {
        let rows = self.reconciler.rows(&app(name), now(self.now));
        rows.into_iter().find(|row| row.key == *key).unwrap()
    }

    /// Gives the applies of parts, each with whether it takes fields from others.
    fn applies(&self) -> Vec<bool> {
        let of = |request: &Request| {
            if let Request::Apply { key, force, .. } = request {
                key.is_part().then_some(*force)
            } else {
                None
            }
        };
        self.writes.iter().filter_map(of).collect()
    }

    /// Gives what was applied, and what was given up.
    fn written(&self) -> Vec<(&'static str, ResourceKey)> {
        let of = |request: &Request| {
            if let Request::Apply { key, .. } = request {
                Some(("applied", key.clone()))
            } else if let Request::GiveUp { key, .. } = request {
                Some(("given up", key.clone()))
            } else {
                None
            }
        };
        self.writes.iter().filter_map(of).collect()
    }

    fn given_up(&self) -> usize {
        self.writes.iter().filter(|request| matches!(request, Request::GiveUp { .. })).count()
    }
}

fn mesh() -> ResourceKey {
    ResourceKey::new("", "Namespace", "", "theirs").with_part("mesh")
}

#[test]
fn a_part_waits_for_its_object_and_is_applied_when_that_is_there() {
    let mut bench = Bench::new();
    bench.assign_part("web", &mesh(), 1);
    let row = bench.part_row("web", &mesh());
    assert_eq!((row.status, row.health), (SyncStatus::OutOfSync, Some(Health::Missing)));
    assert!(row.message.contains("waits for its object"), "{}", row.message);
    assert_eq!(bench.operation("web").phase, OperationPhase::Succeeded, "nothing failed");
    let reads = bench.reads;
    bench.pass(600_000);
    assert!(bench.writes.is_empty(), "it makes no object");
    assert_eq!(bench.reads, reads, "and asks for it once");
    bench.made(&mesh(), "n-1", None);
    assert_eq!(bench.applies(), [false], "nothing is taken from others");
    let row = bench.part_row("web", &mesh());
    assert_eq!((row.status, row.health, row.message.as_str()), (SyncStatus::Synced, None, ""));
    assert_eq!(bench.status("web").health, Health::Healthy);
    bench.pass(3_600_000);
    assert_eq!(bench.writes.len(), 1, "and then it rests");
}

#[test]
fn an_object_that_does_not_go_keeps_no_sync_of_its_parts_from_its_end() {
    let mut bench = Bench::new();
    bench.made(&mesh(), "n-1", None);
    bench.objects.get_mut(&mesh().whole()).unwrap().deleting = true;
    bench.assign_part("web", &mesh(), 1);
    assert_eq!(bench.operation("web").phase, OperationPhase::Succeeded);
    assert!(bench.part_row("web", &mesh()).message.contains("is being deleted"));
    let requests = bench.requests;
    bench.pass(3_600_000);
    assert_eq!(bench.requests, requests, "and it is not synced again and again");
    bench.taken_away(&mesh());
    bench.made(&mesh(), "n-2", None);
    assert_eq!((bench.applies(), bench.status("web").sync), (vec![false], SyncStatus::Synced));
}

#[test]
fn what_is_asked_to_sync_makes_no_object_either() {
    let mut bench = Bench::new();
    let mut assignment = bench.put_part("web", &mesh(), 1, "");
    assignment.policy.automated = None;
    bench.list.set(assignment);
    bench.desire();
    bench.sync("web", false);
    bench.made(&mesh(), "n-1", None);
    assert!(bench.writes.is_empty(), "who syncs by hand syncs again");
    bench.sync("web", false);
    assert_eq!((bench.applies(), bench.status("web").sync), (vec![false], SyncStatus::Synced));
}

#[test]
fn what_others_take_of_a_part_is_put_back_and_a_new_object_gets_it_anew() {
    let mut bench = Bench::new();
    bench.made(&mesh(), "n-1", None);
    bench.assign_part("web", &mesh(), 1);
    assert_eq!(bench.applies(), [false]);
    bench.now += 5_000;
    bench.made(&mesh(), "n-1", None);
    assert_eq!(bench.applies(), [false, true], "it had that, and puts it back");
    bench.now += 5_000;
    bench.taken_away(&mesh());
    assert_eq!(bench.part_row("web", &mesh()).health, Some(Health::Missing));
    bench.now += 5_000;
    bench.made(&mesh(), "n-2", None);
    assert_eq!(bench.applies(), [false, true, false], "of a new object it never had anything");
    assert_eq!(bench.status("web").sync, SyncStatus::Synced);
}

#[test]
fn an_intact_part_that_states_more_takes_nothing_from_others() {
    let mut bench = Bench::new();
    bench.made(&mesh(), "n-1", None);
    bench.assign_part("web", &mesh(), 1);
    bench.fails = Some(|request| {
        let takes_nothing = matches!(request, Request::Apply { force: false, .. });
        takes_nothing.then(|| ApiError::Refused("conflict with \"kubectl\"".to_owned()))
    });
    bench.assign_part("web", &mesh(), 2);
    let row = bench.part_row("web", &mesh());
    assert!(row.message.contains("kubectl"), "{}", row.message);
    assert_ne!(bench.operation("web").phase, OperationPhase::Succeeded);
}

#[test]
fn a_part_that_lost_something_takes_nothing_that_it_states_anew() {
    let mut bench = Bench::new();
    bench.made(&mesh(), "n-1", None);
    let assignment = bench.put_part("web", &mesh(), 1, "");
    let policy = SyncPolicy {
        automated: Some(Automated { prune: true, self_heal: false, allow_empty: false }),
        ..SyncPolicy::default()
    };
    bench.list.set(Assignment { policy: policy.clone(), ..assignment });
    bench.desire();
    bench.made(&mesh(), "n-1", Some(Digest::of(b"robbed")));
    assert_eq!(bench.applies(), [false], "nobody heals it");
    let assignment = bench.put_part("web", &mesh(), 2, "");
    bench.list.set(Assignment { policy, ..assignment });
    bench.desire();
    assert_eq!(bench.applies(), [false, false], "force would take what the first manifest never had");
}

#[test]
fn so_many_objects_are_watched_and_the_others_looked_at() {
    let mut bench = Bench::new();
    bench.reconciler.parts.room = 1;
    let others = config("a").with_part("mesh");
    bench.made(&others, "c-1", None);
    bench.assign_part("one", &mesh(), 1);
    bench.assign_part("two", &others, 1);
    assert_eq!(bench.reconciler.watch_generations().parts.into_keys().collect::<Vec<_>>(), [mesh()]);
    let row = bench.part_row("two", &others);
    assert_eq!((row.status, bench.status("two").sync), (SyncStatus::Synced, SyncStatus::Synced));
    assert!(row.message.contains("of more than 1 parts not all are watched"), "{}", row.message);
    assert!(bench.reconciler.is_observing());
    let reads = bench.reads;
    bench.pass(3_600_000);
    assert_eq!(
        (bench.reads - reads, bench.applies().len()),
        (12, 1),
        "one look in five minutes, and no write"
    );
    bench.made(&others, "c-1", Some(Digest::of(b"robbed")));
    assert_eq!(bench.applies().len(), 1, "no watch tells of it");
    bench.pass(300_000);
    assert_eq!(bench.applies(), [false, true], "and the next look does");

    let empty = bench.put_manifests("one", Vec::new());
    bench.list.set(empty);
    bench.desire();
    assert!(bench.reconciler.watch_generations().parts.into_keys().eq([others.clone()]));
    bench.made(&others, "c-1", Some(Digest::of(b"robbed")));
    assert_eq!(bench.applies(), [false, true, true], "the place that became free is its own");
    assert_eq!(bench.part_row("two", &others).message, "");
}

#[test]
fn an_object_that_may_not_be_looked_at_leaves_its_part_unknown() {
    let mut bench = Bench::new();
    bench.reconciler.parts.room = 0;
    bench.made(&mesh(), "n-1", None);
    bench.assign_part("web", &mesh(), 1);
    assert_eq!(bench.status("web").sync, SyncStatus::Synced);
    bench.fail = Some(ApiError::Refused("namespaces is forbidden".to_owned()));
    bench.pass(300_000);
    assert_eq!(bench.status("web").sync, SyncStatus::Unknown);
    bench.fail = None;
    bench.pass(900_000);
    assert_eq!((bench.status("web").sync, bench.applies().len()), (SyncStatus::Synced, 1));
}

#[test]
fn a_part_that_left_the_desired_state_is_given_up_and_its_object_stays() {
    let mut bench = Bench::new();
    bench.made(&mesh(), "n-1", None);
    let assignment = bench.put_part("web", &mesh(), 1, "");
    bench.assign_pruning(assignment);
    let empty = bench.put_manifests("web", Vec::new());
    bench.assign_pruning(empty);
    assert_eq!((bench.given_up(), bench.deletes()), (1, 0));
    assert!(bench.objects.contains_key(&mesh().whole()));
    assert!(bench.reconciler.inventory().is_empty() && bench.reconciler.watch_generations().parts.is_empty());
    assert_eq!(bench.status("web").sync, SyncStatus::Synced);
}

#[test]
fn what_another_part_takes_on_is_applied_before_the_old_one_is_given_up() {
    let mut bench = Bench::new();
    bench.made(&mesh(), "n-1", None);
    bench.assign_part("web", &mesh(), 1);
    let renamed = mesh().whole().with_part("net");
    let wave = json!({PART: "net", "argocd.argoproj.io/sync-wave": "3"});
    let body = json!({"apiVersion": "v1", "kind": "Namespace", "data": {"v": 1},
        "metadata": {"name": "theirs", "annotations": wave}});
    let assignment = bench.put_manifests("web", vec![(renamed.clone(), body)]);
    bench.writes.clear();
    bench.assign_pruning(assignment);
    bench.pass(60_000);
    assert_eq!(bench.written(), [("applied", renamed), ("given up", mesh())]);
    assert_eq!(bench.status("web").sync, SyncStatus::Synced);
}

#[test]
fn a_part_goes_with_its_app_unless_it_says_otherwise() {
    for (options, given_up) in [("", 1), ("Delete=false", 0)] {
        let mut bench = Bench::new();
        bench.made(&mesh(), "n-1", None);
        let assignment = bench.put_part("web", &mesh(), 1, options);
        bench.list.set(assignment);
        bench.desire();
        bench.change("web", |assignment| {
            assignment.phase = Phase::Deleting;
            assignment.deletion = Some(crate::ids::DeletionId::new([1; 16]));
            assignment.cascade_confirmed = true;
        });
        assert_eq!((bench.given_up(), bench.deletes()), (given_up, 0), "{options}");
        assert!(bench.status("web").emptied.is_some(), "{options}");
    }
}

#[test]
fn what_others_took_of_a_part_needs_no_giving_up() {
    let mut bench = Bench::new();
    bench.made(&mesh(), "n-1", None);
    let mut assignment = bench.put_part("web", &mesh(), 1, "");
    assignment.policy.automated = Some(Automated { prune: true, self_heal: false, allow_empty: true });
    bench.list.set(assignment.clone());
    bench.desire();
    bench.made(&mesh(), "n-1", None);
    let empty = bench.put_manifests("web", Vec::new());
    bench.list.set(Assignment { policy: assignment.policy, ..empty });
    bench.desire();
    assert_eq!((bench.given_up(), bench.reconciler.inventory().len()), (0, 0));
}

#[test]
fn the_whole_and_its_parts_belong_to_whom_they_may_and_one_part_to_one_app() {
    let mut bench = Bench::new();
    bench.assign("owner", &[("a", 1)]);
    let part = config("a").with_part("mesh");
    bench.assign_part("one", &part, 1);
    bench.assign_part("two", &part, 2);
    assert_eq!(bench.applies(), [false], "one of the two");
    assert_eq!(bench.status("owner").sync, SyncStatus::Synced);
    assert_eq!(bench.status("one").sync, SyncStatus::Synced);
    let row = bench.part_row("two", &part);
    assert!(row.message.contains("one owns it"), "{}", row.message);
    let other = config("a").with_part("other");
    bench.assign_part("two", &other, 2);
    assert_eq!(bench.status("two").sync, SyncStatus::Synced, "another part of the same object is its own");
    assert_eq!(bench.reconciler.inventory().len(), 3);
}

#[test]
fn a_part_of_an_object_of_its_own_app_comes_after_the_whole() {
    let mut bench = Bench::new();
    let part = config("a").with_part("mesh");
    let whole =
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "shop"}});
    let waits = json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"v": "1"}, "metadata": {"name": "a",
        "namespace": "shop", "annotations": {PART: "mesh", "argocd.argoproj.io/sync-wave": "-2"}}});
    let assignment = bench.put_manifests("web", vec![(config("a"), whole), (part.clone(), waits)]);
    bench.list.set(assignment);
    bench.desire();
    bench.pass(10_000);
    assert_eq!(bench.written(), [("applied", config("a")), ("applied", part)]);
    assert_eq!(bench.status("web").sync, SyncStatus::Synced);
}

#[test]
fn a_lost_store_applies_parts_again_and_gives_none_up() {
    let mut bench = Bench::new();
    bench.made(&mesh(), "n-1", None);
    bench.assign_part("web", &mesh(), 1);
    bench.lose_store();
    bench.restart();
    bench.pass(60_000);
    assert_eq!(
        bench.applies(),
        [false, false],
        "what it still has is its own, and what others have by now is theirs"
    );
    assert_eq!((bench.given_up(), bench.status("web").sync), (0, SyncStatus::Synced));
    bench.restart();
    bench.pass(60_000);
    assert_eq!(bench.applies().len(), 2, "a restart alone writes nothing");
}

#[test]
fn a_refused_watch_of_an_object_leaves_its_part_unknown() {
    let mut bench = Bench::new();
    bench.made(&mesh(), "n-1", None);
    bench.assign_part("web", &mesh(), 1);
    let denied = ApiError::Refused("namespaces is forbidden".to_owned());
    bench.reconciler.part_watched(&mesh(), WatchEvent::Broken(denied), now(bench.now));
    bench.settle();
    assert_eq!(bench.status("web").sync, SyncStatus::Unknown);
    let condition = &bench.status("web").conditions[0];
    assert!(
        condition.message.starts_with("cannot watch the object of /Namespace//theirs/mesh"),
        "{condition:?}"
    );
}
