//! Runs the simulation from a shell: many seeds, or one again with its whole trace.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::ExitCode;

use argosy_tests::simulation::{Broken, Outage, Settings, Sweep, Trouble, outage, run, shrink, sweep};
use clap::Parser;

/// A run is some hundred thousand small allocations on one thread.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Simulates one hub and its agents under faults.
#[derive(Parser)]
struct Arguments {
    /// One seed only.
    #[arg(long)]
    seed: Option<u64>,
    /// Prints every line of the trace.
    #[arg(long, requires = "seed")]
    trace: bool,
    /// Leaves out whatever a failing seed can do without.
    #[arg(long, requires = "seed")]
    shrink: bool,
    /// Troubles that the seed must not have, by name.
    #[arg(long, requires = "seed", value_delimiter = ',')]
    without: Vec<Trouble>,
    /// At most so many agents.
    #[arg(long, requires = "seed")]
    agents: Option<usize>,
    /// At most so many apps.
    #[arg(long, requires = "seed")]
    apps: Option<usize>,
    /// How long troubles go on, in milliseconds.
    #[arg(long, requires = "seed")]
    storm: Option<u64>,
    /// Runs a variant that is wrong on purpose.
    #[arg(long)]
    broken: Option<Broken>,
    /// Runs every variant that is wrong on purpose until it is caught, each for as many seeds at most.
    #[arg(long, conflicts_with_all = ["seed", "broken"])]
    mutants: bool,
    /// Lets the hub be away for so many hours instead, while others meddle and agents are rebooted.
    #[arg(long, value_name = "HOURS", conflicts_with_all = ["seed", "broken", "mutants"])]
    outage: Option<u64>,
    /// How many seeds.
    #[arg(long, default_value_t = 500)]
    seeds: u64,
    /// The first of them.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Stops after so many failures.
    #[arg(long, default_value_t = 20)]
    failures: usize,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let mut out = std::io::stdout();
    let (text, passed) = if let Some(seed) = arguments.seed {
        let mut settings = Settings::new(seed);
        settings.without.extend(arguments.without);
        settings.agents = arguments.agents.unwrap_or(settings.agents);
        settings.apps = arguments.apps.unwrap_or(settings.apps);
        settings.storm_ms = arguments.storm.unwrap_or(settings.storm_ms);
        settings.broken = arguments.broken;
        let mut outcome = run(&settings, arguments.trace);
        if arguments.shrink {
            outcome = shrink(&outcome);
        }
        (outcome.to_string(), outcome.violation.is_none())
    } else if let Some(hours) = arguments.outage {
        outages(arguments.from, arguments.seeds, hours)
    } else if arguments.mutants {
        mutants(arguments.from, arguments.seeds)
    } else {
        let end = arguments.from.saturating_add(arguments.seeds);
        let sweep = sweep(arguments.from..end, arguments.failures, arguments.broken);
        (summary(&sweep), sweep.failures.is_empty())
    };
    // Nobody is left to be told when standard output is closed.
    let _unheard = writeln!(out, "{text}");
    if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Lets the hub be away, once for each seed; gives what happened, and whether nothing but heals was written.
fn outages(from: u64, seeds: u64, hours: u64) -> (String, bool) {
    let (mut meddled, mut restarts, mut failures, mut heals) = (0, 0, 0, 0);
    for seed in from..from.saturating_add(seeds) {
        let alone = outage(&Outage { seed, hours }, false);
        if let Some(violation) = alone.violation {
            let tail = alone.tail.join("\n");
            return (format!("{tail}\nseed {seed} breaks {}: {}", violation.rule, violation.message), false);
        }
        meddled += alone.meddled;
        restarts += alone.restarts;
        failures += alone.failures;
        heals += alone.heals;
    }
    let text = format!(
        "{seeds} outages of {hours} hours: {meddled} meddlings, {restarts} restarts, {failures} failures of API servers; \
         {heals} writes, all of them heals"
    );
    (text, true)
}

/// Runs every variant; gives the table, and whether each was caught.
fn mutants(from: u64, seeds: u64) -> (String, bool) {
    let mut lines =
        vec![format!("{:<24} {:<10} {:<8} {:>7}  {}", "variant", "breaks", "caught", "seeds", "how")];
    let mut caught = 0;
    for broken in Broken::all() {
        let sweep = sweep(from..from.saturating_add(seeds), 1, Some(broken));
        let found = sweep.failures.values().next().and_then(|outcome| outcome.violation.as_ref());
        caught += usize::from(found.is_some());
        let (rule, how) = found.map_or(("never", ""), |found| (found.rule, found.message.as_str()));
        let how: String = how.chars().take(110).collect();
        lines.push(format!("{broken:<24} {:<10} {rule:<8} {:>7}  {how}", broken.breaks(), sweep.runs));
    }
    let all = Broken::all().count();
    lines.push(format!("{caught} of {all} caught"));
    (lines.join("\n"), caught == all)
}

fn summary(sweep: &Sweep) -> String {
    let mut by_rule: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
    let mut lines = Vec::new();
    for (seed, outcome) in &sweep.failures {
        if let Some(violation) = &outcome.violation {
            by_rule.entry(violation.rule).or_default().push(*seed);
            lines.push(format!("seed {seed} breaks {}: {}", violation.rule, violation.message));
        }
    }
    let hours = sweep.elapsed_ms / 3_600_000;
    lines.push(format!("{} seeds, {hours} simulated hours, {} failed", sweep.runs, sweep.failures.len()));
    for (rule, seeds) in by_rule {
        lines.push(format!("  {rule}: {} of them, first {:?}", seeds.len(), seeds.first()));
    }
    lines.join("\n")
}
