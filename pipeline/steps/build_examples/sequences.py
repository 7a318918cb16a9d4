"""A user's latest values of a column, as known just before a moment."""

from __future__ import annotations

from collections.abc import Mapping

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from pipeline import schemas
from pipeline.config import Config, Sequence
from pipeline.features import UNKNOWN_ID
from pipeline.steps.build_examples.encoding import table_or_empty, text_of, with_code
from pipeline.steps.instants import DAY_US, shifted


def sequences_at(
    config: Config, moments: DataFrame, vocabularies: Mapping[str, DataFrame], history: DataFrame
) -> DataFrame:
    """moments [user_id, event_time, _day] with a column array<int> `sequence_<name>` for each declared sequence.

    A sequence holds the values of rows with available_at in [t - window_days, t), ordered by (available_at, event_id),
    the last `last` of them, newest last; ids as code() gives them on `_day`. Empty where there is nothing. Verdicts on
    bots are not asked for: they come later than the rows.
    """
    declared = config.features.sequence
    types = sorted({event for sequence in declared.values() for event in sequence.events})
    table = history.where(F.col("event_type").isin(types) & F.col("user_id").isNotNull())
    for name, sequence in declared.items():
        vocabulary = table_or_empty(moments.sparkSession, vocabularies, sequence.of, schemas.VOCABULARY)
        table = with_code(table, text_of(F.col(sequence.of)), vocabulary, f"code_{name}")
    known = table.groupBy("user_id").agg(
        *[_rows(name, sequence).alias(f"_{name}") for name, sequence in declared.items()]
    )
    joined = _counted(config, moments, table).join(known, on="user_id", how="left")
    latest = [_latest(name, sequence).alias(f"sequence_{name}") for name, sequence in declared.items()]
    return joined.select("user_id", "event_time", *latest)


def _counts_for(sequence: Sequence) -> Column:
    return F.col("event_type").isin(list(sequence.events)) & text_of(F.col(sequence.of)).isNotNull()


def _rows(name: str, sequence: Sequence) -> Column:
    """All that a user did in the days read, in order."""
    known = [F.col(f"code_{name}.{column}").alias(column) for column in ("id", "first_dt")]
    row = F.struct("available_at", "event_id", *known)
    return F.sort_array(F.collect_list(F.when(_counts_for(sequence), row)))


def _counted(config: Config, moments: DataFrame, table: DataFrame) -> DataFrame:
    """Moments with `_n_<name>`: how many rows of each sequence were available before them.

    One walk along each user's time: a moment need not look through all that its user ever did.
    """
    declared = config.features.sequence
    flags = [_counts_for(sequence).cast("int").alias(f"_n_{name}") for name, sequence in declared.items()]
    none = [F.lit(0).alias(f"_n_{name}") for name in declared]
    rows = table.select(
        "user_id", F.col("available_at").alias("event_time"), F.lit(None).cast("date").alias("_day"), *flags
    )
    timeline = moments.select("user_id", "event_time", "_day", *none).unionByName(rows)
    is_row = F.col("_day").isNull()
    before = Window.partitionBy("user_id").orderBy("event_time", is_row).rowsBetween(Window.unboundedPreceding, 0)
    counts = [F.sum(f"_n_{name}").over(before).cast("int").alias(f"_n_{name}") for name in declared]
    return timeline.select("user_id", "event_time", "_day", *counts).where(~is_row)


def _latest(name: str, sequence: Sequence) -> Column:
    begin = shifted(F.col("event_time"), -sequence.window_days * DAY_US)
    count, day, unknown = F.col(f"_n_{name}"), F.col("_day"), F.lit(UNKNOWN_ID)
    last = F.slice(f"_{name}", F.greatest(count - sequence.last + 1, F.lit(1)), F.least(count, F.lit(sequence.last)))
    recent = F.filter(last, lambda row: row["available_at"] >= begin)
    ids = F.transform(recent, lambda row: F.when(row["first_dt"] < day, row["id"]).otherwise(unknown))
    return F.coalesce(ids, F.array().cast("array<int>"))
