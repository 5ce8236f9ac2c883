# DenseLens. `make help` lists the targets; `make demo` and `make test` need Python 3.11 (to 3.13) and nothing else.

# Spinning OpenMP threads starve each other on a busy machine: a hundredfold slower where two processes share two cores.
export OMP_WAIT_POLICY ?= PASSIVE

PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3 python; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' >/dev/null 2>&1 && { echo $$p; break; }; done)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# auto: uv, and pip where uv cannot be had or fails; pip: pip alone.
INSTALLER ?= auto
TEST_PACKAGES := dcmtk dicom3tools postgresql chromium fonts-dejavu-core poppler-utils
TEST_PROGRAMS := dcmdump dciodvfy pg_lsclusters chromium pdftotext
PYTEST_ARGS ?=
DEMO_ARGS ?=
# liver_on_real_scans needs scans of your own: `denselens bench liver_on_real_scans -- --data DIR`.
BENCHMARKS ?= $(filter-out liver_on_real_scans,$(basename $(notdir $(sort $(wildcard benchmarks/[a-z]*.py)))))

# uv does not read pip's variables; what the environment gives to pip is handed on under uv's names.
empty :=
space := $(empty) $(empty)
comma := ,
ifneq ($(strip $(PIP_FIND_LINKS)),)
export UV_FIND_LINKS ?= $(subst $(space),$(comma),$(strip $(PIP_FIND_LINKS)))
endif
ifneq ($(strip $(PIP_INDEX_URL)),)
export UV_DEFAULT_INDEX ?= $(strip $(PIP_INDEX_URL))
endif
ifneq ($(strip $(PIP_EXTRA_INDEX_URL)),)
export UV_INDEX ?= $(strip $(PIP_EXTRA_INDEX_URL))
endif
UV_FLAGS := $(if $(filter 1 true True on yes,$(PIP_NO_INDEX)),--no-index)
ifneq ($(strip $(PIP_CERT)),)
export SSL_CERT_FILE ?= $(strip $(PIP_CERT))
endif
# As pip does: the best version of all indexes, not the first index that knows the name.
export UV_INDEX_STRATEGY ?= unsafe-best-match
# Bytecode is compiled now, by all cores, rather than at the first start of the command.
export UV_COMPILE_BYTECODE ?= 1

.DEFAULT_GOAL := help
.PHONY: help setup demo picture demo-weights test test-slow test-deps lint format bench clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

setup: $(STAMP) ## the environment in .venv, made once and again when its lists change

$(STAMP): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "DenseLens needs Python 3.11 to 3.13 and none was found: install one, or run make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@rm -f $(STAMP)
	$(PYTHON) -m venv $(VENV)
	@if [ "$(INSTALLER)" != pip ] \
		&& $(BIN)/python -m pip install --quiet -c constraints.txt uv \
		&& $(BIN)/uv pip install $(UV_FLAGS) --python $(BIN)/python -c constraints.txt -e ".[dev]"; then :; \
	else \
		echo "uv is not used: installing with pip, which takes some minutes"; \
		$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[dev]"; \
	fi
	@touch $(STAMP)

demo: $(STAMP) ## phantoms of every task, scored with the weights that ship, found beside truth
	$(BIN)/denselens demo $(DEMO_ARGS)

picture: $(STAMP) ## the pictures of the review app, from the demonstration's phantoms (needs Chromium)
	$(BIN)/denselens demo --out build/demo --no-browser
	$(BIN)/python -m tests.app.browser.readme_picture build/demo docs/images

demo-weights: $(STAMP) ## train the weights that ship and come from phantoms again, from their fixed seeds
	$(BIN)/python -m pipelines.demo_weights
	$(BIN)/python -m pipelines.coarse_weights
	$(BIN)/python -m pipelines.chest_phantom_weights
	$(BIN)/python -m pipelines.patch_weights
	$(BIN)/python -m pipelines.refiner_weights

test: $(STAMP) ## linters, types, import rules, budgets and tests, except the slow ones
	@$(BIN)/python -m pytest $(PYTEST_ARGS)

test-slow: $(STAMP) ## the proofs that take minutes
	@$(BIN)/python -m pytest -m slow $(PYTEST_ARGS)

test-deps: ## system programs that only tests need (apt; asks for root through sudo)
	@missing=""; for program in $(TEST_PROGRAMS); do command -v $$program >/dev/null 2>&1 || missing="$$missing $$program"; done; \
	if [ -z "$$missing" ]; then echo "test-deps: nothing to install, found $(TEST_PROGRAMS)"; exit 0; fi; \
	if ! command -v apt-get >/dev/null 2>&1; then \
		echo "test-deps: missing$$missing, and there is no apt-get here: install $(TEST_PACKAGES) with your system's package manager" >&2; exit 1; fi; \
	sudo=""; if [ "$$(id -u)" != 0 ]; then \
		command -v sudo >/dev/null 2>&1 || { echo "test-deps: missing$$missing: run make test-deps as root, there is no sudo here" >&2; exit 1; }; \
		sudo="sudo"; fi; \
	$$sudo apt-get update -qq && $$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $(TEST_PACKAGES)

lint: $(STAMP) ## the linters alone
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(STAMP) ## write the sources the way the linters want them
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(STAMP) ## every workload in benchmarks/, beside its peers (BENCHMARKS=name for one)
	$(BIN)/denselens bench $(BENCHMARKS)

clean: ## remove caches and build products; the environment, results and weights stay
	rm -rf .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis build dist *.egg-info
	find app pipelines networks datasets tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
