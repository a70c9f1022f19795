//! The least of a failing run that still breaks the same rule.

use super::plan::Settings;
use super::{Outcome, run};

/// Leaves out of a failing run whatever it can do without: troubles, agents, apps, time.
///
/// Gives the run itself if it does not fail.
pub fn shrink(failing: &Outcome) -> Outcome {
    let mut best = failing.clone();
    let Some(rule) = failing.violation.as_ref().map(|violation| violation.rule) else { return best };
    while let Some(smaller) = smaller(&best).into_iter().find_map(|settings| {
        let outcome = run(&settings, false);
        outcome.violation.as_ref().is_some_and(|violation| violation.rule == rule).then_some(outcome)
    }) {
        best = smaller;
    }
    best
}

/// Gives the runs that are one step smaller, the largest step first.
fn smaller(outcome: &Outcome) -> Vec<Settings> {
    let mut all = Vec::new();
    let mut add = |change: &dyn Fn(&mut Settings)| {
        let mut settings = outcome.settings.clone();
        change(&mut settings);
        all.push(settings);
    };
    for agents in halves(outcome.agents) {
        add(&|settings| settings.agents = agents);
    }
    for apps in halves(outcome.apps) {
        add(&|settings| settings.apps = apps);
    }
    for trouble in &outcome.troubles {
        add(&|settings| {
            settings.without.insert(*trouble);
        });
    }
    let storm = outcome.settings.storm_ms;
    for storm_ms in [storm / 2, storm / 4 * 3].into_iter().filter(|shorter| *shorter >= 5_000) {
        add(&|settings| settings.storm_ms = storm_ms);
    }
    all
}

/// Gives half of a number and one less than it, if there are such.
fn halves(number: usize) -> impl Iterator<Item = usize> {
    let (half, less) = (number / 2, number.saturating_sub(1));
    [half, less].into_iter().filter(move |smaller| *smaller > 0 && *smaller < number)
}
