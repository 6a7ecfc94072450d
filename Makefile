# Everything a person needs: `make run` to use DEVEX, `make test` to check it. `make help` lists the rest.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
unexport PYTHONDONTWRITEBYTECODE # hundreds of our processes would each compile the same modules

.DEFAULT_GOAL := help
.PHONY: help run bundle images kind-up kind-down minikube-up minikube-down lock format lint types test soak bench clean

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

run: $(VENV)/run.stamp $(BIN)/devex bundle  ## install what is missing, then serve on http://127.0.0.1:8080
	@exec $(BIN)/python main.py

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "DEVEX needs Python 3.11 or newer: set PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo "Cannot make a virtual environment: install your system's python3-venv package" >&2; exit 1; }

$(VENV)/run.stamp: requirements.lock | $(VENV)/bin/python
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@touch $@

# The command, as an installation has it; -P: what lies in the folder it is called from is not ours.
$(BIN)/devex: | $(VENV)/bin/python
	@printf '#!/bin/sh\nPYTHONPATH="%s" exec "%s" -P -m app.cli "$$@"\n' "$(CURDIR)" "$(abspath $(BIN)/python)" >$@ && chmod +x $@

$(VENV)/dev.stamp: requirements-dev.lock | $(VENV)/bin/python
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@touch $@ $(VENV)/run.stamp

$(BIN)/rclone: .ci/rclone | $(VENV)/dev.stamp
	@.ci/rclone $@

$(BIN)/kubectl: .ci/kubectl | $(VENV)/dev.stamp
	@.ci/kubectl $@

# A figure beside ours; its library is of another version than ours, hence a place of its own.
$(VENV)/aws/bin/aws: .ci/aws.lock | $(VENV)/bin/python
	@$(BIN)/python -m venv $(VENV)/aws
	@$(VENV)/aws/bin/pip install --quiet --disable-pip-version-check --require-hashes -r .ci/aws.lock

bundle: $(VENV)/run.stamp  ## build the browser's JavaScript (skipped when nothing changed)
	@$(BIN)/python -m components.build

# REPLs as pods. What it is told by the environment is at the top of the script.
images: bundle  ## build the images of server and pods with ENGINE=podman or docker; NAMES="proxy go" for some
	@k8s/images/build $(NAMES)

kind-up:  ## DEVEX in a cluster of kind, on http://localhost:8080
	@k8s/kind.sh up

kind-down:  ## remove that cluster, with all that is in it
	@k8s/kind.sh down

minikube-up:  ## DEVEX in a cluster of minikube, on http://localhost:8080
	@k8s/minikube.sh up

minikube-down:  ## remove that cluster, with all that is in it
	@k8s/minikube.sh down

lock: $(VENV)/dev.stamp  ## lock the dependencies of pyproject.toml again, with hashes and without addresses
	$(BIN)/pip-compile $(LOCK) --extra build -o requirements.lock pyproject.toml
	$(BIN)/pip-compile $(LOCK) --extra build --extra dev -c requirements.lock -o requirements-dev.lock pyproject.toml
	$(BIN)/pip-compile $(LOCK) -c requirements.lock -o k8s/images/proxy.lock k8s/images/proxy.in
LOCK := -q --no-header --generate-hashes --strip-extras --allow-unsafe --no-emit-index-url --no-emit-trusted-host --no-emit-find-links --no-annotate

format: $(VENV)/dev.stamp  ## put the code in its form
	$(BIN)/ruff check --quiet --fix-only . && $(BIN)/ruff format .

lint: $(VENV)/dev.stamp  ## form, lint and import rules
	$(BIN)/ruff format --check . && $(BIN)/ruff check . && $(BIN)/lint-imports

types: $(VENV)/dev.stamp  ## strict type check
	$(BIN)/mypy

# Four at a time on two cores: tests wait for processes, servers and pages more than they compute.
test: $(VENV)/dev.stamp $(BIN)/rclone $(BIN)/kubectl bundle  ## install what the tests need (Chromium, PostgreSQL, rclone, the templates' tools) and run all of them
	@.ci/system-packages
	$(BIN)/pytest -n 4 --dist loadgroup -m "not soak" $(ARGS)

soak: $(VENV)/dev.stamp $(BIN)/rclone bundle  ## the long runs
	@.ci/system-packages
	$(BIN)/pytest -m soak --timeout 3600 $(ARGS)

bench: $(VENV)/dev.stamp $(BIN)/rclone bundle  ## measure; ONLY=name for one figure; writes bench-results.json
	@.ci/system-packages
	@$(MAKE) --no-print-directory $(VENV)/aws/bin/aws || echo "AWS's CLI cannot be installed: nothing is measured with it" >&2
	@$(BIN)/python -m tests.bench $(ONLY)

clean:  ## remove what was built and installed (not your data)
	rm -rf $(VENV) components/dist components/node_modules .mypy_cache .ruff_cache .hypothesis test-results bench-results.json
