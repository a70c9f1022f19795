//! The health of an application, from that of its objects (Argo CD: `controller/health.go`).

use super::Health;
use crate::key::ResourceKey;

/// Most objects that a message names.
const NAMED: usize = 3;

/// An object of an application as the roll-up sees it. Hooks, and what is skipped, are none of its members.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member<'a> {
    /// Which object.
    pub key: &'a ResourceKey,
    /// How it stands.
    pub standing: Standing,
}

/// How an object stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It is not there. Its row says Missing; its application is not the worse for it, as it is out of sync already.
    Absent,
    /// It is there, and its health does not count: nobody has an opinion, the opinion is a generic one, it asks to be
    /// ignored, or it is the application itself.
    Uncounted,
    /// It is there, and this is its health.
    Counted(Health),
}

// === impl Standing ===

impl Standing {
    /// Makes the standing of an object that is there.
    pub fn live(verdict: Option<&super::Verdict>) -> Self {
        match verdict {
            Some(verdict) if verdict.is_counted() => Self::Counted(verdict.health),
            Some(_) | None => Self::Uncounted,
        }
    }
}

/// Rolls health up: the worst of all that counts, with what caused it. An application that has objects of which none is
/// there is missing.
pub fn roll_up<'a>(members: impl IntoIterator<Item = Member<'a>>) -> (Health, String) {
    let (mut worst, mut causes, mut more) = (Health::Healthy, Vec::new(), 0_usize);
    let (mut has_objects, mut has_live) = (false, false);
    for Member { key, standing } in members {
        has_objects = true;
        has_live |= standing != Standing::Absent;
        let Standing::Counted(health) = standing else { continue };
        if is_childs_own(key, health) || health < worst || health == Health::Healthy {
            continue;
        }
        if health > worst {
            worst = health;
            causes.clear();
            more = 0;
        }
        if causes.len() < NAMED {
            causes.push(name(key));
        } else {
            more = more.saturating_add(1);
        }
    }
    if has_objects && !has_live && worst < Health::Missing {
        return (Health::Missing, String::new());
    }
    if worst == Health::Healthy {
        return (worst, String::new());
    }
    let suffix = if more > 0 { format!(" and {more} more") } else { String::new() };
    (worst, format!("Caused by {}{suffix}", causes.join(", ")))
}

/// A child application of which nothing is known says nothing about its parent.
fn is_childs_own(key: &ResourceKey, health: Health) -> bool {
    key.group == "argoproj.io"
        && key.kind == "Application"
        && matches!(health, Health::Missing | Health::Unknown)
}

fn name(key: &ResourceKey) -> String {
    format!("{}/{}:{}/{}", key.group, key.kind, key.namespace, key.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(members: &[(&str, Standing)]) -> (Health, String) {
        let keys: Vec<ResourceKey> = members.iter().map(|(key, _)| key.parse().unwrap()).collect();
        let standings = members.iter().map(|(_, standing)| *standing);
        roll_up(keys.iter().zip(standings).map(|(key, standing)| Member { key, standing }))
    }

    #[test]
    fn an_application_is_as_healthy_as_the_worst_of_its_objects() {
        let (health, message) = of(&[
            ("/Service/shop/web", Standing::Counted(Health::Healthy)),
            ("apps/Deployment/shop/web", Standing::Counted(Health::Progressing)),
            ("apps/Deployment/shop/db", Standing::Counted(Health::Degraded)),
        ]);
        assert_eq!(health, Health::Degraded);
        assert_eq!(message, "Caused by apps/Deployment:shop/db");
    }

    #[test]
    fn an_application_without_objects_is_healthy_and_so_is_one_without_opinions() {
        assert_eq!(of(&[]), (Health::Healthy, String::new()));
        assert_eq!(of(&[("/ConfigMap/shop/web", Standing::Uncounted)]), (Health::Healthy, String::new()));
    }

    #[test]
    fn what_is_absent_does_not_count_unless_all_is() {
        let absent = ("/Service/shop/web", Standing::Absent);
        assert_eq!(of(&[absent, ("/ConfigMap/shop/web", Standing::Uncounted)]).0, Health::Healthy);
        assert_eq!(of(&[absent, absent]), (Health::Missing, String::new()));
    }

    #[test]
    fn suspended_is_better_than_progressing_and_missing_is_better_than_degraded() {
        let order = [
            Health::Healthy,
            Health::Suspended,
            Health::Progressing,
            Health::Missing,
            Health::Degraded,
            Health::Unknown,
        ];
        for pair in order.windows(2) {
            let both = [
                ("/Service/shop/a", Standing::Counted(pair[0])),
                ("/Service/shop/b", Standing::Counted(pair[1])),
            ];
            assert_eq!(of(&both).0, pair[1]);
        }
    }

    #[test]
    fn a_child_application_of_which_nothing_is_known_does_not_count() {
        let child = "argoproj.io/Application/argocd/child";
        for health in [Health::Missing, Health::Unknown] {
            assert_eq!(of(&[(child, Standing::Counted(health))]).0, Health::Healthy);
        }
        assert_eq!(of(&[(child, Standing::Counted(Health::Degraded))]).0, Health::Degraded);
    }

    #[test]
    fn three_causes_are_named_and_the_rest_is_counted() {
        let names: Vec<String> = (0..5).map(|index| format!("/Pod/shop/p{index}")).collect();
        let members: Vec<_> =
            names.iter().map(|name| (name.as_str(), Standing::Counted(Health::Degraded))).collect();
        let expected = "Caused by /Pod:shop/p0, /Pod:shop/p1, /Pod:shop/p2 and 2 more";
        assert_eq!(of(&members).1, expected);
        assert!(!of(&members[..3]).1.contains("more"));
    }
}
