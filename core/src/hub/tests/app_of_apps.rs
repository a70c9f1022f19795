//! Apps that bring documents of the fleet (M9): what is taken, what is refused, and what stays.

mod late;
mod options;
mod ordered;
mod sets;

use serde_json::Value;

use super::*;
use crate::fleet::ProjectDocument;
use crate::project::Project;
use crate::status::SyncStatus;

const FINALIZER: &str = "resources-finalizer.argocd.argoproj.io";

/// An app of the cluster `edge`.
fn app(name: &str) -> Value {
    json!({
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Application",
        "metadata": {"name": name},
        "spec": {
            "source": {"repoURL": REPO, "path": name},
            "destination": {"name": "edge", "namespace": "shop"},
        },
    })
}

/// An app that may bring others.
fn parent(name: &str) -> Value {
    let mut document = app(name);
    document["spec"]["destination"] =
        json!({"server": "https://kubernetes.default.svc", "namespace": "argocd"});
    document["spec"]["syncPolicy"] = json!({"automated": {"prune": true}});
    document
}

fn with(mut document: Value, path: &str, value: Value) -> Value {
    let (above, field) = path.rsplit_once('/').unwrap();
    document.pointer_mut(above).unwrap()[field] = value;
    document
}

fn finalized(document: Value) -> Value {
    with(document, "/metadata/finalizers", json!([FINALIZER]))
}

fn project(name: &str) -> Value {
    json!({
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "AppProject",
        "metadata": {"name": name, "namespace": "argocd"},
        "spec": {
            "sourceRepos": ["*"],
            "destinations": [{"server": "*", "name": "*", "namespace": "*"}],
            "namespaceResourceWhitelist": [{"group": "", "kind": "ConfigMap"}],
        },
    })
}

/// Gives an object as it is rendered.
fn object(document: &Value) -> (ResourceKey, Vec<u8>) {
    let text = |pointer: &str| document.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let (group, _) = crate::key::split_api_version(text("/apiVersion"));
    let key = ResourceKey::new(group, text("/kind"), text("/metadata/namespace"), text("/metadata/name"));
    (key, document.to_string().into_bytes())
}

fn config_map(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}})
}

impl World {
    /// Puts a document into the fleet's folder.
    fn write(&mut self, document: &Value) {
        let name = document["metadata"]["name"].as_str().unwrap();
        let file = format!("{name}.yaml");
        if document["kind"] == "AppProject" {
            self.read.projects.insert(name.to_owned(), ProjectDocument::read(&file, document));
        } else {
            self.read.apps.insert(id(name), AppDocument::read(&file, document));
        }
    }

    fn forget(&mut self, name: &str) {
        self.read.apps.remove(&id(name));
        self.read();
    }

    fn rendered(&mut self, name: &str, rendering: Rendering, content: Vec<StoreOp>) -> Effects {
        let source = self.hub.sources().get(&id(name)).cloned().expect("a source");
        self.handle(Input::Rendered { apps: [(id(name), RenderedApp { source, rendering })].into(), content })
    }

    /// Renders an app to these objects.
    fn bring(&mut self, name: &str, documents: &[Value]) -> Effects {
        let (release, manifests) = of_manifests(documents.iter().map(object));
        let commit = format!("commit of {name}");
        let rendering = Rendering::Rendered { root: release.root(), commit, warnings: Vec::new() };
        self.rendered(name, rendering, store_ops(&release, &manifests))
    }

    fn fail(&mut self, name: &str) -> Effects {
        self.rendered(name, Rendering::Failed(format!("{name}/x.yaml: line 3: bad")), Vec::new())
    }

    /// Renders an app to one object of its name.
    fn run(&mut self, name: &str) {
        self.bring(name, &[config_map(name)]);
    }

    fn phase(&self, name: &str) -> Option<Phase> {
        let placed = self.hub.fleet.placements_of(&id(name));
        placed.first().map(|(_, placement)| placement.assignment.phase)
    }

    fn said(&self, name: &str) -> String {
        let conditions = self.hub.conditions.get(&id(name)).into_iter().flatten();
        let lines: Vec<String> =
            conditions.map(|(condition, _)| format!("{}: {}", condition.kind, condition.message)).collect();
        lines.join("\n")
    }

    fn shown(&self, name: &str) -> AppView {
        self.hub.app(&id(name), None, at(self.ms), &self.store).unwrap().unwrap()
    }

    /// The rows of an app: name, status, and what is said.
    fn rows(&self, name: &str) -> Vec<(String, SyncStatus, String)> {
        let rows = self.shown(name).status.map(|status| status.resources).unwrap_or_default();
        rows.into_iter().map(|row| (row.key.name.to_string(), row.status, row.message)).collect()
    }

    fn is_known(&self, name: &str) -> bool {
        self.hub.sources().contains_key(&id(name))
    }

    /// A hub with a cluster `edge` and an app `root` of its folder that brings these, all of them running.
    fn grown(children: &[Value]) -> Self {
        let mut world = Self::new();
        world.add("edge");
        world.write(&parent("root"));
        world.read();
        world.bring("root", children);
        for child in children.iter().filter(|child| child["kind"] == "Application") {
            world.run(child["metadata"]["name"].as_str().unwrap());
        }
        world
    }
}

#[test]
fn documents_that_an_app_renders_come_change_and_go_with_it_and_need_no_cluster() {
    let mut world = World::grown(&[app("web"), finalized(app("api"))]);
    assert_eq!((world.phase("web"), world.phase("api")), (Some(Phase::Active), Some(Phase::Active)));
    let root = world.shown("root");
    let status = root.status.clone().unwrap();
    assert_eq!((status.sync, status.health), (SyncStatus::Synced, crate::health::Health::Healthy));
    assert_eq!((root.cluster.as_str(), root.waiting, root.phase), ("in-cluster", None, None));
    assert_eq!(root.commits.values().collect::<Vec<_>>(), ["commit of root"]);
    assert!(root.observed.is_some() && root.desired == status.synced);
    let names: Vec<String> = world.rows("root").into_iter().map(|(name, _, _)| name).collect();
    assert_eq!(names, ["api", "web"]);
    assert_eq!(world.said("root"), "");

    let changed = with(app("web"), "/spec/destination/namespace", json!("other"));
    world.bring("root", &[changed, finalized(app("api"))]);
    world.run("web");
    let placement = world.hub.fleet.placements_of(&id("web"))[0].1.clone();
    assert_eq!(placement.assignment.destination.namespace, "other");
    assert_eq!(placement.file, "app argocd/root");

    world.bring("root", &[app("keep")]);
    assert!(world.said("api").contains("waits until the new apps have rendered"));
    world.run("keep");
    assert_eq!((world.phase("web"), world.phase("api")), (Some(Phase::Released), Some(Phase::Deleting)));
    assert!(!world.is_known("web") && world.is_known("keep"));
}

#[test]
fn the_rest_of_what_a_parent_renders_goes_to_its_cluster_and_the_documents_do_not() {
    let mut world = World::new();
    world.add("edge");
    world.write(&parent("root"));
    world.read();
    let config = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "notes"}});
    world.bring("root", &[app("web"), config.clone()]);
    assert!(world.said("root").contains("waits for cluster in-cluster to be registered"));
    assert!(world.is_known("web"), "its documents need no cluster");
    world.add("in-cluster");
    assert_eq!(world.phase("root"), Some(Phase::Active));
    let placement = world.hub.fleet.placements_of(&id("root"))[0].1.clone();
    let release = crate::session::tables::get_release(&world.store, placement.assignment.root).unwrap();
    let keys: Vec<String> =
        release.unwrap().entries().iter().map(|entry| entry.id.key.kind.to_string()).collect();
    assert_eq!(keys, ["ConfigMap"]);
    assert_eq!(placement.commit_of(placement.assignment.root), Some("commit of root"));
    // What its agent has not said is not known.
    assert_eq!(world.shown("root").status, None);
}

#[test]
fn an_app_for_another_cluster_renders_applications_like_anything_else() {
    let mut world = World::new();
    world.add("edge");
    world.write(&with(parent("root"), "/spec/destination", json!({"name": "edge"})));
    world.read();
    world.bring("root", &[app("web")]);
    assert!(!world.is_known("web"));
    let placement = world.hub.fleet.placements_of(&id("root"))[0].1.clone();
    let release = crate::session::tables::get_release(&world.store, placement.assignment.root).unwrap();
    assert_eq!(release.unwrap().entries().len(), 1);
}

#[test]
fn a_parent_that_fails_freezes_what_it_brought_until_it_renders() {
    let mut world = World::grown(&[app("web"), parent("inner")]);
    world.bring("inner", &[app("deep")]);
    world.run("deep");
    let before = world.hub.fleet.clone();
    world.fail("root");
    for name in ["web", "deep"] {
        assert_eq!(world.phase(name), Some(Phase::Frozen), "{name}");
        assert!(world.said(name).contains("line 3: bad") && world.said(name).contains("last good state"));
    }
    assert!(world.said("root").contains("line 3: bad"));
    assert_eq!(world.rows("root")[0].1, SyncStatus::Unknown);
    assert!(world.hub.settled().is_err());
    // What a child renders anew waits.
    world.bring("web", &[]);
    assert_eq!(world.phase("web"), Some(Phase::Frozen));
    world.bring("root", &[app("web"), parent("inner")]);
    world.run("web");
    assert_eq!((world.phase("web"), world.phase("deep")), (Some(Phase::Active), Some(Phase::Active)));
    let edge = world.hub.registry.by_name()["edge"];
    assert_eq!(world.hub.fleet.list(edge).root(), before.list(edge).root());
}

#[test]
fn a_hub_that_starts_again_loses_no_child_of_a_parent_that_cannot_be_read() {
    let mut world = World::grown(&[app("web"), parent("inner")]);
    world.bring("inner", &[finalized(app("deep"))]);
    world.run("deep");
    let before = world.hub.fleet.placements().clone();
    world.restart();
    world.read();
    assert!(world.is_known("web") && world.is_known("deep"), "they are read while their parents are not");
    assert!(world.said("deep").contains("its source was not read yet; its last good state stays"));
    let pending = Rendering::Pending("cannot fetch".to_owned());
    world.rendered("root", pending, Vec::new());
    world.run("web");
    world.run("deep");
    assert_eq!(*world.hub.fleet.placements(), before);
    // A parent that fails before it was read in this life freezes.
    world.fail("inner");
    assert_eq!(world.hub.fleet.placements()[&(world.hub.registry.by_name()["edge"], id("deep"))], {
        before.values().find(|placement| placement.assignment.app == id("deep")).cloned().unwrap()
    });
    world.bring("root", &[app("web"), parent("inner")]);
    assert_eq!(world.phase("deep"), Some(Phase::Frozen));
    world.bring("inner", &[finalized(app("deep"))]);
    assert_eq!(*world.hub.fleet.placements(), before);
}

#[test]
fn a_parent_that_is_refused_freezes_and_one_that_cannot_be_read_as_well() {
    let mut world = World::grown(&[app("web")]);
    world.write(&with(parent("root"), "/spec/source/helm", json!({"values": "a"})));
    world.read();
    assert_eq!(world.phase("web"), Some(Phase::Frozen));
    assert!(world.said("web").contains("spec.source.helm"), "{}", world.said("web"));
    world.read.apps.remove(&id("root"));
    let words = crate::fleet::Words::of(b"name: root");
    let message = "line 1: not YAML".to_owned();
    world.read.broken.push(crate::fleet::BrokenFile { file: "root.yaml".to_owned(), message, words });
    world.read();
    assert_eq!(world.phase("web"), Some(Phase::Frozen));
    assert!(world.said("web").contains("its document cannot be read"), "{}", world.said("web"));
    world.read.broken.clear();
    world.read.complete = false;
    world.read();
    assert!(world.is_known("web"), "absence means nothing yet");
    assert_ne!(world.phase("web"), Some(Phase::Released));
}

#[test]
fn the_fleets_folder_comes_first_and_then_the_apps_by_distance_and_name() {
    let mut world = World::grown(&[app("web"), parent("a"), parent("b")]);
    let other = with(app("web"), "/spec/source/path", json!("elsewhere"));
    world.bring("a", &[other.clone(), app("shop")]);
    world.bring("b", &[app("shop"), with(app("solo"), "/spec/project", json!("default")), app("web")]);
    let sources = world.hub.sources();
    assert_eq!(sources[&id("web")].path.as_str(), "web");
    assert!(world.said("a").contains(
        "SharedResourceWarning: Application web is refused: app argocd/root gives it and keeps it"
    ));
    assert_eq!(world.said("b"), "", "the very same document is refused nothing");
    let rows = world.rows("b");
    assert!(rows[0].2.contains("app argocd/a gives it as well"), "{rows:?}");
    assert_eq!(world.hub.read.as_ref().unwrap().children[&id("solo")].parent, id("b"));
    // The folder takes it over, at once and without a release in between.
    world.run("shop");
    world.write(&other);
    world.read();
    assert_eq!(world.hub.sources()[&id("web")].path.as_str(), "elsewhere");
    assert!(world.said("root").contains("web.yaml gives it and keeps it"));
    assert_eq!(world.phase("web"), Some(Phase::Active));
    world.bring("a", &[]);
    world.bring("a", &[app("more")]);
    assert_eq!(world.hub.read.as_ref().unwrap().children[&id("shop")].parent, id("b"));
    assert_eq!(world.phase("shop"), Some(Phase::Active));
}

#[test]
fn an_app_neither_changes_itself_nor_one_above_it() {
    let renamed = with(parent("root"), "/spec/source/path", json!("elsewhere"));
    let mut world = World::grown(&[parent("inner")]);
    world.bring("root", &[renamed, parent("inner")]);
    assert!(world.said("root").contains("it is the app itself, which root.yaml gives and keeps"));
    let mut above = parent("root");
    above["spec"]["project"] = json!("default");
    world.bring("inner", &[above, app("web")]);
    world.run("web");
    assert!(
        world.said("inner").contains("a cycle: it is an app above app argocd/inner"),
        "{}",
        world.said("inner")
    );
    assert!(world.is_known("web"));
    assert_eq!(world.hub.sources()[&id("root")].path.as_str(), "root");
    // An app that renders its own document as it is is refused nothing.
    world.bring("root", &[parent("root"), parent("inner")]);
    assert_eq!(world.said("root"), "");
}

#[test]
fn apps_bring_one_another_to_a_bounded_depth() {
    let mut world = World::new();
    world.add("edge");
    world.write(&parent("p0"));
    world.read();
    for level in 0..9 {
        let next = format!("p{}", level + 1);
        world.bring(&format!("p{level}"), &[parent(&next)]);
        assert_eq!(world.is_known(&next), level < 8, "{next}");
        if level == 8 {
            assert!(world.said("p8").contains("more than 8 apps bring one another"), "{}", world.said("p8"));
        }
    }
}

#[test]
fn what_a_parents_project_does_not_permit_is_not_brought() {
    let mut world = World::grown(&[app("web")]);
    world.write(&project("team"));
    world.write(&with(parent("root"), "/spec/project", json!("team")));
    world.read();
    world.bring(
        "root",
        &[with(app("web"), "/spec/destination/namespace", json!("x")), app("new"), project("own")],
    );
    let said = world.said("root");
    assert!(said.contains("resource argoproj.io:Application is not permitted in project team"), "{said}");
    assert!(said.contains("SyncError: AppProject own is refused"), "{said}");
    assert!(!world.is_known("new") && !world.hub.read.as_ref().unwrap().projects.contains_key("own"));
    assert_eq!(world.phase("web"), Some(Phase::Frozen), "its last good document stays");
    let mut elsewhere = project("team");
    elsewhere["spec"]["namespaceResourceWhitelist"] =
        json!([{"group": "argoproj.io", "kind": "Application"}]);
    elsewhere["spec"]["destinations"] = json!([{"name": "edge", "namespace": "*"}]);
    world.write(&elsewhere);
    world.read();
    assert!(
        world.said("web").contains("do not match any of the allowed destinations"),
        "{}",
        world.said("web")
    );
    elsewhere["spec"]["destinations"] = json!([{"name": "in-cluster", "namespace": "argocd"}]);
    world.write(&elsewhere);
    world.read();
    assert!(world.is_known("new"), "{}", world.said("root"));
    elsewhere["spec"]["destinationServiceAccounts"] =
        json!([{"server": "*", "namespace": "*", "defaultServiceAccount": "deployer"}]);
    world.write(&elsewhere);
    world.read();
    assert!(world.said("root").contains("spec.destinationServiceAccounts"), "{}", world.said("root"));
}

#[test]
fn a_project_that_is_brought_is_a_project_of_the_fleet() {
    let mut world = World::grown(&[with(app("web"), "/spec/project", json!("team"))]);
    assert!(world.said("web").contains("references project team which does not exist"));
    world.bring("root", &[with(app("web"), "/spec/project", json!("team")), project("team")]);
    assert_eq!(world.said("web"), "");
    assert_eq!(world.phase("web"), Some(Phase::Active));
    // An app that is brought may bring in turn what a project permits that comes with it.
    let mut wide = project("wide");
    wide["spec"]["namespaceResourceWhitelist"] = json!([{"group": "*", "kind": "*"}]);
    let inner = with(parent("inner"), "/spec/project", json!("wide"));
    world.bring("root", &[inner, wide]);
    world.bring("inner", &[app("deep")]);
    assert!(world.is_known("deep"), "{}", world.said("inner"));
    assert!(Project::try_from(&project("team")).is_ok());
}

#[test]
fn documents_of_other_namespaces_and_bad_ones_are_refused_by_name() {
    let outside = with(app("out"), "/metadata/namespace", json!("team-a"));
    let bad = with(app("bad"), "/spec/source/helm", json!({"values": "a"}));
    let mut world = World::grown(&[app("web")]);
    world.bring("root", &[outside, bad, app("web")]);
    assert!(world.said("root").contains(
        "Application out is refused: metadata.namespace: \"team-a\": documents of other namespaces than \"argocd\""
    ));
    assert!(world.said("bad").contains("app argocd/root: spec.source.helm"), "{}", world.said("bad"));
    assert_eq!(world.phase("web"), Some(Phase::Active), "they harm no other");
    world.write(&with(parent("root"), "/spec/destination/namespace", json!("apps")));
    world.read();
    assert!(
        world.said("root").contains("the spec.destination.namespace of the app"),
        "{}",
        world.said("root")
    );
}

#[test]
fn what_is_not_pruned_stays_until_somebody_else_gives_it() {
    let mut world = World::grown(&[app("web"), parent("other")]);
    world.write(&with(parent("root"), "/spec/syncPolicy", json!({"automated": {}})));
    world.read();
    world.bring("root", &[parent("other")]);
    assert_eq!(world.phase("web"), Some(Phase::Active));
    assert!(world.said("web").contains("OrphanedResourceWarning"), "{}", world.said("web"));
    assert!(world.said("web").contains("spec.syncPolicy.automated.prune is not set"));
    let name = AppName { app: id("web"), cluster: None };
    let refused = world.ask(Request::DeleteApp { app: name, cascade: false }).unwrap_err();
    assert!(refused.to_string().contains("give its document in the fleet's folder"), "{refused}");
    let row = world.rows("root").into_iter().find(|(name, _, _)| name == "web").unwrap();
    assert_eq!(row.1, SyncStatus::OutOfSync);
    world.restart();
    world.read();
    world.bring("root", &[parent("other")]);
    world.bring("other", &[app("web")]);
    world.run("web");
    assert_eq!(world.said("web"), "");
    assert_eq!(world.hub.read.as_ref().unwrap().children[&id("web")].parent, id("other"));
    world.bring("other", &[app("next")]);
    world.run("next");
    assert_eq!(world.phase("web"), Some(Phase::Released), "the one that gave it last pruned it");
}

#[test]
fn a_parent_that_renders_nothing_at_all_any_more_takes_nothing_along() {
    let mut world = World::grown(&[app("web")]);
    world.bring("root", &[]);
    assert_eq!(world.phase("web"), Some(Phase::Active));
    assert!(world.said("web").contains("allowEmpty is not set"), "{}", world.said("web"));
    let policy = json!({"automated": {"prune": true, "allowEmpty": true}});
    world.write(&with(parent("root"), "/spec/syncPolicy", policy));
    world.read();
    assert_eq!(world.phase("web"), Some(Phase::Released));
}

#[test]
fn a_paused_parent_and_closed_windows_keep_changes_back() {
    let mut world = World::grown(&[app("web")]);
    world.add("in-cluster");
    let name = AppName { app: id("root"), cluster: None };
    world.ask(Request::PauseApp { app: name.clone(), by: Some("ana".to_owned()) }).unwrap();
    world.bring("root", &[app("new")]);
    assert!(world.is_known("web") && !world.is_known("new"));
    world.ask(Request::PauseApp { app: name, by: None }).unwrap();
    assert!(!world.is_known("web") && world.is_known("new"));

    let mut closed = Project::permissive_document();
    closed["apiVersion"] = json!("argoproj.io/v1alpha1");
    closed["kind"] = json!("AppProject");
    closed["spec"]["syncWindows"] =
        json!([{"kind": "deny", "schedule": "* * * * *", "duration": "1h", "applications": ["root"]}]);
    world.write(&closed);
    world.read();
    world.bring("root", &[app("web")]);
    assert!(!world.is_known("web") && world.is_known("new"));
    assert!(world.hub.look_again.is_some(), "windows change with time");
    closed["spec"]["syncWindows"] = json!([]);
    world.write(&closed);
    world.read();
    assert!(world.is_known("web"));
}

#[test]
fn what_a_parent_brought_leaves_with_it_if_it_has_the_finalizer() {
    let mut world = World::grown(&[app("web"), finalized(app("api")), app("a"), app("b"), app("c")]);
    world.write(&finalized(parent("root")));
    world.read();
    world.forget("root");
    assert!(world.hub.mass_loss.is_some(), "so many apps leave at once");
    let plan = world.hub.mass_loss.as_ref().unwrap().plan;
    world.hub.confirmed_loss = Some(plan);
    world.hub.dirty = true;
    world.handle(Input::Tick);
    assert_eq!((world.phase("web"), world.phase("api")), (Some(Phase::Released), Some(Phase::Deleting)));
}

#[test]
fn what_a_parent_brought_stays_without_it_if_it_has_no_finalizer() {
    let mut world = World::grown(&[app("web"), finalized(app("api")), parent("inner")]);
    world.bring("inner", &[app("deep")]);
    world.run("deep");
    world.forget("root");
    for name in ["web", "api", "deep"] {
        assert_eq!(world.phase(name), Some(Phase::Active), "{name}");
    }
    assert!(world.said("web").contains("app argocd/root has left the fleet without a finalizer"));
    world.restart();
    world.read();
    assert!(world.is_known("web") && world.is_known("inner"));
    // Another app takes over what it renders, and prunes it again; the rest stays.
    world.write(&parent("second"));
    world.read();
    world.bring("second", &[app("web"), parent("inner")]);
    assert!(!world.said("web").contains("left the fleet"), "{}", world.said("web"));
    world.bring("inner", &[app("deep")]);
    world.bring("second", &[parent("inner")]);
    assert_eq!((world.phase("web"), world.phase("api")), (Some(Phase::Released), Some(Phase::Active)));
}

#[test]
fn a_parent_that_moves_to_another_cluster_leaves_what_it_brought() {
    let mut world = World::grown(&[app("web")]);
    world.write(&with(parent("root"), "/spec/destination", json!({"name": "edge"})));
    world.read();
    world.run("root");
    assert_eq!(world.phase("web"), Some(Phase::Active));
    assert!(world.said("web").contains("is not for in-cluster any more"), "{}", world.said("web"));
}

#[test]
fn nothing_is_pruned_while_an_app_of_the_same_repository_does_not_render() {
    let mut world = World::grown(&[finalized(app("web")), parent("other")]);
    world.fail("other");
    world.bring("root", &[parent("other")]);
    assert_eq!(world.phase("web"), Some(Phase::Active));
    assert!(
        world.said("web").contains("until app argocd/other of its repository renders"),
        "{}",
        world.said("web")
    );
    world.bring("other", &[finalized(app("web"))]);
    world.run("web");
    assert_eq!((world.phase("web"), world.said("web")), (Some(Phase::Active), String::new()));
}

#[test]
fn a_deletion_waits_for_an_app_that_may_bring_what_it_deletes() {
    let mut world = World::grown(&[finalized(app("web")), app("keep")]);
    let mut elsewhere = parent("other");
    elsewhere["spec"]["source"]["repoURL"] = json!("https://git.example/other");
    world.write(&elsewhere);
    world.read();
    world.bring("root", &[app("keep")]);
    assert_eq!(world.phase("web"), Some(Phase::Active));
    assert!(world.said("web").contains("waits until the new apps have rendered"));
    world.bring("other", &[]);
    assert_eq!(world.phase("web"), Some(Phase::Deleting));
}

#[test]
fn a_preview_tells_what_a_parents_change_would_bring() {
    let mut world = World::grown(&[app("web")]);
    let proposed = |documents: &[Value]| {
        let objects = documents.iter().map(|document| {
            let name = document["metadata"]["name"].as_str().unwrap();
            (ResourceKey::new("argoproj.io", "Application", "", name), document.to_string().into_bytes())
        });
        let (release, manifests) = of_manifests(objects);
        let rendering =
            Rendering::Rendered { root: release.root(), commit: "new".to_owned(), warnings: Vec::new() };
        (rendering, store_ops(&release, &manifests))
    };
    let (rendering, content) = proposed(&[app("new"), app("more")]);
    let proposal = Proposal { read: None, renderings: [(id("root"), rendering)].into(), content };
    let sources = world.hub.proposed_sources(&proposal, WallTime(0), &world.store).unwrap();
    assert_eq!(sources.unrendered.keys().collect::<Vec<_>>(), [&id("more"), &id("new")]);
    let held = format!("{:?}", world.hub);
    let preview =
        world.hub.preview(&proposal, WallTime(0), &world.store, &mut world.entropy).unwrap().unwrap();
    assert_eq!(format!("{:?}", world.hub), held, "a preview changes nothing");
    let fates: Vec<(String, Fate)> =
        preview.apps.iter().map(|app| (app.app.name.to_string(), app.fate)).collect();
    assert!(fates.contains(&("web".to_owned(), Fate::Released)), "{fates:?}");
    assert!(fates.contains(&("new".to_owned(), Fate::Waits)), "{fates:?}");
}

#[test]
fn releases_that_hold_documents_are_not_collected() {
    let mut world = World::grown(&[app("web")]);
    world.fail("root");
    world.ms += 60_000;
    world.handle(Input::Tick);
    world.restart();
    world.ms += 60_000;
    world.handle(Input::Tick);
    world.read();
    assert!(world.is_known("web"));
}

#[test]
fn a_wave_of_a_document_that_is_brought_orders_nothing_and_is_told() {
    let waved = with(app("web"), "/metadata/annotations", json!({"argocd.argoproj.io/sync-wave": "2"}));
    let odd = with(app("odd"), "/metadata/annotations", json!({"argocd.argoproj.io/sync-wave": "soon"}));
    let mut world = World::grown(&[waved, app("api")]);
    assert_eq!((world.phase("web"), world.phase("api")), (Some(Phase::Active), Some(Phase::Active)));
    assert!(world.rows("root")[1].2.contains("its sync wave orders nothing"));
    assert!(world.shown("web").document.contains("sync-wave"), "it is shown as it was written");
    world.bring("root", &[odd, app("api")]);
    assert!(world.said("odd").contains("metadata.annotations[argocd.argoproj.io/sync-wave]"));
}
