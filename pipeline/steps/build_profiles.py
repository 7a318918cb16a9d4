"""What is known of every user or item at the end of a day: a fold of `daily` in day order."""

from __future__ import annotations

from functools import reduce

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from pipeline import schemas
from pipeline.config import Config
from pipeline.days import Day, add_days
from pipeline.steps.check_features import check_features
from pipeline.steps.measures import (
    TOTAL,
    Measure,
    Window,
    attribute_columns,
    last_events,
    profile_columns,
    snapshot_columns,
    split_windows,
    windows,
)


def attribute_snapshot(config: Config, entity: str, previous: DataFrame | None, attributes: DataFrame) -> DataFrame:
    """The latest statement of every id, by (event_time, event_id); columns of measures.snapshot_columns.

    `previous` is the profile of the day before, `attributes` what arrived on the day. A late statement does not replace
    one that was made after it, so the order of arrival does not matter.
    """
    named = list(attribute_columns(config, entity))
    clock = [F.col("event_time").alias("said_at"), F.col("event_id").alias("said_event")]
    stated = attributes.select(F.col(schemas.ENTITY_ID[entity]).alias("id"), *named, *clock)
    said = stated.where(F.col("id").isNotNull())
    if previous is not None:
        said = said.unionByName(previous.where("said_at is not null").select(*said.columns))
    latest = said.groupBy("id").agg(F.max(F.struct("said_at", "said_event", *named)).alias("latest"))
    columns = [name for name in snapshot_columns(config, entity) if name != "id"]
    return latest.select("id", *[F.col(f"latest.{name}").alias(name) for name in columns])


def build_profiles(
    config: Config, day: Day, entity: str, previous: DataFrame | None, snapshot: DataFrame | None, daily: DataFrame
) -> DataFrame:
    """One row for every id ever seen, with the columns of measures.profile_columns.

    `previous` is the profile of the day before (None on the first day), `snapshot` the attributes at the end of the
    day, `daily` all partitions of the longest window up to `day`. A window of N days holds event days day-N+1 .. day;
    it is 0 (or an empty array) where nothing happened. Arrays are sorted by key and hold keys with something to count.
    Raises ConfigError when a feature names a column that is not there.
    """
    check_features(config)
    parts = [_sums(config, day, entity, daily)]
    if previous is not None:
        lasts = [F.col(f"last_{event}").alias(f"_last_{event}") for event in last_events(config, entity)]
        parts.append(previous.select("id", *lasts))
    if snapshot is not None:
        parts.append(snapshot.select(*snapshot_columns(config, entity)))
    together = reduce(lambda left, right: left.join(right, on="id", how="full"), parts)
    found, summed = set(together.columns), {window.name for window in windows(config, entity)}
    columns = profile_columns(config, entity).items()
    return together.select(*[_column(name, type_, found, name in summed).alias(name) for name, type_ in columns])


def _column(name: str, type_: str, found: set[str], summed: bool) -> Column:
    """A column of the profile from what was joined, with what an id has that is in only some parts."""
    if name not in found:
        return F.lit(None).cast(type_)
    if f"_{name}" in found:
        return F.greatest(F.col(name), F.col(f"_{name}"))  # skips nulls
    if not summed:
        return F.col(name)
    return F.coalesce(F.col(name), (F.array() if type_.startswith("array") else F.lit(0)).cast(type_))


def _sums(config: Config, day: Day, entity: str, daily: DataFrame) -> DataFrame:
    """id -> totals, arrays and last times, in one shuffle: what is placed by id is placed by (id, key) too."""
    needed = windows(config, entity)
    spans = sorted({(window.days, window.measure) for window in needed})
    sums = [_window_sum(day, days, measure) for days, measure in spans]
    lasts = [F.max(f"last_{event}").alias(f"last_{event}") for event in last_events(config, entity)]
    by_key = daily.repartition("id").groupBy("id", "key").agg(F.count("*").alias("_rows"), *sums, *lasts)
    totals = [_total(window).alias(window.name) for window in needed if not window.by]
    splits = split_windows(config, entity).items()
    arrays = [_array(by, days, found).alias(f"by_{by}_{days}d") for (by, days), found in splits]
    return by_key.groupBy("id").agg(F.count("*").alias("_keys"), *totals, *arrays, *lasts).drop("_keys")


def _sum_name(days: int, measure: Measure) -> str:
    return f"_{measure.name}_{days}d"


def _window_sum(day: Day, days: int, measure: Measure) -> Column:
    inside = F.col("event_day").between(F.lit(add_days(day, 1 - days)), F.lit(day))
    return F.sum(F.when(inside, F.col(measure.name)).otherwise(F.lit(0).cast("bigint"))).alias(_sum_name(days, measure))


def _total(window: Window) -> Column:
    value = F.col(_sum_name(window.days, window.measure))
    return F.sum(F.when(F.col("key") == TOTAL, value).otherwise(F.lit(0).cast("bigint")))


def _array(by: str, days: int, found: tuple[Measure, ...]) -> Column:
    sums = [F.col(_sum_name(days, measure)) for measure in found]
    prefix = f"{by}="
    something = reduce(Column.__or__, [column != 0 for column in sums])
    key = F.substring("key", len(prefix) + 1, 2**31 - 1).alias("key")
    entry = F.struct(key, *[column.alias(measure.name) for column, measure in zip(sums, found, strict=True)])
    return F.sort_array(F.collect_list(F.when(F.col("key").startswith(prefix) & something, entry)))
