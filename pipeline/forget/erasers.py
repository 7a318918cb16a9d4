"""What is a user's in a published dataset, and what stays there without him.

What a row is about decides, by the columns that the published day has:

a column that names users     his rows go: events, attributes of users, sessions, examples, lists, rows of a table
`id` of daily/user, profiles/user   his rows go
`key` of daily                rows split by his id go (`user_id=U123`); sums that are not split keep his counts
profiles                      entries of his key leave the arrays; a latest event of his is null; counts of keys stay
vocab of such a column        his value becomes a tombstone, with count 0; below min_count the row goes
statistics                    he leaves `top`, and `min` or `max` are null where they are he or an event of his
quarantine                    lines that are his go (pipeline.forget.lines)

Any other dataset says nothing of a user; a test names those, so that a dataset that comes new is not passed over.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from pipeline.config import Config, Source
from pipeline.forget.lines import HIS, judged
from pipeline.forget.person import Person
from pipeline.schemas import TOMBSTONE, Columns
from pipeline.steps.clean_logs.lines import RawLines

Mark = Callable[[DataFrame], DataFrame]
"""Adds HIS, whether a row says anything of him."""


@dataclass(frozen=True)
class Eraser:
    """`mark` finds his rows, `erase` gives the table without him; by itself it drops them."""

    mark: Mark
    erase: Callable[[DataFrame], DataFrame] = lambda marked: marked.where(~F.col(HIS)).drop(HIS)


def eraser_of(
    person: Person, dataset: str, columns: Columns, his_events: DataFrame | None, quarantine: Mark
) -> Eraser | None:
    """How he leaves a dataset with these columns; None where it can hold nothing of him.

    `his_events` has the ids of his events and examples as `value`, None where there are none.
    """
    kind, _, name = dataset.partition("/")
    if kind == "quarantine":
        return Eraser(quarantine)
    if kind == "vocab":
        return _of_vocabulary(person) if name in person.columns else None
    if kind == "statistics":
        return _of_statistics(person, his_events)
    if kind == "daily":
        return Eraser(_where(_is(F.col("id"), person) if name == "user" else F.lit(False), _split_by(person)))
    if kind == "profiles":
        return _of_profiles(person, name, columns)
    named = [F.col(f"`{column}`") for column in person.columns if column in columns]
    return Eraser(_where(*[_is(column, person) for column in named])) if named else None


def quarantine_mark(config: Config, person: Person, headers: Mapping[str, Sequence[str | None]]) -> Mark:
    """Marks the rejected lines that are his; `headers` are those that the files of each source have."""

    def mark(table: DataFrame) -> DataFrame:
        parts = [table.where(~F.col("source").isin(*person.sources)).withColumn(HIS, F.lit(False))]
        for name, column in person.sources.items():
            source, lines = config.sources[name], table.where(F.col("source") == name)
            marked = lines.withColumn(HIS, F.lit(False))
            for header in headers.get(name) or (None,):
                marked = _also(config, source, column, marked, header, person.text)
            parts.append(marked)
        return reduce(DataFrame.unionByName, parts)

    return mark


def _also(config: Config, source: Source, column: str, marked: DataFrame, header: str | None, text: str) -> DataFrame:
    """The rows with HIS where it was, or where the line is his under this header. A row of Parquet lies in quarantine
    as JSON."""
    columns = marked.columns
    as_text = source.model_copy(update={"format": "json"}) if source.format == "parquet" else source
    before = marked.withColumnRenamed(HIS, "_before")
    found = judged(config, as_text, column, RawLines(before, header), text)
    return found.withColumn(HIS, F.col(HIS) | F.col("_before")).select(*columns)


def _where(*conditions: Column) -> Mark:
    his = reduce(Column.__or__, [F.coalesce(condition, F.lit(False)) for condition in conditions])
    return lambda table: table.withColumn(HIS, his)


def _is(value: Column, person: Person) -> Column:
    """Rows of a table keep the type that the column has, so both are compared as text."""
    return value.cast("string") == F.lit(person.value)


def _split_by(person: Person) -> Column:
    return F.col("key").isin(*[f"{column}={person.value}" for column in person.columns])


def _of_vocabulary(person: Person) -> Eraser:
    stone = F.concat(F.lit(TOMBSTONE), F.col("id").cast("string"))

    def erase(marked: DataFrame) -> DataFrame:
        kept = marked.where(~F.col(HIS) | F.col("id").isNotNull())
        value = F.when(F.col(HIS), stone).otherwise(F.col("value"))
        count = F.when(F.col(HIS), F.lit(0).cast("bigint")).otherwise(F.col("count"))
        return kept.withColumns({"value": value, "count": count}).drop(HIS)

    return Eraser(_where(_is(F.col("value"), person)), erase)


def _of_profiles(person: Person, entity: str, columns: Columns) -> Eraser:
    """Arrays of (key, ...) and structs (at, key) of what is split by a column that names users."""
    arrays = [name for name in columns if any(_split(name, by) for by in person.columns) and "array" in columns[name]]
    latest = [name for name in columns if any(name.startswith(f"latest_{by}_") for by in person.columns)]
    whole = _is(F.col("id"), person) if entity == "user" else F.lit(False)

    def holds(name: str) -> Column:
        return F.exists(name, lambda entry: entry["key"] == F.lit(person.value))

    def erase(marked: DataFrame) -> DataFrame:
        kept = marked.where(~F.coalesce(whole, F.lit(False)))
        without = {n: F.filter(n, lambda entry: ~entry["key"].eqNullSafe(person.value)) for n in arrays}
        others = {n: F.when(~F.col(n)["key"].eqNullSafe(person.value), F.col(n)) for n in latest}
        return kept.withColumns({**without, **others}).drop(HIS)

    return Eraser(_where(whole, *map(holds, arrays), *[F.col(n)["key"] == F.lit(person.value) for n in latest]), erase)


def _split(name: str, by: str) -> bool:
    """Whether a profile's column is an array over values of `by`: `by_user_id_7d`, `decay_..._by_user_id_3d`."""
    return name.startswith(f"by_{by}_") or f"_by_{by}_" in name


def _of_statistics(person: Person, his_events: DataFrame | None) -> Eraser:
    """His values are compared in columns of his only: another column may say the same text and mean something else."""
    own, keys = F.col("column").isin(*person.columns), F.col("kind") == "key"
    in_top = own & F.exists("top", lambda entry: entry["value"] == F.lit(person.value))
    ends = ("min", "max")

    def mark(table: DataFrame) -> DataFrame:
        marked = table.withColumns({f"_{end}": own & (F.col(end) == F.lit(person.value)) for end in ends})
        for end in ends:
            if his_events is None:
                continue
            ids = his_events.select(F.col("value").alias("_id"), F.lit(True).alias("_event"))
            marked = marked.join(ids, on=F.col(end) == F.col("_id"), how="left").drop("_id")
            marked = marked.withColumn(f"_{end}", F.col(f"_{end}") | (keys & F.col("_event").isNotNull())).drop(
                "_event"
            )
        marked = marked.withColumns({f"_{end}": F.coalesce(f"_{end}", F.lit(False)) for end in ends})
        return marked.withColumn(HIS, F.coalesce(in_top, F.lit(False)) | F.col("_min") | F.col("_max"))

    def erase(marked: DataFrame) -> DataFrame:
        others = F.filter("top", lambda entry: ~entry["value"].eqNullSafe(person.value))
        kept = {end: F.when(~F.col(f"_{end}"), F.col(end)) for end in ends}
        return marked.withColumns({"top": F.when(own, others).otherwise(F.col("top")), **kept}).drop(
            HIS, "_min", "_max"
        )

    return Eraser(mark, erase)
