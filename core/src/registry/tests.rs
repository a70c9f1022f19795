use super::*;
use crate::store::MemoryStore;

const OURS: InstallationId = InstallationId::new([8; 16]);
const NOW: WallTime = WallTime(1_700_000_000_000);

fn id(byte: u8) -> ClusterId {
    ClusterId::from_random([byte; 16])
}

fn token(byte: u8) -> Digest {
    Digest::new([byte; 32])
}

fn attempt(name: &str, token_of: u8, key: u8) -> Attempt {
    Attempt {
        token: token(token_of),
        name: name.to_owned(),
        key: Digest::new([key; 32]),
        installation: OURS,
        kube_system_uid: "uid".to_owned(),
        agent_version: "0.1.0".to_owned(),
    }
}

fn with_edge() -> (Registry, MemoryStore) {
    let mut store = MemoryStore::default();
    let mut registry = Registry::load(&store, OURS).unwrap();
    let (expires, ops) = registry.add(id(1), "edge-1", BTreeMap::new(), token(1), NOW).unwrap();
    assert_eq!(expires.0 - NOW.0, 15 * 60 * 1000);
    store.commit(&ops);
    (registry, store)
}

#[test]
fn a_token_gives_one_identity_and_the_same_one_to_the_same_key() {
    let (mut registry, mut store) = with_edge();
    let first = attempt("edge-1", 1, 9);
    assert_eq!(registry.admit(&first, NOW), Ok((id(1), RejoinSerial::default())));
    store.commit(&registry.enrolled(id(1), &first, NOW));
    let registry = Registry::load(&store, OURS).unwrap();
    assert_eq!(registry.admit(&first, NOW), Ok((id(1), RejoinSerial::default())), "the answer was lost");
    assert_eq!(
        registry.admit(&attempt("edge-1", 1, 7), NOW),
        Err(EnrolError::Used { name: "edge-1".to_owned() })
    );
}

#[test]
fn a_refusal_says_what_is_wrong_only_to_who_has_the_token() {
    let (mut registry, _) = with_edge();
    registry.add(id(2), "edge-2", BTreeMap::new(), token(2), NOW).unwrap();
    assert_eq!(registry.admit(&attempt("edge-1", 5, 9), NOW), Err(EnrolError::Token));
    assert_eq!(registry.admit(&attempt("none", 5, 9), NOW), Err(EnrolError::Token), "names are not told");
    let other = EnrolError::Name { name: "edge-2".to_owned() };
    assert_eq!(registry.admit(&attempt("edge-2", 1, 9), NOW), Err(other));
    let late = WallTime(NOW.0 + 15 * 60 * 1000);
    assert_eq!(
        registry.admit(&attempt("edge-1", 1, 9), late),
        Err(EnrolError::Expired { name: "edge-1".to_owned() })
    );
    let foreign = Attempt { installation: InstallationId::new([1; 16]), ..attempt("edge-1", 1, 9) };
    assert!(matches!(registry.admit(&foreign, NOW), Err(EnrolError::Installation { .. })));
}

#[test]
fn a_name_is_taken_until_its_cluster_is_revoked_and_then_is_another_cluster() {
    let (mut registry, mut store) = with_edge();
    let taken = registry.add(id(2), "edge-1", BTreeMap::new(), token(2), NOW).unwrap_err();
    assert_eq!(taken, AddError::Taken { name: "edge-1".to_owned(), cluster: id(1) });
    assert!(taken.to_string().contains("argosy cluster revoke edge-1"));
    let (revoked, ops) = registry.revoke("edge-1", NOW).unwrap();
    assert_eq!(revoked, id(1));
    store.commit(&ops);
    let mut registry = Registry::load(&store, OURS).unwrap();
    assert_eq!(registry.standing(id(1), RejoinSerial::default()), Standing::Revoked);
    assert_eq!(registry.standing(id(3), RejoinSerial::default()), Standing::Unknown);
    assert!(matches!(registry.admit(&attempt("edge-1", 1, 9), NOW), Err(EnrolError::Revoked { .. })));
    registry.add(id(2), "edge-1", BTreeMap::new(), token(2), NOW).unwrap();
    assert_eq!(registry.find("edge-1").unwrap().0, id(2));
    assert!(registry.revoke("edge-9", NOW).is_none());
}

#[test]
fn refused_attempts_are_counted_to_an_end() {
    let (mut registry, mut store) = with_edge();
    for _ in 0..1100 {
        store.commit(&registry.refused("edge-1"));
        store.commit(&registry.refused("nobody"));
    }
    assert!(registry.refused("edge-1").is_empty() && registry.refused("nobody").is_empty());
    let registry = Registry::load(&store, OURS).unwrap();
    assert_eq!(registry.get(id(1)).unwrap().refused, 1000);
    assert_eq!(registry.refused_strangers(), 1000);
}

#[test]
fn revoked_clusters_are_forgotten_in_the_end() {
    let mut registry = Registry::load(&MemoryStore::default(), OURS).unwrap();
    for number in 0..=u32::try_from(REVOKED).unwrap() {
        let mut bytes = [0; 16];
        bytes[..4].copy_from_slice(&number.to_be_bytes());
        let at = WallTime(NOW.0 + i64::from(number));
        registry.add(ClusterId::new(bytes), "edge", BTreeMap::new(), token(1), at).unwrap();
        registry.revoke("edge", at).unwrap();
    }
    assert_eq!(
        registry.standing(ClusterId::new([0; 16]), RejoinSerial::default()),
        Standing::Unknown,
        "the oldest"
    );
    assert_eq!(registry.members.len(), REVOKED);
}

#[test]
fn names_of_clusters_are_labels() {
    let mut registry = Registry::load(&MemoryStore::default(), OURS).unwrap();
    for bad in ["", "Edge", "-a", "a-", "a.b", "a b", &"a".repeat(64)] {
        let error = registry.add(id(1), bad, BTreeMap::new(), token(1), NOW).unwrap_err();
        assert!(matches!(error, AddError::Name { .. }), "{bad}");
    }
}

#[test]
fn a_member_joins_again_as_itself_and_what_it_had_is_revoked() {
    let (mut registry, mut store) = with_edge();
    let first = attempt("edge-1", 1, 9);
    store.commit(&registry.enrolled(id(1), &first, NOW));
    let serial = RejoinSerial::default().next();

    let rejoin = registry.rejoin("edge-1", token(2), NOW).unwrap();

    assert_eq!((rejoin.cluster, rejoin.serial), (id(1), serial));
    store.commit(&rejoin.ops);
    let mut registry = Registry::load(&store, OURS).unwrap();
    assert_eq!(registry.standing(id(1), RejoinSerial::default()), Standing::Superseded);
    assert_eq!(registry.standing(id(1), serial), Standing::Member);
    assert_eq!(registry.standing(id(1), serial.next()), Standing::Member, "the registry was restored");
    assert_eq!(registry.admit(&first, NOW), Err(EnrolError::Token), "the old token is void");
    let again = attempt("edge-1", 2, 7);
    assert_eq!(registry.admit(&again, NOW), Ok((id(1), serial)));
    store.commit(&registry.enrolled(id(1), &again, NOW));
    assert_eq!(registry.get(id(1)).unwrap().joined.as_ref().unwrap().key, again.key);
    assert_eq!(registry.rejoin("edge-2", token(3), NOW), Err(AddError::Absent { name: "edge-2".to_owned() }));
    assert_eq!(
        registry.admit(&attempt("edge-1", 2, 8), NOW),
        Err(EnrolError::Used { name: "edge-1".to_owned() })
    );
}
