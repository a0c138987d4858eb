# make build   .venv with the package; again only when a source has changed
# make demo    a service in Python on every allocator, in one table and as a picture
# make test    style, types, tests
# make fuzz    random calls on the drop-in malloc, new ones each time, for an hour or until one fails
# make wheels  the source package and the wheels, into dist
# make deb     the Debian packages of the drop-in malloc, into dist
# make bench   the benchmarks; results in benchmarks/results
# make clean   forget all that was built

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
TYPED := src amalgamation distribution tests benchmarks

SOURCES := pyproject.toml CMakeLists.txt $(shell find cmake amalgamation src -type f -not -name '*.pyc')

.PHONY: build demo test fuzz wheels deb bench clean

build: $(VENV)/.installed

REQUIREMENTS := import tomllib; \
	print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"], sep="\n")

OLD := sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=..."

# The build's own requirements are installed first, so that pip need not set up a fresh place for them each time.
$(VENV)/.tools: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit($(OLD))'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -c '$(REQUIREMENTS)' > $(VENV)/requirements.txt
	$(BIN)/pip install --quiet -r $(VENV)/requirements.txt cmake ninja
	touch $@

$(VENV)/.installed: $(VENV)/.tools $(SOURCES)
	$(BIN)/pip install --quiet --no-build-isolation --config-settings=cmake.build-type=RelWithDebInfo -e .
	touch $@

TESTS_NEED := import tomllib; \
	print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["test"], sep="\n")

# What the tests, the wheels and the packages need beside the package itself.
$(VENV)/.test-tools: $(VENV)/.tools
	$(BIN)/python -c '$(TESTS_NEED)' > $(VENV)/test-requirements.txt
	$(BIN)/pip install --quiet -r $(VENV)/test-requirements.txt
	touch $@

# What pictures are drawn with.
$(VENV)/.plot-tools: pyproject.toml | $(VENV)/.installed
	$(BIN)/pip install --quiet 'snugmalloc[plot]'
	touch $@

PICTURE := build/demo.svg

# A service on every allocator that is installed, then once more with the report of what its memory did.
demo: build $(VENV)/.plot-tools
	@mkdir -p $(dir $(PICTURE))
	$(BIN)/snug compare -n 3 --timeline $(PICTURE) -- $(BIN)/python examples/service.py
	$(BIN)/snug run --report -- $(BIN)/python examples/service.py
	@echo "Memory over time, as a picture: $(abspath $(PICTURE))"

# Two processes run the tests, or one where there is one processor only: see tests/conftest.py.
IN_TWO := --numprocesses=auto --maxprocesses=2 --dist=loadgroup

test: build $(VENV)/.test-tools
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy $(TYPED)
	$(BIN)/python -m pytest $(IN_TWO)

fuzz: build $(VENV)/.test-tools
	$(BIN)/python -m tests.dropin.fuzzing

wheels: build $(VENV)/.test-tools
	$(BIN)/python -m distribution.wheels

deb: build $(VENV)/.test-tools
	$(BIN)/python -m distribution.deb

bench: build
	$(BIN)/pip install --quiet --no-build-isolation -e '.[bench]'
	$(BIN)/python -m benchmarks

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
