//! Whatever happens to parts: they come right, and nobody's object is made or deleted.

use super::*;

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
        let makes_or_deletes =
            |request: &Request| matches!(request, Request::Apply { uid: None, .. } | Request::Delete { .. });
        assert!(!self.bench.writes.iter().any(makes_or_deletes), "{:?}", self.bench.writes);
    }
}

#[test]
fn whatever_happens_parts_come_right_and_no_object_is_made_or_deleted() {
    let mut given_up = 0;
    for seed in 0..60_u64 {
        let dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let mut storm = Storm { bench: Bench::new(), dice, stated: BTreeMap::new() };
        if seed % 3 == 2 {
            // Some objects are looked at now and then.
            storm.bench.part_room = 2;
            storm.bench.restart();
        }
        for _ in 0..40 {
            storm.step();
        }
        storm.comes_right();
        given_up += storm.bench.given_up();
    }
    assert!(given_up > 0, "or it shows nothing");
}
