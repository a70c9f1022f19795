//! Apps that an operator paused.

use super::*;
use crate::fleet::Pause;
use crate::policy::Automated;

const AUTOMATED: Automated = Automated { prune: true, self_heal: true, allow_empty: false };

impl World {
    fn automate(&mut self, name: &str, automated: Option<Automated>) -> Effects {
        let document = self.read.apps.get_mut(&id(name)).unwrap();
        document.application.as_mut().unwrap().policy.automated = automated;
        self.read()
    }

    fn pause(&mut self, name: &str, by: Option<&str>) -> Result<PauseOrdered, Refused> {
        let app = AppName { app: id(name), cluster: None };
        match self.ask(Request::PauseApp { app, by: by.map(str::to_owned) })? {
            Reply::PauseOrdered(ordered) => Ok(ordered),
            other => panic!("{other:?}"),
        }
    }

    fn automated(&self, cluster: ClusterId, name: &str) -> Option<Automated> {
        self.hub.fleet.list(cluster).get(&id(name)).unwrap().policy.automated
    }

    fn paused(&self, name: &str) -> Vec<String> {
        let conditions = self.app(name).conditions.into_iter();
        let paused = conditions.filter(|shown| shown.condition.kind == "Paused");
        paused.map(|shown| shown.condition.message).collect()
    }
}

fn world() -> (World, ClusterId) {
    let (mut world, cluster) = World::with_apps(&["api", "web"]);
    world.automate("web", Some(AUTOMATED));
    world.automate("api", Some(AUTOMATED));
    (world, cluster)
}

#[test]
fn a_paused_app_does_nothing_by_itself_until_it_is_resumed() {
    let (mut world, cluster) = world();
    let (session, effects) = world.connect(cluster, None);
    world.acknowledge(session, cluster, &effects);
    let app = AppName { app: id("web"), cluster: None };
    let (_, effects) = world.request(Request::PauseApp { app, by: Some("ana".to_owned()) });
    assert!(generation(&effects).is_some(), "the agent is told");
    assert_eq!((world.automated(cluster, "web"), world.automated(cluster, "api")), (None, Some(AUTOMATED)));
    assert!(world.paused("web")[0].starts_with("ana paused it at 2023-11-14T"), "{:?}", world.paused("web"));
    assert!(world.paused("api").is_empty());

    let again = world.pause("web", Some("bob")).unwrap();
    assert_eq!((again.changed, again.paused.unwrap().by.as_str()), (false, "ana"));
    world.render(&[("web", "two")]);
    assert_eq!(world.automated(cluster, "web"), None, "also of a newer release");
    world.restart();
    assert_eq!(world.automated(cluster, "web"), None, "it is durable");
    world.read();
    world.render(&[("web", "two"), ("api", "api")]);
    assert_eq!((world.automated(cluster, "web"), world.paused("web").len()), (None, 1));

    let resumed = world.pause("web", None).unwrap();
    assert_eq!((resumed.changed, resumed.paused), (true, None));
    assert_eq!((world.automated(cluster, "web"), world.paused("web").len()), (Some(AUTOMATED), 0));
    assert!(!world.pause("web", None).unwrap().changed);
}

#[test]
fn what_the_document_says_meanwhile_is_in_force_afterwards() {
    let (mut world, cluster) = world();
    world.pause("web", Some("ana")).unwrap();
    let heals = Automated { prune: false, ..AUTOMATED };
    world.automate("web", Some(heals));
    assert_eq!(world.automated(cluster, "web"), None);
    world.pause("web", None).unwrap();
    assert_eq!(world.automated(cluster, "web"), Some(heals));

    world.pause("web", Some("ana")).unwrap();
    world.automate("web", None);
    world.pause("web", None).unwrap();
    assert_eq!(world.automated(cluster, "web"), None, "it is synced by hand by now");
}

#[test]
fn a_pause_outlives_a_document_that_breaks_and_a_move_to_another_cluster() {
    let (mut world, cluster) = world();
    let far = world.add("far");
    world.pause("web", Some("ana")).unwrap();
    let good = world.read.apps[&id("web")].application.clone();
    world.read.apps.get_mut(&id("web")).unwrap().application = Err("no".to_owned());
    world.read();
    assert_eq!((world.app("web").phase, world.automated(cluster, "web")), (Some(Phase::Frozen), None));
    world.read.apps.get_mut(&id("web")).unwrap().application = good;
    world.put("web", "far", false);
    world.automate("web", Some(AUTOMATED));
    world.render(&[("web", "web"), ("api", "api")]);
    assert_eq!(world.automated(far, "web"), None);
    let pause = world.pause("web", None).unwrap();
    assert_eq!((pause.cluster.as_str(), pause.changed), ("far", true));
    assert_eq!(world.automated(far, "web"), Some(AUTOMATED));
}

#[test]
fn an_app_that_leaves_is_not_paused() {
    let (mut world, _) = world();
    world.put("web", "edge", true);
    world.read();
    world.read.apps.remove(&id("web"));
    world.read();
    assert_eq!(world.pause("web", Some("ana")), Err(Refused::Leaves(id("web"))));
    assert!(matches!(world.pause("nope", Some("ana")), Err(Refused::NoApp(_))));
    let kept: Vec<Option<Pause>> =
        world.hub.fleet.placements().values().map(|placement| placement.paused.clone()).collect();
    assert_eq!(kept, [None, None]);
}
