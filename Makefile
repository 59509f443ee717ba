# Everything runs in an environment of its own, .venv, made on first use.
#   make demo       install, then compare the losses on the embedded model and problems
#   make test       install with test extras, then run the default test suite
#   make test-slow  slow tests, and parity with PyTorch, transformers and TRL
#   make figures    redraw all figures from the committed tables
#   make lint       ruff and pyright
#   make docs       rewrite docs/losses/conventions.md from computed numbers
#   make site       build the documentation into site/, to be opened from the disk
#   make notebooks  run docs/notebooks/*.py again and keep what they print
#   make dist       the wheel and the source archive, in dist
#   make lock       requirements/lock.txt anew from pyproject.toml; needs uv
#   make licences   rewrite docs/licences.md from the metadata of all dependencies
#   make clean      remove what these commands made
# WORKERS=n sets the number of processes that run the tests; 0: none but pytest's own.

PYTHON ?= python3
WORKERS ?= auto
VENV := .venv
BIN := $(VENV)/bin
STAMPS := $(VENV)/.installed
# A file's tests share what its fixtures compile, so they stay in one process.
PARALLEL := -n $(WORKERS) --maxprocesses 4 --dist loadfile

UV ?= uv

.PHONY: demo test test-slow figures lint docs site notebooks dist lock licences clean

demo: $(STAMPS)/base
	$(BIN)/gradlab compare --out runs/demo --overwrite

test: $(STAMPS)/test
	$(BIN)/python -m pytest $(PARALLEL)

test-slow: $(STAMPS)/parity
	JAX_DISABLE_MOST_OPTIMIZATIONS=0 \
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

dist: $(STAMPS)/test
	rm -rf dist
	$(BIN)/python -m build --no-isolation

# Versions that the file names stay; UPGRADE=--upgrade takes the newest.
lock:
	$(UV) pip compile --quiet --extra test --extra parity --extra docs $(UPGRADE) \
	    --constraint requirements/torch.txt --no-emit-package torch \
	    --python-version 3.11 --python-platform x86_64-manylinux_2_28 \
	    --generate-hashes --no-annotate --custom-compile-command "make lock" \
	    pyproject.toml --output-file requirements/lock.txt

licences: $(STAMPS)/parity
	$(BIN)/pip install --quiet -e '.[hub,tensorboard,wandb,trackio]'
	$(BIN)/python tools/licences.py

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

# torch first: requirements/torch.txt says why.
$(STAMPS)/parity: $(STAMPS)/test
	$(BIN)/pip install --quiet -r requirements/torch.txt
	$(BIN)/pip install --quiet -e '.[parity,docs]'
	touch $@
