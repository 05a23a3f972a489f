# Every command of this project. `make` or `make help` lists them.

export UV_SYSTEM_CERTS := 1
export HF_HUB_OFFLINE := 1

PYTHON ?= python3
BIN := .venv/bin
REQUIREMENTS := $(wildcard requirements/*.txt)

.DEFAULT_GOAL := help
.PHONY: help demo test test-fast test-long lint format generate verify requirements images sbom audit cluster bench release clean environment

##@ Try it

help:  ## List the commands, by who needs them
	@echo "sdbench: how fast would your cluster train Stable Diffusion?"
	@awk -F ':.*## ' '/^##@ / {printf "\n%s\n", substr($$0, 5)} /^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo "Built tools and images are kept in \$$SDBENCH_CACHE (default ~/.cache/sdbench)."

demo: environment  ## From a fresh checkout to the scaling table of this machine (a few minutes)
	@$(BIN)/python tests/photographs.py build/demo/photographs
	@$(BIN)/sdbench-trainer shards build --overwrite build/demo/photographs build/demo/shards
	@$(BIN)/sdbench run crds/examples/tiny.yaml --local --overwrite --shards build/demo/shards --results build/demo/results
	@$(BIN)/sdbench report build/demo/results/tiny/benchmark.json --format html --output build/demo/report.html
	@echo "The report with its plot: build/demo/report.html"

##@ Use it on a cluster

images: environment  ## Build the cluster's tools and the two images
	@PYTHONPATH=tests $(BIN)/python -m harness build

cluster: environment  ## Start a real one-node cluster on this machine and keep it until Ctrl-C (root)
	@PYTHONPATH=tests $(BIN)/python -m harness up

##@ Change it

test-fast: environment  ## Unit, properties and lint: the daily loop (under two minutes)
	@$(BIN)/python tests/tiers.py lint unit properties

test: environment  ## Every tier that this machine can run; with CI set, nothing may be left out
	@$(BIN)/python tests/tiers.py

test-long: environment  ## What takes too long for every change: each crash of each scenario, 10,000 interleavings, outages
	@$(BIN)/python -m pytest tests/long --durations=10
	@echo "The results: docs/long-results.md"

lint: environment  ## Style, types, import contracts, Dockerfiles, spelling, known vulnerabilities, security rules (the last with Go)
	@$(BIN)/python tests/tiers.py lint scan

format: environment  ## Rewrite the Python files with ruff
	@$(BIN)/ruff check --fix --quiet .
	@$(BIN)/ruff format --quiet .

generate: environment  ## Write every generated copy: CRD, RBAC rules, reference pages
	@mkdir -p charts/sdbench/files
	@$(BIN)/python -m sdbench.api.crd.schema > crds/stablediffusionbenchmarks.yaml
	@cp crds/stablediffusionbenchmarks.yaml charts/sdbench/files/crd.yaml
	@$(BIN)/python -m sdbench.controller.apiserver.rbac > charts/sdbench/files/rules.yaml
	@$(BIN)/python docs/generate.py
	@$(BIN)/python docs/values.py
	@$(BIN)/python -m charts.dashboards
	@$(BIN)/python -m benchmarks.page

verify: generate  ## Generate, then demand that nothing differs from what is committed
	@git diff --exit-code -- crds charts/sdbench/files charts/sdbench/dashboards charts/sdbench/README.md docs || { echo "Generated files are stale: commit what make generate wrote." >&2; exit 1; }

requirements: environment  ## Compile requirements/*.in to pinned and hashed requirements/*.txt
	@sh requirements/compile.sh $(BIN)/uv

bench: environment  ## Measure the trainer's parts against plain implementations (18 minutes of a quiet machine)
	@PYTHONPATH=tests $(BIN)/python -m benchmarks
	@PYTHONPATH=tests $(BIN)/python -m benchmarks.page
	@echo "The results: docs/benchmarks.md"

clean:  ## Delete what make built inside the checkout
	rm -rf .venv build dist

##@ Release it

release: environment  ## Everything that a release consists of, in dist (root; OPTIONS=--without-images leaves the images out)
	@PYTHONPATH=tests $(BIN)/python -m release $(OPTIONS)

sbom: environment  ## List what is in the images (CycloneDX, in build/sbom)
	@$(BIN)/python tests/sbom.py

audit: environment  ## Look for known vulnerabilities of the images' packages (asks pypi.org)
	@$(BIN)/python tests/audit.py

environment: .venv/ready

.venv/ready: $(REQUIREMENTS) operator/pyproject.toml trainer/pyproject.toml
	@sh requirements/environment.sh $(PYTHON)
	@touch $@
