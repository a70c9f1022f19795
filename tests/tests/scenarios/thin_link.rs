//! One huge app on a thin link delays no other app.

use argosy_tests::world::{Link, PATIENCE};
use argosy_tests::{World, eventually};
use serde_json::Value;

use super::stage::{EDGE, Stage, config_map};

/// Bytes of text in the huge app.
const HUGE: usize = 4 << 20;
/// Objects of the huge app.
const OBJECTS: usize = 8;
/// Bytes a second on the link.
const RATE: u64 = 64 << 10;

/// Returns text that does not compress to much less than it is.
fn noise(length: usize, seed: u64) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut state = seed.wrapping_mul(2).wrapping_add(1);
    let letters = (0..length).map(|_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        char::from(LETTERS[usize::try_from(state >> 58).unwrap()])
    });
    letters.collect()
}

/// Returns the release that an app has in full; null before its first.
fn assigned(stage: &Stage, app: &str) -> Value {
    stage.world.app(app).unwrap()["status"]["releases"]["assigned"].clone()
}

#[test]
fn a_huge_app_on_a_thin_link_delays_no_other_app() {
    let stage = Stage::of(World::builder().clusters(&[EDGE]).link(Link::Proxied).start().unwrap());
    let proxy = stage.world.hub().proxy().unwrap();
    stage.bring_up("small", &["s"]);
    proxy.limit(Some(RATE));
    let before = proxy.moved();

    for number in 0..OBJECTS {
        let name = format!("huge-{number}");
        let text = config_map(&name, &noise(HUGE / OBJECTS, number as u64));
        stage.world.apps().write(&format!("huge/{name}.yaml"), text).unwrap();
    }
    stage.world.apps().commit("Add the huge app").unwrap();
    stage.world.put_app(&stage.app("huge")).unwrap();
    eventually(PATIENCE, "the huge app to be on its way", || {
        let moved = proxy.moved() - before;
        if moved > 2 * RATE { Ok(()) } else { Err(format!("{moved} bytes moved")) }
    });

    for value in ["2", "3", "4"] {
        let commit = stage.commit(&[("small/s", value)]);
        stage.await_value("s", value);
        stage.world.await_synced("small", &commit);
        assert!(assigned(&stage, "huge").is_null(), "the huge app is still on its way");
    }
    stage.expect_heal("s");
    assert!(stage.live("huge-0").is_none(), "half a release is not applied");

    proxy.limit(None);
    stage.world.await_app("huge", "to be Synced", |app| app["status"]["sync"]["status"] == "Synced");
    assert_eq!(stage.value("huge-7").len(), HUGE / OBJECTS);
}

#[test]
fn what_arrived_is_kept_when_a_thin_link_breaks() {
    let stage = Stage::of(World::builder().clusters(&[EDGE]).link(Link::Proxied).start().unwrap());
    let proxy = stage.world.hub().proxy().unwrap();
    stage.bring_up("small", &["s"]);
    proxy.limit(Some(4 * RATE));
    for number in 0..OBJECTS {
        let name = format!("huge-{number}");
        let text = config_map(&name, &noise(HUGE / OBJECTS / 2, number as u64));
        stage.world.apps().write(&format!("huge/{name}.yaml"), text).unwrap();
    }
    let before = proxy.moved();
    let huge = stage.world.apps().commit("Add the huge app").unwrap();
    stage.world.put_app(&stage.app("huge")).unwrap();
    eventually(PATIENCE, "half of the huge app to have moved", || {
        let moved = proxy.moved() - before;
        if moved > HUGE as u64 / 4 { Ok(()) } else { Err(format!("{moved} bytes moved")) }
    });
    stage.edge().kill_agent().unwrap();
    let first = proxy.moved() - before;

    stage.edge().start_agent().unwrap();
    stage.world.await_synced("huge", &huge);

    let second = proxy.moved() - before - first;
    // A letter of the text is worth 6 bits, so all of it is about 1.5 MiB; at least 1 MiB of that had moved.
    assert!(second < (HUGE as u64 / 2) * 5 / 8, "{first} bytes moved before the break, {second} after it");
}
