"""What follows an exposure, as rows: entering, watching, liking, giving, leaving; and rows as lines."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.simulate.behaviour import SCENES, Exposures, Users
from pipeline.simulate.settings import generator
from pipeline.simulate.world import Ints, World

ACTIONS = ("show", "enter_room", "watch", "like", "comment", "gift", "follow", "exit")
SHOW, ENTER, WATCH, LIKE, COMMENT, GIFT, FOLLOW, EXIT = range(len(ACTIONS))
NONE = -1


@dataclass(frozen=True)
class EventRows:
    """One entry an event; shows first, in the order of the exposures. -1 stands for an absent field."""

    ids: np.ndarray
    action: Ints
    user: Ints
    """Number of the user in the whole service."""
    room: Ints
    time: Ints
    received: Ints
    scene: Ints
    position: Ints
    duration: Ints
    amount: Ints
    bot: np.ndarray


def follow_ups(world: World, users: Users, exposures: Exposures, block: int) -> EventRows:
    """Shows, and for each entered room what happened there; everything ends with the broadcast."""
    rng = generator(world.config, "follow_ups", block)
    inside = np.flatnonzero(exposures.entered)
    n = len(inside)
    enter = exposures.time[inside] + rng.integers(2_000, 30_000, size=n)
    pleasure = exposures.parts["taste"][inside] + 0.5 * exposures.parts["quality"][inside]
    wanted = np.exp(rng.normal(11.2 + 0.45 * pleasure, 1.0)).astype(np.int64)
    stay = np.clip(wanted, 2_000, np.maximum(world.rooms.end[exposures.room[inside]] - enter, 2_000))
    pieces = [
        _shows(exposures),
        _pieces(ENTER, inside, enter),
        _pieces(WATCH, inside, enter + stay, duration=stay),
        _pieces(EXIT, inside, enter + stay + 150),
    ]
    for action, chance in ((LIKE, 0.25), (COMMENT, 0.10), (FOLLOW, 0.06)):
        chosen = rng.random(n) < chance / (1 + np.exp(-pleasure)) * 2
        moment = enter + (rng.random(n) * stay).astype(np.int64)
        pieces.append(_pieces(action, inside[chosen], moment[chosen]))
    giving = (rng.random(n) < 0.10 / (1 + np.exp(-pleasure)) * 2) & (stay > 120_000)
    moment = enter + 60_000 + (rng.random(n) * np.maximum(stay - 60_000, 1)).astype(np.int64)
    amount = (np.exp(rng.normal(5.5, 1.2, size=n))).astype(np.int64) + 10
    pieces.append(_pieces(GIFT, inside[giving], moment[giving], amount=amount[giving]))
    return _assemble(users, exposures, pieces, world.config.seed, block, rng)


def _shows(exposures: Exposures) -> dict[str, Ints]:
    every = np.arange(len(exposures.time))
    return _pieces(SHOW, every, exposures.time, scene=exposures.scene, position=exposures.position)


def _pieces(action: int, exposure: Ints, time: Ints, **fields: Ints) -> dict[str, Ints]:
    absent = {name: np.full(len(exposure), NONE) for name in ("scene", "position", "duration", "amount")}
    return {"action": np.full(len(exposure), action), "exposure": exposure, "time": time, **absent, **fields}


def _assemble(
    users: Users, exposures: Exposures, pieces: list[dict[str, Ints]], seed: int, block: int, rng: np.random.Generator
) -> EventRows:
    rows = {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}
    exposure = rows.pop("exposure")
    n = len(exposure)
    delay = np.clip(np.exp(rng.normal(6.6, 0.6, size=n)), 100, 5_000).astype(np.int64)
    ids = line_ids(seed, block, n)
    return EventRows(
        ids=ids, user=users.number[exposures.user[exposure]], room=exposures.room[exposure],
        received=rows["time"] + delay, bot=exposures.bot[exposure], **rows,
    )  # fmt: skip


def line_ids(seed: int, block: int, count: int) -> np.ndarray:
    """Ids of 16 hex digits that look random and never meet: splitmix64 of (block, place), keyed by seed."""
    x = (np.uint64(block) << np.uint64(40)) + np.arange(count, dtype=np.uint64)
    with np.errstate(over="ignore"):
        x = x + np.uint64(seed) * np.uint64(0x9E3779B97F4A7C15)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        x = x ^ (x >> np.uint64(31))
    return np.array([f"{value:016x}" for value in x.tolist()], dtype="U16")


def event_lines(world: World, rows: EventRows) -> list[bytes]:
    """Every row as the JSON line that a tidy client would send."""
    streamer = world.rooms.streamer[rows.room].tolist()
    columns = [
        column.tolist()
        for column in (
            rows.action,
            rows.user,
            rows.room,
            rows.time,
            rows.received,
            rows.scene,
            rows.position,
            rows.duration,
            rows.amount,
        )
    ]
    return [
        _line(id_, anchor, *fields) for id_, anchor, *fields in zip(rows.ids.tolist(), streamer, *columns, strict=True)
    ]


def _line(
    id_: str,
    anchor: int,
    action: int,
    user: int,
    room: int,
    time: int,
    received: int,
    scene: int,
    position: int,
    duration: int,
    amount: int,
) -> bytes:
    line = f'{{"id":"{id_}","uid":"u{user:06d}","anchor":"s{anchor:05d}","room":"r{room:07d}"'
    line += f',"action":"{ACTIONS[action]}","ts":{time},"recv":{received}'
    if action == SHOW:
        line += f',"scene":"{SCENES[scene]}","pos":{position}'
    elif action == WATCH:
        line += f',"dur_ms":{duration}'
    elif action == GIFT:
        line += f',"amount":{amount}'
    return (line + "}").encode()
