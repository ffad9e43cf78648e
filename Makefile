# make run        sets up, trains the sample lake through the Prefect flow, prints what it learnt
# make test       sets up, runs the tests
# make test-fast  the tests of single rooms only, in less than a minute on two free cores
# make test-others  the other tests
# make check      lint, format, types, and who may import whom
# make torture    the tests of faults, REPEAT times as many cases (20), with another SEED each time
# make reports    makes the example pages of docs/reports again
# make soak       a schedule whose flow, worker and server are killed at random, for SOAK_MINUTES (30)
# make quality    one pass against the batch optimum and peers, on 26 tasks (a quarter of an hour)
# make clean      removes what the targets above have made

# Many tests start processes, each of which would compile the source again.
unexport PYTHONDONTWRITEBYTECODE

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

# Prefect keeps its database here and sends no reports of its use.
export PREFECT_HOME := $(CURDIR)/.onepass/prefect
export PREFECT_SERVER_ANALYTICS_ENABLED := false
export DO_NOT_TRACK := 1
export PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS := 120
export PREFECT_LOGGING_LEVEL ?= WARNING

.PHONY: setup run test test-fast test-others check torture reports soak quality clean

setup: $(READY)

$(READY): pyproject.toml constraints.txt
	@echo "setting up $(VENV) (once; a minute or two) ..."
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "onepass needs Python 3.11 or newer: make PYTHON=python3.12 ...")'
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $(READY)

run: setup
	@echo "training data_samples/job.yaml through the Prefect flow, from an empty model"
	@echo "(Prefect starts a server of its own first, which takes 10 to 20 seconds) ..."
	@rm -rf .onepass/models/deliveries
	@mkdir -p $(PREFECT_HOME)
	@$(BIN)/python -m prefect_onepass.train --config data_samples/job.yaml

# More arguments for pytest: make test PYTEST_ARGS="--cov=onepass"
PYTEST_ARGS ?=
# One process more than cores: tests of schedules and of clusters wait most of their time. Threads of
# BLAS would wait for each other; a run of onepass has one as well.
PYTEST := OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest -n 3 --dist loadfile $(PYTEST_ARGS)

test: setup
	@echo "running the tests ..."
	@$(PYTEST)

# Rooms by themselves. Left apart: whole lakes fitted or measured, processes killed, object stores.
ROOMS := $(addprefix tests/,cloud encode lake learn ledger model stream survey \
	test_arrays.py test_block.py test_jit.py test_job.py test_jobfile.py test_promises.py test_text.py)
APART := $(addprefix tests/,lake/test_remote.py learn/newton/test_hybrid.py ledger/test_leftovers.py \
	ledger/store/test_every_store.py ledger/store/test_remote_store.py model/test_memory.py)
OTHERS := $(APART) $(filter-out $(ROOMS),$(patsubst %/,%,$(wildcard tests/*/)) $(wildcard tests/test_*.py))

test-fast: setup
	@$(PYTEST) -q $(ROOMS) $(addprefix --ignore=,$(APART))

# What test-fast leaves out.
test-others: setup
	@$(PYTEST) -q $(OTHERS)

REPEAT ?= 20
SEED ?= $(shell date +%s)

torture: setup
	@echo "torturing: REPEAT=$(REPEAT) SEED=$(SEED) ..."
	@REPEAT=$(REPEAT) SEED=$(SEED) $(BIN)/python -m pytest tests/faults tests/ledger

SOAK_MINUTES ?= 30

soak: setup
	@SOAK_MINUTES=$(SOAK_MINUTES) SEED=$(SEED) $(BIN)/python tests/soak.py

# .pre-commit-config.yaml runs the same commands.
check: setup
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

reports: setup
	@$(BIN)/python docs/reports/make.py

quality: setup
	@$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev,benchmarks]'
	@$(BIN)/python benchmarks/quality.py --peers tuned

clean:
	rm -rf $(VENV) .onepass .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .coverage build *.egg-info
	@# numba caches compiled code by the file it is in, and does not notice changes of the code it calls.
	find pipeline -name '*.nb[ic]' -delete
