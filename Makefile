# make run    train the default model on generated causal sets
# make test   checks and tests
# make crash-test N=20   kill runs of a small pipeline N times, and compare what comes out
# make fuzz SEED=1       break configurations, stores and artifacts in thousands of ways
# make slurm-up, slurm-down   start and stop a small Slurm cluster here, for the tests (as root)
# make clean  delete what the configuration no longer uses: old parts, checkpoints, leftovers
# CONFIG=my.yaml and CORES=8 choose another run and more cores.

CONFIG ?= config/run.yaml
CORES ?= 2
PYTHON ?= python3
N ?= 12
SEED ?= 1
BIN := .venv/bin
INSTALLED := .venv/installed

.PHONY: help install run test crash-test fuzz slurm-up slurm-down check format report clean

help:
	@sed -n 's/^# //p' Makefile

install: $(INSTALLED)

$(INSTALLED): pyproject.toml envs/constraints.txt $(wildcard compat/quantumgrav/*)
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint envs/constraints.txt \
	    --editable '.[dev]'
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps ./compat/quantumgrav
	touch $@

run: $(INSTALLED)
	@$(BIN)/qgpipe check $(CONFIG)
	@$(BIN)/snakemake --cores $(CORES) --configfile $(CONFIG)
	@$(BIN)/qgpipe show $(CONFIG)

report: $(INSTALLED)
	$(BIN)/snakemake --cores $(CORES) --configfile $(CONFIG) --report report.html

test: check
	$(BIN)/pytest --numprocesses 3 --dist loadfile

crash-test: $(INSTALLED)
	$(BIN)/python tests/crash/kill_and_compare.py --kills $(N)

fuzz: $(INSTALLED)
	$(BIN)/python tests/fuzz/run.py --seed $(SEED) --jobs $(CORES)

slurm-up:
	@tests/slurm/cluster.sh up

slurm-down:
	@tests/slurm/cluster.sh down

check: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile rules benchmarks/leaderboard/Snakefile
	$(BIN)/snakemake --lint
	$(BIN)/mypy
	$(BIN)/mypy scripts --disable-error-code name-defined --cache-dir .mypy_cache/scripts

format: $(INSTALLED)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/snakefmt Snakefile rules benchmarks/leaderboard/Snakefile

clean: $(INSTALLED)
	$(BIN)/qgpipe clean --yes $(CONFIG)
