# Each target does all its own set-up. A fresh machine needs Python 3.11+, make and git, nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# Python keeps the bytecode of what it imports, even if the environment forbids it: otherwise each process spends two seconds
# compiling. Installing compiles nothing, as most of what is installed is never imported.
unexport PYTHONDONTWRITEBYTECODE
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile
SCX_HOME ?= .scx
export SCX_HOME
export DAGSTER_DISABLE_TELEMETRY = true

.PHONY: help setup demo test ui up lint bench docs lock clean

help:
	@echo "make demo    generate a bucket, load every star into DuckDB, show the report and the analysts' answer"
	@echo "make test    run every test against real servers"
	@echo "make ui      the Dagster UI on http://127.0.0.1:3000"
	@echo "make up      the services of docker-compose.yaml as processes, without Docker"
	@echo "make lint    formatter, linter, type checker and SQL linter"
	@echo "make bench   the measured promises, as ratios"
	@echo "make docs    write docs/cli.md and docs/settings.md anew"
	@echo "make setup   only the virtual environment in $(VENV)"

setup: $(READY)

# uv installs in half the time, and pip where it cannot: uv does not know pip's settings, such as a registry of one's own.
$(READY): requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "scx_pipeline needs Python 3.11 or newer: make PYTHON=python3.12 …")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	sed -n '/^uv==/,/[^\\]$$/p' requirements.lock > $(VENV)/uv.lock
	$(PIP) --require-hashes -r $(VENV)/uv.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements.lock || $(PIP) --require-hashes -r requirements.lock
	$(PIP) --no-deps --no-build-isolation --editable .
	touch $(READY)

demo: setup
	@$(BIN)/scx demo

# Four at a time, as many of them wait for servers. A browser's pages and a deployment's services are looked at apart, as they
# are slow beside all others; but half of the time they wait for Dagster's daemon, which is when random histories are tried, and
# lakes are built by Spark, a file in a process.
test: setup
	$(BIN)/python -m pytest $(or $(ARGS),-n 4 --dist worksteal -m "not (ui or histories or fuzz or spark or services)")
	$(if $(ARGS),,$(BIN)/python -m pytest -n 4 --dist loadfile --no-loadscope-reorder --slowest-first -m "ui or histories or fuzz or spark or services")

ui: setup
	@$(BIN)/python -m scx_pipeline.orchestration.runs.instance
	exec env DAGSTER_HOME=$${DAGSTER_HOME:-$(abspath $(SCX_HOME))/dagster} $(BIN)/python -I -S scx_pipeline/services/supervise.py $(BIN)/dagster dev -w workspace.yaml -h 127.0.0.1 -p 3000

# As docker-compose.yaml says, without Docker: PostgreSQL and the S3 server are those of the tests.
up: setup
	@$(BIN)/python -m tools.local_services

# What the vocabulary check reads; its words are in tools/vocabulary.txt.
PROSE := scx_pipeline scx_pipeline_tests tools docs deploy README.md CONTRIBUTING.md CHANGELOG.md

lint: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/codespell $(PROSE)
	$(BIN)/sqlfluff lint --disable-progress-bar scx_pipeline/stars

bench: setup
	$(BIN)/python -m tools.bench $(ARGS)

# The pages that follow from the command and the settings.
docs: setup
	$(BIN)/python -m tools.docs

COMPILE := $(BIN)/uv pip compile --quiet --generate-hashes --no-emit-index-url --no-strip-extras --universal --python-version 3.11

# No registry host may stand in the lock file.
lock: setup
	$(COMPILE) --extra dev pyproject.toml -o requirements.lock
	$(COMPILE) --extra deploy --constraint requirements.lock pyproject.toml -o deploy/requirements.lock

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis
