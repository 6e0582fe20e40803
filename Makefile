# `make` alone lists the verbs. Windows: see README.md for the same without make.
PYTHON ?= python3
BIN := .venv/bin
ON_ALL_CORES := -n auto --maxprocesses 8 --dist worksteal

.PHONY: help setup demo test check fix clean

help:
	@echo "make demo    set up, run every stage on the sample chats, and chat with the result"
	@echo "make test    set up, and run the tests"
	@echo "make setup   only make .venv and install requirements.txt"
	@echo "make check   formatting, lint, types, then the tests"
	@echo "make fix     repair formatting and lint"
	@echo "make clean   remove .venv (never workspaces/)"

setup: .venv/.main
demo: setup
	$(BIN)/python -m pipeline demo

test: .venv/.dev
	$(BIN)/python -m pytest $(ON_ALL_CORES)

check: .venv/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest $(ON_ALL_CORES)

fix: .venv/.dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf .venv

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/.main: requirements.txt | .venv/bin/python
	$(BIN)/python -m pip install --disable-pip-version-check -r requirements.txt
	@touch $@

.venv/.dev: requirements.txt requirements-dev.txt requirements-extra.txt | .venv/bin/python
	$(BIN)/python -m pip install --disable-pip-version-check -r requirements-dev.txt
	$(BIN)/python -m pip install --disable-pip-version-check --no-deps -r requirements-extra.txt
	@touch $@ .venv/.main
