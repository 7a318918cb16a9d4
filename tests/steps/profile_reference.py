"""What profiles keep of the days a second time: distinct values, decay, latest and first events, by brute force."""

from __future__ import annotations

import datetime
from typing import Any

import xxhash

from pipeline.days import Day, add_days
from tests.steps.reference import READY, SHANGHAI, Reference, local_day
from tests.steps.rows import FIRST, TABLES, Row
from tests.steps.world import World

KINDS: dict[str, Any] = {
    "user": {
        "items_2d": {"distinct": "enter", "by": "item_id", "window_days": 2},
        "cities_3d": {"distinct": "exposure", "by": "scene", "window_days": 3},
        "hours_3d": {"distinct": "enter", "by": "hour", "window_days": 3},
        "enters": {"decay": "enter", "half_life_days": 2},
        "watched": {"decay": "watch.duration_ms", "half_life_days": 3},
        "watches": {"count": "watch", "window_days": 2},
        "watched_2d": {"sum": "watch.duration_ms", "window_days": 2},
        "category_enters": {"decay": "enter", "by": "category", "half_life_days": 2},
        "top_items": {"top": "enter", "by": "item_id", "half_life_days": 2, "k": 3},
        "top_categories": {"top": "watch.duration_ms", "by": "category", "half_life_days": 1, "k": 1},
        "top_scenes": {"top": "exposure", "by": "scene", "half_life_days": 1, "k": 2},
        "hour_share_3d": {"share": "exposure", "by": "hour", "window_days": 3},
        "category_share_3d": {"share": "watch.duration_ms", "by": "category", "window_days": 3},
        "last_category": {"last": "enter", "by": "category"},
        "last_item": {"last": "enter", "by": "item_id"},
        "hours_since_enter": {"since": "enter"},
        "code": {"column": "user_id", "hash_buckets": 50},
        "city": {"attribute": "city"},
        "category_rate_3d": {"rate": ["enter", "exposure"], "by": "category", "window_days": 3},
    },
    "item": {
        "viewers_2d": {"distinct": "enter", "by": "user_id", "window_days": 2},
        "cities_2d": {"distinct": "exposure", "by": "city", "window_days": 2},
        "hours_since_first": {"since_first": "exposure"},
        "last_city": {"last": "watch", "by": "city"},
        "scene_rate_2d": {"rate": ["enter", "exposure"], "by": "scene", "window_days": 2},
        "grouped_2d": {"rate": ["watch.duration_ms", "enter"], "prior_by": "category", "window_days": 2},
        "key": {"column": "item_id"},
        "level": {"attribute": "level", "edges": [2, 3]},
        "code": {"attribute": "category", "hash_buckets": 5},
    },
    "context": {
        "scene": {"column": "scene"},
        "position": {"sql": "position", "scored_as": 0},
        "scene_rate_2d": {"target": "enter", "of": ["scene", "user_last_category"], "window_days": 2},
        "item_rate_3d": {"target": "enter", "of": ["item_id"], "window_days": 3, "smoothing": 5},
    },
    "sequence": {"recent": TABLES["features"]["sequence"]["recent"]},
    "cross": {"last_x_scene": {"of": ["user_last_category", "user_last_item"], "buckets": 50}},
}
SECTIONS: dict[str, Any] = {
    "features": KINDS,
    "labels": {"enter": TABLES["labels"]["enter"]},
    "vocabularies": {"item_id": {"min_count": 3}},
}
"""A product over the toy product's sources whose features are of every kind."""


def _hashed(text: str | None, buckets: int) -> int:
    """The id of a text without a vocabulary."""
    if not text:
        return 1
    digest = xxhash.xxh64_intdigest(text.encode(), seed=42)
    return 3 + (digest - 2**64 if digest >= 2**63 else digest) % buckets


class ProfileReference(Reference):
    """Features of SECTIONS from all raw rows at once; the fold of decay goes day by day, as it is defined."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._made: dict[Day, list[Row]] = {}

    def examples(self, day: Day) -> list[Row]:
        if day not in self._made:
            self._made[day] = super().examples(day)
        return self._made[day]

    def _example(self, row: Row) -> Row:
        named = {name: row[name] for name in ("user_id", "item_id", "room_id", "event_time")}
        label = {"label_enter": self._followed(row, "enter", ("user_id", "room_id"), 60, 600)}
        return {"example_id": row["event_id"], **named, "weight": 1.0, **label, **self.features(row)}

    def features(self, row: Row) -> Row:
        """All features of a pair at row's event_time."""
        t, user, item = row["event_time"], row["user_id"], row["item_id"]
        day, served = local_day(t), add_days(local_day(t - READY), -1)
        category = self.said("item", item, served).get("category")
        hour = t.astimezone(SHANGHAI).hour

        def of(who: str, event: str, days: int, by: str = "", value: object = None) -> list[Row]:
            found = self._window(who, user if who == "user" else item, event, days, served, {})
            return [one for one in found if not by or (value is not None and self.value(by, one) == value)]

        def watched(rows: list[Row]) -> float:
            return float(sum(one["duration_ms"] or 0 for one in rows))

        def distinct(who: str, event: str, days: int, by: str) -> float:
            return float(len({self.value(by, one) for one in of(who, event, days)} - {None, ""}))

        def top(event: str, by: str, half_life: int, k: int, column: str, measure: str | None = None) -> list[int]:
            weights = self.weights(user, event, half_life, served, by, measure)
            best = sorted((-weight, key.encode()) for key, weight in weights.items() if key and weight >= 1 / 1024)
            return [self.code(column, key.decode(), day) for _, key in best[:k]]

        scene = row["scene"]
        whole = {"enters": ("enter", 2, None), "watched": ("watch", 3, "duration_ms")}
        fading = {name: self.weights(user, e, h, served, "", m).get("", 0.0) for name, (e, h, m) in whole.items()}
        by_category = self.weights(user, "enter", 2, served, "category")
        entered = [e["event_time"] for e in self._seen(served) if e["user_id"] == user and e["event_type"] == "enter"]
        shown = [e["event_time"] for e in self._seen(served) if e["item_id"] == item and e["event_type"] == "exposure"]
        found = {
            "user_items_2d": distinct("user", "enter", 2, "item_id"),
            "user_cities_3d": distinct("user", "exposure", 3, "scene"),
            "user_hours_3d": distinct("user", "enter", 3, "hour"),
            "user_enters": fading["enters"],
            "user_watched": fading["watched"],
            "user_watches": float(len(of("user", "watch", 2))),
            "user_watched_2d": watched(of("user", "watch", 2)),
            "user_category_enters": by_category.get(category, 0.0) if category else 0.0,
            "user_top_items": top("enter", "item_id", 2, 3, "item_id"),
            "user_top_categories": top("watch", "category", 1, 1, "item_category", "duration_ms"),
            "user_top_scenes": top("exposure", "scene", 1, 2, "scene"),
            "user_hour_share_3d__num": float(len(of("user", "exposure", 3, "hour", str(hour)))),
            "user_hour_share_3d__den": float(len(of("user", "exposure", 3))),
            "user_category_share_3d__num": watched(of("user", "watch", 3, "category", category)),
            "user_category_share_3d__den": watched(of("user", "watch", 3)),
            "user_last_category": self.code(
                "item_category", self._latest("user", user, "enter", "category", served), day
            ),
            "user_last_item": self.code("item_id", self._latest("user", user, "enter", "item_id", served), day),
            "user_hours_since_enter": (t - max(entered)).total_seconds() / 3600 if entered else None,
            "user_code": _hashed(user, 50),
            "user_city": self.code("user_city", self.said("user", user, served).get("city"), day),
            "user_category_rate_3d__num": float(len(of("user", "enter", 3, "category", category))),
            "user_category_rate_3d__den": float(len(of("user", "exposure", 3, "category", category))),
            "item_viewers_2d": distinct("item", "enter", 2, "user_id"),
            "item_cities_2d": distinct("item", "exposure", 2, "city"),
            "item_hours_since_first": (t - min(shown)).total_seconds() / 3600 if shown else None,
            "item_last_city": self.code("user_city", self._latest("item", item, "watch", "city", served), day),
            "item_scene_rate_2d__num": float(len(of("item", "enter", 2, "scene", scene))),
            "item_scene_rate_2d__den": float(len(of("item", "exposure", 2, "scene", scene))),
            "item_grouped_2d__num": watched(of("item", "watch", 2)),
            "item_grouped_2d__den": float(len(of("item", "enter", 2))),
            **self._prior(category, served),
            "item_key": self.code("item_id", item, day),
            "item_level": None if (level := self.said("item", item, served).get("level")) is None else float(level),
            "item_code": _hashed(category, 5),
            "context_scene": self.code("scene", scene, day),
            "context_position": None if row["position"] is None else float(row["position"]),
        }
        found |= self._target("scene_rate_2d", ("context_scene", "user_last_category"), found, served, 2)
        found |= self._target("item_rate_3d", ("item_key",), found, served, 3)
        return {**found, "sequence_recent": self._sequence(user, t, day)}

    def _target(self, name: str, keys: tuple[str, ...], row: Row, served: Day, days: int) -> Row:
        """Labels of the examples with the same ids that matured on the days up to the profile's."""
        earlier = [one for n in range(days) for one in self.examples(add_days(served, -n))]
        labels = [one["label_enter"] for one in earlier if all(one[key] == row[key] for key in keys)]
        return {f"context_{name}__num": float(sum(labels)), f"context_{name}__den": float(len(labels))}

    def _prior(self, category: str | None, served: Day) -> Row:
        """Of all items that are of the category at the end of the day."""
        items = {row["item_id"] for row in (*self.world.events, *self.world.said["item"])}
        same = [item for item in items if category and self.said("item", item, served).get("category") == category]
        rows = {e: [row for i in same for row in self._window("item", i, e, 2, served, {})] for e in ("watch", "enter")}
        return {
            "item_grouped_2d__prior_num": float(sum(row["duration_ms"] or 0 for row in rows["watch"])),
            "item_grouped_2d__prior_den": float(len(rows["enter"])),
        }

    def value(self, by: str, row: Row) -> Any:
        """What an event counts for in a split."""
        if by == "hour":
            return str(row["event_time"].astimezone(SHANGHAI).hour)
        if by in ("category", "city"):
            return self._said_then("item" if by == "category" else "user", row).get(by)
        return row[by] if by else ""

    def weights(
        self, user: str, event: str, half_life: int, last: Day, by: str = "", measure: str | None = None
    ) -> dict[str, float]:
        """key -> s at the end of `last`: from day to day s * factor + x; what is nearly nothing is forgotten."""
        weights: dict[str, float] = {}
        day = FIRST
        while day <= last:
            x: dict[str, int] = {}
            for row in self._seen(day):
                mine = row["user_id"] == user and row["event_type"] == event
                if mine and local_day(row["available_at"]) == day and (key := self.value(by, row)) is not None:
                    x[key] = x.get(key, 0) + (1 if measure is None else row[measure] or 0)
            factor = 2.0 ** (-1.0 / half_life)
            weights = {key: weights.get(key, 0.0) * factor + x.get(key, 0) for key in {*weights, *x}}
            weights = {key: weight for key, weight in weights.items() if not by or abs(weight) >= 1 / 1024}
            day = add_days(day, 1)
        return weights

    def _latest(self, who: str, id_: str, event: str, by: str, served: Day) -> str | None:
        mine = [e for e in self._seen(served) if e[f"{who}_id"] == id_ and e["event_type"] == event]
        found: list[tuple[datetime.datetime, bytes]] = [
            (e["event_time"], value.encode()) for e in mine if (value := self.value(by, e))
        ]
        return max(found)[1].decode() if found else None
