"""A user's sessions as a person reads them, and sums over sessions found again; no Spark is needed to say it."""

from __future__ import annotations

import datetime
from pathlib import Path

import pyarrow as pa
import pytest

from pipeline import schemas
from pipeline.days import add_days
from pipeline.features import feature_specs
from pipeline.show import as_text, show_profile
from pipeline.show.published import Published
from pipeline.show.traces import Point, sum_trace
from pipeline.steps.measures import profile_columns
from tests.steps.rows import Row, day_of
from tests.steps.session_reference import USER_FEATURES, published, session_config, sessions_of, visits
from tests.training.published_days import publish

FIRST = datetime.date(2026, 3, 28)
DAYS = [add_days(FIRST, n) for n in range(3)]
TYPES = {"timestamp": pa.timestamp("us", "UTC"), "bigint": pa.int64(), "string": pa.string(), "int": pa.int32()}


@pytest.fixture
def shown(tmp_path: Path) -> tuple[Published, list[Row]]:
    """Three days of sessions and events, and a profile of every user whose sums are all 5."""
    config = session_config(warehouse=str(tmp_path), day_zone="Europe/Berlin", first_day=FIRST)
    rows, found = visits(config, FIRST, len(DAYS), seed=5), Published(config)
    for day in DAYS:
        arrived = [row for row in rows if day_of(config, row["available_at"]) == day]
        publish(found.warehouse, "events", day, table(arrived, schemas.events(config)))
        publish(found.warehouse, "sessions", day, table(published(config, rows, day), schemas.SESSIONS))
    users = sorted({row["user_id"] for row in rows} - {None})
    blank = {"by_hour_3d": [], "last_session": rows[0]["event_time"], "city": None, "said_at": None, "said_event": None}
    profiles = [{**dict.fromkeys(profile_columns(config, "user"), 5), **blank, "id": user} for user in users]
    publish(found.warehouse, "profiles/user", DAYS[-1], pa.Table.from_pylist(profiles))
    return found, rows


def table(rows: list[Row], columns: schemas.Columns) -> pa.Table:
    schema = pa.schema([(name, TYPES[type_]) for name, type_ in columns.items()])
    return pa.Table.from_pylist([{name: row[name] for name in columns} for row in rows], schema)


def test_a_user_is_shown_with_the_sessions_of_the_day(shown: tuple[Published, list[Row]]) -> None:
    found, rows = shown
    for user in ("u1", "u2", "long"):
        told = show_profile(found, "user", user, DAYS[-1])
        wanted = [row for row in published(found.config, rows, DAYS[-1]) if row["user_id"] == user]
        assert [line["started_at"] for line in told.get("sessions", [])] == [
            row["started_at"] for row in sorted(wanted, key=lambda row: row["started_at"])
        ]
        assert {line["over_at"] == "open" for line in told.get("sessions", [])} <= {True, False}
        assert "count_session" in as_text(told)
    states = {row["available_at"] is None for row in published(found.config, rows, DAYS[-1])}
    assert states == {True, False}


def test_sums_over_sessions_are_found_again_in_the_sessions(shown: tuple[Published, list[Row]]) -> None:
    """As the profile of the last day knew them: over by its end, ended in the window, no robot's by then."""
    found, rows = shown
    config, traced = found.config, 0
    end = found.local(datetime.datetime.combine(add_days(DAYS[-1], 1), datetime.time(), config.product.zone))
    for row in {row["user_id"]: row for row in rows if row["user_id"]}.values():
        point = Point(found, row, DAYS[-1], DAYS[-1], {"user": {}, "item": None})
        mine = [
            one
            for one in sessions_of(rows)
            if one["user_id"] == row["user_id"]
            and one["available_at"] < end
            and not (one["bot_rule"] and one["bot_available_at"] <= _closing_day_end(found, one))
        ]
        inside = [one for one in mine if add_days(DAYS[-1], -1) <= day_of(config, one["ended_at"]) <= DAYS[-1]]
        trace = sum_trace(point, "user", config.features.user["per_session_2d"])
        assert trace is not None
        assert trace.values == [float(sum(one["duration_ms"] for one in inside)), float(len(inside))]
        assert [one["event_id"] for one in trace.rows] == [
            one["session_id"] for one in sorted(inside, key=lambda one: (one["ended_at"], one["session_id"]))
        ]
        traced += len(inside)
    assert traced > 8
    assert {f"user_{name}" for name in USER_FEATURES} < {spec.name for spec in feature_specs(config)}


def _closing_day_end(found: Published, session: Row) -> datetime.datetime:
    day = add_days(found.local_day(session["available_at"]), 1)
    return datetime.datetime.combine(day, datetime.time(), found.config.product.zone)
