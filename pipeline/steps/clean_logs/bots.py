"""Who is too busy to be a person: a verdict on events, never a reason to drop them."""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from pipeline.config import Config

HOUR_US = 3_600_000_000


def with_bots(config: Config, events: DataFrame) -> DataFrame:
    """Events with `bot_rule` and `bot_available_at` (null for people).

    A user with more than per_hour events of that type in one clock hour is a robot in that hour. The verdict is known
    when the hour is over and its last line is there.
    """
    if config.clean.bots is None:
        return events.withColumns(
            {"bot_rule": F.lit(None).cast("string"), "bot_available_at": F.lit(None).cast("timestamp")}
        )
    dated = events.withColumn("_hour", F.expr(f"unix_micros(event_time) div {HOUR_US}"))
    shown = dated.where(F.col("event_type") == config.clean.bots.event)
    busy = (
        shown.groupBy("user_id", "_hour")
        .agg(F.count("*").alias("_shown"), F.max("available_at").alias("_last"))
        .where(F.col("_shown") > config.clean.bots.per_hour)
    )
    over = F.greatest(F.expr(f"timestamp_micros((_hour + 1) * {HOUR_US})"), F.col("_last"))
    verdicts = busy.select("user_id", "_hour", F.lit("rate").alias("bot_rule"), over.alias("bot_available_at"))
    return dated.join(verdicts, on=["user_id", "_hour"], how="left").drop("_hour")
