//! Parts of objects that others have: waited for, applied, healed, told, given up.

use super::*;
use crate::cluster::{Answer, Applied};
use crate::health::Health;
use crate::status::ResourceRow;
use crate::tracking::PART;

impl Bench {
    /// Answers about a part: its object is there if the whole is, and what is ours of it is noted beside that.
    pub(super) fn of_part(&mut self, request: Request) -> Result<Answer, ApiError> {
        let (Request::Get { key } | Request::Apply { key, .. } | Request::GiveUp { key, .. }) = &request
        else {
            panic!("{request:?}")
        };
        let key = key.clone();
        let fingerprint = self.objects.get(&key).and_then(|part| part.fingerprint);
        let whole = self.objects.get(&key.whole()).cloned();
        let live = |whole: LiveMeta| LiveMeta { key: key.clone(), fingerprint, health: None, ..whole };
        let (asked, now_ours) = match &request {
            Request::Apply { uid, manifest, .. } => (uid.clone(), Some(*manifest)),
            Request::GiveUp { uid, .. } => (Some(uid.clone()), None),
            _ => {
                self.reads += 1;
                return Ok(whole.map_or(Answer::Absent, |whole| Answer::Found(live(whole))));
            }
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
            unseen.into_iter().filter(|key| !self.reconciler.part_states.contains_key(key)).collect();
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

    fn part_row(&self, name: &str, key: &ResourceKey) -> ResourceRow {
        let rows = self.reconciler.rows(&app(name), now(self.now));
        rows.into_iter().find(|row| row.key == *key).unwrap()
    }

    /// Gives the applies of parts, each with whether it takes fields from others.
    fn applies(&self) -> Vec<bool> {
        let of = |request: &Request| match request {
            Request::Apply { key, force, .. } if key.is_part() => Some(*force),
            _ => None,
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
    bench.pass(600_000);
    assert!(bench.writes.is_empty(), "it makes no object");
    bench.made(&mesh(), "n-1", None);
    assert_eq!(bench.applies(), [false], "nothing is taken from others");
    let row = bench.part_row("web", &mesh());
    assert_eq!((row.status, row.health, row.message.as_str()), (SyncStatus::Synced, None, ""));
    assert_eq!(bench.status("web").health, Health::Healthy);
    bench.pass(3_600_000);
    assert_eq!(bench.writes.len(), 1, "and then it rests");
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
    bench.fails = Some(|request| match request {
        Request::Apply { force: false, .. } => {
            Some(ApiError::Refused("conflict with \"kubectl\"".to_owned()))
        }
        _ => None,
    });
    bench.assign_part("web", &mesh(), 2);
    let row = bench.part_row("web", &mesh());
    assert!(row.message.contains("kubectl"), "{}", row.message);
    assert_ne!(bench.operation("web").phase, OperationPhase::Succeeded);
}

#[test]
fn a_part_that_left_the_desired_state_is_given_up_and_its_object_stays() {
    let mut bench = Bench::new();
    bench.made(&mesh(), "n-1", None);
    let mut assignment = bench.put_part("web", &mesh(), 1, "");
    assignment.policy.automated = Some(Automated { prune: true, self_heal: true, allow_empty: true });
    bench.list.set(assignment);
    bench.desire();
    let mut empty = bench.put_manifests("web", Vec::new());
    empty.policy.automated = Some(Automated { prune: true, self_heal: true, allow_empty: true });
    bench.list.set(empty);
    bench.desire();
    assert_eq!((bench.given_up(), bench.deletes()), (1, 0));
    assert!(bench.objects.contains_key(&mesh().whole()));
    assert!(bench.reconciler.inventory().is_empty() && bench.reconciler.watch_generations().parts.is_empty());
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
    let written: Vec<bool> = bench
        .writes
        .iter()
        .filter_map(|request| match request {
            Request::Apply { key, .. } => Some(key.is_part()),
            _ => None,
        })
        .collect();
    assert_eq!(written, [false, true]);
    assert_eq!(bench.status("web").sync, SyncStatus::Synced);
}

#[test]
fn a_lost_store_applies_parts_again_and_gives_none_up() {
    let mut bench = Bench::new();
    bench.made(&mesh(), "n-1", None);
    bench.assign_part("web", &mesh(), 1);
    for table in tables::ALL {
        let rows = bench.store.scan(table, &[]).unwrap();
        let lost: Vec<StoreOp> = rows.into_iter().map(|(key, _)| StoreOp::delete(table, key)).collect();
        bench.store.commit(&lost);
    }
    bench.restart();
    bench.pass(60_000);
    assert_eq!(bench.applies(), [false, true], "its own manager says that it is its own");
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

/// Parts of three objects, stated by two apps, while everything happens to them.
struct Storm {
    bench: Bench,
    dice: Dice,
    /// What each app states: the parts, each with the digest of its manifest.
    stated: BTreeMap<&'static str, BTreeMap<ResourceKey, Digest>>,
}

impl Storm {
    fn below(&mut self, limit: u64) -> u64 {
        let mut bytes = [0; 8];
        self.dice.fill(&mut bytes);
        u64::from_le_bytes(bytes) % limit
    }

    fn wholes() -> [ResourceKey; 3] {
        [mesh().whole(), config("a"), config("b")]
    }

    fn parts_of(whole: &ResourceKey) -> [ResourceKey; 2] {
        ["mesh", "other"].map(|part| whole.clone().with_part(part))
    }

    fn states_something(&mut self) {
        let app = if self.below(2) == 0 { "one" } else { "two" };
        let mut manifests = Vec::new();
        for part in Self::wholes().iter().flat_map(Self::parts_of) {
            // Fewer than the governor asks about.
            if self.below(3) == 0 && manifests.len() < 3 {
                let body = json!({"apiVersion": "v1", "kind": part.kind, "data": {"v": self.below(3)},
                    "metadata": {"name": part.name, "annotations": {PART: part.part}}});
                manifests.push((part, body));
            }
        }
        let digest = |body: &serde_json::Value| Digest::of(body.to_string().as_bytes());
        let stated = manifests.iter().map(|(key, body)| (key.clone(), digest(body))).collect();
        self.stated.insert(app, stated);
        let mut assignment = self.bench.put_manifests(app, manifests);
        assignment.policy.automated = Some(Automated { prune: true, self_heal: true, allow_empty: true });
        self.bench.list.set(assignment);
        self.bench.desire();
    }

    fn tell(&mut self, whole: &ResourceKey) {
        for part in Self::parts_of(whole) {
            self.bench.tell_part(&part, false);
        }
        self.bench.settle();
    }

    fn makes(&mut self, whole: &ResourceKey) {
        if !self.bench.objects.contains_key(whole) {
            self.bench.uids += 1;
            self.bench.version += 1;
            let (uid, version) = (format!("u{}", self.bench.uids), self.bench.version);
            self.bench.objects.retain(|key, _| key.whole() != *whole);
            let live = LiveMeta { labelled: false, ..foreign(whole, &uid, version) };
            self.bench.objects.insert(whole.clone(), live);
            self.tell(whole);
        }
    }

    fn robs(&mut self, whole: &ResourceKey) {
        let part = Self::parts_of(whole)[usize::try_from(self.below(2)).unwrap()].clone();
        let left = (self.below(2) == 0).then(|| Digest::of(b"robbed"));
        self.bench.version += 1;
        let version = self.bench.version;
        if let Some(live) = self.bench.objects.get_mut(&part).filter(|live| live.fingerprint.is_some()) {
            live.fingerprint = left;
            self.bench.objects.get_mut(whole).unwrap().resource_version = version;
            self.tell(whole);
        }
    }

    fn step(&mut self) {
        let whole = Self::wholes()[usize::try_from(self.below(3)).unwrap()].clone();
        match self.below(8) {
            0 | 1 => self.states_something(),
            2 => self.makes(&whole),
            3 => {
                self.bench.objects.retain(|key, _| key.whole() != whole);
                self.tell(&whole);
            }
            4 => self.robs(&whole),
            5 => self.bench.restart(),
            6 => {
                self.bench.loses_answers = self.below(4) == 0;
                let away = || ApiError::Unreachable("connection refused".to_owned());
                self.bench.fail = (self.below(5) == 0).then(away);
            }
            _ => {
                let ms = self.below(120_000);
                self.bench.pass(ms);
            }
        }
    }

    fn comes_right(&mut self) {
        (self.bench.loses_answers, self.bench.fail) = (false, None);
        for whole in Self::wholes() {
            self.makes(&whole);
        }
        // Longer than the governor's hour, and than any back-off of a fight.
        self.bench.pass(4 * 3_600_000);
        let held = self.bench.statuses.values().filter_map(|status| status.held.as_ref());
        let held: BTreeSet<ResourceKey> =
            held.flat_map(|held| held.deletes.iter().map(|delete| delete.key.clone())).collect();
        // More than half of an app at once may be left from before.
        for part in Self::wholes().iter().flat_map(Self::parts_of).filter(|part| !held.contains(part)) {
            let entry = self.bench.reconciler.inventory().get(&part);
            let owner = entry.map(|entry| entry.app.name.clone()).unwrap_or_default();
            let expected = self.stated.get(owner.as_str()).and_then(|stated| stated.get(&part)).copied();
            let desired = self.stated.values().any(|stated| stated.contains_key(&part));
            let live = self.bench.objects.get(&part).and_then(|live| live.fingerprint);
            assert_eq!((live, expected.is_some()), (expected, desired), "{part} of {owner:?}");
        }
        let makes_or_deletes = |request: &Request| match request {
            Request::Apply { uid, .. } => uid.is_none(),
            Request::Delete { .. } => true,
            _ => false,
        };
        assert!(!self.bench.writes.iter().any(makes_or_deletes), "{:?}", self.bench.writes);
    }
}

#[test]
fn whatever_happens_parts_come_right_and_no_object_is_made_or_deleted() {
    for seed in 0..60_u64 {
        let dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let mut storm = Storm { bench: Bench::new(), dice, stated: BTreeMap::new() };
        for _ in 0..40 {
            storm.step();
        }
        storm.comes_right();
    }
}
