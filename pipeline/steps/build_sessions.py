"""Sessions: the events of one user between pauses longer than the gap.

An event takes part when it has a user, is of a declared type and arrived at most `settle_s` after it happened. So
whatever could prolong a session is there `gap_s + settle_s` after its last event: then it is over, and known.

Nothing is brought together by user alone but stretches of time, of which an hour has few however many events it has.
"""

from __future__ import annotations

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from pipeline import schemas
from pipeline.config import Config, Sessions
from pipeline.days import Day, add_days
from pipeline.errors import ConfigError
from pipeline.steps.instants import HOUR_US, SECOND_US, day_start, shifted


def build_sessions(config: Config, day: Day, events: DataFrame, earlier: DataFrame | None) -> DataFrame:
    """Columns of schemas.SESSIONS: what was over by the end of `day` and not before it, and what was still open.

    `events` arrived on the day; of `earlier`, the sessions of the day before, the open ones go on. Verdicts on robots
    come later than the events, so all events take part; a session with an event of a robot has that verdict.
    """
    declared = declared_sessions(config)
    moments = events.where(_may(declared) & _in_time(declared)).select(
        "user_id",
        F.col("event_time").alias("started_at"),
        F.col("event_time").alias("ended_at"),
        F.lit(1).cast("bigint").alias("events"),
        "bot_rule",
        "bot_available_at",
        F.expr(f"unix_micros(event_time) div {HOUR_US}").alias("_hour"),
    )
    stretches = _joined(declared, moments, "user_id", "_hour").drop("_hour")
    if earlier is not None:
        stretches = stretches.unionByName(earlier.where("available_at is null").select(*stretches.columns))
    end = day_start(add_days(day, 1), config.product.zone)
    over = shifted(F.col("ended_at"), (declared.gap_s + declared.settle_s) * SECOND_US)
    made = _joined(declared, stretches, "user_id").withColumns(
        {
            "session_id": F.concat_ws("@", "user_id", F.unix_micros("started_at").cast("string")),
            "available_at": F.when(over < end, over),
            "duration_ms": F.expr("(unix_micros(ended_at) - unix_micros(started_at)) div 1000"),
        }
    )
    return made.select(*schemas.SESSIONS)


def too_late_for_sessions(config: Config, events: DataFrame) -> int:
    """How many of the events would take part, had they not arrived later than `settle_s`."""
    declared = declared_sessions(config)
    return events.where(_may(declared) & ~_in_time(declared)).count()


def declared_sessions(config: Config) -> Sessions:
    """The product's [sessions]; ConfigError where it has none."""
    if config.sessions is None:
        raise ConfigError(f"product {config.product.name!r} declares no sessions; add [sessions] to its config")
    return config.sessions


def _may(declared: Sessions) -> Column:
    """Whether an event is of a user, and of a type that takes part."""
    of_user = F.col("user_id").isNotNull()
    return of_user if declared.events is None else of_user & F.col("event_type").isin(*declared.events)


def _in_time(declared: Sessions) -> Column:
    return F.col("available_at") <= shifted(F.col("event_time"), declared.settle_s * SECOND_US)


def _joined(declared: Sessions, stretches: DataFrame, *keys: str) -> DataFrame:
    """Stretches with equal keys that are at most the gap apart become one; which of two equal ones comes first does
    not matter."""
    order = Window.partitionBy(*keys).orderBy("started_at", "ended_at")
    reached = F.max("ended_at").over(order.rowsBetween(Window.unboundedPreceding, -1))
    pause = F.unix_micros("started_at") - F.unix_micros("_reached")
    begins = F.when(F.col("_reached").isNull() | (pause > declared.gap_s * SECOND_US), 1).otherwise(0)
    number = F.sum(begins).over(order.rowsBetween(Window.unboundedPreceding, 0))
    verdict = F.when(F.col("bot_rule").isNotNull(), F.struct("bot_available_at", "bot_rule"))
    numbered = stretches.withColumn("_reached", reached).withColumn("_number", number)
    joined = numbered.groupBy(*keys, "_number").agg(
        F.min("started_at").alias("started_at"),
        F.max("ended_at").alias("ended_at"),
        F.sum("events").alias("events"),
        F.min(verdict).alias("_verdict"),
    )
    verdicts = [F.col(f"_verdict.{name}").alias(name) for name in ("bot_rule", "bot_available_at")]
    return joined.select(*keys, "started_at", "ended_at", "events", *verdicts)
