"""Every kind of label at its boundaries by hand, and over a random world against plain Python."""

from __future__ import annotations

import datetime
import random
from typing import Any

import pytest
from pyspark.sql import SparkSession

from pipeline.config import Config, Label
from pipeline.days import add_days
from pipeline.steps.build_examples import build_examples
from pipeline.steps.build_examples.labels import known_after
from pipeline.steps.build_examples.moments import exposures_of
from tests.steps.rows import FIRST, Row, at, collected, event, events_frame, later, toy_config
from tests.steps.spark_settings import shuffles

DAY = add_days(FIRST, 2)
NOON = at(DAY)
TICK = later(1e-6)


def config_of(**label: Any) -> Config:
    """The toy product with one label `x`, which exposures learn."""
    declared = {"within_s": 60, "mature_after_s": 600, **label}
    labels = {"x": {key: value for key, value in declared.items() if value is not None}}
    features = {"context": {"scene": {"column": "scene"}}}
    return toy_config(labels=labels, training={"label": "x"}, features=features)


def labels_of(spark: SparkSession, config: Config, rows: list[Row]) -> dict[str, float]:
    events = events_frame(spark, config, rows)
    made = build_examples(config, DAY, events, {}, {}, events).select("example_id", "label_x")
    return {row["example_id"]: row["label_x"] for row in made.collect()}


def delays_of(spark: SparkSession, config: Config, rows: list[Row]) -> list[float]:
    """Seconds until each positive label was known, in order."""
    events = events_frame(spark, config, rows)
    found = known_after(exposures_of(config, DAY, events), events, config.event_labels["x"])
    return sorted(row["known_after_us"] / 1e6 for row in found.collect())


def watched(user: str, *parts: tuple[float, int | None], late: float = 1, event_type: str = "watch") -> list[Row]:
    """Events so many seconds after noon, each with a duration."""
    times = [(NOON + later(after), duration) for after, duration in parts]
    known = [(time, time + later(late), duration) for time, duration in times]
    return [
        event(event_type, time, user_id=user, available_at=then, duration_ms=duration) for time, then, duration in known
    ]


def test_the_sum_over_what_follows_must_reach_so_much(spark: SparkSession) -> None:
    config = config_of(event="watch", column="duration_ms", at_least=30_000, match=["user_id", "item_id"])
    cases = {
        "reached": (watched("reached", (1, 10_000), (60, 20_000)), 1.0),
        "one short": (watched("one short", (1, 10_000), (60, 19_999)), 0.0),
        "too late": (watched("too late", (1, 10_000), (60.001, 20_000)), 0.0),
        "before": (watched("before", (-1, 30_000), (0, 30_000)), 0.0),
        "arrives when mature": (watched("arrives when mature", (1, 30_000), late=599), 1.0),
        "arrives too late": (watched("arrives too late", (1, 30_000), late=599.001), 0.0),
        "null counts as 0": (watched("null counts as 0", (1, None), (2, 30_000)), 1.0),
        "nothing": ([], 0.0),
        "another type": (watched("another type", (1, 30_000), event_type="enter"), 0.0),
        "another item": ([{**row, "item_id": "i2"} for row in watched("another item", (1, 30_000))], 0.0),
    }
    rows = [row for rows, _ in cases.values() for row in rows]
    rows += [event("exposure", NOON, event_id=name, user_id=name) for name in cases]
    assert labels_of(spark, config, rows) == {name: wanted for name, (_, wanted) in cases.items()}
    assert delays_of(spark, config, rows) == [3.0, 61.0, 600.0]


def test_only_the_very_next_event_counts(spark: SparkSession) -> None:
    config = config_of(event="enter", next=True, match=["user_id", "item_id"])

    def enter(user: str, after: float, item: str | None = "i1", late: float = 1, **changes: Any) -> Row:
        time = NOON + later(after)
        return event("enter", time, user_id=user, item_id=item, available_at=time + later(late), **changes)

    cases = {
        "the same": ([enter("the same", 5)], 1.0),
        "another first": ([enter("another first", 4, "i2"), enter("another first", 5)], 0.0),
        "another after": ([enter("another after", 6, "i2"), enter("another after", 5)], 1.0),
        "tie": ([enter("tie", 5, event_id="t2"), enter("tie", 5, "i2", event_id="t1")], 0.0),
        "tie won": ([enter("tie won", 5, event_id="s1"), enter("tie won", 5, "i2", event_id="s2")], 1.0),
        "first unknown by then": (
            [enter("first unknown by then", 4, "i2", late=700), enter("first unknown by then", 5)],
            1.0,
        ),
        "nothing known": ([enter("nothing known", 5, late=595.001)], 0.0),
        "about nothing": ([enter("about nothing", 4, None), enter("about nothing", 5)], 0.0),
        "too late": ([enter("too late", 60.001)], 0.0),
        "the edge": ([enter("the edge", 60)], 1.0),
        "at once": ([enter("at once", 0), enter("at once", 1, "i2")], 0.0),
        "another type between": (
            [event("watch", NOON + later(1), user_id="another type between", item_id="i2"),
             enter("another type between", 5)],
            1.0,
        ),
    }  # fmt: skip
    rows = [row for rows, _ in cases.values() for row in rows]
    rows += [event("exposure", NOON, event_id=name, user_id=name) for name in cases]
    assert labels_of(spark, config, rows) == {name: wanted for name, (_, wanted) in cases.items()}
    assert delays_of(spark, config, rows) == [6.0, 6.0, 6.0, 6.0, 6.0, 61.0]


def test_a_label_of_the_examples_own_event(spark: SparkSession) -> None:
    config = config_of(chosen=True, column="position", at_least=3, within_s=None)
    said = {"above": (4, 1.0), "so much": (3, 1.0), "below": (2, 0.0), "nothing": (None, 0.0)}
    rows = [event("exposure", NOON, event_id=name, position=place) for name, (place, _) in said.items()]
    rows.append(event("exposure", NOON, event_id="known before it happened", available_at=NOON - TICK, position=4))
    rows.append(event("exposure", NOON, event_id="known at once", available_at=NOON, position=4))
    assert labels_of(spark, config, rows) == {**{n: one for n, (_, one) in said.items()}, "known at once": 1.0}
    assert delays_of(spark, config, rows) == [0.0, 1.0, 1.0]


KINDS: list[dict[str, Any]] = [
    {"event": "enter", "match": ["user_id", "room_id"]},
    {"event": "watch", "match": ["item_id"], "column": "duration_ms", "at_least": 900},
    {"event": "watch", "match": ["user_id"], "column": "duration_ms", "at_least": 2000},
    {"event": "enter", "match": ["user_id", "item_id"], "next": True},
    {"event": "exposure", "match": ["user_id", "scene"], "next": True},
]


def random_rows(seed: int) -> list[Row]:
    """Two busy minutes around noon, with nulls, ties and late rows."""
    rng = random.Random(seed)
    return [
        event(
            rng.choice(["exposure", "enter", "watch"]),
            time,
            user_id=rng.choice(["u1", "u2", "u3", None]),
            item_id=rng.choice(["i1", "i2", None]),
            room_id=rng.choice(["r1", None]),
            scene=rng.choice(["hot", "new", None]),
            available_at=time + later(rng.choice([0, 1, 100, 599, 601, -2])),
            duration_ms=rng.choice([None, 100, 1000]),
        )
        for time in (NOON + later(rng.randrange(0, 240, 5)) for _ in range(150))
    ]


def by_hand(label: Label, rows: list[Row], shown: Row) -> float:
    """The label of an exposure, straight from the definition."""
    t, within, mature = shown["event_time"], later(label.within_s), later(label.mature_after_s)
    follows = [
        row
        for row in rows
        if row["event_type"] == label.event
        and t < row["event_time"] <= t + within
        and row["available_at"] <= t + mature
    ]
    if label.next:
        mine = [row for row in follows if row["user_id"] == shown["user_id"]]
        follows = sorted(mine, key=lambda row: (row["event_time"], row["event_id"]))[:1]
    same = [row for row in follows if all(row[k] is not None and row[k] == shown[k] for k in label.match)]
    if label.column is None:
        return float(bool(same))
    return float(sum(row[label.column] or 0 for row in same) >= (label.at_least or 0))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: f"{kind['event']} by {kind['match']}")
def test_labels_equal_their_definition_over_all_rows(spark: SparkSession, kind: dict[str, Any]) -> None:
    config, rows = config_of(**kind), random_rows(seed=len(str(kind)))
    label = config.labels["x"]
    assert isinstance(label, Label)
    shown = [r for r in rows if r["event_type"] == "exposure" and r["user_id"] and r["item_id"]]
    expected = {row["event_id"]: by_hand(label, rows, row) for row in shown}
    assert set(expected.values()) == {0.0, 1.0}
    for partitions in (1, 16):
        with shuffles(spark, partitions):
            assert labels_of(spark, config, rows) == expected


def test_a_row_before_1970_meets_what_follows_it(spark: SparkSession) -> None:
    """Spans of within_s are counted from there, and rounded towards it."""
    config = toy_config(
        product={"name": "toy", "first_day": datetime.date(1969, 12, 30)},
        labels={"x": {"event": "enter", "within_s": 60, "mature_after_s": 600}},
        training={"label": "x"},
        features={"context": {"scene": {"column": "scene"}}},
    )
    begin, day = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC), datetime.date(1970, 1, 1)
    times = {f"x{n}": begin + later(n) for n in (-90, -30, 0, 30)}
    rows = [event("exposure", time, event_id=name, user_id=name) for name, time in times.items()]
    rows += [event("enter", time + later(60), user_id=name) for name, time in times.items()]
    events = events_frame(spark, config, rows)
    made = collected(build_examples(config, day, events, {}, {}, events), "example_id")
    assert {row["example_id"]: row["label_x"] for row in made} == dict.fromkeys(times, 1.0)
