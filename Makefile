# `make` lists the targets. Each one makes .venv with what it needs.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PY_TAG := $(shell $(PYTHON) -c 'import sys; print("py%d%d" % sys.version_info[:2])' 2>/dev/null)
PIN    := constraints/$(PY_TAG).txt
INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint $(PIN)
SETUP  := setup.cfg pyproject.toml $(wildcard $(PIN))

# Inputs of the targets below; override them on the command line.
OUT     ?= runs/latest
WEIGHTS ?= imagenet
RUN     ?= $(OUT)
BUNDLE  ?= bundle
MODEL   ?= $(BUNDLE)
ARGS    ?=
PI_TOOLS ?=
# Processes of `make test`, each with TensorFlow in 2 to 3 GB; ARGS="-n 0" is none beside pytest.
WORKERS ?= 2

# Of test-pi: a bundle that was named has to be there; without one, and without bundle/, the demo's.
PI_BUNDLE = $(if $(filter file,$(origin BUNDLE)),$(or $(wildcard $(BUNDLE)),demo/bundle),$(BUNDLE))

.DEFAULT_GOAL := help
.PHONY: help venv demo test test-slow test-pi perf train export classify bench lint clean wheel

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

venv: $(VENV)/.all ## install the four commands into .venv (3 GB with TensorFlow)

demo: $(VENV)/.all ## the whole road on an embedded data set, offline: train, export, classify, explain, benchmark
	@PATH="$(abspath $(BIN)):$$PATH" sh scripts/demo.sh

test: $(VENV)/.dev ## run the tests
	$(BIN)/python -m pytest -m 'not slow' -n $(WORKERS) --dist loadfile $(ARGS)

test-slow: $(VENV)/.slow ## run the long tests, on real photos where they are (see CONTRIBUTING.md)
	$(BIN)/python -m pytest -m 'slow' $(ARGS)

perf: $(VENV)/.all ## compare with other programs, hours; writes benchmarks/perf/RESULTS.md (ARGS="--list")
	$(BIN)/python -m benchmarks.perf.suite $(ARGS)

test-pi: $(VENV)/.dev ## try the wheel on emulated Raspberry Pis, as root: make test-pi [BUNDLE='bundle other'] [PI_TOOLS=dir]
	test '$(PI_BUNDLE)' != demo/bundle || test -e demo/bundle || $(MAKE) demo
	$(BIN)/python scripts/test_pi.py $(PI_BUNDLE) $(if $(PI_TOOLS),--tools '$(PI_TOOLS)') $(ARGS)

train: need-DATA $(VENV)/.all ## train: make train DATA=photos/ OUT=runs/x WEIGHTS=imagenet [ARGS='--seed 1']
	$(BIN)/edge-train fit "$(DATA)" --out "$(OUT)" --weights "$(WEIGHTS)" $(ARGS)

export: $(VENV)/.all ## export a run: make export RUN=runs/x BUNDLE=bundle
	$(BIN)/edge-export bundle "$(RUN)" --out "$(BUNDLE)" $(ARGS)

classify: need-PHOTOS $(VENV)/.base ## classify photos: make classify BUNDLE=bundle PHOTOS='a.jpg folder/'
	$(BIN)/edge-classify image --model "$(MODEL)" $(ARGS) $(PHOTOS)

bench: $(VENV)/.all ## benchmark a bundle: make bench BUNDLE=bundle [DATA=photos/test]
	$(BIN)/edge-bench run "$(BUNDLE)" $(if $(DATA),--data "$(DATA)") $(ARGS)

lint: $(VENV)/.dev ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

wheel: $(VENV)/.dev ## build the wheel into dist/
	$(BIN)/python -m build --wheel

clean: ## remove .venv, the demo and everything that was built; runs/ and bundles stay
	rm -rf $(VENV) demo build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -prune -exec rm -rf {} +

# A forgotten variable is told before anything is installed.
need-%:
	@test -n "$($*)" || { echo "$* is missing; \`make help\` shows how the target is called." >&2; exit 2; }

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' || \
	  { echo "Python 3.10 to 3.13 is needed. Name one with: make PYTHON=python3.12 ..." >&2; exit 5; }
	@$(PYTHON) -m venv $(VENV) || \
	  { echo "The venv module is missing (on Debian: apt install python3-venv)." >&2; rm -rf $(VENV); exit 5; }

# The light set of the device, the full toolkit, and what developing it needs on top.
$(VENV)/.base: $(BIN)/python $(SETUP)
	$(INSTALL) --editable '.[onnx]'
	@touch $@

$(VENV)/.all: $(BIN)/python $(SETUP)
	$(INSTALL) --editable '.[all]'
	@touch $@

$(VENV)/.dev: $(BIN)/python $(SETUP)
	$(INSTALL) --editable '.[all,dev]'
	@touch $@

$(VENV)/.slow: $(VENV)/.dev
	$(INSTALL) --editable '.[slow]'
	@touch $@
