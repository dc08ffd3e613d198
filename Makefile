# The commands of this project. `make demo` and `make test` work on a fresh machine with Python 3.10 or later.
# A virtual environment in .venv holds everything; PYTHON=… chooses the interpreter that makes it.

PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3 python3.10 python; do \
            $$p -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))' 2>/dev/null && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=

.PHONY: demo test test-outage bench check lint types layers clean

demo: $(VENV)/.gateway
	@$(BIN)/plexus demo $(ARGS)

test: $(VENV)/.dev
	$(BIN)/python -m pytest $(ARGS)

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
