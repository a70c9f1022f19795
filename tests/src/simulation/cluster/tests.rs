use argosy_core::cluster::{Applied, WatchEvent, Watched};
use argosy_core::ids::{AppId, Digest};
use argosy_core::policy::Propagation;

use super::super::objects::{Stay, config_map, definition, manifest, namespace};
use super::*;

/// A cluster, its clock and the app that has everything in it.
struct Bench {
    cluster: Cluster,
    now: u64,
}

fn piece(version: u32) -> Piece {
    Piece { version, stay: Stay::Normal, filler: 0 }
}

fn widget(name: &str) -> ResourceKey {
    ResourceKey::new("example.com", "Widget", "shop", name)
}

impl Bench {
    fn new() -> Self {
        let mut bench = Self { cluster: Cluster::new(0, &mut Random::new(7)), now: 1_000 };
        bench
            .ask(&Request::EnsureNamespace {
                name: "shop".to_owned(),
                app: AppId::new("", "web"),
                metadata: argosy_core::policy::NamespaceMetadata::default(),
                account: None,
            })
            .unwrap();
        bench
    }

    fn ask(&mut self, request: &Request) -> Result<Answer, ApiError> {
        self.ask_with(request, None)
    }

    fn ask_with(&mut self, request: &Request, bytes: Option<&[u8]>) -> Result<Answer, ApiError> {
        self.now += 1_000;
        self.cluster.execute(request, bytes, Manner::Right, self.now)
    }

    fn apply(&mut self, key: &ResourceKey, uid: Option<&str>, version: u32) -> Result<Applied, ApiError> {
        let bytes = manifest(key, piece(version));
        let (uid, manifest) = (uid.map(str::to_owned), Digest::of(&bytes));
        let app = AppId::new("", "web");
        let (unvalidated, migrates, respect) = (false, false, None);
        let request = Request::Apply {
            key: key.clone(),
            uid,
            manifest,
            app,
            unvalidated,
            migrates,
            replaces: false,
            respect,
            force: true,
            account: None,
        };
        let answer = self.ask_with(&request, Some(&bytes))?;
        let Answer::Applied(applied) = answer else { panic!("{answer:?}") };
        Ok(applied)
    }

    fn settle(&mut self) {
        while let Some(due) = self.cluster.next_tick(self.now) {
            self.now = due;
            self.cluster.tick(due);
        }
    }

    fn says(&self, key: &ResourceKey, version: u32) -> Option<bool> {
        self.cluster.says(key, key, piece(version))
    }
}

#[test]
fn what_is_applied_is_live_and_the_same_again_changes_nothing() {
    let (mut bench, key) = (Bench::new(), config_map("shop", "a"));
    let made = bench.apply(&key, None, 1).unwrap();
    let again = bench.apply(&key, Some(&made.live.uid), 1).unwrap();
    assert!(made.created && made.live.labelled && made.changed.is_empty());
    assert_eq!(again.live, made.live);
    assert_eq!((bench.says(&key, 1), bench.says(&key, 2)), (Some(true), Some(false)));
}

#[test]
fn every_kind_that_applications_have_can_be_applied_and_changed() {
    let mut bench = Bench::new();
    bench.apply(&definition(), None, 1).unwrap();
    bench.settle();
    let keys = [
        config_map("shop", "a"),
        namespace("shop"),
        definition(),
        widget("a"),
        ResourceKey::new("", "PersistentVolumeClaim", "shop", "a"),
        ResourceKey::new("batch", "Job", "shop", "a"),
    ];
    for key in keys {
        for version in [2, 3] {
            bench.apply(&key, None, version).unwrap();
            bench.settle();
            assert_eq!(bench.says(&key, version), Some(true), "{key} {version}");
        }
    }
}

#[test]
fn a_widget_waits_for_its_definition_and_goes_with_it() {
    let mut bench = Bench::new();
    let refused = bench.apply(&widget("a"), None, 1).unwrap_err();
    bench.apply(&definition(), None, 1).unwrap();
    let early = bench.apply(&widget("a"), None, 1).unwrap_err();
    bench.settle();
    bench.apply(&widget("a"), None, 1).unwrap();
    assert!(matches!((refused, early), (ApiError::NotServed(_), ApiError::NotServed(_))));
    bench.cluster.remove(&definition(), None, "kubectl", bench.now);
    bench.settle();
    assert!(!bench.cluster.serves(&objects::widget_kind()));
    assert_eq!(bench.says(&widget("a"), 1), None);
}

#[test]
fn another_incarnation_is_told_from_an_absent_namespace() {
    let (mut bench, key) = (Bench::new(), config_map("shop", "a"));
    assert!(matches!(bench.apply(&key, Some("gone"), 1), Err(ApiError::Replaced(_))));
    bench.apply(&key, None, 1).unwrap();
    assert!(matches!(bench.apply(&key, Some("another"), 1), Err(ApiError::Replaced(_))));
    let delete = Request::Delete {
        key,
        uid: "another".to_owned(),
        propagation: Propagation::Foreground,
        account: None,
    };
    assert!(matches!(bench.ask(&delete), Err(ApiError::Replaced(_))));
    let nowhere = bench.apply(&config_map("nowhere", "a"), None, 1);
    assert!(matches!(nowhere, Err(ApiError::NamespaceMissing(_))), "{nowhere:?}");
}

#[test]
fn a_namespace_takes_its_contents_along_and_takes_nothing_new() {
    let (mut bench, key) = (Bench::new(), config_map("shop", "a"));
    bench.apply(&key, None, 1).unwrap();
    bench.cluster.remove(&namespace("shop"), None, "kubectl", bench.now);
    let refused = bench.apply(&config_map("shop", "b"), None, 1);
    assert!(matches!(refused, Err(ApiError::Refused(_))), "{refused:?}");
    bench.settle();
    assert!(!bench.cluster.has_namespace("shop"));
    assert_eq!(bench.says(&key, 1), None);
}

#[test]
fn a_watch_tells_what_others_do_by_who_owns_what() {
    let (mut bench, key) = (Bench::new(), config_map("shop", "a"));
    let kind = Watched::Kind(GroupKind::new("", "ConfigMap"));
    let made = bench.apply(&key, None, 1).unwrap().live;
    let mut listed = bench.cluster.list(&kind, bench.now).unwrap();
    assert_eq!(listed.objects, std::slice::from_ref(&made));
    let mut after = |how: Meddling| {
        bench.now += 1_000;
        bench.cluster.meddle(&key, how, bench.now);
        bench.cluster.follow(&kind, &mut listed.feed)
    };
    let seen = |events: &[WatchEvent]| match events {
        [WatchEvent::Seen(live)] => live.clone(),
        other => panic!("{other:?}"),
    };
    let beside = seen(&after(Meddling::Beside));
    assert_eq!(
        (beside.fingerprint, beside.last_writer.as_deref()),
        (made.fingerprint, Some("kubectl-patch"))
    );
    let shared = seen(&after(Meddling::Share));
    assert_eq!(shared.fingerprint, made.fingerprint);
    let changed = seen(&after(Meddling::Change));
    assert_ne!(changed.fingerprint, made.fingerprint);
    let claimed = seen(&after(Meddling::Claim));
    assert!(matches!(claimed.tracking, argosy_core::cluster::Tracking::Other(_)));
    assert_eq!(after(Meddling::Unlabel), [WatchEvent::Gone(key.clone())]);
    let restored = after(Meddling::Restore);
    assert!(restored.is_empty(), "without the label nobody is told: {restored:?}");
}

#[test]
fn what_a_webhook_changes_is_told_in_the_answer() {
    let (mut bench, key) = (Bench::new(), config_map("shop", "a"));
    bench.cluster.spells.insert(Spell::Mutated, 60_000);
    let applied = bench.apply(&key, None, 1).unwrap();
    assert_eq!(applied.changed, ["data.tuned"]);
    assert_eq!(bench.says(&key, 1), Some(true), "that is excused");
    bench.cluster.spells.insert(Spell::Denied, 60_000);
    assert!(matches!(bench.apply(&key, None, 2), Err(ApiError::Refused(_))));
}

#[test]
fn a_finalizer_delays_the_end_of_what_is_deleted() {
    let (mut bench, key) = (Bench::new(), config_map("shop", "a"));
    let uid = bench.apply(&key, None, 1).unwrap().live.uid;
    bench.cluster.hold(&key, &uid, bench.now);
    let delete =
        Request::Delete { key: key.clone(), uid, propagation: Propagation::Background, account: None };
    assert_eq!(bench.ask(&delete), Ok(Answer::Deleted));
    let Ok(Answer::Found(live)) = bench.ask(&Request::Get { key: key.clone() }) else { panic!("it is gone") };
    assert!(live.deleting);
    let later = std::mem::take(&mut bench.cluster.later);
    for what in later {
        bench.cluster.carry_out(what, bench.now);
    }
    assert_eq!(bench.ask(&Request::Get { key }), Ok(Answer::Absent));
}

#[test]
fn lists_of_the_past_are_followed_by_what_happened_since() {
    let (mut bench, key) = (Bench::new(), config_map("shop", "a"));
    let kind = Watched::Kind(key.group_kind());
    bench.apply(&key, None, 1).unwrap();
    bench.cluster.lags(bench.now + 60_000);
    let now = bench.apply(&key, None, 2).unwrap().live;
    let mut listed = bench.cluster.list(&kind, bench.now).unwrap();
    assert!(listed.resource_version < now.resource_version);
    assert_eq!(bench.cluster.follow(&kind, &mut listed.feed), [WatchEvent::Seen(now)]);
}
