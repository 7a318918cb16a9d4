"""A small product from raw lines to examples twice: the steps day by day, and plain Python over all lines at once."""

from __future__ import annotations

import copy
import datetime
import json
import random
from collections import Counter
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from pyspark.sql import SparkSession

from pipeline.config import Config, parse_config
from pipeline.days import Day, add_days, days_between
from pipeline.steps.build_daily import build_daily
from pipeline.steps.build_examples import build_examples
from pipeline.steps.build_profiles import build_profiles
from pipeline.steps.build_sessions import build_sessions
from pipeline.steps.build_vocab import build_vocab, vocabulary_values
from pipeline.steps.clean_logs import clean_logs, raw_lines
from tests.steps.rows import Row, later
from tests.steps.session_reference import published, session_tables, sessions_of
from tests.steps.spark_settings import spark_settings
from tests.steps.world import Road

ZONE = ZoneInfo("Europe/Berlin")
UTC = datetime.UTC
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=UTC)
MICRO = datetime.timedelta(microseconds=1)
LOOKBACK, READY_S, MATURE_S, WITHIN_S, LEAST = 2, 21_600, 600, 60, 2
FEATURES: dict[str, Any] = {
    "user": {
        "exposures_7d": {"count": "exposure", "window_days": 7},
        "sessions_7d": {"count": "session", "window_days": 7},
        "per_session_7d": {"rate": ["session.duration_ms", "session"], "window_days": 7},
        "hours_since_session": {"since": "session"},
    },
    "context": {
        "item": {"column": "item_id"},
        "hour": {"sql": "hour(from_utc_timestamp(event_time, 'Europe/Berlin'))"},
    },
}


def road_config(first: Day) -> Config:
    """Events alone, whose lines say both clocks."""
    tables: dict[str, Any] = copy.deepcopy(session_tables(day_zone=ZONE.key, first_day=first))
    columns = tables["sources"]["events"]["columns"]
    kept = {name: columns[name] for name in ("event_id", "user_id", "item_id", "event_type")}
    clocks = {name: {"from": name, "time": ["epoch_us"]} for name in ("event_time", "available_at")}
    tables["sources"] = {"events": {**tables["sources"]["events"], "columns": {**kept, **clocks}}}
    label = {"event": "enter", "match": ["user_id", "item_id"], "within_s": WITHIN_S, "mature_after_s": MATURE_S}
    return parse_config(
        {
            **tables,
            "datasets": {"events": "events"},
            "clean": {"lookback_days": LOOKBACK},
            "labels": {"enter": label},
            "profiles": {"ready_after_s": READY_S},
            "vocabularies": {"item_id": {"min_count": LEAST}},
            "features": FEATURES,
        }
    )


def midnight(day: Day) -> datetime.datetime:
    """The instant at which a day begins in Berlin, by the zone's own offset then."""
    local = datetime.datetime.combine(day, datetime.time(), ZONE)
    return local.replace(tzinfo=UTC) - (local.utcoffset() or datetime.timedelta())


def day_of(time: datetime.datetime) -> Day:
    """The day whose midnights lie around an instant."""
    near = [add_days(time.date(), n) for n in (-1, 0, 1)]
    return next(day for day in near if midnight(day) <= time < midnight(add_days(day, 1)))


def lines_of(first: Day, days: int, seed: int, a_day: int = 24) -> dict[Day, list[Row]]:
    """Arrival day -> its lines: much about midnight, six in the morning and the hour of a change; some come late, some
    are sent again, on their day or up to three days later."""
    rng = random.Random(seed)
    arrived: dict[Day, list[Row]] = {add_days(first, n): [] for n in range(days)}
    for number in range(days * a_day):
        begin = midnight(add_days(first, number // a_day))
        hour = rng.choice([0, 0.2, 0.999, 1, 1.5, 2, 2.5, 3, 5.999, 6, 6.2, 22.9, 23.9, 24 * rng.random()])
        shown = _line(rng, f"e{number}", "exposure", begin + later(3600 * hour) + rng.randrange(3) * MICRO)
        made = [shown]
        if rng.random() < 0.8:
            after = shown["event_time"] + later(rng.choice([1, 30, 60, 60, 61, 1800]))
            same = {"user_id": shown["user_id"], "item_id": shown["item_id"]}
            made.append({**_line(rng, f"f{number}", rng.choice(["enter", "enter", "watch"]), after), **same})
        if rng.random() < 0.15:
            again = later(rng.choice([5, 3600, 86_400, 2 * 86_400, 3 * 86_400]))
            made.append({**made[-1], "available_at": made[-1]["available_at"] + again})
        for row in made:
            arrived.setdefault(day_of(row["available_at"]), []).append(row)
    return {day: rows for day, rows in arrived.items() if first <= day < add_days(first, days)}


def _line(rng: random.Random, id_: str, event_type: str, time: datetime.datetime) -> Row:
    delay = later(rng.choice([1, 1, 1, 1, 1, 540, 600, 601, 40_000, 90_000, 200_000]))
    clocks = {"event_time": time, "available_at": time + delay}
    return {"event_id": id_, "user_id": f"u{rng.randrange(4)}", "item_id": f"i{rng.randrange(9)}",
            "event_type": event_type, **clocks}  # fmt: skip


class Walk:
    """The steps over the lines, one day after another; each reads what the days before it left."""

    def __init__(self, spark: SparkSession, config: Config, folder: Path) -> None:
        self.road = Road(spark, config, folder)

    def day(self, day: Day, lines: list[Row], examples: bool) -> Counter[str]:
        """All steps of a day; how many lines met which fate."""
        road, config, before = self.road, self.road.config, [add_days(day, -1)]
        path = road.folder / f"raw-{day}.json"
        path.write_text("".join(json.dumps({k: _written(v) for k, v in row.items()}) + "\n" for row in lines))
        raw = {"events": raw_lines(road.spark, [str(path)], config.sources["events"])}
        seen = road.table("events", [add_days(day, -n) for n in range(1, LOOKBACK + 1)])
        cleaned = clean_logs(config, day, raw, {} if seen is None else {"events": seen}, None)
        road.keep("events", day, cleaned.events)
        fates = Counter({row["fate"]: row["lines"] for row in cleaned.accounting.collect()})
        cleaned.release()
        events = road.expect("events", [day])
        road.keep("sessions", day, build_sessions(config, day, events, road.table("sessions", before)))
        sessions = road.expect("sessions", [day])
        road.keep("daily", day, build_daily(config, day, "user", events, None, None, sessions))
        window = road.expect("daily", days_between(add_days(day, -7), day, config.product.first_day), "dt")
        road.keep("profiles", day, build_profiles(config, day, "user", road.table("profiles", before), None, window))
        known = road.table("vocab", before)
        values = vocabulary_values(config, events, {})
        vocabularies = build_vocab(config, day, values, {} if known is None else {"item_id": known})
        road.keep("vocab", day, vocabularies.tables["item_id"])
        vocabularies.release()
        if examples:
            self._examples(day)
        return fates

    def _examples(self, day: Day) -> None:
        road, yesterday = self.road, add_days(day, -1)
        profiles = road.expect("profiles", [add_days(day, -2), yesterday], "profile_day")
        events = road.expect("events", [yesterday, day])
        known = {"item_id": road.expect("vocab", [yesterday])}
        road.keep("examples", day, build_examples(road.config, day, events, {"user": profiles}, known, events))


def _written(value: Any) -> Any:
    return (value - EPOCH) // MICRO if isinstance(value, datetime.datetime) else value


class RoadReference:
    """The same from all lines at once."""

    def __init__(self, config: Config, lines: dict[Day, list[Row]]) -> None:
        self.config, self.events, self.fates = config, dict[Day, list[Row]](), dict[Day, Counter[str]]()
        for day, rows in sorted(lines.items()):
            recent = [self.events.get(add_days(day, -n), []) for n in range(1, LOOKBACK + 1)]
            ids = {row["event_id"] for kept in recent for row in kept}
            self.events[day], self.fates[day] = [], Counter()
            for row in sorted(rows, key=lambda row: row["available_at"]):
                fate = self._fate(row, day, ids)
                self.fates[day][fate] += 1
                if fate == "kept":
                    ids.add(row["event_id"])
                    self.events[day].append({**row, "bot_rule": None, "bot_available_at": None})
        self.rows = [row for kept in self.events.values() for row in kept]

    @staticmethod
    def _fate(row: Row, day: Day, ids: set[str]) -> str:
        if row["event_time"] < midnight(add_days(day, -LOOKBACK)):
            return "too_late"
        return "duplicate" if row["event_id"] in ids else "kept"

    def sessions(self, day: Day) -> list[Row]:
        """What sessions/dt=day holds."""
        return published(self.config, self.rows, day)

    def profile(self, user: str, day: Day) -> Row:
        """What was known of a user at the end of a day; a window of seven days reaches over whatever hours they had."""
        end, begin = midnight(add_days(day, 1)), midnight(add_days(day, -6))
        rows = [row for row in self.rows if row["user_id"] == user and row["available_at"] < end]
        over = [one for one in sessions_of(self.rows) if one["user_id"] == user and one["available_at"] < end]
        recent = [one for one in over if begin <= one["ended_at"] < end]
        return {
            "id": user,
            "count_exposure_7d": sum(
                row["event_type"] == "exposure" and begin <= row["event_time"] < end for row in rows
            ),
            "count_session_7d": len(recent),
            "sum_duration_ms_session_7d": sum(one["duration_ms"] for one in recent),
            "last_session": max((one["ended_at"] for one in over), default=None),
        }

    def vocabulary(self, day: Day) -> dict[str, int]:
        """Item -> id at the end of a day."""
        ids: dict[str, int] = {}
        counts: Counter[str] = Counter()
        for arrived in sorted(self.events):
            if arrived <= day:
                counts.update(row["item_id"] for row in self.events[arrived])
                fresh = [item for item, count in counts.items() if count >= LEAST and item not in ids]
                ids |= {item: 3 + len(ids) + n for n, item in enumerate(sorted(fresh, key=lambda i: (-counts[i], i)))}
        return ids

    def examples(self, day: Day) -> dict[str, Row]:
        """By id, the exposures whose label is final within the day and that had arrived by its end."""
        begin, end = (midnight(one) - later(MATURE_S) for one in (day, add_days(day, 1)))
        shown = [row for row in self.rows if row["event_type"] == "exposure" and begin <= row["event_time"] < end]
        return {
            row["event_id"]: self._example(row) for row in shown if row["available_at"] < midnight(add_days(day, 1))
        }

    def _example(self, shown: Row) -> Row:
        t, same = shown["event_time"], ("user_id", "item_id")
        entered = [
            row
            for row in self.rows
            if row["event_type"] == "enter"
            and all(row[name] == shown[name] for name in same)
            and t < row["event_time"] <= t + later(WITHIN_S)
            and row["available_at"] <= t + later(MATURE_S)
        ]
        ready = [day for day in self.events if midnight(add_days(day, 1)) + later(READY_S) <= t]
        profile = self.profile(shown["user_id"], max(ready)) if ready else {}
        last = profile.get("last_session")
        codes = self.vocabulary(add_days(day_of(t), -1))
        return {
            "label_enter": float(bool(entered)),
            "user_exposures_7d": float(profile.get("count_exposure_7d", 0)),
            "user_sessions_7d": float(profile.get("count_session_7d", 0)),
            "user_per_session_7d__num": float(profile.get("sum_duration_ms_session_7d", 0)),
            "user_per_session_7d__den": float(profile.get("count_session_7d", 0)),
            "user_hours_since_session": None if last is None else (t - last) / later(3600),
            "context_item": codes.get(shown["item_id"], 2),
            "context_hour": float((t + (t.astimezone(ZONE).utcoffset() or datetime.timedelta())).hour),
        }


PLAINLY = {"spark.sql.shuffle.partitions": "1", "spark.sql.adaptive.enabled": "false"}
"""No second thoughts: for some dozen rows a plan takes longer than the work."""


def walked(
    spark: SparkSession, folder: Path, first: Day, days: int, seed: int, examples: int
) -> tuple[Road, RoadReference]:
    """Both, with examples of the last days; every line has its fate in both."""
    config, lines = road_config(first), lines_of(first, days, seed)
    walk, reference = Walk(spark, config, folder), RoadReference(config, lines)
    with spark_settings(spark, PLAINLY):
        for number, (day, rows) in enumerate(sorted(lines.items())):
            assert walk.day(day, rows, number >= days - examples) == reference.fates[day], day
    return walk.road, reference
