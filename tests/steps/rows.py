"""A small product for the tests of the steps, and rows that state only what matters."""

from __future__ import annotations

import datetime
import itertools
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession

from pipeline import schemas
from pipeline.config import Config, parse_config
from pipeline.days import day_start_us

FIRST = datetime.date(2026, 1, 1)
UTC = datetime.UTC
Row = dict[str, Any]
_ARROW = {
    "string": pa.string(),
    "timestamp": pa.timestamp("us", "UTC"),
    "date": pa.date32(),
    "int": pa.int32(),
    "bigint": pa.int64(),
    "float": pa.float32(),
    "double": pa.float64(),
    "array<int>": pa.list_(pa.int32()),
}
_numbers = itertools.count()

TABLES: dict[str, Any] = {
    "product": {"name": "toy", "day_zone": "Asia/Shanghai", "first_day": FIRST},
    "sources": {
        "events": {
            "kind": "events",
            "path": "raw/events/dt={dt}/*.json",
            "columns": {
                **{name: {"from": name} for name in ("event_id", "user_id", "item_id", "room_id", "event_type")},
                "event_time": {"from": "ts", "time": ["epoch_ms"]},
                "scene": {"from": "scene"},
                "position": {"from": "pos", "type": "int"},
                "duration_ms": {"from": "dur", "type": "long", "min": 0, "max": 86_400_000},
            },
        },
        "users": {
            "kind": "events",
            "path": "raw/users/dt={dt}/*.json",
            "columns": {
                **{name: {"from": name} for name in ("event_id", "user_id", "city")},
                "event_time": {"from": "ts", "time": ["epoch_ms"]},
            },
        },
        "streamers": {
            "kind": "events",
            "path": "raw/streamers/dt={dt}/*.json",
            "columns": {
                **{name: {"from": name} for name in ("event_id", "item_id", "category")},
                "level": {"from": "level", "type": "long"},
                "event_time": {"from": "ts", "time": ["epoch_ms"]},
            },
        },
    },
    "datasets": {"events": "events", "attributes": {"user": "users", "item": "streamers"}},
    "labels": {
        "enter": {"event": "enter", "match": ["user_id", "room_id"], "within_s": 60, "mature_after_s": 600},
        "watch": {"event": "watch", "match": ["user_id", "item_id"], "within_s": 300, "mature_after_s": 400},
    },
    "profiles": {"ready_after_s": 21_600},
    "vocabularies": {"user_id": {"min_count": 2}, "item_id": {"min_count": 3}},
    "features": {
        "user": {
            "key": {"column": "user_id"},
            "city": {"attribute": "city"},
            "exposures_2d": {"count": "exposure", "window_days": 2},
            "enter_rate_3d": {"rate": ["enter", "exposure"], "window_days": 3},
            "category_rate_3d": {"rate": ["enter", "exposure"], "by": "category", "window_days": 3},
            "item_watch_2d": {"sum": "watch.duration_ms", "by": "item_id", "window_days": 2},
            "hours_since_enter": {"since": "enter"},
        },
        "item": {
            "key": {"column": "item_id"},
            "category": {"attribute": "category"},
            "level": {"attribute": "level", "edges": [2, 3]},
            "watch_1d": {"rate": ["watch.duration_ms", "enter"], "window_days": 1},
            "city_rate_2d": {"rate": ["enter", "exposure"], "by": "city", "window_days": 2},
        },
        "context": {
            "scene": {"column": "scene"},
            "hour": {"sql": "hour(from_utc_timestamp(event_time, 'Asia/Shanghai')) + position"},
        },
        "sequence": {"recent": {"of": "item_id", "events": ["enter", "watch"], "last": 3, "window_days": 2}},
        "cross": {"user_x_category": {"of": ["user_id", "item_category"], "buckets": 100}},
    },
    "training": {"label": "enter"},
    "gate": {"auc": {"at_least": 0.5}},
}


def toy_config(**sections: Any) -> Config:
    """The toy product, with whole sections replaced; its vocabularies are those of its own features."""
    own = {**TABLES, "vocabularies": {}} if "features" in sections else TABLES
    return parse_config({**own, **sections})


def at(day: datetime.date, hour: float = 12.0) -> datetime.datetime:
    """The instant so many hours after the midnight of `day` in the product's zone."""
    midnight = datetime.datetime.combine(day, datetime.time(), ZoneInfo("Asia/Shanghai"))
    return midnight.astimezone(UTC) + datetime.timedelta(hours=hour)


def later(seconds: float) -> datetime.timedelta:
    """So many seconds."""
    return datetime.timedelta(seconds=seconds)


def event(event_type: str, time: datetime.datetime, **changes: Any) -> Row:
    """A clean event, available a second after it happened."""
    base: Row = {
        "event_id": f"e{next(_numbers):06d}",
        "user_id": "u1",
        "item_id": "i1",
        "room_id": "r1",
        "event_type": event_type,
        "event_time": time,
        "available_at": time + later(1),
        "scene": "hot",
        "position": 0,
        "duration_ms": None,
        "bot_rule": None,
        "bot_available_at": None,
        "source_file": "f",
    }
    return {**base, **changes}


def statement(entity: str, id_: str, time: datetime.datetime, **changes: Any) -> Row:
    """What a user or a streamer said of itself."""
    said: Row = {"city": None} if entity == "user" else {"category": None, "level": None}
    clocks = {"event_time": time, "available_at": time + later(1)}
    return {schemas.ENTITY_ID[entity]: id_, "event_id": f"s{next(_numbers):06d}", **clocks, **said, **changes}


def frame(spark: SparkSession, rows: list[Row], columns: schemas.Columns) -> DataFrame:
    """Rows as a DataFrame of a schema, handed over as one Arrow table: no Python worker has to start."""
    schema = pa.schema([(name, _ARROW[type_]) for name, type_ in columns.items()])
    table = pa.Table.from_pylist([{name: row[name] for name in columns} for row in rows], schema)
    return spark.createDataFrame(table)


def events_frame(spark: SparkSession, config: Config, rows: list[Row]) -> DataFrame:
    """Clean events."""
    return frame(spark, rows, schemas.events(config))


def attributes_frame(spark: SparkSession, config: Config, entity: str, rows: list[Row]) -> DataFrame:
    """What users or streamers said."""
    return frame(spark, rows, schemas.attributes(config, entity))


def collected(table: DataFrame, *order: str) -> list[Row]:
    """All rows as dictionaries, arrays of rows too, ordered by some columns."""
    return [row.asDict(recursive=True) for row in table.orderBy(*order).collect()]


def day_of(config: Config, time: datetime.datetime) -> datetime.date:
    """The day of the product's zone in which an aware instant falls."""
    return time.astimezone(config.product.zone).date()


def day_end(config: Config, day: datetime.date) -> datetime.datetime:
    """The instant at which the day after `day` begins."""
    micros = day_start_us(day + datetime.timedelta(days=1), config.product.zone)
    return datetime.datetime.fromtimestamp(micros / 1e6, UTC)


def aware(time: datetime.datetime) -> datetime.datetime:
    """A timestamp as Spark hands it out (naive, in this process's zone), as an instant of UTC."""
    return time.astimezone(UTC)
