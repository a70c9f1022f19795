//! Parts of objects that others have.

use super::*;

#[tokio::test]
async fn a_part_is_applied_to_one_incarnation_watched_by_name_and_given_up() {
    let plane = shared().unwrap();
    let (hands, namespace) = (Hands::on(&plane).await, plane.fresh_namespace().unwrap());
    let whole = config_map(&namespace, "theirs");
    let part = whole.clone().with_part("mesh");
    let states = |value: &str| {
        let annotations = json!({"argosy.dev/part": "mesh"});
        json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"ours": value},
            "metadata": {"name": "theirs", "annotations": annotations}})
    };
    let absent = hands.apply(&part, Some("5ce6e4e1-6a3d-4c0e-9a2c-3a0f3d1b7c11"), &states("1")).await;
    assert!(matches!(absent, Err(ApiError::Replaced(_))), "{absent:?}");
    assert!(hands.get(&whole).await.is_none(), "a part makes no object");
    let theirs = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "theirs"}, "data": {"theirs": "x"}});
    plane.api().create(&config_maps(&namespace), &theirs).unwrap();
    let found = hands.get(&part).await.unwrap();
    assert_eq!((found.fingerprint, found.labelled), (None, false));
    let (watches, handle, mut queue) = Watches::new(hands.connection.clone());
    handle.set(WatchSet { parts: BTreeMap::from([(part.clone(), 1)]), ..WatchSet::default() });

    let script = async {
        let lists_it =
            |event: &WatchEvent| matches!(event, WatchEvent::Listed { objects, .. } if objects.len() == 1);
        until(&mut queue, lists_it).await;
        let other = manifest(&config_map(&namespace, "other"), "1");
        plane.api().create(&config_maps(&namespace), &other).unwrap();
        let applied = hands.apply(&part, Some(&found.uid), &states("1")).await.unwrap();
        assert_eq!(applied.live.tracking, Tracking::None);
        let ours = applied.live.fingerprint;
        let told = until(&mut queue, |event| !matches!(event, WatchEvent::Listed { .. })).await;
        assert!(
            matches!(&told, WatchEvent::Seen(live) if live.key == part && live.fingerprint == ours),
            "{told:?}"
        );

        plane.api().merge(&path(&whole), &json!({"data": {"ours": "2"}})).unwrap();
        until(&mut queue, |event| matches!(event, WatchEvent::Seen(live) if live.fingerprint.is_none()))
            .await;
        let refused = hands.apply(&part, Some(&found.uid), &states("1")).await.unwrap_err();
        assert!(
            matches!(&refused, ApiError::Refused(why) if why.contains("conflict with") && why.contains(".data.ours")),
            "{refused}"
        );
        hands.apply_as(&part, Some(&found.uid), &states("1"), true).await.unwrap();

        let (key, uid) = (part.clone(), found.uid.clone());
        let given_up = hands.ask(Request::GiveUp { key, uid, account: None }).await.unwrap();
        assert_eq!(given_up, Answer::Deleted);
        let left = plane.api().get(&path(&whole)).unwrap().unwrap();
        assert_eq!(left["data"], json!({"theirs": "x"}));
        assert!(matches!(hands.delete(&part, &found.uid).await, Err(ApiError::Refused(_))));
        plane.api().delete(&path(&whole)).unwrap();
        until(&mut queue, |event| *event == WatchEvent::Gone(part.clone())).await;
        drop(handle);
    };
    let (ran, ()) = tokio::join!(watches.run(), script);
    ran.unwrap();
}
