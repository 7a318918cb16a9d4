"""What Spark intends to do for each step of a day: shuffles, scans, broadcasts; nothing is computed or published.

The day must have been built: a step is planned on what the steps before it have published. Exit code 1 when a step has
a cartesian product or a Python UDF that is not on the list of justified ones.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from jobs.arguments import days_of, parser, run
from jobs.steps import STEPS, start
from pipeline.config import Config
from pipeline.days import Day
from pipeline.errors import MissingInput, PipelineError
from pipeline.words import table

if TYPE_CHECKING:
    from pipeline.query_plan import QueryPlan
    from pipeline.runner import Plan, Runner
    from pipeline.storage import Warehouse

Sizes = Mapping[str, tuple[int, int]]
"""Rows and bytes of a file, by its path."""

JUSTIFIED = {
    ("recommend", "cartesian products"): "every active user with every candidate is what is to be scored",
    ("recommend", "python udfs"): "the model is scored in NumPy, on Arrow batches",
}
HEADER = ("step", "shuffles", "broadcasts", "cartesian", "python", "scans", "files", "rows", "MB")


def explain(config: Config, parsed: argparse.Namespace) -> None:
    """A table for each day, and the plans where they are asked for."""
    runner = start(config)
    faults: list[str] = []
    for day in days_of(config, parsed):
        rows: list[tuple[str, ...]] = [HEADER]
        for name in [parsed.step] if parsed.step else steps_of(config):
            try:
                plan, sizes = planned(runner, name, day)
            except MissingInput as error:
                if name != "recommend" or parsed.step:
                    raise
                print(f"recommend is left out: {error}\n")
                continue
            rows.append(_row(name, plan, sizes))
            faults += unjustified(name, plan.counts)
            if parsed.plan:
                print(f"== {name} {day}\n{plan.text}")
        print("\n".join([str(day), *table(rows, numbers=True), ""]))
    if faults:
        raise PipelineError("; ".join(faults) + ". Join on a key, or use a built-in function of Spark")


def steps_of(config: Config) -> Sequence[str]:
    """The jobs of this product's steps, in order."""
    from pipeline.table_road import OWN_STEPS

    if config.product.base is not None:
        return OWN_STEPS
    if config.table is not None:
        return ("clean_logs", "build_vocab", "build_examples")
    return tuple(name for name in STEPS if name != "build_sessions" or config.sessions is not None)


def planned(runner: Runner, name: str, day: Day) -> tuple[QueryPlan, Sizes]:
    """A step's plan for a day, and rows and bytes of each file that it may read."""
    from pipeline.query_plan import query_plan
    from pipeline.table_road import step_named

    plan = runner.plan(step_named(runner.config, STEPS[name]), day)
    try:
        return query_plan(plan.output.tables.values()), _sizes(plan, runner.warehouse)
    finally:
        plan.output.release()


def unjustified(step: str, counts: Mapping[str, int]) -> list[str]:
    """What does not belong on the way of every row, unless it is known why."""
    return [
        f"{step} has {counts[kind]} {kind}"
        for kind in ("cartesian products", "python udfs")
        if counts[kind] and (step, kind) not in JUSTIFIED
    ]


def _sizes(plan: Plan, warehouse: Warehouse) -> Sizes:
    """As manifests say it. Of raw files all lines and bytes stand beside the first: a scan reads every one of them."""
    sizes = {
        f"{warehouse.path(manifest.dataset)}/dt={manifest.dt}/{entry.name}": (entry.rows, entry.bytes)
        for manifest in plan.found
        for entry in manifest.files
    }
    return sizes | {thing.paths[0]: (thing.lines, thing.bytes) for thing in plan.outside if thing.lines}


def _row(name: str, plan: QueryPlan, sizes: Sizes) -> tuple[str, ...]:
    """A file that two scans read counts twice."""
    files = [path for scan in plan.scans for path in scan]
    read = [sizes.get(path, (0, 0)) for path in files]
    numbers = (*plan.counts.values(), len(plan.scans), len(files), sum(rows for rows, _ in read))
    return (name, *(f"{number:,}" for number in numbers), f"{sum(size for _, size in read) / 1e6:,.1f}")


def main() -> None:
    """Parse and run."""
    arguments = parser(__doc__ or "", "the day to plan, or a range A..B")
    arguments.add_argument("--step", choices=sorted(STEPS), help="this step alone")
    arguments.add_argument("--plan", action="store_true", help="print the physical plans too")
    run(explain, arguments)


if __name__ == "__main__":
    main()
