# What people and CI run. `make test` needs Go once, to build the test control plane (see `make control-plane`).

SHELL := /bin/bash
.SHELLFLAGS := -o errexit -o nounset -o pipefail -c
.DELETE_ON_ERROR:

CARGO ?= cargo
LOG := target/test.log
SEEDS ?= 20000

.PHONY: help build test chaos lint deny format control-plane demo bench simulate mutants

help: ## Says what there is to make.
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/\1\t\2/' | expand -t 16

build: ## Builds the release binaries into target/release.
	$(CARGO) build --release --package argosy-principal --package argosy-agent --package argosy-cli

test: control-plane ## Runs all tests, the scenarios on a real control plane among them, and sums them up.
	$(CARGO) build --workspace --bins
	@mkdir -p $(dir $(LOG))
	@status=0; $(CARGO) test --workspace --no-fail-fast 2>&1 | tee $(LOG) || status=$$?; \
	awk '/^test result: / { passed += $$4; failed += $$6; ignored += $$8 } \
	     /^test .* FAILED$$/ { names = names "\n  " $$2 } \
	     END { printf "\nall tests: %d passed, %d failed, %d ignored%s\n", passed, failed, ignored, names }' $(LOG); \
	exit $$status

chaos: control-plane ## Kills each daemon 200 times at random moments, and tries both stores with 1,000 commits.
	$(CARGO) build --workspace --bins
	ARGOSY_CHAOS_CYCLES=$${ARGOSY_CHAOS_CYCLES:-200} ARGOSY_CHAOS_COMMITS=$${ARGOSY_CHAOS_COMMITS:-1000} \
	$(CARGO) test --package argosy-tests --test scenarios chaos -- --test-threads 2

simulate: ## Runs SEEDS seeds of the simulation (20000 unless given) in release mode, on all cores.
	$(CARGO) run --release --package argosy-tests --bin simulate -- --seeds $(SEEDS)

mutants: ## Breaks the daemons in every way that is known, and shows how soon the simulation catches each.
	$(CARGO) run --release --package argosy-tests --bin simulate -- --mutants --seeds 10000

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

demo: build ## Shows the main job live on two real control planes; DEMO_KEEP=1 leaves it running until Ctrl-C.
	$(CARGO) build --release --package argosy-tests --bin demo
	@target/release/demo

bench: build ## Measures in release mode on a real control plane and prints the table of docs/benchmarks.md.
	$(CARGO) run --release --package argosy-tests --bin bench
