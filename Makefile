# Two commands for a newcomer, `make demo` and `make test`; the others are for whoever changes the code.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO := .demo

.PHONY: demo test test-slow test-long lint docs bench gpu kill constraints clean

# The environment, made anew when a requirement changes: everything pinned by constraints.txt.
$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "hpo needs Python 3.11 or newer; say which: make PYTHON=python3.11 demo")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt torch torchvision
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[all,dev]'
	touch $@

# Search by BOHB on real images, the table of the best, the best re-trained and tested on held-out data.
demo: $(VENV)/installed
	rm -rf $(DEMO)
	$(BIN)/hpo search --space digits_cnn --backend bohb --trials 46 --seed 0 --study demo --studies $(DEMO)
	$(BIN)/hpo test demo --top 1 --seeds 3 --studies $(DEMO)
	@echo
	@echo "Every trial, in the browser:  $(BIN)/hpo dashboard demo --studies $(DEMO)"

test: $(VENV)/installed
	$(BIN)/python -m pytest --numprocesses auto --dist worksteal -m "not slow"

# The tests that take several seconds each.
test-slow: $(VENV)/installed
	$(BIN)/python -m pytest --numprocesses auto --dist worksteal -m "slow and not long"

# The longest of them, which `.ci/run` leaves out.
test-long: $(VENV)/installed
	$(BIN)/python -m pytest --numprocesses auto --dist worksteal -m long

lint: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Write the two generated pages of docs/.
docs: $(VENV)/installed
	$(BIN)/python docs/generate.py

# Measure what stands in benchmarks/RESULTS.md, some hours on two cores; what needs real images looks in HPO_DATA.
bench: $(VENV)/installed
	$(BIN)/python benchmarks/overhead.py
	$(BIN)/python benchmarks/promotion.py
	$(BIN)/python benchmarks/growth.py
	$(BIN)/python benchmarks/replay.py
	$(BIN)/python benchmarks/fused_heads.py
	$(BIN)/python benchmarks/fused_heads.py --imbalance --heads 64 --epochs 20
	$(BIN)/python benchmarks/metrics.py --threads 1
	$(BIN)/python benchmarks/kept_predictions.py --threads 1
	$(BIN)/python benchmarks/schedules.py --threads 1
	$(BIN)/python benchmarks/ask_times.py
	$(BIN)/python benchmarks/scale.py
	$(BIN)/python benchmarks/priors.py
	$(BIN)/python benchmarks/timm_stages.py
	$(BIN)/python benchmarks/rare_class.py
	$(BIN)/python benchmarks/start.py
	$(BIN)/python benchmarks/slots.py
	$(BIN)/python benchmarks/ray_overhead.py
	$(BIN)/python benchmarks/augmentation.py
	$(BIN)/python benchmarks/fine_tune_epoch.py
	$(BIN)/python benchmarks/fit.py
	$(BIN)/python benchmarks/honesty.py
	$(BIN)/python benchmarks/honesty.py --real
	$(BIN)/python benchmarks/probe_search.py --full
	$(BIN)/python benchmarks/probe_search.py

# Test and measure on a CUDA device, in under eight minutes; writes benchmarks/RESULTS_GPU.md.
gpu: $(VENV)/installed
	$(BIN)/python benchmarks/gpu.py

# Kill a search at random moments, 50 times and more, and see that nothing is lost.
kill: $(VENV)/installed
	$(BIN)/python benchmarks/kill.py
	$(BIN)/python benchmarks/kill_ray.py

# Pin the whole tree again, for every platform and Python.
constraints: $(VENV)/installed
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile pyproject.toml --all-extras --universal --python-version 3.11 --no-emit-index-url --no-annotate --upgrade --output-file constraints.txt

clean:
	rm -rf $(VENV) $(DEMO) dist
