# The two commands of the README. Both make .venv with pip; nothing else is needed but Python 3.11.4 or newer.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed

.PHONY: run test check slow realdata grid-sample notebook bench-gpu clean

run: $(STAMP) ## the main job on the embedded sample; the run itself is offline
	$(BIN)/kedro run

grid-sample: $(STAMP) ## six cells of the embedded sample, ending in tables and figures (minutes)
	$(BIN)/kedro irp grid --grid conf/base/grid_sample.yml

# Files of tests side by side, one thread each: `make test` takes half the time of one process with two threads.
SIDE_BY_SIDE = OMP_NUM_THREADS=1 $(BIN)/pytest -n logical --maxprocesses=4 --dist loadfile

test: $(STAMP) check ## lint, types, import contracts, doctests, tests
	$(SIDE_BY_SIDE)

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

slow: $(STAMP) ## the tests that take minutes
	$(SIDE_BY_SIDE) -m slow

realdata: $(STAMP) ## the tests on real images (IRP_REAL_DATA=folder)
	$(BIN)/pytest -m realdata

bench-gpu: $(STAMP) ## the loop on a CUDA device: equal to the CPU, nothing waits, and how fast
	$(BIN)/pytest -m gpu
	$(BIN)/python benchmarks/floor.py --device cuda --images 8
	$(BIN)/python benchmarks/floor.py --device cuda --images 8 --flow paper
	$(BIN)/python benchmarks/growth.py --device cuda

notebook: $(STAMP) ## notebooks/first_steps.ipynb from top to bottom, as a page to read
	$(BIN)/jupyter nbconvert --execute --to html --output-dir build/notebook notebooks/first_steps.ipynb

$(STAMP): pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11, 4) and "irp-kedro needs Python 3.11.4 or newer, found " + sys.version.split()[0])'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --editable '.[dev]'
	touch $@

clean: ## what runs wrote; downloads and the virtual environment stay
	rm -rf data/0[2-8]_*/*/ data/grid
