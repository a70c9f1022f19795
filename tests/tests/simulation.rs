//! The simulation: hundreds of seeds of one hub and two agents under faults, each held to the rules by an oracle.

#[cfg(test)]
mod simulation {
    use argosy_tests::simulation::{run, sweep};

    /// How many seeds are run each time.
    const SEEDS: u64 = 500;

    #[test]
    fn no_seed_breaks_a_rule() {
        let sweep = sweep(0..SEEDS, 1);
        if let Some((_, outcome)) = sweep.failures.first_key_value() {
            panic!("{outcome}");
        }
        assert_eq!(sweep.runs, SEEDS);
    }

    #[test]
    fn the_same_seed_gives_the_same_trace() {
        let (first, second, other) = (run(7, false), run(7, false), run(8, false));
        assert_eq!(first.hash, second.hash);
        assert_ne!(first.hash, other.hash);
    }
}
