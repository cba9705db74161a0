# Everything a person does with a checkout. Bare `make` prints this help.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
TESTS ?= tests

.DEFAULT_GOAL := help
.PHONY: help setup demo test bench lint type format stubs golden check clean

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-8s %s\n", $$1, $$2}'

$(BIN)/.ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11 setup"; exit 1; }
	@test -d $(VENV) || $(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); test "$$(id -u)" = 0 && apt-get update -qq && apt-get install -y -qq python3-venv && $(PYTHON) -m venv $(VENV); } \
		|| { echo "python3-venv is missing: apt-get install python3-venv"; exit 1; }
	@$(BIN)/pip install --quiet --disable-pip-version-check -e '.[atom,controller,sandbox,dev]' -c constraints.txt
	@touch $@

setup: $(BIN)/.ready ## install everything the rest needs into .venv

test: setup ## every test
	$(BIN)/pytest $(TESTS)

lint: setup ## ruff, the floors, the stubs' freshness
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/python -m dative_tools.stubs --check

type: setup ## mypy, strict
	$(BIN)/mypy

format: setup ## ruff's formatter and its safe fixes
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## remove what the demo and the benchmarks left
	rm -rf .demo .bench
