# Works on a fresh machine that has Python 3.11, 3.12, 3.13 or 3.14; nothing else is needed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

# Two files mark what is installed: everything that `make run` needs, or the developers' tools too.
RUN := $(VENV)/.run
DEV := $(VENV)/.dev

.PHONY: install run test test-fast bench quality check format docs lock clean

install: $(RUN)

run: $(RUN)
	@$(BIN)/recserve run

# Two processes, and each file in one of them: its tests share what is costly to make. The slow files
# come early in the alphabet, and xdist would run them last.
PAIR := -n 2 --dist loadfile --no-loadscope-reorder

# The tests of the running service come alone: it uses both cores itself.
test: $(DEV)
	@$(BIN)/python -m pytest $(PAIR) tests/contract tests/unit
	@$(BIN)/python -m pytest tests/graph tests/end_to_end

# Only the tests that need neither stores nor Ray, nor seconds each.
test-fast: $(DEV)
	@$(BIN)/python -m pytest $(PAIR) -m "not whole_fit" tests/unit

# make bench ONLY=seed runs one part; python -m benchmarks --help names them all.
bench: $(DEV)
	@$(BIN)/python -m benchmarks $(addprefix --only=,$(ONLY)) $(BENCH)

# make quality ONLY=demo runs one part; python -m benchmarks.quality --help names them all.
quality: $(DEV)
	@$(BIN)/python -m benchmarks.quality $(addprefix --only=,$(ONLY)) $(QUALITY)

check: $(DEV)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(DEV)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# The old page stays when the command fails.
docs: $(DEV)
	@$(BIN)/python docs/settings_page.py > $(VENV)/settings.md
	@cp $(VENV)/settings.md docs/settings.md

# Writes the locks anew. `make lock LOCK=--upgrade` takes the latest versions; without it, versions
# stay as they are where they still fit. The other locks take their versions from dev.lock.
COMPILE = $(VENV)/lock/bin/uv pip compile --quiet pyproject.toml --universal --python-version 3.11 \
  --generate-hashes --no-annotate --only-binary :all: --custom-compile-command 'make lock'

lock: | $(BIN)/python
	@$(PYTHON) -m venv $(VENV)/lock
	@$(VENV)/lock/bin/python -m pip install --quiet --disable-pip-version-check uv
	$(COMPILE) $(LOCK) --all-extras --output-file requirements/dev.lock
	$(COMPILE) --upgrade --constraint requirements/dev.lock --extra build --extra report \
	  --extra evaluate --extra embedded --output-file requirements/run.lock
	$(COMPILE) --upgrade --constraint requirements/dev.lock --extra build \
	  --output-file requirements/serve.lock

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache

$(BIN)/python:
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(None if (3, 11) <= v < (3, 15) else "recserve needs Python 3.11, 3.12, 3.13 or 3.14; $(PYTHON) is %d.%d: try make PYTHON=python3.12" % v)'
	@$(PYTHON) -m venv $(VENV)

# Every package comes as a wheel whose hash the lock holds. The project itself is built without a
# download: setuptools is in the lock. All cores compile the packages; pip would use one.
PIP = $(BIN)/python -m pip --quiet --disable-pip-version-check install --no-compile

$(RUN) $(DEV): $(VENV)/.%: requirements/%.lock pyproject.toml setup.py serve_app/recommending/scoring/_trees.c | $(BIN)/python
	@echo "installing into $(VENV): about two minutes, 1 GB"
	@$(PIP) --require-hashes --only-binary :all: --requirement $<
	-@$(BIN)/python -m compileall -qq -j 0 $(VENV)/lib
	@$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@
