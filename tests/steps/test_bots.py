"""Rules that mark what no person does in an hour, against the same rules over plain rows."""

from __future__ import annotations

import datetime
import random
import statistics
from collections import defaultdict
from itertools import pairwise
from typing import Any

import pytest
from pyspark.sql import SparkSession

from pipeline.config import Config, load_config
from pipeline.config.cleaning import Bots
from pipeline.steps.clean_logs.bots import with_bots
from tests.steps.test_clean_logs import CONF

HOUR_MS = 3_600_000
BEGIN = datetime.datetime(2026, 1, 3, 5, tzinfo=datetime.UTC)
RULES = [
    "clean.bots.rate.per_hour=30",
    "clean.bots.regularity={event = 'exposure', at_least = 6, spread = 0.1}",
    "clean.bots.speed={event = 'enter', within_ms = 300, times = 3}",
]
Event = tuple[str, str, str, datetime.datetime, datetime.datetime]


@pytest.fixture(scope="module")
def config() -> Config:
    return load_config(CONF / "live.toml", RULES)


def event(user: str, type_: str, ms: float, late_ms: int = 500) -> Event:
    """An event so many milliseconds after five o'clock, and its line."""
    time = BEGIN + datetime.timedelta(milliseconds=int(ms))
    return f"{user}-{type_}-{ms}", user, type_, time, time + datetime.timedelta(milliseconds=late_ms)


def marked(spark: SparkSession, config: Config, events: list[Event]) -> dict[str, tuple[str, datetime.datetime]]:
    """event_id -> rule and when it was known, of those that are marked."""
    columns = "event_id string, user_id string, event_type string, event_time timestamp, available_at timestamp"
    rows = with_bots(config, spark.createDataFrame(events, columns)).collect()
    assert len(rows) == len(events)
    known = {row["event_id"]: (row["bot_rule"], row["bot_available_at"]) for row in rows if row["bot_rule"] is not None}
    return {id_: (rule, at.replace(tzinfo=datetime.UTC)) for id_, (rule, at) in known.items()}


def expected(bots: Bots, events: list[Event]) -> dict[str, tuple[str, datetime.datetime]]:
    """The same by plain loops."""
    hours = defaultdict[tuple[str, int], list[Event]](list)
    for one in events:
        hours[one[1], int(one[3].timestamp() // 3600)].append(one)
    found = dict[str, tuple[str, datetime.datetime]]()
    for (_, hour), rows in hours.items():
        for name, rule in bots.rules.items():
            own = sorted((row for row in rows if row[2] == rule.event), key=lambda row: (row[3], row[0]))
            pauses = [(b[3] - a[3]) // datetime.timedelta(milliseconds=1) for a, b in pairwise(own)]
            if own and broken(name, rule, len(own), pauses):
                over = datetime.datetime.fromtimestamp((hour + 1) * 3600, datetime.UTC)
                at = max(over, *(row[4] for row in own))
                found |= {row[0]: (name, at) for row in rows}
                break
    return found


def broken(name: str, rule: Any, count: int, pauses: list[int]) -> bool:
    if name == "rate":
        return bool(count > rule.per_hour)
    if name == "speed":
        return sum(pause < rule.within_ms for pause in pauses) >= rule.times
    return bool(count >= rule.at_least and statistics.pstdev(pauses) <= rule.spread * statistics.mean(pauses))


def test_each_rule_marks_what_it_is_for_in_that_hour_alone(spark: SparkSession, config: Config) -> None:
    busy = [event("busy", "exposure", 1000 * i * (1 + i % 3)) for i in range(31)]
    even = [event("even", "exposure", 300_000 * i + 2000 * (i % 2)) for i in range(6)]
    fast = [event("fast", "enter", ms) for ms in (0, 250, 500, 750, 40_000)]
    human = [event("human", "exposure", ms) for ms in (0, 9000, 11_000, 60_000, 200_000, 900_000)]
    later = [event(user, "exposure", HOUR_MS + 5000) for user in ("busy", "even", "fast")]
    late = [
        event("fast", "exposure", 1000, late_ms=2 * HOUR_MS)
    ]  # not what the rule looks at: it waits for no such line
    found = marked(spark, config, [*busy, *even, *fast, *human, *later, *late])
    over = BEGIN + datetime.timedelta(hours=1)
    rules = {"busy": "rate", "even": "regularity", "fast": "speed"}
    assert found == {row[0]: (rules[row[1]], over) for row in [*busy, *even, *fast, *late]}


def test_a_verdict_waits_for_the_last_line_that_it_rests_on(spark: SparkSession, config: Config) -> None:
    fast = [event("fast", "enter", ms, late_ms=2 * HOUR_MS) for ms in (0, 250, 500, 750)]
    assert {at for _, at in marked(spark, config, fast).values()} == {fast[-1][4]}


def test_random_hours_are_judged_as_by_plain_loops(spark: SparkSession, config: Config) -> None:
    rng, events, kinds = random.Random(5), list[Event](), set[str]()
    for user in range(150):
        for hour in range(2):
            count, type_ = rng.choice((3, 5, 6, 7, 20, 33)), rng.choice(("exposure", "enter", "watch"))
            pause, wobble = rng.choice((100, 290, 30_000)), rng.choice((0.0, 0.05, 0.12, 0.9))
            at = hour * HOUR_MS + rng.randrange(1000)
            for number in range(count):
                at += int(pause * (1 + wobble * rng.uniform(-1.7, 1.7)))
                one = event(f"u{user}", type_, at, rng.randrange(5000))
                events.append((f"{one[0]}-{number}", *one[1:]))
    found = marked(spark, config, events)
    assert config.clean.bots is not None
    assert found == expected(config.clean.bots, events)
    kinds |= {rule for rule, _ in found.values()}
    assert kinds == {"rate", "regularity", "speed"}
    assert 0.2 < len(found) / len(events) < 0.9
