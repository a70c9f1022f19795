//! Apps whose documents are taken when somebody asks for it (`app sync`).

use super::*;
use crate::selection::SyncOptions;
use crate::status::{OperationPhase, OperationStatus, ResultCode};

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
    pub(super) fn by_hand(children: &[Value]) -> Self {
        let mut world = Self::new();
        world.add("edge");
        world.write(&manual("root"));
        world.read();
        world.bring("root", children);
        world
    }

    /// Syncs `root`; gives how that ended, what it said, and what became of each document.
    pub(super) fn sync(&mut self, prune: bool) -> (CommandState, String, Vec<(String, ResultCode)>) {
        let Ok(Reply::Command(progress)) = self.ask(sync("root", prune)) else { panic!("refused") };
        let (operation, _) = progress.operation.expect("an operation");
        let rows = operation.results.into_iter().map(|row| (row.key.name.to_string(), row.code)).collect();
        assert_eq!(operation.message, progress.message);
        (progress.state, progress.message, rows)
    }

    fn refuses(&mut self, request: Request) -> String {
        self.ask(request).unwrap_err().to_string()
    }

    /// Closes the windows of `root`'s project, for people as well or not, or opens them again.
    fn windows(&mut self, windows: &Value) {
        let mut project = Project::permissive_document();
        project["apiVersion"] = json!("argoproj.io/v1alpha1");
        project["kind"] = json!("AppProject");
        project["spec"]["syncWindows"] = windows.clone();
        self.write(&project);
        self.read();
    }

    /// Connects the agent of `in-cluster`, sends it a sync of `root`, and gives the command.
    pub(super) fn sync_at_agent(&mut self, session: SessionId) -> (Ticket, CommandId) {
        let (ticket, effects) = self.request(sync("root", false));
        assert_eq!(effects.replies, [], "its agent answers");
        let mut commands = effects.frames.iter().filter_map(|(of, frame)| match frame {
            HubFrame::Command(command) if *of == session => Some(command.id),
            _ => None,
        });
        (ticket, commands.next_back().expect("a command"))
    }

    /// Lets the agent say how a command stands; gives what those are told who wait for it.
    pub(super) fn says(
        &mut self,
        session: SessionId,
        id: CommandId,
        state: CommandState,
        message: &str,
    ) -> Vec<CommandProgress> {
        let update = CommandUpdate { id, state, message: message.to_owned(), payload: Vec::new() };
        let effects = self.frame(session, AgentFrame::CommandUpdate(update));
        let replies = effects.replies.into_iter();
        replies
            .map(|(_, reply)| match reply {
                Ok(Reply::Command(progress)) => progress,
                other => panic!("{other:?}"),
            })
            .collect()
    }

    /// A hub whose app `root` is synced by hand, and has an object on `in-cluster`, whose agent is connected.
    pub(super) fn with_agent(children: &[Value]) -> (Self, ClusterId, SessionId) {
        let mut world = Self::by_hand(&[app("web"), config_map("map")]);
        let cluster = world.add("in-cluster");
        world.read();
        let (session, _) = world.connect(cluster, None);
        let objects: Vec<Value> = children.iter().cloned().chain([config_map("map")]).collect();
        world.bring("root", &objects);
        (world, cluster, session)
    }

    fn row(&self, name: &str) -> (SyncStatus, String) {
        let row = self.rows("root").into_iter().find(|(of, _, _)| of == name);
        row.map_or_else(|| panic!("no row {name}"), |(_, status, message)| (status, message))
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

fn closed(manual: bool) -> Value {
    json!([{"kind": "deny", "schedule": "* * * * *", "duration": "1h", "applications": ["root"], "manualSync": manual}])
}

#[test]
fn closed_windows_refuse_it_unless_they_let_people_through() {
    let mut world = World::by_hand(&[app("web")]);
    world.windows(&closed(false));
    let why = world.refuses(sync("root", false));
    assert!(why.contains("sync windows of its project are closed") && why.contains("manualSync"), "{why}");
    assert!(!world.is_known("web"));
    world.windows(&closed(true));
    assert_eq!(world.sync(false).0, CommandState::Succeeded);
    assert!(world.is_known("web"));
}

#[test]
fn a_sync_of_an_app_that_is_kept_back_prunes_only_if_it_says_so() {
    let skip = |world: &mut World| {
        let annotations = json!({"argocd.argoproj.io/skip-reconcile": "true"});
        world.write(&with(parent("root"), "/metadata/annotations", annotations));
        world.read();
    };
    let close = |world: &mut World| world.windows(&closed(true));
    for keep_back in [&skip as &dyn Fn(&mut World), &close] {
        let mut world = World::grown(&[finalized(app("web")), app("keep")]);
        keep_back(&mut world);
        world.bring("root", &[app("keep"), app("new")]);
        assert!(!world.is_known("new"));
        let (state, message, rows) = world.sync(false);
        assert_eq!(state, CommandState::Succeeded);
        assert!(rows.contains(&("web".to_owned(), ResultCode::PruneSkipped)), "{rows:?}");
        assert!(message.contains("was synced without --prune"), "{message}");
        world.run("new");
        assert_eq!((world.phase("web"), world.phase("new")), (Some(Phase::Active), Some(Phase::Active)));
        let (_, _, rows) = world.sync(true);
        assert!(rows.contains(&("web".to_owned(), ResultCode::Pruned)), "{rows:?}");
        assert_eq!(world.phase("web"), Some(Phase::Deleting));
    }
}

#[test]
fn what_is_rendered_again_is_never_let_go_of_and_is_told_once() {
    let mut world = World::by_hand(&[app("web"), app("old")]);
    world.sync(false);
    for name in ["web", "old"] {
        world.run(name);
    }
    for prune in [false, true] {
        world.write(&parent("other"));
        world.read();
        world.bring("root", &[app("web")]);
        let (_, message, rows) = world.sync(prune);
        assert!(rows.contains(&("old".to_owned(), ResultCode::PruneSkipped)), "{rows:?}");
        assert!(message.contains("until app argocd/other of its repository renders"), "{message}");
        world.bring("root", &[app("web"), app("old")]);
        world.bring("other", &[]);
        assert_eq!(world.phase("old"), Some(Phase::Active), "it is rendered, whatever was asked for before");
        assert!(
            world.said("old").contains("it renders it again since it was synced"),
            "{}",
            world.said("old")
        );
        let rows = world.rows("root");
        let (status, message) = world.row("old");
        assert_eq!((rows.len(), status), (2, SyncStatus::OutOfSync), "{rows:?}");
        assert!(message.contains("argosy app sync argocd/root takes it"), "{message}");
        assert_eq!(world.sync(false).0, CommandState::Succeeded);
        assert_eq!(world.row("old"), (SyncStatus::Synced, String::new()));
        world.forget("other");
    }
}

#[test]
fn what_no_sync_takes_is_told_as_such_before_and_after_one() {
    let set =
        json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "ApplicationSet", "metadata": {"name": "all"}});
    let odd = with(app("odd"), "/spec", json!({"frobnicate": 1}));
    let mut world = World::by_hand(&[app("web"), set.clone()]);
    assert!(world.row("all").1.starts_with("refused: kind: is not supported"));
    assert_eq!(world.sync(false).0, CommandState::Failed);
    world.bring("root", &[app("web"), with(set, "/spec", json!({})), odd]);
    assert!(world.row("all").1.starts_with("refused: kind"), "{:?}", world.row("all"));
    assert!(world.row("odd").1.starts_with("refused: spec."), "{:?}", world.row("odd"));
}

#[test]
fn no_release_names_documents_and_so_none_can_be_expected() {
    let mut world = World::by_hand(&[app("web")]);
    for registered in [false, true] {
        if registered {
            let cluster = world.add("in-cluster");
            world.read();
            world.connect(cluster, None);
            world.bring("root", &[app("web"), config_map("map")]);
        }
        let root = world.shown("root").desired;
        for expect in [root, Some(Root(Digest::ZERO))] {
            let kind = CommandKind::Sync { app: id("root"), expect, prune: false };
            let name = AppName { app: id("root"), cluster: None };
            let why = world.refuses(Request::Command { app: name, kind, deadline_ms: 60_000 });
            for part in ["--expect", "--revision", "--preview-changes", "argosy app preview"] {
                assert!(why.contains(part), "{part} in {why}");
            }
        }
        assert!(!world.is_known("web"));
    }
}

#[test]
fn a_loss_that_is_held_is_not_told_as_done() {
    let mut world = World::by_hand(&[app("web"), app("a"), app("b"), app("c")]);
    world.sync(false);
    for name in ["web", "a", "b", "c"] {
        world.run(name);
    }
    world.bring("root", &[app("web")]);
    let (_, message, rows) = world.sync(true);
    let plan = world.hub.mass_loss.as_ref().expect("a loss").plan;
    assert!(message.contains("3 are left over"), "{message}");
    assert!(message.contains(&format!("argosy app confirm argocd/a --plan {plan}")), "{message}");
    assert!(rows.iter().all(|(_, code)| *code != ResultCode::Pruned), "{rows:?}");
    assert_eq!(world.phase("a"), Some(Phase::Active));
    let name = AppName { app: id("a"), cluster: None };
    let kind = CommandKind::Confirm { app: id("a"), plan };
    world.ask(Request::Command { app: name, kind, deadline_ms: 1_000 }).unwrap();
    assert_eq!(world.phase("a"), Some(Phase::Released));
}

#[test]
fn an_app_of_documents_alone_needs_no_agent_even_where_there_is_one() {
    let mut world = World::by_hand(&[app("web")]);
    let cluster = world.add("in-cluster");
    world.read();
    assert_eq!(world.phase("root"), Some(Phase::Active));
    assert_eq!(world.sync(false).0, CommandState::Succeeded, "its agent is away");
    assert!(world.is_known("web"));
    // What its agent still has is that agent's to delete.
    let (session, _) = world.connect(cluster, None);
    world.status(session, 1, "root", |status| status.counts.total = 1);
    world.sync_at_agent(session);
}

#[test]
fn what_was_ordered_is_not_collected_and_is_not_forgotten_when_it_is_lost() {
    let odd = with(app("odd"), "/spec", json!({"frobnicate": 1}));
    let ordered = [app("web"), odd];
    let mut world = World::by_hand(&ordered);
    world.sync(false);
    let newer = with(app("web"), "/spec/source/path", json!("elsewhere"));
    world.bring("root", std::slice::from_ref(&newer));
    for _ in 0..2 {
        world.ms += 60_000;
        world.handle(Input::Tick);
        world.restart();
        world.read();
    }
    world.bring("root", std::slice::from_ref(&newer));
    assert_eq!(world.hub.sources()[&id("web")].path.to_string(), "web");
    assert!(!world.said("root").contains("lost"), "{}", world.said("root"));

    let (release, _) = of_manifests(ordered.iter().map(object));
    world.store.commit(&[StoreOp::delete(RELEASES, release.root().0.as_bytes().as_slice())]);
    for _ in 0..2 {
        world.restart();
        world.read();
        world.bring("root", std::slice::from_ref(&newer));
        assert!(world.is_known("web"));
        let lost = format!("the hub lost release {}", release.root());
        assert!(world.said("root").contains(&lost), "{}", world.said("root"));
    }
    world.sync(false);
    assert_eq!(world.hub.sources()[&id("web")].path.to_string(), "elsewhere");
}

#[test]
fn an_app_whose_own_document_is_away_is_refused_with_what_is_wrong() {
    let mut world = World::by_hand(&[app("web")]);
    world.sync(false);
    world.read.apps.remove(&id("root"));
    let words = crate::fleet::Words::of(b"name: root");
    let message = "line 1: not YAML".to_owned();
    world.read.broken.push(crate::fleet::BrokenFile { file: "root.yaml".to_owned(), message, words });
    world.read();
    let why = world.refuses(sync("root", false));
    assert!(why.contains("its own document cannot be read"), "{why}");
    world.restart();
    let why = world.refuses(sync("root", false));
    assert!(why.contains("was not read since the hub started"), "{why}");
}

#[test]
fn documents_are_taken_once_the_agent_has_begun_with_the_rest() {
    let mut world = World::by_hand(&[app("web"), config_map("map")]);
    let (_, message, _) = world.sync(false);
    assert!(message.contains("the rest waits"), "{message}");
    assert!(world.is_known("web"));
    let cluster = world.add("in-cluster");
    world.read();
    world.bring("root", &[app("web"), app("new"), config_map("map")]);
    assert!(world.refuses(sync("root", false)).contains("is not connected"));
    assert!(!world.is_known("new"), "documents wait with the rest");

    let (session, _) = world.connect(cluster, None);
    let (_, command) = world.sync_at_agent(session);
    let told = world.says(session, command, CommandState::Accepted, "");
    assert_eq!((told.len(), world.is_known("new")), (1, false));
    let told = world.says(session, command, CommandState::Running, "");
    assert!(world.is_known("new"));
    let (operation, _) = told[0].operation.clone().expect("what became of the documents");
    assert_eq!((told[0].state, operation.phase), (CommandState::Running, OperationPhase::Running));
    assert_eq!(operation.results.len(), 2);
    let running = OperationStatus { results: vec![], message: "syncing".to_owned(), ..operation };
    let effects = world.status(session, 1, "root", |status| status.operation = Some(running.clone()));
    let [(_, Ok(Reply::Command(progress)))] = effects.replies.as_slice() else { panic!("{effects:?}") };
    assert_eq!(progress.operation.as_ref().unwrap().0.results.len(), 2, "beside what the agent did");
    let told = world.says(session, command, CommandState::Succeeded, "synced");
    assert_eq!(told[0].state, CommandState::Succeeded);
    assert_eq!(told[0].message, "synced; 2 documents of the fleet are taken");
    assert!(world.hub.pending.is_empty());
}

#[test]
fn an_agent_that_refuses_leaves_the_documents_as_they_are() {
    for state in [CommandState::Failed, CommandState::Superseded, CommandState::TooLate] {
        let (mut world, _, session) = World::with_agent(&[app("web")]);
        let (_, command) = world.sync_at_agent(session);
        world.says(session, command, CommandState::Accepted, "");
        let told = world.says(session, command, state, "another operation is already in progress");
        assert_eq!(told[0].state, state);
        let said = "in progress; the documents of the fleet that it renders are not taken";
        assert!(told[0].message.ends_with(said), "{}", told[0].message);
        assert!(!world.is_known("web") && world.hub.pending.is_empty());
    }
}

#[test]
fn a_sync_whose_documents_are_not_all_taken_fails_though_its_agent_did_not() {
    let odd = with(app("odd"), "/spec", json!({"frobnicate": 1}));
    let (mut world, _, session) = World::with_agent(&[app("web"), odd]);
    let (_, command) = world.sync_at_agent(session);
    // An agent that is asked again tells how it ended, and not that it began.
    let told = world.says(session, command, CommandState::Succeeded, "synced");
    assert_eq!((told.len(), told[0].state), (1, CommandState::Failed));
    assert!(told[0].message.starts_with("synced; 1 documents of the fleet are taken; 1 are not"));
    assert!(told[0].message.contains("odd: refused: spec."), "{}", told[0].message);
    assert!(world.is_known("web"));

    // What is refused only once the agent has begun is told as well.
    let (_, command) = world.sync_at_agent(session);
    world.fail("root");
    let told = world.says(session, command, CommandState::Running, "");
    assert_eq!(told[0].state, CommandState::Running);
    let told = world.says(session, command, CommandState::Succeeded, "synced");
    assert_eq!(told[0].state, CommandState::Failed);
    assert!(told[0].message.contains("are not taken: ") && told[0].message.contains("line 3: bad"));
}

#[test]
fn documents_are_taken_for_somebody_who_does_not_wait_for_the_end() {
    let (mut world, _, session) = World::with_agent(&[app("web")]);
    let (ticket, command) = world.sync_at_agent(session);
    world.says(session, command, CommandState::Accepted, "");
    world.handle(Input::Abandoned(ticket));
    assert_eq!(world.says(session, command, CommandState::Running, ""), []);
    assert!(world.is_known("web") && world.hub.pending.is_empty());
}
