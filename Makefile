# `make test` is what must pass; `make install` makes the virtual environment.
PYTHON ?= python3
PLUGINS := $(sort $(wildcard plugins/mmzoo-*))

.PHONY: install test

install: .venv/installed

.venv/installed: setup.cfg $(PLUGINS:%=%/setup.cfg)
	test -x .venv/bin/python || $(PYTHON) -m venv .venv
	.venv/bin/pip install -q "setuptools<82" wheel
	.venv/bin/pip install -q --no-build-isolation -e ".[test]" $(PLUGINS:%=-e %)
	touch $@

test: install
	.venv/bin/ruff check mmzoo plugins tests
	.venv/bin/python -m pytest -q plugins tests
