# Two commands are enough: `make demo` and `make test`. Each sets up everything it needs first.
VENV := .venv
BIN := $(VENV)/bin
# Test processes at once: one more than two cores, because many tests wait for agents or the kernel.
JOBS ?= 3

.PHONY: help demo test test-fast lint bench fuzz setup clean
help:  ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "make %-9s %s\n", $$1, $$2}' Makefile

demo:  ## three gateways, a real attack, a block on each; the web page on 127.0.0.1:8080
	@deploy/setup.sh demo
	@$(BIN)/ontoidps demo $(DEMO_ARGS)

test:  ## the whole test suite, with linters and type checks
	@deploy/setup.sh test
	@$(MAKE) --no-print-directory check-style
	@$(MAKE) --no-print-directory -j2 check-types run-tests

test-fast:  ## the daily loop, under 2 minutes: ruff, contracts, and tests without servers, JVM, root, browser
	@deploy/setup.sh python
	@$(BIN)/ruff check --quiet .
	@$(BIN)/python -m pytest -n $(JOBS) --dist worksteal -m 'not (slow or xmpp or root or browser or data or e2e)' -q $(PYTEST_ARGS)

lint:  ## ruff, mypy --strict, import-linter
	@deploy/setup.sh python
	@$(MAKE) --no-print-directory check-static

bench:  ## benchmarks, as ratios within one run
	@deploy/setup.sh test
	@for b in benchmarks/bench_*.py; do echo "== $$b"; $(BIN)/python $$b || exit 1; done

FUZZ_SECONDS ?= 600
fuzz:  ## hostile bytes for FUZZ_SECONDS (600) a target; docs/fuzzing.md
	@deploy/setup.sh test
	@$(BIN)/python tests/fuzz/test_fuzz.py --seconds $(FUZZ_SECONDS) $(FUZZ_ARGS)

setup:  ## only the set-up (Debian packages and .venv)
	@deploy/setup.sh test

clean:  ## remove the virtual environment and caches
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

.PHONY: check-static check-style check-types run-tests
check-static: check-style check-types
check-style:
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --check --quiet .
# Beside the tests, where a core is idle; they must not wait for it.
check-types:
	@nice -n 10 $(BIN)/mypy
	@nice -n 10 $(BIN)/lint-imports --no-cache
run-tests:
	@$(BIN)/python -m pytest -n $(JOBS) --dist worksteal $(PYTEST_ARGS)
