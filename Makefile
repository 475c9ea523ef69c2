# Two commands on a machine with only Python >= 3.11: `make quickstart` and `make test`.
# Each makes .venv and installs what it needs. `PYTHON=python3.13 make test` chooses
# the interpreter; `VENV=.venv313` keeps a second environment beside the first.

PYTHON ?= python3
VENV ?= .venv
RUN ?= runs/ml-100k/quickstart
QUICKSTART_USER ?= 196

BIN := $(VENV)/bin
VERSION := $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])')
# Pinned versions where this Python has them, else the newest that the ranges admit.
CONSTRAINTS := $(wildcard constraints/py$(VERSION).txt)
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check \
	$(if $(CONSTRAINTS),--constraint $(CONSTRAINTS))

.PHONY: help setup setup-test setup-bench setup-recbole setup-tpu quickstart test \
	test-full lint format quality bench bench-full bench-check bench-gpu clean

help:
	@echo 'make quickstart   install, train on MovieLens-100K, recommend, write a report'
	@echo 'make test         lint, types and the fast tests (under 10 minutes on 2 cores)'
	@echo 'make test-full    the slow tests: subprocesses, killed runs, PyTorch parity'
	@echo 'make format       let ruff format the code'
	@echo 'make quality      the quality tables of MovieLens-100K and Cora, into runs/quality'
	@echo 'make setup-tpu    libtpu, for `llmgnn plan` on TPUs that are not here'
	@echo 'make setup-recbole  RecBole, a peer of `make bench-full`, for Python <= 3.11'
	@echo 'make bench        throughput beside PyTorch, PyG and sentence-transformers (under 15 minutes)'
	@echo 'make bench-full   all sizes and peers (hours), then docs/benchmarks.md'
	@echo 'make bench-check  runs that of `make bench` again: did a committed ratio fall?'
	@echo 'make bench-gpu    ceilings, then throughput, on the GPU that is here: within 8 minutes'
	@echo '                  these four install the peers; BENCH="gat ranking" chooses'

$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo 'error: PYTHON: expected Python >= 3.11, got $(VERSION); set PYTHON=python3.11'; exit 2; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.installed: $(VENV)/.made pyproject.toml $(CONSTRAINTS)
	$(PIP_INSTALL) --editable .
	@touch $@

$(VENV)/.installed-test: $(VENV)/.installed
	$(PIP_INSTALL) --editable '.[test]'
	@touch $@

# A server that speaks Bolt, with a Java of its own, for the tests of Neo4j: 71 MB. What
# it depends on is for its Python interface, which they do not use.
$(VENV)/.installed-bolt: $(VENV)/.installed-test
	$(PIP_INSTALL) --no-deps arcadedb-embedded==26.10.2.post1 || \
		echo 'note: no Bolt server for this machine: the tests of Neo4j are skipped'
	@touch $@

setup: $(VENV)/.installed

setup-test: $(VENV)/.installed-test

quickstart: setup
	$(BIN)/llmgnn train ml-100k --out $(RUN) --overwrite
	@echo; echo 'The ten best films for user $(QUICKSTART_USER) ($(BIN)/llmgnn recommend $(RUN) --user $(QUICKSTART_USER)):'
	@$(BIN)/llmgnn recommend $(RUN) --user $(QUICKSTART_USER) --k 10
	@echo; echo 'Report: $(RUN)/report.html'

lint: setup-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: setup-test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

test: lint
	$(BIN)/pytest -m 'not slow' -n 2 --dist worksteal

test-full: setup-test $(VENV)/.installed-bolt
	$(BIN)/pytest -m slow -n 2 --dist worksteal

quality: setup
	$(BIN)/python -m benchmarks.quality_ml100k --json runs/quality/ml-100k.json
	$(BIN)/python -m benchmarks.quality_cora --json runs/quality/cora.json

# torch-sparse and torch-scatter have no wheels for new versions of PyTorch: they are built
# from source against the one that is there, which takes about 15 minutes once.
$(VENV)/.installed-bench: $(VENV)/.installed
	$(PIP_INSTALL) --editable '.[bench]' setuptools wheel ninja
	$(PIP_INSTALL) --no-build-isolation torch-scatter torch-sparse || \
		echo 'note: the rows of torch-sparse will be missing'
	@touch $@

setup-bench: $(VENV)/.installed-bench

# In an environment of its own: RecBole 1.2.1 calls what SciPy 1.13 has no more, that SciPy
# wants an old NumPy, and its `ray` has wheels up to Python 3.11: RECBOLE_BASE chooses one.
RECBOLE_VENV ?= .venv-recbole
RECBOLE_BASE ?= $(PYTHON)

$(RECBOLE_VENV)/.installed:
	$(RECBOLE_BASE) -m venv $(RECBOLE_VENV)
	$(RECBOLE_VENV)/bin/python -m pip install --quiet --disable-pip-version-check \
		'recbole==1.2.1' 'torch>=2.9' 'numpy<2' 'scipy<1.13'
	@touch $@

setup-recbole: $(RECBOLE_VENV)/.installed

# In an environment of its own: where libtpu is, every start of JAX looks for a TPU.
TPU_VENV ?= .venv-tpu

$(TPU_VENV)/.installed: pyproject.toml $(CONSTRAINTS)
	$(PYTHON) -m venv $(TPU_VENV)
	$(TPU_VENV)/bin/python -m pip install --quiet --disable-pip-version-check \
		$(if $(CONSTRAINTS),--constraint $(CONSTRAINTS)) --editable '.[tpu]'
	@touch $@

setup-tpu: $(TPU_VENV)/.installed

# Names of benchmarks, e.g. BENCH="gat ranking"; by default all of benchmarks/suite.py.
BENCH ?=

bench: setup-bench
	$(BIN)/python -m benchmarks.suite $(BENCH)

bench-full: setup-bench
	$(BIN)/python -m benchmarks.suite --full $(BENCH)
	$(BIN)/python -m benchmarks.benchmarks_page

# PARTS="propagation ranking" chooses; on a machine that has all packages, with no
# environment of this project: `python -m benchmarks.accelerator`, see its README.
PARTS ?=

bench-gpu: setup-bench
	$(BIN)/python -m benchmarks.accelerator --budget 450 \
		--json benchmarks/results/gpu.json $(if $(PARTS),--parts $(PARTS))

bench-check: setup-bench
	$(BIN)/python -m benchmarks.check $(BENCH)

clean:
	rm -rf $(VENV) $(TPU_VENV) $(RECBOLE_VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache
