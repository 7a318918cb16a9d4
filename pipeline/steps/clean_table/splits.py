"""Which split a row belongs to: the same for the same row, however the files are cut and the work is spread."""

from __future__ import annotations

from itertools import accumulate

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from pipeline.config import ColumnSplit, LeaveOneOut, RandomSplit, TableSource
from pipeline.steps.clean_logs.rules import TEXT, VALUE

SPLIT = "_split"
DRAWN_BITS = 53
"""A row's lot is that many bits of its hash: shares become whole numbers without a rounding that could differ."""


def with_listed_split(rows: DataFrame, table: TableSource) -> DataFrame:
    """For a split by column: `_split` is the one that lists the row's text, null where none does."""
    split = table.split
    if not isinstance(split, ColumnSplit):
        return rows
    text = F.col(VALUE + split.column).cast("string")
    listed = [F.when(text.isin(list(getattr(split, name))), F.lit(name)) for name in split.names]
    return rows.withColumn(SPLIT, F.coalesce(*listed))


def with_drawn_split(rows: DataFrame, table: TableSource) -> DataFrame:
    """For a split by chance or by order: `_split` of each kept row (`_kept`), null for the others."""
    split = table.split
    if isinstance(split, RandomSplit):
        return rows.withColumn(SPLIT, F.when(F.col("_kept"), _drawn(split, table.key)))
    if isinstance(split, LeaveOneOut):
        return _left_out(rows, split)
    return rows


def thresholds(split: RandomSplit) -> dict[str, int]:
    """Split -> the first lot, of 2^53, that is not its own any more."""
    ends = accumulate(getattr(split, name) for name in split.names)
    limits = {name: round(end * 2**DRAWN_BITS) for name, end in zip(split.names, ends, strict=True)}
    return {**limits, split.names[-1]: 2**DRAWN_BITS}


def _drawn(split: RandomSplit, key: str | None) -> Column:
    """By xxh64 of (the key's text or the line's bytes, a newline, the seed)."""
    named = F.col("line") if key is None else F.col(VALUE + key).cast("string").cast("binary")
    seeded = F.concat(named, F.lit(f"\n{split.seed}").cast("binary"))
    lot = F.shiftrightunsigned(F.xxhash64(seeded), 64 - DRAWN_BITS)
    return F.coalesce(*[F.when(lot < F.lit(limit), F.lit(name)) for name, limit in thresholds(split).items()])


def _left_out(rows: DataFrame, split: LeaveOneOut) -> DataFrame:
    """Rows that are not kept stay apart: they take no place in a user's order."""
    of = (F.col("_kept"), F.col(VALUE + split.of))
    tie = (F.xxhash64("line"), F.col("line"), F.col("_occurrence"))
    order = (F.col(VALUE + split.order), *tie)
    place = F.row_number().over(Window.partitionBy(*of).orderBy(*order))
    back = F.row_number().over(Window.partitionBy(*of).orderBy(*[column.desc() for column in order]))
    placed = rows.withColumns({"_place": place, "_back": back})
    chosen = (
        F.when(F.col("_place") == 1, F.lit("train"))
        .when(F.col("_back") == 1, F.lit("test"))
        .when(F.col("_back") == 2, F.lit("validation"))
        .otherwise(F.lit("train"))
    )
    return placed.withColumn(SPLIT, F.when(F.col("_kept"), chosen)).drop("_place", "_back")


def unlisted(rows: DataFrame, split: ColumnSplit) -> DataFrame:
    """Texts of the split column that no split lists, with how many rows have each."""
    stray = rows.where(F.col("_kept") & F.col(SPLIT).isNull())
    return stray.groupBy(F.col(TEXT + split.column).alias("value")).agg(F.count("*").alias("rows"))
