"""Rows of Parquet as lines: the bytes of a row are its JSON, its fields are its columns as text."""

from __future__ import annotations

from collections.abc import Sequence

from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as T

from pipeline.errors import DamagedData
from pipeline.spark_errors import in_a_line

EXACT = {
    "ignoreNullFields": "false",
    "timestampFormat": "yyyy-MM-dd'T'HH:mm:ss.SSSSSSXXX",
    "timestampNTZFormat": "yyyy-MM-dd'T'HH:mm:ss.SSSSSS",
}
"""How a row is written as JSON: nothing left out, microseconds kept."""


def parquet_rows(spark: SparkSession, paths: Sequence[str]) -> DataFrame:
    """`line`, `source_file`, `row` (the columns of all files together: null where a file lacks one) and `row_index`,
    the place of the row in its file.

    Raises DamagedData when one column has different types in two files. Folders called `dt=...` give no column.
    """
    reader = spark.read.option("mergeSchema", "true").option("recursiveFileLookup", "true")
    try:
        table = reader.parquet(*paths)
    except (PySparkException, Py4JJavaError) as error:
        raise DamagedData(_told(spark, paths, error)) from None
    columns = F.struct(*[F.col(f"`{name}`") for name in table.columns])
    return table.select(
        F.to_json(columns, EXACT).cast("binary").alias("line"),
        F.col("_metadata.file_path").alias("source_file"),
        columns.alias("row"),
        F.col("_metadata.row_index").alias("row_index"),
    )


def _told(spark: SparkSession, paths: Sequence[str], error: Exception) -> str:
    """Which column has two types, and where; else what Spark says."""
    seen: dict[str, tuple[str, str]] = {}
    for path in paths:
        try:
            columns = spark.read.parquet(path).dtypes
        except (PySparkException, Py4JJavaError) as unreadable:
            return f"{path} cannot be read ({in_a_line(unreadable)}); deliver it again, with types that Spark reads"
        for name, type_ in columns:
            first, known = seen.setdefault(name, (path, type_))
            if known != type_:
                return (
                    f"column {name!r} is {type_} in {path}, but {known} in {first}; a column of a source has one type "
                    "in all its files: write them anew, or make the others another source"
                )
    return f"the Parquet files {paths[0]} .. {paths[-1]} cannot be read together ({in_a_line(error)})"


def row_fields(rows: DataFrame) -> dict[str, T.DataType]:
    """The columns that the files have, and their types."""
    return {field.name: field.dataType for field in rows.schema["row"].dataType}  # type: ignore[attr-defined]


def row_as_text(types: dict[str, T.DataType], fields: Sequence[str]) -> Column:
    """A struct of text fields, as exact as their types: instants in UTC, what has parts as JSON."""
    return F.struct(*[_text(F.col(f"row.`{name}`"), types[name]).alias(name) for name in fields])


def _text(value: Column, type_: T.DataType) -> Column:
    if isinstance(type_, T.TimestampType):
        return F.concat(value.cast("string"), F.lit("Z"))  # the session's zone is UTC
    if isinstance(type_, T.StructType | T.ArrayType | T.MapType):
        return F.to_json(value, EXACT)
    return value.cast("string")
