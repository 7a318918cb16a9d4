"""events, examples -> build_statistics -> statistics, and whether the day is refused."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.config import Config
from pipeline.datasets import events, examples, statistics
from pipeline.days import Day
from pipeline.raw import Outside
from pipeline.report import write_page
from pipeline.road.examples import exposed
from pipeline.road.shared import SHARED
from pipeline.statistics.judge import judge
from pipeline.statistics.tell import refuse, summary_of
from pipeline.step import Input, Output, Step, Tables
from pipeline.steps.build_statistics import build_statistics
from pipeline.storage import Warehouse


def _statistics(config: Config, day: Day, tables: Tables, outside: Sequence[Outside]) -> Output:
    made = build_statistics(config, day, tables.expect("events"), tables.expect("exposed"), tables.expect("examples"))
    return Output({"statistics": made.table}, release=made.release)


def _check_drift(config: Config, warehouse: Warehouse, day: Day) -> str:
    """Judge the day, write its page, and raise Refused where the verdict says so."""
    verdict = judge(config, warehouse, day)
    page = write_page(config, warehouse, day, {})
    refuse(warehouse, verdict, page)
    return summary_of(verdict)


STATISTICS = Step(
    "build_statistics", ("product", "datasets", "labels", "negatives", "features", "training.label"),
    (
        "pipeline.steps.build_statistics", "pipeline.steps.build_examples", "pipeline.statistics.bins",
        "pipeline.statistics.columns", *SHARED,
    ),
    lambda config, day: {
        "events": Input(events(config), (day,)), "exposed": exposed(config, day),
        "examples": Input(examples(config), (day,)),
    },
    lambda config: (statistics(config),), _statistics, check=_check_drift, in_day_order=True,
)  # fmt: skip
