# make report   set up .venv and run the main job      (LOSSES="quadratic 'exp(x)-x-1'" for your own)
# make test     set up .venv, lint, and run the whole test suite
# make lint     ruff (rules and format) and pyright
# make test-slow   the long hunts, meant for an hour on two cores
# make page     build/page: the page that needs no server (needs Node.js; downloads by npm and pip)
# make slides   the lessons as slides, in build/slides: pages that need no network
# make app      set up .venv and open the loss designer   (PORT=2718; HEADLESS=1 opens no browser)
PYTHON ?= python3
LOSSES ?=
PRESET ?= quick
OUT ?= report
PORT ?= 2718
HEADLESS ?=
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# a report that was made so is replaced, and nothing else is
MADE_HERE = $(shell grep -ls 'name="generator" content="divergence-lab report"' "$(OUT)/report.html")

.PHONY: report app page lint test test-slow figures notebooks slides paper docs clean

report: $(READY)
	$(BIN)/divergence-lab report $(LOSSES) --out $(OUT) $(if $(MADE_HERE),--overwrite)

app: $(READY)
	MARIMO_SKIP_UPDATE_CHECK=1 $(BIN)/python -P -m divergence_lab.app --port $(PORT) $(if $(HEADLESS),--headless)

page: $(READY)
	$(BIN)/python page/build.py

lint: $(READY)
	$(BIN)/ruff check --quiet
	$(BIN)/ruff format --check --quiet
	$(BIN)/pyright
	$(BIN)/python benchmarks/types_of_theory.py

test: lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2

test-slow: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal -m slow --timeout 3000 --durations 20 -v
	DIVERGENCE_LAB_EXAMPLES=4 OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 tests/test_known_losses.py
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m alone --timeout 3000 --durations 20 -v

figures: $(READY)
	@set -e; for script in figures/*.py; do echo "$$script"; $(BIN)/python $$script; done

notebooks: $(READY)
	$(BIN)/python notebooks/runner/execute.py notebooks/*.py

slides: $(READY)
	$(BIN)/python notebooks/runner/slides.py build/slides

# checks are the scripts that can be run; those that train take a preset: quick, standard or paper
paper: $(READY)
	@set -e; for script in $$(grep -l '^if __name__' paper_checks/*.py); do \
	  preset=$$(grep -q 'presets' $$script && echo '--preset $(PRESET)' || true); \
	  echo "$$script $$preset"; $(BIN)/python $$script $$preset; done

docs: $(READY)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@if test -f build/page/index.html; then cp -R build/page build/site/; \
	  else echo "build/page is not there, so Try it leads nowhere yet: make page docs"; fi
	@echo wrote build/site/index.html

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
	  { echo "divergence_lab needs Python 3.11 to 3.13; name one: make PYTHON=python3.12"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test]'
	touch $@

clean:
	rm -rf $(VENV) build *.egg-info
