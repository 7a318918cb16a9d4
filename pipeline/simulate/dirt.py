"""Dirt: what goes wrong on the way, at most one thing a line, each with the fate that the cleaning must give it."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from dataclasses import dataclass, fields
from itertools import chain
from zoneinfo import ZoneInfo

import numpy as np

from pipeline.simulate.events import GIFT, LIKE, SHOW, WATCH, EventRows
from pipeline.simulate.settings import DAY_MS, HOUR_MS, generator
from pipeline.simulate.world import Flags, World

FATES = {
    "truncated_json": "malformed",
    "garbage_json": "malformed",
    "invalid_utf8": "invalid_utf8",
    "missing_id": "missing_required",
    "unknown_event_type": "unknown_value",
    "ts_seconds": "repaired",
    "ts_iso": "repaired",
    "future_clock": "future_clock",
    "exact_duplicate": "duplicate",
    "resent": "duplicate",
    "next_day": "repaired",
    "far_too_late": "too_late",
    "not_on_air": "not_on_air",
    "negative_duration": "out_of_range",
    "absurd_duration": "out_of_range",
    "negative_amount": "out_of_range",
    "absurd_amount": "out_of_range",
}
"""Kind -> the rule that rejects the line, `duplicate`, or `repaired` (it becomes an event all the same)."""
BECOMES_EVENT = ("", "repaired", "bot")
"""The fates of lines that are not lost."""
ONLY_ON = {
    "negative_duration": (WATCH,), "absurd_duration": (WATCH,),
    "negative_amount": (GIFT,), "absurd_amount": (GIFT,), "far_too_late": (SHOW, LIKE),
}  # fmt: skip
GARBAGE = (b"[1,2,3]", b"GET /index.html HTTP/1.1", b'{"id":"x","uid":', b"{'id': 'x'}", b"null", b'"id"')


@dataclass(frozen=True)
class Delivery:
    """A line on its way: when it is received, its bytes, its id, and what is wrong with it."""

    received: int
    line: bytes
    line_id: str
    kind: str = ""
    fate: str = ""


@dataclass(frozen=True)
class Delivered:
    """What the collector got, and for every row whether it becomes an event, and whether its line came at once."""

    lines: dict[tuple[str, int], list[bytes]]
    dirt: list[tuple[str, int, str, str, str]]
    kept: Flags
    on_time: Flags


@dataclass(frozen=True)
class Spoiler:
    """What the kinds of dirt need besides the line."""

    world: World
    rows: EventRows
    rng: np.random.Generator

    def days_late(self, i: int, received: int) -> int:
        """How many local days after the event itself a line arrives."""
        starts = self.world.config.day_starts
        happened, arrives = np.searchsorted(starts, [int(self.rows.time[i]), received], side="right").tolist()
        return int(arrives) - int(happened)

    def replaced(self, i: int, line: bytes, field: str, value: str) -> bytes:
        """The line with another JSON value in a field."""
        head, _, tail = line.partition(f'"{field}":'.encode())
        return head + f'"{field}":{value}'.encode() + tail[_end_of_value(tail) :]

    def without(self, line: bytes, field: str) -> bytes:
        """The line without a field that others follow."""
        head, _, tail = line.partition(f'"{field}":'.encode())
        return head + tail[_end_of_value(tail) + 1 :]


def _end_of_value(tail: bytes) -> int:
    return min(place for place in (tail.find(b","), tail.find(b"}")) if place >= 0)


def deliver(world: World, rows: EventRows, lines: list[bytes], block: int) -> Delivered:
    """The lines of `events` by day of arrival, and what is wrong with which; what arrives after the last is lost."""
    starts, rng = world.config.day_starts, generator(world.config, "dirt", block)
    kinds = _choose(world, rows, rng)
    spoiler = Spoiler(world, rows, rng)
    journeys = [_journey(spoiler, i, line, kind) for i, (line, kind) in enumerate(zip(lines, kinds, strict=True))]
    received = np.array([journey[0].received for journey in journeys], dtype=np.int64)
    survives = np.array([journey[0].fate in BECOMES_EVENT for journey in journeys], dtype=np.bool_)
    kept = survives & (received < starts[-1])
    in_order = sorted(chain.from_iterable(journeys), key=lambda delivery: (delivery.received, delivery.line))
    return Delivered(*_by_day(starts, in_order), kept, kept & (received == rows.received))


def _journey(s: Spoiler, i: int, line: bytes, kind: str | None) -> list[Delivery]:
    """How often and as what a row's line is delivered; the first delivery is the one that may become an event."""
    robot = ("robot", "bot") if s.rows.bot[i] else ()
    plain = Delivery(int(s.rows.received[i]), line, str(s.rows.ids[i]), *robot)
    return [plain] if kind is None else KINDS[kind](s, i, plain, kind)


def _choose(world: World, rows: EventRows, rng: np.random.Generator) -> list[str | None]:
    """At most one kind a line: the kinds share the line between 0 and 1, the line's draw says which."""
    draw, chosen, edge = rng.random(len(rows.ids)), np.full(len(rows.ids), NO_KIND), np.zeros(len(rows.ids))
    for number, rate in enumerate(fields(world.config.dirt)):
        share = np.full(len(rows.ids), getattr(world.config.dirt, rate.name))
        if rate.name in ONLY_ON:
            share = np.where(np.isin(rows.action, ONLY_ON[rate.name]), share, 0.0)
        chosen = np.where((draw >= edge) & (draw < edge + share), number, chosen)
        edge = edge + share
    names = [rate.name for rate in fields(world.config.dirt)]
    chosen = np.where(rows.bot, NO_KIND, chosen)
    return [None if number == NO_KIND else names[number] for number in chosen.tolist()]


NO_KIND = -1


def _by_day(
    starts: np.ndarray, deliveries: list[Delivery]
) -> tuple[dict[tuple[str, int], list[bytes]], list[tuple[str, int, str, str, str]]]:
    lines: dict[tuple[str, int], list[bytes]] = {}
    dirt: list[tuple[str, int, str, str, str]] = []
    days = np.searchsorted(starts, [delivery.received for delivery in deliveries], side="right") - 1
    for day, delivery in zip(days.tolist(), deliveries, strict=True):
        if 0 <= day < len(starts) - 1:
            lines.setdefault(("events", day), []).append(delivery.line)
            if delivery.kind:
                dirt.append(("events", day, delivery.line_id, delivery.kind, delivery.fate))
    return lines, dirt


def _spoilt(plain: Delivery, kind: str, line: bytes, received: int | None = None) -> Delivery:
    return Delivery(plain.received if received is None else received, line, plain.line_id, kind, FATES[kind])


def _truncated(s: Spoiler, i: int, plain: Delivery, kind: str) -> list[Delivery]:
    return [_spoilt(plain, kind, plain.line[: int(s.rng.integers(1, len(plain.line) - 1))])]


def _garbage(s: Spoiler, i: int, plain: Delivery, kind: str) -> list[Delivery]:
    choice = GARBAGE[int(s.rng.integers(0, len(GARBAGE)))]
    return [_spoilt(plain, kind, choice)]


def _invalid_utf8(s: Spoiler, i: int, plain: Delivery, kind: str) -> list[Delivery]:
    place = plain.line.index(b'"uid":"') + 8
    return [_spoilt(plain, kind, plain.line[:place] + b"\xff\xfe" + plain.line[place:])]


def _missing(s: Spoiler, i: int, plain: Delivery, kind: str) -> list[Delivery]:
    field = ("id", "uid", "anchor")[int(s.rng.integers(0, 3))]
    value = ("null", '""', None)[int(s.rng.integers(0, 3))]
    line = s.without(plain.line, field) if value is None else s.replaced(i, plain.line, field, value)
    return [_spoilt(plain, kind, line)]


def _unknown_type(s: Spoiler, i: int, plain: Delivery, kind: str) -> list[Delivery]:
    return [_spoilt(plain, kind, s.replaced(i, plain.line, "action", '"teleport"'))]


def _seconds(s: Spoiler, i: int, plain: Delivery, kind: str) -> list[Delivery]:
    return [_spoilt(plain, kind, s.replaced(i, plain.line, "ts", str(int(s.rows.time[i]) // 1000)))]


def _iso(s: Spoiler, i: int, plain: Delivery, kind: str) -> list[Delivery]:
    zone = ZoneInfo(s.world.config.day_zone)
    seconds, millis = divmod(int(s.rows.time[i]), 1000)
    moment = datetime.datetime.fromtimestamp(seconds, tz=zone).replace(microsecond=millis * 1000)
    text = f'"{moment.isoformat(timespec="milliseconds")}"'
    return [_spoilt(plain, kind, s.replaced(i, plain.line, "ts", text))]


def _future(s: Spoiler, i: int, plain: Delivery, kind: str) -> list[Delivery]:
    ahead = plain.received + HOUR_MS + 60_000 + int(s.rng.integers(0, DAY_MS))
    return [_spoilt(plain, kind, s.replaced(i, plain.line, "ts", str(ahead)))]


def _duplicate(s: Spoiler, i: int, plain: Delivery, kind: str) -> list[Delivery]:
    return [plain, _spoilt(plain, kind, plain.line)]


def _resent(s: Spoiler, i: int, plain: Delivery, kind: str) -> list[Delivery]:
    """Minutes later, or on one of the next days that a look-back still covers."""
    lookback = s.world.config.lookback_days
    days = 0 if s.rng.random() < 0.6 else int(s.rng.integers(1, lookback + 1))
    later = plain.received + (days * DAY_MS or int(s.rng.integers(10_000, 600_000)))
    if s.days_late(i, later) > lookback:
        later = plain.received + 10_000
    return [plain, _spoilt(plain, kind, s.replaced(i, plain.line, "recv", str(later)), later)]


def _next_day(s: Spoiler, i: int, plain: Delivery, kind: str) -> list[Delivery]:
    later = plain.received + DAY_MS
    if s.days_late(i, later) > s.world.config.lookback_days:
        return [plain]
    return [_spoilt(plain, kind, s.replaced(i, plain.line, "recv", str(later)), later)]


def _too_late(s: Spoiler, i: int, plain: Delivery, kind: str) -> list[Delivery]:
    lookback = s.world.config.lookback_days
    later = plain.received + (lookback + 1) * DAY_MS
    if s.days_late(i, later) <= lookback:  # where a day with 25 hours came between
        later += DAY_MS
    return [_spoilt(plain, kind, s.replaced(i, plain.line, "recv", str(later)), later)]


def _not_on_air(s: Spoiler, i: int, plain: Delivery, kind: str) -> list[Delivery]:
    """A room that nobody ever opened, or one that ended at least ten minutes before."""
    ended = np.flatnonzero(
        (s.world.rooms.end < s.rows.time[i] - 600_000) & (s.world.rooms.end > s.rows.time[i] - 12 * HOUR_MS)
    )
    unknown = len(s.world.rooms.end) + int(s.rng.integers(0, 1000))
    room = unknown if not len(ended) or s.rng.random() < 0.5 else int(s.rng.choice(ended))
    return [_spoilt(plain, kind, s.replaced(i, plain.line, "room", f'"r{room:07d}"'))]


def _with_number(field: str, low: int, high: int) -> Callable[[Spoiler, int, Delivery, str], list[Delivery]]:
    def spoil(s: Spoiler, i: int, plain: Delivery, kind: str) -> list[Delivery]:
        return [_spoilt(plain, kind, s.replaced(i, plain.line, field, str(int(s.rng.integers(low, high)))))]

    return spoil


KINDS: dict[str, Callable[[Spoiler, int, Delivery, str], list[Delivery]]] = {
    "truncated_json": _truncated,
    "garbage_json": _garbage,
    "invalid_utf8": _invalid_utf8,
    "missing_id": _missing,
    "unknown_event_type": _unknown_type,
    "ts_seconds": _seconds,
    "ts_iso": _iso,
    "future_clock": _future,
    "exact_duplicate": _duplicate,
    "resent": _resent,
    "next_day": _next_day,
    "far_too_late": _too_late,
    "not_on_air": _not_on_air,
    "negative_duration": _with_number("dur_ms", -10_000_000, 0),
    "absurd_duration": _with_number("dur_ms", 90_000_000, 10**12),
    "negative_amount": _with_number("amount", -1_000_000, 0),
    "absurd_amount": _with_number("amount", 10_000_001, 10**12),
}
