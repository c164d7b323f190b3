# Everything from a bare clone: Python 3.11 or newer, git and make are all it takes.
PYTHON ?= python3
UV := 0.13.8
BIN := .venv/bin

.PHONY: run test check lock clean
.DELETE_ON_ERROR:

run: .venv/run.stamp
	DEMO=$${DEMO:-1} $(BIN)/python manage.py run

test: .venv/dev.stamp
	@command -v chromium >/dev/null || { \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    apt-get update -q >/dev/null && apt-get install -qy --no-install-recommends chromium >/dev/null; \
	  else echo "chromium is missing: browser tests are skipped (apt-get install chromium)"; fi; }
	$(BIN)/python -m pytest

check: .venv/dev.stamp
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python manage.py makemigrations --check --dry-run

lock: .venv/dev.stamp
	$(BIN)/uv pip compile -q --upgrade --universal --python-version 3.11 requirements.in -o requirements.txt
	$(BIN)/uv pip compile -q --upgrade --universal --python-version 3.11 requirements-dev.in -o requirements-dev.txt

clean:
	rm -rf .venv

.venv/uv.stamp:
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV)
	@touch $@

.venv/run.stamp: .venv/uv.stamp requirements.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python -r requirements.txt
	@touch $@

.venv/dev.stamp: .venv/run.stamp requirements-dev.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python -r requirements.txt -r requirements-dev.txt
	@touch $@
