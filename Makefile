# `make` prints what there is.

PYTHON ?= python3
BUDGET ?= night
ALL_small := all_small
ALL_night := all_embedded --config first_seeds=1
ALL_full := all_embedded
VENV := .venv
BIN := $(VENV)/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)
FIND_LINKS := $(or $(UV_FIND_LINKS),$(PIP_FIND_LINKS),$(shell $(PYTHON) -m pip config get global.find-links 2>/dev/null))
SNAKEMAKE := $(BIN)/snakemake

.DEFAULT_GOAL := help
.PHONY: help setup run smoke paper-embedded ablate plan chat status resume slurm-demo slurm-test test check format lock ui record restore verify clean

help: ## print these commands
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

setup: $(VENV)/.ready ## make the environment in .venv, exact versions

$(VENV)/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==0.13.9
	UV_FIND_LINKS="$(FIND_LINKS)" $(BIN)/uv pip install --quiet --python $(BIN)/python --constraint constraints.txt --editable '.[dev]'
	touch $@

run: setup ## data, training, evaluation and report of the default experiment
	$(SNAKEMAKE)
	@echo; echo "Report: results/$$($(BIN)/python -c 'from steering.params import load; print(load().default)')/report.html"

smoke: setup ## the same pipeline with the same weights at a tiny budget
	$(SNAKEMAKE) smoke smoke_analyses

paper-embedded: setup ## every table and figure of the papers in the embedded world, each arm trained once: a night; BUDGET=small: half an hour
	@case "$(BUDGET)" in small|night|full) ;; *) echo "BUDGET=$(BUDGET); allowed: small, night, full" >&2; exit 2;; esac
	$(SNAKEMAKE) $(ALL_$(BUDGET))

ablate: setup ## MoReS by rank, tokens and layers, three seeds: Tables 6, 8 and 9 in the embedded world
	$(SNAKEMAKE) embedded_table6 embedded_table8 embedded_table9 embedded_tokens embedded_mrt

plan: setup ## what each experiment trains, costs and still has to run
	$(BIN)/python -m stages.plan

chat: setup ## ask a tuned model about a picture; CHAT="--page" on a page of this machine, CHAT="lora --picture FILE" another arm
	$(BIN)/python -m stages.chat $(CHAT)

status: setup ## what is done, running and failed, of the default experiment
	$(BIN)/python -m stages.status

resume: setup ## go on after snakemake was killed, on this machine or with jobs in SLURM
	$(BIN)/python -m stages.resume

slurm-demo: setup ## as root: the smoke experiment as jobs of a real two-node SLURM cluster on this machine
	$(BIN)/python tests/slurm/cluster.py $(SNAKEMAKE) --profile workflow/profiles/slurm smoke \
		--slurm-init-seconds-before-status-checks 2 --latency-wait 5 \
		--set-resources $(addsuffix :gpu=1,features connector tune predict attention)

slurm-test: setup ## as root: the tests on that cluster
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 0 -m slurm tests/slurm

test: setup ## the tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest

check: setup ## format, lint, types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile workflow
	$(BIN)/mypy
	$(BIN)/python workflow/lint.py

format: setup ## put the code into shape
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/snakefmt Snakefile workflow

lock: setup ## write constraints.txt from the environment that is here
	@sed -n '/^#/p' constraints.txt > constraints.new
	$(BIN)/uv pip freeze --python $(BIN)/python | grep -viE '^(nvidia|triton|uv==|pip==|setuptools==|-e )' \
		| sed 's/+cpu$$//' >> constraints.new && mv constraints.new constraints.txt

ui: setup ## browse every run in MLflow on http://127.0.0.1:5000
	@echo "http://127.0.0.1:5000/#/experiments?workflowType=machine_learning  (else MLflow shows its pages for chat applications)"
	MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false $(BIN)/mlflow server --backend-store-uri sqlite:///mlflow.db \
		--host 127.0.0.1 --port 5000 --workers 1

record: setup ## let DVC remember the data, checkpoints and results that are here
	$(BIN)/dvc commit --force --quiet && $(BIN)/dvc push --quiet && $(BIN)/dvc status

restore: setup ## bring back what DVC remembers, and let Snakemake accept it
	$(BIN)/dvc pull && { $(BIN)/dvc status --quiet || { $(BIN)/dvc status; false; }; } \
		&& $(SNAKEMAKE) --touch --forceall --quiet all -- $$(ls data | sed s/^/all_/)

verify: setup ## compare every file here with the sha256 that its manifest keeps
	$(BIN)/python -m stages.verify

clean: ## remove the environment and everything made (downloads, data, checkpoints, results)
	rm -rf $(VENV) .snakemake .store checkpoints data downloads logs models results mlartifacts mlflow.db* mlflow.ready
