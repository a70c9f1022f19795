//! What a change that is not merged yet would do.

use super::*;
use crate::plan::Action;

/// A release of config maps, and what stores it.
fn rendering(objects: &[(&str, &str)]) -> (Rendering, Vec<StoreOp>) {
    let manifest = |(name, value): &(&str, &str)| {
        let body = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"v": value}});
        (ResourceKey::new("", "ConfigMap", "", *name), body.to_string().into_bytes())
    };
    let (release, manifests) = of_manifests(objects.iter().map(manifest));
    let rendering =
        Rendering::Rendered { root: release.root(), commit: "c0ffee".to_owned(), warnings: Vec::new() };
    (rendering, store_ops(&release, &manifests))
}

impl World {
    fn render_maps(&mut self, name: &str, objects: &[(&str, &str)]) {
        let (rendering, content) = rendering(objects);
        let source = self.hub.sources().get(&id(name)).cloned().unwrap();
        let apps = BTreeMap::from([(id(name), RenderedApp { source, rendering })]);
        self.handle(Input::Rendered { apps, content });
    }

    fn preview(&mut self, proposal: &Proposal) -> Preview {
        let held = format!("{:?}", (&self.hub, &self.store));
        let preview =
            self.hub.preview(proposal, WallTime(0), &self.store, &mut self.entropy).unwrap().unwrap();
        assert_eq!(format!("{:?}", (&self.hub, &self.store)), held, "a preview changes nothing");
        preview
    }

    fn unrendered(&self, read: Option<&FleetRead>) -> BTreeMap<AppId, Source> {
        let proposal = Proposal { read: read.cloned(), ..Proposal::default() };
        self.hub.proposed_sources(&proposal, WallTime(0), &self.store).unwrap().unrendered
    }

    fn objects(&self, app: &AppPreview, proposal: &Proposal) -> ObjectsPreview {
        app.objects(&proposal.content, &self.store).unwrap()
    }
}

fn fates(preview: &Preview) -> Vec<(String, Fate)> {
    preview.apps.iter().map(|app| (format!("{} {}", app.app.name, app.cluster), app.fate)).collect()
}

fn maps(value: &str) -> Vec<(&str, &str)> {
    vec![("a", value), ("b", "1"), ("c", "1"), ("d", "1"), ("e", "1")]
}

/// A hub with two apps of five objects each.
fn world() -> World {
    let mut world = World::new();
    world.add("edge");
    world.put("api", "edge", true);
    world.put("web", "edge", false);
    world.read();
    world.render_maps("api", &maps("1"));
    world.render_maps("web", &maps("1"));
    world
}

#[test]
fn the_fleet_as_it_is_changes_nothing() {
    let mut world = world();
    let preview = world.preview(&Proposal::default());
    assert_eq!((preview.apps.len(), preview.same), (0, 2));
    assert_eq!((preview.loss, preview.conditions), (None, Vec::new()));
    assert_eq!(world.unrendered(None), BTreeMap::new());
}

#[test]
fn another_release_is_told_by_object_and_field_and_what_it_would_delete_is_judged() {
    let mut world = world();
    let (rendering, content) = rendering(&[("a", "2"), ("b", "1"), ("new", "1")]);
    let renderings = BTreeMap::from([(id("web"), rendering)]);
    let proposal = Proposal { read: None, renderings, content };
    let preview = world.preview(&proposal);
    assert_eq!(fates(&preview), [("web edge".to_owned(), Fate::Changed)]);
    assert_eq!((preview.same, preview.apps[0].commit.as_deref()), (1, Some("c0ffee")));
    assert!(!preview.apps[0].automated && preview.apps[0].settings.is_empty());
    let objects = world.objects(&preview.apps[0], &proposal);
    let lines: Vec<(Action, &str)> =
        objects.plan.lines.iter().map(|line| (line.action, line.key.name.as_str())).collect();
    let skipped = ["e", "d", "c"].map(|name| (Action::Skip, name));
    let applied = [(Action::Change, "a"), (Action::Create, "new")];
    for line in skipped.iter().chain(&applied) {
        assert!(lines.contains(line), "{line:?} is not in {lines:?}");
    }
    assert_eq!(lines.len(), 5);
    let paths: Vec<&str> = objects
        .differences
        .iter()
        .flat_map(|object| object.fields.iter().map(|field| field.path.as_str()))
        .collect();
    assert_eq!(paths, ["data.v", "", "", "", ""], "a differs, c, d and e go, new comes");
}

#[test]
fn an_app_that_prunes_by_itself_is_told_what_the_governor_would_hold() {
    let mut world = world();
    let mut read = world.read.clone();
    let document = read.apps.get_mut(&id("web")).unwrap();
    let application = document.application.as_mut().unwrap();
    application.policy.automated =
        Some(crate::policy::Automated { prune: true, self_heal: true, allow_empty: false });
    let (rendering, content) = rendering(&[("a", "1")]);
    let renderings = BTreeMap::from([(id("web"), rendering)]);
    let proposal = Proposal { read: Some(read), renderings, content };
    let preview = world.preview(&proposal);
    let app = &preview.apps[0];
    assert_eq!((app.settings.as_slice(), app.automated), (&["spec.syncPolicy"][..], true));
    let objects = world.objects(app, &proposal);
    assert!(objects.plan.lines.iter().all(|line| line.action == Action::Delete));
    assert_eq!(objects.plan.lines.len(), 4);
    assert!(objects.plan.held.unwrap().contains("4 of the app's 5 objects"));
}

#[test]
fn apps_that_come_go_and_wait_are_told() {
    let mut world = world();
    let mut read = world.read.clone();
    read.apps.remove(&id("api"));
    for (name, cluster) in [("new", "edge"), ("far", "nowhere")] {
        let application = Ok(application(name, cluster, false));
        let document = AppDocument { file: format!("{name}.yaml"), application, document: String::new() };
        read.apps.insert(id(name), document);
    }
    assert_eq!(world.unrendered(Some(&read)).len(), 2);
    let (first, content) = rendering(&[("x", "1")]);
    let renderings = BTreeMap::from([(id("new"), first.clone()), (id("far"), first)]);
    let proposal = Proposal { read: Some(read), renderings, content };
    let preview = world.preview(&proposal);
    let wanted = [
        ("api edge".to_owned(), Fate::Deleted),
        ("far ".to_owned(), Fate::Waits),
        ("new edge".to_owned(), Fate::Assigned),
    ];
    assert_eq!(fates(&preview), wanted);
    assert!(preview.apps[1].conditions[0].message.contains("argosy cluster add nowhere"));
    let deleted = world.objects(&preview.apps[0], &proposal).plan;
    assert_eq!(deleted.lines.len(), 5);
    assert!(deleted.lines.iter().all(|line| line.action == Action::Delete));
    assert!(deleted.held.unwrap().contains("5 of the app's 5 objects"));
    let assigned = world.objects(&preview.apps[2], &proposal).plan;
    assert_eq!((assigned.lines.len(), assigned.lines[0].action), (1, Action::Create));
}

#[test]
fn an_app_that_is_let_go_keeps_its_objects() {
    let mut world = world();
    let mut read = world.read.clone();
    read.apps.remove(&id("web"));
    let proposal = Proposal { read: Some(read), ..Proposal::default() };
    let preview = world.preview(&proposal);
    assert_eq!(fates(&preview), [("web edge".to_owned(), Fate::Released)]);
    let objects = world.objects(&preview.apps[0], &proposal);
    assert!(objects.plan.lines.is_empty() && objects.differences.is_empty());
}

#[test]
fn a_document_that_breaks_is_told_and_keeps_its_app_as_it_is() {
    let mut world = world();
    let mut read = world.read.clone();
    read.apps.get_mut(&id("web")).unwrap().application = Err("spec.source: is missing".to_owned());
    let proposal = Proposal { read: Some(read), ..Proposal::default() };
    let preview = world.preview(&proposal);
    assert_eq!(fates(&preview), [("web edge".to_owned(), Fate::Frozen)]);
    assert!(preview.apps[0].conditions[0].message.contains("spec.source"));
}

#[test]
fn a_fleet_that_loses_most_apps_is_told_as_that() {
    let mut world = World::with_apps(&["a", "b", "c", "d"]).0;
    let read = FleetRead { complete: true, ..FleetRead::default() };
    let preview = world.preview(&Proposal { read: Some(read), ..Proposal::default() });
    assert_eq!(preview.loss.unwrap().apps.len(), 4);
    assert!(
        preview.apps.iter().all(|app| app.fate == Fate::Told),
        "until it is confirmed: {:?}",
        preview.apps
    );
}

#[test]
fn a_hub_that_has_read_nothing_says_so() {
    let mut world = World::new();
    let proposal = Proposal::default();
    let preview = world.hub.preview(&proposal, WallTime(0), &world.store, &mut world.entropy).unwrap();
    assert_eq!(preview, Err(NoPreview::Unread));
}
