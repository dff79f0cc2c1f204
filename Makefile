# Every target works in a fresh clone; .venv and missing packages come by themselves.
.DEFAULT_GOAL := help
BIN := .venv/bin
PYTEST_ARGS ?=
FUZZ_ARGS ?=

.PHONY: help setup demo demo-down test test-v2 check bench fuzz golden docs fix clean

help: ## this list
	@grep -E '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: ## system packages, .venv, orchestra and its development tools
	@scripts/setup dev

demo: ## the sample on http://localhost:8000, from nothing
	@scripts/setup demo
	@scripts/demo up

demo-down: ## remove the sample, its data and the local registry's process
	@scripts/demo down

test: setup ## every test: unit, kernel, conformance, e2e, browser
	@scripts/run_tests $(PYTEST_ARGS)

test-v2: ## runtime and cgroup tests on a kernel with cgroup v2 alone, in an emulated machine
	@scripts/setup v2
	@$(BIN)/python -m scripts.v2 -- $(PYTEST_ARGS)

check: ## format, lint, types, imports, unit tests; no root, under a minute
	@scripts/setup dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/mypy scripts benchmarks
	$(BIN)/lint-imports
	$(BIN)/pytest -q -n auto tests/unit

bench: setup ## the same work by orchestra and every peer found; writes docs/benchmarks.md
	@$(BIN)/python -m benchmarks

fuzz: setup ## ten minutes of bytes at the loader, led by coverage; writes .fuzz
	$(BIN)/python -m pip install -q -e '.[fuzz]'
	nice $(BIN)/python -m scripts.fuzz $(FUZZ_ARGS)

golden: setup ## write the golden files anew; then read the diff
	$(BIN)/pytest -q --golden tests/unit
	git --no-pager diff --stat -- tests/golden

docs: setup ## generate docs/cli.md and docs/conformance.md
	$(BIN)/python -m scripts.cli_reference docs/cli.md
	$(BIN)/python -m scripts.conformance docs/conformance.md

fix: setup ## format, and mend what the linter can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean: ## remove caches and build results; .venv and the images' cache stay
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist
	find . -name __pycache__ -type d -not -path './.venv/*' -prune -exec rm -rf {} +
