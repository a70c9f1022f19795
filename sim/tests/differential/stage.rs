//! Where scripts are played.

use std::cell::RefCell;
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use argosy_runtime::clock::{self, Clock};
use argosy_runtime::supervisor::{StopCause, Supervisor};
use argosy_sim::cluster::Config;
use argosy_sim::http::{ControlPlane, Login, Server, Settings, Temper, User};
use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::test_runner::{
    Config as Proptest, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner,
};
use tokio::runtime::Runtime;

use super::generate;
use super::kinds::Area;
use super::play::Pair;
use super::script::{JSON, Script, Step};
use super::side::Side;

/// The two API servers, and how much is asked of them.
pub(crate) struct Stage {
    runtime: Runtime,
    supervisor: Supervisor,
    pair: Pair,
    /// How many scripts all areas play together.
    scripts: u32,
    seed: u64,
    clock: Clock,
}

// === impl Stage ===

impl Stage {
    /// Starts a simulated cluster next to the real one that the environment names.
    pub(crate) fn from_environment() -> Self {
        let variable = |name: &str| std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set"));
        let number = |name: &str, default: u64| {
            std::env::var(name).map_or(default, |text| text.parse().expect("a number"))
        };
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let supervisor = Supervisor::new();
        let user = User { name: "admin".to_owned(), groups: vec!["system:masters".to_owned()] };
        let settings = Settings {
            name: "sim".to_owned(),
            cluster: Config { history: 100_000, ..Config::default() },
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            identity: None,
            logins: vec![Login { user, token: "t".to_owned() }],
            temper: Temper::default(),
            interference: Vec::new(),
            audit: None,
            control_plane: ControlPlane::ByHand,
        };
        let server = runtime.block_on(Server::start(settings, &supervisor)).unwrap();
        let mut pair = Pair {
            sim: Side::new(&server.url(), "t"),
            real: Side::new(&variable("ARGOSY_REAL_URL"), &variable("ARGOSY_REAL_TOKEN")),
            server,
        };
        runtime.block_on(define(&mut pair));
        Self {
            pair,
            scripts: u32::try_from(number("ARGOSY_SCRIPTS", 200)).unwrap(),
            seed: number("ARGOSY_SEED", 1),
            runtime,
            supervisor,
            clock: Clock::new().unwrap(),
        }
    }

    /// Plays scripts one by one; panics with all that differ.
    pub(crate) fn compare_each(mut self, what: &str, scripts: &[Script]) {
        let (start, run) = (clock::wall().0 % 100_000_000, std::process::id());
        let began = self.clock.mono();
        let mut found = Vec::new();
        for (number, script) in scripts.iter().enumerate() {
            let namespace = format!("{}{start}-{run}-{number}", what.to_lowercase());
            let difference = self.runtime.block_on(self.pair.play(script, &namespace));
            found.extend(difference.map(|difference| format!("{difference}\nscript {number}:\n{script:?}")));
        }
        assert!(found.is_empty(), "{} of {} differ:\n{}", found.len(), scripts.len(), found.join("\n"));
        let took = self.clock.mono().since(&began).unwrap_or_default();
        self.done(what, scripts.len(), took);
    }

    /// Plays generated scripts; panics with the shortest one that shows a difference, or with all that do.
    pub(crate) fn compare(self, area: Area) {
        let cases = (self.scripts * area.share()).div_ceil(100);
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&self.seed.to_le_bytes());
        let config =
            Proptest { cases, max_shrink_iters: 2000, failure_persistence: None, ..Proptest::default() };
        let runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &seed));
        if std::env::var_os("ARGOSY_ALL").is_some() {
            self.compare_all(area, cases, runner);
        } else {
            self.compare_until(area, cases, runner);
        }
    }

    /// Plays all scripts, as they are, whatever is found.
    fn compare_all(self, area: Area, cases: u32, mut runner: TestRunner) {
        let strategy = generate::script(area);
        let scripts = (0..cases).map(|_| strategy.new_tree(&mut runner).expect("a script").current());
        self.compare_each(&format!("{area:?}"), &scripts.collect::<Vec<_>>());
    }

    /// Plays scripts until one shows a difference, and looks for the shortest one that does.
    fn compare_until(mut self, area: Area, cases: u32, mut runner: TestRunner) {
        let (start, run) = (clock::wall().0 % 100_000_000, std::process::id());
        let began = self.clock.mono();
        let cell = RefCell::new((&mut self.pair, 0_u64));
        let outcome = runner.run(&generate::script(area), |script| {
            let mut borrowed = cell.borrow_mut();
            let (pair, round) = &mut *borrowed;
            *round += 1;
            let namespace = format!("{}{start}-{run}-{round}", area.letter());
            let difference = self.runtime.block_on(pair.play(&script, &namespace));
            difference.map_or(Ok(()), |difference| Err(TestCaseError::fail(difference)))
        });
        let took = self.clock.mono().since(&began).unwrap_or_default();
        match outcome {
            Ok(()) => self.done(&format!("{area:?}"), usize::try_from(cases).unwrap(), took),
            Err(TestError::Fail(reason, script)) => panic!("{reason}\nscript:\n{script:?}"),
            Err(TestError::Abort(reason)) => panic!("{reason}"),
        }
    }

    fn done(self, what: &str, scripts: usize, took: Duration) {
        self.supervisor.stop(StopCause::Asked { by: "the test".to_owned() });
        let requests = self.pair.real.requests;
        // Nobody is left to be told when standard error is closed.
        let _unheard = writeln!(
            std::io::stderr(),
            "{what}: {scripts} scripts, {requests} requests to each, 0 differences, {took:.1?}"
        );
    }
}

/// Makes the definition of the kind `Widget` on both, and waits until it is served.
async fn define(pair: &mut Pair) {
    let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    let create = Step::send("POST", path, JSON, &generate::definition());
    tokio::join!(pair.sim.take(&create), pair.real.take(&create));
    for _ in 0..100 {
        pair.tick();
        let list = Step::get("/apis/diff.test/v1beta1/widgets?limit=1");
        let (sim, real) = tokio::join!(pair.sim.peek(&list), pair.real.peek(&list));
        if sim["code"] == 200 && real["code"] == 200 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the kind Widget is not served");
}
