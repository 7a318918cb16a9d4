"""Distinct values, decay, top keys, shares, latest and first events: against brute force, and by hand at the edges."""

from __future__ import annotations

import datetime
import math
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from pipeline.days import add_days
from pipeline.errors import ConfigError
from pipeline.steps.build_profiles import build_profiles
from pipeline.steps.check_features import check_features
from pipeline.steps.measures import daily_columns
from tests.steps.profile_reference import SECTIONS, ProfileReference
from tests.steps.rows import FIRST, Row, collected, frame, toy_config
from tests.steps.spark_settings import shuffles
from tests.steps.world import Road, World, walk

DAYS = [add_days(FIRST, n) for n in range(4)]


@pytest.fixture(scope="module")
def world(world_of_kinds: World) -> World:
    return world_of_kinds


@pytest.fixture(scope="module")
def road(road_of_kinds: Road) -> Road:
    return road_of_kinds


@pytest.fixture(scope="module")
def reference(world: World) -> ProfileReference:
    """It remembers the examples of a day, which later days look at."""
    return ProfileReference(world)


@pytest.mark.parametrize("day", DAYS)
def test_examples_equal_a_computation_from_all_raw_rows_at_once(
    road: Road, reference: ProfileReference, day: datetime.date
) -> None:
    expected = {row["example_id"]: row for row in reference.examples(day)}
    made = {row["example_id"]: row for row in road.rows("examples", day)}
    assert made.keys() == expected.keys()
    assert len(made) > 20
    for example_id, row in made.items():
        assert list(row) == list(expected[example_id])
        for name, value in expected[example_id].items():
            same = math.isclose(row[name], value, rel_tol=1e-6) if isinstance(value, float) else row[name] == value
            assert same, (example_id, name, row[name], value)


def test_the_world_has_what_it_should_test(road: Road) -> None:
    rows = [row for day in DAYS for row in road.rows("examples", day)]
    for name, value in rows[0].items():
        if name.startswith(("user_", "item_", "context_")) and name not in ("user_id", "item_id"):
            assert len({str(row[name]) for row in rows}) > 1, (name, value)
    assert {len(row["user_top_items"]) for row in rows} == {0, 1, 2, 3}


def test_weights_have_the_bits_of_the_fold(road: Road, world: World) -> None:
    """Not only close: the profile's float64 are those of Python's own arithmetic, keys in order of weight."""
    reference = ProfileReference(world)
    for day in DAYS:
        profiles = road.rows("profiles_user", day)
        for row in profiles:
            assert row["decay_count_enter_2d"] == reference.weights(row["id"], "enter", 2, day).get("", 0.0)
            weights = {key: w for key, w in reference.weights(row["id"], "enter", 2, day, "item_id").items() if key}
            ordered = sorted(weights.items(), key=lambda entry: (-entry[1], entry[0].encode()))
            assert [(e["key"], e["weight"]) for e in row["decay_count_enter_by_item_id_2d"]] == ordered
        assert any(len(row["decay_count_enter_by_item_id_2d"]) > 2 for row in profiles)


@pytest.mark.parametrize("partitions", [16])
def test_any_number_of_partitions_gives_the_same_rows(
    spark: SparkSession, road: Road, world: World, tmp_path: Path, partitions: int
) -> None:
    with shuffles(spark, partitions):
        other = walk(spark, toy_config(**SECTIONS), world, tmp_path, [DAYS[2]], road)
    for dataset in road.columns:
        assert other.rows(dataset, DAYS[2]) == road.rows(dataset, DAYS[2]), dataset


def test_weights_fade_by_hand(spark: SparkSession) -> None:
    """What arrived today counts whole, however old; ties go by the key's bytes; almost nothing is forgotten."""
    features = {
        "user": {
            "all": {"decay": "enter", "half_life_days": 1},
            "top": {"top": "enter", "by": "item_id", "half_life_days": 1},
        }
    }
    config = toy_config(features=features)
    today, yesterday = DAYS[3], DAYS[2]

    def day(key: str, event_day: datetime.date, arrived: datetime.date, enters: int) -> Row:
        return {"id": "u", "key": key, "event_day": event_day, "count_enter": enters, "dt": arrived}

    daily = [
        day("", today, today, 1),
        day("", DAYS[0], today, 2),
        day("", yesterday, yesterday, 99),
        day("item_id=z", today, today, 1),
        day("item_id=", today, today, 9),
        day("item_id=old", yesterday, yesterday, 99),
    ]
    before = {"é": 2.0, "b": 2.0, "edge": 2.0**-9, "gone": 2.0**-9 - 2.0**-30, "minus": -8.0}
    entries = ", ".join(f"named_struct('key', '{key}', 'weight', {weight!r}D)" for key, weight in before.items())
    previous = spark.range(1).selectExpr(
        "'u' as id", "null as city", "null as said_at", "null as said_event",
        "4.0D as decay_count_enter_1d", f"array({entries}) as decay_count_enter_by_item_id_1d",
    )  # fmt: skip
    table = frame(spark, daily, {**daily_columns(config, "user"), "dt": "date"})
    (made,) = collected(build_profiles(config, today, "user", previous, None, table), "id")
    assert made["decay_count_enter_1d"] == 4.0 / 2 + 3
    assert [(entry["key"], entry["weight"]) for entry in made["decay_count_enter_by_item_id_1d"]] == [
        ("b", 1.0),
        ("z", 1.0),
        ("é", 1.0),
        ("edge", 2.0**-10),
        ("minus", -4.0),
    ]


def test_what_cannot_be_split_or_grouped_is_named() -> None:
    features = {
        "user": {"a": {"distinct": "enter", "by": "city"}, "b": {"top": "enter", "by": "event_time"}},
        "item": {"c": {"rate": ["enter", "exposure"], "prior_by": "city"}, "d": {"share": "enter", "by": "item_id"}},
    }
    with pytest.raises(ConfigError) as caught:
        check_features(toy_config(features=features))
    events = ["duration_ms", "hour", "position", "room_id", "scene"]
    of_user, of_item = (sorted([*events, *own]) for own in (["category", "level", "item_id"], ["city", "user_id"]))
    assert [line.strip() for line in str(caught.value).splitlines()[1:]] == [
        f"$.features.user.a.by is 'city'; it must be one of {of_user}",
        f"$.features.user.b.by is 'event_time'; it must be one of {of_user}",
        "$.features.item.c.prior_by is 'city'; declared item attributes are ['category', 'level']",
        f"$.features.item.d.by is 'item_id'; it must be one of {of_item}",
    ]
