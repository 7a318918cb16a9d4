"""From text to values: each declared column's raw text, its typed value, and what may be wrong with it."""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import Column as SparkColumn
from pyspark.sql import functions as F

from pipeline.config import Column, Source, TimeFormat

TYPES = {"string": "string", "int": "int", "long": "bigint", "double": "double", "boolean": "boolean"}
ISO = r"\A\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:?\d\d)\z"
MICROS = {"epoch_s": 1_000_000, "epoch_ms": 1_000, "epoch_us": 1}
YEARS = 10_000
"""The first year that is not read."""
LATEST_US = 253_402_300_799_999_999
"""The last microsecond of the year 9999."""
BELOW = {"epoch_s": 10**11, "epoch_ms": 10**14, "epoch_us": 10**17}
"""Where several epochs are allowed, digits decide: seconds up to the year 5138, milliseconds from 1973 on."""


def text_of(column: Column, struct: str, fields: Sequence[str]) -> SparkColumn:
    """The raw text of a column from the struct of a line's `fields`; empty text is null, and null is the default."""
    if column.sql is not None:
        value = F.expr(column.sql)
    else:
        value = F.col(f"{struct}.`{column.source}`") if column.source in fields else F.lit(None)
    text = F.nullif(F.trim(value.cast("string")), F.lit(""))
    return text if column.default is None else F.coalesce(text, F.lit(column.default))


def default_of(column: Column) -> SparkColumn:
    """The value of a column where nothing was said of it."""
    return value_of(column, F.lit(column.default).cast("string"))


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


def _time(formats: Sequence[TimeFormat], text: SparkColumn) -> SparkColumn:
    """The first format that fits."""
    epochs = [format_.name for format_ in formats if format_.name in MICROS]
    return F.coalesce(*[_written(format_, text, alone=len(epochs) == 1) for format_ in formats])


def _written(format_: TimeFormat, text: SparkColumn, alone: bool) -> SparkColumn:
    if format_.pattern is not None:
        return _by_pattern(format_.pattern, format_.zone, text)
    if format_.name == "iso":
        return F.when(text.rlike(ISO), text.try_cast("timestamp"))
    return _epoch(str(format_.name), F.when(text.rlike(r"\A\d{1,18}\z"), text.try_cast("bigint")), alone)


def _by_pattern(pattern: str, zone: str | None, text: SparkColumn) -> SparkColumn:
    """Read as a clock of UTC, then moved to the zone: of a local time that is there twice the first; one that the zone
    skipped comes back as another, and is no time."""
    clock = F.try_to_timestamp(text, F.lit(pattern))
    clock = F.when(F.year(clock) < YEARS, clock)
    if zone is None:
        return clock
    instant = F.to_utc_timestamp(clock, zone)
    return F.when(F.from_utc_timestamp(instant, zone) == clock, instant)


def _epoch(name: str, number: SparkColumn, alone: bool) -> SparkColumn:
    fits = number <= LATEST_US // MICROS[name]
    if not alone:
        fits = fits & (number < BELOW[name]) & (number >= BELOW[name] // 10**3)
        fits = fits | ((number < BELOW[name]) & F.lit(name == "epoch_s"))
    bounded = F.least(number, F.lit(LATEST_US // MICROS[name]))  # the product below must not overflow for any row
    return F.when(fits, F.timestamp_micros(bounded * F.lit(MICROS[name])))
