# The commands of this project. `make demo` and `make test` work on a fresh machine with Python 3.10 or later.
# A virtual environment in .venv holds everything; PYTHON=… chooses the interpreter that makes it.

PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3 python3.10 python; do \
            $$p -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))' 2>/dev/null && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=

.PHONY: demo test test-faults test-simulation test-outage bench check lint types layers clean

demo: $(VENV)/.gateway
	@$(BIN)/plexus demo $(ARGS)

# A process a core, whole files to each, so that what a file's tests share is made once.
test: $(VENV)/.dev
	$(BIN)/python -m pytest -n auto --dist loadfile $(ARGS)

# The whole protocol under a fake clock, network and disk: SIM_EPISODES (100000) from SIM_SEED (1), over all cores.
# `python -m tests.simulation --seed N` shows one of them.
test-simulation: $(VENV)/.dev
	$(BIN)/python -m tests.simulation $(ARGS)

# Real processes, sockets and disks: 200 kill -9 of devices and 200 of a gateway, 50 devices that return at once, 50
# sequences of nonsense; every byte of a spool flipped and cut, 20,000 states that a power cut leaves, a full tmpfs where
# root may mount one. FAULT_SEED chooses where they begin. `make test` has a handful of each.
test-faults: $(VENV)/.dev
	FAULT_KILLS=$${FAULT_KILLS:-200} FAULT_STORM=$${FAULT_STORM:-50} FAULT_SEQUENCES=$${FAULT_SEQUENCES:-50} \
	POWER_CUT_STATES=$${POWER_CUT_STATES:-20000} SPOOL_DAMAGE=all FULL_DISK_TMPFS=$$(test "$$(id -u)" = 0 && echo 1) \
	  $(BIN)/python -m pytest -s --timeout 3600 tests/faults $(ARGS)

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

$(VENV)/.gateway: $(VENV)/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[gateway]"
	@touch $@

$(VENV)/.dev: $(VENV)/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[gateway,speed,video,dev]"
	@touch $@ $(VENV)/.gateway

clean:
	rm -rf $(VENV) .cache build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
