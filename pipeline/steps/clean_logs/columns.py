"""From text to values: each declared column's raw text, its typed value, and what may be wrong with it."""

from __future__ import annotations

from pyspark.sql import Column as SparkColumn
from pyspark.sql import functions as F

from pipeline.config import Column, Source

TYPES = {"string": "string", "int": "int", "long": "bigint", "double": "double", "boolean": "boolean"}
ISO = r"^\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:?\d\d)$"
MICROS = {"epoch_s": 1_000_000, "epoch_ms": 1_000, "epoch_us": 1}
LATEST_US = 253_402_300_799_999_999
"""The last microsecond of the year 9999."""
BELOW = {"epoch_s": 10**11, "epoch_ms": 10**14, "epoch_us": 10**17}
"""Where several epochs are allowed, digits decide: seconds up to the year 5138, milliseconds from 1973 on."""


def text_of(column: Column, fields: str) -> SparkColumn:
    """The raw text of a column in the struct `fields`; empty text is null."""
    value = F.expr(column.sql) if column.sql is not None else F.col(f"{fields}.`{column.source}`")
    return F.nullif(F.trim(value.cast("string")), F.lit(""))


def known_text(source: Source, text: SparkColumn) -> SparkColumn:
    """The text of a column, null where the source says that this text means null."""
    return F.when(~text.isin(list(source.null_values)), text) if source.null_values else text


def value_of(column: Column, text: SparkColumn) -> SparkColumn:
    """The typed value of raw text; null when the text does not say one."""
    if column.values is not None:
        known = [F.lit(part) for pair in column.values.items() for part in pair]
        return F.element_at(F.create_map(*known), text)
    if column.time is not None:
        return _time(column.time, text)
    return text.try_cast(TYPES[column.type])


def missing(source: Source, name: str) -> bool:
    """Whether a row without this column is of no use: declared so, the clock, or what tells it from a duplicate."""
    return source.columns[name].required or name in ("event_time", "event_id")


def _time(formats: tuple[str, ...], text: SparkColumn) -> SparkColumn:
    """The first format that fits."""
    number = F.when(text.rlike(r"^\d{1,18}$"), text.try_cast("bigint"))
    epochs = [name for name in ("epoch_s", "epoch_ms", "epoch_us") if name in formats]
    tries = [_epoch(name, number, alone=len(epochs) == 1) for name in epochs]
    if "iso" in formats:
        tries.append(F.when(text.rlike(ISO), text.try_cast("timestamp")))
    return F.coalesce(*tries)


def _epoch(name: str, number: SparkColumn, alone: bool) -> SparkColumn:
    fits = number <= LATEST_US // MICROS[name]
    if not alone:
        fits = fits & (number < BELOW[name]) & (number >= BELOW[name] // 10**3)
        fits = fits | ((number < BELOW[name]) & F.lit(name == "epoch_s"))
    bounded = F.least(number, F.lit(LATEST_US // MICROS[name]))  # the product below must not overflow for any row
    return F.when(fits, F.timestamp_micros(bounded * F.lit(MICROS[name])))
