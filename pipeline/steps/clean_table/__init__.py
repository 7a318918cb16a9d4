"""Clean a table of labelled rows: every line becomes a row of one split, a duplicate or a quarantined row.

A row's id is its key where one is declared. Else it is xxh64 of (the bytes of the line, a newline, the split if that
is by file, a newline, n) as 16 hex digits, for the n-th of equal lines there. No file name and no place in a file is
in it: files may be cut, joined and renamed and every row keeps its id. Equal lines are alike, so which of them is the
n-th does not matter.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import reduce

from pyspark import StorageLevel
from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from pipeline import schemas
from pipeline.config import ColumnLabel, Config, FileSplit, TableSource
from pipeline.config.cleaning import ROW_RULE_IDS
from pipeline.errors import ConfigError
from pipeline.steps.clean_logs import DUPLICATE, KEPT, NOT_REJECTED, taken_apart, typed
from pipeline.steps.clean_logs.lines import RawLines
from pipeline.steps.clean_logs.rules import RULES, TEXT, VALUE, Context, Rule, verdict
from pipeline.steps.clean_table.labels import label_of
from pipeline.steps.clean_table.splits import SPLIT, with_drawn_split, with_listed_split

OF_TEXT = ("invalid_utf8", "malformed")
"""Rules that an image cannot break."""


@dataclass(frozen=True)
class CleanTable:
    """What became of the lines.

    rows        split -> its rows, columns of schemas.rows
    judged      every line with `fate`, `detail`, `_split`, `_kept` and each column's value, for checks over all of them
    accounting  (split, fate, lines); split is null for what is in none
    """

    rows: Mapping[str, DataFrame]
    quarantine: DataFrame
    judged: DataFrame
    accounting: DataFrame
    release: Callable[[], None]


def clean_table(config: Config, raw: Mapping[str, RawLines], pii_key: bytes | None = None) -> CleanTable:
    """Judge every line; a pure function of the lines. `raw` has those of each split that is by file, else one entry;
    `pii_key` is what the columns that name a person are hashed with."""
    table = config.table
    if table is None:
        raise ConfigError("a table is cleaned where $.datasets.rows names one")
    judged = _judged(config, table, raw, pii_key).persist(StorageLevel.MEMORY_AND_DISK)
    kept = judged.where("_kept")
    return CleanTable(
        rows={name: _shaped(config, table, kept.where(F.col(SPLIT) == name)) for name in table.split.names},
        quarantine=_quarantine(str(config.datasets.rows), judged),
        judged=judged,
        accounting=judged.groupBy(F.col(SPLIT).alias("split"), "fate").agg(F.count("*").alias("lines")),
        release=lambda: _release(judged),
    )


def in_two_splits(judged: DataFrame, key: str) -> DataFrame:
    """Keys of which rows are in more than one split, with those splits."""
    named = judged.where("_kept").groupBy(F.col(VALUE + key).cast("string").alias("key"))
    return named.agg(F.sort_array(F.collect_set(SPLIT)).alias("splits")).where(F.size("splits") > 1)


def _release(table: DataFrame) -> None:
    table.unpersist()


def _judged(config: Config, table: TableSource, raw: Mapping[str, RawLines], pii_key: bytes | None) -> DataFrame:
    by_file = isinstance(table.split, FileSplit)
    parts = [
        _valued(config, table, lines, pii_key).withColumn(SPLIT, _name(split, by_file)) for split, lines in raw.items()
    ]
    context = Context(config, table, config.product.first_day)
    first = F.when(F.col("fate").isNull(), verdict(context, _rules(table)))
    lines = reduce(DataFrame.unionByName, parts).withColumn("verdict", first)
    ruled = lines.withColumns(
        {"fate": F.coalesce(F.col("fate"), F.col("verdict.rule")), "detail": F.col("verdict.detail")}
    ).drop("verdict", "text", "fields")
    named = _without_duplicates(with_listed_split(ruled, table), table.key)
    return with_drawn_split(_numbered(named), table)


def _name(split: str, by_file: bool) -> Column:
    return F.lit(split if by_file else None).cast("string")


def _valued(config: Config, table: TableSource, raw: RawLines, pii_key: bytes | None) -> DataFrame:
    """Lines with fate, and each column's text and value."""
    apart = (
        raw.table.withColumn("fate", F.lit(None).cast("string"))
        if table.format == "idx"
        else taken_apart(config, table, raw)
    )
    columns = [prefix + name for prefix in (TEXT, VALUE) for name in table.columns]
    seen = () if table.format == "idx" else ("text", "fields")
    return typed(table, apart, pii_key).select("line", "source_file", "fate", *seen, *columns)


def _rules(table: TableSource) -> list[Rule]:
    skipped = OF_TEXT if table.format == "idx" else ()
    chosen = [rule for rule in RULES if rule.id in ROW_RULE_IDS and rule.id not in skipped]
    return [*chosen, Rule("unknown_value", "a label says one of its values", _no_label)]


def _no_label(context: Context) -> Column:
    labels = {name: label for name, label in context.config.labels.items() if isinstance(label, ColumnLabel)}
    found = [
        F.when(
            label_of(label, VALUE).isNull(),
            F.concat(F.lit(f"label {name}: {label.column} = "), F.substring(F.col(TEXT + label.column), 1, 80),
                     F.lit(f" is not {_wanted(label)}")),
        )
        for name, label in labels.items()
    ]  # fmt: skip
    return F.coalesce(*found)


def _wanted(label: ColumnLabel) -> str:
    if label.classes is not None:
        return f"one of the classes 0 to {label.classes - 1}"
    return f"one of {[*label.positive, *label.zeros]}"


def _without_duplicates(lines: DataFrame, key: str | None) -> DataFrame:
    """With a key: of the good lines of one key in a split the first stays, by xxh64 of the line, then the line."""
    good, bytes_ = F.col("fate").isNull(), F.col("line")
    if key is not None:
        order = Window.partitionBy(SPLIT, VALUE + key).orderBy(~good, F.xxhash64(bytes_), bytes_)
        again = good & (F.row_number().over(order) > 1)
        lines = lines.withColumn("fate", F.coalesce(F.col("fate"), F.when(again, F.lit(DUPLICATE))))
    fated = lines.withColumn("fate", F.coalesce(F.col("fate"), F.lit(KEPT)))
    return fated.withColumn("_kept", F.col("fate") == KEPT)


def _numbered(lines: DataFrame) -> DataFrame:
    """With `_occurrence`: which of the equal lines of its split it is, from 1 on."""
    alike = Window.partitionBy("_kept", SPLIT, "line").orderBy("source_file")
    return lines.withColumn("_occurrence", F.row_number().over(alike))


def _shaped(config: Config, table: TableSource, kept: DataFrame) -> DataFrame:
    image = [F.col("line").alias("image")] if table.format == "idx" else []
    values = [F.col(VALUE + name).alias(name) for name in table.columns]
    columns = schemas.rows(config)
    shaped = kept.select(_row_id(table).alias("row_id"), *image, *values)
    return shaped.select(*[F.col(name).cast(type_).alias(name) for name, type_ in columns.items()])


def _row_id(table: TableSource) -> Column:
    if table.key is not None:
        return F.col(VALUE + table.key).cast("string")
    split = F.col(SPLIT) if isinstance(table.split, FileSplit) else F.lit("")
    place = F.concat(F.lit("\n"), split, F.lit("\n"), F.col("_occurrence").cast("string"))
    return F.lower(F.lpad(F.hex(F.xxhash64(F.concat(F.col("line"), place.cast("binary")))), 16, "0"))


def _quarantine(source: str, judged: DataFrame) -> DataFrame:
    rejected = judged.where(~F.col("fate").isin(*NOT_REJECTED))
    return rejected.select(F.lit(source).alias("source"), "source_file", "line", F.col("fate").alias("rule"), "detail")
