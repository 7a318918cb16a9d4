"""The examples of a day: exposures whose last label matures on it."""

from __future__ import annotations

from collections.abc import Mapping

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from pipeline import schemas
from pipeline.config import Config
from pipeline.days import Day, add_days
from pipeline.steps.build_examples.features import features_at
from pipeline.steps.build_examples.labels import with_labels
from pipeline.steps.check_features import check_features, event_columns
from pipeline.steps.instants import SECOND_US, day_start, shifted


def build_examples(
    config: Config,
    day: Day,
    events: DataFrame,
    profiles: Mapping[str, DataFrame],
    vocabularies: Mapping[str, DataFrame],
    history: DataFrame,
    earlier: DataFrame | None = None,
) -> DataFrame:
    """Columns of schemas.examples, key example_id.

    An exposure at t belongs to `day` when t plus the longest mature_after_s falls in it; those of bots are left out.
    `events` are the arrival days that reach from those exposures to the end of `day`. `profiles`: entity -> its
    profiles of the days that may serve, column profile_day. `vocabularies`: column -> the snapshot of the day before.
    `history`: events of the sequence windows. `earlier`: examples of the windows of target encodings, column dt.
    Profiles and vocabularies may be absent on the product's first day: then everybody is cold.
    Raises ConfigError when a feature or label names a column that is not there.
    """
    check_features(config)
    exposures = exposures_of(config, day, events)
    labelled = with_labels(config, exposures, events)
    featured = features_at(config, labelled, profiles, vocabularies, history, earlier)
    weighted = featured.withColumn("weight", F.lit(1.0).cast("float"))
    names = {f"label_{name}": f"_label_{name}" for name in config.labels}
    return weighted.select(*[F.col(names.get(column, column)).alias(column) for column in schemas.examples(config)])


def exposures_of(config: Config, day: Day, events: DataFrame) -> DataFrame:
    """example_id and what was known of the event when it happened."""
    zone = config.product.zone
    mature_us = max(label.mature_after_s for label in config.event_labels.values()) * SECOND_US
    mature_at = shifted(F.col("event_time"), mature_us)
    of_day = (mature_at >= day_start(day, zone)) & (mature_at < day_start(add_days(day, 1), zone))
    is_exposure = F.col("event_type") == config.event_labels[config.training.label].of
    shown = events.where(is_exposure & F.col("bot_rule").isNull() & of_day)
    complete = shown.where("user_id is not null and item_id is not null")
    return complete.select(F.col("event_id").alias("example_id"), *event_columns(config))
