"""A small random world of several days, and the steps run over it day by day."""

from __future__ import annotations

import datetime
import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow.parquet as pq
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from pipeline import schemas
from pipeline.config import Config
from pipeline.days import Day, add_days
from pipeline.features import vocabulary_names
from pipeline.schemas import Columns, ddl
from pipeline.steps.build_daily import build_daily
from pipeline.steps.build_examples import build_examples
from pipeline.steps.build_examples.negatives import Known, points_of
from pipeline.steps.build_profiles import attribute_snapshot, build_profiles
from pipeline.steps.build_vocab import build_vocab, vocabulary_values
from pipeline.steps.measures import daily_columns, profile_columns
from tests.steps.rows import (
    FIRST,
    UTC,
    Row,
    at,
    attributes_frame,
    day_end,
    day_of,
    event,
    events_frame,
    later,
    statement,
)

ENTITIES = ("user", "item")


@dataclass
class World:
    """Rows of every kind; the arrival day of each is the day of its available_at."""

    events: list[Row]
    said: dict[str, list[Row]]

    def arrived(self, config: Config, rows: list[Row], first: Day, last: Day) -> list[Row]:
        """The rows that arrived on the days first..last."""
        return [row for row in rows if first <= day_of(config, row["available_at"]) <= last]


def random_world(seed: int, days: int = 4, events_a_day: int = 70) -> World:
    """Few users and items, much of it around midnight and the hour when profiles become ready; some rows are late."""
    rng = random.Random(seed)
    events = [_event(rng, at(add_days(FIRST, day), _hour(rng))) for day in range(days) for _ in range(events_a_day)]
    for row in list(events):
        if row["event_type"] == "exposure" and rng.random() < 0.6:
            same = {name: row[name] for name in ("user_id", "item_id", "room_id")}
            follows = _event(rng, row["event_time"] + later(rng.choice([0, 1, 30, 60, 61, 300])))
            events.append({**follows, **same, "event_type": rng.choice(["enter", "enter", "watch"])})
    said = {"user": [], "item": []}  # type: dict[str, list[Row]]
    for day in range(days):
        said["user"] += [_said(rng, "user", f"u{rng.randrange(8)}", add_days(FIRST, day)) for _ in range(5)]
        said["item"] += [_said(rng, "item", f"i{rng.randrange(6)}", add_days(FIRST, day)) for _ in range(4)]
    for rows in (events, *said.values()):
        rows[:] = [row for row in rows if row["available_at"] < at(add_days(FIRST, days), 0)]
    return World(events, said)


def _hour(rng: random.Random) -> float:
    return rng.choice([0.001, 0.1, 5.99, 6.0, 6.01, 23.8, 23.9, 23.999, rng.uniform(0, 24), rng.uniform(0, 24)])


def _event(rng: random.Random, time: datetime.datetime) -> Row:
    item = rng.randrange(6)
    event_type = rng.choice(["exposure"] * 5 + ["enter", "enter", "watch"])
    bot = rng.random() < 0.1
    delay = later(rng.choice([1, 1, 1, 5, 500, 90_000]))
    end_of_hour = time.replace(minute=0, second=0, microsecond=0) + datetime.timedelta(hours=1)
    return event(
        event_type,
        time,
        user_id=f"u{min(rng.randrange(12), rng.randrange(12))}",
        item_id=f"i{item}",
        room_id=rng.choice([f"r{item}", f"r{item}", None]),
        available_at=time + delay,
        scene=rng.choice(["hot", "new", "", None]),
        position=rng.choice([0, 1, None]),
        duration_ms=rng.randrange(100_000) if event_type == "watch" and rng.random() < 0.9 else None,
        bot_rule="rate" if bot else None,
        bot_available_at=end_of_hour if bot else None,
    )


def _said(rng: random.Random, entity: str, id_: str, day: Day) -> Row:
    time = at(day, _hour(rng))
    changes: Row = {"available_at": time + later(rng.choice([1, 1, 90_000]))}
    if entity == "user":
        return statement(entity, id_, time, city=rng.choice(["北京", "Köln", "", None]), **changes)
    return statement(
        entity, id_, time, category=rng.choice(["music", "game"]), level=rng.choice([1, 2, None]), **changes
    )


@dataclass
class Road:
    """What the steps made of a world: (dataset, day) -> a table on disk; days before `start` are those of `base`."""

    spark: SparkSession
    config: Config
    folder: Path
    columns: dict[str, Columns] = field(default_factory=dict)
    start: Day = FIRST
    base: Path | None = None

    def path(self, dataset: str, day: Day) -> str:
        """Where a table lies."""
        folder = self.base if self.base is not None and day < self.start else self.folder
        return str(folder / dataset / f"dt={day}")

    def keep(self, dataset: str, day: Day, table: DataFrame) -> None:
        """Write a table; what a step gives must have exactly the schema's names and types."""
        self.columns.setdefault(dataset, dict(table.dtypes))
        table.coalesce(1).write.parquet(self.path(dataset, day))

    def expect(self, dataset: str, days: Iterable[Day], day_column: str | None = None) -> DataFrame:
        """The same, of days that there are."""
        found = self.table(dataset, days, day_column)
        assert found is not None
        return found

    def table(self, dataset: str, days: Iterable[Day], day_column: str | None = None) -> DataFrame | None:
        """The days of a dataset that there are, together."""
        found = None
        for day in days:
            if day >= self.config.product.first_day:
                table = self.spark.read.schema(ddl(self.columns[dataset])).parquet(self.path(dataset, day))
                table = table if day_column is None else table.withColumn(day_column, F.lit(day))
                found = table if found is None else found.unionByName(table)
        return found

    def rows(self, dataset: str, day: Day) -> list[Row]:
        """A day's rows, ordered by every column as text."""
        return sorted(pq.read_table(self.path(dataset, day), partitioning=None).to_pylist(), key=str)


def walk(
    spark: SparkSession, config: Config, world: World, folder: Path, days: list[Day], base: Road | None = None
) -> Road:
    """Every step on every one of `days`, each reading what the days before left (those of `base` before the first)."""
    road = Road(spark, config, folder)
    if base is not None:
        road = Road(spark, config, folder, dict(base.columns), days[0], base.folder)
    for day in days:
        _sums(road, world, day)
        _vocabularies(road, world, day)
        _examples(road, world, day)
    return road


def arrived(road: Road, world: World, first: Day, last: Day) -> DataFrame:
    """The events that arrived on the days first..last."""
    return events_frame(road.spark, road.config, world.arrived(road.config, world.events, first, last))


def _statements(road: Road, world: World, entity: str, day: Day) -> DataFrame:
    rows = world.arrived(road.config, world.said[entity], day, day)
    return attributes_frame(road.spark, road.config, entity, rows)


def _sums(road: Road, world: World, day: Day) -> None:
    config, yesterday = road.config, add_days(day, -1)
    events = arrived(road, world, day, day)
    before = {entity: road.table(f"profiles_{entity}", [yesterday]) for entity in ENTITIES}
    said = {e: attribute_snapshot(config, e, before[e], _statements(road, world, e, day)) for e in ENTITIES}
    for entity in ENTITIES:
        daily = build_daily(config, day, entity, events, said["item"], said["user"])
        assert dict(daily.dtypes) == _types(road.spark, daily_columns(config, entity))
        road.keep(f"daily_{entity}", day, daily)
        window = road.table(f"daily_{entity}", [add_days(day, -n) for n in range(3)], "dt")
        assert window is not None
        profiles = build_profiles(config, day, entity, before[entity], said[entity], window)
        assert dict(profiles.dtypes) == _types(road.spark, profile_columns(config, entity))
        road.keep(f"profiles_{entity}", day, profiles)


def _vocabularies(road: Road, world: World, day: Day) -> None:
    events = arrived(road, world, day, day)
    said = {entity: _statements(road, world, entity, day) for entity in ENTITIES}
    yesterday = {name: road.table(f"vocab_{name}", [add_days(day, -1)]) for name in vocabulary_names(road.config)}
    known = {name: table for name, table in yesterday.items() if table is not None}
    made = build_vocab(road.config, day, vocabulary_values(road.config, events, said), known)
    for column, snapshot in made.tables.items():
        assert dict(snapshot.dtypes) == schemas.VOCABULARY
        road.keep(f"vocab_{column}", day, snapshot)


def _examples(road: Road, world: World, day: Day) -> None:
    yesterday = add_days(day, -1)
    profiles = {e: road.table(f"profiles_{e}", [add_days(day, -2), yesterday], "profile_day") for e in ENTITIES}
    vocabularies = {column: road.table(f"vocab_{column}", [yesterday]) for column in vocabulary_names(road.config)}
    made = build_examples(
        road.config,
        day,
        arrived(road, world, yesterday, day),
        {name: table for name, table in profiles.items() if table is not None},
        {name: table for name, table in vocabularies.items() if table is not None},
        arrived(road, world, add_days(day, -4), day),
        road.table("examples", [add_days(day, -n) for n in range(5, 0, -1)], "dt"),
        points_of(road.config, day, arrived(road, world, yesterday, day), _known(road, world, day)).table,
    )
    assert dict(made.dtypes) == _types(road.spark, schemas.examples(road.config))
    road.keep("examples", day, made)


def _known(road: Road, world: World, day: Day) -> Known:
    """What candidates are sampled from where the product asks for any: popular items."""
    before = [
        arrived(road, world, one, one).withColumn("dt", F.lit(one)) for one in (add_days(day, -2), add_days(day, -1))
    ]
    return Known(popularity=before[0].unionByName(before[1]), seen=arrived(road, world, add_days(day, -4), day))


def _types(spark: SparkSession, columns: Columns) -> dict[str, str]:
    return dict(spark.createDataFrame([], ddl(columns)).dtypes)


def shift_future(world: World, config: Config, instant: datetime.datetime, seed: int) -> World:
    """The same world before `instant`; every row that is available at or after it is changed at random, or gone."""
    rng = random.Random(seed)
    events = [
        _changed(rng, config, row, instant) if row["available_at"] >= instant else dict(row) for row in world.events
    ]
    for row in events:  # a verdict is a row too
        if row["bot_available_at"] is not None and row["bot_available_at"] >= instant:
            row["bot_rule"] = row["bot_available_at"] = None
    said = {
        entity: [row if row["available_at"] < instant else {**row, **_other(rng, entity)} for row in rows]
        for entity, rows in world.said.items()
    }
    return World([row for row in events if row["available_at"] < instant or rng.random() < 0.8], said)


def _changed(rng: random.Random, config: Config, row: Row, instant: datetime.datetime) -> Row:
    end = day_end(config, day_of(config, row["available_at"]))
    begin = max(instant, end - datetime.timedelta(days=1))
    available_at = begin + (end - begin) * rng.random()
    time = available_at - later(rng.choice([0, 1, 600, 40_000]))
    other = _event(rng, time)
    return {**other, "event_id": row["event_id"], "available_at": available_at.astimezone(UTC)}


def _other(rng: random.Random, entity: str) -> Row:
    return (
        {"city": rng.choice(["Oslo", "Köln"])} if entity == "user" else {"category": "chess", "level": rng.randrange(9)}
    )
