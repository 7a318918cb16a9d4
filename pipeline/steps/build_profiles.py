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
    attribute_columns,
    decays,
    distincts,
    first_events,
    last_events,
    latests,
    priors,
    profile_columns,
    snapshot_columns,
    split_windows,
    summed,
    windows,
)
from pipeline.steps.sums import FORGOTTEN, TOTAL, Decay, Distinct, Latest, Measure, Prior, Window


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
    day, `daily` all partitions of the longest window up to `day`, with their arrival day as `dt`. A window of N days
    holds event days day-N+1 .. day; it is 0 (or an empty array) where nothing happened. Arrays of windows are sorted by
    key and hold keys with something to count. What fades goes on from `previous` by what arrived on `day`: one float64
    product and one sum of an exact integer, so there is no order that could matter.
    Raises ConfigError when a feature names a column that is not there.
    """
    check_features(config)
    parts = [_sums(config, day, entity, previous, daily)]
    firsts = [f"first_{event}" for event in first_events(config, entity)]
    lasts = [f"last_{event}" for event in last_events(config, entity)] + [one.name for one in latests(config, entity)]
    if previous is not None:
        parts.append(previous.select("id", *[F.col(name).alias(f"_{name}") for name in (*firsts, *lasts)]))
    if snapshot is not None:
        parts.append(snapshot.select(*snapshot_columns(config, entity)))
    together = reduce(lambda left, right: left.join(right, on="id", how="full"), parts)
    found = set(together.columns)
    sums = {one.name for one in summed(config, entity)}

    def column(name: str, type_: str) -> Column:
        """With what an id has that is in only some parts."""
        if name not in found:
            return F.lit(None).cast(type_)
        if f"_{name}" in found:
            return (F.least if name in firsts else F.greatest)(F.col(name), F.col(f"_{name}"))  # skips nulls
        if name not in sums:
            return F.col(name)
        return F.coalesce(F.col(name), (F.array() if type_.startswith("array") else F.lit(0)).cast(type_))

    groups = {prior.name for prior in priors(config, entity)}
    columns = profile_columns(config, entity).items()
    known = together.select(*[column(name, type_).alias(name) for name, type_ in columns if name not in groups])
    return _with_priors(known, priors(config, entity)).select(*profile_columns(config, entity))


def _with_priors(known: DataFrame, needed: tuple[Prior, ...]) -> DataFrame:
    """The profiles with the sums of their groups, themselves included; 0 for who said nothing."""
    for attribute in sorted({prior.attribute for prior in needed}):
        sums = {prior.name: prior.window.name for prior in needed if prior.attribute == attribute}
        group = F.col(attribute).cast("string").alias("_group")
        said = known.select(group, *sums.values()).where("_group is not null and _group <> ''")
        groups = said.groupBy("_group").agg(*[F.sum(window).alias(name) for name, window in sums.items()])
        joined = known.join(groups, on=F.col(attribute).cast("string") == F.col("_group"), how="left").drop("_group")
        known = joined.withColumns({name: F.coalesce(name, F.lit(0).cast("bigint")) for name in sums})
    return known


def _sums(config: Config, day: Day, entity: str, previous: DataFrame | None, daily: DataFrame) -> DataFrame:
    """id -> all that comes from the days, in one shuffle: what is placed by id is placed by (id, key) too."""
    needed, keys, fading = windows(config, entity), distincts(config, entity), decays(config, entity)
    spans = sorted({(one.days, one.measure) for one in needed} | {(one.days, one.measure) for one in keys})
    sums = [_window_sum(day, days, measure) for days, measure in spans]
    last_types = sorted({*last_events(config, entity), *(latest.event for latest in latests(config, entity))})
    times = [F.max(f"last_{event}").alias(f"last_{event}") for event in last_types]
    times += [F.min(f"first_{event}").alias(f"first_{event}") for event in first_events(config, entity)]
    rows = daily if previous is None or not fading else _with_weights(daily, previous, fading)
    faded = [_faded(day, decay, previous is not None).alias(f"_{decay.name}") for decay in fading]
    by_key = rows.repartition("id").groupBy("id", "key").agg(F.count("*").alias("_rows"), *sums, *faded, *times)
    totals = [_total(window).alias(window.name) for window in needed if not window.by]
    splits = split_windows(config, entity).items()
    arrays = [_array(by, days, found).alias(f"by_{by}_{days}d") for (by, days), found in splits]
    made = [_distinct(distinct).alias(distinct.name) for distinct in keys]
    made += [(_weights(decay) if decay.by else _weight(decay)).alias(decay.name) for decay in fading]
    made += [F.max(_at_key(latest)).alias(latest.name) for latest in latests(config, entity)]
    return by_key.groupBy("id").agg(F.count("*").alias("_keys"), *totals, *arrays, *made, *times).drop("_keys")


def _with_weights(daily: DataFrame, previous: DataFrame, fading: tuple[Decay, ...]) -> DataFrame:
    """`daily` with a row for every weight of the day before, as `_<decay>` of its id and key."""
    whole = [decay for decay in fading if not decay.by]
    rows = [daily]
    if whole:
        weights = [F.col(decay.name).alias(f"_{decay.name}") for decay in whole]
        rows.append(previous.select("id", F.lit(TOTAL).alias("key"), *weights))
    for decay in fading:
        if decay.by:
            entries = previous.select("id", F.explode(decay.name).alias("_entry"))
            key = F.concat(F.lit(f"{decay.by}="), F.col("_entry.key")).alias("key")
            rows.append(entries.select("id", key, F.col("_entry.weight").alias(f"_{decay.name}")))
    return reduce(lambda above, below: above.unionByName(below, allowMissingColumns=True), rows)


def _faded(day: Day, decay: Decay, has_before: bool) -> Column:
    """s * factor + x of one id and key; there is one s, or none."""
    today = F.sum(F.when(F.col("dt") == F.lit(day), F.col(decay.measure.name)).otherwise(F.lit(0).cast("bigint")))
    if not has_before:
        return today.cast("double")
    before = F.coalesce(F.max(f"_{decay.name}"), F.lit(0.0))
    return before * F.lit(decay.factor) + today.cast("double")


def _weight(decay: Decay) -> Column:
    return F.max(F.when(F.col("key") == TOTAL, F.col(f"_{decay.name}")))


def _weights(decay: Decay) -> Column:
    """Keys with their weights, the greatest first, then by the key's bytes."""
    weight = F.col(f"_{decay.name}")
    kept = _has_value(decay.by) & (F.abs(weight) >= FORGOTTEN)
    entry = F.struct((-weight).alias("less"), _value(decay.by).alias("key"))
    ordered = F.sort_array(F.collect_list(F.when(kept, entry)))
    return F.transform(ordered, lambda one: F.struct(one["key"].alias("key"), (-one["less"]).alias("weight")))


def _distinct(distinct: Distinct) -> Column:
    counted = _has_value(distinct.by) & (F.col(_sum_name(distinct.days, distinct.measure)) > 0)
    return F.count(F.when(counted, F.lit(1)))


def _at_key(latest: Latest) -> Column:
    at = F.col(f"last_{latest.event}")
    return F.when(_has_value(latest.by) & at.isNotNull(), F.struct(at.alias("at"), _value(latest.by).alias("key")))


def _has_value(by: str) -> Column:
    """Whether a key is one of a split; the empty value is none, as for vocabularies."""
    return F.col("key").startswith(f"{by}=") & (F.col("key") != f"{by}=")


def _value(by: str) -> Column:
    """What follows `category=` in a key."""
    return F.substring("key", len(f"{by}=") + 1, 2**31 - 1)


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
    something = reduce(Column.__or__, [column != 0 for column in sums])
    entry = F.struct(
        _value(by).alias("key"), *[column.alias(measure.name) for column, measure in zip(sums, found, strict=True)]
    )
    return F.sort_array(F.collect_list(F.when(F.col("key").startswith(f"{by}=") & something, entry)))
