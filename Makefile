# `make` lists the targets. Needs make, Python 3.11 or newer and pip; everything else goes into .venv. The JavaScript client
# and the dashboard need Node 20 or newer as well, and are left out where that is missing; their packages go into node_modules
# beside them. Stamps remember what is installed: a target installs again only when a lock file or pyproject.toml changed.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

# Lock files hold versions and hashes only: which index serves them is the machine's own setting.
LOCK := $(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
	--no-header --no-emit-index-url --annotation-style line

JS := clients/js
PAGE := dashboard
# The files that the gateway serves; they are built, not committed.
SERVED_JS := gateway/admin/client
SERVED_PAGE := gateway/admin/dashboard
HAS_NODE := node -e 'process.exit(parseInt(process.versions.node) < 20 ? 1 : 0)' && npm --version

# A build that fails is begun anew the next time.
.DELETE_ON_ERROR:

# All tests run in a process for each core; those that ARGS chooses, in one.
WORKERS := -n logical

.DEFAULT_GOAL := help
.PHONY: help adaptation batching chunks joins run test js js-tests js-client js-bench js-fuzz dashboard coverage chaos lint format bench slow-readers plans optimizer serving slow slow-link storm scale churn overload diagrams lock image clean

help:  ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## */  make \1\t/' | expand -t 20

run: $(VENV)/run.stamp  ## install, build the dashboard where Node 20 is, then start `frys demo`: a gateway, agents that train a model
	@if $(HAS_NODE) >/dev/null 2>&1; then $(MAKE) --no-print-directory dashboard; \
	else echo "LEFT OUT: the dashboard, which needs Node 20 or newer and npm"; fi
	$(BIN)/frys demo

test: lint $(if $(ARGS),,js)  ## install what the tests need, then run the linters, the type checkers and all tests; ARGS="-k name" for some
	$(BIN)/python -m pytest $(or $(ARGS),$(WORKERS))

js:  ## JavaScript client and dashboard alone: build what the gateway serves, biome, tsc, vitest; says what it leaves out without Node 20 or Chromium
	@if $(HAS_NODE) >/dev/null 2>&1; then $(MAKE) --no-print-directory js-tests; \
	else echo "LEFT OUT: the tests of $(JS) and $(PAGE), which need Node 20 or newer and npm"; fi

js-tests: $(VENV)/run.stamp js-client dashboard
	@$(JS)/chromium.sh
	cd $(JS) && npm run --silent lint && npm run --silent check-package && npm run --silent test -- --reporter=dot
	cd $(PAGE) && npm run --silent lint && npm run --silent test -- --reporter=dot

js-fuzz: $(JS)/node_modules/installed.stamp  ## hostile bytes for 60 s: to the JavaScript protocol, and from a gateway to a whole client; HOSTILE_SECONDS
	cd $(JS) && HOSTILE_SECONDS=$${HOSTILE_SECONDS:-60} npm test -- --project node hostile

js-bench: $(VENV)/run.stamp $(JS)/node_modules/installed.stamp  ## arrays received in Chromium by the JavaScript client, by hand and by Socket.IO; BENCH_RUNS, BENCH_SECONDS
	@$(JS)/chromium.sh
	cd $(JS) && npm run bench

js-client: $(SERVED_JS)/frys.js  ## build the JavaScript client, which a gateway from this checkout then serves to pages

dashboard: $(SERVED_JS)/frys.js $(SERVED_PAGE)/index.html  ## build the page that a gateway from this checkout then has at / of its admin port

coverage: lint js  ## `make test`, measured: lines and branches that the tests run, fails below the floor of a package
	rm -f .coverage .coverage.*
	COVERAGE_FILE=$(CURDIR)/.coverage COVERAGE_PROCESS_START=$(CURDIR)/pyproject.toml \
		$(BIN)/python -m pytest $(WORKERS) -p tests.coverage_contexts
	$(BIN)/coverage combine --quiet
	$(BIN)/python -m tests.coverage_report

chaos: $(VENV)/test.stamp  ## kill the gateway 1,000 times at random moments: nothing acknowledged is lost; CHAOS_ROUNDS, CHAOS_SEED
	CHAOS_ROUNDS=$${CHAOS_ROUNDS:-1000} $(BIN)/python -m pytest -s tests/integration/test_acknowledged.py $(ARGS)

lint: $(VENV)/test.stamp  ## ruff, mypy --strict, import-linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/test.stamp  ## let ruff format the code and mend what it can
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

bench: $(VENV)/test.stamp  ## the benchmarks, against peers in the same run; ARGS="--help" for a choice
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m benchmarks $(ARGS)

slow-readers: $(VENV)/test.stamp  ## readers that do not keep up, of every kind and size: memory and others' latency; ARGS="--help"
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m benchmarks.slow_readers $(ARGS)

plans: $(VENV)/test.stamp  ## plans against fixed settings, six workloads over links with a rate: age of states, p99 of events; ARGS="--help"
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m benchmarks.plans $(ARGS)

optimizer: $(VENV)/test.stamp  ## encodings by cost against samples alone and fixed ones, on real arrays and links of five rates; ARGS="--help"
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m benchmarks.optimizer $(ARGS)

adaptation: $(VENV)/test.stamp  ## encodings by cost behind a line that slows and contents that change: time until they are others; ARGS="--help"
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m benchmarks.optimizer.adaptation $(ARGS)

serving: $(VENV)/test.stamp  ## the cost of learning while the gateway serves: look-ups, p99 of events, start; ARGS="--help"
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m benchmarks.optimizer.serving $(ARGS)

slow: $(VENV)/test.stamp  ## hostile clients, 100,000 streams, lagging readers of 10,000: what others notice, and memory; ARGS="--help"
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m benchmarks.slow $(ARGS)

storm: $(VENV)/test.stamp  ## 5,000 clients are cut off at once: the time until all are back, and what others notice; ARGS="--help"
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m benchmarks.storm $(ARGS)

batching: $(VENV)/test.stamp  ## frames and latency of 20,000 small messages a second with a latency objective and without; ARGS="--help"
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m benchmarks.batching $(ARGS)

chunks: $(VENV)/test.stamp  ## sizes of the chunks of large messages over lines with a rate: their time, and that of urgent messages; ARGS="--help"
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m benchmarks.chunks $(ARGS)

joins: $(VENV)/test.stamp  ## receivers that join a state in waves over lines with a rate: time to the first version, with plans and without; ARGS="--help"
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m benchmarks.joins $(ARGS)

slow-link: $(VENV)/test.stamp  ## one dashboard behind a slow line among 99: what the others notice, how old its states are; ARGS="--help"
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m benchmarks.slow_link $(ARGS)

scale: $(VENV)/test.stamp  ## 100,000 idle connections, as far as this machine allows: memory, CPU of the heartbeat; ARGS="--help"
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m benchmarks.scale $(ARGS)

churn: $(VENV)/test.stamp  ## 10,000 connections, a fifth of which comes and goes each second: leaks, stale members; ARGS="--help"
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m benchmarks.churn $(ARGS)

overload: $(VENV)/test.stamp  ## twice the load that the gateway can carry: its memory, and control messages beside it; ARGS="--help"
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m benchmarks.overload $(ARGS)

diagrams: $(VENV)/test.stamp  ## draw the diagrams of the session's states in spec/protocol.md from the table in the code
	$(BIN)/python -m tests.conformance.diagrams

lock: $(BIN)/python  ## write both lock files anew, with the newest versions that pyproject.toml allows
	$(PIP) install uv==0.13.8
	$(LOCK) --extra server --group build --output-file requirements.lock pyproject.toml
	$(LOCK) --all-extras --group build --constraints requirements.lock --output-file requirements-dev.lock pyproject.toml

image:  ## the container image frys-gateway
	docker build --tag frys-gateway .

clean:  ## remove .venv and everything that tools left behind
	rm -rf $(VENV) $(JS)/node_modules $(JS)/dist $(JS)/reference $(SERVED_JS) $(PAGE)/node_modules $(PAGE)/dist $(PAGE)/screenshots $(SERVED_PAGE) build dist .coverage .coverage.* .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Debian keeps ensurepip in a package of its own; without it the interpreter's pip fills the environment.
$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.11")'
	if $(PYTHON) -c 'import ensurepip' 2>/dev/null; then $(PYTHON) -m venv $(VENV); \
	else $(PYTHON) -m venv --without-pip $(VENV) && $(PYTHON) -m pip --python $(BIN)/python install --quiet pip; fi

$(VENV)/run.stamp: requirements.lock pyproject.toml | $(BIN)/python
	$(PIP) install --require-hashes -r requirements.lock
	$(PIP) install --no-index --no-deps --no-build-isolation --editable .
	touch $@

$(VENV)/test.stamp: requirements-dev.lock $(VENV)/run.stamp
	$(PIP) install --require-hashes -r requirements-dev.lock
	touch $@

$(JS)/node_modules/installed.stamp $(PAGE)/node_modules/installed.stamp: %/node_modules/installed.stamp: %/package.json %/package-lock.json %/.npmrc
	cd $* && npm ci
	touch $@

$(JS)/dist/browser/frys.js: $(JS)/node_modules/installed.stamp $(wildcard $(JS)/*.ts $(JS)/tsconfig*.json) $(shell find $(JS)/src -type f)
	cd $(JS) && npm run --silent build

# The page imports the client of its own gateway, and is checked against the types of that.
$(PAGE)/dist/index.html: $(PAGE)/node_modules/installed.stamp $(JS)/dist/browser/frys.js \
		$(wildcard $(PAGE)/*.ts $(PAGE)/*.html $(PAGE)/tsconfig.json) $(shell find $(PAGE)/src -type f)
	cd $(PAGE) && npm run --silent build

$(SERVED_JS)/frys.js: $(JS)/dist/browser/frys.js
	rm -rf $(SERVED_JS)
	cp -R $(JS)/dist/browser $(SERVED_JS)
	gzip --best --no-name --keep $(SERVED_JS)/*.js

$(SERVED_PAGE)/index.html: $(PAGE)/dist/index.html
	rm -rf $(SERVED_PAGE)
	cp -R $(PAGE)/dist $(SERVED_PAGE)
	gzip --best --no-name --keep $(SERVED_PAGE)/index.html $(SERVED_PAGE)/assets/*.js $(SERVED_PAGE)/assets/*.css
