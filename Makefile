# The commands of this project. `make demo` and `make test` work on a fresh machine with Python 3.10 or later.
# A virtual environment in .venv holds everything; PYTHON=… chooses the interpreter that makes it.

PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3 python3.10 python; do \
            $$p -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))' 2>/dev/null && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=
# Where this is set, as in many containers, each of the hundreds of processes that tests start would compile all anew.
unexport PYTHONDONTWRITEBYTECODE
INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check
LOCK = $(BIN)/uv pip compile pyproject.toml --universal --python-version 3.10 --generate-hashes --no-emit-index-url --no-header -q

.PHONY: demo test test-faults test-simulation test-soak test-outage bench check lint types layers lock audit clean

demo: $(VENV)/.gateway
	@$(BIN)/plexus demo $(ARGS)

# Whole files to each process, so that what a file's tests share is made once; in the order of tests/conftest.py.
test: $(VENV)/.dev
	$(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder $(ARGS)

# The whole protocol under a fake clock, network and disk: SIM_EPISODES (100000) from SIM_SEED (1), over all cores.
# `python -m tests.simulation --seed N` shows one of them.
test-simulation: $(VENV)/.dev
	$(BIN)/python -m tests.simulation $(ARGS)

# Real processes, sockets and disks: 200 kill -9 of devices and 200 of a gateway, 50 devices that return at once, 50
# sequences of nonsense; every byte of a spool flipped and cut, 20,000 states that a power cut leaves, a full tmpfs where
# root may mount one. FAULT_SEED chooses where they begin. `make test` has a handful of each.
test-faults: $(VENV)/.dev
	FAULT_KILLS=$${FAULT_KILLS:-200} FAULT_STORM=$${FAULT_STORM:-50} FAULT_SEQUENCES=$${FAULT_SEQUENCES:-50} \
	POWER_CUT_STATES=$${POWER_CUT_STATES:-20000} SPOOL_DAMAGE=all RECONNECT_SOCKETS=10000 SLOW_SOCKETS=1000 CARDINALITY_NAMES=1000000 STRICT_P99=1 FULL_DISK_TMPFS=$$(test "$$(id -u)" = 0 && echo 1) \
	  $(BIN)/python -m pytest -s --timeout 3600 tests/faults tests/security/test_slow_clients.py tests/security/test_cardinality.py $(ARGS)

# Mixed load on one gateway for 15 minutes; `make test-soak SOAK_S=28800` for 8 hours. `make test` has a few seconds of it.
test-soak: SOAK_S ?= 900
test-soak: $(VENV)/.dev
	SOAK_S=$(SOAK_S) $(BIN)/python -m pytest -s tests/soak

# The gateway away for a minute under the demo; `make test` has the short version.
test-outage: $(VENV)/.dev
	OUTAGE_S=60 $(BIN)/python -m pytest tests/e2e/test_outage.py

# Medians of five, each beside its peer; writes docs/reference/benchmarks.md.
bench: $(VENV)/.dev
	$(BIN)/python -m bench $(ARGS)

check: lint types layers test

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev
	$(BIN)/mypy
	$(BIN)/pyright

layers: $(VENV)/.dev
	$(BIN)/lint-imports --no-cache

$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo "Plexus needs Python 3.10 or later with the venv module (Debian: apt install python3-venv)"; exit 1; }
	$(PYTHON) -m venv $(VENV)

# What the locks name, by hash, and nothing else: the build's own tools are among it, so nothing is fetched for the build.
$(VENV)/.gateway: $(VENV)/bin/python pyproject.toml requirements/gateway.lock
	$(INSTALL) --require-hashes -r requirements/gateway.lock
	$(INSTALL) --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.dev: $(VENV)/bin/python pyproject.toml requirements/dev.lock
	$(INSTALL) --require-hashes -r requirements/dev.lock
	$(INSTALL) --no-deps --no-build-isolation -e .
	@touch $@ $(VENV)/.gateway

# Chooses every version anew; `make lock ARGS="--upgrade-package httpx"` one.
lock: $(VENV)/.dev
	$(LOCK) --extra gateway --group build -o requirements/gateway.lock $(ARGS)
	$(LOCK) --extra gateway --extra speed --extra video --extra async --extra tables --extra notebook --extra mcap --extra dev --group build -o requirements/dev.lock $(ARGS)

# Asks the advisory database of the package index about every locked version; needs to reach it.
audit: $(VENV)/.dev
	$(BIN)/pip-audit -r requirements/dev.lock --require-hashes --disable-pip --strict

clean:
	rm -rf $(VENV) .cache build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
