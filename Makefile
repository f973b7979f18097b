# Everything a contributor types. `make` alone installs; each target sets up what it needs first, once.

VENV ?= .venv
PYTEST_ARGS ?=
BENCH_ARGS ?=
CHAOS_ARGS ?=
MINUTES ?=
LOCK_ARGS ?=

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -qq
RUNTIME := $(VENV)/.muster-runtime
DEV := $(VENV)/.muster-dev

install: $(RUNTIME) ## install Muster into .venv

demo: $(RUNTIME) ## run Muster in a workspace on this machine; prints one URL
	@$(BIN)/muster demo

test: $(DEV) ## pass the tests (PYTEST_ARGS="-k room")
	@$(BIN)/pytest --quiet --numprocesses 2 --dist loadfile --max-worker-restart 1 $(PYTEST_ARGS)

lint: $(DEV) ## style, types and layers
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

bench: $(DEV) ## measure what Muster promises (BENCH_ARGS=--smoke)
	@$(BIN)/python -m tests.bench $(BENCH_ARGS)

chaos: $(DEV) ## kill it at every named point, lie to it, and print what that costs (MINUTES=10, CHAOS_ARGS=--smoke)
	@$(BIN)/python -m tests.chaos $(if $(MINUTES),--minutes $(MINUTES)) $(CHAOS_ARGS)

screenshots: $(DEV) ## photograph the main screens into docs/img/ (needs Chromium)
	@$(BIN)/python -m tests.screenshots

lock: $(BIN)/pip ## resolve the dependencies anew (LOCK_ARGS=--upgrade); needs the network
	@$(BIN)/python -m venv $(VENV)/lock
	@$(VENV)/lock/bin/python -m pip --disable-pip-version-check --quiet install pip-tools
	@$(call compile,requirements.lock,--build-deps-for editable)
	@$(call compile,requirements-dev.lock,--build-deps-for editable --extra dev --constraint requirements.lock)

clean: ## remove what was installed and built; .muster, where incidents are, stays
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find bot tests -name __pycache__ -type d -prune -exec rm -rf {} +

help: ## show this list
	@awk -F ':.*## ' '/^[a-z][a-z-]*:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: install demo test lint bench chaos screenshots lock clean help

# Both locks hold the hash of every file. The project itself needs no network: what builds it is in the lock as well.
define install
	@echo "Installing Muster into $(VENV) from $(1) ..."
	@$(PIP) install --require-hashes --requirement $(1)
	@$(PIP) install --no-deps --no-build-isolation --no-index --editable .
	@touch $@
endef

$(RUNTIME): requirements.lock pyproject.toml | $(BIN)/pip
	$(call install,requirements.lock)

$(DEV): requirements-dev.lock pyproject.toml | $(BIN)/pip
	$(call install,requirements-dev.lock)
	@touch $(RUNTIME)

# A python3.13 on the PATH may be a shim without a Python behind it, and Debian's lacks venv: only running it tells.
$(BIN)/pip:
	@for python in python3.13 python3.12 python3.11 python3; do \
	  if $$python -c 'import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then \
	    exec $$python -m venv --clear $(VENV); \
	  fi; \
	done; \
	echo "Muster needs Python 3.11 or newer with venv: apt install python3 python3-venv (Debian, Ubuntu), brew install python (macOS), or python.org/downloads" >&2; \
	exit 1

# Hashes of all platforms' files, and no address of any registry.
compile = CUSTOM_COMPILE_COMMAND="make lock" $(VENV)/lock/bin/pip-compile --quiet --generate-hashes --strip-extras \
  --no-emit-index-url --no-emit-trusted-host --no-emit-find-links --no-emit-options $(LOCK_ARGS) $(2) \
  --output-file $(1) pyproject.toml
