"""A user's latest values of a column, as known just before a moment.

Nothing is brought together by user alone: one user may own a fifth of all rows. Every row gets its number within its
sequence by two counts, the rows of the hours before and those before it in its own hour. Rows are kept in chunks of as
many as a sequence holds, each beside the one before it, so a moment finds all it needs in one short array.
"""

from __future__ import annotations

from collections.abc import Mapping

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from pipeline import schemas
from pipeline.config import Config, Sequence
from pipeline.features import UNKNOWN_ID
from pipeline.steps.build_examples.encoding import table_or_empty, text_of, with_code
from pipeline.steps.instants import DAY_US, HOUR_US, shifted


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
    rows = history.where(F.col("event_type").isin(types) & F.col("user_id").isNotNull())
    counts = [_counts_for(sequence).cast("int").alias(_count(name)) for name, sequence in declared.items()]
    texts = [text_of(F.col(sequence.of)).alias(f"_text_{name}") for name, sequence in declared.items()]
    counted = rows.select("user_id", F.col("available_at").alias("event_time"), "event_id", *texts, *counts)
    asked, known = _numbered(config, moments, counted)
    for name, sequence in declared.items():
        vocabulary = table_or_empty(moments.sparkSession, vocabularies, sequence.of, schemas.VOCABULARY)
        chunks = _chunks(name, sequence, known, vocabulary)
        at = F.when(F.col(_count(name)) > 0, _chunk_of(name, sequence)).otherwise(-1 - F.col("_hour"))
        asked = asked.withColumn("_chunk", at).join(chunks, on=["user_id", "_chunk"], how="left")
    latest = [_latest(name, sequence).alias(f"sequence_{name}") for name, sequence in declared.items()]
    return asked.select("user_id", "event_time", *latest)


def _count(name: str) -> str:
    return f"_n_{name}"


def _counts_for(sequence: Sequence) -> Column:
    return F.col("event_type").isin(list(sequence.events)) & text_of(F.col(sequence.of)).isNotNull()


def _numbered(config: Config, moments: DataFrame, counted: DataFrame) -> tuple[DataFrame, DataFrame]:
    """Moments and rows with `_n_<name>`: how many rows of each sequence were available before a moment, or up to and
    with a row; and `_hour`. Where a moment and a row have one time, the row comes later."""
    names = [_count(name) for name in config.features.sequence]
    texts = [f"_text_{name}" for name in config.features.sequence]
    nothing = [F.lit(0).alias(name) for name in names]
    unsaid = [F.lit(None).cast("string").alias(column) for column in ("event_id", *texts)]
    marked = counted.select("*", F.lit(None).cast("date").alias("_day"), *[F.col(n).alias(f"_is{n}") for n in names])
    shown = moments.select(
        "user_id", "event_time", "_day", *unsaid, *nothing, *[F.lit(0).alias(f"_is{name}") for name in names]
    )
    hour = F.expr(f"unix_micros(event_time) div {HOUR_US}")
    timeline = marked.unionByName(shown).withColumn("_hour", hour)
    is_row = F.col("_day").isNull()
    within = (
        Window.partitionBy("user_id", "_hour")
        .orderBy("event_time", is_row, "event_id")
        .rowsBetween(Window.unboundedPreceding, 0)
    )
    placed = timeline.withColumns({name: F.sum(name).over(within) for name in names})
    numbered = placed.join(_before_the_hour(timeline, names), on=["user_id", "_hour"], how="inner")
    whole = {name: (F.col(name) + F.col(f"_before{name}")).cast("int") for name in names}
    numbered = numbered.withColumns(whole)
    return numbered.where(~is_row).select("user_id", "event_time", "_day", "_hour", *names), numbered.where(is_row)


def _before_the_hour(timeline: DataFrame, names: list[str]) -> DataFrame:
    """For each hour of a user the counts of all hours before it. A user has few hours, however many rows."""
    hours = timeline.groupBy("user_id", "_hour").agg(*[F.sum(name).alias(name) for name in names])
    earlier = Window.partitionBy("user_id").orderBy("_hour").rowsBetween(Window.unboundedPreceding, -1)
    sums = [F.coalesce(F.sum(name).over(earlier), F.lit(0)).alias(f"_before{name}") for name in names]
    return hours.select("user_id", "_hour", *sums)


def _chunk_of(name: str, sequence: Sequence) -> Column:
    """Row numbers begin with 1: chunk 0 has the rows 1 .. last."""
    return F.expr(f"(`{_count(name)}` - 1) div {sequence.last}")


def _chunks(name: str, sequence: Sequence, known: DataFrame, vocabulary: DataFrame) -> DataFrame:
    """`_chunk` and, as array `_<name>`, the rows of the chunk before it and its own, in order."""
    coded = with_code(known.where(F.col(f"_is{_count(name)}") == 1), F.col(f"_text_{name}"), vocabulary, "code")
    own = _chunk_of(name, sequence)
    row = F.struct(
        F.col(_count(name)).alias("number"), F.col("event_time").alias("available_at"), "code.id", "code.first_dt"
    )
    placed = coded.select("user_id", row.alias("row"), F.explode(F.array(own, own + 1)).alias("_chunk"))
    return placed.groupBy("user_id", "_chunk").agg(F.sort_array(F.collect_list("row")).alias(f"_{name}"))


def _latest(name: str, sequence: Sequence) -> Column:
    begin = shifted(F.col("event_time"), -sequence.window_days * DAY_US)
    oldest, day, unknown = F.col(_count(name)) - sequence.last, F.col("_day"), F.lit(UNKNOWN_ID)
    recent = F.filter(
        f"_{name}",
        lambda row: row["number"].between(oldest + 1, F.col(_count(name))) & (row["available_at"] >= begin),
    )
    ids = F.transform(recent, lambda row: F.when(row["first_dt"] < day, row["id"]).otherwise(unknown))
    return F.coalesce(ids, F.array().cast("array<int>"))
