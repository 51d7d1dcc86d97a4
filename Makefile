# HTCondor takes no jobs from root: as root, the targets that need a pool run as an ordinary user, in a copy of the
# work tree below that user's home (tests/tools/as_user.py). Nothing but python3, make and git has to be installed.
PYTHON ?= python3
PYTEST_ARGS ?=
BENCH_ARGS ?=

.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
BIN := .venv/bin

.PHONY: help
help: ## show what there is to make
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/\1\t\2/p' Makefile | while IFS="$$(printf '\t')" read -r name text; do \
		printf '  make %-10s %s\n' "$$name" "$$text"; done

.PHONY: demo
demo: set-up ## map a function over the standard library's own source files, on this machine
	$(BIN)/python examples/source_metrics.py > modules.jsonl
	$(BIN)/htrun examples/source_metrics.py:measure --args modules.jsonl --tag stdlib --engine local --overwrite
	$(BIN)/htrun collect stdlib --format csv --flatten --with-inputs > metrics.csv
	@echo; echo 'metrics.csv begins:'; head -n 4 metrics.csv
	@echo; echo 'The largest files, in lines:'
	@awk -F, 'NR > 1 { print $$5 "\t" $$3 }' metrics.csv | sort -nr | head -n 5

.PHONY: docs
docs: set-up ## build the documentation and the manual page in build/docs, without a network
	$(BIN)/python -m sphinx -W --keep-going -q -E -d build/docs/doctrees -b html docs build/docs/html
	$(BIN)/python -m sphinx -W --keep-going -q -E -d build/docs/doctrees-man -b man -t man docs build/docs/man
	@echo 'build/docs/html/index.html and build/docs/man/htrun.1 are there'

.PHONY: test
test: python ## set up, then run all checks and all tests, those on a real HTCondor pool included
	@$(PYTHON) -m tests.tools.as_user check

.PHONY: unit
unit: set-up ## run the unit tests, which need no pool and no particular user
	$(BIN)/python -m pytest -q -n auto tests/unit $(PYTEST_ARGS)

.PHONY: hooks
hooks: set-up ## let git run the checks of make lint before each commit
	$(BIN)/pre-commit install

.PHONY: lint
lint: set-up ## check style, types and layers
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/mypy --strict -p benchmarks -p tests.docs -p tests.parts -p tests.pool -p tests.tools
	$(BIN)/lint-imports
	$(BIN)/vermin --quiet --no-tips --target=3.8- --violations htrun/runner htrun/exceptions.py

# The run may be in a copy of the work tree: its results come through standard output.
.PHONY: bench
bench: python ## measure htrun and its peers, those on a real HTCondor pool included
	@mkdir -p benchmarks/results; file=benchmarks/results/$$(date -u +%Y%m%dT%H%M%SZ).json; \
	BENCH_COMMIT=$$(git describe --always --dirty 2> /dev/null) $(PYTHON) -m tests.tools.as_user bench-run > $$file.part && \
	mv $$file.part $$file && echo "$$file has all timings" || { rm -f $$file.part; exit 1; }

.PHONY: bench-docs
bench-docs: set-up ## put the newest results of make bench, or those in FILE=..., into docs/performance.md
	@$(BIN)/python -m benchmarks.install
	@$(BIN)/python -m benchmarks docs $(or $(FILE),$(lastword $(sort $(wildcard benchmarks/results/*Z.json))))

.PHONY: pictures
pictures: set-up ## make the pictures in docs/images anew, with the machine's Chromium
	@$(BIN)/python -m tests.tools.report_pictures

.PHONY: pool
pool: python ## start the personal HTCondor pool that the tests use, unless it runs
	@$(PYTHON) -m tests.tools.as_user pool-start

.PHONY: pool-stop
pool-stop: python ## stop that pool, and the containers' daemons
	@$(PYTHON) -m tests.tools.as_user pool-end

.PHONY: clean
clean: ## remove what was installed and made here
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis build dist *.egg-info
	rm -f modules.jsonl metrics.csv benchmarks/results/*Z.json
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The rest is for the targets above.

.PHONY: python
python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "htrun needs Python 3.10 or newer: make PYTHON=...")'

.PHONY: set-up
set-up: python
	@$(PYTHON) -m tests.tools.venv

.PHONY: check
check: lint
	HTRUN_TEST_REQUIRE_POOL=1 $(BIN)/python -m pytest -n 4 --dist loadgroup $(PYTEST_ARGS)

.PHONY: bench-run
bench-run: set-up
	@$(BIN)/python -m benchmarks.install
	@$(BIN)/python -m benchmarks run $(BENCH_ARGS)

.PHONY: pool-start
pool-start: set-up
	@$(BIN)/python -m tests.pool start

.PHONY: pool-end
pool-end: set-up
	@$(BIN)/python -m tests.pool stop
