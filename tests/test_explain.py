"""The plans that `make explain` counts, against queries whose plans are known, and the steps of the road."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyspark import StorageLevel
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as T

from jobs.explain import HEADER, unjustified
from pipeline.query_plan import BROADCAST, CARTESIAN, PYTHON, SHUFFLE, query_plan
from pipeline.words import table


def test_exchanges_scans_and_broadcasts_are_counted(spark: SparkSession, tmp_path: Path) -> None:
    folder = str(tmp_path / "a b")
    spark.range(10).selectExpr("id", "id % 3 AS k").repartition(2).write.parquet(folder)
    table = spark.read.parquet(folder)
    plan = query_plan([table.groupBy("k").count(), table.join(F.broadcast(table), on="id", how="left")])
    assert plan.counts == {SHUFFLE: 1, BROADCAST: 1, CARTESIAN: 0, PYTHON: 0}
    assert [len(scan) for scan in plan.scans] == [2, 2, 2]
    assert {Path(path).parent for scan in plan.scans for path in scan} == {tmp_path / "a b"}
    assert all(Path(path).exists() for scan in plan.scans for path in scan)
    assert "HashAggregate" in plan.text


def test_a_cached_table_counts_once(spark: SparkSession, tmp_path: Path) -> None:
    spark.range(10).write.parquet(str(tmp_path / "t"))
    cached = spark.read.parquet(str(tmp_path / "t")).groupBy("id").count().persist(StorageLevel.MEMORY_AND_DISK)
    plan = query_plan([cached.where("count > 0"), cached.where("count > 1")])
    assert (plan.counts[SHUFFLE], len(plan.scans)) == (1, 1)
    cached.unpersist()


def test_cartesian_products_and_python_are_found_wherever_they_are(spark: SparkSession) -> None:
    numbers = spark.range(3)
    double = F.udf(lambda n: n, T.LongType(), useArrow=False)
    pairs = numbers.crossJoin(spark.range(4).withColumnRenamed("id", "other"))
    unequal = numbers.join(spark.range(3).toDF("b"), on=F.col("id") < F.col("b"), how="inner")
    plan = query_plan([pairs, unequal, numbers.select(double("id"))])
    assert (plan.counts[CARTESIAN], plan.counts[PYTHON]) == (2, 1)
    cached = numbers.select(double("id").alias("x")).persist()
    assert query_plan([cached]).counts[PYTHON] == 1
    cached.unpersist()


@pytest.mark.parametrize(
    ("step", "kind", "told"),
    [
        ("build_daily", CARTESIAN, ["build_daily has 2 cartesian products"]),
        ("recommend", CARTESIAN, []),
        ("build_vocab", PYTHON, ["build_vocab has 2 python udfs"]),
        ("recommend", PYTHON, []),
        ("build_examples", SHUFFLE, []),
    ],
)
def test_only_what_is_justified_passes(step: str, kind: str, told: list[str]) -> None:
    counts = {SHUFFLE: 0, BROADCAST: 0, CARTESIAN: 0, PYTHON: 0, kind: 2}
    assert unjustified(step, counts) == told


def test_the_table_is_aligned() -> None:
    row = ("a", *["1"] * (len(HEADER) - 1))
    assert list(table([("step", "n"), ("a", "1,000")], numbers=True)) == ["step      n", "a     1,000"]
    assert list(table([("step", "n"), ("a", "1,000")])) == ["step  n", "a     1,000"]
    assert len({len(line) for line in table([HEADER, row], numbers=True)}) == 1
