mod held;
mod projects;

use serde_json::json;

use super::*;
use crate::application::Application;
use crate::key::ResourceKey;
use crate::policy::ProjectLimits;
use crate::project::Project;
use crate::session::tests::fixture::{Seed, of_manifests, store_ops};
use crate::store::MemoryStore;

const EDGE: ClusterId = ClusterId::new([1; 16]);
const FAR: ClusterId = ClusterId::new([2; 16]);
const OURS: InstallationId = InstallationId::new([8; 16]);

/// A fleet with everything that it is decided from.
struct World {
    fleet: Fleet,
    store: MemoryStore,
    read: FleetRead,
    renderings: BTreeMap<AppId, Rendering>,
    clusters: BTreeMap<String, ClusterId>,
    emptied: BTreeSet<(ClusterId, AppId, DeletionId)>,
    released: BTreeSet<(ClusterId, AppId)>,
    confirmed_loss: Option<Digest>,
    entropy: Seed,
}

fn id(name: &str) -> AppId {
    AppId::new("", name)
}

fn key(name: &str) -> ResourceKey {
    ResourceKey::new("", "ConfigMap", "", name)
}

fn document(name: &str, cluster: &str, finalizer: bool) -> serde_json::Value {
    let finalizers = if finalizer { json!(["resources-finalizer.argocd.argoproj.io"]) } else { json!([]) };
    json!({
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Application",
        "metadata": {"name": name, "finalizers": finalizers},
        "spec": {
            "source": {"repoURL": "https://git.example/apps", "path": name},
            "destination": {"name": cluster, "namespace": "shop"},
        },
    })
}

impl World {
    fn new() -> Self {
        let store = MemoryStore::default();
        Self {
            fleet: Fleet::load(&store, OURS).unwrap(),
            store,
            read: FleetRead { complete: true, ..FleetRead::default() },
            renderings: BTreeMap::new(),
            clusters: [("edge".to_owned(), EDGE), ("far".to_owned(), FAR)].into(),
            emptied: BTreeSet::new(),
            released: BTreeSet::new(),
            confirmed_loss: None,
            entropy: Seed(1),
        }
    }

    /// A world in which these apps (name, objects) are placed on `edge`; names with `!` carry the finalizer.
    fn with(apps: &[(&str, &[&str])]) -> Self {
        let mut world = Self::new();
        for (name, objects) in apps {
            let finalizer = name.ends_with('!');
            let name = name.trim_end_matches('!');
            world.put(name, &document(name, "edge", finalizer));
            world.render(name, objects);
        }
        world.decide();
        world
    }

    fn put(&mut self, name: &str, document: &serde_json::Value) {
        let application = Application::try_from(document).map_err(|error| error.to_string());
        let document = AppDocument { file: format!("{name}.yaml"), application, document: String::new() };
        self.read.apps.insert(id(name), document);
    }

    fn define(&mut self, name: &str, project: Result<Project, String>) {
        let document = ProjectDocument {
            file: format!("projects/{name}.yaml"),
            project,
            document: format!("{{\"spec\":{{\"description\":\"{name}\"}}}}"),
        };
        self.read.projects.insert(name.to_owned(), document);
    }

    fn remove(&mut self, name: &str) {
        self.read.apps.remove(&id(name));
        self.renderings.remove(&id(name));
    }

    fn refuse(&mut self, name: &str) {
        if let Some(document) = self.read.apps.get_mut(&id(name)) {
            document.application = Err("spec.source.helm: is not supported".to_owned());
        }
    }

    fn break_file(&mut self, name: &str) {
        self.read.apps.remove(&id(name));
        let message = "line 1: not YAML".to_owned();
        let words = Words::of(b"");
        self.read.broken.push(BrokenFile { file: format!("{name}.yaml"), message, words });
    }

    fn render(&mut self, name: &str, objects: &[&str]) {
        let objects = objects.iter().map(|object| (key(object), object.as_bytes().to_vec()));
        let (release, manifests) = of_manifests(objects);
        self.store.commit(&store_ops(&release, &manifests));
        let commit = format!("commit of {}", release.root());
        let rendering = Rendering::Rendered { root: release.root(), commit, warnings: Vec::new() };
        self.renderings.insert(id(name), rendering);
    }

    fn fail(&mut self, name: &str) {
        self.renderings.insert(id(name), Rendering::Failed(format!("{name}/x.yaml: line 3: bad")));
    }

    fn decide(&mut self) -> Decision {
        let inputs = Inputs {
            read: Some(&self.read),
            renderings: &self.renderings,
            clusters: &self.clusters,
            emptied: &self.emptied,
            released: &self.released,
            confirmed_loss: self.confirmed_loss,
        };
        let decision = self.fleet.decide(inputs, &self.store, &mut self.entropy).unwrap();
        self.store.commit(&decision.ops);
        let loaded = Fleet::load(&self.store, OURS).unwrap();
        assert_eq!(loaded.placements, self.fleet.placements, "placements are durable");
        assert_eq!(loaded.projects, self.fleet.projects, "projects are durable");
        decision
    }

    fn phase_on(&self, cluster: ClusterId, name: &str) -> Option<Phase> {
        let placement = self.fleet.placements.get(&(cluster, id(name)))?;
        Some(placement.assignment.phase)
    }

    fn phase(&self, name: &str) -> Option<Phase> {
        self.phase_on(EDGE, name)
    }

    fn held(&self, name: &str) -> Vec<String> {
        let held = &self.fleet.placements[&(EDGE, id(name))].assignment.held;
        held.iter().map(|key| key.name.to_string()).collect()
    }
}

fn said(decision: &Decision, name: &str) -> String {
    let conditions = decision.conditions.get(&id(name)).into_iter().flatten();
    conditions
        .map(|condition| format!("{}: {}", condition.kind, condition.message))
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn an_app_is_assigned_when_it_is_rendered_and_its_cluster_exists() {
    let mut world = World::new();
    world.put("web", &document("web", "moon", false));
    world.render("web", &["a"]);
    let decision = world.decide();
    assert!(said(&decision, "web").contains("waits for cluster moon"), "{decision:?}");
    assert!(decision.failing.is_empty() && world.fleet.placements.is_empty());
    world.clusters.insert("moon".to_owned(), EDGE);
    world.renderings.clear();
    assert!(said(&world.decide(), "web").contains("was not read yet"));
    world.render("web", &["a"]);
    let decision = world.decide();
    assert_eq!(decision.changed, [EDGE].into());
    assert_eq!(decision.fresh, [id("web")].into());
    assert_eq!(world.phase("web"), Some(Phase::Active));
    assert!(world.decide().ops.is_empty(), "deciding again changes nothing");
}

#[test]
fn a_commit_that_renders_to_the_same_changes_no_list() {
    let mut world = World::with(&[("web", &["a"])]);
    let root = world.fleet.list(EDGE).root();
    let Some(Rendering::Rendered { commit, .. }) = world.renderings.get_mut(&id("web")) else { panic!() };
    *commit = "newer".to_owned();
    let decision = world.decide();
    assert!(decision.changed.is_empty() && !decision.ops.is_empty());
    assert_eq!(world.fleet.list(EDGE).root(), root);
    let placement = &world.fleet.placements[&(EDGE, id("web"))];
    assert_eq!(placement.commit_of(placement.assignment.root), Some("newer"));
}

#[test]
fn a_moved_app_is_released_on_its_old_cluster_whatever_its_finalizer_says() {
    let mut world = World::with(&[("web!", &["a"])]);
    world.put("web", &document("web", "far", true));
    let decision = world.decide();
    assert_eq!(decision.changed, [EDGE, FAR].into());
    assert_eq!(world.phase("web"), Some(Phase::Released));
    assert_eq!(world.phase_on(FAR, "web"), Some(Phase::Active));
    assert_eq!(world.fleet.placements_of(&id("web"))[0].0, FAR, "the active one comes first");
    world.released.insert((EDGE, id("web")));
    world.decide();
    assert_eq!((world.phase("web"), world.phase_on(FAR, "web")), (None, Some(Phase::Active)));
}

#[test]
fn a_removed_app_is_let_go_without_the_finalizer_and_deleted_with_it() {
    let mut world = World::with(&[("plain", &["a"]), ("owned!", &["b"]), ("other", &["c"])]);
    world.remove("plain");
    world.decide();
    assert_eq!(world.phase("plain"), Some(Phase::Released));
    world.remove("owned");
    world.decide();
    assert_eq!(world.phase("owned"), Some(Phase::Deleting));
    let deletion = world.fleet.placements[&(EDGE, id("owned"))].assignment.deletion.unwrap();
    world.emptied.insert((EDGE, id("owned"), DeletionId::new([9; 16])));
    world.decide();
    assert_eq!(world.phase("owned"), Some(Phase::Deleting), "the report is of another deletion");
    world.emptied.insert((EDGE, id("owned"), deletion));
    world.decide();
    assert_eq!(world.phase("owned"), None);
    assert_eq!(world.phase("other"), Some(Phase::Active));
}

#[test]
fn a_document_that_comes_back_cancels_the_deletion_at_once() {
    let mut world = World::with(&[("web!", &["a"]), ("other", &["c"])]);
    world.remove("web");
    world.decide();
    assert_eq!(world.phase("web"), Some(Phase::Deleting));
    world.put("web", &document("web", "edge", true));
    world.decide();
    let back = &world.fleet.placements[&(EDGE, id("web"))].assignment;
    assert_eq!(
        (back.phase, back.deletion),
        (Phase::Active, None),
        "with the last good release, before it rendered"
    );
    world.remove("web");
    world.decide();
    world.put("web", &document("web", "edge", true));
    world.refuse("web");
    world.decide();
    assert_eq!(world.phase("web"), Some(Phase::Frozen), "also one that is refused");
}

#[test]
fn a_document_that_comes_back_for_another_cluster_cancels_the_deletion_as_well() {
    let mut world = World::with(&[("web!", &["a"]), ("other", &["c"])]);
    let root = world.fleet.list(EDGE).get(&id("web")).unwrap().root;
    let delete = |world: &mut World| {
        world.put("web", &document("web", "edge", true));
        world.render("web", &["a"]);
        world.decide();
        world.remove("web");
        world.decide();
        assert_eq!(world.phase("web"), Some(Phase::Deleting));
    };
    let present = |world: &World| {
        let assignment = &world.fleet.placements[&(EDGE, id("web"))].assignment;
        (assignment.phase, assignment.deletion.is_some(), assignment.root)
    };
    delete(&mut world);
    world.put("web", &document("web", "moon", true));
    assert!(said(&world.decide(), "web").contains("waits for cluster moon"));
    assert_eq!(present(&world), (Phase::Active, false, root), "while its cluster is awaited");
    delete(&mut world);
    world.put("web", &document("web", "far", true));
    world.decide();
    assert_eq!(present(&world), (Phase::Active, false, root), "until it has rendered");
    delete(&mut world);
    world.put("web", &document("web", "far", true));
    world.render("web", &["a"]);
    world.decide();
    assert_eq!(present(&world), (Phase::Released, false, root), "and then it moves");
    assert_eq!(world.phase_on(FAR, "web"), Some(Phase::Active));
}

#[test]
fn an_app_whose_document_may_be_misspelt_stays() {
    let mut world = World::with(&[("web!", &["a"]), ("other", &["c"])]);
    world.remove("web");
    let message = "document 1, line 1: kind Aplication".to_owned();
    let words = Words::of(b"web");
    world.read.unknown_kinds.push(BrokenFile { file: "web.yaml".to_owned(), message, words });
    assert!(world.decide().failing.is_empty());
    assert_eq!(world.phase("web"), Some(Phase::Active));
}

#[test]
fn an_incomplete_read_takes_no_app_away() {
    let mut world = World::with(&[("web!", &["a"]), ("other", &["c"])]);
    world.remove("web");
    world.read.complete = false;
    world.decide();
    assert_eq!(world.phase("web"), Some(Phase::Active));
}

#[test]
fn what_is_refused_or_unreadable_is_frozen_with_its_last_good_release() {
    let mut world = World::with(&[("web", &["a"]), ("api", &["b"]), ("job", &["c"])]);
    let before = world.fleet.list(EDGE);
    world.refuse("web");
    world.break_file("api");
    let decision = world.decide();
    assert!(said(&decision, "web").contains("InvalidSpecError: web.yaml: spec.source.helm"));
    assert!(said(&decision, "api").contains("api.yaml: line 1: not YAML; the last good state stays"));
    assert_eq!(decision.failing, [id("api"), id("web")].into());
    for name in ["web", "api"] {
        assert_eq!(world.phase(name), Some(Phase::Frozen));
        let root = before.get(&id(name)).unwrap().root;
        assert_eq!(world.fleet.list(EDGE).get(&id(name)).unwrap().root, root);
    }
    assert_eq!(world.phase("job"), Some(Phase::Active));
    world.read.broken.clear();
    world.put("web", &document("web", "edge", false));
    world.put("api", &document("api", "edge", false));
    world.decide();
    assert_eq!((world.phase("web"), world.phase("api")), (Some(Phase::Active), Some(Phase::Active)));
}

#[test]
fn an_app_that_a_broken_file_may_mean_stays() {
    let mut world = World::with(&[("web!", &["a"]), ("api", &["b"])]);
    world.remove("web");
    let message = "line 1: not YAML".to_owned();
    let words = Words::of(b"metadata: {name: web");
    world.read.broken.push(BrokenFile { file: "new.yaml".to_owned(), message, words });
    world.decide();
    assert_eq!(world.phase("web"), Some(Phase::Active));
    world.read.broken.clear();
    world.decide();
    assert_eq!(world.phase("web"), Some(Phase::Deleting));
}

#[test]
fn what_a_project_refuses_is_frozen_within_the_newest_limits() {
    let mut world = World::with(&[("web", &["a"])]);
    let limits = ProjectLimits { project: "shop".to_owned(), ..Project::permissive().limits };
    let shop =
        Project { description: String::new(), source_repos: vec!["https://other/*".to_owned()], limits };
    world.define("shop", Ok(shop));
    let mut in_shop = document("web", "edge", false);
    in_shop["spec"]["project"] = json!("shop");
    world.put("web", &in_shop);
    let decision = world.decide();
    assert!(said(&decision, "web").contains("application repo https://git.example/apps is not permitted"));
    let assignment = &world.fleet.placements[&(EDGE, id("web"))].assignment;
    assert_eq!((assignment.phase, assignment.limits.project.as_str()), (Phase::Frozen, "shop"));
    world.read.projects.clear();
    assert!(said(&world.decide(), "web").contains("references project shop which does not exist"));
}

#[test]
fn the_loss_of_most_apps_changes_nothing_until_it_is_confirmed() {
    let mut world = World::with(&[("a", &["a"]), ("b!", &["b"]), ("c", &["c"]), ("d", &["d"])]);
    for name in ["a", "b", "c"] {
        world.remove(name);
    }
    let decision = world.decide();
    let loss = decision.mass_loss.clone().unwrap();
    assert_eq!(loss.apps, [id("a"), id("b"), id("c")]);
    assert!(said(&decision, "a").contains(&format!("argosy app confirm a --plan {}", loss.plan)));
    assert!(decision.ops.is_empty());
    world.confirmed_loss = Some(Digest::of(b"another"));
    assert!(world.decide().mass_loss.is_some());
    world.confirmed_loss = Some(loss.plan);
    world.put("new", &document("new", "edge", false));
    assert!(world.decide().mass_loss.is_none());
    assert_eq!(world.phase("a"), Some(Phase::Active), "all of it waits for the new app");
    world.render("new", &["n"]);
    world.decide();
    assert_eq!((world.phase("a"), world.phase("b")), (Some(Phase::Released), Some(Phase::Deleting)));
    assert_eq!(world.phase("d"), Some(Phase::Active));
}

#[test]
fn three_apps_are_too_few_for_a_mass_loss() {
    let mut world = World::with(&[("a", &["a"]), ("b", &["b"]), ("c", &["c"])]);
    world.remove("a");
    world.remove("b");
    assert!(world.decide().mass_loss.is_none());
    assert_eq!(world.phase("a"), Some(Phase::Released));
}

#[test]
fn a_deletion_waits_for_the_apps_that_are_new_in_the_read() {
    let mut world = World::with(&[("old!", &["a", "b"]), ("other", &["c"])]);
    world.remove("old");
    world.put("new", &document("new", "edge", true));
    let decision = world.decide();
    assert!(said(&decision, "old").contains("its deletion waits"), "{decision:?}");
    assert_eq!(world.phase("old"), Some(Phase::Active));
    world.render("new", &["a", "b"]);
    let decision = world.decide();
    assert_eq!(decision.changed, [EDGE].into());
    assert_eq!((world.phase("old"), world.phase("new")), (Some(Phase::Deleting), Some(Phase::Active)));
}

#[test]
fn what_leaves_while_a_neighbour_fails_is_held_until_it_renders() {
    let mut world = World::with(&[("web", &["a", "b"]), ("api", &["c"])]);
    world.fail("api");
    world.render("web", &["a"]);
    let decision = world.decide();
    assert!(said(&decision, "api").contains("ComparisonError: api/x.yaml: line 3: bad"));
    assert_eq!((world.held("web"), world.held("api")), (vec!["b".to_owned()], vec![]));
    world.render("web", &["z"]);
    world.decide();
    assert_eq!(world.held("web"), ["a", "b"], "what left before is held on");
    world.render("web", &["b"]);
    world.decide();
    assert_eq!(world.held("web"), ["a", "z"], "what came back is not held");
    world.render("api", &["a", "c"]);
    world.decide();
    assert!(world.held("web").is_empty(), "the neighbour renders");
}

#[test]
fn an_app_of_another_repository_holds_nothing_unless_nobody_knows_which_it_is() {
    let mut world = World::with(&[("web", &["a", "b"]), ("api", &["c"])]);
    let mut elsewhere = document("api", "edge", false);
    elsewhere["spec"]["source"]["repoURL"] = json!("https://git.example/others");
    world.put("api", &elsewhere);
    world.fail("api");
    world.render("web", &["a"]);
    world.decide();
    assert!(world.held("web").is_empty());
    world.refuse("api");
    world.render("web", &[]);
    world.decide();
    assert_eq!(world.held("web"), ["a"], "a refused document may be of any repository");
}

#[test]
fn a_cascade_is_held_while_a_neighbour_fails() {
    let mut world = World::with(&[("old!", &["a", "b"]), ("api", &["c"])]);
    world.fail("api");
    world.remove("old");
    world.decide();
    assert_eq!(world.phase("old"), Some(Phase::Deleting));
    assert_eq!(world.held("old"), ["a", "b"], "an object may be on its way to the one that fails");
    world.render("api", &["a", "c"]);
    world.decide();
    assert!(world.held("old").is_empty());
}

#[test]
fn a_cluster_that_is_gone_from_the_registry_has_no_placements() {
    let mut world = World::with(&[("web!", &["a"])]);
    world.clusters.remove("edge");
    let decision = world.decide();
    assert_eq!(decision.changed, [EDGE].into());
    assert!(world.fleet.placements.is_empty());
}

#[test]
fn before_the_first_read_the_lists_are_those_of_before() {
    let world = World::with(&[("web", &["a"])]);
    let mut fleet = Fleet::load(&world.store, OURS).unwrap();
    let root = fleet.list(EDGE).root();
    let inputs = Inputs {
        read: None,
        renderings: &BTreeMap::new(),
        clusters: &world.clusters,
        emptied: &world.emptied,
        released: &world.released,
        confirmed_loss: None,
    };
    let decision = fleet.decide(inputs, &world.store, &mut Seed(2)).unwrap();
    assert!(decision.ops.is_empty() && decision.fresh.is_empty());
    assert_eq!(fleet.list(EDGE).root(), root);
}
