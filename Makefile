# Every target sets up what it needs: `make demo` and `make test` work on a fresh clone.

VENV := .venv
BIN := $(VENV)/bin
# The first interpreter that is new enough; override with `make PYTHON=/path/to/python3 ...`.
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)

# The official package that benchmarks measure; another version of it plays in the tests.
PEER := $(VENV)/peers/inkbox-0.7.20

# pip compiles what it installs, but not what it only links to.
COMPILE := $(BIN)/python -m compileall -q inkbox_async

.PHONY: demo test generate check bench clean

demo: $(VENV)/.demo ## watch agents at work on the embedded sandbox
	@echo "── Mail ──────────────────────────────────────────"
	@$(BIN)/python examples/support_agent.py --sandbox
	@echo "── Texts, iMessages, calls ───────────────────────"
	@$(BIN)/python examples/channels.py
	@echo "── Vault ─────────────────────────────────────────"
	@$(BIN)/python examples/vault_login.py
	@echo "── Webhooks ──────────────────────────────────────"
	@$(BIN)/python examples/webhook_receiver.py
	@echo "── Tunnel ────────────────────────────────────────"
	@$(BIN)/python examples/tunnel_app.py

test: $(VENV)/.dev ## run every test
	$(BIN)/python -m pytest -q -n auto

generate: $(VENV)/.dev ## write the generated code from the specification
	$(BIN)/python -m codegen

check: $(VENV)/.dev ## lint, format, types, drift of the generated code, validity of the specification
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m codegen --check
	$(BIN)/openapi-spec-validator openapi/inkbox.yaml openapi/sandbox.yaml

bench: $(VENV)/.dev $(PEER)/.installed ## measure beside bare aiohttp and the official package
	$(BIN)/python -m benchmarks

clean: ## remove everything that was set up or cached
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed: make PYTHON=/path/to/python3 ..." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip

$(VENV)/.demo: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet -e '.[demo]'
	@$(COMPILE)
	@touch $@

$(VENV)/.dev: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet -e '.[dev]'
	@$(COMPILE)
	@touch $@ $(VENV)/.demo

$(PEER)/.installed: | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --upgrade --target $(PEER) 'inkbox==0.7.20'
	@touch $@
