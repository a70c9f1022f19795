# What people and CI run. `make test` needs Go once, to build the test control plane (see `make control-plane`); what
# runs on clusters in memory (`make demo`, `make scenarios-sim`) needs Rust alone.

SHELL := /bin/bash
.SHELLFLAGS := -o errexit -o nounset -o pipefail -c
.DELETE_ON_ERROR:

CARGO ?= cargo
LOG := target/test.log
# Tests mostly wait for processes: so more of them run than there are cores.
export RUST_TEST_THREADS ?= $(shell echo $$((2 * $$(nproc))))
SEEDS ?= 20000
SETS ?= 1000000
SCRIPTS ?= 10000
# With everything that makes it fast: see the profile in Cargo.toml.
SIMULATE := $(CARGO) run --profile simulation --package argosy-tests --bin simulate --
# What `make test` repeats in memory: the scenarios that are about the cluster more than about the hub.
ON_SIM := app_of_apps asking cluster_client demo everyday harness history hooks impersonation killed local_policy neighbours partial parts policies preview projects real_input rest scripts trouble waves windows

# The areas of `differential` of which `make test` plays a share: those in which no long run found a difference.
EQUAL := config_maps deployments secrets_and_accounts requests_that_make_no_sense

.PHONY: help build test scenarios-sim differential prune chaos cells crash-states lint deny format control-plane demo bench simulate outage mutants

help: ## Says what there is to make.
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/\1\t\2/' | expand -t 16

build: ## Builds the release binaries into target/release.
	$(CARGO) build --release --package argosy-principal --package argosy-agent --package argosy-cli

test: control-plane ## Runs all tests, the scenarios on a real control plane and a share of them once more in memory, some scripts of `differential`, and sums them up.
	$(CARGO) build --workspace --bins
	@mkdir -p $(dir $(LOG))
	@status=0; $(CARGO) test --workspace --no-fail-fast 2>&1 | tee $(LOG) || status=$$?; \
	echo "--- scenarios once more, on argosy-sim" | tee -a $(LOG); \
	ARGOSY_CONTROL_PLANE=sim $(CARGO) test --workspace --test scenarios -- $(addprefix scenarios::,$(ON_SIM)) 2>&1 | tee -a $(LOG) || status=$$?; \
	echo "--- argosy-sim beside a real API server" | tee -a $(LOG); \
	target/debug/differential --workspace --scripts 600 $(EQUAL) 2>&1 | tee -a $(LOG) || status=$$?; \
	awk '/^test result: / { passed += $$4; failed += $$6; ignored += $$8 } \
	     /^test .* FAILED$$/ { names = names "\n  " $$2 } \
	     END { printf "\nall tests: %d passed, %d failed, %d ignored%s\n", passed, failed, ignored, names }' $(LOG); \
	exit $$status

scenarios-sim: ## Runs the scenarios on clusters in memory; needs no control plane.
	$(CARGO) build --workspace --bins
	ARGOSY_CONTROL_PLANE=sim $(CARGO) test --workspace --test scenarios

differential: control-plane ## Plays SCRIPTS scripts (10000 unless given) on argosy-sim and on a real API server, and compares every answer.
	$(CARGO) run --quiet --package argosy-tests --bin differential -- --scripts $(SCRIPTS)

chaos: control-plane ## Kills each daemon 200 times at random moments, and tries both stores with 1,000 commits.
	$(CARGO) build --workspace --bins
	ARGOSY_CHAOS_CYCLES=$${ARGOSY_CHAOS_CYCLES:-200} ARGOSY_CHAOS_COMMITS=$${ARGOSY_CHAOS_COMMITS:-1000} \
	$(CARGO) test --package argosy-tests --test scenarios chaos -- --test-threads 2

cells: control-plane ## Shows every fault of an API server in every phase of an app and every form, in virtual time, and one of each on a real one.
	$(CARGO) build --workspace --bins
	ARGOSY_CELLS=show $(CARGO) test --package argosy-tests --test scenarios -- cells --nocapture

crash-states: ## Tries 50,000 states in which a loss of power can leave each store, and damage of every kind.
	ARGOSY_CRASH_STATES=$${ARGOSY_CRASH_STATES:-50000} \
	$(CARGO) test --release --package argosy-runtime --lib -- store::tests::crash store::tests::damage --nocapture

simulate: ## Runs SEEDS seeds of the simulation (20000 unless given) on all cores.
	$(SIMULATE) --seeds $(SEEDS)

prune: ## Tries SETS desired sets (1000000 unless given) against prune, and judges every delete.
	ARGOSY_PRUNE_SETS=$(SETS) \
	$(CARGO) test --release --package argosy-core --lib adversarial -- --nocapture

outage: SEEDS = 100
outage: ## Lets a simulated hub be away for 72 hours, SEEDS times (100 unless given): agents only heal.
	$(SIMULATE) --outage 72 --seeds $(SEEDS)

mutants: ## Breaks the daemons in every way that is known, and shows how soon the simulation catches each.
	$(SIMULATE) --mutants --seeds 10000

lint: ## Checks the format, the lints and the documentation; warnings are errors.
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS=-Dwarnings $(CARGO) doc --no-deps --workspace

deny: ## Checks licences, bans and sources of all dependencies (needs cargo-deny).
	@command -v cargo-deny >/dev/null || { \
	  echo "cargo-deny was not found: cargo install --locked cargo-deny@0.20.2" >&2; exit 1; }
	$(CARGO) deny --offline check bans licenses sources

format: ## Formats the code.
	$(CARGO) fmt --all

control-plane: ## Prints the folder of the test control plane's binaries; builds them once.
	@$(CARGO) run --quiet --package argosy-tests --bin control-plane -- path

demo: ## Shows the main job live on clusters in memory; DEMO_KEEP=1 leaves it running, DEMO_CONTROL_PLANE=real shows it on real ones.
	$(CARGO) build $(addprefix --package argosy-,principal agent cli sim tests) \
	  $(addprefix --bin ,argosy-principal argosy-agent argosy argosy-sim demo)
	@target/debug/demo

bench: build ## Measures in release mode on a real control plane and prints the table of docs/benchmarks.md.
	$(CARGO) run --release --package argosy-tests --bin bench
