"""From files to lines, and from a line to its fields.

A line is the bytes between two newlines, or a row of Parquet. Its fields are text (or null): what they mean is decided
later, by rules.
"""

from __future__ import annotations

import codecs
import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from pipeline.config import Source
from pipeline.days import Day
from pipeline.errors import ConfigError, DamagedData
from pipeline.steps.clean_logs.delimited import delimited, names_in
from pipeline.steps.clean_logs.json_lines import whole_numbers, with_json_fields
from pipeline.steps.clean_logs.parquet import parquet_rows, row_as_text, row_fields
from pipeline.storage import decompressed, files_at

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
UNKNOWN = "\ufffd"
"""What Java reads where bytes are not of an encoding."""


@dataclass(frozen=True)
class RawLines:
    """Lines of one source: columns `line` (binary) and `source_file`, and for Parquet `row` and `row_index`; for
    delimited text the header line; of JSON the fields that are probably whole numbers; where the path names no day, by
    `source_file` the latest day on which a line of it arrived."""

    table: DataFrame
    header: str | None = None
    whole: frozenset[str] = frozenset()
    arrived: Mapping[str, Day] = field(default_factory=dict)


def raw_lines(spark: SparkSession, paths: Sequence[str], source: Source) -> RawLines:
    """The lines of raw files, bytes untouched (a carriage return at the end belongs to the line; a byte
    order mark at the beginning belongs to the file and is taken off)."""
    if not paths:
        return RawLines(_no_lines(spark, source))
    if source.format == "parquet":
        return RawLines(parquet_rows(spark, paths))
    java_name(spark, source.encoding)
    text = spark.read.option("lineSep", "\n").text(list(paths))
    table = text.select(F.col("value").cast("binary").alias("line"), F.col("_metadata.file_path").alias("source_file"))
    if source.format == "json":
        return RawLines(table, whole=whole_numbers(source, _mentioned(source), first_lines(paths[0], source)))
    return RawLines(table, _header(spark, paths, source) if source.header else None)


def _no_lines(spark: SparkSession, source: Source) -> DataFrame:
    """Where no file is left to read; of Parquet with the columns that are asked for."""
    asked = {name.lower(): name for name in _asked(source)}.values()  # Spark does not tell `a` from `A`
    row = f", row struct<{', '.join(f'`{name}`: string' for name in asked)}>" if source.format == "parquet" else ""
    return spark.createDataFrame([], f"line binary, source_file string{row}")


def _header(spark: SparkSession, paths: Sequence[str], source: Source) -> str | None:
    """The first line that all files have; None where no file has a line.

    Raises DamagedData naming a file whose header is another: its fields would be taken for those of the others.
    """
    tasks = spark.sparkContext.parallelize(list(paths), min(len(paths), 64))
    lines = tasks.map(lambda path: first_line(path, source)).collect()
    found = [
        (path, _decoded_header(path, line, source)) for path, line in zip(paths, lines, strict=True) if line is not None
    ]
    for path, line in found[1:]:
        if line != found[0][1]:
            raise DamagedData(
                f"{path} begins with the header {line[:200]!r}, but {found[0][0]} with {found[0][1][:200]!r}; "
                "files of one source must have the same fields in the same order: make the others another source"
            )
    return found[0][1] if found else None


def _decoded_header(path: str, line: bytes, source: Source) -> str:
    try:
        return line.decode(source.encoding)
    except UnicodeDecodeError:
        raise DamagedData(
            f"{path} begins with the header {line[:200]!r}, which is not {source.encoding}; say its `encoding` in the "
            "config, or deliver it again"
        ) from None


def first_line(path: str, source: Source) -> bytes | None:
    """The first line of a raw file that is neither blank nor a comment, without its end and byte order mark; None for
    a file without any."""
    comment = None if source.comment is None else source.comment.encode(source.encoding)
    with files_at(path).open(path) as file:
        stream = decompressed(path, file)
        line = stream.readline().removeprefix(BYTE_ORDER_MARK)
        while line and (not line.strip() or (comment is not None and line.startswith(comment))):
            line = stream.readline()
    return line.rstrip(b"\r\n") or None


def first_lines(path: str, source: Source, count: int = 20) -> list[str]:
    """The first lines of a raw file as text, as far as they are."""
    with files_at(path).open(path) as file:
        lines = itertools.islice(decompressed(path, file), count)
        return [line.decode(source.encoding, "replace") for line in lines]


def field_names(source: Source, raw: RawLines) -> list[str]:
    """The fields that a line has: those that the columns name, or those of the header, or the columns of Parquet.

    Raises ConfigError when a delimited source says neither, or when a column without a default names a field that
    there is not.
    """
    named = sorted({column.source for column in source.columns.values() if column.source is not None})
    if source.format == "json":
        return _asked(source)
    if source.fields is None and source.header and raw.header is None and source.format == "csv":
        return _asked(source)  # there is no line that could be taken apart
    if source.format == "parquet":
        known = list(row_fields(raw.table))
        fields = [name for name in known if name in {*named, *_mentioned(source)}]
    else:
        known = fields = list(source.fields) if source.fields else names_in(raw.header or "", source)
    if len(set(fields)) < len(fields) or fields == [""]:
        raise ConfigError(
            f"a csv source needs `fields`, the names of its fields in order, where its first line does not name each "
            f"of them once, got {raw.header!r}"
        )
    needed = {column.source for column in source.columns.values() if column.source and column.default is None}
    if strange := sorted(needed - set(known)):
        raise ConfigError(
            f"columns take {strange} from the line, but its files have {known}; a column that older files lack needs "
            "a `default`"
        )
    return fields


def _asked(source: Source) -> list[str]:
    """What the columns take from a line, or may take."""
    named = {column.source for column in source.columns.values() if column.source is not None}
    return sorted({*named, *_mentioned(source)})


def _mentioned(source: Source) -> set[str]:
    """Words of the `sql` columns: they may be names of fields; a word that is none costs an empty field."""
    texts = [column.sql for column in source.columns.values() if column.sql is not None]
    return {word for text in texts for word in re.findall(r"[A-Za-z_][A-Za-z0-9_]*", text)}


def is_blank(line: Column) -> Column:
    """Nothing but white space."""
    return F.length(F.btrim(line.cast("string"), F.lit(" \t\r\f\v"))) == 0


def decoded(line: Column, encoding: str) -> Column:
    """The text of a line; null where its bytes are not of the encoding. Needs the session's Java charsets."""
    name = codecs.lookup(encoding).name
    if name == "utf-8":
        text = line.cast("string")
        return F.when(F.is_valid_utf8(text), text)
    charset = java_name(SparkSession.active(), encoding)
    text = F.decode(line, charset)
    return F.when(~text.contains(UNKNOWN) | (F.encode(text, charset) == line), text)


def java_name(spark: SparkSession, encoding: str) -> str:
    """What Java calls an encoding that Python knows. Raises ConfigError where it has none of that name."""
    charset = spark.sparkContext._jvm.java.nio.charset.Charset  # type: ignore[union-attr]
    for name in (encoding, codecs.lookup(encoding).name):
        if charset.isSupported(name):
            return name
    raise ConfigError(f"Java knows no encoding {encoding!r}; convert the files to 'utf-8', or give it another name")


def with_fields(table: DataFrame, text: Column, source: Source, raw: RawLines) -> DataFrame:
    """The table with a struct `fields` of texts, null where the text is not of the source's format."""
    names = field_names(source, raw)
    if source.format == "json":
        return with_json_fields(table, text, names, raw.whole)
    if source.format == "parquet":
        return table.withColumn("fields", F.when(text.isNotNull(), row_as_text(row_fields(raw.table), names)))
    return table.withColumn("fields", delimited(text, source, names))
