"""From bytes to fields: what a line is, and how its text is taken apart without ever failing.

A line is the bytes between two newlines. Its fields are text (or null): what they mean is decided later, by rules.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from pipeline.config import Source
from pipeline.errors import ConfigError


@dataclass(frozen=True)
class RawLines:
    """Lines of one source: columns `line` (binary) and `source_file`, and for delimited text the header line."""

    table: DataFrame
    header: str | None = None


def raw_lines(spark: SparkSession, paths: Sequence[str], source: Source) -> RawLines:
    """The lines of raw files, bytes untouched (a carriage return at the end belongs to the line; a byte
    order mark at the beginning belongs to the file and is taken off)."""
    text = spark.read.option("lineSep", "\n").text(list(paths))
    table = text.select(F.col("value").cast("binary").alias("line"), F.col("_metadata.file_path").alias("source_file"))
    header = None
    if source.format == "csv" and source.header:
        first = spark.read.option("lineSep", "\n").text(paths[0]).first()
        header = (first["value"] if first else "").rstrip("\r")
    return RawLines(table, header)


def field_names(source: Source, raw: RawLines) -> list[str]:
    """The fields that a line has: those that the columns name, or those of the header.

    Raises ConfigError when a delimited source says neither, or when a column names a field that the header lacks.
    """
    named = sorted({column.source for column in source.columns.values() if column.source is not None})
    if source.format == "json":
        return sorted({*named, *_mentioned(source)})
    fields = (
        list(source.fields) if source.fields else next(csv.reader([raw.header or ""], delimiter=source.separator), [])
    )
    if not fields:
        raise ConfigError("a csv source without a header needs `fields`, the names of its fields in order")
    if strange := [name for name in named if name not in fields]:
        raise ConfigError(f"columns take {strange} from the line, but its header has {fields}")
    return fields


def _mentioned(source: Source) -> set[str]:
    """Words of the `sql` columns: they may be names of fields; a word that is none costs an empty field."""
    texts = [column.sql for column in source.columns.values() if column.sql is not None]
    return {word for text in texts for word in re.findall(r"[A-Za-z_][A-Za-z0-9_]*", text)}


def is_blank(line: Column) -> Column:
    """Nothing but white space."""
    return F.length(F.btrim(line.cast("string"), F.lit(" \t\r\f\v"))) == 0


def readable(line: Column, max_bytes: int) -> Column:
    """The text of a line that is valid UTF-8 and not too long, else null."""
    text = line.cast("string")
    return F.when((F.octet_length(line) <= max_bytes) & F.is_valid_utf8(text), F.rtrim(text, F.lit("\r")))


def parsed(text: Column, source: Source, fields: Sequence[str]) -> Column:
    """A struct of text fields, or null when the text is not of the source's format."""
    return _json(text, fields) if source.format == "json" else _csv(text, source, fields)


def _json(text: Column, fields: Sequence[str]) -> Column:
    """One JSON object and nothing behind it: read as the only element of a list, what is glued to it is an error."""
    schema = "array<struct<" + ", ".join(f"`{name}`: string" for name in fields) + ">>"
    found = F.from_json(F.concat(F.lit("["), text, F.lit("]")), schema, {"allowSingleQuotes": "false"})
    alone = F.ltrim(text).startswith("{") & (F.size(found) == 1)
    return F.when(alone, F.get(found, F.lit(0)))


def _csv(text: Column, source: Source, fields: Sequence[str]) -> Column:
    """As many fields as the header; Spark marks a line with fewer or more in `_corrupt`."""
    schema = ", ".join(f"`{name}` string" for name in [*fields, "_corrupt"])
    options = {"sep": source.separator, "escape": '"', "columnNameOfCorruptRecord": "_corrupt", "mode": "PERMISSIVE"}
    found = F.from_csv(text, schema, options)
    return F.when(found["_corrupt"].isNull(), found)
