//! Who is served: the registry, enrolment, and two clusters with one identity.

use super::*;

#[test]
fn an_agent_without_a_place_in_the_registry_is_refused_by_the_reason() {
    let (mut world, cluster) = World::with_apps(&["web"]);
    let (_, effects) = world.connect(ClusterId::new([7; 16]), None);
    assert_eq!(refusal(&effects), Some(RefusalReason::Unregistered));
    let (session, _) = world.connect(cluster, None);
    let (ticket, effects) = world.request(Request::RevokeCluster { name: "edge".to_owned() });
    assert_eq!(refusal(&effects), Some(RefusalReason::Revoked));
    assert!(effects.close.iter().any(|(of, _)| *of == session), "the live stream is cut");
    assert_eq!(effects.replies, [(ticket, Ok(Reply::Revoked { cluster, was_connected: true }))]);
    let (_, effects) = world.connect(cluster, None);
    assert_eq!(refusal(&effects), Some(RefusalReason::Revoked));
    world.restart();
    let (_, effects) = world.connect(cluster, None);
    assert_eq!(refusal(&effects), Some(RefusalReason::Revoked), "also after a restart");
    assert_ne!(world.add("edge"), cluster, "added again it is another cluster");
    assert!(world.frame(session, AgentFrame::Alive).frames.is_empty(), "a late frame says nothing");
}

#[test]
fn a_revoked_clusters_rows_leave_the_store() {
    let (mut world, cluster) = World::with_apps(&["web"]);
    let (session, effects) = world.connect(cluster, None);
    world.acknowledge(session, cluster, &effects);
    world.status(session, 1, "web", |_| {});
    world.ask(Request::RevokeCluster { name: "edge".to_owned() }).unwrap();
    for table in [link_tables::HUB_LINK, link_tables::HUB_ACKED, link_tables::HUB_STATUS, PLACEMENTS] {
        assert_eq!(world.store.len(table), 0, "{table}");
    }
}

#[test]
fn two_clusters_with_one_identity_wait_for_the_operator() {
    let (mut world, cluster) = World::with_apps(&["web"]);
    world.connect(cluster, None);
    world.sessions += 1;
    let session = SessionId(world.sessions);
    let _opened = world.handle(Input::Opened { session, cluster, rejoin: RejoinSerial::default() });
    let hello = Hello {
        protocol: PROTOCOL,
        capabilities: BTreeSet::new(),
        facts: ClusterFacts { kube_system_uid: "other".to_owned(), ..ClusterFacts::default() },
        head: None,
        anchor: None,
        incarnation: Incarnation::new([4; 16]),
        status_sequence: 0,
        read_only: None,
        paused: None,
        statement: None,
    };
    let effects = world.frame(session, AgentFrame::Hello(Box::new(hello)));
    assert_eq!(refusal(&effects), Some(RefusalReason::Cloned));
    assert_eq!(world.hub.cluster("edge", at(world.ms)).unwrap().chain, Chain::Cloned);
    let ask = |keep: &str| Request::Reconcile {
        name: "edge".to_owned(),
        confirm: false,
        keep: Some(keep.to_owned()),
    };
    assert!(matches!(world.ask(ask("third")), Err(Refused::NoClone { .. })));
    let Ok(Reply::Reconciled(reconciliation)) = world.ask(ask("uid")) else { panic!() };
    assert!(reconciliation.clones.is_empty());
    let (_, effects) = world.connect(cluster, None);
    assert_eq!(refusal(&effects), None, "the one that was kept is served");
}

/// What an agent shows that joins `edge`.
fn attempt() -> Attempt {
    Attempt {
        token: Digest::of(b"edge"),
        name: "edge".to_owned(),
        key: Digest::of(b"key"),
        installation: OURS,
        kube_system_uid: "uid".to_owned(),
        agent_version: "0.1.0".to_owned(),
    }
}

#[test]
fn a_bundle_that_nobody_reads_any_more_keeps_no_place() {
    let (mut world, cluster) = World::with_apps(&["web"]);
    assert_eq!(world.ask(Request::Enrol(attempt())), Ok(Reply::Enrolled { cluster }));
    let export = || Request::ExportBundle { name: "edge".to_owned() };
    let begun: Vec<ExportId> = std::iter::from_fn(|| match world.ask(export()) {
        Ok(Reply::Exporting { id, .. }) => Some(id),
        Ok(other) => panic!("{other:?}"),
        Err(refused) => {
            assert!(matches!(refused, Refused::Exporting(_)), "{refused}");
            None
        }
    })
    .collect();
    assert!(begun.len() > 1);
    assert_eq!(world.ask(Request::DropBundle(begun[0])), Ok(Reply::Noted));
    assert_eq!(world.ask(Request::MoreOfBundle(begun[0])), Err(Refused::NoExport));
    assert!(world.ask(export()).is_ok(), "its place is free at once");

    // A slow reader holds what it reads; what stands still without a word is given up.
    world.ms += 50_000;
    assert_eq!(world.ask(Request::HoldBundle(begun[1])), Ok(Reply::Noted));
    world.ms += 50_000;
    assert!(world.ask(export()).is_ok());
    assert!(matches!(world.ask(Request::MoreOfBundle(begun[1])), Ok(Reply::Exported(_))));
    assert_eq!(world.ask(Request::HoldBundle(begun[2])), Err(Refused::NoExport));
}

#[test]
fn an_enrolment_uses_its_token_up_and_a_refusal_is_counted() {
    let mut world = World::new();
    let cluster = world.add("edge");
    let attempt = attempt();
    assert_eq!(world.ask(Request::Enrol(attempt.clone())), Ok(Reply::Enrolled { cluster }));
    let other = Attempt { key: Digest::of(b"other"), ..attempt };
    let refused = world.ask(Request::Enrol(other.clone()));
    assert_eq!(refused, Err(EnrolError::Used { name: "edge".to_owned() }.into()));
    world.restart();
    assert!(world.hub.admit(&other, at(world.ms).wall).is_err());
    let view = world.hub.cluster("edge", at(world.ms)).unwrap();
    assert!(view.joined && view.conditions[0].message.starts_with("1 attempts"), "{view:?}");
}
