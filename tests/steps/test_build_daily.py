"""Exact sums of an arrival day."""

from __future__ import annotations

import datetime

from pyspark.sql import SparkSession

from pipeline.days import add_days
from pipeline.steps.build_daily import build_daily
from pipeline.steps.build_profiles import attribute_snapshot
from tests.steps.rows import FIRST, at, collected, event, events_frame, later, statement, toy_config
from tests.steps.rows import attributes_frame as said_frame

DAY = add_days(FIRST, 1)


def test_sums_by_key_and_event_day_across_a_midnight_of_the_zone(spark: SparkSession) -> None:
    config = toy_config()
    late = at(DAY, 0) - later(1)  # 15:59:59 UTC: the last second of the day before in Shanghai
    rows = [
        event("exposure", late),
        event("exposure", at(DAY, 0)),
        event("exposure", at(DAY, 1), item_id="i2"),
        event("enter", at(DAY, 2)),
        event("watch", at(DAY, 3), duration_ms=40),
        event("watch", at(DAY, 3), duration_ms=None),
        event("like", at(DAY, 4), user_id="u2"),
        event("exposure", at(DAY, 4), user_id=None),
    ]
    items = attribute_snapshot(
        config, "item", None, said_frame(spark, config, "item", [statement("item", "i1", late, category="music")])
    )
    made = collected(
        build_daily(config, DAY, "user", events_frame(spark, config, rows), items, None), "id", "event_day", "key"
    )
    wanted = [
        ("u1", "", FIRST, 0, 1, 0),
        ("u1", "category=music", FIRST, 0, 1, 0),
        ("u1", "", DAY, 1, 2, 40),
        ("u1", "category=music", DAY, 1, 1, 0),
        ("u1", "item_id=i1", DAY, 0, 0, 40),
        ("u2", "", DAY, 0, 0, 0),
    ]
    names = ("id", "key", "event_day", "count_enter", "count_exposure", "sum_duration_ms_watch")
    assert [tuple(row[name] for name in names) for row in made] == wanted
    lasts = {(row["id"], row["key"], row["event_day"]): row["last_enter"] for row in made}
    entered = lasts.pop(("u1", "", DAY))
    assert entered.astimezone(datetime.UTC) == at(DAY, 2)
    assert set(lasts.values()) == {None}


def test_bots_are_left_out_once_their_verdict_is_known(spark: SparkSession) -> None:
    config = toy_config()
    end = at(add_days(DAY, 1), 0)
    rows = [
        event("exposure", at(DAY, 23.5), user_id="person"),
        event("exposure", at(DAY, 23.5), user_id="bot", bot_rule="rate", bot_available_at=end),
        event("exposure", at(DAY, 23.5), user_id="later", bot_rule="rate", bot_available_at=end + later(1800)),
    ]
    made = collected(build_daily(config, DAY, "user", events_frame(spark, config, rows), None, None), "id")
    assert [(row["id"], row["count_exposure"]) for row in made] == [("later", 1), ("person", 1)]
