# `make help` lists the targets. Everything is installed into .venv; PYTHON chooses its Python.
PYTHON ?= python3
SWEEP ?= sweeps/quickstart.yaml
GPUS ?= 0
PER_GPU ?= 1
NAME = $(basename $(notdir $(SWEEP)))
STUDY = .venv/bin/study
# What touches each dependency; the whole suite runs on the newest releases.
LOWEST_TESTS ?= tests/golden tests/train tests/report tests/test_config.py
# A lower bound becomes the release itself: "torch>=2.7" is "torch==2.7".
LOWEST = import re, tomllib; project = tomllib.load(open("pyproject.toml", "rb"))["project"]; \
	print(*(re.sub(">=([^,]*).*", r"==\1", bound) for bound in project["dependencies"]), sep="\n")

.PHONY: help install study test test-schema test-lowest test-cluster dev lint bench report notebook sweep agents clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: .venv/installed ## Set up .venv with the package

study: .venv/installed ## Run a sweep and its report (SWEEP=sweeps/quickstart.yaml)
	@$(STUDY) sweep "$(SWEEP)"
	@$(STUDY) report "runs/$(NAME)"

report: .venv/installed ## Draw the report of a sweep again (SWEEP=...)
	@$(STUDY) report "runs/$(NAME)"

notebook: .venv/installed ## Open the notebook of three norms in JupyterLab
	.venv/bin/python -c "import jupyterlab" 2>/dev/null || .venv/bin/python -m pip install -q jupyterlab
	.venv/bin/python -m jupyterlab study/notebooks/three_norms.ipynb $(ARGS)

test: .venv/installed-dev ## Set up and run the tests
	.venv/bin/python -m pytest

test-schema: .venv-schema/installed ## Check the sweeps by W&B's own code (ARGS=--write: and write its answers)
	.venv-schema/bin/python -W ignore -m tests.sweep.wandb_reference $(ARGS)

test-lowest: .venv-lowest/installed ## Test on the lowest releases that pyproject.toml allows
	.venv-lowest/bin/python -m pytest $(LOWEST_TESTS)

test-cluster: .venv/installed-dev ## Test on a real Slurm and PostgreSQL (Debian, as root: installs them)
	apt-get install -y -qq slurm-wlm postgresql python3-psycopg2
	.venv/bin/python -m pytest -n 0 -m cluster tests/sweep

dev: .venv/installed-dev ## Set up .venv for development too: pytest, ruff, mypy

lint: .venv/installed-dev ## Check style with ruff and types with mypy
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

bench: .venv/installed-dev ## Measure how fast a sweep trains, against a plain W&B script (ARGS=--help)
	.venv/bin/python -m tests.benchmarks.train $(ARGS)

sweep: .venv/installed ## Register a sweep with W&B and print its id (SWEEP=sweeps/quickstart.yaml)
	@.venv/bin/python -m study.sweep.spec "$(SWEEP)"
	@bash -o pipefail -c 'WANDB_SILENT=false .venv/bin/wandb sweep "$$1" 2>&1 | tee -a /dev/stderr | sed -n "s/.*wandb agent //p"' - "$(SWEEP)"

agents: .venv/installed ## Run one W&B agent a GPU (SWEEP=ENTITY/PROJECT/ID GPUS=0,1 PER_GPU=1)
	@sweeps/launch/agents "$(SWEEP)" "$(GPUS)" "$(PER_GPU)"

clean: ## Remove the environments and caches; runs, reports, data and cache stay
	rm -rf .venv .venv-schema .venv-lowest build *.egg-info .pytest_cache .ruff_cache .mypy_cache
	find study tests -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed; set PYTHON=" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv .venv

.venv/installed: pyproject.toml | .venv/bin/python
	.venv/bin/python -m pip install --quiet -e .
	@touch $@

.venv/installed-dev: pyproject.toml | .venv/bin/python
	.venv/bin/python -m pip install --quiet -e '.[dev]'
	@touch $@ .venv/installed

# W&B's package `sweeps` holds numpy below 2: kept away from what users get.
.venv-schema/installed: | .venv/bin/python
	.venv/bin/python -m venv .venv-schema
	.venv-schema/bin/python -m pip install --quiet 'sweeps>=0.3' jsonschema pyyaml
	@touch $@

.venv-lowest/installed: pyproject.toml | .venv/bin/python
	.venv/bin/python -m venv --clear .venv-lowest
	.venv/bin/python -c '$(LOWEST)' >.venv-lowest/constraints.txt
	.venv-lowest/bin/python -m pip install --quiet -c .venv-lowest/constraints.txt -e '.[dev]'
	@touch $@
