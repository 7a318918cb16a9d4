"""Append-only vocabularies: which values a model may tell apart, and by which id."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from types import MappingProxyType

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from pipeline.config import Config, Vocabulary
from pipeline.days import Day
from pipeline.features import FIRST_ID, attribute_vocabularies
from pipeline.schemas import TOMBSTONE, VOCABULARY, ddl


def vocabulary_values(config: Config, column: str, events: DataFrame, attributes: dict[str, DataFrame]) -> DataFrame:
    """`value` string, a row for each time it was seen in a day's rows; null and empty are no values.

    `column` is a column of events, or `user_city`: the attribute `city` of users. Bots count: their verdict comes
    later, and an id must not depend on it.
    """
    said = attribute_vocabularies(config).get(column)
    if said is not None and said[0] in attributes:
        return _values(attributes[said[0]], said[1])
    return _values(events, column)


def build_vocab(
    config: Config,
    day: Day,
    column: str,
    values: DataFrame,
    previous: DataFrame | None,
    forgotten: Mapping[int, str] = MappingProxyType({}),
) -> DataFrame:
    """The snapshot of `day`: columns of schemas.VOCABULARY, a row for every value seen so far.

    `values` are those of the day, `previous` is the snapshot of the day before. Old ids stay; values whose count
    reaches min_count get the next ones, by count (most first), then by UTF-8 bytes. `first_dt` is the day that gave the
    id: the rows with first_dt <= D are the ids of snapshot D, whatever later day they are read from. Below min_count
    both are null.

    `forgotten` are the ids, with their first_dt, whose values were taken out of the snapshot of this day or of one
    before: nobody else gets them.
    """
    least = config.vocabularies.get(column, Vocabulary()).min_count
    counted = _counted(values, previous)
    fresh = F.col("id").isNull() & (F.col("count") >= least)
    numbered = _numbered(counted.where(fresh), previous, forgotten)
    appended = numbered.select("value", "id", "count", F.lit(day).alias("first_dt"))
    made = counted.where(~fresh).unionByName(appended)
    if forgotten:
        made = made.unionByName(_tombstones(counted.where(fresh), previous, forgotten))
    return made.select(*VOCABULARY)


def _tombstones(fresh: DataFrame, previous: DataFrame | None, forgotten: Mapping[int, str]) -> DataFrame:
    """A row for every forgotten id that the snapshot before has not, as far as ids are without a gap up to it."""
    rows = [(f"{TOMBSTONE}{id_}", id_, 0, datetime.date.fromisoformat(day)) for id_, day in sorted(forgotten.items())]
    stones = fresh.sparkSession.createDataFrame(rows, ddl(VOCABULARY)).crossJoin(_old(fresh, previous))
    place = F.row_number().over(Window.orderBy("id"))  # a handful
    placed = stones.where(F.col("id") >= F.col("_old") + FIRST_ID).withColumn("_place", place)
    placed = placed.crossJoin(fresh.agg(F.count("*").alias("_new")))
    reached = F.col("id") < F.col("_old") + F.col("_new") + F.col("_place") + FIRST_ID
    return placed.where(reached).select(*VOCABULARY)


def _old(fresh: DataFrame, previous: DataFrame | None) -> DataFrame:
    """One row, `_old`: how many ids there are already."""
    if previous is None:
        return fresh.sparkSession.createDataFrame([(0,)], "_old bigint")
    return previous.agg(F.count("id").alias("_old"))


def _values(table: DataFrame, column: str) -> DataFrame:
    value = F.nullif(F.col(column).cast("string"), F.lit(""))
    return table.select(value.alias("value")).where(F.col("value").isNotNull())


def _counted(values: DataFrame, previous: DataFrame | None) -> DataFrame:
    """Every value with its old id, if any, and its count up to today."""
    today = values.groupBy("value").agg(F.count("*").alias("count"))
    if previous is None:
        return today.select("value", _null("id"), "count", _null("first_dt"))
    known = previous.select(*VOCABULARY).withColumnRenamed("count", "_before")
    total = F.coalesce(F.col("_before"), F.lit(0)) + F.coalesce(F.col("count"), F.lit(0))
    return known.join(today, on="value", how="full").select(
        "value", "id", total.cast("bigint").alias("count"), "first_dt"
    )


def _null(name: str) -> Column:
    return F.lit(None).cast(VOCABULARY[name]).alias(name)


def _numbered(fresh: DataFrame, previous: DataFrame | None, forgotten: Mapping[int, str]) -> DataFrame:
    """Ids in global order without bringing values together: where each count begins, plus the place within it, leaving
    out what is forgotten.

    Only the table of counts (how many values have that count) lies in one task. Ids are dense, so the number of old
    values says where the next begins. Bounds of a range partitioning come from a sample; these do not.
    """
    ahead = Window.orderBy(F.desc("count")).rowsBetween(Window.unboundedPreceding, -1)
    sizes = fresh.groupBy("count").agg(F.count("*").alias("_size"))
    begins = sizes.select("count", F.coalesce(F.sum("_size").over(ahead), F.lit(0)).alias("_begin"))
    place = F.row_number().over(Window.partitionBy("count").orderBy("value"))
    placed = fresh.select("value", "count", place.alias("_place")).join(begins, on="count", how="inner")
    number = F.col("_begin") + F.col("_place") + FIRST_ID - 1
    if previous is not None:
        placed = placed.crossJoin(_old(fresh, previous))
        number = number + F.col("_old")
    if forgotten:
        later = F.array(*[F.lit(id_).cast("bigint") for id_ in sorted(forgotten)])
        if previous is not None:
            later = F.filter(later, lambda id_: id_ >= F.col("_old") + FIRST_ID)
        number = F.aggregate(later, number.cast("bigint"), lambda n, id_: n + F.when(n >= id_, 1).otherwise(0))
    return placed.select("value", number.cast("int").alias("id"), "count")
