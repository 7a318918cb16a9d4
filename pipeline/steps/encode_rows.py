"""The examples of a table: its rows with label, weight and features, ids by the vocabularies of the training rows."""

from __future__ import annotations

from collections.abc import Mapping

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from pipeline import schemas
from pipeline.config import ColumnLabel, Config
from pipeline.features import NULL_ID, UNKNOWN_ID
from pipeline.steps.build_examples.encoding import hashed_id, text_of, with_code
from pipeline.steps.clean_table.labels import label_of


def encode_rows(config: Config, rows: DataFrame, vocabularies: Mapping[str, DataFrame]) -> DataFrame:
    """Rows of one split as examples; `vocabularies`: column -> the table of its values and ids.

    A null has id 1, a value without an id 2. Labels are what their columns say; every row weighs 1.
    """
    features = config.features.context
    columns = {f"context_{name}": feature for name, feature in features.items() if feature.column is not None}
    ids = {name: str(feature.column) for name, feature in columns.items() if feature.hash_buckets is None}
    table = rows.select(*_fixed(config), *_plain(config), *[text_of(F.col(c)).alias(f"_{n}") for n, c in ids.items()])
    for name, column in ids.items():
        table = with_code(table, F.col(f"_{name}"), vocabularies[column], f"_code_{name}")
        table = table.withColumn(name, _id(f"_{name}", f"_code_{name}"))
    return table.select(*[F.col(name).cast(type_).alias(name) for name, type_ in schemas.examples(config).items()])


def _fixed(config: Config) -> list[Column]:
    """What every example has: its id, whose it is, its weight and its labels."""
    user = F.col("row_id") if config.datasets.user is None else F.col(config.datasets.user).cast("string")
    labels = [
        label_of(label).alias(f"label_{name}")
        for name, label in config.labels.items()
        if isinstance(label, ColumnLabel)
    ]
    return [F.col("row_id").alias("example_id"), user.alias("user_id"), F.lit(1.0).alias("weight"), *labels]


def _plain(config: Config) -> list[Column]:
    """Features that need no vocabulary."""
    found = []
    for name, feature in config.features.context.items():
        if feature.sql is not None:
            found.append(F.expr(feature.sql).try_cast("float").alias(f"context_{name}"))
        if feature.image is not None:
            found.append(F.col("image").alias(f"context_{name}"))
        if feature.column is not None and feature.hash_buckets is not None:
            found.append(hashed_id(text_of(F.col(feature.column)), feature.hash_buckets).alias(f"context_{name}"))
    return found


def _id(value: str, code: str) -> Column:
    known = F.coalesce(F.col(f"{code}.id"), F.lit(UNKNOWN_ID))
    return F.when(F.col(value).isNull(), F.lit(NULL_ID)).otherwise(known)
