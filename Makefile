PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.DEFAULT_GOAL := help

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# Every dependency is pinned with its hash, so that each machine runs the same set; the package itself is linked in place.
$(VENV)/.demo: requirements/run.txt pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements/run.txt
	$(BIN)/python -m pip install --quiet --no-deps -e .
	touch $@

$(VENV)/.dev: requirements/dev.txt $(VENV)/.demo
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements/dev.txt
	touch $@

.PHONY: demo
demo: $(VENV)/.demo ## Run the exporter over the embedded demo registry: http://localhost:10981/
	$(BIN)/har-exporter demo

.PHONY: test
test: lint ## Check style, types and imports, then run all tests
	$(BIN)/python -m pytest --cov --cov-report=term

.PHONY: lint
lint: $(VENV)/.dev ## Check style, types and the direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

.PHONY: format
format: $(VENV)/.dev ## Format the code and mend what a machine can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.PHONY: readme
readme: $(VENV)/.dev ## Write the tables of the README anew
	$(BIN)/python tests/readme.py

.PHONY: lock
lock: $(VENV)/.dev ## Pin the newest dependencies, with hashes
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --no-emit-index-url --no-annotate --no-strip-extras \
		--upgrade pyproject.toml -o requirements/run.txt
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --no-emit-index-url --no-annotate --no-strip-extras \
		--upgrade --extra dev pyproject.toml -o requirements/dev.txt

.PHONY: clean
clean: ## Remove what the other targets made
	rm -rf $(VENV) .coverage* .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
