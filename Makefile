# Everything is put into .venv/ and node_modules/ of this checkout; nothing needs root.
PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
NPM_CI := npm ci --loglevel=error --no-audit --no-fund --ignore-scripts

.PHONY: help setup demo test lint bench faults torture soak hold clean

help:  ## show this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

setup: $(VENV)/.installed node_modules/.installed  ## install what the other targets need

demo: setup  ## a Smalltalk session whose backend and image are killed, step by step
	@$(VENV)/bin/stui demo

test: setup  ## all tests, with at least 90 % of the lines and of the branches
	$(PY) -m coverage erase
	$(PY) -m coverage run -m pytest --numprocesses 3 --dist loadfile
	$(PY) -m coverage combine --quiet
	$(PY) -m coverage report --fail-under=90
	@$(PY) -m coverage json --quiet -o - | $(PY) -m tools.branch_coverage 90

lint: setup  ## ruff and mypy --strict
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

bench: setup $(VENV)/.bench-installed  ## the service beside its limits, as a table of ratios
	$(PY) -m tools.bench

soak: setup $(VENV)/.bench-installed  ## a service under churn, and whether it grows: MINUTES=5 [SEED=n]
	$(PY) -m tools.soak --minutes $(or $(MINUTES),5) $(if $(SEED),--seed $(SEED))

hold: setup  ## 200 clients at once: SECONDS=60
	$(PY) -m tools.soak.hold --seconds $(or $(SECONDS),60)

faults: setup  ## the tests that break things, also those that take too long for every run
	STUI_LONG_FAULTS=1 $(PY) -m pytest --numprocesses 2 --dist loadfile tests/faults

torture: setup  ## kill backend, images and actors under load: MINUTES=1 [SEED=n]
	$(PY) -m tools.faults torture --minutes $(or $(MINUTES),1) $(if $(SEED),--seed $(SEED))

clean:  ## remove what the targets made
	rm -rf $(VENV) node_modules build dist *.egg-info bench-results soak-results torture-results .coverage* .*_cache .hypothesis

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo 'STUI needs Python 3.11 or newer: make PYTHON=/path/to/python3'; exit 1; }
	@$(PYTHON) -m venv $(VENV) || \
	  { rm -rf $(VENV); echo 'This Python has no venv module with pip (on Debian: apt install python3-venv).'; exit 1; }

$(VENV)/.installed: setup.cfg pyproject.toml | $(VENV)/bin/python
	$(PY) -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

$(VENV)/.bench-installed: setup.cfg | $(VENV)/.installed
	$(PY) -m pip install --quiet --disable-pip-version-check --editable '.[bench]'
	@touch $@

# Node.js of the machine where there is one (18 or newer), else the one from PyPI.
node_modules/.installed: package.json package-lock.json | $(VENV)/.installed
	@if node -e 'process.exit(process.versions.node.split(".")[0] < 18 ? 1 : 0)' 2>/dev/null && npm --version >/dev/null 2>&1; \
	  then $(NPM_CI); \
	  else $(PY) -m pip install --quiet --disable-pip-version-check --editable '.[smalltalk]' && \
	       PATH="$(CURDIR)/$(VENV)/bin:$$PATH" $(NPM_CI); fi
	@touch $@
