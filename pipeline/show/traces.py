"""The event rows that a sum or a sequence came from, found again by its definition in plain filters."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from pipeline.config import HOUR, SESSION, Feature, Sequence
from pipeline.days import Day, add_days, day_start_us, days_between
from pipeline.features import UNKNOWN_ID
from pipeline.schemas import ENTITY_ID
from pipeline.show.published import Published, Row
from pipeline.steps.measures import COUNTERPART, attribute_columns
from pipeline.steps.sums import Measure, measures_of


@dataclass(frozen=True)
class Trace:
    """What a feature holds when it is computed again, and from which rows."""

    values: list[Any]
    rows: list[Row]

    def summary(self, feature: str, stored: list[Any]) -> Row:
        """One line: the stored values beside these."""
        again = [float(np.float32(value)) if isinstance(value, float) else value for value in self.values]
        return {
            "feature": feature,
            "stored": stored,
            "from events": again,
            "agrees": stored == again,
            "rows": len(self.rows),
        }


@dataclass(frozen=True)
class Point:
    """An exposure, what served it, and the profiles (None = cold) of its user and item."""

    published: Published
    event: Row
    profile_day: Day
    vocabulary_day: Day
    profiles: Mapping[str, Row | None]

    def value(self, entity: str, by: str) -> str | None:
        """What an exposure's own value is in a split of an entity's sums."""
        other = COUNTERPART[entity]
        if by in attribute_columns(self.published.config, other):
            profile = self.profiles[other]
            return None if profile is None else _text(profile[by])
        return _text(event_value(self.published, by, self.event))


def event_value(published: Published, by: str, event: Row) -> Any:
    """A column of an event, or the hour at which it happened."""
    return published.local(event["event_time"]).hour if by == HOUR and HOUR not in event else event.get(by)


def sum_trace(point: Point, entity: str, feature: Feature) -> Trace | None:
    """Of a count, sum, rate, share or distinct; None for the other kinds."""
    measures = measures_of(feature)
    if not measures or feature.decay is not None or feature.top is not None:
        return None
    rows = _Window(point, entity, feature).rows
    own = None if feature.by is None or feature.distinct is not None else point.value(entity, feature.by)
    same = [row for row in rows if feature.by is None or (own is not None and row["by"] == own)]
    if feature.distinct is not None:
        values = [float(len({row["by"] for row in rows} - {None, ""}))]
        return Trace(values, [shown(point, row, measures) for row in rows])
    if feature.share is not None:
        whole = [float(_sum(measures[0], part)) for part in (same, rows)]
        return Trace(whole, [shown(point, row, measures) for row in rows])
    return Trace([float(_sum(m, same)) for m in measures], [shown(point, row, measures) for row in same])


def sequence_trace(point: Point, sequence: Sequence) -> Trace:
    """The user's latest values that were available before the exposure."""
    published, t = point.published, point.event["event_time"]
    begin = t - datetime.timedelta(days=sequence.window_days)
    mine = published.events(published.local_day(begin), published.local_day(t), "user_id", point.event["user_id"])
    known = [
        row
        for row in mine
        if row["event_type"] in sequence.events and _text(row.get(sequence.of)) and begin <= row["available_at"] < t
    ]
    latest = sorted(known, key=lambda row: (row["available_at"], row["event_id"]))[-sequence.last :]
    ids = _ids(point, sequence.of, [str(_text(row[sequence.of])) for row in latest])
    return Trace(ids, [{**shown(point, row, ()), sequence.of: row[sequence.of]} for row in latest])


def target_trace(point: Point, feature: Feature, keys: Row) -> Trace:
    """The earlier examples with the same ids, of the days that end with the profile's."""
    published, last, label = point.published, point.profile_day, f"label_{feature.target}"
    dataset, (first, *others) = f"examples/{published.config.training.label}", keys
    days = days_between(add_days(last, 1 - feature.window_days), last, published.config.product.first_day)
    same = [
        {**row, "dt": day}
        for day in days
        for row in published.rows(dataset, day, first, [keys[first]])
        if row["weight"] > 0 and all(row[name] == keys[name] for name in others)
    ]
    named = ("dt", "example_id", "user_id", "item_id", *keys, label)
    shown = [
        {name: row[name] for name in named} for row in sorted(same, key=lambda row: (row["dt"], row["event_time"]))
    ]
    return Trace([float(sum(row[label] for row in same)), float(len(same))], shown)


@dataclass(frozen=True)
class _Window:
    """Events of an entity in the window of a feature, as the profile that served knew them."""

    point: Point
    entity: str
    feature: Feature

    @cached_property
    def rows(self) -> list[Row]:
        """In order of time; with `by`, the value that each counts for."""
        published, last, column = self.point.published, self.point.profile_day, ENTITY_ID[self.entity]
        types = {measure.event for measure in measures_of(self.feature)}
        begin = add_days(last, 1 - self.feature.window_days)
        first, id_ = add_days(begin, -1), self.point.event[column]
        arrived = published.events(first, last, column, id_)
        if published.config.sessions is not None and SESSION in types:
            arrived += published.sessions(first, last, id_)
        inside = [
            row
            for row in arrived
            if row["event_type"] in types
            and begin <= published.local_day(row["event_time"]) <= last
            and not self._is_bot(row)
        ]
        inside.sort(key=lambda row: (row["event_time"], row["event_id"]))
        by = self.feature.by
        if by is None:
            return inside
        other = COUNTERPART[self.entity]
        if by not in attribute_columns(published.config, other):
            return [{**row, "by": _text(event_value(published, by, row))} for row in inside]
        said = self._said(inside, other, by)
        return [{**row, "by": said.get((row["arrived"], row[ENTITY_ID[other]]))} for row in inside]

    def _is_bot(self, row: Row) -> bool:
        """Whether a verdict was known at the end of the day on which the event arrived."""
        if row["bot_rule"] is None:
            return False
        end_us = day_start_us(add_days(row["arrived"], 1), self.point.published.config.product.zone)
        return bool(row["bot_available_at"] <= datetime.datetime.fromtimestamp(end_us // 1_000_000, datetime.UTC))

    def _said(self, rows: list[Row], other: str, by: str) -> dict[tuple[Day, str], str | None]:
        """(arrival day, id) -> what the other entity was known to be at the end of that day."""
        found = {}
        for day in sorted({row["arrived"] for row in rows}):
            ids = {row[ENTITY_ID[other]] for row in rows if row["arrived"] == day} - {None}
            for profile in self.point.published.rows(f"profiles/{other}", day, "id", ids):
                found[day, profile["id"]] = _text(profile[by])
        return found


def _sum(measure: Measure, rows: list[Row]) -> int:
    mine = [row for row in rows if row["event_type"] == measure.event]
    return len(mine) if measure.column is None else sum(row.get(measure.column) or 0 for row in mine)


def _ids(point: Point, vocabulary: str, values: list[str]) -> list[int]:
    if point.vocabulary_day < point.published.config.product.first_day:
        return [UNKNOWN_ID] * len(values)
    rows = point.published.rows(f"vocab/{vocabulary}", point.vocabulary_day, "value", values)
    ids = {row["value"]: row["id"] for row in rows if row["id"] is not None}
    return [ids.get(value, UNKNOWN_ID) for value in values]


def shown(point: Point, row: Row, measures: tuple[Measure, ...]) -> Row:
    """What a person wants to see of an event row."""
    shown = {name: row[name] for name in ("event_id", "event_type", "user_id", "item_id")}
    shown |= {name: point.published.local(row[name]) for name in ("event_time", "available_at")}
    shown |= {"arrived": row["arrived"], **({"by": row["by"]} if "by" in row else {})}
    return shown | {m.column: row.get(m.column) for m in measures if m.column is not None}


def _text(value: Any) -> str | None:
    """As Spark writes it."""
    return str(value).lower() if isinstance(value, bool) else None if value is None else str(value)
