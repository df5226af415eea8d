# The one front door: what is not a target here is not a ritual. `make` alone lists them.

# Absolute, so that whoever we start means the same place. Ours, unless the environment names another.
export CARGO_TARGET_DIR := $(abspath $(or $(CARGO_TARGET_DIR),target))
TOOLS := $(CARGO_TARGET_DIR)/tools
# Tools that a machine lacks are put there by tests/setup and found by name.
export PATH := $(TOOLS)/bin:$(PATH)

CARGO_DENY := $(TOOLS)/bin/cargo-deny
CARGO_DENY_VERSION := 0.20.2
CARGO_FUZZ := $(TOOLS)/bin/cargo-fuzz
CARGO_FUZZ_VERSION := 0.13.2
# Tools of a minute are not worth an optimiser's time.
INSTALL := env -u CARGO_TARGET_DIR CARGO_PROFILE_DEV_DEBUG=0 CARGO_PROFILE_DEV_STRIP=true cargo install --locked --quiet --debug --root $(TOOLS)
FUZZ := tests/fuzz/Cargo.toml

SHIPPED := -p cli -p proxy -p server

# One selection of packages and targets for everything that is tested, so that nothing is compiled twice.
TESTED := --workspace --bins --tests

# Each target uses all cores by itself, and the same target directory.
.NOTPARALLEL:

.PHONY: help
help: ## This list
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## /\1\t/' | expand -t 16

.PHONY: run
run: ## Build, start both planes on this machine, and say how to call them
	cargo build $(SHIPPED)
	@exec $(CARGO_TARGET_DIR)/debug/turnpike up --data-dir data

.PHONY: build
build: ## The three binaries as they are meant to be run: target/release/turnpike*
	cargo build --release $(SHIPPED)

.PHONY: dist
dist: ## The same with everything the optimiser has: target/dist/turnpike*; slow to build
	cargo build --profile dist $(SHIPPED)

.PHONY: test
test: test-rust test-clients ## Everything: units, laws, drift, house rules, real binaries, real etcd, real SDKs

.PHONY: test-rust
test-rust: test-tools
	cargo build $(TESTED)
	cargo test --workspace --no-fail-fast

.PHONY: test-unit
test-unit: test-tools ## What needs no binaries: units, laws, drift, house rules
	cargo test --workspace --exclude e2e
	cargo test --workspace --test tidy --test schema

.PHONY: test-e2e
test-e2e: test-tools ## The real binaries over loopback; only=NAME runs those whose name contains it
	cargo build $(TESTED)
	cargo test --workspace --test e2e -- $(only)

.PHONY: test-clients
test-clients: ## The real openai SDKs for Python and Node against `turnpike up`
	cargo build $(TESTED)
	tests/clients/run

.PHONY: test-tools
test-tools:
	@tests/setup etcd

.PHONY: lint
lint: $(CARGO_DENY) ## Formatting, clippy without a warning, and what the dependency tree may hold
	cargo fmt --all -- --check
	cargo fmt --manifest-path $(FUZZ) -- --check
	cargo clippy --workspace --all-targets -- -D warnings
	@# The fuzzer's own library is C++, and not needed to look at the targets.
	CUSTOM_LIBFUZZER_PATH=$(TOOLS)/none.a cargo clippy --manifest-path $(FUZZ) -- -D warnings
	$(CARGO_DENY) check --hide-inclusion-graph bans licenses sources

$(CARGO_DENY):
	$(INSTALL) cargo-deny --version $(CARGO_DENY_VERSION)

$(CARGO_FUZZ):
	$(INSTALL) cargo-fuzz --version $(CARGO_FUZZ_VERSION)

.PHONY: fmt
fmt: ## Format everything
	cargo fmt --all
	cargo fmt --manifest-path $(FUZZ)

.PHONY: fuzz
fuzz: minutes ?= 1
fuzz: only ?= $(notdir $(basename $(wildcard tests/fuzz/targets/*.rs)))
fuzz: $(CARGO_FUZZ) ## Every fuzz target for minutes=1, or only=NAME; wants a C++ compiler
	@for target in $(only); do \
		mkdir -p $(CARGO_TARGET_DIR)/fuzzed/$$target; \
		echo "fuzz: $$target, $(minutes) min"; \
		$(CARGO_FUZZ) run --fuzz-dir tests/fuzz --sanitizer none $$target \
			$(CARGO_TARGET_DIR)/fuzzed/$$target tests/fuzz/corpus/$$target -- \
			-max_total_time=$$((60 * $(minutes))) -verbosity=0 || exit 1; \
	done

.PHONY: proto
proto: ## Generate proto/wire/src/gen from proto/schema
	UPDATE_GENERATED=1 cargo test --workspace --test schema

.PHONY: docs
docs: ## Generate docs/reference/cli.md from what the programs say of themselves
	cargo build $(TESTED)
	UPDATE_GENERATED=1 cargo test --workspace --test cli reference

.PHONY: bench
bench: ## CPU, latency and memory against nginx, in one run on this machine; args="--quick"
	@tests/setup nginx
	cargo build --release $(SHIPPED) -p bench
	$(CARGO_TARGET_DIR)/release/bench $(args)

.PHONY: bench-config
bench-config: ## What a change costs with 100,000 keys; args="--quick"
	cargo build --release $(SHIPPED) -p bench
	$(CARGO_TARGET_DIR)/release/bench-config $(args)

.PHONY: check-bare
check-bare: ## Build with nothing on the PATH but Rust, a C compiler and the shell's own tools
	tests/bare cargo build $(TESTED)
