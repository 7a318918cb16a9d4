"""From bytes to fields: what a line is, and how its text is taken apart without ever failing.

A line is the bytes between two newlines. Its fields are text (or null): what they mean is decided later, by rules.
"""

from __future__ import annotations

import csv
import gzip
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO, cast

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from pipeline.config import Source
from pipeline.days import Day
from pipeline.errors import ConfigError, DamagedData
from pipeline.storage import files_at

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
MOST_FIELDS = 20_000
"""Of a delimited line: Spark's parser gives up, and the job with it, a little above."""


@dataclass(frozen=True)
class RawLines:
    """Lines of one source: columns `line` (binary) and `source_file`; for delimited text the header line; where the
    path names no day, by `source_file` the latest day on which a line of it arrived."""

    table: DataFrame
    header: str | None = None
    arrived: Mapping[str, Day] = field(default_factory=dict)


def raw_lines(spark: SparkSession, paths: Sequence[str], source: Source) -> RawLines:
    """The lines of raw files, bytes untouched (a carriage return at the end belongs to the line; a byte
    order mark at the beginning belongs to the file and is taken off)."""
    text = spark.read.option("lineSep", "\n").text(list(paths))
    table = text.select(F.col("value").cast("binary").alias("line"), F.col("_metadata.file_path").alias("source_file"))
    return RawLines(table, _header(spark, paths) if source.format == "csv" and source.header else None)


def _header(spark: SparkSession, paths: Sequence[str]) -> str | None:
    """The first line that all files have; None where no file has a line.

    Raises DamagedData naming a file whose header is another: its fields would be taken for those of the others.
    """
    tasks = spark.sparkContext.parallelize(list(paths), min(len(paths), 64))
    found = [
        (path, line) for path, line in zip(paths, tasks.map(first_line).collect(), strict=True) if line is not None
    ]
    for path, line in found[1:]:
        if line != found[0][1]:
            raise DamagedData(
                f"{path} begins with the header {line[:200]!r}, but {found[0][0]} with {found[0][1][:200]!r}; "
                "files of one source must have the same fields in the same order: make the others another source"
            )
    return found[0][1] if found else None


def first_line(path: str) -> str | None:
    """The first line of a raw file as Spark reads it, without its end and byte order mark; None for an empty file."""
    with files_at(path).open(path) as file:
        stream = gzip.GzipFile(fileobj=file) if path.endswith(".gz") else file
        line = cast(BinaryIO, stream).readline()
    return line.removeprefix(BYTE_ORDER_MARK).decode("utf-8", "replace").rstrip("\r\n") if line else None


def field_names(source: Source, raw: RawLines) -> list[str]:
    """The fields that a line has: those that the columns name, or those of the header.

    Raises ConfigError when a delimited source says neither, or when a column names a field that the header lacks.
    """
    named = sorted({column.source for column in source.columns.values() if column.source is not None})
    if source.format == "json":
        return sorted({*named, *_mentioned(source)})
    if source.fields is None and source.header and raw.header is None:
        return named  # there is no line that could be taken apart
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
    """One JSON object and nothing behind it: read as the only element of a list, what is glued to it is an error.

    But Spark reads no further than the end of the list: where the text itself may hold that, it must also be the only
    value of an object, which the same bracket breaks.
    """
    options = {"allowSingleQuotes": "false"}
    schema = "array<struct<" + ", ".join(f"`{name}`: string" for name in fields) + ">>"
    found = F.from_json(F.concat(F.lit("["), text, F.lit("]")), schema, options)
    inside = F.from_json(F.concat(F.lit('{"v":'), text, F.lit("}")), "struct<v: struct<>>", options)
    whole = ~text.contains("]") | inside["v"].isNotNull()
    alone = F.ltrim(text).startswith("{") & (F.size(found) == 1) & whole
    return F.when(alone, F.get(found, F.lit(0)))


def _csv(text: Column, source: Source, fields: Sequence[str]) -> Column:
    """As many fields as the header; Spark marks a line with fewer or more in `_corrupt`."""
    schema = ", ".join(f"`{name}` string" for name in [*fields, "_corrupt"])
    options = {"sep": source.separator, "escape": '"', "columnNameOfCorruptRecord": "_corrupt", "mode": "PERMISSIVE"}
    narrow = F.length(text) - F.length(F.replace(text, F.lit(source.separator), F.lit(""))) < MOST_FIELDS
    found = F.from_csv(F.when(narrow, text), schema, options)
    return F.when(narrow & found["_corrupt"].isNull(), found)
