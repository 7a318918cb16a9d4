"""The profile of one user or item as of the end of a day."""

from __future__ import annotations

import datetime
from typing import Any

from pipeline.days import Day
from pipeline.errors import MissingInput
from pipeline.show.published import Published, Row
from pipeline.steps.measures import (
    COUNTERPART,
    attribute_columns,
    decays,
    distincts,
    first_events,
    last_events,
    latests,
    priors,
    split_windows,
    windows,
)


def show_profile(published: Published, entity: str, id_: str, day: Day) -> Row:
    """Everything in a profile, by what it says. Raises MissingInput, with the nearest thing to do, where none is."""
    found = published.rows(f"profiles/{entity}", day, "id", [id_])
    if not found:
        raise MissingInput(_nowhere(published, entity, id_, day))
    (row,) = found
    shown = {entity: id_, "profile_day": day, "attributes": _attributes(published, entity, row)}
    shown["windows"] = _windows(published, entity, row)
    for (by, days), measures in split_windows(published.config, entity).items():
        entries = sorted(row[f"by_{by}_{days}d"], key=lambda entry: -max(entry[m.name] for m in measures))
        shown[f"by_{by}_{days}d"] = entries
    distinct = {one.name: row[one.name] for one in distincts(published.config, entity)}
    fading = decays(published.config, entity)
    shown["distinct"] = distinct
    shown["groups"] = {prior.name: row[prior.name] for prior in priors(published.config, entity)}
    shown["decay"] = {one.name: row[one.name] for one in fading if not one.by}
    shown |= {one.name: row[one.name] for one in fading if one.by}
    shown["times"] = _times(published, entity, row)
    shown["sessions"] = _sessions(published, id_, day) if entity == "user" else []
    return {name: value for name, value in shown.items() if value not in ({}, [])}


def _attributes(published: Published, entity: str, row: Row) -> Row:
    """What it said of itself, and when."""
    names = attribute_columns(published.config, entity)
    said = {name: row[name] for name in (*names, *(["said_at"] if names else []))}
    times = {name: published.local(v) for name, v in said.items() if isinstance(v, datetime.datetime)}
    return {**said, **times}


def _windows(published: Published, entity: str, row: Row) -> list[Row]:
    """One line a measure, one column a window."""
    lines: dict[str, Row] = {}
    for window in windows(published.config, entity):
        if not window.by:
            line = lines.setdefault(window.measure.name, {"measure": window.measure.name})
            line[f"{window.days}d"] = row[window.name]
    return list(lines.values())


def _sessions(published: Published, id_: str, day: Day) -> list[Row]:
    """Those that were over on the day, or open at its end, oldest first."""
    if published.config.sessions is None or not published.has("sessions", day):
        return []
    rows = sorted(published.rows("sessions", day, "user_id", [id_]), key=lambda row: row["started_at"])
    return [
        {
            **{name: published.local(row[name]) for name in ("started_at", "ended_at")},
            "over_at": "open" if row["available_at"] is None else published.local(row["available_at"]),
            **{name: row[name] for name in ("duration_ms", "events", "bot_rule")},
        }
        for row in rows
    ]


def _times(published: Published, entity: str, row: Row) -> Row:
    names = [f"first_{event}" for event in first_events(published.config, entity)]
    names += [f"last_{event}" for event in last_events(published.config, entity)]
    times: dict[str, Any] = {name: row[name] and published.local(row[name]) for name in names}
    for latest in latests(published.config, entity):
        found = row[latest.name]
        times[latest.name] = found and f"{found['key']} at {published.local(found['at'])}"
    return times


def _nowhere(published: Published, entity: str, id_: str, day: Day) -> str:
    """Where the id is instead, or what the ids look like."""
    missing = f"{entity} {id_!r} is not in profiles/{entity}/dt={day}: nothing of it had arrived by the end of that day"
    newest = published.days(f"profiles/{entity}")[-1]
    if newest > day and published.rows(f"profiles/{entity}", newest, "id", [id_]):
        return f"{missing}. It is in that of a later day: --dt {newest}"
    other = COUNTERPART[entity]
    if published.has(f"profiles/{other}", day) and published.rows(f"profiles/{other}", day, "id", [id_]):
        return f"{missing}. But {other}s have that id: python -m jobs.show {other} {id_} --dt {day}"
    similar = published.similar(f"profiles/{entity}", newest, "id", id_)
    return missing if similar is None else f"{missing}. Ids look like {similar!r}"
