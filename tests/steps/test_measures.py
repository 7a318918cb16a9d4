"""What features need summed, and whether their columns exist."""

from __future__ import annotations

import pytest

from pipeline.errors import ConfigError
from pipeline.steps.check_features import check_features
from pipeline.steps.measures import daily_columns, measures, profile_columns
from pipeline.steps.sums import Measure, parse_measure
from tests.steps.rows import TABLES, toy_config


def test_a_measure_is_a_count_or_a_sum() -> None:
    assert parse_measure("enter") == Measure("enter")
    assert parse_measure("enter").name == "count_enter"
    assert parse_measure("watch.duration_ms").name == "sum_duration_ms_watch"


def test_schemas_follow_from_the_features() -> None:
    assert daily_columns(toy_config(), "item") == {
        "id": "string",
        "key": "string",
        "event_day": "date",
        "count_enter": "bigint",
        "count_exposure": "bigint",
        "sum_duration_ms_watch": "bigint",
    }
    assert profile_columns(toy_config(), "user") == {
        "id": "string",
        "city": "string",
        "said_at": "timestamp",
        "said_event": "string",
        "count_exposure_2d": "bigint",
        "count_enter_3d": "bigint",
        "count_exposure_3d": "bigint",
        "by_category_3d": "array<struct<key: string, count_enter: bigint, count_exposure: bigint>>",
        "by_item_id_2d": "array<struct<key: string, sum_duration_ms_watch: bigint>>",
        "last_enter": "timestamp",
    }


def test_the_toy_product_is_sound() -> None:
    check_features(toy_config())


def test_every_fault_is_named_at_once_with_its_place() -> None:
    features = {
        "user": {
            "a": {"column": "scenery"},
            "b": {"attribute": "age"},
            "c": {"count": "enter", "by": "city"},
            "d": {"sum": "watch.scene"},
            "e": {"column": "available_at"},
        },
        "context": {"f": {"count": "enter"}},
        "sequence": {"g": {"of": "bot_rule", "events": ["enter"]}},
    }
    labels = {
        "enter": TABLES["labels"]["enter"],
        "h": {"of": "watch", "event": "enter", "match": ["seat"], "within_s": 1, "mature_after_s": 1},
    }
    with pytest.raises(ConfigError) as caught:
        check_features(toy_config(features=features, labels=labels))
    places = [line.strip().split(" ")[0].rstrip(":") for line in str(caught.value).splitlines()[1:]]
    assert places == [
        "$.features.user.a.column",
        "$.features.user.b.attribute",
        "$.features.user.c.by",
        "$.features.user.d.sums",
        "$.features.user.e.column",
        "$.features.context.f",
        "$.features.sequence.g.of",
        "$.labels.h.of",
        "$.labels.h.match",
    ]


def test_two_sums_of_one_name_are_refused() -> None:
    columns = dict(TABLES["sources"]["events"]["columns"])
    columns |= {name: {"from": name, "type": "long", "min": 0, "max": 9} for name in ("a", "a_b")}
    sources = {**TABLES["sources"], "events": {**TABLES["sources"]["events"], "columns": columns}}
    one = {"x": {"sum": "c_d.a_b"}}
    check_features(toy_config(sources=sources, features={"user": one}))
    with pytest.raises(ConfigError, match="sum_a_b_c_d"):
        check_features(toy_config(sources=sources, features={"user": {**one, "y": {"sum": "b_c_d.a"}}}))


def test_a_count_and_a_sum_of_one_event_stand_side_by_side() -> None:
    user = {"key": {"column": "user_id"}, "n": {"count": "watch"}, "s": {"rate": ["watch.duration_ms", "watch"]}}
    names = [measure.name for measure in measures(toy_config(features={"user": user}), "user")]
    assert names == ["count_watch", "sum_duration_ms_watch"]
