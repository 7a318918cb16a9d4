"""The logs of a user block, and of the catalog: rows become lines, lines get dirt, everything is sorted by arrival."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pipeline.simulate.behaviour import Exposures, Users, make_exposures, make_users
from pipeline.simulate.dirt import Delivered, deliver
from pipeline.simulate.events import EventRows, event_lines, follow_ups
from pipeline.simulate.settings import SimulationConfig, generator
from pipeline.simulate.world import AGES, CATEGORIES, GENDERS, LANGUAGES, World, name_of

DEVICES = ("android", "ios", "web", "tv")


@dataclass(frozen=True)
class BlockLogs:
    """What the collector got from a block, and what really happened.

    `lines[source, day]` are the line bytes in the order of arrival; `exposures` is a table of arrays (example_id,
    p_true, entered, user, streamer, time_ms, day, position, the user's attributes and the parts of the true logit);
    `dirt` has a row (source, day of arrival, line id, kind, fate) for every delivered line that is not plain.

    Dirt hides some of the truth from the logs: `visible` says whether the exposure becomes an event, `label_visible`
    whether its entry, if there was one, becomes an event that came at once (always true where nobody entered).
    """

    lines: dict[tuple[str, int], list[bytes]]
    exposures: dict[str, Any] = field(default_factory=dict)
    dirt: list[tuple[str, int, str, str, str]] = field(default_factory=list)


def simulate_block(world: World, block: int) -> BlockLogs:
    """Logs and truth of one user block: a pure function of the config and the number of the block."""
    users = make_users(world, block)
    exposures = make_exposures(world, users, block)
    rows = follow_ups(world, users, exposures, block)
    delivered = deliver(world, rows, event_lines(world, rows), block)
    said = _by_day(world.config, "users", _user_lines(world, users, block))
    return BlockLogs({**delivered.lines, **said}, _truth(world, users, exposures, rows, delivered), delivered.dirt)


def simulate_catalog(world: World) -> BlockLogs:
    """What streamers said of themselves, and when broadcasts began and ended."""
    streamers = _by_day(world.config, "streamers", _streamer_lines(world))
    return BlockLogs({**streamers, **_by_day(world.config, "rooms", _room_lines(world))})


def _truth(world: World, users: Users, exposures: Exposures, rows: EventRows, delivered: Delivered) -> dict[str, Any]:
    """Exposures of people (not of robots), in the order they were made."""
    people, shows = ~exposures.bot, len(exposures.time)
    label_visible = np.ones(shows, dtype=np.bool_)  # the entries follow the shows, in the same order
    label_visible[exposures.entered] = delivered.on_time[shows : shows + int(exposures.entered.sum())]
    streamer = world.rooms.streamer[exposures.room]
    table = {
        "example_id": rows.ids[:shows],
        "p_true": exposures.probability,
        "entered": exposures.entered,
        "visible": delivered.kept[:shows],
        "label_visible": label_visible,
        "user": users.number[exposures.user],
        "streamer": streamer,
        "time_ms": exposures.time,
        "day": np.searchsorted(world.config.day_starts, exposures.time, side="right") - 1,
        "position": exposures.position,
        "age": users.age[exposures.user],
        "gender": users.gender[exposures.user],
        "city": users.city[exposures.user],
        "device": users.device[exposures.user],
        **{f"logit_{name}": part for name, part in exposures.parts.items()},
    }
    return {name: column[people] for name, column in table.items()}


def _by_day(
    config: SimulationConfig, source: str, rows: Iterator[tuple[int, bytes]]
) -> dict[tuple[str, int], list[bytes]]:
    """(received, line) pairs by the day of arrival, in order of arrival."""
    starts, found = config.day_starts, dict[tuple[str, int], list[bytes]]()
    for received, line in sorted(rows):
        day = int(np.searchsorted(starts, received, side="right")) - 1
        if 0 <= day < config.days:
            found.setdefault((source, day), []).append(line)
    return found


def _line(source: str, key: str, fields: dict[str, Any], time: int, received: int) -> tuple[int, bytes]:
    return received, json.dumps(
        {"id": f"{source}-{key}", **fields, "ts": time, "recv": received}, separators=(",", ":")
    ).encode()


def _user_lines(world: World, users: Users, block: int) -> Iterator[tuple[int, bytes]]:
    """Everybody once (old users at the beginning of the first day), some again with another device."""
    config, rng = world.config, generator(world.config, "attributes", block)
    n = len(users.number)
    first = np.maximum(users.registered, config.day_starts[0] + rng.integers(0, 60_000, size=n))
    yield from (
        _user_line(users, i, 0, int(first[i]), int(users.device[i]), int(rng.integers(200, 3000))) for i in range(n)
    )
    for i in np.flatnonzero(rng.random(n) < 0.08).tolist():
        again = int(first[i]) + int(rng.random() * (config.day_starts[-1] - first[i]))
        yield _user_line(users, i, 1, again, int(rng.integers(0, len(DEVICES))), int(rng.integers(200, 3000)))


def _user_line(users: Users, i: int, version: int, time: int, device: int, delay: int) -> tuple[int, bytes]:
    fields = {
        "uid": name_of("u", users.number[i]),
        "age": AGES[users.age[i]],
        "gender": GENDERS[users.gender[i]],
        "city": f"city_{users.city[i]:02d}",
        "device": DEVICES[device],
        "registered": int(users.registered[i]),
    }
    return _line("user", f"{fields['uid']}-{version}", fields, time, time + delay)


def _streamer_lines(world: World) -> Iterator[tuple[int, bytes]]:
    config, streamers, rng = world.config, world.streamers, generator(world.config, "catalog")
    for i, joined in enumerate(streamers.joined_day):
        fields = {
            "anchor": name_of("s", i),
            "category": CATEGORIES[streamers.category[i]],
            "gender": GENDERS[streamers.gender[i]],
            "level": int(streamers.level[i]),
            "language": LANGUAGES[streamers.language[i]],
        }
        time = int(config.day_starts[max(joined, 0)]) + int(rng.integers(0, 60_000))
        yield _line("streamer", f"{fields['anchor']}-0", fields, time, time + int(rng.integers(200, 3000)))


def _room_lines(world: World) -> Iterator[tuple[int, bytes]]:
    rooms = world.rooms
    for i, streamer in enumerate(rooms.streamer):
        fields = {"room": name_of("r", i), "anchor": name_of("s", streamer)}
        for action, time, known in (("start", rooms.start, rooms.start_known), ("end", rooms.end, rooms.end_known)):
            yield _line("room", f"{fields['room']}-{action}", {**fields, "action": action}, int(time[i]), int(known[i]))
