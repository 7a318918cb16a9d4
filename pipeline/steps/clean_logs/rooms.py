"""Broadcasts as known at the end of a day: yesterday's open ones, with what today says of their starts and ends."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from pipeline import schemas
from pipeline.config import Config
from pipeline.days import Day, add_days
from pipeline.steps.instants import day_start


def rooms_known(said: DataFrame, earlier: DataFrame | None) -> DataFrame:
    """One row a room: its start and its end as they were said first; order-free.

    What is said later of a room changes nothing: a judgement on an event depends on what was known when it arrived.
    """
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
    told = both.groupBy("room_id").agg(
        _first_said("start_available_at", "started_at").alias("start"),
        _first_said("end_available_at", "ended_at").alias("end"),
    )
    columns = {name: F.coalesce(*[F.col(f"{side}.{name}") for side in sides]) for name, sides in _SIDES.items()}
    return told.select("room_id", *[column.alias(name) for name, column in columns.items()])


def still_of_use(config: Config, day: Day, rooms: DataFrame) -> DataFrame:
    """Rooms that are open, or ended so lately that an event of theirs may still arrive."""
    oldest = day_start(add_days(day, -config.clean.lookback_days), config.product.zone)
    return rooms.where(F.col("ended_at").isNull() | (F.col("ended_at") >= oldest)).select(*schemas.ROOMS)


_SIDES = {
    "item_id": ("start", "end"),
    "started_at": ("start",),
    "start_available_at": ("start",),
    "ended_at": ("end",),
    "end_available_at": ("end",),
}
"""Which statement each column is taken from."""


def _first_said(available: str, time: str) -> Column:
    """The statement that could be known first, as one: its clocks and its item belong together."""
    return F.min(F.when(F.col(available).isNotNull(), F.struct(available, time, "item_id")))
