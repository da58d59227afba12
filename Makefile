# One environment for everything; a CUDA torch is large, so it is made once and kept.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: install demo test check browser clean

install: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	touch $@

# The main job on videos that it makes itself: cold start, labels, MIDL training, ranking, FiftyOne, export.
demo: install
	$(BIN)/curate demo --folder demo

# Everything that must hold. CI runs exactly this.
test: check browser
	TORCHDYNAMO_DISABLE=1 $(BIN)/python -m pytest

check: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The browser test drives Debian's Chromium.
browser:
	command -v chromium >/dev/null || (apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium)

clean:
	rm -rf demo build *.egg-info .mypy_cache .ruff_cache .pytest_cache
