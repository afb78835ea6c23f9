# Two commands matter: `make search` and `make test`. Both set up all they need in a virtual environment.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
CORES := $(shell $(PYTHON) -c "import os; print(len(os.sched_getaffinity(0)))")

.PHONY: search test lint clean

search: $(VENV)/installed
	$(BIN)/eradio search

# One more than there are cores, since many tests wait for other processes.
test: $(VENV)/installed-dev $(VENV)/installed-coverage lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(shell expr $(CORES) + 1) --dist loadfile --cov --cov-report=term:skip-covered --cov-fail-under=85

lint: $(VENV)/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

$(VENV)/installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --editable .
	touch $@

$(VENV)/installed-dev: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --editable '.[dev]'
	touch $@ $(VENV)/installed

# A folder of its own: its torch_tensorrt must not be found by any other program of this environment.
$(VENV)/installed-coverage: pyproject.toml | $(VENV)/installed-dev
	rm -rf $(VENV)/tensorrt-rtx
	$(BIN)/pip install --quiet --no-deps --target $(VENV)/tensorrt-rtx \
		$$($(BIN)/python -c "from eradio.profile.coverage import pins; print(*pins())")
	touch $@

clean:
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache
