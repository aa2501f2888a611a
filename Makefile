# Everything on a fresh machine that has Python 3.11, 3.12, 3.13 or 3.14; nothing else is needed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.PHONY: install run test bench quality check format docs clean

install: $(INSTALLED)

run: $(INSTALLED)
	@$(BIN)/recserve run

test: $(INSTALLED)
	@$(BIN)/python -m pytest

# make bench ONLY=seed runs one part; python -m benchmarks --help names them all.
bench: $(INSTALLED) $(VENV)/.bench
	@$(BIN)/python -m benchmarks $(addprefix --only=,$(ONLY)) $(BENCH)

# make quality ONLY=demo runs one part; python -m benchmarks.quality --help names them all.
quality: $(INSTALLED) $(VENV)/.bench
	@$(BIN)/python -m benchmarks.quality $(addprefix --only=,$(ONLY)) $(QUALITY)

check: $(INSTALLED)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(INSTALLED)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# The old page stays when the command fails.
docs: $(INSTALLED)
	@$(BIN)/recserve settings > $(VENV)/settings.md
	@cp $(VENV)/settings.md docs/settings.md

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache

$(INSTALLED): pyproject.toml constraints.txt serve_app/domain/scoring/_trees.c
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(None if (3, 11) <= v < (3, 15) else "recserve needs Python 3.11, 3.12, 3.13 or 3.14; $(PYTHON) is %d.%d: try make PYTHON=python3.12" % v)'
	@echo "installing into $(VENV): about two minutes, 1.2 GB"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

$(VENV)/.bench: $(INSTALLED)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[bench]'
	@touch $@
