# `make` prints the verbs. Every verb that needs .venv makes it first; each works on a fresh clone.

CONF = conf/live.toml
DT =
FROM =
TO =
SET =
STEP =
AT_ONCE = 2
DATASET =
PLAN =
QUARANTINE_FILES =
MASTER =
PART =
PEERS ?=
SECONDS ?=
REPEATS ?=
ROWS ?=
LINES ?=

# Java is where `make setup` found it; SET="a.b=1 c.d=2" becomes one --set each.
PYTHON_HERE = JAVA_HOME="$$(cat .venv/java-home)" .venv/bin/python
OPTIONS = --conf '$(CONF)' $(foreach setting,$(SET),--set '$(setting)')
FILES_OPTION = $(if $(QUARANTINE_FILES),--quarantine-files)
BENCH_OPTIONS = $(if $(PEERS),--peers '$(PEERS)') $(if $(SECONDS),--seconds $(SECONDS)) \
	$(if $(REPEATS),--repeats $(REPEATS)) $(if $(ROWS),--rows $(ROWS)) \
	$(if $(LINES),--lines $(LINES))

.PHONY: help setup run day backfill train explain compact dist test check prove bench clean
.NOTPARALLEL:

help:  ## print this
	@echo "make VERB [NAME=value ...]"
	@sed -n "s/^\([a-z]*\):.*##  *\(.*\)/  \1\t\2/p" Makefile | expand -t 14
	@echo
	@echo "  CONF=conf/live.toml      the product's config, for every verb that works on a product"
	@echo "  SET=\"a.b=1 c.d=x\"        values of the config to override, separated by blanks"
	@echo "  DT=2026-01-07            a day (A..B for several); FROM= and TO= are the first and the last of a range"
	@echo "  STEP=build_examples      for backfill and explain: this step alone"
	@echo "  AT_ONCE=2                for backfill: so many steps and days side by side, where they do not read one another"
	@echo "  QUARANTINE_FILES=1       for day and backfill: leave damaged raw files out instead of stopping"
	@echo "  DATASET=examples/enter   for compact: what to lay out"
	@echo "  PLAN=1                   for explain: print the physical plans too"
	@echo "  MASTER=spark://host:7077 for dist: the cluster's master, for the line to type"
	@echo "  PART=name                one part of prove or bench, one path of test"
	@echo "  PEERS=path/to/python     for bench: the Python that has torch, tensorflow and jax"
	@echo "  SECONDS= REPEATS= ROWS=  for bench: of the clock a process, processes a side, rows of part memory"
	@echo "  LINES=4000000            for bench: of a day in part features"

setup:  ## make .venv from requirements.lock and find Java 17 or newer (the other verbs do it by themselves)
	@.ci/setup $(if $(filter setup,$(MAKECMDGOALS)),,--quiet)

run: setup  ## the demonstration: simulate logs, go the whole road, end with a model and its quality
	@$(PYTHON_HERE) -m jobs.run $(OPTIONS)

day: need-DT setup  ## the road for one day: make day DT=2026-01-07
	@$(PYTHON_HERE) -m jobs.day $(OPTIONS) --dt '$(DT)' $(FILES_OPTION)

backfill: need-FROM need-TO setup  ## the road for a range, or one STEP= of it: make backfill FROM=2026-01-01 TO=2026-01-07
	@$(PYTHON_HERE) -m jobs.day $(OPTIONS) --dt '$(FROM)..$(TO)' --at-once '$(AT_ONCE)' $(if $(STEP),--step '$(STEP)') \
		$(FILES_OPTION)

train: need-DT setup  ## the training alone, on data up to a day: make train DT=2026-01-08
	@$(PYTHON_HERE) -m jobs.train $(OPTIONS) --dt '$(DT)'

explain: need-DT setup  ## what Spark would do for each step of a day that is built: shuffles, scans, broadcasts
	@$(PYTHON_HERE) -m jobs.explain $(OPTIONS) --dt '$(DT)' $(if $(STEP),--step '$(STEP)') $(if $(PLAN),--plan)

compact: need-DATASET need-DT setup  ## a published day in fewer, larger files: make compact DATASET=examples/enter DT=2026-01-07
	@$(PYTHON_HERE) -m jobs.compact $(OPTIONS) --dataset '$(DATASET)' --dt '$(DT)'

dist: setup  ## dist/: what executors with a bare Python need, and the line to submit with
	@$(PYTHON_HERE) -m jobs.dist --conf '$(CONF)' $(if $(MASTER),--master '$(MASTER)')

test: setup  ## the tests (PART=tests/loader for some of them)
	@$(PYTHON_HERE) -m pytest -n 2 $(PART)

check: setup  ## lint, format and types
	@failed=0; \
	.venv/bin/ruff check . || failed=1; \
	.venv/bin/ruff format --check . || failed=1; \
	.venv/bin/mypy || failed=1; \
	exit $$failed

prove: setup  ## the long demonstrations; what they print goes to prove/ (part globo needs GLOBO=its log)
	@$(PYTHON_HERE) -m tests.prove $(PART)

bench: setup  ## the benchmarks; their tables go to prove/benchmarks/
	@$(PYTHON_HERE) -m tests.benchmarks $(BENCH_OPTIONS) $(PART)

clean:  ## remove caches and printouts; .venv and the warehouse stay
	rm -rf prove build dist spark-warehouse metastore_db derby.log *.egg-info
	rm -rf .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find jobs pipeline tsengine tests -name __pycache__ -prune -exec rm -rf {} +

need-%:
	@: $(if $(strip $($*)),,$(error make $(MAKECMDGOALS) needs $* as well, for example $*=$(EXAMPLE_$*)))

EXAMPLE_DT = 2026-01-07
EXAMPLE_FROM = 2026-01-01
EXAMPLE_TO = 2026-01-07
EXAMPLE_DATASET = examples/enter
