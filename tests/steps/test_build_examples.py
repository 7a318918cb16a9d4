"""Examples at the boundaries: which day, which label, which profile, which ids, which sequence; each by hand."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from pyspark.sql import SparkSession

from pipeline import schemas
from pipeline.config import Config
from pipeline.days import add_days
from pipeline.steps.build_examples import build_examples
from pipeline.steps.measures import profile_columns
from tests.steps.rows import FIRST, TABLES, Row, at, collected, event, events_frame, frame, later, toy_config

DAY = add_days(FIRST, 3)
NOON = at(DAY)
ONE_FEATURE = {"context": {"scene": {"column": "scene"}}}


def _made(spark: SparkSession, config: Config, rows: list[Row], **tables: Any) -> dict[str, Row]:
    events = events_frame(spark, config, rows)
    profiles, vocabularies = tables.get("profiles", {}), tables.get("vocabularies", {})
    history = events_frame(spark, config, tables.get("history", rows))
    made = build_examples(config, tables.get("day", DAY), events, profiles, vocabularies, history)
    return {row["example_id"]: row for row in collected(made, "example_id")}


def test_a_label_is_exact_at_its_boundaries(spark: SparkSession) -> None:
    """Enter within (t, t + 60 s], available until t + 600 s, by the same user in the same room."""
    cases = {
        "at_once": (later(0), later(1), 0.0),
        "a_microsecond_later": (later(1e-6), later(1), 1.0),
        "on_the_edge": (later(60), later(61), 1.0),
        "too_late": (later(60) + later(1e-6), later(61), 0.0),
        "known_when_mature": (later(30), later(600), 1.0),
        "known_too_late": (later(30), later(600) + later(1e-6), 0.0),
        "before": (later(-1), later(1), 0.0),
    }
    rows, wanted = [], {}
    for name, (after, known, label) in cases.items():
        rows.append(event("exposure", NOON, event_id=name, room_id=name))
        rows.append(event("enter", NOON + after, room_id=name, available_at=NOON + known))
        wanted[name] = label
    for name, changes in {
        "nothing": None,
        "other_user": {"user_id": "u2"},
        "other_type": {"event_type": "watch"},
    }.items():
        rows.append(event("exposure", NOON, event_id=name, room_id=name))
        if changes is not None:
            rows.append({**event("enter", NOON + later(5), room_id=name), **changes})
        wanted[name] = 0.0
    rows.append(event("exposure", NOON, event_id="no_room", room_id=None))
    rows += [event("enter", NOON + later(n), room_id=None) for n in (5, 6)]
    rows += [event("exposure", NOON, event_id="twice", room_id="twice")]
    rows += [event("enter", NOON + later(n), room_id="twice") for n in (5, 6)]
    made = _made(spark, toy_config(features=ONE_FEATURE), rows)
    assert {name: row["label_enter"] for name, row in made.items()} == {**wanted, "no_room": 0.0, "twice": 1.0}
    assert {row["weight"] for row in made.values()} == {1.0}


def test_an_exposure_belongs_to_the_day_on_which_its_last_label_matures(spark: SparkSession) -> None:
    begin, end = at(DAY, 0), at(add_days(DAY, 1), 0)
    rows = [
        event("exposure", begin - later(600) - later(1e-6), event_id="yesterday"),
        event("exposure", begin - later(600), event_id="first"),
        event("exposure", end - later(600) - later(1e-6), event_id="last"),
        event("exposure", end - later(600), event_id="tomorrow"),
        event("exposure", NOON, event_id="bot", bot_rule="rate", bot_available_at=NOON + later(3600)),
        event("exposure", NOON, event_id="nobody", user_id=None),
        event("enter", NOON, event_id="no_exposure"),
    ]
    assert set(_made(spark, toy_config(features=ONE_FEATURE), rows)) == {"first", "last"}


def _profiles(spark: SparkSession, config: Config, entity: str, rows: list[Row]) -> Any:
    columns = {**profile_columns(config, entity), "profile_day": "date"}
    flat = {name: type_ for name, type_ in columns.items() if not type_.startswith("array")}
    table = frame(spark, [{**dict.fromkeys(flat), **row} for row in rows], flat)
    for name, type_ in columns.items():
        if type_.startswith("array"):
            table = table.selectExpr("*", f"cast(array() as {type_}) as {name}")
    return table


def test_a_profile_serves_from_when_it_is_ready_and_cold_entities_have_nothing(spark: SparkSession) -> None:
    config = toy_config()
    ready, days = at(DAY, 6), [add_days(DAY, -2), add_days(DAY, -1)]
    users = [
        {"id": "u1", "profile_day": day, "city": "Oslo", "count_exposure_2d": n, "last_enter": at(day)}
        for n, day in enumerate(days, 1)
    ]
    rows = [
        event("exposure", ready - later(1e-6), event_id="before"),
        event("exposure", ready, event_id="ready"),
        event("exposure", ready, event_id="cold", user_id="stranger", position=2),
    ]
    cities = frame(spark, [{"value": "Oslo", "id": 3, "count": 1, "first_dt": FIRST}], schemas.VOCABULARY)
    tables = {"profiles": {"user": _profiles(spark, config, "user", users)}, "vocabularies": {"user_city": cities}}
    made = _made(spark, config, rows, history=[], **tables)
    assert {name: row["user_exposures_2d"] for name, row in made.items()} == {"before": 1.0, "ready": 2.0, "cold": 0.0}
    assert {name: row["user_city"] for name, row in made.items()} == {"before": 3, "ready": 3, "cold": 1}
    assert made["ready"]["user_hours_since_enter"] == 18.0
    assert made["before"]["user_hours_since_enter"] == pytest.approx(42.0)
    cold = {name: value for name, value in made["cold"].items() if name not in (*schemas.EXAMPLES, "label_enter")}
    assert cold == {
        "label_watch": 0.0,
        "user_key": 2,
        "user_city": 1,
        "user_exposures_2d": 0.0,
        "user_enter_rate_3d__num": 0.0,
        "user_enter_rate_3d__den": 0.0,
        "user_category_rate_3d__num": 0.0,
        "user_category_rate_3d__den": 0.0,
        "user_item_watch_2d": 0.0,
        "user_hours_since_enter": None,
        "item_key": 2,
        "item_category": 1,
        "item_level": None,
        "item_watch_1d__num": 0.0,
        "item_watch_1d__den": 0.0,
        "item_city_rate_2d__num": 0.0,
        "item_city_rate_2d__den": 0.0,
        "context_scene": 2,
        "context_hour": 8.0,
        "sequence_recent": [],
    }


def test_a_sequence_is_what_was_available_strictly_before(spark: SparkSession) -> None:
    features = {"sequence": {"recent": TABLES["features"]["sequence"]["recent"]}}
    config = toy_config(features=features)

    def entered(item: str | None, back: datetime.timedelta, event_id: str, kind: str = "enter") -> Row:
        return event(kind, NOON - datetime.timedelta(days=1), item_id=item, available_at=NOON - back, event_id=event_id)

    history = [
        entered("a", later(30), "8"),
        entered("b", later(20), "7"),
        entered("c", later(10), "6"),
        entered("d", later(10), "5"),  # at the same instant as c, with a smaller id: before it
        entered("e", later(0), "1"),  # available at t: not yet known
        entered(None, later(5), "2"),
        entered("f", later(5), "3", kind="gift"),
        event("watch", NOON - later(3), available_at=NOON - later(2), item_id="g", event_id="4", user_id="u2"),
        event("enter", NOON, available_at=NOON - datetime.timedelta(days=2), item_id="h", user_id="u3", event_id="9"),
        event("enter", NOON, available_at=NOON - datetime.timedelta(days=2) - later(1), item_id="i", user_id="u3"),
    ]
    ids: list[Row] = [{"value": v, "id": n, "count": 9, "first_dt": FIRST} for n, v in enumerate("abcdefh", 3)]
    ids += [
        {"value": "late", "id": 10, "count": 9, "first_dt": DAY},
        {"value": "i", "id": None, "count": 1, "first_dt": None},
    ]
    rows = [event("exposure", NOON, event_id=user, user_id=user) for user in ("u1", "u2", "u3", "u4")]
    tables = {"vocabularies": {"item_id": frame(spark, ids, schemas.VOCABULARY)}}
    made = _made(spark, config, rows, history=history, **tables)
    assert {name: row["sequence_recent"] for name, row in made.items()} == {
        "u1": [4, 6, 5],
        "u2": [2],
        "u3": [9],
        "u4": [],
    }


def test_ids_are_those_of_the_day_before(spark: SparkSession) -> None:
    """An exposure ten minutes before midnight matures on the next day; an id given in between is unknown to it."""
    ids: list[Row] = [
        {"value": "old", "id": 3, "count": 9, "first_dt": add_days(DAY, -2)},
        {"value": "fresh", "id": 4, "count": 9, "first_dt": add_days(DAY, -1)},
        {"value": "rare", "id": None, "count": 1, "first_dt": None},
    ]
    evening, morning = at(DAY, 0) - later(300), at(DAY, 0)
    times = {"evening": evening, "morning": morning}
    rows = [
        event("exposure", time, event_id=f"{name}_{scene}", scene=scene)
        for name, time in times.items()
        for scene in ("old", "fresh", "rare", "never", None, "")
    ]
    tables = {"vocabularies": {"scene": frame(spark, ids, schemas.VOCABULARY)}}
    made = _made(spark, toy_config(features=ONE_FEATURE), rows, **tables)
    common = {"old": 3, "rare": 2, "never": 2, "None": 1, "": 1}
    wanted = {f"{name}_{scene}": id_ for name in times for scene, id_ in common.items()}
    assert {name: row["context_scene"] for name, row in made.items()} == {
        **wanted,
        "evening_fresh": 2,
        "morning_fresh": 4,
    }


def test_an_expression_cannot_see_what_came_later(spark: SparkSession) -> None:
    from pyspark.errors import AnalysisException

    for later_known in ("available_at", "bot_rule", "label_enter"):
        features = {"context": {"leak": {"sql": f"if({later_known} is null, 0, 1)"}}}
        with pytest.raises(AnalysisException, match=later_known):
            _made(spark, toy_config(features=features), [event("exposure", NOON)])


def test_large_sums_become_float_by_one_rounding(spark: SparkSession) -> None:
    features = {"user": {"watched": {"sum": "watch.duration_ms"}}}
    config = toy_config(features=features)
    big = 2**53 + 2**29 + 1  # just above the middle of two floats; by way of float64 it would be rounded down
    users = [{"id": "u1", "profile_day": add_days(DAY, -1), "sum_duration_ms_watch_7d": big}]
    made = _made(
        spark,
        config,
        [event("exposure", NOON, event_id="e")],
        profiles={"user": _profiles(spark, config, "user", users)},
    )
    assert made["e"]["user_watched"] == 2.0**53 + 2.0**30
