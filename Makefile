# Needs Python 3.11 or newer, make and git. All packages are installed into .venv, in the versions of requirements/*.txt.
PYTHON ?= python3
ARGS ?=

# A moved clone has a broken .venv. The names of the stamps contain the folder's path, so that .venv is made again.
HERE := $(shell pwd -P | cksum | cut -d ' ' -f 1)
RUN := .venv/.run-$(HERE)
HOUSE := .venv/.house-$(HERE)
DEV := .venv/.dev-$(HERE)

# The shell's Python paths do not apply here. Python keeps compiled bytecode, because the tests start headrace hundreds of times.
unexport PYTHONPATH PYTHONHOME PYTHONDONTWRITEBYTECODE

# -P keeps the root and its links off sys.path.
TOOL := .venv/bin/python -P -m
INSTALL := $(TOOL) pip install -qq --disable-pip-version-check --only-binary :all:

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: demo test check chaos bench lock format clean help

demo: $(HOUSE) ## run examples/purchases.yaml and examples/registry.yaml
	@$(TOOL) headrace run examples/purchases.yaml --progress --summary $(ARGS)
	@$(TOOL) headrace run examples/registry.yaml --progress --summary $(ARGS)
	@$(TOOL) headrace registry find examples/registry.yaml reports GROCERY

test: $(HOUSE) $(DEV) ## run all tests (ARGS="-k name" for some)
	@$(TOOL) pytest $(ARGS)

check: $(HOUSE) $(DEV) ## check format, lint, types and import contracts
	$(TOOL) ruff format --check --quiet
	$(TOOL) ruff check --quiet
	$(TOOL) mypy
	.venv/bin/python -P .venv/bin/lint-imports --no-logo

chaos: $(HOUSE) $(DEV) ## kill job processes and pipelines at 50 random times (HEADRACE_KILLS=200 for more), rotate a log, flood StatsD, stop a database for 30 s
	@HEADRACE_KILLS=$${HEADRACE_KILLS:-50} HEADRACE_OUTAGE_SECONDS=$${HEADRACE_OUTAGE_SECONDS:-30} $(TOOL) pytest -q -s tests/jobs/running/test_killed.py tests/stages/test_killed.py \
		tests/stages/sources/test_rotation_storm.py tests/stages/sources/test_statsd_flood.py \
		tests/stages/sql/test_outage_storm.py tests/console/web/api/test_connection_storm.py $(ARGS)

bench: $(HOUSE) $(DEV) ## print the benchmarks
	@.venv/bin/python -m benchmarks $(ARGS)

format: $(DEV) ## format the code
	$(TOOL) ruff format
	$(TOOL) ruff check --fix

lock: ## pin versions again (needs uv; ARGS=--upgrade for newer releases)
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
	@echo "Adding packages for tests and checks (once) ..."
	@$(INSTALL) --require-hashes -r requirements/dev.txt
	@touch $@
