"""Who is no person: verdicts on events, never a reason to drop them.

All rules look at what one user did in one clock hour, by events of one type. A verdict is known when the hour is over
and the last line that it rests on is there.
"""

from __future__ import annotations

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from pipeline.config import Config
from pipeline.config.cleaning import Bots, Rate, Regularity, Speed

HOUR_US = 3_600_000_000


def with_bots(config: Config, events: DataFrame) -> DataFrame:
    """Events with `bot_rule`, the first of clean.bots that their user broke in their hour, and `bot_available_at`; null
    for people."""
    if config.clean.bots is None:
        return events.withColumns(
            {"bot_rule": F.lit(None).cast("string"), "bot_available_at": F.lit(None).cast("timestamp")}
        )
    dated = events.withColumn("_hour", F.expr(f"unix_micros(event_time) div {HOUR_US}"))
    return dated.join(_verdicts(config.clean.bots, dated), on=["user_id", "_hour"], how="left").drop("_hour")


def _verdicts(bots: Bots, dated: DataFrame) -> DataFrame:
    """user_id, _hour, bot_rule and bot_available_at of those who are no persons: one shuffle for all rules."""
    judged = dated.where(F.col("event_type").isin(sorted({rule.event for rule in bots.rules.values()})))
    order = Window.partitionBy("user_id", "_hour").orderBy("event_type", "event_time", "event_id")
    same = F.lag("event_type").over(order) == F.col("event_type")
    pause = F.unix_millis("event_time") - F.unix_millis(F.lag("event_time").over(order))
    hours = judged.withColumn("_pause", F.when(same, pause)).groupBy("user_id", "_hour")
    found = hours.agg(*[_broken(rule).alias(name) for name, rule in bots.rules.items()])
    over = F.expr(f"timestamp_micros((_hour + 1) * {HOUR_US})")
    verdict = F.coalesce(
        *[
            F.when(
                F.col(f"{name}.broken"),
                F.struct(F.lit(name).alias("rule"), F.greatest(over, f"{name}.last").alias("at")),
            )
            for name in bots.rules
        ]
    )
    named = found.select("user_id", "_hour", verdict.alias("_verdict")).where("_verdict is not null")
    rule, at = (F.col(f"_verdict.{part}") for part in ("rule", "at"))
    return named.select("user_id", "_hour", rule.alias("bot_rule"), at.alias("bot_available_at"))


def _broken(rule: Rate | Regularity | Speed) -> Column:
    """Of an hour: whether the rule is broken, and when the last line that it looked at was there."""
    of_type = F.col("event_type") == rule.event
    last = F.max(F.when(of_type, F.col("available_at")))
    return F.struct(_is_broken(rule, of_type).alias("broken"), last.alias("last"))


def _is_broken(rule: Rate | Regularity | Speed, of_type: Column) -> Column:
    if isinstance(rule, Rate):
        return F.count(F.when(of_type, 1)) > rule.per_hour
    pause = F.when(of_type, F.col("_pause"))
    if isinstance(rule, Speed):
        return F.count(F.when(pause < rule.within_ms, 1)) >= rule.times
    # deviation / mean <= spread, from the exact sums of the pauses and of their squares
    count, total, squares = F.count(pause), F.sum(pause).cast("double"), F.sum(pause * pause).cast("double")
    even = count * squares - total * total <= rule.spread**2 * (total * total)
    return (F.count(F.when(of_type, 1)) >= rule.at_least) & even
