"""The road from raw lines to examples over days of 23 and 25 hours, a leap day and a year's end, in Berlin.

Built day by day with late and re-sent lines, every day equals plain Python over all lines at once: also on the tenth.
"""

from __future__ import annotations

import datetime
import math
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from pipeline.days import Day, add_days
from tests.steps.raw_road import RoadReference, midnight, walked
from tests.steps.world import Road

PROFILE = ("count_exposure_7d", "count_session_7d", "sum_duration_ms_session_7d", "last_session")
CASES = {
    "23 hours, the sixth of ten days": (datetime.date(2026, 3, 24), 10, 2),
    "25 hours": (datetime.date(2026, 10, 24), 3, 2),
    "leap day": (datetime.date(2028, 2, 28), 3, 2),
    "year's end": (datetime.date(2026, 12, 31), 2, 1),
}


@pytest.mark.parametrize(("first", "days", "examples"), CASES.values(), ids=CASES)
def test_the_road_day_by_day_equals_all_lines_at_once(
    spark: SparkSession, tmp_path: Path, first: Day, days: int, examples: int
) -> None:
    road, reference = walked(spark, tmp_path, first, days, first.year + first.month, examples)
    last = add_days(first, days - 1)
    for day in [add_days(first, n) for n in range(days)]:
        kept = {row["event_id"] for row in road.rows("events", day)}
        assert kept == {row["event_id"] for row in reference.events[day]}
        assert sorted(road.rows("sessions", day), key=lambda row: row["session_id"]) == reference.sessions(day)
        assert _ids(road, day) == reference.vocabulary(day)
    for day in {add_days(first, days // 2), last}:
        profiles = {row["id"]: row for row in road.rows("profiles", day)}
        assert {"u0", "u1", "u2", "u3"} == set(profiles)
        for user, row in profiles.items():
            expected = reference.profile(user, day)
            assert {name: row[name] for name in PROFILE} == {name: expected[name] for name in PROFILE}, (user, day)
    for day in [add_days(last, -n) for n in range(examples)]:
        _same_examples(road, reference, day)


def _ids(road: Road, day: Day) -> dict[str, int]:
    return {row["value"]: row["id"] for row in road.rows("vocab", day) if row["id"] is not None}


def _same_examples(road: Road, reference: RoadReference, day: Day) -> None:
    made, expected = {row["example_id"]: row for row in road.rows("examples", day)}, reference.examples(day)
    assert made.keys() == expected.keys()
    assert len(made) > 5
    for id_, row in made.items():
        for name, value in expected[id_].items():
            same = math.isclose(row[name], value, rel_tol=1e-6) if isinstance(value, float) else row[name] == value
            assert same, (id_, name, row[name], value)
    assert {row["label_enter"] for row in expected.values()} == {0.0, 1.0}


def test_the_days_are_as_long_as_they_should_be() -> None:
    hours = {
        day: (midnight(add_days(day, 1)) - midnight(day)) / datetime.timedelta(hours=1)
        for first, days, _ in CASES.values()
        for day in [add_days(first, n) for n in range(days)]
    }
    assert {day: long for day, long in hours.items() if long != 24} == {
        datetime.date(2026, 3, 29): 23, datetime.date(2026, 10, 25): 25,
    }  # fmt: skip
    assert datetime.date(2028, 2, 29) in hours
    assert datetime.date(2027, 1, 1) in hours
