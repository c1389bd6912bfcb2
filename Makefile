# Everything a newcomer needs: `make demo`, `make test`. Nothing outside .venv is touched.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed

# Domain rooms whose every line and branch a test inside one process reaches; a room joins when it is whole.
WHOLE_ROOMS := gate guard release retrieval analysis rollout incident ledger corpus monitoring portfolio
# Some readers of evidence are reached by the public sample files beside the checkout alone: without them nobody can say.
WHOLE_ROOMS += $(if $(wildcard ../shared/data/evidence),evidence)
# Rooms whose tests reach into those too: what is declared is read by the room it is for.
NEAR_ROOMS := core identity space workspace

define rooms_are_whole
@below=""; for room in $(WHOLE_ROOMS); do \
  $(BIN)/coverage report --include="src/pilotage/$$room/*" --fail-under=100 --show-missing --skip-covered >.room-coverage \
    && echo "$$room: 100 %" || { cat .room-coverage; below="$$below $$room"; }; \
done; rm -f .room-coverage; \
test -z "$$below" || { echo "Below 100 %:$$below. Test the branch by the rule it keeps, or delete it."; exit 1; }
endef

.PHONY: install demo test browser check coverage rooms lint types docs bench soak features lock clean

install: $(STAMP)

$(STAMP): requirements/dev.txt pyproject.toml
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear .venv  # also after one cut short
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check "uv>=0.9"
	$(BIN)/uv pip sync --quiet --compile-bytecode --python $(BIN)/python --require-hashes requirements/dev.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --editable .
	$(BIN)/python -m compileall -q src  # a shell with PYTHONDONTWRITEBYTECODE would compile at every start
	@touch $(STAMP)

demo: $(STAMP)  ## the sample bank's whole story, then a running server on :8080
	$(BIN)/pilotage demo --keep

test: $(STAMP) browser  ## the whole test suite, browser tests included
	$(BIN)/pytest -n auto --dist loadfile --no-loadscope-reorder

browser:  ## Debian's chromium for the browser tests, where it is missing and we may install it
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null || \
	  { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && apt-get update -qq && apt-get install -y -qq chromium >/dev/null; } || \
	  echo 'No chromium here: the browser tests will be skipped (apt-get install chromium).'

check: lint types docs test  ## everything that must hold: format, lint, layers, types, sizes, docs, tests

coverage: $(STAMP)  ## the whole suite, measured; the domain rooms must be reached whole
	$(BIN)/pytest -n auto --dist loadfile --cov --cov-report=term-missing:skip-covered
	$(rooms_are_whole)

rooms: $(STAMP)  ## the tests of the domain rooms that need no database, measured: every line and branch must be reached
	CI=1 $(BIN)/pytest -n auto --dist loadfile -m 'not slow and not store' \
	  $(addprefix tests/,$(WHOLE_ROOMS) $(NEAR_ROOMS)) $(addprefix --cov=pilotage.,$(WHOLE_ROOMS)) --cov-branch --cov-report=
	$(rooms_are_whole)

lint: $(STAMP)
	$(BIN)/ruff format --check src tests benchmarks scripts
	$(BIN)/ruff check src tests benchmarks scripts
	$(BIN)/lint-imports --no-logo

types: $(STAMP)
	$(BIN)/mypy

docs: $(STAMP)  ## the documentation as a site in site/, its reference pages from the code
	$(BIN)/python -m scripts.reference_pages docs/reference/generated
	$(BIN)/zensical build --strict

bench: $(STAMP)  ## benchmarks, with peers where they install
	$(BIN)/python -m benchmarks

soak: $(STAMP)  ## the long lanes
	$(BIN)/pytest -n auto --dist loadfile -m slow --timeout 7200

features: $(STAMP)  ## which demands of the mission a test proves; ARGUMENTS="--open D13" lists what is open
	@$(BIN)/python -m scripts.features $(ARGUMENTS)

lock:  ## refresh the lock file, nothing newer than a week
	$(BIN)/uv pip compile --quiet pyproject.toml --group dev --generate-hashes --no-emit-index-url \
	  --exclude-newer "$$(date -u -d '7 days ago' +%F)" -o requirements/dev.txt

clean:
	rm -rf .venv .mypy_cache .ruff_cache .hypothesis .import_linter_cache dist build site .cache docs/reference/generated
