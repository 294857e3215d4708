# Everything runs in .venv, which is made on first use: Python 3.11 or newer and a package index are all that is needed.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: run test suite test-full slurm-test bench verify-hub verify-paper lint docs clean

run: .venv/.ready ## the main job on the bundled model and data
	$(BIN)/python -m ccs_exp

test: .venv/.ready ## the test suite, offline, on up to four cores, and beside it lint
	@$(MAKE) --no-print-directory --jobs=2 suite lint

suite: .venv/.ready
	$(BIN)/python -m pytest -m "not full" --numprocesses auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

test-full: lint ## with the long tests
	$(BIN)/python -m pytest

slurm-test: .venv/.ready ## sweeps on a Slurm that is started for them: root, and apt-get install slurm-wlm munge
	$(BIN)/python -m pytest tests/sweeps/test_slurm.py -rs

bench: .venv/.ready ## every claim of speed, measured here: about a quarter of an hour on two cores that do nothing else
	$(BIN)/python benchmarks

verify-hub: .venv/.ready ## is the hub as the data sets' configurations record it? needs the network
	$(BIN)/ccs-exp verify-hub

verify-paper: .venv/.ready ## Tables 4 to 6 with real models, against what was published (needs the network)
	$(BIN)/python benchmarks/verify_paper.py

lint: .venv/.ready ## style, arrows between rooms, types
	$(BIN)/ruff check .
	$(BIN)/lint-imports --no-logo
	$(BIN)/mypy

docs: .venv/.ready ## the documentation, into site/; open site/index.html (its search needs a server: python -m http.server -d site)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

.venv/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test]'
	touch $@

clean:
	rm -rf .venv
