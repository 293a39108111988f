# Two commands: `make demo` trains and evaluates a controller, `make test` runs the whole suite.
# Both make .venv first. Choose another interpreter with PYTHON=python3.12.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: demo test lint docs notebooks gpu clean

demo: $(VENV)/.installed-cpu
	$(BIN)/lts demo

test: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder   # a process per core; one for a file, which shares what it compiles; slow ones first

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy

docs: $(VENV)/.installed-dev  # the documents as a site in build/documents/site; nothing is loaded from a network
	$(BIN)/python docs/build.py

notebooks: $(VENV)/.installed-dev  # run all, about a quarter of an hour on 2 cores, and store them with what they showed
	$(BIN)/python notebooks/run.py $(ONLY)

gpu:  # everything that wants an accelerator, at most eight minutes; after pip install -e ".[gpu,dev]" into .venv
	$(BIN)/python experiments/gpu/run.py

# Exact versions for the interpreter at hand, where we have tried them; else the ranges of pyproject.toml.
$(VENV)/.installed-%: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' || \
	  { echo "lts_jax needs Python 3.11, 3.12 or 3.13; choose one with PYTHON=python3.12"; exit 2; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@pinned=constraints/python$$($(BIN)/python -c 'import sys; print("%d.%d" % sys.version_info[:2])').txt; \
	  echo "Installing into $(VENV) (about a minute) ..."; \
	  $(BIN)/python -m pip install --quiet $$(test -f $$pinned && echo "-c $$pinned") \
	    -e ".[$(if $(filter dev,$*),$(VARIANT)dev$(PARITY),$*)]"
	@touch $@

VARIANT := cpu,
# The reference implementation that tests compare with; `make test PARITY=` leaves its two GB out.
PARITY := ,parity

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache
