# One room for every command a developer runs; `make help` lists them.
PYTHON ?= python3
BIN := .venv/bin
ROWS ?= 200000

.PHONY: help install demo test test-fast check bench revision lock
help: ## list these commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "make %-9s %s\n", $$1, $$2}'

install: .venv/installed ## make .venv with everything, so that .venv/bin/tend works

.venv/installed: requirements.lock pyproject.toml
	$(PYTHON) -m venv --clear .venv
	$(BIN)/python -m pip install -qq --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install -qq --disable-pip-version-check --no-build-isolation --no-deps --editable .
	@touch $@

demo: install ## see it work: real servers, real data, ROWS=200000 (or all)
	@$(BIN)/python -m demo --rows $(ROWS)

# Processes under test would each compile the sources anew.
test test-fast: export PYTHONDONTWRITEBYTECODE =
test: install ## run the whole test suite against real servers
	$(BIN)/python -m pytest -n 2 --dist worksteal

# Both folders hold nothing but system tests, which need not even be read.
test-fast: export QUICK_TESTS = 1
test-fast: install ## its unit and integration tests: no processes of their own, fewer examples of properties
	$(BIN)/python -m pytest -n 4 --dist worksteal -m "not system" --ignore tests/faults --ignore tests/browser

check: install ## ruff, mypy, import contracts, dependencies
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/deptry .

bench: install ## measure both sides in one run and print ratios
	@$(BIN)/python -m benchmarks

revision: install ## write the first migration anew from worker/tables.py
	rm -f migrations/versions/v*.py
	$(BIN)/python -m migrations control database
	$(BIN)/ruff format -q migrations

lock: ## pin every dependency anew, with hashes
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header --group dev --quiet pyproject.toml -o requirements.lock
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header --group build --quiet --constraint requirements.lock pyproject.toml -o requirements-image.lock
