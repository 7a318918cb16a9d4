"""What changed in a vocabulary between two days."""

from __future__ import annotations

import datetime
from collections.abc import Sequence

from pyspark.sql import DataFrame, SparkSession

from pipeline.schemas import TOMBSTONE, VOCABULARY, ddl
from pipeline.vocab_diff import Difference, compare, new_ids

FIRST, SECOND = datetime.date(2026, 1, 1), datetime.date(2026, 1, 2)
BEFORE = [("a", 3, 9, FIRST), ("b", 4, 8, FIRST), ("rare", None, 1, None)]
AFTER = [("a", 3, 12, FIRST), (f"{TOMBSTONE}4", 4, 0, FIRST), ("rare", 6, 3, SECOND), ("new", 5, 7, SECOND)]


def _table(spark: SparkSession, rows: Sequence[tuple[object, ...]]) -> DataFrame:
    return spark.createDataFrame(rows, ddl(VOCABULARY))


def test_new_values_new_ids_and_who_was_forgotten(spark: SparkSession) -> None:
    before, after = _table(spark, BEFORE), _table(spark, [*AFTER, ("once", None, 1, None)])
    assert compare(before, after) == Difference(values=5, new_values=2, ids=4, new_ids=2, forgotten=1, moved=0)
    assert [(row["id"], row["value"]) for row in new_ids(before, after, 5)] == [(5, "new"), (6, "rare")]
    assert [row["id"] for row in new_ids(before, after, 1)] == [5]


def test_nothing_changed(spark: SparkSession) -> None:
    same = _table(spark, BEFORE)
    assert compare(same, same) == Difference(values=3, new_values=0, ids=2, new_ids=0, forgotten=0, moved=0)


def test_an_id_of_another_value_and_one_that_is_gone_are_moved(spark: SparkSession) -> None:
    swapped = _table(spark, [("b", 3, 9, FIRST), ("rare", None, 1, None)])
    assert compare(_table(spark, BEFORE), swapped).moved == 2
