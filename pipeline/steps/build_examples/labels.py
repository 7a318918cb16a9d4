"""Labels: whether an event of a type followed an exposure in time, as far as was known when the label matured."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from pipeline.config import Config, Label
from pipeline.steps.instants import SECOND_US, shifted


def with_labels(config: Config, exposures: DataFrame, events: DataFrame) -> DataFrame:
    """The exposures with a float column `_label_<name>` for each label, 1.0 or 0.0.

    Positive when an event of the label's type with equal `match` columns has event_time in (t, t + within_s] and
    available_at <= t + mature_after_s. A null matches nothing. The underscore keeps labels away from `sql` features.
    """
    for name, label in config.event_labels.items():
        exposures = _with_label(exposures, events, name, label)
    return exposures


def known_after(exposures: DataFrame, events: DataFrame, label: Label) -> DataFrame:
    """`known_after_us` bigint of every positive exposure: from when it happened until its label could be known, which
    is when the first of the events that make it positive was available."""
    found = F.filter("_followed", lambda event: _attributed(label, event))
    known_at = F.array_min(F.transform(found, lambda event: event["available_at"]))
    delay = F.unix_micros(known_at) - F.unix_micros("event_time")
    return _with_followed(exposures, events, label).select(delay.alias("known_after_us")).dropna()


def _with_label(exposures: DataFrame, events: DataFrame, name: str, label: Label) -> DataFrame:
    joined = _with_followed(exposures, events, label)
    positive = F.coalesce(F.exists("_followed", lambda event: _attributed(label, event)), F.lit(False))
    return joined.select(*exposures.columns, positive.cast("float").alias(f"_label_{name}"))


def _with_followed(exposures: DataFrame, events: DataFrame, label: Label) -> DataFrame:
    """One row a match key holds its events, so that an exposure meets one row and never becomes two."""
    followed = (
        events.where(F.col("event_type") == label.event)
        .dropna(subset=list(label.match))
        .groupBy(*label.match)
        .agg(F.sort_array(F.collect_list(F.struct("event_time", "available_at"))).alias("_followed"))
    )
    return exposures.join(followed, on=list(label.match), how="left")


def _attributed(label: Label, event: Column) -> Column:
    shown_at = F.col("event_time")
    in_time = (event["event_time"] > shown_at) & (event["event_time"] <= shifted(shown_at, label.within_s * SECOND_US))
    return in_time & (event["available_at"] <= shifted(shown_at, label.mature_after_s * SECOND_US))
