# The one door. `make help` lists what there is.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv
UV_VERSION := 0.13.8
STATE ?= .demo
# What `make test` leaves to `make test-full`.
WITHOUT := and not long
# Where the quick tests are: collecting the others would import every library.
UNIT := tests/api tests/docs tests/engine tests/planning tests/statistics tests/store tests/workloads/floor/model \
	tests/workloads/floor/expressions tests/workloads/test_main.py tests/workloads/test_loop.py \
	tests/workloads/drift/test_check_types.py tests/workloads/serve/test_recorder_room.py

# Python writes its progress at once, also into a pipe.
export PYTHONUNBUFFERED := 1
# Where this is set, each of the thousands of processes of the tests compiles every library anew.
unexport PYTHONDONTWRITEBYTECODE

# Programs that are built once from pinned Go modules: the real parts that the tests run. The last three are a
# quarter of the time: they are built for `make test-full` and by the benchmarks.
TOOLS := etcd kube-apiserver kube-controller-manager kube-scheduler kube-proxy kubelet kubectl coredns helm minio
MORE_TOOLS := kwok versitygw kstatus
# How far `make simulate` goes: so many steps, or so many seconds if they are given; and from which seed on.
STEPS ?= 200000
SECONDS ?=
SEED ?= 1
# Where `make mutate` changes the code, and for how long.
ROOMS ?= statistics planning verdict
MUTATE_SECONDS ?= 3600
# How many changes of each module, drawn by the seed; 0: all.
MUTATE_SAMPLE ?= 0
MUTATE_SEED ?= 1

.PHONY: help venv demo check check-code check-tests test test-full test-faults simulate mutate tools generate lock format images cluster-up cluster-down load-image bench clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

# The stamp is made again when the locked dependencies or the package's metadata change.
$(VENV)/.installed: requirements.lock pyproject.toml
	@echo "==> Installing into $(VENV)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, this is " + sys.version)'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	@$(UV) pip install --quiet --compile-bytecode --python $(BIN)/python --require-hashes -r requirements.lock
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps -e .
	@touch $@

venv: $(VENV)/.installed ## make .venv with the locked dependencies

demo: venv ## the weather loop on this machine, no cluster, no service: ingest, train, serve, replay 40 years, retrain
	@$(BIN)/mlops run -f examples/weather --state $(STATE)

# The first works on one core and the second on all: side by side, neither waits for the other.
check: venv ## format, lint, types, import contracts, generated files, unit tests: seconds, offline
	@$(MAKE) --no-print-directory --jobs=2 check-code check-tests

check-code:
	@echo "==> format and lint" && $(BIN)/ruff format --check --quiet . && $(BIN)/ruff check --quiet .
	@echo "==> types" && $(BIN)/mypy
	@echo "==> import contracts" && $(BIN)/lint-imports --no-cache >$(VENV)/lint-imports.log 2>&1 || { cat $(VENV)/lint-imports.log; exit 1; }
	@echo "==> generated files" && $(BIN)/python hack/generate.py --check && $(BIN)/python hack/bad_inputs.py --check

check-tests:
	@echo "==> unit tests" && $(BIN)/pytest -q -n auto --dist worksteal $(UNIT) -m "not thorough and not slow and not long and not apiserver and not s3"

tools: venv ## build Kubernetes, etcd, Helm, MinIO ... from their Go modules, once, into a cache; say which packages lack
	@echo "==> programs"
	@$(BIN)/python hack/packages.py install || true
	@$(BIN)/python hack/tools.py build $(TOOLS) >/dev/null

test: venv tools ## everything but what takes minutes by itself: real API server, real S3 servers, a real cluster
	@$(MAKE) --no-print-directory check
	@echo "==> simulation" && $(MAKE) --no-print-directory simulate
	@echo "==> tests with real parts" && $(BIN)/pytest -q -n 3 --dist loadfile --no-loadscope-reorder --durations=15 \
		-m "(thorough or slow or apiserver or s3) and not cluster $(WITHOUT)"
	@echo "==> tests on a real cluster" && $(BIN)/pytest -q -s -m "cluster $(WITHOUT)"

test-full: ## really everything: also all examples, fifty kills, faults as long as their catalogue says
	@MLOPS_FULL_FAULTS=1 $(MAKE) --no-print-directory test WITHOUT= TOOLS="$(TOOLS) $(MORE_TOOLS)"

test-faults: venv tools ## the catalogue of faults on a real cluster, each as long as it says; about an hour
	@MLOPS_FULL_FAULTS=1 $(BIN)/pytest -q -s tests/cluster_faults tests/faults_on_cluster

simulate: venv ## the control loop with faults on virtual time, all invariants at each step: STEPS=200000, or SECONDS=600; SEED=1
	@$(BIN)/python -m tests.simulation $(if $(SECONDS),--seconds $(SECONDS),--steps $(STEPS)) --seed $(SEED)

mutate: venv ## change the code line by line and see whether tests notice: ROOMS="statistics planning verdict", MUTATE_SECONDS=3600 each, MUTATE_SAMPLE=10
	@for room in $(ROOMS); do $(BIN)/python hack/mutate.py $$room --seconds $(MUTATE_SECONDS) --sample $(MUTATE_SAMPLE) --seed $(MUTATE_SEED) || failed=1; done; exit $${failed:-0}

images: venv ## build the container images into dist/images (buildah here; `docker build` works too)
	@$(BIN)/python hack/images.py build --output dist/images

cluster-up: venv ## a real one-node Kubernetes on this machine: Linux, root, no Docker
	@$(BIN)/python hack/cluster.py up

cluster-down: ## end it and leave nothing
	@$(BIN)/python hack/cluster.py down

load-image: images ## build the images and load them into that cluster
	@$(BIN)/python hack/cluster.py load-image dist/images/*.tar

generate: venv ## write what is made from the code: CustomResourceDefinitions, and parts of the pages
	@$(BIN)/python hack/generate.py && $(BIN)/python hack/bad_inputs.py

lock: ## resolve the dependencies again
	@$(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --extra dev pyproject.toml -o requirements.lock
	@for extra in operator workloads; do $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes \
		--no-header --no-annotate --extra $$extra -c requirements.lock pyproject.toml -o requirements-$$extra.lock; done
	@$(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
		hack/images/build.in -o hack/images/build.lock

format: venv ## format the code
	@$(BIN)/ruff format . && $(BIN)/ruff check --fix .

PEERS := $(VENV)-peers

$(PEERS)/.installed: bench/requirements.txt
	@test -x $(PEERS)/bin/python || $(PYTHON) -m venv $(PEERS)
	@$(UV) pip install --quiet --python $(PEERS)/bin/python -r bench/requirements.txt
	@touch $@

bench: venv $(PEERS)/.installed ## the benchmarks, each against what one would use instead, both sides in one run
	@for format in csv quoted parquet jsonl; do \
		$(BIN)/python bench/ingest.py --peers-python $(PEERS)/bin/python --format $$format || exit 1; done
	@$(BIN)/python bench/drift_statistics.py
	@$(BIN)/python bench/reconcile_cost.py
	@$(BIN)/python bench/serving.py
	@$(BIN)/python bench/expressions.py
	@$(BIN)/python bench/attack.py
	@OMP_NUM_THREADS=1 $(BIN)/python bench/drift_streams.py --streams 6 --windows 3

clean: ## remove what was built here
	rm -rf $(VENV) $(PEERS) $(STATE) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
