//! The simulation: hundreds of seeds of one hub and its agents under faults, each held to the rules by an oracle; and a
//! huge app on a thin link. And what earlier versions wrote, read by this one.

#[cfg(test)]
mod simulation {
    mod recorded;

    use argosy_tests::simulation::{
        Broken, Crossing, Outage, Outcome, Settings, ThinLink, outage, run, shrink, sweep, thin_link,
    };

    /// How many seeds are run each time.
    const SEEDS: u64 = 3_000;

    #[test]
    fn no_seed_breaks_a_rule() {
        let sweep = sweep(0..SEEDS, 1, None);
        if let Some((_, outcome)) = sweep.failures.first_key_value() {
            panic!("{outcome}");
        }
        assert_eq!(sweep.runs, SEEDS);
    }

    /// The variants that are caught within a few seeds; `make mutants` runs all of them for as long as each takes.
    #[test]
    fn what_is_broken_on_purpose_is_caught() {
        let slow = ["broken-is-absent", "delete-by-name", "done-forgotten", "found-is-absent"];
        let quick = Broken::all().filter(|broken| !slow.contains(&broken.to_string().as_str()));
        let missed: Vec<String> = quick
            .filter(|broken| sweep(0..300, 1, Some(*broken)).failures.is_empty())
            .map(|broken| broken.to_string())
            .collect();
        assert_eq!(missed, Vec::<String>::new());
    }

    #[test]
    fn a_failing_run_shrinks_to_less_that_breaks_the_same_rule() {
        let settings = Settings { broken: Some(Broken::FrozenIsDeleted), ..Settings::new(0) };
        let failing = (0..300)
            .map(|seed| run(&Settings { seed, ..settings.clone() }, false))
            .find(|outcome| outcome.violation.is_some())
            .unwrap();
        let small = shrink(&failing);
        let rule = |outcome: &Outcome| outcome.violation.as_ref().map(|violation| violation.rule);
        assert_eq!(rule(&small), rule(&failing));
        assert!(
            small.troubles.len() < failing.troubles.len(),
            "{} from {}",
            small.settings,
            failing.settings
        );
        assert_eq!(run(&small.settings, false).hash, small.hash, "the shrunk run repeats");
    }

    #[test]
    fn the_same_seed_gives_the_same_trace() {
        let (seven, eight) = (Settings::new(7), Settings::new(8));
        let (first, second, other) = (run(&seven, false), run(&seven, false), run(&eight, false));
        assert_eq!(first.hash, second.hash);
        assert_ne!(first.hash, other.hash);
    }

    #[test]
    fn while_the_hub_is_away_for_72_hours_only_heals_are_written() {
        for seed in 0..3 {
            let alone = outage(&Outage { seed, hours: 72 }, false);
            if let Some(violation) = &alone.violation {
                panic!(
                    "{}\nseed {seed} breaks {}: {}",
                    alone.tail.join("\n"),
                    violation.rule,
                    violation.message
                );
            }
            assert!(alone.heals > 0 && alone.restarts > 0 && alone.failures > 0, "{alone:?}");
        }
    }

    /// An app of 50 MiB on a link of 64 KiB/s.
    const HUGE: ThinLink = ThinLink { seed: 1, objects: 400, filler: 128 << 10, rate: 64 << 10, again: None };

    /// Lets it cross, and holds it to what is promised to everybody else.
    fn cross(what: &ThinLink) -> Crossing {
        let crossing = thin_link(what, false);
        if let Some(violation) = &crossing.violation {
            panic!("{}\n{what:?} breaks {}: {}", crossing.tail.join("\n"), violation.rule, violation.message);
        }
        assert!(crossing.slowest_beside_ms <= 10_000, "{crossing:?}");
        assert!(crossing.slowest_elsewhere_ms <= 5_000, "{crossing:?}");
        assert!(crossing.bytes >= 50 << 20);
        let (_, arrived) = *crossing.switched_ms.last().unwrap();
        let least = crossing.bytes * 1000 / what.rate;
        assert!(arrived >= least * 9 / 10, "the link carried more than it can: {crossing:?}");
        assert!(arrived <= least * 11 / 10, "the link was idle, or carried something twice: {crossing:?}");
        assert!(crossing.live_ms <= arrived + 60_000, "{crossing:?}");
        assert!(u64::from(crossing.changes_meanwhile) >= least / 30_000, "{crossing:?}");
        crossing
    }

    #[test]
    fn a_huge_app_on_a_thin_link_delays_no_other_app() {
        let crossing = cross(&HUGE);
        assert_eq!(crossing.switched_ms.len(), 1, "{crossing:?}");
    }

    #[test]
    fn a_huge_app_that_changes_on_its_way_arrives_first_as_it_was_and_starves_nobody() {
        let crossing = cross(&ThinLink { again: Some((400_000, 16)), ..HUGE });
        let revisions: Vec<usize> = crossing.switched_ms.iter().map(|(revision, _)| *revision).collect();
        assert_eq!(revisions, [0, 1], "{crossing:?}");
    }
}
