# Each target sets up what it needs by itself. `make` alone explains them.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
PY := $(VENV)/bin/python
RUN_READY := $(VENV)/.ready-run
DEV_READY := $(VENV)/.ready-dev
BENCH_VENV := .venv-bench
BENCH_READY := $(BENCH_VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help demo demo-crash demo-refund demo-rabbitmq test check format bench bench-gate bench-rabbitmq
.PHONY: surge-profiles surge-newcomer rabbitmq4 fault-rabbitmq fault-money crash-matrix mutants audit-mutations
.PHONY: explain-moments pictures forecast-calibration lock clean

help: ## this list
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | awk -F'\t' '{printf "  make %-20s %s\n", $$1, $$2}'

demo: $(RUN_READY) ## an incident surge through a real daemon into a sandbox ERP, certified from the ERP's own log
	@$(PY) run.py demo

demo-crash: $(RUN_READY) ## the same, with the daemon killed five times in mid-surge
	@$(PY) run.py demo --crash

demo-refund: $(RUN_READY) ## one credit through five systems, one taken back, then an incident of 5,000 cases approved once (ARGS="--cases 1000", --crash)
	@$(PY) run.py demo-refund $(ARGS)

demo-rabbitmq: $(RUN_READY) ## the same over a RabbitMQ node of its own; ARGS=--crash kills daemon and broker, five times each
	@$(PY) run.py demo --broker rabbitmq $(ARGS)

surge-profiles: $(RUN_READY) ## 20,000 cases against NetSuite, Business Central, Xero and Dataverse limits: killed, steered, certified (20 min; ARGS="--against xero --cases 3000")
	@$(PY) run.py surge --pack all --cases 20000 $(if $(findstring --against,$(ARGS)),,--against all) --out .tidegate/profiles $(ARGS)

surge-newcomer: $(RUN_READY) ## one new message of a tenant behind 50,000 of another one: when does it start? (ARGS="--behind 5000")
	@$(PY) run.py surge-newcomer $(ARGS)

test: $(DEV_READY) ## every test
	@$(PY) -m tests.side_by_side

check: $(DEV_READY) ## format, lint, strict types, import order of the rooms, tidiness
	@$(PY) -m ruff format --check --quiet . && echo "format ok"
	@$(PY) -m ruff check --quiet . && echo "lint ok"
	@$(PY) -m mypy
	@$(PY) -m pytest tests/unit/test_rooms.py tests/unit/test_tidy.py

format: $(DEV_READY) ## put the code into shape
	@$(PY) -m ruff format . && $(PY) -m ruff check --fix .

bench: $(RUN_READY) ## measure speed and memory beside references of the same run
	@$(PY) -m tests.load.bench $(ARGS)

bench-gate: $(RUN_READY) ## use of limits and windows over, beside aiolimiter, a token bucket and a fixed window; cost of an admission
	@$(PY) -m tests.load.bench gate $(ARGS)

bench-rabbitmq: $(RUN_READY) $(BENCH_READY) ## the RabbitMQ engine beside raw aio-pika, FastStream, Celery, Dramatiq and taskiq
	@$(PY) -m tests.load.bench rabbitmq $(ARGS)

rabbitmq4: $(RUN_READY) ## RabbitMQ 4.0 in a folder (TIDEGATE_RABBITMQ4, or the user's cache), from Debian 13; needs root
	@$(PY) -m ops.rabbitmq_install

fault-rabbitmq: $(DEV_READY) ## contract and broker faults against the installed RabbitMQ and 4.0, one line each
	@$(PY) -m tests.fault.rabbitmq_campaign $(ARGS)

fault-money: $(DEV_READY) ## lost, late, double and false answers, closed periods, tokens, retries, approvals: one line each
	@$(PY) -m tests.fault.money_campaign $(ARGS)

crash-matrix: $(DEV_READY) ## die before and after every durable step, on both engines, and be judged (ARGS="--only poster --engine embedded")
	@$(PY) -m tests.fault.crash $(ARGS)

mutants: $(DEV_READY) ## planted faults in gate, order and spending, each caught by name from the ERP's log alone
	@$(PY) -m tests.fault.mutants

audit-mutations: $(DEV_READY) ## 10,000 random changes of a real audit, each found and its first bad entry named (ARGS="--count N --seed N")
	@$(PY) -m tests.fault.audit_mutations $(ARGS)

explain-moments: $(DEV_READY) ## what `tidegate explain` says at each moment at which a thing is not done yet, for a person to read
	@$(PY) -m tests.acceptance.explain_moments $(ARGS)

pictures: $(RUN_READY) ## draw `tidegate top` and the report page of a real run into ops/docs
	@$(PY) -m ops.pictures ops/docs

forecast-calibration: $(RUN_READY) ## how often the truth lies within the forecast's 80 % interval, over 500 simulated surges
	@$(PY) -m ops.virtual --surges 500 --out ops/docs $(ARGS)

lock: $(DEV_READY) ## write the lock files anew (hashes, no download addresses)
	@sh ops/lock.sh $(PY)

clean: ## remove everything that was made here
	rm -rf $(VENV) $(BENCH_VENV) .tidegate .hypothesis .mypy_cache .ruff_cache build dist *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(RUN_READY): requirements.lock ops/bootstrap.sh
	@sh ops/bootstrap.sh "$(PYTHON)" $(VENV) requirements.lock $@

$(DEV_READY): requirements.lock tests/requirements.lock ops/bootstrap.sh
	@sh ops/bootstrap.sh "$(PYTHON)" $(VENV) tests/requirements.lock $@

$(BENCH_READY): tests/load/requirements.lock ops/bootstrap.sh
	@sh ops/bootstrap.sh "$(PYTHON)" $(BENCH_VENV) tests/load/requirements.lock $@
