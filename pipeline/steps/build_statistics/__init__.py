"""Statistics of a day: one row a column, exact integer counts."""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from pipeline.config import Config
from pipeline.days import Day
from pipeline.statistics.columns import dataset_of, delays_of, kinds_of
from pipeline.steps.build_examples.labels import known_after
from pipeline.steps.build_examples.moments import exposures_of
from pipeline.steps.build_statistics.counting import Asked, Counted, count_columns
from pipeline.steps.instants import SECOND_US


def build_statistics(config: Config, day: Day, events: DataFrame, exposed: DataFrame, examples: DataFrame) -> Counted:
    """Columns of schemas.STATISTICS, key (dataset, column), of the day's events and examples.

    `events` are those that arrived on `day`, `examples` those whose last label matured on it, `exposed` the arrival
    days that reach from their exposures to the end of `day`: from them comes the row `known_after_s_<label>`.
    """
    dataset, delays = dataset_of(config, "examples"), delays_of(config)
    kinds = {name: kind for name, kind in kinds_of(config, "examples").items() if name not in delays}
    delayed = [_delays(config, day, dataset, exposed, label) for label in config.event_labels]
    asked = [
        Asked(dataset_of(config, "events"), events, kinds_of(config, "events")),
        Asked(dataset, examples, kinds),
        *delayed,
    ]
    counted = count_columns(asked)
    return Counted(counted.table, (*counted.persisted, *(one.table for one in delayed)))


def _delays(config: Config, day: Day, dataset: str, exposed: DataFrame, label: str) -> Asked:
    """One column: how long it took until a positive label could be known. Both passes use it, and it is a join."""
    name = f"known_after_s_{label}"
    delays_us = known_after(exposures_of(config, day, exposed), exposed, config.event_labels[label])
    seconds = (F.col("known_after_us") / SECOND_US).alias(name)
    return Asked(dataset, delays_us.select(seconds).persist(), {name: "number"})
