"""Which events are the examples of a day, and when they happened."""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from pipeline.config import ChosenLabel, Config
from pipeline.days import Day, add_days, day_start_us
from pipeline.steps.check_features import event_columns
from pipeline.steps.instants import SECOND_US, instant


def exposed_us(config: Config, day: Day) -> tuple[int, int]:
    """Microseconds [from, to): an exposure in it has its last label mature on `day`."""
    zone, mature_us = config.product.zone, config.mature_after_s * SECOND_US
    return day_start_us(day, zone) - mature_us, day_start_us(add_days(day, 1), zone) - mature_us


def exposures_of(config: Config, day: Day, events: DataFrame) -> DataFrame:
    """example_id and what was known of the event when it happened; none of bots.

    Where an example is told from candidates that no event is behind, or asked what its own event says, an event whose
    clock ran ahead is left out: it was known before it happened, so features would have seen it.
    """
    begin, end = map(instant, exposed_us(config, day))
    of_day = (F.col("event_time") >= begin) & (F.col("event_time") < end)
    is_exposure = F.col("event_type") == config.event_labels[config.training.label].of
    shown = events.where(is_exposure & F.col("bot_rule").isNull() & of_day)
    complete = shown.where("user_id is not null and item_id is not null")
    own = [label for label in config.event_labels.values() if isinstance(label, ChosenLabel)]
    if own or config.negatives is not None:
        complete = complete.where("available_at >= event_time")
    return complete.select(F.col("event_id").alias("example_id"), *event_columns(config))
