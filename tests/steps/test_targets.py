"""Target encodings by hand: which days count, for whom, and what is no evidence."""

from __future__ import annotations

import datetime
from typing import Any

from pyspark.sql import DataFrame, SparkSession

from pipeline import road
from pipeline.config import Config
from pipeline.datasets import earlier_examples
from pipeline.days import Day, add_days
from pipeline.schedule import needs, tasks_of
from pipeline.steps.build_examples.targets import with_targets
from tests.steps.rows import FIRST, TABLES, Row, collected, toy_config

COLUMNS = "user_city int, item_key int, label_enter float, weight float, dt date"
POINTS = "example_id string, user_city int, item_key int, _profile_day date"


def config_with(**targets: Any) -> Config:
    declared = {"target": "enter", "of": ["user_city", "item_id"], "window_days": 3}
    context = {name: {**declared, **changes} for name, changes in targets.items()}
    return toy_config(features={**TABLES["features"], "context": {**TABLES["features"]["context"], **context}})


def summed(
    spark: SparkSession, config: Config, points: list[tuple[Any, ...]], earlier: list[tuple[Any, ...]] | None
) -> dict[str, tuple[float, float]]:
    """example_id -> what context_x holds."""
    older = None if earlier is None else spark.createDataFrame(earlier, COLUMNS)
    made: DataFrame = with_targets(config, spark.createDataFrame(points, POINTS), older)
    assert dict(made.dtypes)["context_x__num"] == "float"
    rows: list[Row] = collected(made, "example_id")
    return {row["example_id"]: (row["context_x__num"], row["context_x__den"]) for row in rows}


def test_the_window_ends_with_the_day_of_the_profile(spark: SparkSession) -> None:
    days = [add_days(FIRST, n) for n in range(7)]
    earlier = [(5, 6, float(n % 2), 1.0, day) for n, day in enumerate(days) for _ in range(10**n if n < 4 else 1)]
    points = [(str(n), 5, 6, day) for n, day in enumerate(days)]
    made = summed(spark, config_with(x={}), points, earlier)
    assert made["0"] == (0.0, 1.0)
    assert made["2"] == (10.0, 111.0)
    assert made["3"] == (1010.0, 1110.0), "day 0 has left the window"
    assert made["6"] == (1.0, 3.0)
    assert summed(spark, config_with(x={"window_days": 1}), points, earlier)["3"] == (1000.0, 1000.0)


def test_equal_ids_count_together_null_and_unknown_among_them(spark: SparkSession) -> None:
    pairs = [(1, 1), (1, 2), (2, 2), (5, 1), (5, 6)]
    earlier = [(*pair, 1.0, 1.0, FIRST) for n, pair in enumerate(pairs) for _ in range(n + 1)]
    earlier += [(5, 6, 0.0, 0.0, FIRST), (5, 6, 0.0, 1.0, FIRST)]  # the first weighs nothing
    made = summed(spark, config_with(x={}), [(f"{a} {b}", a, b, FIRST) for a, b in [*pairs, (7, 7)]], earlier)
    sums = [(1.0, 1.0), (2.0, 2.0), (3.0, 3.0), (4.0, 4.0), (5.0, 6.0), (0.0, 0.0)]
    assert made == dict(zip(("1 1", "1 2", "2 2", "5 1", "5 6", "7 7"), sums, strict=True))


def test_nothing_was_known_before_the_first_day(spark: SparkSession) -> None:
    assert summed(spark, config_with(x={}), [("a", 5, 6, add_days(FIRST, -1))], None) == {"a": (0.0, 0.0)}


def test_a_day_is_built_after_those_that_it_sums_and_reads_their_ids_and_labels_alone() -> None:
    config, plain = config_with(x={}, y={"window_days": 2, "of": ["context_scene"], "target": "watch"}), toy_config()
    assert set(earlier_examples(config).columns) == {
        "user_city", "item_key", "context_scene", "label_enter", "label_watch", "weight",
    }  # fmt: skip
    read = road.EXAMPLES.reads(config, datetime.date(2026, 1, 9))["earlier"].days
    assert [day.day for day in read] == [5, 6, 7, 8], "served by the 7th in the first minutes, by the 8th at the end"
    assert "earlier" not in road.EXAMPLES.reads(config, FIRST)
    assert "earlier" not in road.EXAMPLES.reads(plain, datetime.date(2026, 1, 9))
    asked = road.RECOMMEND.reads(config, datetime.date(2026, 1, 9))["earlier"].days
    assert [day.day for day in asked] == [7, 8, 9]
    days: list[Day] = [add_days(FIRST, n) for n in range(3)]
    needed = needs(config, tasks_of([road.EXAMPLES], days))
    assert [len(found) for found in needed.values()] == [0, 1, 2]
