"""Profiles: attributes by their own clock, windows by event day, ids that stay."""

from __future__ import annotations

import datetime

from pyspark.sql import SparkSession

from pipeline.days import add_days
from pipeline.steps.build_profiles import attribute_snapshot, build_profiles
from pipeline.steps.measures import daily_columns, profile_columns
from tests.steps.rows import FIRST, Row, at, attributes_frame, collected, frame, statement, toy_config

DAY = add_days(FIRST, 4)


def _daily(id_: str, key: str, back: int, **changes: object) -> Row:
    base = {"count_enter": 0, "count_exposure": 0, "sum_duration_ms_watch": 0, "last_enter": None}
    return {"id": id_, "key": key, "event_day": add_days(DAY, -back), **base, **changes}


def _profile(id_: str, **changes: object) -> Row:
    columns = profile_columns(toy_config(), "user")
    empty: Row = {name: [] if type_.startswith("array") else None for name, type_ in columns.items()}
    return {**empty, "id": id_, **changes}


def test_windows_arrays_and_last_times_by_hand(spark: SparkSession) -> None:
    config = toy_config()
    early, late = at(add_days(DAY, -3), 1), at(DAY, 20)
    daily = [
        _daily("u1", "", -1, count_exposure=100),  # a clock that runs ahead: of tomorrow
        _daily("u1", "", 0, count_exposure=1, count_enter=1, last_enter=late),
        _daily("u1", "", 1, count_exposure=2),
        _daily("u1", "", 2, count_exposure=4, last_enter=early),
        _daily("u1", "", 3, count_exposure=8),
        _daily("u1", "category=music", 0, count_exposure=1),
        _daily("u1", "category=music", 2, count_exposure=2, count_enter=1),
        _daily("u1", "category=game", 1, count_enter=1),
        _daily("u1", "category=news", 3, count_enter=1),
        _daily("u1", "item_id=i=1", 1, sum_duration_ms_watch=7),
        _daily("u1", "item_id=i2", 1, count_enter=1),
    ]
    previous = [_profile("u1", last_enter=early), _profile("old", last_enter=early)]
    statements = [statement("user", "u1", at(DAY), city="Köln"), statement("user", "said", at(DAY), city="Oslo")]
    schema = {name: type_ for name, type_ in profile_columns(config, "user").items() if not type_.startswith("array")}
    before = frame(spark, previous, schema)
    snapshot = attribute_snapshot(config, "user", before, attributes_frame(spark, config, "user", statements))
    table = build_profiles(config, DAY, "user", before, snapshot, frame(spark, daily, daily_columns(config, "user")))
    rows = {row["id"]: row for row in collected(table, "id")}
    assert list(rows) == ["old", "said", "u1"]
    u1 = rows["u1"]
    assert (u1["count_exposure_2d"], u1["count_exposure_3d"], u1["count_enter_3d"], u1["city"]) == (3, 7, 1, "Köln")
    assert u1["by_category_3d"] == [
        {"key": "game", "count_enter": 1, "count_exposure": 0},
        {"key": "music", "count_enter": 1, "count_exposure": 3},
    ]
    assert u1["by_item_id_2d"] == [{"key": "i=1", "sum_duration_ms_watch": 7}]
    assert u1["last_enter"].astimezone(datetime.UTC) == late
    assert rows["old"]["last_enter"].astimezone(datetime.UTC) == early
    assert (rows["said"]["count_exposure_2d"], rows["said"]["by_category_3d"], rows["said"]["last_enter"]) == (
        0,
        [],
        None,
    )


def test_the_latest_statement_wins_whatever_the_order_of_arrival(spark: SparkSession) -> None:
    config = toy_config()
    first, second = statement("user", "u", at(FIRST, 1), city="A"), statement("user", "u", at(FIRST, 2), city=None)
    tied = {**second, "event_id": "zzz", "city": "B"}
    for ordered in ([first, second, tied], [tied, second, first], [second, tied, first]):
        known = None
        for row in ordered:
            snapshot = attribute_snapshot(config, "user", known, attributes_frame(spark, config, "user", [row]))
            known = spark.createDataFrame(snapshot.toArrow())
        assert known is not None
        assert [(row["id"], row["city"], row["said_event"]) for row in known.collect()] == [("u", "B", "zzz")]
