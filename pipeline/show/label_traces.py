"""The event rows that a label came from, found again by its definition in plain filters."""

from __future__ import annotations

import datetime

from pipeline.config import ChosenLabel, EventLabel, Label
from pipeline.days import Day, day_of_us, day_start_us, days_between
from pipeline.show.published import Row
from pipeline.show.traces import Point, Trace, shown
from pipeline.steps.sums import Measure


def label_trace(point: Point, day: Day, label: EventLabel, sampled: bool) -> Trace:
    """The label of an example that matured on `day`, and the events that it looked at."""
    if isinstance(label, ChosenLabel):
        own = None if label.column is None else point.event[label.column]
        says = label.column is None or (own is not None and own >= label.at_least)
        return Trace([float(says and not sampled)], [] if sampled else [shown(point, point.event, ())])
    assert isinstance(label, Label)
    rows = _followed(point, day, label)
    if label.column is None:
        return Trace([float(bool(rows))], [shown(point, row, ()) for row in rows])
    total = sum(row[label.column] or 0 for row in rows)
    measures = (Measure(label.event, label.column),)
    return Trace([float(total >= (label.at_least or 0))], [shown(point, row, measures) for row in rows])


def _followed(point: Point, day: Day, label: Label) -> list[Row]:
    """Those that make it positive, in order; with `next` the first alone, if it is one."""
    published, t = point.published, point.event["event_time"]
    config, within = published.config, datetime.timedelta(seconds=label.within_s)
    until = t + datetime.timedelta(seconds=label.mature_after_s)
    first = day_of_us(day_start_us(day, config.product.zone) - config.mature_after_s * 1_000_000, config.product.zone)
    keys = ("user_id",) if label.next else label.match
    if not days_between(first, day, config.product.first_day) or point.event[keys[0]] is None:
        return []
    found = [
        row
        for row in published.events(first, day, keys[0], point.event[keys[0]])
        if row["event_type"] == label.event and t < row["event_time"] <= t + within and row["available_at"] <= until
    ]
    found.sort(key=lambda row: (row["event_time"], row["event_id"]))
    looked_at = found[:1] if label.next else found
    return [row for row in looked_at if all(_same(row, point.event, name) for name in label.match)]


def _same(row: Row, event: Row, name: str) -> bool:
    return row[name] is not None and row[name] == event[name]
