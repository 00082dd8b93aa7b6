# Every target sets itself up: `make demo` and `make test` work on a fresh clone.
PYTHON ?= python3
VENV ?= .venv
TORCH ?= torch==2.13.0
PYTEST_ARGS ?= -n auto --dist loadfile
BENCH_ARGS ?=
PRIVSYNTH_BENCH_VENVS ?= benchmarks/.venvs
PEERS ?= sdv arf mostly mbi dpmm

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --progress-bar off
READY := $(VENV)/.ready
BENCH_READY := $(VENV)/.bench-ready

.PHONY: help demo test slow deep lint format docs figures bench bench-peers bench-kernels bench-scaling clean

help:
	@echo "make demo    fit, sample and evaluate a shipped table; files in demo-output/"
	@echo "make test    the tests, but for the slow ones"
	@echo "make slow    the slow tests"
	@echo "make deep    the tests that take longer than CI allows: full fuzz, repeated refits"
	@echo "make lint    ruff and mypy"
	@echo "make format  put the code in ruff's format"
	@echo "make docs    write docs/cli.md from the program's own help"
	@echo "make figures measure the figures that README.md and docs/data.md quote, and write them"
	@echo "make bench   measure speed, fidelity, utility and disclosure beside the peers found;"
	@echo "             make bench-peers installs them, PRIVSYNTH_BENCH_DATA names the tables"
	@echo "make clean   remove what these commands made, .venv included"

demo: $(READY)
	$(BIN)/privsynth demo fraud -o demo-output

test: $(READY)
	$(BIN)/python -m pytest -m "not slow and not deep" $(PYTEST_ARGS)

slow: $(READY)
	$(BIN)/python -m pytest -m "slow and not deep" $(PYTEST_ARGS)

deep: $(READY)
	$(BIN)/python -m pytest -m deep $(PYTEST_ARGS)

lint: $(READY)
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m mypy --strict

format: $(READY)
	$(BIN)/python -m ruff check --fix .
	$(BIN)/python -m ruff format .

docs: $(READY)
	$(BIN)/python docs/write_cli.py

figures: $(READY)
	$(BIN)/python -m benchmarks.figures

# What is kept in benchmarks/.cache is not measured again; bench writes RESULTS.md last.
bench: bench-kernels bench-scaling
	PRIVSYNTH_BENCH_VENVS=$(PRIVSYNTH_BENCH_VENVS) $(BIN)/python -m benchmarks.bench $(BENCH_ARGS)

bench-kernels: $(BENCH_READY)
	mkdir -p benchmarks/.cache
	$(BIN)/python -m pytest -q -p no:xdist benchmarks/kernels/bench_kernels.py \
		--benchmark-json=benchmarks/.cache/kernels.json

bench-scaling: $(READY)
	$(BIN)/python -m benchmarks.scaling

bench-peers: $(PEERS:%=$(PRIVSYNTH_BENCH_VENVS)/%/.ready)

# torchvision's and torchaudio's usual builds do not load beside a torch without CUDA, and the
# tabular network needs neither.
$(PRIVSYNTH_BENCH_VENVS)/%/.ready: benchmarks/requirements/%.txt
	@$(PYTHON) -m venv $(@D)
	@echo "installing into $(@D); this takes a few minutes once"
	@$(@D)/bin/python -m pip install --quiet --disable-pip-version-check $(TORCH)
	@$(@D)/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	@$(@D)/bin/python -m pip uninstall --quiet --yes torchvision torchaudio
	@touch $@

$(BENCH_READY): $(READY)
	@$(PIP) -e '.[dev,bench]'
	@touch $@

# torch comes first: left to the dependencies of sdv, pip may choose a build of several GB.
$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is wanted; name one: make PYTHON=python3.12 ..." >&2; exit 2; }
	@$(PYTHON) -m venv $(VENV) || \
		{ echo "no virtual environment could be made; on Debian: apt-get install python3-venv" >&2; exit 2; }
	@echo "installing into $(VENV); this takes a few minutes once"
	@$(PIP) $(TORCH)
	@$(PIP) -e '.[dev]'
	@touch $@

clean:
	rm -rf $(VENV) benchmarks/.venvs benchmarks/.cache demo-output build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
