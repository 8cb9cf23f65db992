.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: help demo test test-live lint format bench soak clean

help:  ## List the commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

demo: $(VENV)/ready  ## Run the main job on a local Pipedrive and a DuckDB file
	@$(BIN)/lead-sync demo

test: $(VENV)/ready  ## Run the quick tests; TESTS=all runs all of them
	$(BIN)/python -m pytest --dist loadgroup -rs $(if $(filter all,$(TESTS)),,-m "not slow")

test-live: $(VENV)/ready  ## Run the contract tests against a real account; its webhooks fire
	$(BIN)/python -m pytest -n 0 -rs --live tests/contract/test_api.py

lint: $(VENV)/ready  ## Check style, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/ready  ## Bring the code into its format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/ready  ## Print speed against a bare client
	$(BIN)/python -m tests.benchmarks.apply_rate
	$(BIN)/python -m tests.benchmarks.scale --json benchmarks.json --svg benchmarks.svg

soak: $(VENV)/ready  ## Mix faults at random for a few minutes
	$(BIN)/python -m tests.faults.soak

clean:  ## Remove what the other commands made
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis demo.duckdb

$(VENV)/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@
