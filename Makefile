# Python to start from; everything is installed into .venv.
PYTHON ?= python3
BIN := .venv/bin
# What is imported is compiled once, not again by every process that a test starts.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: search install test test-ray test-all test-faults test-mutations test-lowest lint bench gpu honesty ui clean

search: install  ## search the long-tailed digits with the space that ships: the first thing to try
	$(BIN)/autotricks search --space long_tail.yaml

install: .venv/.installed  ## make .venv and install autotricks with tested versions

.venv/.installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python --constraint constraints.txt --editable '.[dev]'
	touch $@

test: install  ## the default tests on two cores, about five minutes; none starts Ray
	$(BIN)/pytest -n 2 --dist worksteal

test-ray: install  ## searches on a real Ray
	$(BIN)/pytest -n 0 -m "ray and not slow and not faults"

test-all: install  ## every test: Ray, faults, whole searches too
	$(BIN)/pytest -m ""

test-faults: install  ## searches killed, starved and cut off, over two hundred times
	$(BIN)/pytest -n 2 --dist loadfile -m faults tests/faults

test-mutations: install  ## deliberate faults, one at a time, each of which the tests must catch
	$(BIN)/python -m tests.mutations

test-lowest: .lowest/.installed  ## the default tests with the lowest versions that pyproject.toml allows
	.lowest/bin/pytest -n 2 --dist worksteal

.lowest/.installed: pyproject.toml
	test -x .lowest/bin/python || $(PYTHON) -m venv .lowest
	.lowest/bin/python -m pip install --quiet uv
	.lowest/bin/uv pip install --quiet --python .lowest/bin/python --resolution lowest-direct --upgrade --editable '.[dev]'
	touch $@

lint: install  ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: install  ## every figure of the speed claims, as a table and bench.json; on an idle machine
	$(BIN)/python benchmarks/run.py

gpu: install  ## what a GPU says in eight minutes, what is most likely broken first: gpu.jsonl and gpu.md
	$(BIN)/python benchmarks/gpu.py --minutes 8

honesty: install  ## whether a search's answer stands, in four studies; about an hour on two cores
	$(BIN)/python benchmarks/honesty.py

ui: install  ## MLflow on this folder's runs
	$(BIN)/autotricks ui

clean:
	rm -rf .venv .lowest build dist *.egg-info
