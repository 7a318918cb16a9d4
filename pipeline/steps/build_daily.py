"""Exact integer sums of one arrival day, by entity, key and event day."""

from __future__ import annotations

from functools import reduce

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from pipeline import schemas
from pipeline.config import SESSION, SESSION_SUMS, Config
from pipeline.days import Day, add_days
from pipeline.steps.check_features import check_features
from pipeline.steps.instants import day_start, local_day
from pipeline.steps.measures import (
    COUNTERPART,
    attribute_columns,
    daily_columns,
    first_events,
    last_events,
    latests,
    measures,
    split_events,
)
from pipeline.steps.splits import event_value
from pipeline.steps.sums import TOTAL, Measure


def build_daily(
    config: Config,
    day: Day,
    entity: str,
    events: DataFrame,
    items: DataFrame | None,
    users: DataFrame | None,
    sessions: DataFrame | None = None,
) -> DataFrame:
    """Sums of the events that arrived on `day`, with the columns of measures.daily_columns.

    `items` and `users` are the attribute snapshots at the end of the day (id and attributes); the counterpart's gives
    the keys that sums are split by. Every person's event leaves a row of the empty key, also of types that nothing
    counts: that is how a profile learns that the id exists. Events of bots are left out once the verdict is known.
    `sessions` are those of the day, where features look at them: what is over is one more event, at its end.
    Raises ConfigError when a feature names a column that is not there.
    """
    check_features(config)
    seen = events if sessions is None else _with_sessions(events, sessions)
    counted = _people(config, day, seen).where(F.col(schemas.ENTITY_ID[entity]).isNotNull())
    keyed = _with_keys(config, entity, counted, {"item": items, "user": users}[COUNTERPART[entity]])
    rows = keyed.select(
        F.col(schemas.ENTITY_ID[entity]).alias("id"),
        F.explode("keys").alias("key"),
        local_day(F.col("event_time"), config.product.zone).alias("event_day"),
        "*",
    )
    sums = [_sum(config, measure).alias(measure.name) for measure in measures(config, entity)]
    times = _times(config, entity)
    columns = list(daily_columns(config, entity))
    none = F.count("*").alias("_events")  # an aggregate needs at least one
    return rows.groupBy("id", "key", "event_day").agg(none, *sums, *times).select(*columns)


def _with_sessions(events: DataFrame, sessions: DataFrame) -> DataFrame:
    """And each session that is over; what is summed of it has names that no column of events has."""
    clocks = [F.col("ended_at").alias("event_time"), F.col("available_at")]
    sums = [F.col(name).alias(_of_session(name)) for name in SESSION_SUMS]
    over = sessions.where(F.col("available_at").isNotNull()).select(
        F.col("session_id").alias("event_id"), "user_id", F.lit(SESSION).alias("event_type"), *clocks, *sums,
        "bot_rule", "bot_available_at",
    )  # fmt: skip
    return events.unionByName(over, allowMissingColumns=True)


def _of_session(column: str) -> str:
    return f"_session_{column}"


def _people(config: Config, day: Day, events: DataFrame) -> DataFrame:
    """Events without those of bots; a verdict that comes only after the day does not count yet."""
    end = day_start(add_days(day, 1), config.product.zone)
    is_bot = F.col("bot_rule").isNotNull() & (F.col("bot_available_at") <= end)
    return events.where(~F.coalesce(is_bot, F.lit(False)))


def _with_keys(config: Config, entity: str, events: DataFrame, counterpart: DataFrame | None) -> DataFrame:
    """Each event with `keys`: the empty one, and `by=value` for each split that its type takes part in."""
    other, said_of_it = schemas.ENTITY_ID[COUNTERPART[entity]], attribute_columns(config, COUNTERPART[entity])
    splits = {
        by: types
        for by, types in split_events(config, entity).items()
        if by not in said_of_it or counterpart is not None
    }
    attributes = [by for by in splits if by in said_of_it]
    if counterpart is not None and attributes:
        said = counterpart.select(F.col("id").alias(other), *[F.col(by).alias(f"_said_{by}") for by in attributes])
        events = events.join(said, on=other, how="left")
    values = {by: F.col(f"_said_{by}") if by in attributes else event_value(config, by) for by in splits}
    keys = [F.lit(TOTAL), *[_key(by, types, values[by]) for by, types in splits.items()]]
    return events.withColumn("keys", F.array_compact(F.array(*keys)))


def _key(by: str, types: tuple[str, ...], value: Column) -> Column:
    """`category=music`, or null where the value is null or no such split counts this type of event."""
    return F.when(F.col("event_type").isin(list(types)), F.concat(F.lit(f"{by}="), value.cast("string")))


def _sum(config: Config, measure: Measure) -> Column:
    of_session = config.sessions is not None and measure.event == SESSION
    column = measure.column and (_of_session(measure.column) if of_session else measure.column)
    value = F.lit(1) if column is None else F.coalesce(F.col(column), F.lit(0))
    return F.sum(F.when(F.col("event_type") == measure.event, value).otherwise(F.lit(0)).cast("bigint"))


def _times(config: Config, entity: str) -> list[Column]:
    """The first and the latest times, on rows of the keys that need them."""
    splits: dict[str, list[str]] = {event: [] for event in last_events(config, entity)}
    for latest in latests(config, entity):
        splits.setdefault(latest.event, []).append(latest.by)
    lasts = [F.max(_time(event, *splits[event])).alias(f"last_{event}") for event in sorted(splits)]
    return [*lasts, *[F.min(_time(event)).alias(f"first_{event}") for event in first_events(config, entity)]]


def _time(event: str, *splits: str) -> Column:
    """When an event of that type happened, on rows of the empty key and of those splits."""
    kept = reduce(Column.__or__, [F.col("key").startswith(f"{by}=") for by in splits], F.col("key") == TOTAL)
    return F.when((F.col("event_type") == event) & kept, F.col("event_time"))
