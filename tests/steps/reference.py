"""The same features a second time: plain Python over all raw rows at once, with nothing folded or incremental."""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Callable
from zoneinfo import ZoneInfo

from pipeline.days import Day, add_days
from tests.steps.rows import FIRST, Row, later
from tests.steps.world import World

SHANGHAI = ZoneInfo("Asia/Shanghai")
READY = datetime.timedelta(hours=6)


def local_day(time: datetime.datetime) -> Day:
    """The day in Shanghai."""
    return time.astimezone(SHANGHAI).date()


def end_of(day: Day) -> datetime.datetime:
    """Midnight in Shanghai after the day."""
    return datetime.datetime.combine(add_days(day, 1), datetime.time(), SHANGHAI)


class Reference:
    """Features of the toy product (rows.TABLES) by brute force."""

    def __init__(self, world: World) -> None:
        self.world = world

    def examples(self, day: Day) -> list[Row]:
        """The examples that mature on `day`, ordered by example_id."""
        shown = [row for row in self.world.events if row["event_type"] == "exposure" and row["bot_rule"] is None]
        of_day = [row for row in shown if local_day(row["event_time"] + later(600)) == day]
        arrived = [row for row in of_day if local_day(row["available_at"]) <= day]
        return sorted((self._example(row) for row in arrived), key=lambda row: row["example_id"])

    def _example(self, row: Row) -> Row:
        named = {name: row[name] for name in ("user_id", "item_id", "room_id", "event_time")}
        labels = {
            "label_enter": self._followed(row, "enter", ("user_id", "room_id"), 60, 600),
            "label_watch": self._followed(row, "watch", ("user_id", "item_id"), 300, 400),
        }
        return {"example_id": row["event_id"], **named, "weight": 1.0, **labels, **self.features(row)}

    def _followed(self, shown: Row, event: str, match: tuple[str, ...], within_s: int, mature_s: int) -> float:
        t = shown["event_time"]
        found = [
            row
            for row in self.world.events
            if row["event_type"] == event
            and all(row[name] is not None and row[name] == shown[name] for name in match)
            and t < row["event_time"] <= t + later(within_s)
            and row["available_at"] <= t + later(mature_s)
        ]
        return float(bool(found))

    def features(self, row: Row) -> Row:
        """All features of a pair at row's event_time."""
        t, user, item = row["event_time"], row["user_id"], row["item_id"]
        day = local_day(t)
        served = local_day(t - READY)
        served = add_days(served, -1)
        said_u, said_i = self.said("user", user, served), self.said("item", item, served)
        city, category = said_u.get("city"), said_i.get("category")

        def of(who: str, id_: str, event: str, days: int, **only: object) -> list[Row]:
            return self._window(who, id_, event, days, served, only)

        last = [e["event_time"] for e in self._seen(served) if e["user_id"] == user and e["event_type"] == "enter"]
        level = said_i.get("level")
        return {
            "user_key": self.code("user_id", user, day),
            "user_city": self.code("user_city", city, day),
            "user_exposures_2d": float(len(of("user", user, "exposure", 2))),
            "user_enter_rate_3d__num": float(len(of("user", user, "enter", 3))),
            "user_enter_rate_3d__den": float(len(of("user", user, "exposure", 3))),
            "user_category_rate_3d__num": float(len(of("user", user, "enter", 3, category=category))),
            "user_category_rate_3d__den": float(len(of("user", user, "exposure", 3, category=category))),
            "user_item_watch_2d": float(sum(e["duration_ms"] or 0 for e in of("user", user, "watch", 2, item=item))),
            "user_hours_since_enter": (t - max(last)).total_seconds() / 3600 if last else None,
            "item_key": self.code("item_id", item, day),
            "item_category": self.code("item_category", category, day),
            "item_level": None if level is None else float(level),
            "item_watch_1d__num": float(sum(e["duration_ms"] or 0 for e in of("item", item, "watch", 1))),
            "item_watch_1d__den": float(len(of("item", item, "enter", 1))),
            "item_city_rate_2d__num": float(len(of("item", item, "enter", 2, city=city))),
            "item_city_rate_2d__den": float(len(of("item", item, "exposure", 2, city=city))),
            "context_scene": self.code("scene", row["scene"], day),
            "context_hour": None if row["position"] is None else float(t.astimezone(SHANGHAI).hour + row["position"]),
            "sequence_recent": self._sequence(user, t, day),
        }

    def said(self, entity: str, id_: str, day: Day) -> Row:
        """The latest statement that had arrived by the end of a day."""
        name = f"{entity}_id"
        rows = [r for r in self.world.said[entity] if r[name] == id_ and local_day(r["available_at"]) <= day]
        return max(rows, key=lambda r: (r["event_time"], r["event_id"]), default={})

    def _seen(self, day: Day) -> list[Row]:
        """Events of people that had arrived by the end of a day, verdicts by the end of their arrival days."""
        arrived = [row for row in self.world.events if local_day(row["available_at"]) <= day]
        return [row for row in arrived if not self._is_bot(row)]

    @staticmethod
    def _is_bot(row: Row) -> bool:
        return row["bot_rule"] is not None and row["bot_available_at"] <= end_of(local_day(row["available_at"]))

    def _window(self, who: str, id_: str, event: str, days: int, served: Day, only: dict[str, object]) -> list[Row]:
        rows = [row for row in self._seen(served) if row[f"{who}_id"] == id_ and row["event_type"] == event]
        inside = [row for row in rows if add_days(served, 1 - days) <= local_day(row["event_time"]) <= served]
        splits: dict[str, Callable[[Row], object]] = {
            "item": lambda row: row["item_id"],
            "category": lambda row: self._said_then("item", row).get("category"),
            "city": lambda row: self._said_then("user", row).get("city"),
        }
        return [row for row in inside if all(v is not None and splits[k](row) == v for k, v in only.items())]

    def _said_then(self, entity: str, row: Row) -> Row:
        return self.said(entity, row[f"{entity}_id"], local_day(row["available_at"]))

    def _sequence(self, user: str, t: datetime.datetime, day: Day) -> list[int]:
        begin = t - datetime.timedelta(days=2)
        rows = [r for r in self.world.events if r["user_id"] == user and r["event_type"] in ("enter", "watch")]
        known = sorted((r["available_at"], r["event_id"], r["item_id"]) for r in rows if begin <= r["available_at"] < t)
        return [self.code("item_id", item, day) for _, _, item in known[-3:]]

    def code(self, column: str, value: str | None, day: Day) -> int:
        """The id of a value by the vocabulary of the day before."""
        if value is None or value == "":
            return 1
        return self.vocabulary(column, add_days(day, -1)).get(value, 2)

    def vocabulary(self, column: str, last: Day) -> dict[str, int]:
        """Value -> id as of the end of `last`, one day after another from the first."""
        ids: dict[str, int] = {}
        least = {"user_id": 2, "item_id": 3}.get(column, 1)
        counts: Counter[str] = Counter()
        day = FIRST
        while day <= last:
            counts.update(self._values(column, day))
            fresh = [value for value, count in counts.items() if count >= least and value not in ids]
            for value in sorted(fresh, key=lambda v: (-counts[v], v.encode())):
                ids[value] = 3 + len(ids)
            day = add_days(day, 1)
        return ids

    def _values(self, column: str, day: Day) -> list[str]:
        sources = {"user_city": ("user", "city"), "item_category": ("item", "category")}
        entity, name = sources.get(column, ("", column))
        rows = self.world.said[entity] if entity else self.world.events
        return [row[name] for row in rows if local_day(row["available_at"]) == day and row[name]]
