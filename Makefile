# make report   set up .venv and run the main job      (LOSSES="quadratic 'exp(x)-x-1'" for your own)
# make test     set up .venv and run the whole test suite
# make app      set up .venv and open the loss designer   (PORT=2718; HEADLESS=1 opens no browser)
PYTHON ?= python3
LOSSES ?=
OUT ?= report
PORT ?= 2718
HEADLESS ?=
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: report app test figures notebooks paper clean

report: $(READY)
	$(BIN)/divergence-lab report $(LOSSES) --out $(OUT)

app: $(READY)
	MARIMO_SKIP_UPDATE_CHECK=1 $(BIN)/python -m marimo run divergence_lab/app/page.py --port $(PORT) $(if $(HEADLESS),--headless)

test: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2

figures: $(READY)
	@set -e; for script in figures/*.py; do echo "$$script"; $(BIN)/python $$script; done

notebooks: $(READY)
	$(BIN)/python notebooks/runner/execute.py notebooks/*.py

paper: $(READY)
	@set -e; for script in paper_checks/*.py; do echo "$$script"; $(BIN)/python $$script; done

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
	  { echo "divergence_lab needs Python 3.11 to 3.13; name one: make PYTHON=python3.12"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test]'
	touch $@

clean:
	rm -rf $(VENV) build *.egg-info
