//! `ApplicationSet` documents that an app renders.

use super::*;
use crate::session::tables::get_release;
use crate::store::encode;

fn set(name: &str) -> Value {
    json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "ApplicationSet", "metadata": {"name": name}})
}

impl World {
    /// A hub whose app `root` an older one placed on `in-cluster` with all of these.
    fn placed_before(objects: &[Value]) -> Self {
        let mut world = Self::new();
        let cluster = world.add("in-cluster");
        world.write(&parent("root"));
        world.read();
        world.bring("root", &[config_map("notes")]);
        let key = (cluster, id("root"));
        let mut placement = world.hub.fleet.placements()[&key].clone();
        let (release, manifests) = of_manifests(objects.iter().map(object));
        placement.assignment.root = release.root();
        let mut ops = store_ops(&release, &manifests);
        ops.push(StoreOp::put(PLACEMENTS, encode(&key), &placement));
        world.store.commit(&ops);
        world.restart();
        world.read();
        world
    }

    /// Names what `root` has on its cluster.
    fn on_cluster(&self) -> Vec<String> {
        let placed = self.hub.fleet.placements_of(&id("root"));
        let release = get_release(&self.store, placed[0].1.assignment.root).unwrap().unwrap();
        release.entries().iter().map(|entry| entry.id.key.name.to_string()).collect()
    }
}

#[test]
fn a_set_of_applications_is_refused_by_name_and_sent_to_no_cluster() {
    let set =
        json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "ApplicationSet", "metadata": {"name": "all"}});
    let mut world = World::grown(&[app("web"), set]);
    let row = world.rows("root").into_iter().find(|(name, _, _)| name == "all").unwrap();
    assert_eq!(row.1, SyncStatus::OutOfSync);
    assert!(world.said("root").contains("ApplicationSet all is refused: kind: is not supported"));
    assert!(world.hub.fleet.placements_of(&id("root")).is_empty(), "nothing is left for a cluster");
    world.add("in-cluster");
    let root = world.hub.fleet.placements_of(&id("root"))[0].1.assignment.root;
    let release = get_release(&world.store, root).unwrap().unwrap();
    assert!(release.is_empty(), "{release:?}");
    assert_eq!(world.phase("web"), Some(Phase::Active));
}

#[test]
fn a_set_that_a_cluster_has_stays_there_as_long_as_it_is_rendered() {
    let mut world = World::placed_before(&[set("all"), config_map("notes")]);
    assert_eq!(world.on_cluster(), ["notes", "all"]);
    world.bring("root", &[set("all"), config_map("notes")]);
    for _ in 0..2 {
        assert_eq!(world.on_cluster(), ["notes", "all"]);
        assert!(
            world.said("root").contains("ApplicationSet all: is not supported: it stays an object"),
            "{}",
            world.said("root")
        );
        // Others are refused beside it, and documents taken.
        world.bring("root", &[set("all"), set("more"), app("web"), config_map("notes")]);
        assert_eq!(world.on_cluster(), ["notes", "all"]);
        assert!(world.is_known("web"));
        assert!(world.said("root").contains("ApplicationSet more is refused: kind: is not supported"));
        let told = world.hub.families[&id("root")].rows.iter();
        let told: Vec<String> = told.map(|row| row.key.name.to_string()).collect();
        assert_eq!(told, ["web", "more"], "its agent tells of the object");
        world.restart();
        world.read();
        world.fail("root");
        assert_eq!(world.on_cluster(), ["notes", "all"]);
        world.bring("root", &[set("all"), app("web"), config_map("notes")]);
    }
    world.bring("root", &[app("web"), config_map("notes")]);
    assert_eq!(world.on_cluster(), ["notes"], "it leaves as any object does");
    world.bring("root", &[set("all"), app("web"), config_map("notes")]);
    assert_eq!(world.on_cluster(), ["notes"], "by now it is a new one");
}
