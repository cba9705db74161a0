# Everything a person does with a checkout. Bare `make` prints this help.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
TESTS ?= tests

.DEFAULT_GOAL := help
.PHONY: help setup demo test faults bench lint type format stubs clean

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-8s %s\n", $$1, $$2}'

# On a machine without python3-venv, root gets it from the distribution; anybody else is told its name.
$(BIN)/.ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11 setup"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null \
		|| { test "$$(id -u)" = 0 && apt-get update -qq && apt-get install -y -qq python3-venv; } \
		|| { echo "python3-venv is missing: apt-get install python3-venv"; exit 1; }
	@test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check -e '.[atom,controller,sandbox,dev]' -c constraints.txt
	@touch $@

setup: $(BIN)/.ready ## install everything the rest needs into .venv

demo: setup ## the main job, end to end (KEEP=1 leaves it running)
	cd deploy && ../$(BIN)/python -m demo

test: setup ## every test
	$(BIN)/pytest $(TESTS)

faults: setup ## kill a worker at every boundary of 100,000 records, resume, compare; try adversarial sources (FAULTS="--stride 10" EXAMPLES=50: a part)
	$(BIN)/python -W ignore -m tests.proof $(FAULTS)
	DATIVE_EXAMPLES=$(or $(EXAMPLES),200) $(BIN)/pytest tests/connectors/incremental --timeout=3600

bench: setup ## tables of speed and weight, as ratios against a limit and peers
	@$(BIN)/pip install --quiet --disable-pip-version-check -e '.[bench]' -c constraints.txt
	PYTHONPATH=deploy $(BIN)/python -W ignore -m tests.benchmarks $(TABLE)

lint: setup ## ruff, the floors, the stubs' freshness
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/python proto/stubs.py --check

type: setup ## mypy, strict
	$(BIN)/mypy

format: setup ## ruff's formatter and its safe fixes
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

stubs: setup ## generate the stubs of our .proto files
	$(BIN)/python proto/stubs.py

clean: ## remove the environment and the caches
	rm -rf .demo $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
