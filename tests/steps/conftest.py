"""A world and the road over it with every kind of feature: built once, read by several files."""

from __future__ import annotations

import pytest
from pyspark.sql import SparkSession

from pipeline.days import add_days
from tests.steps.profile_reference import SECTIONS
from tests.steps.rows import FIRST, at, event, toy_config
from tests.steps.world import Road, World, random_world, walk


@pytest.fixture(scope="session")
def world_of_kinds() -> World:
    """Four days; a tenth of the rows arrive a day late; an item is new on the third day, and seen again that day."""
    world, day = random_world(seed=11), add_days(FIRST, 2)
    clicks = [("exposure", 3.0), ("exposure", 20.0), ("enter", 20.5), ("enter", 21.0)]
    world.events += [event(kind, at(day, hour), item_id="fresh", room_id="fresh") for kind, hour in clicks]
    return world


@pytest.fixture(scope="session")
def road_of_kinds(spark: SparkSession, world_of_kinds: World, tmp_path_factory: pytest.TempPathFactory) -> Road:
    """The steps over it, day by day."""
    days = [add_days(FIRST, n) for n in range(4)]
    return walk(spark, toy_config(**SECTIONS), world_of_kinds, tmp_path_factory.mktemp("kinds"), days)
