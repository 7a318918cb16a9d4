"""The statistics of tables' columns, from two passes over each.

The first counts nulls and finds the ends of all columns at once. The second turns a row into one row a column, which
holds the bin of a number or the text of a value, and counts these, for all tables together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from pipeline.features import NULL_ID, UNKNOWN_ID
from pipeline.schemas import QUANTILE_PERCENTS, STATISTICS, VALUES_LISTED
from pipeline.statistics.bins import LAST_EXPONENT, LEAST_EXPONENT, PER_OCTAVE
from pipeline.statistics.columns import BINNED, LISTED, Kind, Kinds

KEY = ["dataset", "column"]


@dataclass(frozen=True)
class Asked:
    """A table, and the columns of it that are counted, by kind (statistics.columns)."""

    dataset: str
    table: DataFrame
    kinds: Kinds


@dataclass(frozen=True)
class Counted:
    """Rows of schemas.STATISTICS, and what they are read off."""

    table: DataFrame
    persisted: tuple[DataFrame, ...]

    def release(self) -> None:
        """Give back what is persisted, once the table is published."""
        for table in self.persisted:
            table.unpersist()


def count_columns(asked: Sequence[Asked]) -> Counted:
    """One row for each column of each table."""
    shown = [replace(one, table=_shown(one)) for one in asked]
    values = _value_counts(shown).persist()
    ends = _united([_ends(one) for one in shown])
    joined = ends.join(F.broadcast(_histograms(values)), on=KEY, how="left")  # a row a column each: small
    joined = joined.join(F.broadcast(_listed(values)), on=KEY, how="left")
    columns = {
        "distinct": F.coalesce("_values", "_about", F.lit(0)),
        **{name: F.coalesce(name, F.array().cast(STATISTICS[name])) for name in ("histogram", "quantiles", "top")},
    }
    return Counted(joined.select(*[columns.get(name, F.col(name)).alias(name) for name in STATISTICS]), (values,))


def _shown(asked: Asked) -> DataFrame:
    """The columns as they are counted."""
    return asked.table.select(*[_value(F.col(name), kind).alias(name) for name, kind in asked.kinds.items()])


def _value(value: Column, kind: Kind) -> Column:
    """A list by its length, the id of null as null, minus zero as zero."""
    if kind == "list":
        return F.when(value.isNotNull(), F.size(value))  # the size of null would be -1
    if kind == "id":
        return F.nullif(value, F.lit(NULL_ID))
    return value + F.lit(0) if kind in BINNED else value


# ---- the first pass ------------------------------------------------------------------------------------------------


def _ends(asked: Asked) -> DataFrame:
    """dataset, column, kind, rows, nulls, min, max, unknown, positive, and `_about`, the number of distinct values by
    HyperLogLog: a register keeps the greatest of what falls into it, so neither order nor partitions matter."""
    wanted, rows = [F.count("*").alias("rows")], []
    for place, (name, kind) in enumerate(asked.kinds.items()):
        ends = {what: column.alias(f"{what}_{place}") for what, column in _ends_of(F.col(name), kind).items()}
        wanted += ends.values()
        named = {"dataset": asked.dataset, "column": name, "kind": kind}
        said = [F.lit(value).alias(key) for key, value in named.items()]
        rows.append(F.struct(*said, "rows", *[F.col(f"{what}_{place}").alias(what) for what in ends]))
    return asked.table.agg(*wanted).select(F.inline(F.array(*rows)))


def _ends_of(value: Column, kind: Kind) -> dict[str, Column]:
    nothing = F.lit(None).cast("bigint")
    return {
        "nulls": F.count_if(value.isNull()),
        "min": F.min(value).cast("string"),
        "max": F.max(value).cast("string"),
        "unknown": F.count_if(value == UNKNOWN_ID) if kind == "id" else nothing,
        "positive": F.count_if(value > 0) if kind == "label" else nothing,
        "_about": nothing if kind in LISTED else F.approx_count_distinct(value),
    }


# ---- the second pass -----------------------------------------------------------------------------------------------


def _value_counts(asked: Sequence[Asked]) -> DataFrame:
    """dataset, column, bin (of a number) or value (of a category), count. Cells are counted by the number of their
    column, its slot: names on millions of cells would cost more than all else."""
    slots = [(one.dataset, name) for one in asked for name in one.kinds]
    bins = _with_bin(_cells(asked, BINNED, "double")).groupBy("slot", "bin").agg(F.count("*").alias("count"))
    values = _cells(asked, LISTED, "string").groupBy("slot", "cell").agg(F.count("*").alias("count"))
    counts = bins.select("slot", "bin", F.lit(None).cast("string").alias("value"), "count").unionByName(
        values.select("slot", F.lit(None).cast("int").alias("bin"), F.col("cell").alias("value"), "count")
    )
    names = [F.struct(F.lit(dataset).alias("dataset"), F.lit(name).alias("column")) for dataset, name in slots]
    named = counts.withColumn("_name", F.element_at(F.array(*names), F.col("slot") + 1))
    return named.select("_name.*", "bin", "value", "count")


def _cells(asked: Sequence[Asked], kinds: tuple[str, ...], type_: str) -> DataFrame:
    """slot, cell: a row for each value of the columns of some kinds, nulls left out."""
    tables, before = [], 0
    for one in asked:
        chosen = [(before + place, name) for place, (name, kind) in enumerate(one.kinds.items()) if kind in kinds]
        before += len(one.kinds)
        array = F.array(*[F.col(name).cast(type_) for _, name in chosen]).cast(f"array<{type_}>")
        slot = F.element_at(F.array(*[F.lit(number) for number, _ in chosen]).cast("array<int>"), F.col("pos") + 1)
        cells = one.table.select(F.posexplode(array)).where("col is not null")
        tables.append(cells.select(slot.alias("slot"), F.col("col").alias("cell")))
    return _united(tables)


def _united(tables: Sequence[DataFrame]) -> DataFrame:
    return reduce(DataFrame.unionByName, tables)


def _with_bin(table: DataFrame) -> DataFrame:
    """`bin` of `cell`, as statistics.bins says. A logarithm guesses the power of two, the powers around it decide."""
    size = F.least(F.abs("cell"), F.lit(2.0**LAST_EXPONENT))  # no number at all is the greatest of all
    guessed = table.withColumn("_size", size).withColumn("_guess", F.floor(F.log2("_size")))
    guess = F.col("_guess")
    above, below = F.col("_size") >= F.pow(F.lit(2.0), guess + 1), F.col("_size") < F.pow(F.lit(2.0), guess)
    exact = guessed.withColumn("_power", guess + F.when(above, 1).when(below, -1).otherwise(0))
    part = F.floor((F.col("_size") / F.pow(F.lit(2.0), F.col("_power")) - 1) * PER_OCTAVE)
    place = ((F.col("_power") - LEAST_EXPONENT) * PER_OCTAVE + part + 1).cast("int")
    signed = F.when(F.col("cell") < 0, -place).otherwise(place)
    number = F.when(F.col("_size") < 2.0**LEAST_EXPONENT, 0).otherwise(signed)
    return exact.select("slot", number.cast("int").alias("bin"))


def _edge(number: Column) -> Column:
    """Where a bin begins: statistics.bins.edge."""
    place = F.abs(number) - 1
    size = (1 + place % PER_OCTAVE / PER_OCTAVE) * F.pow(F.lit(2.0), F.floor(place / PER_OCTAVE) + LEAST_EXPONENT)
    return F.when(number == 0, 0.0).when(number < 0, -size).otherwise(size)


def _histograms(values: DataFrame) -> DataFrame:
    """dataset, column, histogram (by bin), quantiles: the edge of the bin that holds the smallest value with so many
    percent of the rows at or below it."""
    of_column = Window.partitionBy(*KEY)
    upto = F.sum("count").over(of_column.orderBy("bin").rowsBetween(Window.unboundedPreceding, 0))
    bins = values.where("bin is not null").withColumns(
        {"_upto": upto, "_rows": F.sum("count").over(of_column), "_edge": _edge(F.col("bin"))}
    )
    quantiles = [
        F.min(F.when(F.col("_upto") * 100 >= F.col("_rows") * percent, F.col("_edge"))) for percent in QUANTILE_PERCENTS
    ]
    histogram = F.sort_array(F.collect_list(F.struct("bin", "count"))).alias("histogram")
    return bins.groupBy(*KEY).agg(histogram, F.array(*quantiles).alias("quantiles"))


def _listed(values: DataFrame) -> DataFrame:
    """dataset, column, top (most frequent first, then by UTF-8 bytes), and `_values`, the number of distinct values."""
    texts = values.where("value is not null")
    place = F.row_number().over(Window.partitionBy(*KEY).orderBy(F.desc("count"), "value")).alias("place")
    first = texts.select(*KEY, place, "value", "count").where(F.col("place") <= VALUES_LISTED)
    ordered = F.sort_array(F.collect_list(F.struct("place", "value", "count")))
    top = F.transform(ordered, lambda one: F.struct(one["value"].alias("value"), one["count"].alias("count")))
    listed = first.groupBy(*KEY).agg(top.alias("top"))
    return texts.groupBy(*KEY).agg(F.count("*").alias("_values")).join(listed, on=KEY, how="inner")
