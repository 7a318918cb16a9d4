"""Broadcasts as known at the end of a day: yesterday's open ones, with what today says of their starts and ends."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from pipeline import schemas
from pipeline.config import Config
from pipeline.days import Day, add_days
from pipeline.steps.instants import day_start


def rooms_known(said: DataFrame, earlier: DataFrame | None) -> DataFrame:
    """One row a room: the earliest start and end that were said, with when they could be known; order-free."""
    start, end = F.col("event_type") == "start", F.col("event_type") == "end"
    today = said.select(
        "room_id",
        "item_id",
        F.when(start, F.col("event_time")).alias("started_at"),
        F.when(start, F.col("available_at")).alias("start_available_at"),
        F.when(end, F.col("event_time")).alias("ended_at"),
        F.when(end, F.col("available_at")).alias("end_available_at"),
    )
    both = today if earlier is None else today.unionByName(earlier.select(*schemas.ROOMS))
    return both.groupBy("room_id").agg(*[_earliest(name) for name in schemas.ROOMS if name != "room_id"])


def still_of_use(config: Config, day: Day, rooms: DataFrame) -> DataFrame:
    """Rooms that are open, or ended so lately that an event of theirs may still arrive."""
    oldest = day_start(add_days(day, -config.clean.lookback_days), config.product.zone)
    return rooms.where(F.col("ended_at").isNull() | (F.col("ended_at") >= oldest)).select(*schemas.ROOMS)


def _earliest(name: str) -> Column:
    return F.min(name).alias(name)
