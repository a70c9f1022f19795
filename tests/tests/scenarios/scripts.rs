//! Scripts: files of a fleet and of the repository of its applications, commands, and what these print. They are in
//! `tests/scripts`, and `tests/scripts/README.md` says how they are written.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Output;

use argosy_tests::pods::{self, Fate, Workload};
use argosy_tests::world::PATIENCE;
use argosy_tests::{GitRepo, eventually};
use serde_json::Value;

use super::stage::Stage;

/// One line that is not indented, and what stands indented below it.
struct Step {
    line: usize,
    text: String,
    below: Vec<String>,
}

/// Reads a script: its title, and its steps.
fn read(text: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        match line.strip_prefix("    ") {
            Some(below) => steps.last_mut().expect("a step").below.push(below.to_owned()),
            None if line.is_empty() || line.starts_with('#') => {}
            None => steps.push(Step { line: index + 1, text: line.to_owned(), below: Vec::new() }),
        }
    }
    steps
}

struct Player {
    stage: Stage,
    /// What is not the same in every run, and the word that stands for it.
    names: BTreeMap<String, String>,
}

impl Player {
    fn new() -> Self {
        let stage = Stage::start();
        let names = BTreeMap::from([
            ("NAMESPACE".to_owned(), stage.namespace.clone()),
            ("REPOSITORY".to_owned(), stage.world.apps().url()),
        ]);
        Self { stage, names }
    }

    fn repository<'a>(&self, path: &'a str) -> (&GitRepo, &'a str) {
        match path.split_once('/') {
            Some(("fleet", path)) => (self.stage.world.fleet(), path),
            Some(("apps", path)) => (self.stage.world.apps(), path),
            _ => panic!("{path} is neither below fleet/ nor below apps/"),
        }
    }

    /// Puts what this run has in the place of its word.
    fn fill(&self, text: &str) -> String {
        self.names.iter().fold(text.to_owned(), |text, (word, is)| text.replace(word, is))
    }

    /// Puts words in the place of what this run alone has: names, times, ages and identities.
    fn clear(&self, line: &str) -> String {
        let named = self.names.iter().filter(|(_, is)| !is.is_empty());
        let line = named.fold(line.to_owned(), |line, (word, is)| line.replace(is.as_str(), word));
        let commit = self.names.get("COMMIT").map(|commit| commit[..7].to_owned());
        let words = line.split_whitespace().map(|word| {
            let bare = word.trim_matches(|of: char| !of.is_ascii_alphanumeric());
            let is = |shape: fn(&char) -> bool| bare.chars().all(|of| shape(&of));
            let digits = bare.chars().filter(char::is_ascii_digit).count();
            match bare {
                _ if commit.as_deref() == Some(bare) => word.replace(bare, "COMMIT"),
                _ if digits >= 8 && bare.contains(':') => "TIME".to_owned(),
                _ if digits == 8 && is(|of| of.is_ascii_digit() || *of == '-') => word.replace(bare, "DATE"),
                _ if digits == 6 && bare.matches(':').count() == 2 => word.replace(bare, "CLOCK"),
                _ if bare.len() >= 12 && is(char::is_ascii_hexdigit) => word.replace(bare, "ID"),
                _ if is_age(bare) => word.replace(bare, "AGE"),
                _ => word.to_owned(),
            }
        });
        words.collect::<Vec<_>>().join(" ")
    }

    fn play(&mut self, step: &Step) {
        let words: Vec<&str> = step.text.split(' ').collect();
        let (world, namespace) = (&self.stage.world, self.stage.namespace.as_str());
        match words.as_slice() {
            ["write", path] => {
                let (repository, path) = self.repository(path);
                repository.write(path, self.fill(&step.below.join("\n"))).unwrap();
            }
            ["remove", path] => {
                let (repository, path) = self.repository(path);
                repository.remove(path).unwrap();
            }
            ["commit", repository] => {
                let (repository, _) = self.repository(&format!("{repository}/"));
                let commit = repository.commit("Change what the script says").unwrap();
                if words[1] == "apps" {
                    self.names.insert("COMMIT".to_owned(), commit);
                }
            }
            ["job", name, fate] => {
                let fate = match *fate {
                    "succeeds" => Fate::Succeeded,
                    "fails" => Fate::Failed,
                    other => panic!("a job succeeds or fails, and does not {other}"),
                };
                let path = format!("/apis/batch/v1/namespaces/{namespace}/jobs/{name}");
                eventually(PATIENCE, &format!("job {name}"), || self.stage.plane().api().get(&path).unwrap());
                pods::decide(self.stage.plane(), Workload::Job, namespace, name, fate).unwrap();
            }
            ["make"] => {
                let object = serde_json::from_str(&self.fill(&step.below.join("\n"))).unwrap();
                let path = format!("/api/v1/namespaces/{namespace}/configmaps");
                self.stage.plane().api().create(&path, &object).unwrap();
            }
            ["spoil", name] => self.stage.spoil(name),
            ["hub", "stops"] => world.hub().stop().unwrap(),
            ["hub", "starts"] => world.hub().start().unwrap(),
            ["agent", "is", "killed"] => self.stage.edge().kill_agent().unwrap(),
            ["agent", "starts"] => self.stage.edge().start_agent().unwrap(),
            ["plan", app] => {
                let held = self.stage.await_held(app);
                self.names.insert("PLAN".to_owned(), held["plan"].as_str().unwrap().to_owned());
            }
            ["live"] => self.expect_live(step, "/api/v1", "configmaps"),
            ["live", "jobs"] => self.expect_live(step, "/apis/batch/v1", "jobs"),
            ["$" | "~", "argosy", ..] => self.run(step),
            _ => panic!("line {}: {:?} is no step", step.line, step.text),
        }
    }

    /// Waits until the objects of a kind in the namespace are those that are named, config maps with their values.
    fn expect_live(&self, step: &Step, group: &str, kinds: &str) {
        eventually(PATIENCE, &format!("line {}: {:?} to be live", step.line, step.below), || {
            let path = format!("{group}/namespaces/{}/{kinds}", self.stage.namespace);
            let list = self.stage.plane().api().get(&path).unwrap().unwrap();
            let items = list["items"].as_array().unwrap().iter();
            let own = items.filter(|item| item["metadata"]["name"] != "kube-root-ca.crt");
            let said = |item: &Value| {
                let text = |pointer: &str| {
                    item.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
                };
                format!("{} {}", text("/metadata/name"), text("/data/value")).trim_end().to_owned()
            };
            let live: Vec<String> = own.map(said).collect();
            if live == step.below { Ok(()) } else { Err(live.join("; ")) }
        });
    }

    /// Runs a command and compares its exit code and what it prints; with `~` until they are as the script says.
    fn run(&self, step: &Step) {
        let line = self.fill(&step.text);
        let arguments: Vec<&str> = line.split(' ').skip(2).collect();
        let (code, expected) = match step.below.split_last() {
            Some((last, lines)) if last.starts_with("exit ") => {
                (last["exit ".len()..].parse().unwrap(), lines)
            }
            Some(_) | None => (0, step.below.as_slice()),
        };
        let look = || {
            let output = self.stage.world.hub().argosy(&arguments).unwrap();
            let said = self.said(&output);
            let as_is = output.status.code() == Some(code) && matches(expected, &said);
            let told = || format!("exit {:?}\n{}", output.status.code(), said.join("\n"));
            if as_is { Ok(()) } else { Err(told()) }
        };
        if step.text.starts_with('~') {
            eventually(
                PATIENCE,
                &format!("line {}: {} to print what is written below", step.line, step.text),
                look,
            );
        } else if let Err(told) = look() {
            panic!("line {}: {} printed\n{told}\nand not\n{}", step.line, step.text, expected.join("\n"));
        }
    }

    fn said(&self, output: &Output) -> Vec<String> {
        let texts = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        let lines = texts.iter().flat_map(|text| text.lines()).map(|line| self.clear(line));
        lines.filter(|line| !line.is_empty()).collect()
    }
}

/// Tells whether a word is how long something takes or took, such as `12s` or `1h3m`.
fn is_age(word: &str) -> bool {
    let units = word.chars().filter(|of| "smhd".contains(*of)).count();
    units > 0
        && word.starts_with(|of: char| of.is_ascii_digit())
        && word.chars().all(|of| of.is_ascii_digit() || "smhd".contains(of))
}

/// Tells whether lines are as they are expected; `...` stands for any lines, and at the end of one for any words.
fn matches(expected: &[String], lines: &[String]) -> bool {
    match (expected.split_first(), lines.split_first()) {
        (None, None) => true,
        (Some((first, rest)), _) if first == "..." => {
            matches(rest, lines) || lines.split_first().is_some_and(|(_, lines)| matches(expected, lines))
        }
        (Some((first, rest)), Some((line, lines))) => {
            let first = first.split_whitespace().collect::<Vec<_>>().join(" ");
            let is = first.strip_suffix(" ...").map_or(first == *line, |start| line.starts_with(start));
            is && matches(rest, lines)
        }
        (Some(_), None) | (None, Some(_)) => false,
    }
}

fn play(name: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("scripts/{name}.txt"));
    let text = std::fs::read_to_string(path).unwrap();
    let mut player = Player::new();
    for step in read(&text) {
        player.play(&step);
    }
}

/// Makes a test of each script.
macro_rules! scripts {
    ($($test:ident $name:literal)*) => {
        $(#[test]
        fn $test() {
            play($name);
        })*

        #[test]
        fn every_script_is_played() {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts");
            let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name());
            let mut files: Vec<String> = files.map(|file| file.into_string().unwrap()).collect();
            files.retain(|file| file != "README.md");
            files.sort();
            let mut played = vec![$(format!("{}.txt", $name)),*];
            played.sort();
            assert_eq!(files, played);
        }
    };
}

scripts! {
    a_middle_wave_that_fails "waves"
    deletes_go_in_mirrored_waves "prune-order"
    what_is_pruned_last_goes_after_the_last_wave "prune-last"
    a_prune_that_asks_waits_until_it_is_confirmed "prune-confirm"
    hooks_of_every_phase_go_by_their_policies "hooks"
    the_hook_of_a_failure_runs_and_the_rest_does_not "sync-fail"
    a_sync_is_ended_by_hand "terminate"
    a_sync_is_tried_again "retry"
    drift_is_healed_with_no_hub "self-heal"
    some_objects_are_synced "selective"
    two_apps_with_one_object "shared"
    what_argo_cd_tracks_is_taken_over_where_the_app_says_so "take-over"
    a_closed_window_keeps_a_sync_back "window"
}
