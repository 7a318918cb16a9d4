"""A small cleaner in plain Python, written from the rules alone, must count what the simulator says it delivered."""

from __future__ import annotations

import datetime
import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from pipeline.simulate import BlockLogs, SimulationConfig, World, build_world, simulate_block, truth_summary

ACTIONS = ("show", "enter_room", "watch", "like", "comment", "gift", "follow", "exit")
BLOCKS = (0, 5)
HOUR_MS = 3_600_000


@dataclass
class Cleaned:
    """What the plain cleaner made of the lines of `events`."""

    fates: Counter[tuple[int, str]] = field(default_factory=Counter)
    named: Counter[tuple[int, str, str]] = field(default_factory=Counter)
    events: list[dict[str, Any]] = field(default_factory=list)


class Cleaner:
    """One block's lines, day after day, in the order of arrival."""

    def __init__(self, world: World) -> None:
        self.world, self.zone = world, ZoneInfo(world.config.day_zone)
        self.seen: dict[int, set[str]] = defaultdict(set)

    def day_of(self, time_ms: int) -> int:
        moment = datetime.datetime.fromtimestamp(time_ms // 1000, tz=self.zone)
        return (moment.date() - self.world.config.first_day).days

    def judge(self, line: bytes, day: int) -> tuple[str, dict[str, Any]]:
        """The line's fate, and its fields as far as they can be read."""
        try:
            row = json.loads(line.decode())
        except UnicodeDecodeError:
            return "invalid_utf8", {}
        except ValueError:
            return "malformed", {}
        if not isinstance(row, dict):
            return "malformed", {}
        return self._broken_rule(row, day) or self._twice(row, day), row

    def _broken_rule(self, row: dict[str, Any], day: int) -> str:
        if not all(row.get(name) for name in ("id", "uid", "anchor", "ts", "recv")):
            return "missing_required"
        if row["action"] not in ACTIONS:
            return "unknown_value"
        if not 0 <= row.get("dur_ms", 0) <= 86_400_000 or not 0 <= row.get("amount", 0) <= 10_000_000:
            return "out_of_range"
        row["time"] = clock(row["ts"])
        if row["time"] > row["recv"] + HOUR_MS:
            return "future_clock"
        if self.day_of(row["time"]) < day - self.world.config.lookback_days:
            return "too_late"
        return "" if self._on_air(int(row["room"][1:]), row["time"]) else "not_on_air"

    def _on_air(self, room: int, time: int) -> bool:
        rooms = self.world.rooms
        return room < len(rooms.start) and rooms.start[room] <= time <= rooms.end[room] + 60_000

    def _twice(self, row: dict[str, Any], day: int) -> str:
        looked = range(day - self.world.config.lookback_days, day + 1)
        if any(row["id"] in self.seen[earlier] for earlier in looked):
            return "duplicate"
        self.seen[day].add(row["id"])
        return "event"


def clock(value: int | str) -> int:
    """Epoch milliseconds of what a line says: milliseconds, seconds or ISO text."""
    if isinstance(value, str):
        return round(datetime.datetime.fromisoformat(value).timestamp() * 1000)
    return value if value > 10**11 else value * 1000


def clean(world: World, log: BlockLogs) -> Cleaned:
    cleaner, cleaned = Cleaner(world), Cleaned()
    for day in range(world.config.days):
        for line in log.lines.get(("events", day), ()):
            fate, row = cleaner.judge(line, day)
            cleaned.fates[day, fate] += 1
            cleaned.named[day, str(row.get("id")), fate] += 1
            if fate == "event":
                cleaned.events.append(row)
    return cleaned


@pytest.fixture(scope="module")
def world() -> World:
    return build_world(SimulationConfig())


@pytest.fixture(scope="module")
def logs(world: World) -> list[BlockLogs]:
    return [simulate_block(world, block) for block in BLOCKS]


@pytest.fixture(scope="module")
def cleaned(world: World, logs: list[BlockLogs]) -> list[Cleaned]:
    return [clean(world, log) for log in logs]


def test_the_cleaner_counts_what_the_truth_says(logs: list[BlockLogs], cleaned: list[Cleaned]) -> None:
    expected, found = truth_summary(logs), Counter[str]()
    for one in cleaned:
        for (_, fate), n in one.fates.items():
            found[fate] += n
    assert found.pop("event") == expected.events_kept
    assert found.pop("duplicate") == expected.duplicates
    assert found == expected.by_rule
    delivered = sum(n for (source, _), n in expected.lines.items() if source == "events")
    assert delivered == expected.events_kept + expected.duplicates + sum(expected.by_rule.values())


def test_every_day_and_every_line_has_the_fate_that_was_foretold(logs: list[BlockLogs], cleaned: list[Cleaned]) -> None:
    for log, one in zip(logs, cleaned, strict=True):
        told = Counter((day, fate) for _, day, _, _, fate in log.dirt if fate not in ("repaired", "bot"))
        assert told == Counter({key: n for key, n in one.fates.items() if key[1] != "event"})
        for (day, line_id, fate), n in _foretold(log).items():
            assert one.named[day, line_id, fate] == n, (day, line_id, fate)


def _foretold(log: BlockLogs) -> Counter[tuple[int, str, str]]:
    """(day, id, fate) of the dirty lines whose id can still be read."""
    unreadable = ("malformed", "invalid_utf8", "missing_required")
    events = ("repaired", "bot")
    return Counter(
        (day, line_id, "event" if fate in events else fate)
        for _, day, line_id, _, fate in log.dirt
        if fate not in unreadable
    )


def test_what_the_truth_calls_visible_is_what_a_cleaner_sees(logs: list[BlockLogs], cleaned: list[Cleaned]) -> None:
    for log, one in zip(logs, cleaned, strict=True):
        truth, busy = log.exposures, set(robots(one))
        shows = {row["id"]: row for row in one.events if row["action"] == "show" and row["uid"] not in busy}
        assert set(truth["example_id"][truth["visible"]].tolist()) == set(shows)
        entries = entries_by_room(one)
        for line_id, entered, seen in zip(
            truth["example_id"].tolist(), truth["entered"].tolist(), truth["label_visible"].tolist(), strict=True
        ):
            if line_id in shows:
                assert label(shows[line_id], entries) == (entered and seen)


def entries_by_room(one: Cleaned) -> dict[tuple[str, str], list[tuple[int, int]]]:
    found: dict[tuple[str, str], list[tuple[int, int]]] = defaultdict(list)
    for row in one.events:
        if row["action"] == "enter_room":
            found[row["uid"], row["room"]].append((row["time"], row["recv"]))
    return found


def label(show: dict[str, Any], entries: dict[tuple[str, str], list[tuple[int, int]]]) -> bool:
    """Whether an entry within a minute of the exposure was known ten minutes after it; never two of them."""
    inside = [
        at
        for at, known in entries.get((show["uid"], show["room"]), ())
        if show["time"] < at <= show["time"] + 60_000 and known <= show["time"] + 600_000
    ]
    assert len(inside) <= 1
    return bool(inside)


def robots(one: Cleaned) -> Iterator[str]:
    """Users with more than 200 exposures in a clock hour."""
    shown = Counter((row["uid"], row["time"] // HOUR_MS) for row in one.events if row["action"] == "show")
    yield from (uid for (uid, _), n in shown.items() if n > 200)


def test_a_robot_is_busy_whenever_it_is_there(logs: list[BlockLogs], cleaned: list[Cleaned], world: World) -> None:
    for block, log, one in zip(BLOCKS, logs, cleaned, strict=True):
        told = {line_id for _, _, line_id, kind, _ in log.dirt if kind == "robot"}
        rows = [row for row in one.events if row["id"] in told]
        assert (
            {row["uid"] for row in rows}
            == set(robots(one))
            == {f"u{(block + 1) * world.config.users_per_block - 1:06d}"}
        )
        assert min(Counter(row["time"] // HOUR_MS for row in rows).values()) > 200
        assert len(rows) == len(told)


def test_a_small_service_has_robots_just_as_busy() -> None:
    world = build_world(SimulationConfig(users=240, streamers=160, days=4))
    log = simulate_block(world, 0)
    one = clean(world, log)
    told = {line_id for _, _, line_id, kind, _ in log.dirt if kind == "robot"}
    hours = Counter((row["uid"], row["time"] // HOUR_MS) for row in one.events if row["id"] in told)
    assert hours
    assert min(hours.values()) > 200
    assert {uid for uid, _ in hours} == set(robots(one))
