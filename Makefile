# `make` alone lists the targets. The work is done by scripts/, which a desk and a build server call alike.
.DEFAULT_GOAL := help
.PHONY: help setup demo test test-services check bench accuracy openapi docs site binary packages lowest clean

PYTHON := .venv/bin/python

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' Makefile

setup: ## virtual environment in .venv, missing system tools (asks first)
	@scripts/setup

demo: ## run the main job once, with a scripted model: no login, no internet
	@scripts/setup claude
	@PATH="$$(scripts/claude-path)" $(PYTHON) -m ccm_orchestrator demo

test: ## everything: set up, check, test
	@scripts/setup claude test-claudes supabase
	@scripts/check
	@scripts/test

test-services: ## boots a machine with the real systemd in a container (root; mmdebstrap, systemd-container)
	@scripts/setup test-claudes services
	@scripts/test-services

check: ## formatting, lint, types, shell scripts
	@scripts/setup
	@scripts/check

bench: ## measure, print ratios, keep JSON in benchmarks/out (ONLY="spawn ingest" for some)
	@scripts/setup claude supabase
	@PATH="$$(scripts/claude-path)" $(PYTHON) -m benchmarks $(ONLY)

accuracy: ## how often agent states are read right, per Claude Code version
	@scripts/setup
	@$(PYTHON) -m benchmarks.accuracy

openapi: ## write docs/openapi.json anew
	@scripts/setup
	@scripts/update-openapi

docs: ## write the generated pages of docs/ anew
	@scripts/setup
	@scripts/update-docs

site: ## the documentation's site in build/site, warnings and dead links are errors
	@scripts/setup
	@scripts/build-site

packages: ## wheel and source archive in dist/, checked
	@scripts/setup packages
	@scripts/build-packages

lowest: ## see that the oldest admitted versions of direct dependencies do (uv; the network)
	@scripts/setup packages
	@scripts/check-lowest

binary: ## the one-file binary dist/ccm-orchestrator, which needs no Python (two minutes)
	@scripts/setup packages
	@scripts/build-binary

clean: ## remove what was built here; downloaded agents in .cache stay
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist benchmarks/out
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
