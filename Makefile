# One verb, one purpose; `make` alone is what CI runs. Everything Python runs from .venv, everything
# Rust that tests use is built with one cargo profile, `ci`, so that no crate is compiled twice.
# The stamps in .venv say what is installed and which profile the installed binary has: a warm run
# touches no network, and `demo` never runs the binary that `test` left, nor the reverse.

.DEFAULT_GOAL := check
.DELETE_ON_ERROR:
.PHONY: help demo test check setup build fmt lint test-rust test-python bench bench-tail \
	requirements stubs types docs example test-real fuzz clean doctor

PY     := .venv/bin/python
STAMPS := .venv/stamps
CARGO  := cargo
CI     := --locked --profile ci
TARGET ?= $(or $(CARGO_TARGET_DIR),target)

# pyo3 asks this Python for its facts; the same one each time, or it is compiled again.
export PYO3_PYTHON := $(CURDIR)/$(PY)
# The order of set and dict items must not decide whether a test passes.
export PYTHONHASHSEED ?= random

NATIVE := Cargo.toml Cargo.lock pyproject.toml $(shell find crates -type f \
	! -path '*/tests/*' ! -path '*/examples/*' ! -path '*/simulation/*' 2>/dev/null)

help: ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' Makefile

demo: $(STAMPS)/built-release ## The order service under load, with a fault half-way (release build)
	@.venv/bin/tailrace demo

check: test ## What CI runs (the default)

test: build lint test-rust test-python ## Build, style, types, Rust and Python tests
	@echo "make test: all passed"

setup: $(STAMPS)/dev ## .venv with the pinned development tools

build: $(STAMPS)/built-ci ## The native module, as tests use it, into .venv

fmt: $(STAMPS)/dev ## Write Rust and Python in the house style
	$(CARGO) fmt --all
	.venv/bin/ruff format .
	.venv/bin/ruff check --fix .

lint: $(STAMPS)/built-ci ## Style, types, stubs, house rules, licences
	@sh tools/doctor.sh --lint
	$(CARGO) fmt --all --check
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy
	$(PY) -m mypy.stubtest tailrace._plane
	$(PY) tools/tidy.py
	$(PY) tools/docs.py
	$(PY) ops/dashboards.py --check
	$(PY) tools/requirements.py --check
	$(PY) tools/licences.py
	$(CARGO) clippy $(CI) --workspace --all-targets -- -D warnings

test-rust: $(STAMPS)/dev ## Rust tests; one: cargo test --profile ci -p tailrace-plane NAME
	$(CARGO) test $(CI) --workspace --exclude tailrace-python

test-python: $(STAMPS)/built-ci ## Python tests; one: .venv/bin/pytest tests/... -k NAME
	$(PY) -m pytest

requirements: $(STAMPS)/dev ## Each requirement with its code and test, or "open"
	$(PY) tools/requirements.py

stubs: $(STAMPS)/built-ci ## _plane.pyi beside the built module, and the stub its code generates
	$(PY) -m mypy.stubtest tailrace._plane
	$(PY) tools/stubs.py

types: $(STAMPS)/dev $(STAMPS)/types ## What users write, under two type checkers
	.venv/bin/mypy tests/typing
	.venv/types/bin/basedpyright --pythonpath $(PY)

docs: $(STAMPS)/dev ## Links, headings and examples of the pages
	$(PY) tools/docs.py

example: $(STAMPS)/built-ci ## The order service over five real upstreams, replies checked
	$(PY) -m examples.orders.run

test-real: export FUZZ_EXAMPLES ?= 5000
test-real: $(STAMPS)/clients $(STAMPS)/browser
test-real: $(STAMPS)/built-ci ## Whole processes and real sockets only; says what it skips, and why
	@sh tools/prometheus.sh
	@sh tools/collector.sh
	@sh tools/grafana.sh
	$(PY) -m pytest -rs -m "e2e or wire or real"

bench: $(STAMPS)/dev ## Cost per request beside the peers (builds with profile dist); takes a while
	$(PY) bench/run.py

bench-tail: $(STAMPS)/dev ## Faults and overload beside the peers; takes about half an hour
	$(PY) bench/tail.py

fuzz: ## Fuzz the HTTP/1.1 codec (needs a nightly toolchain and cargo-fuzz)
	sh tools/fuzz.sh

clean: ## Remove what was built, and .venv
	rm -rf .venv $(TARGET) .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
	rm -f python/tailrace/_plane*.so

doctor:
	@sh tools/doctor.sh

$(STAMPS)/run $(STAMPS)/dev: $(STAMPS)/%: requirements/%.txt | doctor
	@sh tools/environment.sh $*

# Tools that are large, or ask for other versions than the project does: each in its environment.
$(STAMPS)/clients $(STAMPS)/types: $(STAMPS)/%: requirements/%.txt $(STAMPS)/dev
	@echo "environment: requirements/$*.txt, in .venv/$*"
	@$(PY) -m venv --clear .venv/$*
	@.venv/$*/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes \
		-r requirements/$*.txt
	@touch $@

# Beside the development tools, not among them: whoever does not open a browser needs none of it.
$(STAMPS)/browser: requirements/browser.txt $(STAMPS)/dev
	@echo "environment: requirements/browser.txt"
	@$(PY) -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps \
		-r requirements/browser.txt
	@touch $@

# `develop` puts the built module beside the Python sources; only one profile is there at a time.
$(STAMPS)/built-ci: $(STAMPS)/dev $(NATIVE)
	@sh tools/native.sh ci

$(STAMPS)/built-release: $(STAMPS)/run $(NATIVE)
	@sh tools/native.sh release
