# Everything happens in .venv inside the project; a changed constraints file or pyproject.toml rebuilds it.
PYTHON ?= python3
STUDY ?= studies/digits.toml
BIN := .venv/bin
# One more than two cores: tests that wait for a process, a browser or a server leave theirs to another.
TEST_WORKERS ?= $(shell [ "$$(nproc 2>/dev/null || echo 2)" -gt 3 ] && echo 4 || echo 3)

.PHONY: env run test lint docs gallery clean

env: .venv/.made

.venv/.made: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "zonesearch needs Python 3.11 or newer: make PYTHON=python3.12 ...")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[test]'
	$(BIN)/python -c 'import torch, torchvision'
	touch $@

run: env
	$(BIN)/zonesearch run $(STUDY)

test: env lint
	$(BIN)/python -m pytest --numprocesses $(TEST_WORKERS) --maxprocesses 4 --dist worksteal

lint: env
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: env
	$(BIN)/python -c 'import mkdocs, material, mkdocstrings' 2>/dev/null || \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[docs]'
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet

gallery: env
	$(BIN)/zonesearch gallery studies/digits.toml $(wildcard studies/*_small.toml) --pictures

clean:
	rm -rf .venv site .mypy_cache .ruff_cache .pytest_cache
