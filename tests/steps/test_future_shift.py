"""No feature looks into the future: every row that was available at T or later is changed at random, and no feature of
an exposure before T changes, of any kind. Its twin: what does look there, planted here, is caught by the same check."""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from pipeline.config import Config
from pipeline.config.features import KINDS, SETTINGS
from pipeline.days import Day, add_days
from pipeline.features import NULL_ID, UNKNOWN_ID, feature_specs, vocabulary_names
from pipeline.steps.build_examples import build_examples, features
from pipeline.steps.instants import local_day, shifted
from tests.steps.profile_reference import KINDS as DECLARED
from tests.steps.profile_reference import SECTIONS
from tests.steps.rows import FIRST, TABLES, Row, at, day_of, events_frame, toy_config
from tests.steps.world import ENTITIES, Road, World, arrived, shift_future, walk

DAYS = [add_days(FIRST, n) for n in range(4)]
MORNING, NIGHT = at(FIRST, 53.9), at(FIRST, 71.95)
"""Just before a profile becomes ready; and between exposures and the midnight before they mature."""
Features = dict[str, Row]
IN_A_TABLE = {"image"}
"""Kinds of a table of rows, which has no clock."""


@pytest.fixture(scope="module", params=[MORNING, NIGHT], ids=["morning", "night"])
def instant(request: pytest.FixtureRequest) -> datetime.datetime:
    """T."""
    return request.param


@pytest.fixture(scope="module")
def shifted_world(world_of_kinds: World, instant: datetime.datetime) -> World:
    """The world with another future."""
    return shift_future(world_of_kinds, toy_config(**SECTIONS), instant, seed=3)


@pytest.fixture(scope="module")
def shifted_road(
    spark: SparkSession, road_of_kinds: Road, shifted_world: World, tmp_path_factory: pytest.TempPathFactory
) -> Road:
    """The steps over it, from the day of T on."""
    return walk(spark, road_of_kinds.config, shifted_world, tmp_path_factory.mktemp("shifted"), DAYS[2:], road_of_kinds)


def test_every_kind_of_feature_and_every_setting_is_put_to_the_test() -> None:
    declared = [feature for group in ("user", "item", "context") for feature in DECLARED[group].values()]
    used = {key for feature in declared for key in feature}
    assert used.issuperset({*KINDS, *SETTINGS} - IN_A_TABLE), "declare one of the kind in profile_reference.KINDS"
    assert DECLARED["sequence"]
    assert DECLARED["cross"]


def test_a_changed_future_changes_nothing_that_was_known(
    road_of_kinds: Road, shifted_road: Road, world_of_kinds: World, instant: datetime.datetime
) -> None:
    before, after = (_published(road) for road in (road_of_kinds, shifted_road))
    own = _known_before(world_of_kinds, instant)
    compared = before.keys() & after.keys() & own
    assert len(compared) > 10
    assert _changed(before, after, compared) == set()
    later = (before.keys() & after.keys()) - own
    columns = {column for spec in feature_specs(road_of_kinds.config) for column in spec.columns}
    assert _changed(before, after, later) >= (columns if instant == MORNING else set()), "each would be seen to change"


def _published(road: Road) -> Features:
    return {row["example_id"]: row for day in DAYS[2:] for row in road.rows("examples", day)}


def _known_before(world: World, instant: datetime.datetime) -> set[str]:
    """Exposures from before T of which the line was there too."""
    return {row["event_id"] for row in world.events if max(row["available_at"], row["event_time"]) < instant}


def _changed(before: Features, after: Features, ids: set[str]) -> set[str]:
    """The columns in which an exposure has another value; labels may, they look ahead."""
    return {
        name
        for id_ in ids
        for name, value in before[id_].items()
        if after[id_][name] != value and not name.startswith("label_")
    }


# ---- leaks, planted --------------------------------------------------------------------------------------------------


def _own_day_profile(monkeypatch: pytest.MonkeyPatch) -> None:
    """The profile of the day of the exposure, which is served as if it were ready before the day is over."""
    dated = features._dated
    monkeypatch.setattr(
        features, "_dated", lambda *arguments: dated(*arguments).withColumn("_profile_day", F.col("_day"))
    )


def _own_day_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    """The vocabulary of the day of the exposure."""

    def code(value: str, name: str, day: str) -> Column:
        known = F.when(F.col(f"{name}.first_dt") <= F.col(day), F.col(f"{name}.id")).otherwise(F.lit(UNKNOWN_ID))
        return F.when(F.col(value).isNull(), F.lit(NULL_ID)).otherwise(known)

    monkeypatch.setattr(features, "code", code)


def _own_day_targets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Labels of examples of the day of the exposure."""
    honest = features.with_targets

    def with_targets(config: Config, points: DataFrame, earlier: DataFrame | None) -> DataFrame:
        today = local_day(F.col("event_time"), config.product.zone)
        return honest(config, points.withColumn("_profile_day", today), earlier)

    monkeypatch.setattr(features, "with_targets", with_targets)


def _sequences_hours_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the user did in the six hours after the exposure too."""
    honest, later_us = features.sequences_at, 6 * 3_600_000_000

    def sequences_at(config: Config, moments: DataFrame, *tables: Any) -> DataFrame:
        found = honest(config, moments.withColumn("event_time", shifted(F.col("event_time"), later_us)), *tables)
        return found.withColumn("event_time", shifted(F.col("event_time"), -later_us))

    monkeypatch.setattr(features, "sequences_at", sequences_at)


LEAKS: dict[str, tuple[Callable[[pytest.MonkeyPatch], None], dict[str, Any]]] = {
    "profile": (_own_day_profile, {"user": {name: DECLARED["user"][name] for name in ("watches", "hours_3d")}}),
    "vocabulary": (_own_day_ids, {"item": {"key": DECLARED["item"]["key"]}}),
    "target": (
        _own_day_targets,
        {"item": {"key": DECLARED["item"]["key"]}, "context": {"rate": DECLARED["context"]["item_rate_3d"]}},
    ),
    "sequence": (_sequences_hours_later, {"sequence": DECLARED["sequence"]}),
}


@pytest.mark.parametrize("instant", [MORNING], ids=["morning"], indirect=True, scope="module")
@pytest.mark.parametrize("leak", LEAKS)
def test_a_planted_leak_is_caught(
    leak: str,
    road_of_kinds: Road,
    shifted_road: Road,
    world_of_kinds: World,
    shifted_world: World,
    instant: datetime.datetime,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Both worlds hand over all that they will ever know. Honest code does not look at it; the planted code does."""
    plant, declared = LEAKS[leak]
    config = toy_config(features=declared, labels=SECTIONS["labels"])
    known = _known_before(world_of_kinds, instant)

    def compared() -> set[str]:
        before = _all_known(road_of_kinds, world_of_kinds, config, DAYS[2])
        after = _all_known(shifted_road, shifted_world, config, DAYS[2])
        own = before.keys() & after.keys() & known
        assert len(own) > 10
        return _changed(before, after, own)

    assert compared() == set()
    plant(monkeypatch)
    assert compared() != set()


def _all_known(road: Road, world: World, config: Config, day: Day) -> Features:
    """The examples of a day, computed from all days of everything."""
    everything = arrived(road, world, DAYS[0], DAYS[-1])
    profiles = {entity: road.expect(f"profiles_{entity}", DAYS, "profile_day") for entity in ENTITIES}
    newest = {column: road.expect(f"vocab_{column}", DAYS[-1:]) for column in vocabulary_names(config)}
    earlier = road.expect("examples", DAYS, "dt")
    made = build_examples(config, day, arrived(road, world, DAYS[0], day), profiles, newest, everything, earlier)
    return {row["example_id"]: row for row in made.toArrow().to_pylist()}


def test_a_column_that_the_source_fills_in_later_is_caught(
    spark: SparkSession, world_of_kinds: World, shifted_world: World, instant: datetime.datetime
) -> None:
    """Like globo's session_size: a click is delivered with the size that its session has when it is over. `so_far` is
    what could be said when it happened."""
    events = TABLES["sources"]["events"]
    columns = {**events["columns"], **{name: {"from": name, "type": "int"} for name in ("session_size", "so_far")}}
    sources = {**TABLES["sources"], "events": {**events, "columns": columns}}
    context = {name: {"sql": name} for name in ("session_size", "so_far")}
    config = toy_config(sources=sources, features={"context": context}, labels=SECTIONS["labels"])

    def made(world: World) -> Features:
        rows = _with_sessions(config, world)
        first, last = (events_frame(spark, config, world.arrived(config, rows, DAYS[0], DAYS[n])) for n in (2, 3))
        examples = build_examples(config, DAYS[2], first, {}, {}, last)
        return {row["example_id"]: row for row in examples.toArrow().to_pylist()}

    before, after = made(world_of_kinds), made(shifted_world)
    own = before.keys() & after.keys() & _known_before(world_of_kinds, instant)
    assert len(own) > 10
    assert _changed(before, after, own) == {"context_session_size"}


def _with_sessions(config: Config, world: World) -> list[Row]:
    """The events with how many their user has on that day in all, and how many of those were there before."""

    def session(row: Row) -> tuple[str, Day]:
        return row["user_id"], day_of(config, row["event_time"])

    sizes = Counter(map(session, world.events))

    def so_far(row: Row) -> int:
        same = (one for one in world.events if session(one) == session(row))
        return sum(max(one["event_time"], one["available_at"]) < row["event_time"] for one in same)

    return [{**row, "session_size": sizes[session(row)], "so_far": so_far(row)} for row in world.events]
