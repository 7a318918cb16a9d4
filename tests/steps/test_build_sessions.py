"""Sessions built day by day are those of all rows at once, and are what features of users count."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from pipeline import schemas
from pipeline.config import Config, parse_config
from pipeline.days import Day, add_days
from pipeline.errors import ConfigError
from pipeline.steps.build_daily import build_daily
from pipeline.steps.build_sessions import build_sessions, too_late_for_sessions
from pipeline.steps.check_features import check_features
from tests.steps.rows import Row, collected, day_end, day_of, event, events_frame, later
from tests.steps.session_reference import (
    GAP_S,
    LISTED,
    MICRO,
    SETTLE_S,
    published,
    session_config,
    session_tables,
    sessions_of,
    visits,
)
from tests.steps.spark_settings import shuffles

FIRST = datetime.date(2026, 3, 28)
DAYS = [add_days(FIRST, n) for n in range(3)]
"""The second has 23 hours in Berlin."""


def config_of() -> Config:
    return session_config(day_zone="Europe/Berlin", first_day=FIRST)


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    return visits(config_of(), FIRST, len(DAYS), seed=3)


def build(spark: SparkSession, rows: list[Row], folder: Path, days: list[Day]) -> dict[Day, list[Row]]:
    """Each day from its own events and from the day before."""
    config, made = config_of(), {}
    for day in days:
        arrived = events_frame(spark, config, [row for row in rows if day_of(config, row["available_at"]) == day])
        before = folder / f"dt={add_days(day, -1)}"
        earlier = spark.read.schema(schemas.ddl(schemas.SESSIONS)).parquet(str(before)) if before.exists() else None
        table = build_sessions(config, day, arrived, earlier)
        assert dict(table.dtypes) == schemas.SESSIONS
        table.write.parquet(str(folder / f"dt={day}"))
        found = pq.read_table(str(folder / f"dt={day}"), partitioning=None).to_pylist()
        made[day] = sorted(found, key=lambda row: row["session_id"])
    return made


@pytest.mark.parametrize("partitions", [1, 3, 16])
def test_days_one_after_another_equal_all_rows_at_once(
    spark: SparkSession, rows: list[Row], tmp_path: Path, partitions: int
) -> None:
    with shuffles(spark, partitions):
        made = build(spark, rows, tmp_path, DAYS)
    for day in DAYS:
        assert made[day] == published(config_of(), rows, day), day


def test_the_rows_have_what_they_should_test(rows: list[Row]) -> None:
    config, all_of_them = config_of(), sessions_of(rows)
    assert max(row["duration_ms"] for row in all_of_them) > 30 * 3_600_000
    assert any(day_of(config, row["started_at"]) != day_of(config, row["ended_at"]) for row in all_of_them)
    kept = [sessions_of([row for row in rows if row["available_at"] < day_end(config, day)]) for day in DAYS]
    changed = [{row["session_id"] for row in before} - {row["session_id"] for row in all_of_them} for before in kept]
    assert {"bridged", "earlier"} <= {id_.partition("@")[0] for ids in changed for id_ in ids}
    assert {row["bot_rule"] for row in all_of_them} == {None, "rate", "speed"}
    late = [row for row in rows if row["available_at"] == row["event_time"] + later(SETTLE_S) + MICRO]
    assert late and any(row["available_at"] == row["event_time"] + later(SETTLE_S) for row in rows)


def test_no_later_row_changes_a_session_that_is_over(rows: list[Row]) -> None:
    """Whatever is available at the end of a session is all there will be."""
    for session in sessions_of(rows):
        known = sessions_of([row for row in rows if row["available_at"] <= session["available_at"]])
        assert session in known


def test_a_session_over_before_the_first_day_is_of_the_first_day(spark: SparkSession) -> None:
    """Of a source without a day in its path the rows before the first day arrive on it."""
    config, begin = config_of(), day_end(config_of(), add_days(FIRST, -1))
    old = event("watch", begin - later(90_000))
    (made,) = collected(build_sessions(config, FIRST, events_frame(spark, config, [old]), None), "session_id")
    assert made["available_at"].astimezone(datetime.UTC) == old["event_time"] + later(GAP_S + SETTLE_S)


def test_what_comes_too_late_is_counted(spark: SparkSession, rows: list[Row]) -> None:
    config = config_of()
    late = [
        row
        for row in rows
        if row["user_id"] and row["event_type"] in LISTED and row["available_at"] - row["event_time"] > later(SETTLE_S)
    ]
    assert too_late_for_sessions(config, events_frame(spark, config, rows)) == len(late) > 3


def test_a_session_that_is_over_is_an_event_of_its_user(spark: SparkSession, rows: list[Row], tmp_path: Path) -> None:
    """Counted on the day of its last event, among what arrived on the day on which it was over; robots left out."""
    config = config_of()
    made, seen = build(spark, rows, tmp_path, DAYS[:2]), set[tuple[Day, Day]]()
    for day in DAYS[:2]:
        arrived = [row for row in rows if day_of(config, row["available_at"]) == day]
        sessions = spark.read.schema(schemas.ddl(schemas.SESSIONS)).parquet(str(tmp_path / f"dt={day}"))
        daily = build_daily(config, day, "user", events_frame(spark, config, arrived), None, None, sessions)
        found = {
            (row["id"], row["key"], row["event_day"]): (
                row["count_session"],
                row["sum_duration_ms_session"],
                row["sum_events_session"],
                row["last_session"] and row["last_session"].astimezone(datetime.UTC),
            )
            for row in collected(daily, "id")
            if row["count_session"]
        }
        assert found == _summed(config, made[day], day)
        seen |= {(day, event_day) for _, _, event_day in found}
    assert seen == {(DAYS[0], DAYS[0]), (DAYS[1], DAYS[0]), (DAYS[1], DAYS[1])}


def _summed(config: Config, sessions: list[Row], day: Day) -> dict[tuple[str, str, Day], tuple[Any, ...]]:
    end, found = day_end(config, day), dict[tuple[str, str, Day], list[Row]]()
    for row in sessions:
        if row["available_at"] is not None and (row["bot_rule"] is None or row["bot_available_at"] > end):
            hour = row["ended_at"].astimezone(config.product.zone).hour
            for key in ("", f"hour={hour}"):
                found.setdefault((row["user_id"], key, day_of(config, row["ended_at"])), []).append(row)
    return {
        place: (
            len(rows),
            sum(row["duration_ms"] for row in rows),
            sum(row["events"] for row in rows),
            max(row["ended_at"] for row in rows) if place[1] == "" else None,
        )
        for place, rows in found.items()
    }


@pytest.mark.parametrize(
    ("section", "change", "fault"),
    [
        ("sessions", {"gap_s": 59}, "$.sessions.gap_s: Input should be greater than or equal to 60, got 59"),
        ("sessions", {"events": ["enterr"]}, "$.sessions.events: must be one of ['enter', 'exposure', 'watch'], got"),
        ("sessions", {"events": ["session"]}, "$.sessions.events: must be one of ['enter', 'exposure', 'watch'], got"),
        ("features", {"item": {"x": {"count": "session"}}}, "$.features.item.x.count: must be one of"),
        ("features", {"item": {"x": {"count": "session"}}}, "by [sessions], and features.user may name them"),
        ("features", {"user": {"x": {"count": "session", "by": "item_id"}}}, "$.features.user.x.by: is 'item_id', whi"),
        ("features", {"user": {"x": {"sum": "session.position"}}}, "$.features.user.x.sum: sums 'position' of sessi"),
        ("features", {"user": {"x": {"rate": ["session.ended", "session"]}}}, "$.features.user.x.rate: sums 'ended' "),
        ("labels", {"enter": {"event": "session", "within_s": 1, "mature_after_s": 1}}, "$.labels.enter.event: must "),
    ],
)
def test_what_nobody_knows_of_a_session_is_refused(section: str, change: dict[str, Any], fault: str) -> None:
    tables = session_tables()
    tables[section] = {**tables[section], **change}
    with pytest.raises(ConfigError) as error:
        parse_config(tables)
    assert fault in str(error.value)


@pytest.mark.parametrize(
    ("event_type", "fault"),
    [
        ({"from": "x"}, "event_type.values: is missing: [sessions] makes events of type 'session', so say which"),
        ({"from": "x", "values": {"s": "session"}}, "event_type.values: must not give 'session': that is what"),
    ],
)
def test_no_line_is_of_the_type_of_sessions(event_type: dict[str, Any], fault: str) -> None:
    tables = session_tables()
    tables["sources"]["events"]["columns"]["event_type"] = event_type
    with pytest.raises(ConfigError) as error:
        parse_config(tables)
    assert fault in str(error.value)


def test_without_the_table_there_are_no_sessions() -> None:
    tables = session_tables()
    del tables["sessions"]
    with pytest.raises(ConfigError, match=r"got event type 'session'.*sessions are declared by \[sessions\]"):
        parse_config(tables)
    check_features(config_of())
