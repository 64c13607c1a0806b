# Every target works from a bare checkout: Python 3.11 to 3.13, make and a package index are all it needs.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
BACKENDS := .venv-backends
UV := $(BIN)/python -m uv pip install --quiet --compile-bytecode \
	--overrides requirements/overrides.txt --constraint requirements/constraints.txt -r requirements/tensorflow.txt
PINS := pyproject.toml $(wildcard requirements/*.txt)

.PHONY: train test test-long test-nightly test-ray test-backends check docs format constraints clean
.DELETE_ON_ERROR:

train: .venv/installed
	$(BIN)/saccade train

test: .venv/installed-dev
	$(BIN)/python -m pytest -n 2 --dist loadfile

# Every command line of README and docs/, on little data, and other long tests.
test-long: .venv/installed-dev
	$(BIN)/python -m pytest -m "long and not nightly" -n 2 --dist loadfile

# What takes too long for every day: hundreds of kills, thousands of damaged files. docs/reliability.md says what they count.
test-nightly: .venv/installed-dev $(BACKENDS)/installed
	$(BIN)/python -m pytest -m "nightly and not ray" -s

# Prediction on a Ray cluster of two nodes, which the tests start and end on this machine; `-m "ray and nightly"` in
# place of the marks: 30 kills at random moments.
test-ray: .venv/installed-ray
	$(BIN)/python -m pytest -m "ray and not nightly"

# The tests of layers, augmentation and optimizers of our own, once on each backend of Keras.
test-backends: $(BACKENDS)/installed
	for backend in tensorflow jax torch; do \
		echo "KERAS_BACKEND=$$backend"; KERAS_BACKEND=$$backend $(BACKENDS)/bin/python -m pytest -m backends \
			$$(grep -rl mark.backends tests) || exit 1; done

check: .venv/installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# The site, into site/: open site/index.html. What the code knows best is written into the pages first.
docs: .venv/installed-dev
	$(BIN)/python docs/generate.py
	$(BIN)/python -m mkdocs build --quiet

format: .venv/installed-dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# Pins every version that the targets above install, for all supported Pythons and systems at once.
constraints: .venv/installed-dev
	$(BIN)/python -m uv pip compile --quiet --universal --python-version 3.11 --group dev \
		--override requirements/overrides.txt --no-header --no-annotate --upgrade \
		pyproject.toml requirements/tensorflow.txt -o requirements/constraints.txt

clean:
	rm -rf .venv $(BACKENDS) site .mypy_cache .pytest_cache .ruff_cache .import_linter_cache

.venv/bin/python:
	@test -n "$(PYTHON)" || { echo "Saccade needs Python 3.11, 3.12 or 3.13; none was found. Install one, or name it: make PYTHON=/path/to/python3.12 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv .venv

.venv/installed: $(PINS) | .venv/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements/installer.txt
	$(UV) --python $(BIN)/python -e .
	@touch $@

.venv/installed-dev: .venv/installed
	$(UV) --python $(BIN)/python -e . --group dev
	@touch $@

# Ray is 200 MB, which only these tests need.
.venv/installed-ray: .venv/installed-dev requirements/ray.txt
	$(UV) --python $(BIN)/python -r requirements/ray.txt
	@touch $@

$(BACKENDS)/installed: .venv/installed
	$(BIN)/python -m venv $(BACKENDS)
	$(UV) --python $(BACKENDS)/bin/python -e . pytest
	$(BACKENDS)/bin/python -m pip install --quiet --disable-pip-version-check \
		--constraint requirements/constraints.txt -r requirements/backends.txt
	@touch $@
