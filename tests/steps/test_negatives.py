"""Sampled candidates: equal to brute force, as likely as they say, and untouched by what was not yet known."""

from __future__ import annotations

import datetime
import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from pipeline import schemas
from pipeline.config import Config
from pipeline.days import Day, add_days
from pipeline.road import EXAMPLES
from pipeline.steps.build_examples import build_examples
from pipeline.steps.build_examples.negatives import Known, points_of
from tests.steps.negatives_reference import ITEMS, Rooms, SamplingReference, random_rooms, rooms_of, sampling_config
from tests.steps.rows import FIRST, Row, at, day_of, event, frame, later
from tests.steps.spark_settings import shuffles

DAYS = [add_days(FIRST, n) for n in range(4)]
ROOM_COLUMNS = {**schemas.ROOMS, "dt": "date"}


def made_of(spark: SparkSession, config: Config, world: Rooms, day: Day, known: Known | None = None) -> dict[str, Row]:
    """The examples of a day from the days that the road reads, by example_id."""
    reads = EXAMPLES.reads(config, day)
    shown = _arrived(spark, config, world, reads["events"].days)
    points = points_of(config, day, shown, known or known_on(spark, config, world, day))
    made = build_examples(config, day, shown, {}, {}, shown, points=points.table)
    assert list(made.columns) == list(schemas.examples(config))
    rows = made.toArrow().to_pylist()
    points.release()
    assert len({row["example_id"] for row in rows}) == len(rows)
    return {row["example_id"]: row for row in rows}


def known_on(spark: SparkSession, config: Config, world: Rooms, day: Day) -> Known:
    reads, tables = EXAMPLES.reads(config, day), dict[str, DataFrame]()
    for role in ("popularity", "seen"):
        if role in reads and reads[role].days:
            tables[role] = _arrived(spark, config, world, reads[role].days)
    if "rooms" in reads:
        rows = [row for one in reads["rooms"].days for row in rooms_of(config, world, one)]
        tables["rooms"] = frame(spark, rows, ROOM_COLUMNS)
    return Known(**tables)


def _arrived(spark: SparkSession, config: Config, world: Rooms, days: tuple[Day, ...]) -> DataFrame:
    rows = [{**row, "dt": day_of(config, row["available_at"])} for row in world.events]
    columns = {**schemas.events(config), "dt": "date"}
    return frame(spark, [row for row in rows if row["dt"] in days], columns)


def sampled(made: dict[str, Row], logged: bool = False) -> dict[str, tuple[Any, ...]]:
    """What was sampled beside each example: item, room, probability; or what was logged and counts."""
    found = {id_: row for id_, row in made.items() if "~" in id_ or (logged and row["weight"])}
    return {id_: (row["item_id"], row["room_id"], row["sampling_probability"]) for id_, row in found.items()}


Builds = Callable[[str, Day], dict[str, Row]]


@pytest.fixture(scope="module", autouse=True)
def plain_plans(spark: SparkSession) -> Iterator[None]:
    """Plans made once: made again at each stage they take most of the time of builds as small as these. What must not
    depend on the plan is tested with both."""
    spark.conf.set("spark.sql.adaptive.enabled", "false")
    yield
    spark.conf.unset("spark.sql.adaptive.enabled")
    assert spark.conf.get("spark.sql.adaptive.enabled") == "true"


@pytest.fixture(scope="module")
def world() -> Rooms:
    return random_rooms(seed=11)


@pytest.fixture(scope="module")
def builds(spark: SparkSession, world: Rooms) -> Builds:
    """The examples of a day of the world, each built once."""
    return cache(lambda candidates, day: made_of(spark, sampling_config(candidates), world, day))


@pytest.mark.parametrize(("candidates", "day"), [("on_air", DAYS[1]), ("on_air", DAYS[2]), ("popular", DAYS[2])])
def test_what_is_sampled_equals_a_computation_from_all_rows_at_once(
    builds: Builds, world: Rooms, candidates: str, day: Day
) -> None:
    _assert_equals_reference(sampling_config(candidates), world, day, builds(candidates, day))


@pytest.mark.parametrize(
    ("candidates", "changes"),
    [("on_air", {"unseen_days": 0, "power": 0.0, "seed": 2}),
     ("popular", {"unseen_days": 2, "power": 1.0, "per_example": 1, "training": {"label": "enter"}})],
)  # fmt: skip
def test_so_it_is_with_every_key_of_the_section(
    spark: SparkSession, world: Rooms, candidates: str, changes: dict[str, Any]
) -> None:
    config = sampling_config(candidates, **changes)
    _assert_equals_reference(config, world, DAYS[3], made_of(spark, config, world, DAYS[3]))


def _assert_equals_reference(config: Config, world: Rooms, day: Day, made: dict[str, Row]) -> None:
    reference = SamplingReference(config, world)
    examples = reference.examples(day)
    expected = [row for example in examples for row in reference.sampled(example)]
    assert made.keys() == {row["event_id"] for row in examples} | {row["example_id"] for row in expected}
    most = len(examples) * reference.negatives.per_example
    assert len(examples) / 4 < len(expected) < most, "a world in which nothing is ever left out tests little"
    for row in expected:
        _assert_sampled(made[row["example_id"]], row)
    for example in examples:
        row = made[example["event_id"]]
        assert (row["sampling_probability"], row["label_shown"]) == (1.0, 1.0)
        assert row["weight"] == reference.weight(example)


def _assert_sampled(made: Row, expected: Row) -> None:
    for name in ("user_id", "event_time", "item_id", "room_id"):
        assert made[name] == expected[name], (made["example_id"], name)
    assert made["sampling_probability"] == pytest.approx(expected["probability"], rel=1e-6)
    assert (made["label_shown"], made["weight"]) == (0.0, 1.0)
    assert made["context_scene"] == (1 if expected["scene"] is None else 2)


def test_other_labels_are_computed_for_a_candidate_as_for_what_was_logged(builds: Builds, world: Rooms) -> None:
    found = Counter[float]()
    for row in builds("on_air", DAYS[2]).values():
        t = row["event_time"]
        followed = any(
            one["event_type"] == "enter"
            and (one["user_id"], one["item_id"]) == (row["user_id"], row["item_id"])
            and t < one["event_time"] <= t + later(300)
            and one["available_at"] <= t + later(400)
            for one in world.events
        )
        assert row["label_enter"] == float(followed)
        found[row["label_enter"]] += "~" not in row["example_id"]
    assert len(found) == 2


def test_candidates_are_drawn_as_often_as_they_say(spark: SparkSession) -> None:
    """Pearson's statistic of 4,000 first draws over 12 candidates: above 31.3 by chance once in a thousand times."""
    config = sampling_config("popular", per_example=1, unseen_days=1)
    t = at(DAYS[2])
    shown = [event("exposure", t, event_id=f"x{n}", user_id="u", item_id="own") for n in range(4000)]
    enters = [
        event("enter", t - later(86_400), user_id="other", item_id=f"i{item}")
        for item in range(14)
        for _ in range((item + 1) ** 2)
    ]
    met = [event("exposure", t - later(4000), user_id="u", item_id="i3", event_id="met")]
    world = Rooms([*shown, *enters, *met, event("enter", t - later(86_400), item_id="own", user_id="other")], [])
    made = {id_: row for id_, row in sampled(made_of(spark, config, world, DAYS[2])).items() if id_.startswith("x")}
    chances = {item: probability for item, _, probability in made.values()}
    drawn = Counter(item for item, _, _ in made.values())
    assert len(made) > 3900
    assert set(chances) == {f"i{n}" for n in range(14)} - {"i3"}
    assert sum(chances.values()) == pytest.approx(1.0, rel=1e-6)
    expected = {item: len(made) * chance for item, chance in chances.items()}
    assert sum((drawn[item] - count) ** 2 / count for item, count in expected.items()) < 32.9
    even = len(made) / len(chances)
    assert sum((count - even) ** 2 / even for count in drawn.values()) > 100, "the test would see other chances"


INSTANTS = {"on_air": [at(FIRST, 60.02), at(FIRST, 48)], "popular": [at(FIRST, 60.02)]}


def shifted(world: Rooms, instant: datetime.datetime, seed: int) -> Rooms:
    """Every row that was known at `instant` or later is changed at random, or gone."""
    rng, other = random.Random(seed), random_rooms(seed=99)
    changed = Rooms([], [])
    for row in world.events:
        if row["available_at"] < instant:
            verdict = {} if row["bot_available_at"] is None or row["bot_available_at"] < instant else {"bot_rule": None}
            changed.events.append({**row, **({**verdict, "bot_available_at": None} if verdict else {})})
        elif rng.random() < 0.8:
            changed.events.append({**row, "item_id": f"i{rng.randrange(ITEMS)}", "user_id": f"u{rng.randrange(12)}"})
    for room in world.rooms:
        if room["start_available_at"] < instant:
            end = room["end_available_at"]
            changed.rooms.append(room if end is not None and end < instant else {**room, **_other_end(rng, instant)})
    new = [room for room in other.rooms if room["start_available_at"] >= instant]
    changed.rooms += [{**room, "room_id": f"new{room['room_id']}"} for room in new]
    return changed


def _other_end(rng: random.Random, instant: datetime.datetime) -> Row:
    if rng.random() < 0.3:
        return {"ended_at": None, "end_available_at": None}
    known = instant + later(rng.choice([0, 0, 1, 100, 9000]))
    return {"ended_at": known - later(rng.choice([0, 50])), "end_available_at": known}


def before(made: dict[str, Row], world: Rooms, instant: datetime.datetime) -> dict[str, tuple[Any, ...]]:
    """What was sampled beside the examples that had happened and were known before the instant."""
    own = {r["event_id"] for r in world.events if r["available_at"] < instant and r["event_time"] < instant}
    return {id_: row for id_, row in sampled(made, logged=True).items() if id_.partition("~")[0] in own}


@pytest.mark.parametrize("candidates", ["on_air", "popular"])
def test_a_changed_future_changes_no_candidate_and_no_probability(
    spark: SparkSession, builds: Builds, world: Rooms, candidates: str
) -> None:
    config = sampling_config(candidates)
    for instant in INSTANTS[candidates]:
        other, day = shifted(world, instant, seed=4), day_of(config, instant)
        first, second = builds(candidates, day), made_of(spark, config, other, day)
        own, theirs = before(first, world, instant), before(second, world, instant)
        logged = {id_.partition("~")[0] for id_ in own} & first.keys() & second.keys()  # verdicts take some away
        keep = [{i: row for i, row in part.items() if i.partition("~")[0] in logged} for part in (own, theirs)]
        assert sum("~" in id_ for id_ in keep[0]) >= 3
        assert keep[0] == keep[1]
        assert sampled(first) != sampled(second)


def test_a_pool_that_looks_ahead_is_found_by_that_test(spark: SparkSession, world: Rooms) -> None:
    """Rooms as if all were known from midnight on."""
    config, instant = sampling_config("on_air"), INSTANTS["on_air"][0]
    day = day_of(config, instant)

    def leaking(one: Rooms) -> dict[str, tuple[Any, ...]]:
        known = known_on(spark, config, one, day)
        assert known.rooms is not None
        midnight = F.to_utc_timestamp(F.col("dt").cast("timestamp"), "Asia/Shanghai")
        rooms = known.rooms.withColumns(dict.fromkeys(("started_at", "start_available_at"), midnight))
        return before(made_of(spark, config, one, day, replace(known, rooms=rooms)), world, instant)

    assert leaking(world) != leaking(shifted(world, instant, seed=4))


@pytest.mark.parametrize(("candidates", "partitions"), [("on_air", 1), ("on_air", 16), ("popular", 3)])
def test_any_number_of_partitions_samples_the_same(
    spark: SparkSession, builds: Builds, world: Rooms, candidates: str, partitions: int
) -> None:
    with shuffles(spark, partitions):
        spark.conf.set("spark.sql.adaptive.enabled", str(partitions == 16).lower())
        made = made_of(spark, sampling_config(candidates), world, DAYS[2])
    spark.conf.set("spark.sql.adaptive.enabled", "false")
    assert sampled(made)
    assert made == builds(candidates, DAYS[2])


def _room(name: str, item: str, begin: datetime.datetime, end: datetime.datetime | None = None) -> Row:
    clocks = {"started_at": begin, "start_available_at": begin, "ended_at": end, "end_available_at": end}
    return {"room_id": name, "item_id": item, **clocks}


def test_what_is_on_air_and_unseen_is_exact_at_its_boundaries(spark: SparkSession) -> None:
    """A slot begins at noon; the example is two minutes into it, and all that may be drawn is."""
    config = sampling_config("on_air", per_example=50, unseen_days=1)
    noon, t, tick, day = at(DAYS[2]), at(DAYS[2]) + later(120), later(1e-6), datetime.timedelta(days=1)
    rooms = [
        _room("begun", "a", noon - tick),
        _room("begins", "b", noon),
        _room("own", "me", noon - day),
        _room("ends_at_t", "c", noon - day, t),
        _room("ended", "d", noon - day, t - tick),
        _room("over", "e", noon - day, noon - tick),
        *[_room(name, name, noon - day) for name in ("old", "day", "just", "slot", "theirs", "twice")],
    ]
    met = {"old": noon - day - tick, "day": noon - day, "just": noon - tick, "slot": noon, "theirs": noon - tick}
    rows = [
        event("watch", known - later(1), item_id=item, available_at=known, user_id="u2" if item == "theirs" else "u1")
        for item, known in met.items()
    ]
    rows += [event("watch", noon - later(9), item_id="twice", event_id=name) for name in ("one", "two")]
    rows.append(event("exposure", t, event_id="x", item_id="me"))
    made = sampled(made_of(spark, config, Rooms(rows, rooms), DAYS[2]))
    assert {room for _, room, _ in made.values()} == {"begun", "ends_at_t", "old", "slot", "theirs"}
    assert [chance for _, _, chance in made.values()] == pytest.approx([0.2] * 5)
    assert set(made) == {f"x~{k}" for k in range(1, 6)}, "fewer than per_example where no more are left"


def test_on_the_first_day_nothing_was_popular_before(spark: SparkSession, world: Rooms) -> None:
    for candidates, some in (("popular", False), ("on_air", True)):
        config = sampling_config(candidates)
        made = made_of(spark, config, world, FIRST)
        assert bool(sampled(made)) == some
        assert {id_ for id_ in made if "~" not in id_} == {
            row["event_id"] for row in SamplingReference(config, world).examples(FIRST)
        }
