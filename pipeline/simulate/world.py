"""What is the same for every user: streamers with hidden vectors, their broadcasts, the tables of the true model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.simulate.settings import HOUR_MS, SimulationConfig, generator

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

DIMENSIONS = 8
CATEGORIES = (
    "music",
    "dance",
    "talk",
    "games",
    "outdoor",
    "food",
    "fashion",
    "sport",
    "learning",
    "comedy",
    "pets",
    "auction",
)
CATEGORY_SHARE = np.array([18, 15, 14, 13, 8, 8, 7, 5, 4, 4, 2, 2]) / 100
AGES = ("under_18", "18-24", "25-34", "35-44", "45-54", "55+")
GENDERS = ("female", "male", "unknown")
LANGUAGES = ("zh", "yue", "en")
HOURS = np.array([3, 2, 1, 1, 1, 1, 2, 3, 4, 4, 5, 5, 7, 6, 5, 5, 5, 6, 8, 11, 13, 13, 10, 6], dtype=float)
"""How busy each local hour is."""
SLOT_MS = 600_000
"""Rooms on air are looked up by slots of ten minutes."""


@dataclass(frozen=True)
class Streamers:
    """One entry a streamer."""

    category: Ints
    gender: Ints
    level: Ints
    language: Ints
    popularity: Floats
    quality: Floats
    vector: Floats
    joined_day: Ints


@dataclass(frozen=True)
class Rooms:
    """One entry a broadcast, by start: its streamer, its clock, and when the collector knew of start and end."""

    streamer: Ints
    start: Ints
    end: Ints
    start_known: Ints
    end_known: Ints


@dataclass(frozen=True)
class Effects:
    """The observed part of the true logit."""

    age_category: Floats
    gender_gender: Floats
    city: Floats
    device: Floats
    level: Floats


@dataclass(frozen=True)
class World:
    """The service; a pure function of its config."""

    config: SimulationConfig
    centres: Floats
    streamers: Streamers
    rooms: Rooms
    effects: Effects
    on_air: tuple[Ints, ...]
    """For each slot of ten minutes, the rooms that are known before it begins and on air beyond its end."""


def build_world(config: SimulationConfig) -> World:
    """Streamers, rooms and the tables of the true model."""
    rng = generator(config, "world")
    centres = rng.normal(size=(len(CATEGORIES), DIMENSIONS))
    streamers = _streamers(config, centres, rng)
    rooms = _rooms(config, streamers, generator(config, "rooms"))
    return World(config, centres, streamers, rooms, _effects(rng), _on_air(config, rooms))


def _streamers(config: SimulationConfig, centres: Floats, rng: np.random.Generator) -> Streamers:
    n = config.streamers
    category = rng.choice(len(CATEGORIES), size=n, p=CATEGORY_SHARE)
    quality = rng.normal(size=n)
    popularity = np.exp(1.5 * rng.normal(size=n) + 0.2 * quality)
    joined = np.where(rng.random(n) < 0.6, -1, rng.integers(0, config.days, size=n))
    rank = np.argsort(np.argsort(popularity)) / n
    level = np.clip((rank * 8 + rng.normal(size=n)).astype(np.int64) + 1, 1, 10)
    vector = 0.72 * centres[category] + 0.69 * rng.normal(size=(n, DIMENSIONS))
    language = rng.choice(len(LANGUAGES), size=n, p=[0.84, 0.10, 0.06])
    return Streamers(category, rng.integers(0, 2, size=n), level, language, popularity, quality, vector, joined)


def _rooms(config: SimulationConfig, streamers: Streamers, rng: np.random.Generator) -> Rooms:
    streamer, day = np.nonzero(rng.random((config.streamers, config.days)) < 0.32)
    kept = day >= streamers.joined_day[streamer]
    streamer, day = streamer[kept], day[kept]
    hour = rng.choice(24, size=len(day), p=HOURS / HOURS.sum())
    start = config.day_starts[day] + hour * HOUR_MS + rng.integers(0, HOUR_MS, size=len(day)) - HOUR_MS // 2
    start = np.maximum(start, config.day_starts[0] + 1000)
    length = np.clip(np.exp(rng.normal(np.log(100), 0.6, size=len(day))), 20, 360) * 60_000
    order = np.argsort(start, kind="stable")
    start, end, streamer = start[order], (start + length.astype(np.int64))[order], streamer[order]
    known = rng.integers(1000, 3000, size=(2, len(start)))
    return Rooms(streamer, start, end, start + known[0], end + known[1])


def _effects(rng: np.random.Generator) -> Effects:
    return Effects(
        age_category=rng.normal(size=(len(AGES), len(CATEGORIES))),
        gender_gender=rng.normal(size=(len(GENDERS), 2)) * 0.5,
        city=rng.normal(size=30) * 0.35,
        device=rng.normal(size=4) * 0.3,
        level=np.linspace(-0.4, 0.4, 11),
    )


def _on_air(config: SimulationConfig, rooms: Rooms) -> tuple[Ints, ...]:
    begin = config.day_starts[0]
    slots = int(config.day_starts[-1] - begin) // SLOT_MS  # a day that changes its clock has 23 or 25 hours
    live: list[list[int]] = [[] for _ in range(slots)]
    first = -(-(rooms.start_known + 10_000 - begin) // SLOT_MS)
    last = (rooms.end - 90_000 - begin) // SLOT_MS  # the slot must end while the room is on air
    for room, (a, b) in enumerate(zip(first.tolist(), last.tolist(), strict=True)):
        for slot in range(max(a, 0), min(b, slots)):
            live[slot].append(room)
    return tuple(np.array(rooms_, dtype=np.int64) for rooms_ in live)


def name_of(kind: str, number: Any) -> str:
    """`u000123`, `s00042`, `r0001234`."""
    return f"{kind}{number:0{ {'u': 6, 's': 5, 'r': 7}[kind] }d}"
