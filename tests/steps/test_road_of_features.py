"""Daily sums, profiles, vocabularies and examples over several days, against a second implementation and invariants."""

from __future__ import annotations

import datetime
import math
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from pipeline.days import add_days
from pipeline.features import vocabulary_names
from pipeline.steps.build_examples import build_examples
from tests.steps.reference import Reference
from tests.steps.rows import FIRST, Row, toy_config
from tests.steps.spark_settings import shuffles
from tests.steps.world import ENTITIES, Road, World, arrived, random_world, walk

DAYS = [add_days(FIRST, n) for n in range(4)]


@pytest.fixture(scope="module")
def world() -> World:
    """Four days; a tenth of the rows arrive a day late."""
    return random_world(seed=5)


@pytest.fixture(scope="module")
def road(spark: SparkSession, world: World, tmp_path_factory: pytest.TempPathFactory) -> Road:
    """The steps over it, day by day."""
    return walk(spark, toy_config(), world, tmp_path_factory.mktemp("road"), DAYS)


@pytest.mark.parametrize("day", DAYS)
def test_examples_equal_a_computation_from_all_raw_rows_at_once(road: Road, world: World, day: datetime.date) -> None:
    expected = {row["example_id"]: row for row in Reference(world).examples(day)}
    made = {row["example_id"]: row for row in road.rows("examples", day)}
    assert made.keys() == expected.keys()
    assert len(made) > 20
    for example_id, row in made.items():
        _assert_same(row, expected[example_id])


def test_the_world_has_what_it_should_test(road: Road, world: World) -> None:
    rows = [row for day in DAYS for row in road.rows("examples", day)]
    assert {row["label_enter"] for row in rows} == {0.0, 1.0}
    assert {row["label_watch"] for row in rows} == {0.0, 1.0}
    assert {1, 2, 3} <= {row["user_key"] for row in rows} | {row["user_city"] for row in rows}
    assert {len(row["sequence_recent"]) for row in rows} == {0, 1, 2, 3}
    for name in ("user_category_rate_3d__num", "user_item_watch_2d", "item_watch_1d__num", "item_city_rate_2d__num"):
        assert any(row[name] > 0 for row in rows), name
    assert any((row["available_at"] - row["event_time"]).days >= 1 for row in world.events)


@pytest.mark.parametrize("column", ["user_id", "item_id", "user_city", "item_category", "scene"])
def test_vocabularies_equal_a_count_of_all_days_at_once(road: Road, world: World, column: str) -> None:
    for day in DAYS:
        made = {row["value"]: row["id"] for row in road.rows(f"vocab_{column}", day) if row["id"] is not None}
        assert made == Reference(world).vocabulary(column, day)


def test_newer_profiles_ids_and_events_are_not_looked_at(spark: SparkSession, road: Road, world: World) -> None:
    """Features of the second day, given everything that the fourth day knows."""
    day, everything = DAYS[1], arrived(road, world, DAYS[0], DAYS[-1])
    profiles = {entity: road.expect(f"profiles_{entity}", DAYS, "profile_day") for entity in ENTITIES}
    newest = {column: road.expect(f"vocab_{column}", DAYS[-1:]) for column in vocabulary_names(road.config)}
    made = build_examples(road.config, day, arrived(road, world, DAYS[0], day), profiles, newest, everything)
    assert sorted(made.toArrow().to_pylist(), key=str) == road.rows("examples", day)


@pytest.mark.parametrize("partitions", [1, 3, 16])
def test_any_number_of_partitions_gives_the_same_rows(
    spark: SparkSession, road: Road, world: World, tmp_path: Path, partitions: int
) -> None:
    with shuffles(spark, partitions):
        other = walk(spark, toy_config(), world, tmp_path, [DAYS[2]], road)
    for dataset in road.columns:
        assert other.rows(dataset, DAYS[2]) == road.rows(dataset, DAYS[2]), dataset


def _assert_same(made: Row, expected: Row) -> None:
    assert list(made) == list(expected)
    for name, value in expected.items():
        came = made[name]
        if isinstance(value, float):
            assert came is not None and math.isclose(came, value, rel_tol=1e-6), (made["example_id"], name, came, value)
        elif isinstance(value, datetime.datetime):
            assert came == value
        else:
            assert came == value, (made["example_id"], name, came, value)
