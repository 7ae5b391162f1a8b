# Two commands do everything on a machine with Python >= 3.11 and make: `make phase-diagram` and `make test`.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: phase-diagram test test-slow lint types bench bench-full bench-device bench-report docs wheel-check clean

phase-diagram: .venv/cli.stamp
	$(BIN)/lpmjax phase-diagram --out results

# Most of the time goes into compiling, for code that runs once or twice: tests have it done without optimisation. Campaigns
# of random problems run as users have it.
QUICKLY := XLA_FLAGS="--xla_backend_optimization_level=0 --xla_cpu_use_fusion_emitters=false"
PYTEST := $(BIN)/python -m pytest -n 2 --dist loadfile

test: .venv/test.stamp
	$(QUICKLY) $(PYTEST) -m "not slow"

test-slow: .venv/test.stamp
	$(QUICKLY) $(PYTEST) -m "slow and not campaign"
	$(PYTEST) -m campaign

lint: .venv/test.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache

types: .venv/test.stamp
	$(BIN)/pyright

# Into benchmarks/results: some three minutes on two idle cores, and 25; each precision at most eight minutes on a GPU or TPU.
bench: .venv/test.stamp
	$(BIN)/python -m benchmarks quick

bench-full: .venv/test.stamp
	$(BIN)/python -m benchmarks full

bench-device: .venv/test.stamp
	$(BIN)/python -m benchmarks device --dtype float64
	$(BIN)/python -m benchmarks device --dtype float32

bench-report: .venv/test.stamp
	$(BIN)/python -m benchmarks report

# The site, into build/docs: every code cell is executed, every theorem checked, and nothing fetched. What raises or warns fails.
docs: .venv/docs.stamp
	$(BIN)/sphinx-build -b html -E -W --keep-going -j 2 -d build/doctrees docs build/docs

# The wheel in an environment of its own, used from another folder.
wheel-check: .venv/test.stamp
	rm -rf dist build/wheel && $(BIN)/python -m build --wheel --no-isolation --outdir dist .
	$(PYTHON) -m venv build/wheel && build/wheel/bin/pip install -q "$$(ls dist/*.whl)[cli]"
	cd build && wheel/bin/python -m lpmjax.cli solve --R 100 && wheel/bin/lpmjax boundary --json > /dev/null
	cd build && wheel/bin/python -c "import lpmjax, pathlib; p = pathlib.Path(lpmjax.__file__).parent; \
	  assert (p / 'py.typed').exists() and (p / 'explore/page/main.js').exists()"

.venv/%.stamp: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -q --disable-pip-version-check -e '.[$*]'
	touch $@

clean:
	rm -rf .venv build dist results .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
