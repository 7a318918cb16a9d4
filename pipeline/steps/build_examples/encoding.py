"""Values to ids, by the vocabulary that was known on the day before an exposure or by a hash."""

from __future__ import annotations

from collections.abc import Mapping

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from pipeline import schemas
from pipeline.features import FIRST_ID, NULL_ID, UNKNOWN_ID


def text_of(column: Column) -> Column:
    """A value as vocabularies hold it: text; the empty one is null."""
    return F.nullif(column.cast("string"), F.lit(""))


def hashed_id(text: Column, buckets: int) -> Column:
    """The id (int) of a text without a vocabulary: 1 for null, else 3 + xxh64 mod buckets (pipeline.features.HASH)."""
    bucket = F.pmod(F.xxhash64(text), F.lit(buckets).cast("bigint"))
    return F.when(text.isNull(), F.lit(NULL_ID)).otherwise((bucket + FIRST_ID).cast("int"))


def with_code(table: DataFrame, value: Column, vocabulary: DataFrame, name: str) -> DataFrame:
    """`table` with the vocabulary's row for a text `value`, as `name`.id and `name`.first_dt; null without an id."""
    known = vocabulary.where(F.col("id").isNotNull())
    codes = known.select(F.col("value").alias("_value"), "id", "first_dt").alias(name)
    return table.join(codes, value == F.col(f"{name}._value"), how="left")


def code(value: str, name: str, day: str) -> Column:
    """The id (int) of column `value` on column `day`, from what with_code() joined as `name`.

    1 for null, 2 for a value that had no id before that day began, else its own. A vocabulary only appends, so a later
    snapshot says what an older one held: the rows whose first_dt is early enough.
    """
    known = F.when(F.col(f"{name}.first_dt") < F.col(day), F.col(f"{name}.id")).otherwise(F.lit(UNKNOWN_ID))
    return F.when(F.col(value).isNull(), F.lit(NULL_ID)).otherwise(known)


def table_or_empty(
    spark: SparkSession, tables: Mapping[str, DataFrame], name: str, columns: schemas.Columns
) -> DataFrame:
    """The table of that name, or one without rows: what the day before the product's first day left behind."""
    if name in tables:
        return tables[name]
    nothing = spark.range(0).where(F.lit(False))
    return nothing.select(*[F.lit(None).cast(type_).alias(column) for column, type_ in columns.items()])
