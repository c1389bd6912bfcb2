# Everything a newcomer needs: `make demo`, `make test`. Nothing outside .venv is touched.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed

.PHONY: install demo test browser check coverage lint types docs bench soak lock clean

install: $(STAMP)

$(STAMP): requirements/dev.txt pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check "uv>=0.9"
	$(BIN)/uv pip sync --quiet --compile-bytecode --python $(BIN)/python --require-hashes requirements/dev.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --editable .
	$(BIN)/python -m compileall -q src  # a shell with PYTHONDONTWRITEBYTECODE would compile at every start
	@touch $(STAMP)

demo: $(STAMP)  ## the sample bank's whole story, then a running server on :8080
	$(BIN)/pilotage demo --keep

test: $(STAMP) browser  ## the whole test suite, browser tests included
	$(BIN)/pytest -n auto --dist loadfile

browser:  ## Debian's chromium for the browser tests, where it is missing and we may install it
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null || \
	  { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && apt-get update -qq && apt-get install -y -qq chromium >/dev/null; } || \
	  echo 'No chromium here: the browser tests will be skipped (apt-get install chromium).'

check: lint types docs test  ## everything that must hold: format, lint, layers, types, sizes, docs, tests

coverage: $(STAMP)
	$(BIN)/pytest -n auto --dist loadfile --cov --cov-report=term-missing:skip-covered

lint: $(STAMP)
	$(BIN)/ruff format --check src tests benchmarks scripts
	$(BIN)/ruff check src tests benchmarks scripts
	$(BIN)/lint-imports --no-logo

types: $(STAMP)
	$(BIN)/mypy

docs: $(STAMP)  ## the documentation as a site in site/, its reference pages from the code
	$(BIN)/python scripts/reference_pages.py docs/reference/generated
	$(BIN)/zensical build --strict

bench: $(STAMP)  ## benchmarks, with peers where they install
	$(BIN)/python -m benchmarks

soak: $(STAMP)  ## the long lanes
	$(BIN)/pytest -n auto --dist loadfile -m slow --timeout 7200

lock:  ## refresh the lock file, nothing newer than a week
	$(BIN)/uv pip compile --quiet pyproject.toml --group dev --generate-hashes --no-emit-index-url \
	  --exclude-newer "$$(date -u -d '7 days ago' +%F)" -o requirements/dev.txt

clean:
	rm -rf .venv .mypy_cache .ruff_cache .hypothesis .import_linter_cache dist build site .cache docs/reference/generated
