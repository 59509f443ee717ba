# Everything runs in an environment of its own, .venv, made on first use.
#   make demo       install, then compare the losses on the embedded model and problems
#   make test       install with test extras, then run the default test suite
#   make test-slow  slow tests, and parity with PyTorch, transformers and TRL
#   make figures    redraw all figures from the committed tables
#   make lint       ruff and pyright
#   make docs       rewrite docs/losses/conventions.md from computed numbers
#   make site       build the documentation into site/, to be opened from the disk
#   make notebooks  run docs/notebooks/*.py again and keep what they print
#   make clean      remove what these commands made
# WORKERS=n sets the number of processes that run the tests; 0: none but pytest's own.

PYTHON ?= python3
WORKERS ?= auto
VENV := .venv
BIN := $(VENV)/bin
STAMPS := $(VENV)/.installed
# A file's tests share what its fixtures compile, so they stay in one process.
PARALLEL := -n $(WORKERS) --maxprocesses 4 --dist loadfile

.PHONY: demo test test-slow figures lint docs site notebooks clean

demo: $(STAMPS)/base
	$(BIN)/gradlab compare --out runs/demo --overwrite

test: $(STAMPS)/test
	$(BIN)/python -m pytest $(PARALLEL)

test-slow: $(STAMPS)/parity
	$(BIN)/python -m pytest $(PARALLEL) -m "slow or parity"

figures: $(STAMPS)/base
	$(BIN)/python -m figures

lint: $(STAMPS)/test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright

docs: $(STAMPS)/test
	$(BIN)/python -m docs.generate

site: $(STAMPS)/docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

notebooks: $(STAMPS)/docs
	$(BIN)/python -m docs.execute

clean:
	rm -rf $(VENV) runs build dist site .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/pip:
	$(PYTHON) tools/make_environment.py $(VENV)

$(STAMPS)/base: $(BIN)/pip pyproject.toml
	$(BIN)/pip install --quiet -e .
	mkdir -p $(STAMPS) && touch $@

$(STAMPS)/test: $(STAMPS)/base
	$(BIN)/pip install --quiet -e '.[test]'
	touch $@

$(STAMPS)/docs: $(STAMPS)/base
	$(BIN)/pip install --quiet -e '.[docs]'
	touch $@

# torch first, and its CPU build where pip finds one: see CONTRIBUTING.
$(STAMPS)/parity: $(STAMPS)/test
	$(BIN)/pip install --quiet torch==2.13.0
	$(BIN)/pip install --quiet -e '.[parity,docs]'
	touch $@
