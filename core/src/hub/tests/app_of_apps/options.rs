//! What a document says to the app that brings it, and what pauses one.

use super::*;

fn annotated(name: &str, annotation: &str, value: &str) -> Value {
    with(app(name), "/metadata/annotations", json!({format!("argocd.argoproj.io/{annotation}"): value}))
}

#[test]
fn what_a_document_says_to_its_parent_does_not_refuse_it() {
    for (annotation, value) in [
        ("sync-options", "SkipDryRunOnMissingResource=true,Prune=false"),
        ("ignore-healthcheck", "true"),
        ("compare-options", "IgnoreExtraneous"),
    ] {
        let world = World::grown(&[annotated("web", annotation, value), app("api")]);
        assert_eq!(
            (world.phase("web"), world.said("web")),
            (Some(Phase::Active), String::new()),
            "{annotation}"
        );
    }
    let mut world = World::grown(&[app("api")]);
    world.bring("root", &[annotated("web", "compare-options", "IncludeMutationWebhook=true"), app("api")]);
    assert!(world.said("web").contains("metadata.annotations[argocd.argoproj.io/compare-options]"));
}

#[test]
fn a_document_that_is_not_to_be_pruned_stays_when_its_parent_does_not_render_it_any_more() {
    for (value, words) in [("Prune=false", "Prune=false keeps it"), ("Prune=confirm", "Prune=confirm")] {
        let mut world = World::grown(&[finalized(annotated("web", "sync-options", value)), app("api")]);
        world.bring("root", &[app("api")]);
        assert_eq!(world.phase("web"), Some(Phase::Active));
        assert!(world.said("web").contains(words), "{}", world.said("web"));
        assert!(world.rows("root").iter().any(|row| row.0 == "web" && row.1 == SyncStatus::OutOfSync));
    }
}

#[test]
fn an_app_that_is_not_to_prune_leaves_what_it_brought_unless_that_says_otherwise() {
    let mut world = World::new();
    world.add("edge");
    let policy = json!({"automated": {"prune": true}, "syncOptions": ["Prune=false"]});
    world.write(&with(parent("root"), "/spec/syncPolicy", policy));
    world.read();
    world.bring("root", &[app("web"), annotated("api", "sync-options", "Prune=true"), app("other")]);
    for name in ["web", "api", "other"] {
        world.run(name);
    }
    world.bring("root", &[app("other")]);
    assert_eq!(world.phase("web"), Some(Phase::Active));
    assert_ne!(world.phase("api"), Some(Phase::Active));
}

#[test]
fn a_document_that_is_not_to_go_with_its_parent_stays() {
    let mut world =
        World::grown(&[finalized(annotated("web", "sync-options", "Delete=false")), finalized(app("api"))]);
    world.write(&finalized(parent("root")));
    world.read();
    world
        .bring("root", &[finalized(annotated("web", "sync-options", "Delete=false")), finalized(app("api"))]);
    world.forget("root");
    assert_eq!((world.phase("web"), world.phase("api")), (Some(Phase::Active), Some(Phase::Deleting)));
    assert!(world.said("web").contains("Delete=false"), "{}", world.said("web"));
}

#[test]
fn an_application_may_pause_itself() {
    let paused = |value: &str| {
        let mut document = annotated("web", "skip-reconcile", value);
        document["spec"]["syncPolicy"] = json!({"automated": {"prune": true, "selfHeal": true}});
        document
    };
    let automated = |world: &World| {
        let placed = world.hub.fleet.placements_of(&id("web"));
        placed.first().and_then(|(_, placement)| placement.assignment.policy.automated).is_some()
    };
    let mut world = World::grown(&[paused("false"), app("api")]);
    assert!(automated(&world));
    world.bring("root", &[paused("True"), app("api")]);
    assert!(!automated(&world), "it neither syncs nor heals by itself");
    assert!(world.said("web").starts_with("Paused: metadata.annotations[argocd.argoproj.io/skip-reconcile]"));
    assert!(world.shown("web").document.contains("selfHeal"), "it is shown as it was written");
    world.bring("root", &[paused("false"), app("api")]);
    assert!(automated(&world) && world.said("web").is_empty());

    // One that brings others brings nothing new meanwhile, and keeps what it brought.
    let annotations = json!({"argocd.argoproj.io/skip-reconcile": "true"});
    world.write(&with(parent("root"), "/metadata/annotations", annotations));
    world.read();
    world.bring("root", &[app("new")]);
    assert_eq!(world.phase("web"), Some(Phase::Active));
    assert!(!world.is_known("new"));
    let rows = world.rows("root");
    let said = "app root is paused by its annotation argocd.argoproj.io/skip-reconcile";
    assert!(rows.iter().any(|row| row.0 == "new" && row.2.contains("skip-reconcile")), "{said}: {rows:?}");
}
