# Two commands matter: `make demo` shows it running, `make test` proves it. `make help` lists the rest.

# The first Python of 3.11 or later that can make a virtual environment.
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11; do \
	$$python -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 \
	&& echo $$python && break; done)
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help install demo test lint types contracts format bench bench-transfers faults interop lock clean

help: ## What can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 20

install: .venv/run.stamp ## .venv with the commands `superpeer` and `peer`

demo: .venv/run.stamp ## A super-peer and two peers on this machine, a search, a proven download (ONCE=1 ends after it)
	@$(BIN)/python deploy/demo.py $(if $(ONCE),--once)

test: .venv/dev.stamp ## All tests of the everyday suite
	@$(BIN)/python -m pytest $(ARGS)

faults: .venv/dev.stamp ## The longer faults: kills at every tenth, a minute without sources, full disks (as root; ten minutes)
	@$(BIN)/python -m pytest tests/faults -m faults $(ARGS)

lint: .venv/dev.stamp ## Style and common mistakes
	@$(BIN)/ruff check && $(BIN)/ruff format --check

types: .venv/dev.stamp ## Types, strictly
	@$(BIN)/mypy

contracts: .venv/dev.stamp ## Who may import whom
	@$(BIN)/lint-imports

format: .venv/dev.stamp ## Put the code into shape
	@$(BIN)/ruff check --fix && $(BIN)/ruff format

bench: .venv/dev.stamp ## The README's figures, beside their rivals (ONLY="hashing index serving idle heartbeat", or real_input)
	@$(BIN)/python -m bench $(ONLY)

bench-transfers: .venv/dev.stamp build/interop/stamp ## Transfers beside nginx, aria2c, curl, libtorrent (ONLY="serve fetch blake3 crowd capped memory")
	@$(BIN)/python -m bench.transfers $(ONLY) $(ARGS)

interop: .venv/dev.stamp build/interop/stamp ## Other programs fetch from a real network: aria2c, libtorrent, curl
	@command -v aria2c >/dev/null || { test "$$(id -u)" = 0 && apt-get install --quiet --yes aria2 >/dev/null; } \
		|| { echo "aria2c is not installed (Debian: apt install aria2)." >&2; exit 1; }
	@PYTHONPATH=build/interop $(BIN)/python -m bench interop

lock: .venv/dev.stamp ## Choose the newest allowed versions anew
	@$(PIP) uv
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
		--group build pyproject.toml --output-file requirements.txt --upgrade
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
		--group build --group dev pyproject.toml --constraint requirements.txt --output-file requirements-dev.txt --upgrade

clean: ## Remove what was built, not the data
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist

build/interop/stamp: .venv/dev.stamp
	@$(PIP) --upgrade --target build/interop libtorrent
	@touch $@

.venv/run.stamp: requirements.txt pyproject.toml
	@test -n "$(PYTHON)" || { echo "Shoal needs Python 3.11 or later with its venv module (Debian: apt install python3-venv)." >&2; exit 1; }
	@echo "Preparing .venv with $(PYTHON) (once)…"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(PIP) --require-hashes -r requirements.txt
	@$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

.venv/dev.stamp: .venv/run.stamp requirements-dev.txt
	@echo "Preparing the tools for the tests (once)…"
	@$(PIP) --require-hashes -r requirements-dev.txt
	@touch $@
