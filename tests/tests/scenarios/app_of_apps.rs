//! An app of apps on a hub without Kubernetes: one document in the fleet's folder, the rest in Git beside what it runs.

use argosy_tests::world::PATIENCE;
use argosy_tests::{Application, World, eventually, throughout};
use serde_json::{Value, json};

use super::stage::{QUIET, config_map, row, row_message};

const CLUSTERS: [&str; 2] = ["edge-a", "edge-b"];

/// A world with two clusters, none of them the hub's own, and a namespace in each.
struct Grove {
    world: World,
    namespaces: Vec<String>,
}

impl Grove {
    fn start() -> Self {
        let world = World::start(&CLUSTERS).unwrap();
        let fresh = |name: &&str| world.edge(name).unwrap().plane().fresh_namespace().unwrap();
        let namespaces = CLUSTERS.iter().map(fresh).collect();
        Self { world, namespaces }
    }

    /// An app on one of the clusters, of the folder of its name.
    fn app(&self, name: &str, cluster: usize) -> Application {
        Application::new(name, CLUSTERS[cluster], &self.namespaces[cluster], name).automated(true, true)
    }

    /// Writes a document into the folder of the app that brings it.
    fn write(&self, parent: &str, app: &Application) {
        let file = app.file().replace("applications/", "");
        let document = app.document(&self.world.apps().url());
        self.world.apps().write(&format!("{parent}/{file}"), document).unwrap();
    }

    fn write_map(&self, app: &str, value: &str) {
        self.world.apps().write(&format!("{app}/map.yaml"), config_map(app, value)).unwrap();
    }

    fn commit(&self) -> String {
        self.world.apps().commit("Change the grove").unwrap()
    }

    fn value(&self, app: &str, cluster: usize) -> Option<String> {
        let path = format!("/api/v1/namespaces/{}/configmaps/{app}", self.namespaces[cluster]);
        let live = self.world.edge(CLUSTERS[cluster]).unwrap().plane().api().get(&path).unwrap();
        live.map(|live| live["data"]["value"].as_str().unwrap_or_default().to_owned())
    }

    #[track_caller]
    fn await_value(&self, app: &str, cluster: usize, value: Option<&str>) {
        eventually(PATIENCE, &format!("{app} on {} to be {value:?}", CLUSTERS[cluster]), || {
            let seen = self.value(app, cluster);
            if seen.as_deref() == value { Ok(()) } else { Err(format!("{seen:?}")) }
        });
    }

    #[track_caller]
    fn await_gone(&self, app: &str) {
        eventually(PATIENCE, &format!("app {app} to have left"), || self.world.app(app).err());
    }

    fn conditions(app: &Value) -> String {
        app["status"]["conditions"].to_string()
    }

    #[track_caller]
    fn await_said(&self, app: &str, words: &str) -> Value {
        self.world.await_app(app, &format!("to say {words:?}"), |app| Self::conditions(app).contains(words))
    }
}

/// An app for the hub's own cluster, which this hub does not have.
fn parent(name: &str) -> Application {
    Application::new(name, "in-cluster", "argocd", name).automated(true, true)
}

#[test]
fn a_root_app_feeds_a_fleet_with_no_cluster_of_its_own() {
    let grove = Grove::start();
    let (web, api, deep) = (grove.app("web", 0), grove.app("api", 1).with_finalizer(), grove.app("deep", 1));
    for name in ["web", "api", "deep"] {
        grove.write_map(name, "1");
    }
    grove.write("root", &web);
    grove.write("root", &api);
    grove.write("root", &parent("inner"));
    grove.write("inner", &deep);
    let commit = grove.commit();
    grove.world.put_app(&parent("root")).unwrap();

    // Two children on two clusters, and a third that the second app of apps brings.
    for name in ["web", "api", "deep"] {
        grove.world.await_synced(name, &commit);
    }
    grove.await_value("web", 0, Some("1"));
    grove.await_value("api", 1, Some("1"));
    grove.await_value("deep", 1, Some("1"));
    let root = grove.world.await_synced("root", &commit);
    assert_eq!(root["status"]["health"]["status"], "Healthy", "{root}");
    for name in ["web", "api", "inner"] {
        assert_eq!(row(&root, name)["status"], "Synced", "{root}");
    }
    let hub = grove.world.hub();
    hub.argosy_text(&["app", "wait", "root", "--timeout", "30"]).unwrap();
    let list = hub.argosy_text(&["app", "list"]).unwrap();
    assert!(list.contains("argocd/root") && list.contains("in-cluster"), "{list}");

    // A changed document, and one of a child's child.
    grove.write("root", &web.clone().set("/spec/source", "path", json!("web-next")));
    grove.world.apps().write("web-next/map.yaml", config_map("web", "2")).unwrap();
    let commit = grove.commit();
    grove.await_value("web", 0, Some("2"));
    grove.world.await_synced("web", &commit);

    // One that the fleet's folder gives is refused by name, and harms nobody.
    grove.write("root", &parent("root").set("/spec/source", "path", json!("elsewhere")));
    grove.commit();
    let shown =
        grove.await_said("root", "it is the app itself, which applications/root.yaml gives and keeps");
    assert!(row_message(&shown, "root").contains("refused"), "{shown}");
    grove.world.apps().remove("root/root.yaml").unwrap();

    // A parent that does not render freezes what it brought, over a start of the hub as well.
    grove.world.apps().write("root/broken.yaml", "apiVersion: v1\nkind: [\n").unwrap();
    grove.world.apps().remove("root/api.yaml").unwrap();
    grove.write_map("deep", "2");
    grove.commit();
    for name in ["web", "api", "deep"] {
        grove.await_said(name, "broken.yaml");
    }
    grove.world.hub().kill().unwrap();
    grove.world.hub().start().unwrap();
    grove.await_said("api", "last good state");
    throughout(QUIET, "nothing to change", || {
        let seen = (grove.value("web", 0), grove.value("api", 1), grove.value("deep", 1));
        let wanted = (Some("2".to_owned()), Some("1".to_owned()), Some("1".to_owned()));
        if seen == wanted { Ok(()) } else { Err(format!("{seen:?}")) }
    });
    grove.world.apps().remove("root/broken.yaml").unwrap();
    grove.commit();

    // It renders again: what left with the finalizer goes, and the rest goes on.
    grove.await_value("api", 1, None);
    grove.await_gone("api");
    grove.await_value("deep", 1, Some("2"));

    // What leaves without one stays.
    grove.world.apps().remove("root/web.yaml").unwrap();
    grove.commit();
    grove.await_gone("web");
    assert_eq!(grove.value("web", 0).as_deref(), Some("2"));
    grove.world.await_app("deep", "to be Synced", |app| app["status"]["sync"]["status"] == "Synced");
}

#[test]
fn what_a_change_of_a_root_app_would_bring_is_told_before_it_is_merged() {
    let grove = Grove::start();
    grove.write_map("web", "1");
    grove.write_map("new", "1");
    grove.write("root", &grove.app("web", 0));
    let commit = grove.commit();
    grove.world.put_app(&parent("root")).unwrap();
    grove.world.await_synced("web", &commit);

    let apps = grove.world.apps();
    apps.git(["checkout", "--quiet", "-b", "change"]).unwrap();
    grove.write("root", &grove.app("new", 1));
    grove.commit();
    apps.git(["checkout", "--quiet", "main"]).unwrap();
    let revision = format!("{}=change", apps.url());
    let told = grove.world.hub().argosy(&["app", "preview", "--revision", &revision]).unwrap();
    let text = String::from_utf8_lossy(&told.stdout).into_owned();
    assert_eq!(told.status.code(), Some(1), "{text}");
    assert!(text.contains("argocd/new on edge-b") && text.contains("1 apps would change"), "{text}");
    assert!(grove.world.app("new").is_err());

    // Without automated sync nothing is taken unasked.
    let manual = parent("root").set("/spec", "syncPolicy", json!({}));
    grove.world.put_app(&manual).unwrap();
    grove.world.await_app("root", "to be manual", |app| app["spec"]["syncPolicy"]["automated"].is_null());
    apps.git(["merge", "--quiet", "change"]).unwrap();
    let waits = |app: &Value| row_message(app, "new").contains("argosy app sync argocd/root");
    grove.world.await_app("root", "to wait for somebody who syncs it", waits);
    assert!(grove.world.app("new").is_err());
    grove.world.put_app(&parent("root")).unwrap();
    grove.await_value("new", 1, Some("1"));
}

#[test]
fn a_root_app_that_is_synced_by_hand_brings_what_it_rendered_then() {
    let grove = Grove::start();
    grove.write_map("web", "1");
    grove.write_map("new", "1");
    grove.write("root", &grove.app("web", 0));
    let commit = grove.commit();
    grove.world.put_app(&parent("root").set("/spec", "syncPolicy", json!({}))).unwrap();
    let is_read = |app: &Value| row(app, "web")["status"] == "OutOfSync";
    grove.world.await_app("root", "to be read", is_read);
    assert!(grove.world.app("web").is_err());

    let hub = grove.world.hub();
    let told = hub.argosy_text(&["app", "sync", "root"]).unwrap();
    for part in ["Application", "web", "Succeeded", "1 documents of the fleet are taken"] {
        assert!(told.contains(part), "{part} in {told}");
    }
    grove.world.await_synced("web", &commit);

    // What Git has since waits for the next sync, over a start of the hub as well.
    grove.world.apps().remove("root/web.yaml").unwrap();
    grove.write("root", &grove.app("new", 1));
    let newest = grove.commit();
    let behind =
        |app: &Value| row(app, "new")["status"] == "OutOfSync" && row_message(app, "web").contains(&commit);
    grove.world.await_app("root", "to tell what Git has", behind);
    hub.kill().unwrap();
    hub.start().unwrap();
    grove.world.await_app("root", "to tell what Git has", behind);
    throughout(QUIET, "nothing to change", || {
        let seen = (grove.value("web", 0), grove.world.app("new").is_err());
        if seen == (Some("1".to_owned()), true) { Ok(()) } else { Err(format!("{seen:?}")) }
    });

    for flags in [&["--dry-run"][..], &["--preview-changes", "--assumeYes"], &["--revision", newest.as_str()]]
    {
        let told = hub.argosy(&[&["app", "sync", "root"][..], flags].concat()).unwrap();
        assert_eq!(told.status.code(), Some(1), "{told:?}");
        let said = String::from_utf8_lossy(&told.stderr);
        assert!(said.contains(flags[0]) && said.contains("argosy app preview"), "{told:?}");
    }
    let told = hub.argosy_text(&["app", "sync", "root", "--prune"]).unwrap();
    assert!(told.contains("pruned") && told.contains("1 leave"), "{told}");
    grove.await_value("new", 1, Some("1"));
    grove.await_gone("web");
    assert_eq!(grove.value("web", 0).as_deref(), Some("1"), "it left without the finalizer");
}
