# Everything from a bare clone: Python 3.11 or newer (with venv), git and make are all it takes.
PYTHON ?= python3
PIP_AUDIT := 2.10.1
BIN := .venv/bin
# Whatever is installed is what was pinned, byte for byte.
INSTALL := umask 022; $(BIN)/uv pip install --quiet --require-hashes
LOCK := UV_CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/uv pip compile -q --upgrade --generate-hashes \
	--universal --python-version 3.11
LOCKED := requirements requirements-dev requirements-bench requirements-nautilus requirements-uv

# A site is many processes: what one has compiled the others read, whatever the environment says.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: run test check bench lock licences audit clean
.DELETE_ON_ERROR:

run: export DEMO ?= 1
run: .venv/run.stamp
	@exec $(BIN)/python manage.py run

test: .venv/dev.stamp
	@command -v chromium >/dev/null || { \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    echo "installing chromium for the browser tests"; \
	    apt-get update -q >/dev/null && apt-get install -qy --no-install-recommends chromium >/dev/null; \
	  fi; } || true
	@command -v chromium >/dev/null || \
	  echo "chromium is missing: browser tests are skipped (apt-get install chromium)"
	$(BIN)/python -m pytest -n auto --dist worksteal -m 'not alone'
	$(BIN)/python -m pytest -m alone

check: .venv/dev.stamp
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python manage.py makemigrations --check --dry-run

bench: .venv/bench.stamp
	$(BIN)/python -m benchmarks $(ROWS)

lock: .venv/dev.stamp
	$(foreach name,$(LOCKED),$(LOCK) $(name).in -o $(name).txt &&) true
	$(MAKE) licences

licences: .venv/run.stamp
	$(BIN)/python -m tests.licences

# It asks PyPI for advisories, package by package; one that PyPI does not answer for is a failure.
audit: .venv/uv.stamp
	@{ $(foreach name,$(LOCKED),$(BIN)/uv tool run -q pip-audit==$(PIP_AUDIT) --strict --disable-pip \
	  --require-hashes --progress-spinner off -r $(name).txt &&) true; } || { \
	  echo "make audit: advisories were found, or PyPI's index of them does not answer: see above."; \
	  exit 1; }

clean:
	rm -rf .venv .venv-bench

# umask: the services run as `nobody` where we are root, from binaries in here.
.venv/uv.stamp: requirements-uv.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Python 3.11 or newer is needed; $(PYTHON) is $$($(PYTHON) --version). PYTHON=python3.11 make ..."; \
	  exit 1; }
	umask 022; $(PYTHON) -m venv .venv
	umask 022; $(BIN)/python -m pip install --quiet --disable-pip-version-check \
	  --require-hashes -r requirements-uv.txt
	@touch $@

.venv/run.stamp: .venv/uv.stamp requirements.txt
	$(INSTALL) --python $(BIN)/python -r requirements.txt
	@touch $@

.venv/dev.stamp: .venv/run.stamp requirements-dev.txt
	$(INSTALL) --python $(BIN)/python -r requirements.txt -r requirements-dev.txt
	@touch $@

# The peer of row G3 wants other versions of what we use: it has an environment of its own.
.venv/bench.stamp: .venv/dev.stamp requirements-bench.txt requirements-nautilus.txt
	$(INSTALL) --python $(BIN)/python -r requirements-bench.txt
	umask 022; $(BIN)/uv venv --quiet --allow-existing --python $(BIN)/python .venv-bench
	$(INSTALL) --python .venv-bench/bin/python -r requirements-nautilus.txt
	@touch $@
