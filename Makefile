# Every target sets itself up: `make demo` and `make test` work on a fresh clone.
PYTHON ?= python3
VENV ?= .venv
TORCH ?= torch==2.13.0
PYTEST_ARGS ?= -n auto --dist loadfile

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --progress-bar off
READY := $(VENV)/.ready

.PHONY: help demo test quick lint format docs clean

help:
	@echo "make demo    fit, sample and evaluate a shipped table; files in demo-output/"
	@echo "make test    all tests"
	@echo "make quick   the tests that take seconds"
	@echo "make lint    ruff and mypy"
	@echo "make format  put the code in ruff's format"
	@echo "make docs    write docs/cli.md from the program's own help"
	@echo "make clean   remove what these commands made, .venv included"

demo: $(READY)
	$(BIN)/privsynth demo fraud -o demo-output

test: $(READY)
	$(BIN)/python -m pytest $(PYTEST_ARGS)

quick: $(READY)
	$(BIN)/python -m pytest -m "not slow" $(PYTEST_ARGS)

lint: $(READY)
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m mypy --strict

format: $(READY)
	$(BIN)/python -m ruff check --fix .
	$(BIN)/python -m ruff format .

docs: $(READY)
	$(BIN)/python docs/write_cli.py

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
	rm -rf $(VENV) demo-output build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
