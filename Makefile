# `make quickstart` goes from a clone to a trained and served captioner; `make test` is what must pass before a change lands.
# `make test-quick` is for work in between: it trains and exports nothing, and takes less than two minutes.
PYTHON ?= python3
PLUGINS := $(sort $(wildcard plugins/mmzoo-*))
BIN := .venv/bin
PYTEST := $(BIN)/python -m pytest -q -n 2 --dist loadfile
# The tests of mmzoo-image call TF-Hub.
INSTALLED := $(PLUGINS:mmzoo-image=mmzoo-image[tfhub])

.PHONY: quickstart install test test-quick check benchmark

quickstart: install
	$(BIN)/mmzoo build recipes/openmoji/captioner.yaml

install: .venv/installed

.venv/installed: setup.cfg $(PLUGINS:%=%/setup.cfg)
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install -q "setuptools<82" wheel
	$(BIN)/pip install -q --no-build-isolation -e ".[test]" $(INSTALLED:%=-e "%")
	touch $@

# In two runs, because a process that tests grows with its modules, to two and a half gigabytes.
test: check
	$(PYTEST) tests
	$(PYTEST) plugins

test-quick: install
	$(PYTEST) -m "not slow"

check: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

benchmark: install
	$(BIN)/python benchmarks/edge.py
	$(BIN)/python benchmarks/pipeline.py
	$(BIN)/python benchmarks/whole.py
