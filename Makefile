# One door to every job. `make` alone lists them.
SHELL := /bin/bash
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Files stay whole, so that what a file sets up once is set up once; the slow ones (tests/acceptance) go first.
BY_FILE := --dist loadfile --no-loadscope-reorder
export TF_CPP_MIN_LOG_LEVEL ?= 2
# Several test processes share the cores: threads of matrix products that wait for each other made some tests ten times as dear.
ONE_THREAD_EACH := OPENBLAS_NUM_THREADS=1
# Collecting the tests takes half as long where their compiled form is kept.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help install demo test every-test backends chaos unit lint format clean

help: ## list the jobs
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 18

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || { echo "vaeval needs Python 3.11, 3.12 or 3.13: TensorFlow has no build for others. Received: $$($(PYTHON) --version 2>&1). Next: make PYTHON=/path/to/python3.11 demo" >&2; exit 1; }
	@echo "Installing into $(VENV) (once; a few minutes)" >&2
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || { rm -rf $(VENV); $(PYTHON) -m venv $(VENV); } || { rm -rf $(VENV); echo "Python could not make a virtual environment. Next: install its venv module (Debian and Ubuntu: apt install python3-venv), or make PYTHON=/path/to/another/python" >&2; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $(STAMP)

install: $(STAMP) ## create the virtual environment and install vaeval into it

demo: install ## train a small VAE, evaluate five checkpoints of it, print the leaderboard
	@$(BIN)/vaeval demo

test: install ## everything: lint and all tests
	@+$(MAKE) --no-print-directory --keep-going --jobs 2 lint every-test

every-test: install
	@$(ONE_THREAD_EACH) $(BIN)/python -m pytest --numprocesses 3 $(BY_FILE)

backends: install ## PyTorch, JAX, torch-fidelity and lpips beside TensorFlow: installs them, then the tests that compare with them
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev,jax,torch]' tqdm
	@# Without what torchvision asks for: a build of it for another PyTorch will do, for none of its operators is called.
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --no-deps torch-fidelity torchvision lpips
	@$(BIN)/python -m pytest -p no:xdist --strict-markers -m backend tests/numerics

chaos: install ## seeded failures on both databases: 200 simulated schedules, 100 interleaved, 40 of real processes each; an hour
	@for database in sqlite postgresql; do \
		$(BIN)/python -m tests.chaos simulated $$database 0 200 || exit 1; \
		$(BIN)/python -m tests.chaos interleaved $$database 0 100 || exit 1; \
		$(BIN)/python -m tests.chaos processes $$database 0 40 || exit 1; \
	done
	@VAEVAL_TEST_EXAMPLES=300 $(BIN)/python -m pytest --timeout 0 tests/laws/test_store_machine.py

unit: install ## the fast tests alone
	@$(ONE_THREAD_EACH) $(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 $(BY_FILE) -m "not service and not slow and not tensorflow" tests/unit

lint: install ## ruff, mypy, import contracts
	@$(BIN)/ruff format --check --quiet . || { echo "Run: make format" >&2; exit 1; }
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --verbose >/dev/null || $(BIN)/lint-imports

format: install ## rewrite the code in the house format
	@$(BIN)/ruff format --quiet .
	@$(BIN)/ruff check --quiet --fix .

clean: ## remove the virtual environment and caches
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
