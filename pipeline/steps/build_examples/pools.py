"""What could be drawn at a moment, and with what chance: candidates with whole numbers of lottery tickets.

A pool is a function of what was known before its moments: the rooms on air as a slot of five minutes began, or the
items of the arrival day before. So a draw is a hash join on (pool, ticket number), and chances are exact. Days begin at
whole slots, as every zone's offset is a multiple of a quarter of an hour.
"""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F
from pyspark.sql.window import WindowSpec

from pipeline.config import Config, Negatives
from pipeline.days import Day, add_days, day_of_us, day_start_us, days_between
from pipeline.steps.build_examples.moments import exposed_us
from pipeline.steps.instants import DAY_US, SECOND_US, local_day, shifted

SLOT_US = 300 * SECOND_US
SLOTS_A_DAY = DAY_US // SLOT_US
TICKETS_EACH = 16
"""Tickets of a pool for each of its candidates on the mean; every one has at least one."""
BUCKETS = 64
"""Tickets are numbered within so many parts of a pool first: a pool may hold every item there is."""
POOL = ("_pool", "item_id", "room_id", "_tickets", "_first", "_ended_us")
"""A candidate has the tickets _first .. _first + _tickets - 1; _ended_us is null where no end will be known."""


def slot_of(time: Column) -> Column:
    """The slot in which an instant falls, counted from 1970."""
    return F.call_function("div", F.unix_micros(time), F.lit(SLOT_US))


def exposed_days(config: Config, day: Day) -> list[Day]:
    """The days on which the exposures of `day` happened."""
    begin, end = exposed_us(config, day)
    first, last = (day_of_us(instant, config.product.zone) for instant in (begin, end - 1))
    return days_between(first, last, config.product.first_day)


def pool_at(config: Config, negatives: Negatives) -> Column:
    """The number of the pool that a row's `event_time` draws from: of its slot, or of its day."""
    if negatives.candidates == "on_air":
        return slot_of(F.col("event_time"))
    return _number(local_day(F.col("event_time"), config.product.zone))


def pools(config: Config, negatives: Negatives, day: Day, rooms: DataFrame | None, popularity: DataFrame) -> DataFrame:
    """All pools of the exposures of `day`: columns POOL.

    `rooms` of the days of exposed_days(), `popularity` the events of the days before these, both with their `dt`.
    """
    counts = _counts(config, negatives, popularity)
    if rooms is None or negatives.candidates == "popular":
        nothing = [
            F.lit(None).cast(type_).alias(name) for name, type_ in (("room_id", "string"), ("_ended_us", "bigint"))
        ]
        found = counts.select(_number(F.col("dt")).alias("_pool"), "item_id", *nothing, "_count")
    else:
        counted = rooms.join(counts, on=["dt", "item_id"], how="left")
        found = _on_air(config, day, counted.withColumn("_count", F.coalesce("_count", F.lit(0))))
    return _numbered(_weighed(found, negatives.power))


def totals(pool: DataFrame) -> DataFrame:
    """_pool, its number of tickets `_total`, and `_ended`: [end, tickets] of what ended during the slot, by time."""
    return pool.groupBy("_pool").agg(F.sum("_tickets").alias("_total"), ended().alias("_ended"))


def ended() -> Column:
    """Of the pool rows of a group those with an end: an array of (_ended_us, _tickets) in order."""
    row = F.when(F.col("_ended_us").isNotNull(), F.struct("_ended_us", "_tickets"))
    return F.sort_array(F.collect_list(row))


def tickets_left(total: Column, ended: Column) -> Column:
    """Of `total` tickets those of candidates that were not known to have ended before `event_time`."""
    over = F.filter(ended, lambda row: row["_ended_us"] < F.unix_micros("event_time"))
    return total - F.aggregate(over, F.lit(0).cast("bigint"), lambda sum_, row: sum_ + row["_tickets"])


def _number(day: Column) -> Column:
    return F.unix_date(day).cast("bigint")


def _counts(config: Config, negatives: Negatives, popularity: DataFrame) -> DataFrame:
    """dt, item_id, _count: events of the arrival day before `dt`, without those of bots as known at its end."""
    zone, arrived = config.product.zone, F.col("dt")
    is_bot = F.col("bot_rule").isNotNull() & (local_day(shifted(F.col("bot_available_at"), -1), zone) <= arrived)
    people = popularity.where(~F.coalesce(is_bot, F.lit(False)) & F.col("item_id").isNotNull())
    counted = people.where(F.col("event_type") == negatives.popularity).groupBy("dt", "item_id")
    return counted.agg(F.count("*").alias("_count")).select(F.date_add("dt", 1).alias("dt"), "item_id", "_count")


def _on_air(config: Config, day: Day, rooms: DataFrame) -> DataFrame:
    """A row for each slot of each room: from the first that began after the room was known to be on air, to the one in
    which its end was known."""
    days, zone = exposed_days(config, day), config.product.zone
    begin, end = (edge // SLOT_US for edge in exposed_us(config, day))
    first = {one: max(begin, -(-day_start_us(one, zone) // SLOT_US)) for one in days}
    last = {one: min(end, (day_start_us(add_days(one, 1), zone) - 1) // SLOT_US) for one in days}
    from_slot = F.greatest(slot_of(F.col("started_at")) + 1, slot_of(F.col("start_available_at")) + 1, _of(days, first))
    to_slot = F.least(slot_of(F.col("end_available_at")), _of(days, last))  # which passes over the null of no end
    begun = rooms.where("started_at is not null and start_available_at is not null and item_id is not null")
    begun = begun.where(F.col("dt").isin(days))
    known = begun.select("*", from_slot.alias("_from"), to_slot.alias("_to")).where("_from <= _to")
    slots = known.select("*", F.explode(F.sequence("_from", "_to")).alias("_pool"))
    ended_us = F.when(slot_of(F.col("end_available_at")) == F.col("_pool"), F.unix_micros("end_available_at"))
    return slots.select("_pool", "item_id", "room_id", ended_us.alias("_ended_us"), "_count")


def _of(days: Sequence[Day], numbers: dict[Day, int]) -> Column:
    return F.coalesce(*[F.when(F.col("dt") == F.lit(day), F.lit(numbers[day]).cast("bigint")) for day in days])


def _weighed(found: DataFrame, power: float) -> DataFrame:
    """With `_tickets`, the number of tickets: TICKETS_EACH on the mean of a pool."""
    base = F.floor(F.pow(1.0 + F.col("_count"), F.lit(power)) * 1000 + 0.5).cast("bigint")
    based = found.withColumn("_base", base)
    sums = based.groupBy("_pool").agg(F.sum("_base").alias("_bases"), (F.count("*") * TICKETS_EACH).alias("_mean"))
    weight = F.greatest(F.floor(F.col("_base") / F.col("_bases") * F.col("_mean")).cast("bigint"), F.lit(1))
    return based.join(F.broadcast(sums), on="_pool", how="inner").withColumn("_tickets", weight)


def _numbered(weighed: DataFrame) -> DataFrame:
    """With `_first`, the number of a candidate's first ticket: that of its part of the pool, and its own within it."""
    name = F.coalesce("room_id", "item_id")
    placed = weighed.select("*", F.pmod(F.xxhash64(name), F.lit(BUCKETS)).alias("_bucket"), name.alias("_name"))
    parts = placed.groupBy("_pool", "_bucket").agg(F.sum("_tickets").alias("_of_part"))
    part_first = _before("_of_part", Window.partitionBy("_pool").orderBy("_bucket"))
    parts = parts.select("_pool", "_bucket", part_first.alias("_part_first"))
    within = _before("_tickets", Window.partitionBy("_pool", "_bucket").orderBy("_name"))
    counted = placed.withColumn("_within", within).join(parts, on=["_pool", "_bucket"], how="inner")
    return counted.withColumn("_first", F.col("_part_first") + F.col("_within")).select(*POOL)


def _before(name: str, window: WindowSpec) -> Column:
    """The sum of a column over the rows before one."""
    return F.coalesce(F.sum(name).over(window.rowsBetween(Window.unboundedPreceding, -1)), F.lit(0))
