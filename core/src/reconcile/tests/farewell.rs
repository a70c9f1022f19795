//! Hooks around the deletion of a whole app.

use super::hooks::{hook, made};
use super::waves::{assign, becomes, put, refuses, written};
use super::*;
use crate::health::Health;
use crate::ids::DeletionId;
use crate::order::SyncPhase;

/// Orders the deletion of the app.
fn delete(bench: &mut Bench, id: u8) {
    bench.change("web", |assignment| {
        assignment.phase = Phase::Deleting;
        assignment.deletion = Some(DeletionId::new([id; 16]));
    });
}

/// An app with an object and a hook of either phase, that begin to work when they are made.
fn with_hooks(policy: &str) -> Bench {
    let mut bench = Bench::new();
    made(&mut bench, &[("pre", Health::Progressing), ("post", Health::Progressing)]);
    let pieces =
        [("post", 1, hook("PostDelete", policy)), ("a", 1, json!({})), ("pre", 1, hook("PreDelete", policy))];
    assign(&mut bench, &pieces);
    bench.pass(60_000);
    assert_eq!(written(&mut bench), ["a"], "no sync runs them");
    bench
}

fn emptied(bench: &Bench) -> bool {
    bench.status("web").emptied.is_some()
}

fn error(bench: &Bench) -> Option<String> {
    let conditions = &bench.status("web").conditions;
    let error = conditions.iter().find(|condition| condition.kind == "DeletionError");
    error.map(|condition| condition.message.clone())
}

#[test]
fn an_app_is_deleted_between_its_hooks_and_gone_when_the_last_has_ended() {
    let mut bench = with_hooks("HookSucceeded");
    delete(&mut bench, 5);
    bench.pass(60_000);
    assert_eq!(written(&mut bench), ["pre"], "nothing is deleted before it succeeds");
    assert_eq!(bench.operation("web").message, "waiting for completion of hook /ConfigMap/pre");
    becomes(&mut bench, "pre", Health::Healthy);
    bench.pass(60_000);
    assert_eq!(written(&mut bench), ["-pre", "-a", "post"]);
    assert!(!emptied(&bench), "the last hook runs");
    becomes(&mut bench, "post", Health::Healthy);
    bench.pass(60_000);
    assert_eq!(written(&mut bench), ["-post"]);
    assert!(emptied(&bench) && bench.objects.is_empty(), "{:?}", bench.objects);
    assert_eq!(bench.operation("web").message, "PostDelete hooks succeeded");
    bench.list.remove(&app("web"));
    bench.desire();
    assert!(bench.store.keys(tables::FAREWELLS).unwrap().is_empty(), "it goes with the app");
}

#[test]
fn a_hook_without_a_policy_goes_with_the_app_or_stays_if_it_comes_after_it() {
    let mut bench = with_hooks("");
    delete(&mut bench, 5);
    bench.pass(60_000);
    becomes(&mut bench, "pre", Health::Healthy);
    bench.pass(60_000);
    assert_eq!(written(&mut bench), ["pre", "-pre", "-a", "post"]);
    becomes(&mut bench, "post", Health::Healthy);
    bench.pass(60_000);
    assert_eq!(written(&mut bench), [""; 0]);
    assert!(emptied(&bench));
    assert_eq!(bench.objects.len(), 1, "as in Argo CD");
    bench.restart();
    bench.pass(600_000);
    assert!(emptied(&bench));
    assert_eq!(written(&mut bench), [""; 0], "nobody runs it again, and nobody deletes it");
}

#[test]
fn a_restart_in_any_phase_runs_no_hook_twice() {
    let mut bench = with_hooks("HookSucceeded");
    delete(&mut bench, 5);
    bench.pass(60_000);
    bench.restart();
    bench.pass(60_000);
    assert_eq!(written(&mut bench), ["pre"]);
    becomes(&mut bench, "pre", Health::Healthy);
    bench.restart();
    bench.pass(60_000);
    assert_eq!(written(&mut bench), ["-pre", "-a", "post"]);
    bench.restart();
    bench.pass(60_000);
    assert_eq!(written(&mut bench), [""; 0]);
    becomes(&mut bench, "post", Health::Healthy);
    bench.restart();
    bench.pass(60_000);
    assert_eq!(written(&mut bench), ["-post"]);
    bench.restart();
    bench.pass(60_000);
    assert_eq!(written(&mut bench), [""; 0]);
    assert!(emptied(&bench));
}

#[test]
fn a_hook_that_fails_is_told_deleted_and_tried_again_until_it_succeeds() {
    let mut bench = with_hooks("HookSucceeded");
    delete(&mut bench, 5);
    bench.pass(1_000);
    becomes(&mut bench, "pre", Health::Degraded);
    bench.pass(1_000);
    let said = error(&bench).unwrap();
    assert!(said.contains("PreDelete hooks: ") && said.contains("pre: so it is"), "{said}");
    assert!(said.contains("put the app's document back"), "{said}");
    assert!(bench.reconciler.terminate(&app("web")).unwrap_err().contains("until they succeed"));
    for _ in 0..7 {
        bench.pass(200_000);
        becomes(&mut bench, "pre", Health::Degraded);
    }
    let tries = written(&mut bench);
    assert!(tries.len() > 6 && tries.iter().all(|one| one == "pre" || one == "-pre"), "{tries:?}");
    bench.restart();
    bench.pass(400_000);
    assert!(error(&bench).is_some());
    becomes(&mut bench, "pre", Health::Healthy);
    bench.pass(60_000);
    assert_eq!(error(&bench), None);
    assert_eq!(written(&mut bench)[2..], ["-pre", "-a", "post"]);
}

#[test]
fn what_cannot_be_applied_holds_the_deletion_back() {
    let mut bench = with_hooks("HookSucceeded");
    bench.fails = Some(|request| refuses(request, "pre"));
    delete(&mut bench, 5);
    bench.pass(600_000);
    assert_eq!(bench.deletes(), 0);
    assert!(error(&bench).unwrap().contains("ConfigMap/shop/pre: no"), "{:?}", error(&bench));
    bench.fails = None;
    bench.pass(600_000);
    becomes(&mut bench, "pre", Health::Healthy);
    bench.pass(60_000);
    assert_eq!(bench.deletes(), 2);
}

#[test]
fn a_document_that_comes_back_ends_the_hooks_and_another_deletion_runs_them_anew() {
    let mut bench = with_hooks("HookSucceeded");
    delete(&mut bench, 5);
    bench.pass(60_000);
    assert_eq!(written(&mut bench), ["pre"]);
    bench.change("web", |assignment| {
        assignment.phase = Phase::Active;
        assignment.deletion = None;
    });
    bench.pass(60_000);
    assert!(bench.store.keys(tables::FAREWELLS).unwrap().is_empty());
    let rest = written(&mut bench);
    assert_eq!(rest[0], "-pre", "what runs is deleted: it would go on tearing down");
    assert!(!rest.contains(&"-a".to_owned()) && !rest.contains(&"post".to_owned()), "{rest:?}");
    assert!(bench.objects.contains_key(&config("a")) && !bench.objects.contains_key(&config("pre")));
    assert_eq!(bench.status("web").sync, SyncStatus::Synced);
    delete(&mut bench, 6);
    bench.pass(60_000);
    assert_eq!(written(&mut bench), ["pre"]);
}

#[test]
fn nothing_runs_for_a_rename_nor_while_the_deletes_are_held() {
    let mut bench = with_hooks("HookSucceeded");
    let assignment = put(&mut bench, &[("a", 1, json!({})), ("pre", 1, hook("PreDelete", ""))]);
    bench.list.set(Assignment { app: app("site"), ..assignment });
    bench.change("web", |assignment| {
        assignment.phase = Phase::Deleting;
        assignment.deletion = Some(DeletionId::new([5; 16]));
    });
    bench.pass(60_000);
    assert_eq!((bench.deletes(), emptied(&bench)), (0, true), "it was handed over: {:?}", bench.writes);
    assert!(!written(&mut bench).contains(&"pre".to_owned()));

    let mut bench = Bench::new();
    let many: Vec<String> = (0..30).map(|index| format!("a{index:02}")).collect();
    let mut pieces: Vec<_> = many.iter().map(|name| (&*name.clone().leak(), 1, json!({}))).collect();
    pieces.push(("pre", 1, hook("PreDelete", "")));
    assign(&mut bench, &pieces);
    written(&mut bench);
    delete(&mut bench, 5);
    bench.pass(600_000);
    assert_eq!(written(&mut bench), [""; 0]);
    let plan = bench.status("web").held.as_ref().unwrap().plan;
    bench.reconciler.confirm(&app("web"), plan).unwrap();
    bench.pass(600_000);
    assert_eq!(written(&mut bench)[..3], ["pre", "-pre", "-a00"]);
    assert_eq!(bench.objects.len(), 0);
    assert!(emptied(&bench));
}

#[test]
fn an_app_that_is_released_runs_none() {
    let mut bench = with_hooks("HookSucceeded");
    bench.change("web", |assignment| assignment.phase = Phase::Released);
    bench.list.remove(&app("web"));
    bench.desire();
    bench.pass(60_000);
    assert_eq!(written(&mut bench), [""; 0]);
}

#[test]
fn rows_of_a_farewell_name_its_phase() {
    let mut bench = with_hooks("HookSucceeded");
    delete(&mut bench, 5);
    bench.pass(60_000);
    becomes(&mut bench, "pre", Health::Healthy);
    bench.pass(1_000);
    let hooks: Vec<_> = bench.events.iter().filter(|event| event.reason == "HooksSucceeded").collect();
    assert_eq!(hooks.len(), 1, "{:?}", bench.events);
    becomes(&mut bench, "post", Health::Healthy);
    bench.pass(60_000);
    let rows = &bench.operation("web").results;
    let row = rows.iter().find(|row| row.key.name == "post").unwrap();
    assert_eq!((row.hook, row.hook_phase), (Some(SyncPhase::PostDelete), Some(OperationPhase::Succeeded)));
    assert!(bench.reconciler.history(&app("web"), now(bench.now)).len() == 1, "it is no sync");
}

#[test]
fn what_a_sync_left_of_a_hook_tears_nothing_down() {
    let mut bench = Bench::new();
    assign(&mut bench, &[("a", 1, json!({})), ("old", 1, hook("PreSync", "BeforeHookCreation"))]);
    bench.pass(60_000);
    let pieces =
        [("a", 2, json!({})), ("pre", 1, hook("PreDelete", "")), ("post", 1, hook("PostDelete", ""))];
    assign(&mut bench, &pieces);
    bench.pass(60_000);
    assert!(bench.objects.contains_key(&config("old")), "a hook that left Git stays");
    written(&mut bench);
    let assignment = put(&mut bench, &[("a", 2, json!({}))]);
    bench.list.set(Assignment { app: app("site"), ..assignment });
    delete(&mut bench, 5);
    bench.pass(60_000);
    let done = written(&mut bench);
    assert!(!done.contains(&"pre".to_owned()) && !done.contains(&"post".to_owned()), "a rename: {done:?}");
    assert!(emptied(&bench) && bench.objects.contains_key(&config("a")), "{:?}", bench.objects);

    let mut bench = with_hooks("");
    let live = foreign(&config("a"), "restored", bench.version + 1);
    bench.version += 1;
    bench.objects.insert(config("a"), live.clone());
    bench.reconciler.watched(&live.key.group_kind(), WatchEvent::Seen(live), now(bench.now));
    delete(&mut bench, 5);
    bench.pass(60_000);
    assert_eq!(written(&mut bench), [""; 0], "somebody else has it by now");
    assert!(emptied(&bench));
}

#[test]
fn a_hook_that_another_app_has_is_no_success() {
    let mut bench = Bench::new();
    bench.assign("owner", &[("pre", 1)]);
    assign(&mut bench, &[("a", 1, json!({})), ("pre", 1, hook("PreDelete", ""))]);
    bench.pass(60_000);
    written(&mut bench);
    delete(&mut bench, 5);
    bench.pass(600_000);
    assert_eq!(written(&mut bench), [""; 0]);
    assert!(error(&bench).unwrap().contains("argocd/owner owns it"), "{:?}", error(&bench));
}

#[test]
fn nothing_is_deleted_before_the_release_with_the_hooks_is_complete() {
    let mut bench = Bench::new();
    assign(&mut bench, &[("a", 1, json!({}))]);
    written(&mut bench);
    let older = bench.list.get(&app("web")).unwrap().clone();
    let newer = put(&mut bench, &[("a", 1, json!({})), ("pre", 1, hook("PreDelete", ""))]);
    bench.list.set(Assignment { phase: Phase::Deleting, deletion: Some(DeletionId::new([5; 16])), ..newer });
    bench.assign_as(&BTreeMap::from([(app("web"), older)]), true);
    bench.pass(60_000);
    assert_eq!(written(&mut bench), [""; 0]);
    bench.desire();
    bench.pass(60_000);
    assert_eq!(written(&mut bench), ["pre", "-pre", "-a"]);
}

#[test]
fn a_hook_of_a_sync_and_of_a_deletion_leaves_nothing_waiting() {
    let mut bench = Bench::new();
    assign(&mut bench, &[("a", 1, json!({})), ("both", 1, hook("PreSync,PostDelete", ""))]);
    bench.pass(60_000);
    assert_eq!(written(&mut bench), ["both", "a"]);
    delete(&mut bench, 5);
    bench.pass(60_000);
    assert_eq!(written(&mut bench), ["-a", "-both", "both"]);
    assert!(emptied(&bench), "{:?}", bench.reconciler.inventory());
    // It is deployed again, over what was left, and deleted once more.
    bench.list.remove(&app("web"));
    bench.desire();
    assign(&mut bench, &[("a", 1, json!({})), ("both", 1, hook("PostDelete", ""))]);
    bench.restart();
    bench.pass(60_000);
    written(&mut bench);
    delete(&mut bench, 6);
    bench.pass(60_000);
    assert_eq!(written(&mut bench), ["-a", "-both", "both"]);
    assert!(emptied(&bench), "{:?}", bench.reconciler.inventory());
}

#[test]
fn a_sync_that_is_asked_for_is_refused_and_ends_no_hook() {
    let mut bench = with_hooks("HookSucceeded");
    delete(&mut bench, 5);
    bench.pass(1_000);
    becomes(&mut bench, "pre", Health::Degraded);
    bench.pass(1_000);
    bench.sync("web", false);
    let told = bench.outcomes.last().unwrap();
    assert!(told.message.contains("Deleting and is not synced"), "{told:?}");
    assert!(error(&bench).is_some(), "it waits for its next try as before");
}
