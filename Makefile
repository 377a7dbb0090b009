# Jiexun. `make demo` shows it, `make test` proves it, `make help` lists the rest.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: help install dev demo test lint types audit lock clean

help: ## list the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

install: ## make .venv with the command `jiexun` in it (runtime only: no torch)
	@PYTHON=$(PYTHON) scripts/install

dev: ## the same, with what tests, lint and types need
	@PYTHON=$(PYTHON) scripts/install dev

demo: install ## replay the sample drive and open the duty officer's page at http://127.0.0.1:8000
	@$(BIN)/jiexun demo

test: dev ## run every test: two side by side, then those that want the cores to themselves
	@$(BIN)/python -m pytest -m "not alone" --numprocesses 2 --dist loadfile
	@$(BIN)/python -m pytest -m alone

lint: dev ## ruff, and bandit for what is risky
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .
	@$(BIN)/bandit --quiet -c pyproject.toml -r ingest models vision dispatcher jiexun

types: dev ## mypy, strict
	@$(BIN)/mypy

audit: dev ## known vulnerabilities of every pinned package (pip-audit; needs the internet, and says so)
	@scripts/audit

lock: ## pin every dependency with its hash
	@scripts/lock

clean: ## remove the environment and what demos wrote
	rm -rf .venv jiexun-data build dist *.egg-info
