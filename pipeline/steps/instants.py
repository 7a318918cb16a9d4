"""Instants and days as Spark columns, in the product's zone whatever the session's."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from pyspark.sql import Column
from pyspark.sql import functions as F

from pipeline.days import Day, day_start_us

SECOND_US = 1_000_000
HOUR_US = 3600 * SECOND_US
DAY_US = 24 * HOUR_US


def instant(micros: int) -> Column:
    """A timestamp from microseconds since the epoch."""
    return F.timestamp_micros(F.lit(micros))


def day_start(day: Day, zone: ZoneInfo) -> Column:
    """The timestamp at which `day` begins in `zone`."""
    return instant(day_start_us(day, zone))


def local_day(time: Column, zone: ZoneInfo) -> Column:
    """The day of `zone` in which a timestamp falls (the session's zone is UTC)."""
    return F.to_date(F.from_utc_timestamp(time, zone.key))


def local_hour(time: Column, zone: ZoneInfo) -> Column:
    """The hour of the day in `zone`, 0 to 23."""
    return F.hour(F.from_utc_timestamp(time, zone.key))


def shifted(time: Column, micros: int) -> Column:
    """A timestamp so many microseconds later (earlier when negative)."""
    return F.timestamp_micros(F.unix_micros(time) + F.lit(micros))
