# `make run` and `make test` need Python 3.11 and make, nothing else. `make help` lists the rest.
SHELL := /bin/sh
.DEFAULT_GOAL := help
.SUFFIXES:

PYTHON ?= $(shell command -v python3.11 || command -v python3)
UV_VERSION := 0.13.8
VENV := .venv
BIN := $(VENV)/bin
PY := $(BIN)/python
INSTALL := $(PY) -m uv pip install --quiet --compile-bytecode --python $(PY)
PACKAGES := astrade accounts marketdata trading gamification
# What tests and the processes they start import is compiled once, not by each of them, whatever the shell says of bytecode.
COMPILED := env -u PYTHONDONTWRITEBYTECODE

.PHONY: help run dev migrate seed test check campaign bench smoke smoke-live testnet-smoke sdk-check openapi clean

help:  ## this list
	@sed -n 's/^\([a-z-]*\):.*  ## /\1\t/p' $(MAKEFILE_LIST) | expand -t 15

# Each stamp is newer than what it was made from, so a second run does nothing and needs no network.
$(VENV)/stamp-uv:
	@echo "Making $(VENV) …"
	@$(PYTHON) -c 'import sys; sys.exit("AsTrade needs Python 3.11 or newer: make PYTHON=/path/to/python3.11" if sys.version_info < (3, 11) else 0)'
	@$(PYTHON) -m venv $(VENV)
	@$(PY) -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	@touch $@

$(VENV)/stamp-local: $(VENV)/stamp-uv requirements.txt requirements-local.txt
	@echo "Installing packages …"
	@$(INSTALL) -r requirements-local.txt
	@touch $@

$(VENV)/stamp-dev: $(VENV)/stamp-local requirements-dev.txt
	@echo "Installing packages for tests …"
	@$(INSTALL) -r requirements-dev.txt
	@touch $@

.venv-bench/stamp: $(VENV)/stamp-local benchmarks/requirements.txt
	@$(PYTHON) -m venv .venv-bench
	@$(PY) -m uv pip install --quiet --compile-bytecode --python .venv-bench/bin/python -r benchmarks/requirements.txt
	@touch $@

# Named by what it holds, so that a cache of it is found again by the same name and never by another.
SDK_HASH := $(shell cksum < requirements-sdk.txt | cut -d' ' -f1)
.venv-sdk/stamp-$(SDK_HASH): $(VENV)/stamp-local
	@rm -rf .venv-sdk && $(PYTHON) -m venv .venv-sdk
	@$(PY) -m uv pip install --quiet --compile-bytecode --python .venv-sdk/bin/python -r requirements-sdk.txt
	@touch $@

BINANCE_SDK_HASH := $(shell cksum < requirements-binance-sdk.txt | cut -d' ' -f1)
.venv-binance-sdk/stamp-$(BINANCE_SDK_HASH): $(VENV)/stamp-local
	@rm -rf .venv-binance-sdk && $(PYTHON) -m venv .venv-binance-sdk
	@$(PY) -m uv pip install --quiet --compile-bytecode --python .venv-binance-sdk/bin/python -r requirements-binance-sdk.txt
	@touch $@

run: $(VENV)/stamp-local  ## everything on this machine; PORT=8000 FEED=synthetic|replay REPLAY=path WEB_WORKERS=1
	@exec $(PY) manage.py demo

dev: $(VENV)/stamp-local  ## the same with debug pages, restarting the web process when code changes
	@DEBUG=1 LOG_LEVEL=$${LOG_LEVEL:-DEBUG} exec $(PY) manage.py demo --reload

migrate: $(VENV)/stamp-local  ## bring the database up to date
	@exec $(PY) manage.py migrate

seed: migrate  ## markets, a demo user and a staff login
	@exec $(PY) manage.py seed_demo

test: $(VENV)/stamp-dev  ## all tests in their written order, with coverage; ARGS="-k orders" for some (then without the coverage limit)
	@mkdir -p .astrade/coverage && $(PY) -m coverage erase
	@$(COMPILED) $(PY) -m coverage run -m pytest -W error -p no:randomly --numprocesses 2 --dist loadfile --no-loadscope-reorder $(ARGS)
	@$(PY) -m coverage combine --quiet && $(PY) -m coverage report $(if $(ARGS),--fail-under=0)

check: $(VENV)/stamp-dev  ## style, types, layers, migrations, settings, dependencies, OpenAPI
	@sh .ci/check $(PY)

campaign: $(VENV)/stamp-dev  ## the tests at full size; writes docs/reliability.md
	@CAMPAIGN=1 $(COMPILED) $(PY) -m astrade.core.tests.campaign docs/reliability.md

bench: $(VENV)/stamp-local .venv-bench/stamp  ## figures; writes docs/performance.md
	@$(PY) -m benchmarks.orders --write
	@$(PY) -m benchmarks.reads --write
	@$(PY) -m benchmarks.matching --write
	@$(PY) -m benchmarks.portfolio --write
	@$(PY) -m benchmarks.ledger --write
	@$(PY) -m benchmarks.live --write
	@$(PY) -m benchmarks.fanout --write

smoke: $(VENV)/stamp-local  ## a first trade against the running `make run`
	@exec $(PY) examples/first_trade.py

smoke-live: $(VENV)/stamp-local  ## a first live trade of its demo user, at the emulated Extended
	@exec $(PY) examples/first_live_trade.py

testnet-smoke: $(VENV)/stamp-local  ## the same with your own account at Extended's testnet; see docs/live.md
	@exec $(PY) examples/first_live_trade.py --testnet

sdk-check: $(VENV)/stamp-local .venv-sdk/stamp-$(SDK_HASH) .venv-binance-sdk/stamp-$(BINANCE_SDK_HASH)  ## Extended's official SDK, python-binance and ccxt against the emulators and our own /api/v3
	@.venv-sdk/bin/python -m astrade.emulators.tests.sdk_check $(abspath $(PY))
	@.venv-binance-sdk/bin/python -m astrade.emulators.tests.binance_sdk_check $(abspath $(PY))
	@.venv-binance-sdk/bin/python -m astrade.tests.binance_clients_check $(abspath $(PY))

openapi: $(VENV)/stamp-local  ## writes docs/openapi.yaml
	@$(PY) manage.py spectacular --validate --fail-on-warn --file docs/openapi.yaml

clean:  ## removes packages, caches and all local data
	@if [ -e .astrade/lock ] && command -v flock >/dev/null && ! flock --nonblock .astrade/lock true; then \
		echo "AsTrade is running: stop it first"; exit 1; fi
	@rm -rf $(VENV) .venv-bench .venv-sdk .venv-binance-sdk .astrade .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	@find $(PACKAGES) benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
