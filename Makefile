# Each target does all its own set-up. A fresh machine needs Python 3.11+, make and git, nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# Python keeps the bytecode of imported modules even if the environment forbids it: otherwise each process spends two seconds
# compiling. Installing compiles nothing, because most installed modules are never imported.
unexport PYTHONDONTWRITEBYTECODE
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile
SCX_HOME ?= .scx
export SCX_HOME
export DAGSTER_DISABLE_TELEMETRY = true

.PHONY: help setup demo ui up test test-fast lint docs bench lock clean

help:
	@echo "make demo       generate a sample bucket, load every star into DuckDB, answer the analysts' queries"
	@echo "make ui         start the Dagster UI on http://127.0.0.1:3000"
	@echo "make up         start the services of docker-compose.yaml as processes, without Docker"
	@echo "make test-fast  run the unit tests, without servers, in less than a minute"
	@echo "make test       run every test, on real servers; ARGS=... runs a part"
	@echo "make lint       check format, style, types, structure, vocabulary and SQL"
	@echo "make docs       generate the reference pages in docs/ from the code"
	@echo "make bench      measure the performance targets, as ratios; ARGS=... selects scenarios"
	@echo "make lock       resolve the dependencies again and write the lock files"
	@echo "make setup      create the virtual environment in $(VENV) only"
	@echo "make clean      remove the virtual environment and caches"

setup: $(READY)

# uv installs in half the time. If it fails, pip installs: uv does not know pip's settings, such as a private registry.
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

# Tests of these folders need a browser, Spark, all services of a deployment, a wheel, or a minute for random histories. They run
# afterwards, one file per process: they are slow next to other tests.
SLOW := $(addprefix scx_pipeline_tests/, deploy fuzz installed lake/spark purity ui)

# Four processes, because many tests wait for servers.
test: setup
	$(BIN)/python -m pytest $(or $(ARGS),-n 4 --dist worksteal $(addprefix --ignore=,$(SLOW)))
	$(if $(ARGS),,$(BIN)/python -m pytest -n 4 --dist loadfile --no-loadscope-reorder --slowest-first $(SLOW))

# The unit tests: all tests in these folders that need no server. test_alert*.py start Dagster runs, which takes a while.
FAST := $(addprefix scx_pipeline_tests/, model declarations planning parsing storage history samples alerts)

test-fast: setup
	$(BIN)/python -m pytest -q -n 4 --dist worksteal -m "not (postgres or s3 or redshift or ui or spark or services or histories or fuzz)" --ignore-glob="*/test_alert*.py" $(FAST)

ui: setup
	@exec $(BIN)/scx ui

# The services of docker-compose.yaml as processes. PostgreSQL and the S3 server are those of the tests.
up: setup
	@$(BIN)/python -m tools.local_services

# What the vocabulary check reads; its words are in tools/vocabulary.txt.
PROSE := scx_pipeline scx_pipeline_tests tools docs deploy README.md CONTRIBUTING.md CHANGELOG.md

lint: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache --no-logo
	$(BIN)/python -m tools.structure
	$(BIN)/codespell $(PROSE)
	$(BIN)/sqlfluff lint --disable-progress-bar scx_pipeline/stars

bench: setup
	$(BIN)/python -m tools.bench $(ARGS)

# The pages that are generated from commands, settings, errors and package docstrings.
docs: setup
	$(BIN)/python -m tools.docs

COMPILE := $(BIN)/uv pip compile --quiet --generate-hashes --no-emit-index-url --no-strip-extras --universal --python-version 3.11

# The lock files must not name a registry host.
lock: setup
	$(COMPILE) --extra dev pyproject.toml -o requirements.lock
	$(COMPILE) --extra deploy --constraint requirements.lock pyproject.toml -o deploy/requirements.lock

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis
