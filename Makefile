# `make` alone says what there is. Every target makes .venv first if it is not there.

PYTHON ?= python3
# Options for installing torch alone, such as the index of its CPU builds (about 200 MB instead of several GB on Linux).
TORCH_OPTIONS ?=
CORES ?= all
OUT ?= results

VENV := .venv
READY := $(VENV)/.installed
BIN := $(VENV)/bin
# rules call `cdmrun` by name
RUN := PATH="$(abspath $(BIN)):$$PATH"

.DEFAULT_GOAL := help
.PHONY: help install tables demo report reference test test-faults test-slurm bench lint clean

help:  ## this list
	@echo "How few steps are enough, and at what loss."
	@echo
	@grep -hE '^[a-z-]+:.*##' Makefile | sed -E 's/^([a-z-]+):.*## */make \1	/' | expand -t 20
	@echo
	@echo "Variables: PYTHON=$(PYTHON)  CORES=$(CORES)  OUT=$(OUT)  TORCH_OPTIONS=$(TORCH_OPTIONS)"

install: $(READY)  ## only make the virtual environment (.venv)

tables: $(READY)  ## run every specs/*.yaml: tables, figures and report.html below results/
	$(RUN) snakemake --cores $(CORES) --config out=$(OUT)
	@echo "tables: $(OUT)/tables  figures: $(OUT)/figures  report: $(OUT)/report.html"

demo: $(READY)  ## a first table and figure from an exact target, in under three minutes
	$(RUN) snakemake --cores $(CORES) --config specs=specs/demo/exact.yaml out=$(OUT)/demo
	@echo; cat $(OUT)/demo/tables/demo-exact.md
	@echo; echo "figures: $$(ls $(OUT)/demo/figures/*.png | tr '\n' ' ')"
	@echo "report:  $(OUT)/demo/report.html"

report: $(READY)  ## write report.html anew from the scores that are there
	$(RUN) cdmrun report --partial --out $(OUT)

reference: $(READY)  ## write results/reference anew from complete results below OUT
	$(RUN) cdmrun reference --out $(OUT)

test: $(READY)  ## run the tests
	$(RUN) OMP_NUM_THREADS=1 pytest -n 2 --dist loadfile

test-faults: $(READY)  ## kill a workflow fifty times at random moments (some minutes)
	$(RUN) OMP_NUM_THREADS=1 pytest -m faults tests/faults

test-slurm: $(READY)  ## run a small experiment on a real SLURM of its own (root on Debian: installs slurm-wlm if missing)
	tests/slurm/install.sh
	$(RUN) OMP_NUM_THREADS=1 pytest -m slurm tests/slurm

# flow_matching may not be had, or not be wanted for its licence (CC BY-NC): then it is left out.
bench: $(READY)  ## speed against peers, students against teachers, what the runner costs, how all grows (minutes)
	-$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[bench]'
	$(BIN)/python benchmarks/bench.py --out $(OUT)

lint: $(READY)  ## check style (ruff), types (mypy) and the shipped specs
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/cdmrun validate specs/*.yaml specs/demo/*.yaml specs/ablations/*.yaml specs/gpu/*.yaml specs/search/*.yaml specs/tiny/*.yaml

clean:  ## remove caches; results and .venv stay
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist *.egg-info
	find . -name __pycache__ -type d -not -path './$(VENV)/*' -not -path './$(OUT)/*' -prune -exec rm -rf {} +

# torch comes first and alone, at its pinned version: a bare range could fetch another build of several gigabytes.
$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	    { echo "cdmrun needs Python 3.11 or later, $(PYTHON) is $$($(PYTHON) --version 2>&1); try: make PYTHON=python3.12" >&2; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(TORCH_OPTIONS) "$$(grep '^torch==' constraints.txt)"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@
