"""Rows of a table become examples: ids by the vocabulary of the training rows, labels by their columns."""

from __future__ import annotations

from pyspark.sql import SparkSession

from pipeline.artifact.vocabulary import hash_of
from pipeline.steps.build_vocab import build_vocab, vocabulary_values
from pipeline.steps.encode_rows import encode_rows
from tests.steps.rows import collected
from tests.steps.tables import DAY, table_config

ROWS = "row_id string, label string, user string, city string, age int"


def test_ids_come_from_the_training_rows_alone(spark: SparkSession) -> None:
    """city has min_count 2: Rome 3 rows, Bonn and Oslo 2 each (by bytes), Lima 1 and so unknown even in training."""
    config = table_config()
    cities = ["Rome"] * 3 + ["Oslo"] * 2 + ["Bonn"] * 2 + ["Lima", None]
    training = spark.createDataFrame([(f"r{k}", "1", "u1", c, k) for k, c in enumerate(cities)], ROWS)
    later = spark.createDataFrame([("s0", "0", "u1", "Rome", None), ("s1", "1", "u2", "Cork", 7)], ROWS)
    known = build_vocab(config, DAY, vocabulary_values(config, training, {}), {}).tables
    made = collected(encode_rows(config, training, known), "example_id")
    assert [row["context_city"] for row in made] == [3, 3, 3, 5, 5, 4, 4, 2, 1]
    assert made[8] == {
        "example_id": "r8", "user_id": "u1", "weight": 1.0, "label_click": 1.0, "context_user": 3, "context_city": 1,
        "context_age": 9.0,
    }  # fmt: skip
    shown = [tuple(row.values()) for row in collected(encode_rows(config, later, known), "example_id")]
    assert shown == [("s0", "u1", 1.0, 0.0, 3, 3, None), ("s1", "u2", 1.0, 1.0, 2, 2, 8.0)]


def test_a_hashed_column_needs_no_vocabulary(spark: SparkSession) -> None:
    """Like those of the artifact's own hash; a null is a null, and so is the empty text."""
    features = {
        "context": {"city": {"column": "city", "hash_buckets": 1000}, "age": {"column": "age", "hash_buckets": 9}}
    }
    config = table_config(vocabularies={}, features=features)
    cities = ["Rome", "主播🎉", "x" * 100, "", None]
    rows = spark.createDataFrame([(f"r{k}", "1", "u", city, k - 1) for k, city in enumerate(cities)], ROWS)
    made = collected(encode_rows(config, rows, {}), "example_id")
    assert [row["context_city"] for row in made] == [*(3 + hash_of(str(city)) % 1000 for city in cities[:3]), 1, 1]
    assert [row["context_age"] for row in made] == [3 + hash_of(str(age)) % 9 for age in range(-1, 4)]


def test_without_a_user_column_each_row_is_its_own(spark: SparkSession) -> None:
    config = table_config(
        datasets={"rows": "clicks"}, vocabularies={}, features={"context": {"age": {"sql": "age"}}},
        labels={"click": {"column": "label", "positive": ["yes"]}},
    )  # fmt: skip
    rows = spark.createDataFrame([("a", "yes", "u", None, 1), ("b", "no", "u", None, 2)], ROWS)
    made = collected(encode_rows(config, rows, {}), "example_id")
    assert [(row["user_id"], row["label_click"]) for row in made] == [("a", 1.0), ("b", 0.0)]
