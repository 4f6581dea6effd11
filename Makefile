# One command per wish. `make setup` is what all begin with; it takes seconds when nothing changed.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: setup demo test soak fix bench docs browser broker checks checks-python checks-screens

setup:
	@$(PYTHON) scripts/setup.py

demo: setup
	@$(BIN)/isthmus demo $(if $(DATA),--data $(DATA)) $(if $(PORT),--port $(PORT)) $(if $(SCALE),--scale $(SCALE))

browser:
	@$(PYTHON) scripts/browser.py

checks: setup
	@$(MAKE) --no-print-directory --jobs=2 checks-python checks-screens

checks-python:
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python scripts/licences.py

checks-screens:
	$(BIN)/python scripts/screens.py check

broker:
	@$(PYTHON) scripts/broker.py

test: setup browser broker checks
	$(BIN)/coverage erase
	$(BIN)/python scripts/run_tests.py $(PYTEST)
	$(BIN)/coverage combine --quiet
	$(BIN)/python scripts/coverage_floor.py
	$(BIN)/python scripts/status.py --check
	$(BIN)/python scripts/plugin_reference.py --check

soak: setup browser broker
	$(BIN)/python scripts/soak.py

fix: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: setup
	@for name in $$($(BIN)/python -c "from isthmus.cli.bench import NAMES; print(*NAMES)"); do $(BIN)/isthmus bench $$name --json --quick || exit 1; done

docs: setup
	$(BIN)/python scripts/status.py
	$(BIN)/python scripts/plugin_reference.py
