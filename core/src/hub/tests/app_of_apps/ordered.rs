//! Apps whose documents are taken when somebody asks for it (`app sync`).

use super::*;
use crate::selection::SyncOptions;
use crate::status::ResultCode;

fn manual(name: &str) -> Value {
    with(parent(name), "/spec/syncPolicy", json!({}))
}

fn sync(name: &str, prune: bool) -> Request {
    let app = AppName { app: id(name), cluster: None };
    let kind = CommandKind::Sync { app: id(name), expect: None, prune };
    Request::Command { app, kind, deadline_ms: 60_000 }
}

fn sync_with(name: &str, options: SyncOptions) -> Request {
    let app = AppName { app: id(name), cluster: None };
    let kind = CommandKind::SyncWith { app: id(name), expect: None, prune: false, options };
    Request::Command { app, kind, deadline_ms: 60_000 }
}

impl World {
    /// A hub with a cluster `edge` and an app `root` that is synced by hand and renders these.
    fn by_hand(children: &[Value]) -> Self {
        let mut world = Self::new();
        world.add("edge");
        world.write(&manual("root"));
        world.read();
        world.bring("root", children);
        world
    }

    /// Syncs `root`; gives how that ended, what it said, and what became of each document.
    fn sync(&mut self, prune: bool) -> (CommandState, String, Vec<(String, ResultCode)>) {
        let Ok(Reply::Command(progress)) = self.ask(sync("root", prune)) else { panic!("refused") };
        let (operation, _) = progress.operation.expect("an operation");
        let rows = operation.results.into_iter().map(|row| (row.key.name.to_string(), row.code)).collect();
        assert_eq!(operation.message, progress.message);
        (progress.state, progress.message, rows)
    }

    fn refuses(&mut self, request: Request) -> String {
        self.ask(request).unwrap_err().to_string()
    }

    fn row(&self, name: &str) -> (SyncStatus, String) {
        let row = self.rows("root").into_iter().find(|(of, _, _)| of == name);
        row.map(|(_, status, message)| (status, message)).unwrap_or_else(|| panic!("no row {name}"))
    }
}

#[test]
fn a_parent_that_does_not_sync_by_itself_brings_what_it_rendered_when_somebody_synced_it() {
    let mut world = World::by_hand(&[app("web")]);
    assert!(!world.is_known("web"));
    let (status, message) = world.row("web");
    assert_eq!(status, SyncStatus::OutOfSync);
    assert!(message.contains("argosy app sync argocd/root"), "{message}");
    assert_eq!(
        (world.shown("root").status.unwrap().sync, world.said("root")),
        (SyncStatus::OutOfSync, String::new())
    );

    let (state, message, rows) = world.sync(false);
    assert_eq!((state, rows), (CommandState::Succeeded, vec![("web".to_owned(), ResultCode::Synced)]));
    assert!(message.starts_with("1 documents of the fleet are taken"), "{message}");
    world.run("web");
    assert_eq!((world.row("web").0, world.phase("web")), (SyncStatus::Synced, Some(Phase::Active)));

    // What comes later waits for the next sync, over a start of the hub as well.
    let changed = with(app("web"), "/spec/source/path", json!("elsewhere"));
    world.bring("root", &[changed.clone(), app("new")]);
    for _ in 0..2 {
        assert!(world.is_known("web") && !world.is_known("new"));
        assert_eq!(world.hub.sources()[&id("web")].path.to_string(), "web");
        for name in ["web", "new"] {
            let (status, message) = world.row(name);
            assert_eq!(status, SyncStatus::OutOfSync);
            assert!(message.contains("what it brings is of commit commit of root"), "{message}");
        }
        world.restart();
        world.read();
        assert!(world.is_known("web"), "it is not read yet");
        world.bring("root", &[changed.clone(), app("new")]);
    }
    assert_eq!(world.sync(false).0, CommandState::Succeeded);
    assert_eq!(world.hub.sources()[&id("web")].path.to_string(), "elsewhere");
    assert!(world.is_known("new"));
}

#[test]
fn what_it_does_not_render_any_more_leaves_with_a_sync_that_prunes_and_with_no_other() {
    let mut world = World::by_hand(&[app("web"), app("api"), app("old")]);
    world.sync(false);
    for name in ["web", "api", "old"] {
        world.run(name);
    }
    world.bring("root", &[app("web"), app("api")]);
    assert_eq!(world.row("old").0, SyncStatus::OutOfSync);
    let (state, message, rows) = world.sync(false);
    assert_eq!(state, CommandState::Succeeded);
    assert!(message.contains("1 are left over") && message.contains("--prune"), "{message}");
    assert!(rows.contains(&("old".to_owned(), ResultCode::PruneSkipped)), "{rows:?}");
    assert_eq!(world.phase("old"), Some(Phase::Active));
    let (_, _, rows) = world.sync(true);
    assert!(rows.contains(&("old".to_owned(), ResultCode::Pruned)), "{rows:?}");
    assert_eq!(world.phase("old"), Some(Phase::Released));

    world.bring("root", &[app("web")]);
    assert_eq!(
        world.phase("api"),
        Some(Phase::Active),
        "an order to prune is about what was not rendered then"
    );
    world.bring("root", &[]);
    assert!(world.refuses(sync("root", true)).contains("allowEmpty"));
    assert_eq!((world.phase("web"), world.phase("api")), (Some(Phase::Active), Some(Phase::Active)));
}

#[test]
fn a_child_moves_from_the_folder_to_a_parent_that_was_synced_before() {
    let mut world = World::by_hand(&[finalized(app("web"))]);
    world.write(&finalized(app("web")));
    world.read();
    world.run("web");
    world.sync(false);
    world.restart();
    world.read();
    world.bring("root", &[finalized(app("web"))]);
    world.run("web");
    world.forget("web");
    assert_eq!(world.phase("web"), Some(Phase::Active), "the order still holds");
    assert_eq!(world.hub.read.as_ref().unwrap().children[&id("web")].parent, id("root"));
}

#[test]
fn an_order_is_over_once_the_parent_syncs_by_itself() {
    let mut world = World::by_hand(&[app("web")]);
    world.sync(false);
    world.run("web");
    world.write(&parent("root"));
    world.read();
    world.bring("root", &[app("new")]);
    assert!(world.is_known("new") && !world.is_known("web"));
    world.write(&manual("root"));
    world.read();
    world.bring("root", &[app("web")]);
    assert!(world.is_known("new") && !world.is_known("web"), "nothing of the older order is left");
    let Ok(Reply::Command(_)) = world.ask(sync("root", false)) else { panic!("refused") };
    assert!(world.is_known("web"));
}

#[test]
fn what_cannot_be_taken_is_refused_and_changes_nothing() {
    let mut world = World::by_hand(&[app("web")]);
    for options in [
        SyncOptions { dry_run: true, ..SyncOptions::default() },
        SyncOptions { resources: vec!["*:*:web".parse().unwrap()], ..SyncOptions::default() },
    ] {
        assert!(world.refuses(sync_with("root", options)).contains("argosy app preview"));
    }
    world.fail("root");
    world.restart();
    world.read();
    assert!(world.refuses(sync("root", false)).contains("on no cluster"), "it is not known what it renders");
    world.bring(
        "root",
        &[
            app("web"),
            json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "Application",
        "metadata": {"name": "odd"}, "spec": {"frobnicate": 1}}),
        ],
    );
    let (state, message, rows) = world.sync(false);
    assert_eq!(state, CommandState::Failed);
    assert!(message.contains("1 are not") && message.contains("odd: refused: spec.source"), "{message}");
    assert!(rows.contains(&("web".to_owned(), ResultCode::Synced)), "the rest is taken: {rows:?}");
    world.fail("root");
    assert!(world.refuses(sync("root", false)).contains("line 3: bad"));
    assert!(world.is_known("web"));
}

#[test]
fn closed_windows_refuse_it_unless_they_let_people_through() {
    let mut world = World::by_hand(&[app("web")]);
    let closed = |manual: bool| {
        let mut project = Project::permissive_document();
        project["apiVersion"] = json!("argoproj.io/v1alpha1");
        project["kind"] = json!("AppProject");
        project["spec"]["syncWindows"] = json!([{"kind": "deny", "schedule": "* * * * *", "duration": "1h",
            "applications": ["root"], "manualSync": manual}]);
        project
    };
    world.write(&closed(false));
    world.read();
    assert!(world.refuses(sync("root", false)).contains("sync windows of its project are closed"));
    assert!(!world.is_known("web"));
    world.write(&closed(true));
    world.read();
    assert_eq!(world.sync(false).0, CommandState::Succeeded);
    assert!(world.is_known("web"));
}

#[test]
fn the_rest_of_what_a_parent_renders_is_for_its_agent_and_nothing_is_half_done() {
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "map"}});
    let mut world = World::by_hand(&[app("web"), map.clone()]);
    let (_, message, _) = world.sync(false);
    assert!(message.contains("the rest waits"), "{message}");
    assert!(world.is_known("web"));

    let cluster = world.add("in-cluster");
    world.read();
    world.bring("root", &[app("web"), app("new"), map]);
    assert!(world.refuses(sync("root", false)).contains("is not connected"));
    assert!(!world.is_known("new"), "documents wait with the rest");
    let (_, _effects) = world.connect(cluster, None);
    let (_, effects) = world.request(sync("root", false));
    assert!(effects.replies.is_empty(), "its agent answers");
    let sent = effects.frames.iter().any(|(_, frame)| matches!(frame, HubFrame::Command(_)));
    assert!(sent && world.is_known("new"));
}
