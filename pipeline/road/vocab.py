"""events, attributes -> build_vocab -> vocab."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from pyspark.sql import DataFrame

from pipeline.config import Config, Vocabulary
from pipeline.datasets import attributes, events, vocabulary
from pipeline.days import Day, add_days, days_between
from pipeline.features import vocabulary_names
from pipeline.raw import Outside
from pipeline.step import Input, Output, Step, Tables
from pipeline.steps.build_vocab import build_vocab, vocabulary_values

FORGOTTEN = "forgotten"
"""What the manifest of a snapshot says besides: vocabulary -> id -> first_dt."""


def _vocab_reads(config: Config, day: Day) -> Mapping[str, Input]:
    earlier = tuple(days_between(add_days(day, -1), add_days(day, -1), config.product.first_day))
    inputs = {"events": Input(events(config), (day,))}
    inputs |= {
        f"attributes_{entity}": Input(attributes(config, entity), (day,)) for entity in config.datasets.attributes
    }
    return inputs | {f"vocab_{column}": Input(vocabulary(column), earlier) for column in vocabulary_names(config)}


def _vocab(config: Config, day: Day, tables: Tables, outside: Sequence[Outside]) -> Output:
    said: dict[str, DataFrame] = {
        entity: tables.expect(f"attributes_{entity}") for entity in config.datasets.attributes
    }
    names = vocabulary_names(config)
    known = {name: table for name in names if (table := tables.table(f"vocab_{name}")) is not None}
    forgotten = taken(tables, names, day)
    made = build_vocab(config, day, vocabulary_values(config, tables.expect("events"), said), known, forgotten)
    found = {f"vocab/{name}": table for name, table in made.tables.items()}
    return Output(found, {FORGOTTEN: forgotten}, release=made.release)


def taken(tables: Tables, names: Iterable[str], day: Day) -> dict[str, dict[str, str]]:
    """By vocabulary the ids, with their first_dt, of who was forgotten out of the published snapshot of the day: they
    stay taken when the day is built again."""
    found = {name: tables.standing(vocabulary(name), day).get(FORGOTTEN, {}).get(name, {}) for name in names}
    return {name: dict(ids) for name, ids in found.items() if ids}


def _vocab_settings(config: Config) -> dict[str, int]:
    """Which vocabularies there are, and who gets an id: the rest of the features may change without giving ids anew."""
    return {column: config.vocabularies.get(column, Vocabulary()).min_count for column in vocabulary_names(config)}


VOCAB = Step(
    "build_vocab", ("product", "datasets"), ("pipeline.steps.build_vocab", "pipeline.days", "pipeline.features"),
    _vocab_reads, lambda config: tuple(map(vocabulary, vocabulary_names(config))), _vocab,
    settings=_vocab_settings, append_only=True,
)  # fmt: skip
