.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

.PHONY: setup demo test test-slow check bench docs help clean

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "bertctl needs Python 3.11 or newer; name one with: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 2; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --editable '.[dev]' --constraint constraints.txt
	@touch $@

setup: $(READY)  ## make .venv with everything pinned in constraints.txt

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

test: $(READY)  ## the tests: no network, no GPU, no data from outside
	$(BIN)/python -m pytest -m 'not slow'

test-slow: $(READY)  ## the tests that take longer
	$(BIN)/python -m pytest -m slow

check: $(READY) build/types  ## lint and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/basedpyright

# Type checkers follow folders, not the package mapping: show them the names that are imported.
build/types:
	mkdir -p $@/bertctl
	for each in cli pipeline model; do ln -sfn ../../../$$each $@/bertctl/$$each; done
	ln -sfn ../../../cli/package/__init__.py $@/bertctl/__init__.py

clean:  ## remove what set-up and builds made (never an output directory)
	rm -rf .venv build dist *.egg-info
