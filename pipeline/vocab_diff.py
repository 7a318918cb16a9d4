"""Two snapshots of a vocabulary held against each other."""

from __future__ import annotations

from dataclasses import dataclass

from pyspark.sql import Column, DataFrame, Row, SparkSession
from pyspark.sql import functions as F

from pipeline.config import Config
from pipeline.datasets import vocabulary
from pipeline.days import Day
from pipeline.schemas import TOMBSTONE, VOCABULARY
from pipeline.storage import Warehouse
from pipeline.tables import read_table


@dataclass(frozen=True)
class Difference:
    """What the later snapshot has, and what it has otherwise than the earlier one."""

    values: int
    new_values: int
    ids: int
    new_ids: int
    forgotten: int
    """Ids whose value was taken out."""
    moved: int
    """Ids that mean another value now, or none: never, unless a new generation was asked for."""

    @property
    def counts(self) -> tuple[int, ...]:
        """In the order of the fields."""
        return self.values, self.new_values, self.ids, self.new_ids, self.forgotten, self.moved


def snapshots(spark: SparkSession, config: Config, name: str, earlier: Day, later: Day) -> tuple[DataFrame, DataFrame]:
    """A vocabulary as published for the two days; MissingInput where there is none."""
    warehouse, dataset = Warehouse.of(config), vocabulary(name)
    first, second = (
        read_table(spark, warehouse.folder(dataset.name, day), dataset.columns) for day in (earlier, later)
    )
    return first, second


def compare(before: DataFrame, after: DataFrame) -> Difference:
    """Counted in two passes, by value and by id."""
    old, new = before.select("value", F.lit(1).alias("_old")), after.select("value", "id")
    values = new.join(old, on="value", how="left").agg(
        F.count("*").alias("values"), F.count(F.when(F.col("_old").isNull() & ~_is_stone("value"), 1)).alias("new"),
        F.count("id").alias("ids"),
    ).first()  # fmt: skip
    had = before.where("id is not null").select("id", F.col("value").alias("_was"))
    has = after.where("id is not null").select("id", F.col("value").alias("_is"))
    other = F.col("_was").isNotNull() & ~F.col("_was").eqNullSafe(F.col("_is"))
    ids = had.join(has, on="id", how="full").agg(
        F.count(F.when(F.col("_was").isNull(), 1)).alias("new"),
        F.count(F.when(other & F.coalesce(_is_stone("_is"), F.lit(False)), 1)).alias("forgotten"),
        F.count(F.when(other & ~F.coalesce(_is_stone("_is"), F.lit(False)), 1)).alias("moved"),
    ).first()  # fmt: skip
    assert values is not None and ids is not None
    return Difference(values["values"], values["new"], values["ids"], ids["new"], ids["forgotten"], ids["moved"])


def new_ids(before: DataFrame, after: DataFrame, count: int) -> list[Row]:
    """The most frequent of the values that the later snapshot has an id for and the earlier one has not."""
    known = before.where("id is not null").select("id")
    fresh = after.where("id is not null").join(known, on="id", how="left_anti")
    return fresh.select(*VOCABULARY).orderBy(F.desc("count"), "id").limit(count).collect()


def _is_stone(column: str) -> Column:
    return F.col(column).startswith(TOMBSTONE)
