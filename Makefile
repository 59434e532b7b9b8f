# Two commands for a fresh machine with Python 3.11+ and make: `make quickstart` and `make test`.
# Each makes the virtual environment .venv when it is not there. pip's own settings (PIP_EXTRA_INDEX_URL, …) are honoured.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: quickstart test fast lint docs clean

quickstart: .venv/.installed
	$(BIN)/modelwright run recipe=pretrain/quickstart

test: lint
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist loadfile # threads of two workers that wait for each other on the same cores took most of some tests' time

fast: lint
	$(BIN)/pytest -m "not slow"

lint: .venv/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

docs: .venv/.dev
	$(BIN)/python docs/build.py

clean:
	rm -rf .venv build *.egg-info

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Modelwright needs Python 3.11 or newer: make PYTHON=python3.11 …"; exit 2; }
	@$(PYTHON) -m venv .venv || { rm -rf .venv; echo "no virtual environment can be made; on Debian: apt install python3-venv"; exit 2; }

# torch first: what depends on it then takes the build that is there, and does not pull another
.venv/.installed: .venv/bin/python pyproject.toml
	@echo "installing into .venv; this takes some minutes, the first time"
	$(BIN)/pip install --quiet --disable-pip-version-check "torch>=2.9,<2.14"
	$(BIN)/pip install --quiet --disable-pip-version-check --editable .
	@touch $@

.venv/.dev: .venv/.installed
	$(BIN)/pip install --quiet --disable-pip-version-check --editable ".[dev]"
	@touch $@
