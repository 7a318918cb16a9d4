"""Labels: what an example's own event says, or what followed it in time as far as was known when the label matured.

Each kind is one expression, from when on it was known that the label is 1; null says that it is 0.
"""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from pipeline.config import ChosenLabel, Config, EventLabel, Label
from pipeline.steps.instants import SECOND_US, shifted


def with_labels(config: Config, points: DataFrame, events: DataFrame) -> DataFrame:
    """The points with a float column `_label_<name>` for each label, 1.0 or 0.0.

    Points: example_id, the columns of an event, and `_sampled`, true of a candidate that no event is behind. A label
    counts events with equal `match` columns, event_time in (t, t + within_s] and available_at <= t + mature_after_s;
    a null matches nothing. The underscore keeps labels away from `sql` features.
    """
    for name, label in config.event_labels.items():
        points = _with_label(points, events, name, label)
    return points


def known_after(exposures: DataFrame, events: DataFrame, label: EventLabel) -> DataFrame:
    """`known_after_us` bigint of every positive exposure: from when it happened until its label could be known, which
    is when the events that make it positive were available. (Sampled candidates are none of the exposures.)"""
    if isinstance(label, Label):
        known_at, known = _known_at(label), _with_followed(exposures, events, label)
    else:
        own = events.select(F.col("event_id").alias("example_id"), F.col("available_at").alias("_available_at"))
        known_at, known = F.col("_available_at"), exposures.where(_says(label)).join(own, on="example_id", how="inner")
    delay = F.unix_micros(known_at) - F.unix_micros("event_time")
    return known.select(delay.alias("known_after_us")).dropna()


def _with_label(points: DataFrame, events: DataFrame, name: str, label: EventLabel) -> DataFrame:
    if isinstance(label, Label):
        known, positive = _with_followed(points, events, label), _known_at(label).isNotNull()
    else:
        known, positive = points, ~F.col("_sampled") & _says(label)
    return known.select(*points.columns, positive.cast("float").alias(f"_label_{name}"))


def _says(label: EventLabel) -> Column:
    """Whether an example's own event says what a label of its own asks for."""
    if isinstance(label, ChosenLabel) and label.column is not None:
        return F.coalesce(F.col(label.column) >= F.lit(label.at_least), F.lit(False))
    return F.lit(True)


def _with_followed(points: DataFrame, events: DataFrame, label: Label) -> DataFrame:
    """With `_followed`, the events that may follow in time, by (event_time, event_id).

    A row holds those of one key and two spans of `within_s`, so that a point meets one row and never becomes two, and
    no row holds all that one user did.
    """
    keys = ["user_id"] if label.next else list(label.match)
    summed = [] if label.column is None else [F.col(label.column).cast("bigint").alias("value")]
    same = [F.col(column) for column in label.match if column not in keys]
    event = F.struct("event_time", "event_id", "available_at", *summed, *same)
    own = _span(label)
    followed = (
        events.where(F.col("event_type") == label.event)
        .dropna(subset=keys)
        .select(*keys, event.alias("_event"), F.explode(F.array(own, own - 1)).alias("_span"))
        .groupBy(*keys, "_span")
        .agg(F.sort_array(F.collect_list("_event")).alias("_followed"))
    )
    return points.withColumn("_span", own).join(followed, on=[*keys, "_span"], how="left")


def _span(label: Label) -> Column:
    """The spans of within_s that time is cut into: what follows within that long is in the same one or the next."""
    return F.call_function("div", F.unix_micros("event_time"), F.lit(label.within_s * SECOND_US))


def _known_at(label: Label) -> Column:
    """From when on it was known that the label of a point is 1, or null where it is 0."""
    found = F.filter("_followed", lambda event: _attributed(label, event))
    if label.next:
        return _of_the_next(label, F.get(found, F.lit(0)))
    if label.column is None:
        return F.array_min(F.transform(found, lambda event: event["available_at"]))
    return _of_the_sum(label, found)


def _of_the_next(label: Label, event: Column) -> Column:
    same = F.lit(True)
    for column in label.match:
        if column != "user_id":
            same = same & (event[column] == F.col(column))
    return F.when(same, event["available_at"])


def _of_the_sum(label: Label, found: Column) -> Column:
    """When the sum of what was available first reached at_least, if it still does with all that counts."""
    at_least = F.lit(label.at_least)
    arrived = F.array_sort(F.transform(found, lambda event: F.struct(event["available_at"], event["value"])))
    nothing = F.struct(F.lit(0).cast("bigint").alias("total"), F.lit(None).cast("timestamp").alias("reached_at"))

    def add(before: Column, event: Column) -> Column:
        total = before["total"] + F.coalesce(event["value"], F.lit(0).cast("bigint"))
        reached_at = F.coalesce(before["reached_at"], F.when(total >= at_least, event["available_at"]))
        return F.struct(total.alias("total"), reached_at.alias("reached_at"))

    summed = F.aggregate(arrived, nothing, add)
    return F.when(summed["total"] >= at_least, summed["reached_at"])


def _attributed(label: Label, event: Column) -> Column:
    shown_at = F.col("event_time")
    in_time = (event["event_time"] > shown_at) & (event["event_time"] <= shifted(shown_at, label.within_s * SECOND_US))
    return in_time & (event["available_at"] <= shifted(shown_at, label.mature_after_s * SECOND_US))
