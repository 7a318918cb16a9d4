"""What a user leaves in each kind of dataset, and that no dataset is passed over."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from pipeline.compaction import datasets
from pipeline.config import Config, load_config
from pipeline.forget.erasers import eraser_of
from pipeline.forget.person import USER_ID, Person
from tests.steps.rows import toy_config
from tests.steps.tables import table_config

LIVE = load_config(Path(__file__).parents[2] / "conf" / "live.toml")
NAME_NOBODY = {
    "live": {"rooms", "attributes/item"},
    "toy": {"attributes/item"},
}
"""Datasets without a column that says anything of a user, besides vocabularies of other columns. Whoever adds a dataset
decides here, or in pipeline.forget.erasers, what is to become of a user in it."""


def person(config: Config) -> Person:
    own = config.datasets.user
    return Person("u", "u", tuple(sorted({USER_ID, *([own] if own else [])})), {})


@pytest.mark.parametrize("config", [LIVE, toy_config(), table_config()], ids=["live", "toy", "table"])
def test_no_dataset_is_passed_over(spark: SparkSession, config: Config) -> None:
    him = person(config)
    known = {
        name: eraser_of(him, name, dataset.columns, None, lambda table: table)
        for name, dataset in datasets(config).items()
    }
    others = {name for name in known if name.startswith("vocab/") and name.removeprefix("vocab/") not in him.columns}
    expected = others if config.table is not None else others | NAME_NOBODY[config.product.name]
    assert {name for name, eraser in known.items() if eraser is None} == expected


def test_a_dataset_that_comes_new_is_found_by_its_column(spark: SparkSession) -> None:
    him = person(LIVE)
    for column, found in ((USER_ID, True), ("item_id", False)):
        eraser = eraser_of(him, "sessions", {"session_id": "string", column: "string"}, None, lambda table: table)
        assert (eraser is not None) == found
    eraser = eraser_of(him, "sessions", {USER_ID: "string"}, None, lambda table: table)
    assert eraser is not None
    table = spark.createDataFrame([("u",), (None,), ("u2",)], "user_id string")
    assert {row["user_id"] for row in eraser.erase(eraser.mark(table)).collect()} == {None, "u2"}


def test_profiles_of_every_kind_lose_his_key(spark: SparkSession) -> None:
    columns = {
        "id": "string",
        "by_user_id_7d": "array<struct<key: string, count_enter: bigint>>",
        "decay_count_enter_by_user_id_3d": "array<struct<key: string, weight: double>>",
        "by_city_7d": "array<struct<key: string, count_enter: bigint>>",
        "latest_user_id_enter": "struct<at: timestamp, key: string>",
    }
    schema = ", ".join(f"`{name}` {type_}" for name, type_ in columns.items())
    rows = [
        ("i1", [("u", 1), ("v", 2), (None, 3)], [("u", 0.5)], [("u", 7)], (None, "u")),
        ("i2", None, [], [("u", 7)], (None, "v")),
        ("u", [], [], [], None),
    ]
    table, him = spark.createDataFrame(rows, schema), person(LIVE)
    of_items = eraser_of(him, "profiles/item", columns, None, lambda table: table)
    of_users = eraser_of(him, "profiles/user", columns, None, lambda table: table)
    assert of_items is not None and of_users is not None
    marked = of_items.mark(table)
    assert [row["_his"] for row in marked.orderBy("id").collect()] == [True, False, False]
    left = {row["id"]: row.asDict(recursive=True) for row in of_items.erase(marked).collect()}
    assert left["i1"]["by_user_id_7d"] == [{"key": "v", "count_enter": 2}, {"key": None, "count_enter": 3}]
    assert left["i1"]["decay_count_enter_by_user_id_3d"] == []
    assert left["i1"]["by_city_7d"] == [{"key": "u", "count_enter": 7}], "a city may be called as he is"
    assert left["i1"]["latest_user_id_enter"] is None and left["i2"]["latest_user_id_enter"]["key"] == "v"
    assert left["i2"]["by_user_id_7d"] is None and "u" in left, "an item may be called as he is"
    assert {row["id"] for row in of_users.erase(of_users.mark(table)).collect()} == {"i1", "i2"}
