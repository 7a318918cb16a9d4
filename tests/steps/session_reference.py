"""Sessions a second time: plain Python over all rows at once, user by user, with nothing carried from day to day."""

from __future__ import annotations

import copy
import datetime
import random
from typing import Any

from pipeline.config import Config, parse_config
from pipeline.days import Day, add_days
from tests.steps.rows import TABLES, Row, day_end, day_of, event, later

GAP_S, SETTLE_S = 1800, 600
LISTED = ("exposure", "watch")
MICRO = datetime.timedelta(microseconds=1)
USER_FEATURES: dict[str, Any] = {
    "key": {"column": "user_id"},
    "sessions_2d": {"count": "session", "window_days": 2},
    "per_session_2d": {"rate": ["session.duration_ms", "session"], "window_days": 2},
    "events_3d": {"sum": "session.events", "window_days": 3},
    "hour_share_3d": {"share": "session", "by": "hour", "window_days": 3},
    "hours_since_session": {"since": "session"},
}


def session_tables(**product: Any) -> dict[str, Any]:
    """The toy product with sessions, whose lines have three types, and features of users over them."""
    tables: dict[str, Any] = copy.deepcopy(TABLES)
    types = {"from": "event_type", "values": {name: name for name in ("exposure", "enter", "watch")}}
    tables["sources"]["events"]["columns"]["event_type"] = types
    tables["product"] |= product
    features = {"user": USER_FEATURES, "item": {"key": {"column": "item_id"}}}
    declared = {"gap_s": GAP_S, "settle_s": SETTLE_S, "events": list(LISTED)}
    return {**tables, "vocabularies": {}, "features": features, "sessions": declared}


def session_config(**product: Any) -> Config:
    """The same, checked."""
    return parse_config(session_tables(**product))


def sessions_of(rows: list[Row]) -> list[Row]:
    """Every session of these rows, with the instant at which it is over."""
    found = []
    for user in sorted({row["user_id"] for row in rows} - {None}):
        mine = [row for row in rows if row["user_id"] == user and _takes_part(row)]
        together: list[list[Row]] = []
        for row in sorted(mine, key=lambda row: row["event_time"]):
            if together and row["event_time"] - together[-1][-1]["event_time"] <= later(GAP_S):
                together[-1].append(row)
            else:
                together.append([row])
        found += [_session(user, part) for part in together]
    return found


def _takes_part(row: Row) -> bool:
    return row["event_type"] in LISTED and row["available_at"] <= row["event_time"] + later(SETTLE_S)


def _session(user: str, rows: list[Row]) -> Row:
    first, last = rows[0]["event_time"], rows[-1]["event_time"]
    epoch = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
    bots = [(row["bot_available_at"], row["bot_rule"]) for row in rows if row["bot_rule"] is not None]
    at, rule = min(bots, default=(None, None))
    return {
        "session_id": f"{user}@{(first - epoch) // MICRO}",
        "user_id": user,
        "started_at": first,
        "ended_at": last,
        "available_at": last + later(GAP_S + SETTLE_S),
        "events": len(rows),
        "duration_ms": (last - first) // datetime.timedelta(milliseconds=1),
        "bot_rule": rule,
        "bot_available_at": at,
    }


def published(config: Config, rows: list[Row], day: Day) -> list[Row]:
    """What the day holds: of all rows what was over on it, and of those that had arrived what was still open."""
    end = day_end(config, day)
    over = [row for row in sessions_of(rows) if day_of(config, row["available_at"]) == day]
    arrived = [row for row in rows if row["available_at"] < end]
    still = [{**row, "available_at": None} for row in sessions_of(arrived) if row["available_at"] >= end]
    return sorted([*over, *still], key=lambda row: row["session_id"])


def visits(config: Config, first: Day, days: int, seed: int, users: int = 9) -> list[Row]:
    """Events of people who come and go: pauses about the gap, visits about midnight, one of 31 hours, late rows."""
    rng = random.Random(seed)
    rows: list[Row] = []
    for user in (f"u{n}" for n in range(users)):
        for day in range(days):
            time = day_end(config, add_days(first, day - 1)) + later(rng.choice([60, 40_000, 85_000, 86_000]))
            for _ in range(rng.randrange(1, 9)):
                rows.append(_visited(rng, user, time))
                time += _pause(rng)
    time = day_end(config, add_days(first, 0)) - later(40_000)
    rows += [{**_visited(rng, "long", time + later(1700 * n)), "event_type": "watch"} for n in range(66)]
    rows += [{**_visited(rng, "nobody", time), "user_id": None} for _ in range(5)]
    midnight = day_end(config, first)
    for user, before_s, late_s in (
        ("bridged", 2000, 1), ("bridged", 50, 1), ("bridged", 300, 500),  # two open sessions are one the day after
        ("earlier", 10, 1), ("earlier", 550, 600),  # and one begins earlier
    ):  # fmt: skip
        at = midnight - later(before_s)
        rows.append(event("watch", at, user_id=user, available_at=at + later(late_s)))
    until = day_end(config, add_days(first, days - 1))
    return [row for row in rows if day_end(config, add_days(first, -1)) <= row["available_at"] < until]


def _pause(rng: random.Random) -> datetime.timedelta:
    edge = rng.choice([-1, 0, 0, 1]) * MICRO
    return rng.choice([later(0), later(1), later(900), later(GAP_S) + edge, later(GAP_S + SETTLE_S) + edge])


def _visited(rng: random.Random, user: str, time: datetime.datetime) -> Row:
    late = [later(1), later(1), later(300), later(SETTLE_S), later(SETTLE_S) + MICRO, later(90_000)]
    bot = rng.random() < 0.05
    return event(
        rng.choice(["exposure", "exposure", "watch", "enter"]),
        time,
        user_id=user,
        available_at=time + (later(rng.choice([1, 600])) if user == "long" else rng.choice(late)),
        bot_rule=rng.choice(["rate", "speed"]) if bot else None,
        bot_available_at=time + later(rng.choice([3600, 90_000])) if bot else None,
    )
