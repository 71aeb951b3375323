# Needs Python 3.11 or newer, make and git; everything else goes into .venv, pinned by requirements/*.txt.
PYTHON ?= python3
ARGS ?=

# A clone that was moved has a dead .venv: the folder's path is part of the stamps' names, so it is made anew.
HERE := $(shell pwd -P | cksum | cut -d ' ' -f 1)
RUN := .venv/.run-$(HERE)
HOUSE := .venv/.house-$(HERE)
DEV := .venv/.dev-$(HERE)

# What the shell adds to Python's path is no part of the set-up; and what Python has compiled it keeps, for the tests
# start headrace some hundred times.
unexport PYTHONPATH PYTHONHOME PYTHONDONTWRITEBYTECODE

# -P keeps the root, and so its links, off sys.path.
TOOL := .venv/bin/python -P -m
INSTALL := $(TOOL) pip install -qq --disable-pip-version-check --only-binary :all:

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: demo test check chaos bench lock format clean help

demo: $(HOUSE) ## run examples/purchases.yaml and registry.yaml to their ends
	@$(TOOL) headrace run examples/purchases.yaml --progress --summary $(ARGS)
	@$(TOOL) headrace run examples/registry.yaml --progress --summary $(ARGS)
	@$(TOOL) headrace registry find examples/registry.yaml reports GROCERY

test: $(HOUSE) $(DEV) ## run all tests (ARGS="-k name" for some)
	@$(TOOL) pytest $(ARGS)

check: $(HOUSE) $(DEV) ## format, lint, types and contracts
	$(TOOL) ruff format --check --quiet
	$(TOOL) ruff check --quiet
	$(TOOL) mypy
	.venv/bin/python -P .venv/bin/lint-imports --no-logo

chaos: $(HOUSE) $(DEV) ## kill services of jobs and pipelines at 50 random moments (HEADRACE_KILLS=200 for more), rotate a log in a storm, flood StatsD, stop a database for 30 s
	@HEADRACE_KILLS=$${HEADRACE_KILLS:-50} HEADRACE_OUTAGE_SECONDS=$${HEADRACE_OUTAGE_SECONDS:-30} $(TOOL) pytest -q -s tests/jobs/running/test_killed.py tests/stages/test_killed.py \
		tests/stages/sources/test_rotation_storm.py tests/stages/sources/test_statsd_flood.py \
		tests/stages/sql/test_outage_storm.py tests/console/web/api/test_connection_storm.py $(ARGS)

bench: $(HOUSE) $(DEV) ## print the budgets as ratios
	@.venv/bin/python -m benchmarks $(ARGS)

format: $(DEV) ## put the code into shape
	$(TOOL) ruff format
	$(TOOL) ruff check --fix

lock: ## pin again (needs uv; ARGS=--upgrade for newer releases)
	@command -v uv >/dev/null || { echo "make lock needs uv: pip install uv, then try again" >&2; exit 1; }
	@for name in dev run; do \
		uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
			$(ARGS) $$(test $$name = run && echo -c requirements/dev.txt) requirements/$$name.in -o requirements/$$name.txt \
			|| exit 1; \
	done

clean: ## remove .venv, caches and builds
	rm -rf .venv dist site .cache .coverage .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find headrace tests benchmarks examples -name __pycache__ -prune -exec rm -rf {} + 2>/dev/null || true

help: ## list these commands
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/make \1	\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 14

$(RUN): requirements/run.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "headrace needs Python 3.11 or newer: install one, or name it with make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "$(PYTHON) lacks its venv module: install it first (on Debian: apt-get install python3-venv)" >&2; exit 1; }
	@echo "Setting up .venv (once) ..."
	@$(PYTHON) -m venv --clear .venv
	@$(INSTALL) --require-hashes -r requirements/run.txt
	@touch $@

$(HOUSE): pyproject.toml headrace/__init__.py $(RUN)
	@$(INSTALL) --no-deps --no-build-isolation --no-index -e .
	@touch $@

$(DEV): requirements/dev.txt $(RUN)
	@echo "Adding what tests and checks need (once) ..."
	@$(INSTALL) --require-hashes -r requirements/dev.txt
	@touch $@
