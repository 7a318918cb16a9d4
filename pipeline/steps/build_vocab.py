"""Append-only vocabularies: which values a model may tell apart, and by which id.

All vocabularies of a day are built together: a value is a row (column, value), and one sort gives them all their order.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import reduce
from types import MappingProxyType

from pyspark import StorageLevel
from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from pipeline.config import Config, Vocabulary
from pipeline.days import Day
from pipeline.features import FIRST_ID, attribute_vocabularies, vocabulary_names
from pipeline.schemas import TOMBSTONE, VOCABULARY, ddl

NOBODY: Mapping[str, Mapping[str, str]] = MappingProxyType({})
PLACE_BITS = 33
"""Of a row's number the lower bits are its place in its partition, those above are the partition's."""


@dataclass(frozen=True)
class BuildVocab:
    """The snapshot of each vocabulary, columns of schemas.VOCABULARY, a row for every value seen so far. `release()`
    gives back the memory that they were computed in."""

    tables: Mapping[str, DataFrame]
    release: Callable[[], None]


def vocabulary_values(config: Config, events: DataFrame, attributes: Mapping[str, DataFrame]) -> DataFrame:
    """`column`, `value` strings, a row for each time a value of a vocabulary was seen in a day's rows; null and empty
    are no values.

    A vocabulary is of a column of events, or `user_city`: the attribute `city` of users. Bots count: their verdict
    comes later, and an id must not depend on it.
    """
    said = attribute_vocabularies(config)
    stated = {name: place for name in vocabulary_names(config) if (place := said.get(name, ("", "")))[0] in attributes}
    found = _values(events, {name: name for name in vocabulary_names(config) if name not in stated})
    for entity, table in attributes.items():
        columns = {name: column for name, (owner, column) in stated.items() if owner == entity}
        found = found.unionByName(_values(table, columns)) if columns else found
    return found


def build_vocab(
    config: Config,
    day: Day,
    values: DataFrame,
    previous: Mapping[str, DataFrame],
    forgotten: Mapping[str, Mapping[str, str]] = NOBODY,
) -> BuildVocab:
    """The snapshots of `day` of all vocabularies that the features need.

    `values` are those of the day, `previous` has each vocabulary's snapshot of the day before, if there is one. Old ids
    stay; values whose count reaches min_count get the next ones, by count (most first), then by UTF-8 bytes. `first_dt`
    is the day that gave the id: the rows with first_dt <= D are the ids of snapshot D, whatever later day they are read
    from. Below min_count both are null.

    `forgotten` are, by vocabulary, the ids with their first_dt whose values were taken out of the snapshot of this day
    or of one before: nobody else gets them, and a tombstone stands in their place.
    """
    counted = _counted(values, previous).persist(StorageLevel.MEMORY_AND_DISK)
    fresh = F.col("id").isNull() & (F.col("count") >= _least(config))
    ordered = _ordered(counted.where(fresh)).persist(StorageLevel.MEMORY_AND_DISK)
    old = counted.groupBy("column").agg(F.count("id").alias("_old"))
    appended = _numbered(ordered, old, forgotten).withColumn("first_dt", F.lit(day))
    snapshot = counted.where(~fresh).unionByName(appended)
    if forgotten:
        snapshot = snapshot.unionByName(_tombstones(ordered, old, forgotten))

    def release() -> None:
        ordered.unpersist()
        counted.unpersist()

    tables = {name: snapshot.where(F.col("column") == name).select(*VOCABULARY) for name in vocabulary_names(config)}
    return BuildVocab(tables, release)


def _values(table: DataFrame, columns: Mapping[str, str]) -> DataFrame:
    """Of vocabularies, by the column that fills each."""
    seen = [
        F.struct(F.lit(name).alias("column"), F.nullif(F.col(column).cast("string"), F.lit("")).alias("value"))
        for name, column in columns.items()
    ]
    none = F.array().cast("array<struct<column: string, value: string>>")
    return table.select(F.inline(F.array(*seen) if seen else none)).where(F.col("value").isNotNull())


def _least(config: Config) -> Column:
    """The min_count of the row's vocabulary."""
    said = {
        name: config.vocabularies[name].min_count for name in vocabulary_names(config) if name in config.vocabularies
    }
    usual = F.lit(Vocabulary().min_count)
    return reduce(lambda least, name: F.when(F.col("column") == name, said[name]).otherwise(least), said, usual)


def _counted(values: DataFrame, previous: Mapping[str, DataFrame]) -> DataFrame:
    """Every value with its old id, if any, and its count up to today."""
    nothing = [F.lit(None).cast(VOCABULARY[name]).alias(name) for name in ("id", "first_dt")]
    rows = values.select("column", "value", F.lit(1).cast("bigint").alias("count"), *nothing)
    for name, table in previous.items():
        rows = rows.unionByName(table.select(F.lit(name).alias("column"), *VOCABULARY))
    sums = {"id": F.max("id"), "count": F.sum("count"), "first_dt": F.max("first_dt")}
    return rows.groupBy("column", "value").agg(*[column.alias(name) for name, column in sums.items()])


def _ordered(fresh: DataFrame) -> DataFrame:
    """The values in the order of their ids, cut into partitions that follow one another, with their place in it all.

    Where the cuts are comes from a sample, and no id depends on them. The table must be kept while it is used, so that
    all who read it see the same cuts.
    """
    order = [F.col("column"), F.desc("count"), F.col("value")]
    placed = fresh.select("column", "value", "count").repartitionByRange(*order).sortWithinPartitions(*order)
    return placed.withColumn("_place", F.monotonically_increasing_id())


def _numbered(ordered: DataFrame, old: DataFrame, forgotten: Mapping[str, Mapping[str, str]]) -> DataFrame:
    """Dense ids, without bringing values together: of each partition only how many values of each vocabulary it holds
    lies in one task. Ids are dense, so the number of old ones says where the next begins."""
    part = F.shiftright("_place", PLACE_BITS).alias("_part")
    sizes = ordered.groupBy(part, "column").agg(F.count("*").alias("_size"), F.min("_place").alias("_first"))
    ahead = Window.partitionBy("column").orderBy("_part").rowsBetween(Window.unboundedPreceding, -1)
    begins = sizes.withColumn("_begin", F.coalesce(F.sum("_size").over(ahead), F.lit(0)))
    starts = begins.join(old, on="column").select("column", "_part", "_first", "_begin", "_old")
    placed = ordered.withColumn("_part", part).join(F.broadcast(starts), on=["column", "_part"])
    number = F.col("_old") + F.col("_begin") + F.col("_place") - F.col("_first") + FIRST_ID
    for column, ids in forgotten.items():
        gone = F.array(*[F.lit(id_).cast("bigint") for id_ in sorted(map(int, ids))])
        later = F.filter(gone, lambda id_: id_ >= F.col("_old") + FIRST_ID)
        over = F.aggregate(later, number, lambda n, id_: n + F.when(n >= id_, 1).otherwise(0))
        number = F.when(F.col("column") == column, over).otherwise(number)
    return placed.select("column", "value", number.cast("int").alias("id"), "count")


def _tombstones(ordered: DataFrame, old: DataFrame, forgotten: Mapping[str, Mapping[str, str]]) -> DataFrame:
    """A row for every forgotten id that the snapshot before has not, as far as ids are without a gap up to it."""
    rows = [
        (column, f"{TOMBSTONE}{id_}", int(id_), 0, datetime.date.fromisoformat(day))
        for column, ids in forgotten.items()
        for id_, day in ids.items()
    ]
    stones = ordered.sparkSession.createDataFrame(rows, f"`column` string, {ddl(VOCABULARY)}")
    fresh = ordered.groupBy("column").agg(F.count("*").alias("_new"))
    known = stones.join(old, on="column", how="left").join(fresh, on="column", how="left").fillna(0, ["_old", "_new"])
    place = F.row_number().over(Window.partitionBy("column").orderBy("id"))
    placed = known.where(F.col("id") >= F.col("_old") + FIRST_ID).withColumn("_place", place)
    reached = F.col("id") < F.col("_old") + F.col("_new") + F.col("_place") + FIRST_ID
    return placed.where(reached).select("column", *VOCABULARY)
