# `make demo` and `make test` are all that a newcomer needs; each sets up what it needs first.
SHELL := /bin/sh
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
PY := $(BIN)/python
SCALE ?= 0.01

.PHONY: help setup demo test lint synth wheels bench snapshots lock stop clean
.DEFAULT_GOAL := help

help:
	@echo "make demo    set up, then run the main job in the local cloud (SCALE=0.01)"
	@echo "make test    set up, then pass every test"
	@echo "make setup   set up only        make synth   synthesize all six environments, offline"
	@echo "make bench   measure extract    make wheels  build the jobs' packages for deployment"
	@echo "make stop    stop the local cloud"

# ---- set-up: Python packages, Node and the CDK CLI, Java, Spark's jars and Java's archive; quick when repeated -----
setup: .venv/.installed node_modules/.installed .cache/jars/.resolved .cache/java/.made

.venv/.installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11) and "Python 3.11 is needed and this is " + sys.version.split()[0] + "; set PYTHON=/path/to/python3.11")'
	@echo "setup 1/4: Python packages (a few minutes the first time)"
	@test -x $(PY) || "$(PYTHON)" -m venv .venv
	@$(PY) -m pip install --quiet --disable-pip-version-check --no-compile --no-deps --require-hashes -r requirements.lock
	@$(PY) -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps -e .
	@$(PY) -m compileall -q -j 0 .venv/lib >/dev/null 2>&1 || true
	@touch $@

node_modules/.installed: package-lock.json .npmrc .venv/.installed
	@echo "setup 2/4: the CDK CLI"
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/npm ci --silent --no-fund --no-audit
	@touch $@

.cache/jars/.resolved: local_cloud/jars.py .venv/.installed
	@echo "setup 3/4: Spark's jars"
	@$(PY) -m local_cloud.jars >/dev/null
	@touch $@

# Everything works without the archive, so a failure is only told; the next `make setup` tries again.
.cache/java/.made: .cache/jars/.resolved
	@echo "setup 4/4: Java's class data archive, which makes Java start faster (half a minute the first time)"
	@mkdir -p $(@D)
	@if $(PY) -m local_cloud.java_archive >/dev/null 2>$(@D)/error.log; then rm -f $(@D)/error.log; touch $@; \
		else echo "no archive was made, so Java starts slower; nothing else changes. Why: $(@D)/error.log"; fi

# ---- what people run ----------------------------------------------------------------------------------------------
demo: setup
	@$(PY) -m local_cloud.demo --scale $(SCALE)

test: setup lint
	@$(PY) -m pytest

lint: .venv/.installed
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(PY) -m mypy app.py constructs/etl_constructs glue_scripts local_cloud operations stacks

synth: setup
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/node node_modules/aws-cdk/bin/cdk synth --quiet
	@echo "templates of every environment are in cdk.out/"

wheels: .venv/.installed
	@$(PY) -m operations.wheels build

bench: setup
	@$(PY) -m benchmarks.run

snapshots: setup
	@$(PY) -m pytest tests/stacks --update-snapshots

stop: .venv/.installed
	@$(BIN)/etl local stop

# ---- upkeep -------------------------------------------------------------------------------------------------------
lock: .venv/.installed
	@$(BIN)/uv pip compile requirements-dev.txt --universal --python-version 3.11 --generate-hashes --no-header \
		--no-emit-index-url --no-emit-find-links --quiet --output-file requirements.lock

# A cloud whose folder is gone could not be stopped any more.
clean:
	-@test ! -x $(BIN)/etl || $(BIN)/etl local stop
	rm -rf .local .cache build cdk.out .pytest_cache .mypy_cache .ruff_cache
