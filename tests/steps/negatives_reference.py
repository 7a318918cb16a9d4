"""Sampled candidates a second time: plain Python over all raw rows, and a small world of rooms to sample from."""

from __future__ import annotations

import datetime
import math
import random
from collections import Counter
from dataclasses import dataclass
from typing import Any

import xxhash

from pipeline.config import Config, Negatives
from pipeline.days import Day, add_days
from tests.steps.rows import FIRST, TABLES, Row, at, day_end, day_of, event, later, toy_config

SLOT_S, ITEMS = 300, 24
ROOMS_SOURCE: dict[str, Any] = {
    "kind": "events",
    "path": "raw/rooms/dt={dt}/*.json",
    "columns": {
        **{name: {"from": name} for name in ("event_id", "room_id", "item_id")},
        "event_type": {"from": "what", "values": {"start": "start", "end": "end"}},
        "event_time": {"from": "ts", "time": ["epoch_ms"]},
    },
}
LABELS = {
    "shown": {"chosen": True, "mature_after_s": 600},
    "enter": {"event": "enter", "within_s": 300, "mature_after_s": 400},
}


def sampling_config(candidates: str, **changes: Any) -> Config:
    """The toy product with rooms, one feature and negatives; keys of it replaced, other sections given whole."""
    negatives = {"candidates": candidates, "per_example": 3, "popularity": "enter", "unseen_days": 1, "keep": ["scene"]}
    own = {key: changes.pop(key) for key in list(changes) if key in Negatives.model_fields}
    sections = {
        "sources": {**TABLES["sources"], "rooms": ROOMS_SOURCE},
        "datasets": {**TABLES["datasets"], "rooms": "rooms"},
        "labels": LABELS,
        "training": {"label": "shown"},
        "features": {"context": {"scene": {"column": "scene"}}},
        "negatives": {**negatives, **own},
    }
    return toy_config(**{**sections, **changes})


@dataclass
class Rooms:
    """Events and broadcasts, each with its two clocks; a room may be never said to end."""

    events: list[Row]
    rooms: list[Row]


def random_rooms(seed: int, days: int = 4, events_a_day: int = 70) -> Rooms:
    """Few users and items; much of it around midnight and the edges of slots."""
    rng = random.Random(seed)
    events = [_event(rng, _instant(rng, day)) for day in range(days) for _ in range(events_a_day)]
    for row in list(events):
        if row["event_type"] == "exposure" and rng.random() < 0.5:
            events.append({**_event(rng, row["event_time"] + later(rng.choice([1, 60, 301]))), "event_type": "enter",
                           **{name: row[name] for name in ("user_id", "item_id", "room_id")}})  # fmt: skip
    rooms = [_room(rng, f"r{number}", _instant(rng, rng.randrange(days))) for number in range(30 * days)]
    return Rooms(events, rooms)


def _instant(rng: random.Random, day: int) -> datetime.datetime:
    hour = rng.choice([0, 0.01, 23.99, 12, 12.05, rng.uniform(0, 24), rng.uniform(12, 13)])
    return at(add_days(FIRST, day), hour) + later(rng.choice([0, 0, 1e-6]))


def _event(rng: random.Random, time: datetime.datetime) -> Row:
    delay = rng.choice([0, 1, 1, 5, 300, 90_000, -30])
    bot = rng.random() < 0.1
    return event(
        rng.choice(["exposure", "exposure", "enter"]),
        time,
        user_id=f"u{min(rng.randrange(12), rng.randrange(12))}",
        item_id=rng.choice([f"i{min(rng.randrange(ITEMS), rng.randrange(ITEMS))}"] * 9 + [None]),
        available_at=time + later(delay),
        scene=rng.choice(["hot", "new", None]),
        bot_rule="rate" if bot else None,
        bot_available_at=time + later(rng.choice([60, 3600])) if bot else None,
    )


def _room(rng: random.Random, name: str, start: datetime.datetime) -> Row:
    end = start + later(rng.choice([90, 1000, 40_000, 100_000]))
    known = end + later(rng.choice([0, 1, 1e-6, 400, 90_000]))
    over = rng.random() < 0.8
    return {
        "room_id": name,
        "item_id": f"i{rng.randrange(ITEMS)}",
        "started_at": start,
        "start_available_at": start + later(rng.choice([0, 1, 400, -30])),
        "ended_at": end if over else None,
        "end_available_at": known if over else None,
    }


def rooms_of(config: Config, world: Rooms, day: Day) -> list[Row]:
    """rooms/dt=day: what was known at its end, without what ended before the look-back."""
    end = day_end(config, day)
    oldest = day_end(config, add_days(day, -1 - config.clean.lookback_days))
    known = []
    for room in (room for room in world.rooms if room["start_available_at"] < end):
        over = room["end_available_at"] is not None and room["end_available_at"] < end
        said = room if over else {**room, "ended_at": None, "end_available_at": None}
        if said["ended_at"] is None or said["ended_at"] >= oldest:
            known.append({**said, "dt": day})
    return known


class SamplingReference:
    """What is sampled, by brute force over everything that ever happened."""

    def __init__(self, config: Config, world: Rooms) -> None:
        assert config.negatives is not None
        self.config, self.world, self.negatives = config, world, config.negatives

    def examples(self, day: Day) -> list[Row]:
        """The logged ones that mature on `day`."""
        mature = later(self.config.mature_after_s)
        return [
            row
            for row in self.world.events
            if row["event_type"] == "exposure"
            and row["bot_rule"] is None
            and row["item_id"] is not None
            and row["available_at"] >= row["event_time"]
            and day_of(self.config, row["event_time"] + mature) == day
            and day_of(self.config, row["available_at"]) <= day
        ]

    def pool(self, t: datetime.datetime) -> dict[tuple[str, str | None], int]:
        """(item, room) -> tickets, as known when the slot of t began."""
        begin, counts = self.slot_begin(t), self.popularity(day_of(self.config, t))
        if self.negatives.candidates == "popular":
            found = {(item, None): count for item, count in counts.items()}
        else:
            found = {
                (room["item_id"], room["room_id"]): counts[room["item_id"]]
                for room in self.world.rooms
                if max(room["started_at"], room["start_available_at"]) < begin
                and (room["end_available_at"] is None or room["end_available_at"] >= begin)
            }
        base = {one: math.floor((1.0 + count) ** self.negatives.power * 1000 + 0.5) for one, count in found.items()}
        total, tickets = sum(base.values()), 16 * len(base)
        return {one: max(1, math.floor(share / total * tickets)) for one, share in base.items()}

    def popularity(self, day: Day) -> Counter[str]:
        """Events of people that arrived on the day before, as known at its end."""
        before = add_days(day, -1)
        if before < FIRST:
            return Counter()
        rows = [row for row in self.world.events if day_of(self.config, row["available_at"]) == before]
        people = [r for r in rows if r["bot_rule"] is None or r["bot_available_at"] > day_end(self.config, before)]
        wanted = self.negatives.popularity
        return Counter(r["item_id"] for r in people if r["event_type"] == wanted and r["item_id"] is not None)

    def eligible(self, example: Row) -> dict[tuple[str, str | None], int]:
        """What may win, with its tickets."""
        t = example["event_time"]
        begin, days = self.slot_begin(t), datetime.timedelta(days=self.negatives.unseen_days)
        met = {
            row["item_id"]
            for row in self.world.events
            if row["user_id"] == example["user_id"] and begin - days <= row["available_at"] < begin
        }
        over = {
            r["room_id"] for r in self.world.rooms if r["end_available_at"] is not None and r["end_available_at"] < t
        }
        return {
            (item, room): tickets
            for (item, room), tickets in self.pool(t).items()
            if item not in met and item != example["item_id"] and room not in over
        }

    def weight(self, example: Row) -> float:
        """0 of an example that no candidate could be, where what was chosen is learnt."""
        if self.config.training.label != "shown":
            return 1.0
        return float(any(item == example["item_id"] for item, _ in self.eligible({**example, "item_id": None})))

    def sampled(self, example: Row) -> list[Row]:
        """The rows beside an example: ticket by ticket, one draw after another."""
        if not self.weight(example):
            return []
        line = [one for one, tickets in self._in_line(self.pool(example["event_time"])) for _ in range(tickets)]
        eligible, chosen = self.eligible(example), list[tuple[str, str | None]]()
        for draw in range(1, 3 * self.negatives.per_example + 1 if line else 1):
            won = line[_hash(f"{self.negatives.seed}\n{example['event_id']}\n{draw}") % len(line)]
            if won in eligible and won not in chosen and len(chosen) < self.negatives.per_example:
                chosen.append(won)
        left = sum(eligible.values())
        same = {name: example[name] for name in ("user_id", "event_time", "scene")}
        return [
            {"example_id": f"{example['event_id']}~{k}", **same, "item_id": item, "room_id": room,
             "probability": eligible[item, room] / left}
            for k, (item, room) in enumerate(chosen, 1)
        ]  # fmt: skip

    def slot_begin(self, t: datetime.datetime) -> datetime.datetime:
        """When the slot of t began."""
        whole = int(t.timestamp()) // SLOT_S * SLOT_S
        return datetime.datetime.fromtimestamp(whole, datetime.UTC)

    @staticmethod
    def _in_line(pool: dict[tuple[str, str | None], int]) -> list[tuple[tuple[str, str | None], int]]:
        def place(one: tuple[str, str | None]) -> tuple[int, bytes]:
            name = one[1] or one[0]
            return _hash(name) % 64, name.encode()

        return sorted(pool.items(), key=lambda entry: place(entry[0]))


def _hash(text: str) -> int:
    """As Spark has it: a signed number of 64 bits."""
    digest = xxhash.xxh64_intdigest(text.encode(), seed=42)
    return digest - 2**64 if digest >= 2**63 else digest
