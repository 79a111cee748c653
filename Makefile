# The project's tasks. `make check` is what a change must pass.
PY ?= .venv/bin/python
BIN = $(dir $(PY))
SEED ?= 1

.PHONY: install lock check format lint types floors test storm minimal bench

install:  ## a virtual environment with everything a developer needs, at the locked versions
	python3 -m venv .venv
	.venv/bin/python -m pip install -q -r requirements.lock
	.venv/bin/python -m pip install -q --no-deps -e .

lock:  ## resolve the dependencies anew
	$(BIN)uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --extra dev pyproject.toml -o requirements.lock

check: lint types floors test  ## what a change must pass

format:
	$(BIN)ruff check --fix -q .
	$(BIN)ruff format -q .

lint:
	$(BIN)ruff format --check .
	$(BIN)ruff check .

types:
	$(PY) -m mypy

floors:  ## who may import whom
	$(BIN)lint-imports

test:
	$(PY) -m pytest

storm:  ## kills of everything under load, a machine that sleeps, missions that are cancelled: half an hour
	$(PY) tests/faults/money_storm.py --holds 1000 --seed $(SEED)
	$(PY) tests/faults/mission_storm.py --missions 300 --kills 50 --server-kills 5 --seed $(SEED)
	$(PY) tests/faults/mission_storm.py --missions 40 --sleeps 4 --seed $(SEED)
	$(PY) tests/faults/mission_storm.py --missions 300 --cancels 300 --seed $(SEED)
	$(PY) tests/faults/waiting_missions.py --missions 500 --seed $(SEED)

minimal:  ## README's two commands on a minimal Debian, as root and as an ordinary user (root, debootstrap; minutes)
	$(PY) tests/minimal/check.py $(MINIMAL)

bench:  ## how long starts take, each beside a baseline
	$(PY) bench/start.py
