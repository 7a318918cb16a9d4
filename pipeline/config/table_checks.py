"""What must hold between the tables of a config whose product is a table of labelled rows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pipeline.config.checks import (
    Fault,
    fixed_faults,
    pii_faults,
    unknown,
    unknown_crosses,
    unknown_labels,
    unknown_vocabularies,
)
from pipeline.config.cleaning import ROW_RULE_IDS, RULE_IDS
from pipeline.config.labels import ColumnLabel
from pipeline.config.table_sources import ColumnSplit, LeaveOneOut, TableSource

if TYPE_CHECKING:
    from pipeline.config import Config

OF_EVENTS = {
    "clean": ("lookback_days", "future_tolerance_s", "on_air_grace_s", "bots"),
    "training": ("days", "evaluation_days"),
}
"""What a product of a table has no use for, besides whole sections."""
SECTIONS = ("profiles", "negatives", "recommend", "simulate", "drift", "sessions")
IN_A_TABLE = ("column", "sql", "image")
"""Kinds of feature that look at one row."""
WHOLE = ("int", "long")


def table_faults(config: Config) -> list[Fault]:
    """Every fault between the tables; where there is no such source, that alone."""
    table = config.table
    if table is None:
        known = sorted(name for name, source in config.sources.items() if isinstance(source, TableSource))
        return [("datasets.rows", f"names source {config.datasets.rows!r}; of kind 'table' are {known}")]
    return [
        *_datasets(config, table),
        *_named_columns(config, table),
        *_labels(config, table),
        *unknown_labels(config),
        *_features(config, table),
        *unknown_crosses(config),
        *fixed_faults(config),
        *unknown_vocabularies(config),
        *_judged(config, table),
        *pii_faults(config),
    ]


def unheard_faults(config: Config) -> Iterator[Fault]:
    """What is written and means nothing for this kind of product."""
    if config.datasets.rows is None:
        if config.datasets.user is not None:
            yield "datasets.user", "is for a product of a table; an event says whose it is in column user_id"
        if config.training.evaluate_on is not None:
            yield "training.evaluate_on", "is for a product of a table; events are judged on the last evaluation_days"
        return
    for section in SECTIONS:
        if section in config.model_fields_set:
            yield section, "means nothing for a product of a table: leave it out"
    for section, keys in OF_EVENTS.items():
        for key in sorted(getattr(config, section).model_fields_set.intersection(keys)):
            yield f"{section}.{key}", "means nothing for a product of a table: leave it out"


def _datasets(config: Config, table: TableSource) -> Iterator[Fault]:
    datasets = config.datasets
    beside = {"events": datasets.events, "attributes": datasets.attributes, "rooms": datasets.rooms}
    for name in (name for name, given in beside.items() if given):
        yield f"datasets.{name}", "does not stand beside `rows`: a product has events or a table"
    if datasets.user is not None:
        yield from _needed(table, "datasets.user", datasets.user)


def _named_columns(config: Config, table: TableSource) -> Iterator[Fault]:
    """The columns that say which row it is and where it belongs: always there."""
    place, split = f"sources.{config.datasets.rows}", table.split
    if table.key is not None:
        yield from _needed(table, f"{place}.key", table.key)
    if isinstance(split, ColumnSplit):
        yield from _needed(table, f"{place}.split.column", split.column)
    if isinstance(split, LeaveOneOut):
        yield from _needed(table, f"{place}.split.of", split.of)
        yield from _needed(table, f"{place}.split.order", split.order)
        order = table.columns.get(split.order)
        if order is not None and order.time is None and order.type not in (*WHOLE, "double"):
            yield f"{place}.split.order", f"must be a number or a time, column {split.order!r} is {order.type}"


def _needed(table: TableSource, place: str, name: str) -> Iterator[Fault]:
    if name not in table.columns:
        yield place, unknown("column", name, table.columns)
    elif not table.columns[name].required:
        yield place, f"is column {name!r}, which a row may lack: declare it with required = true"


def _labels(config: Config, table: TableSource) -> Iterator[Fault]:
    for name, label in config.labels.items():
        if not isinstance(label, ColumnLabel):
            yield f"labels.{name}", "looks for an event; the label of a table is a column, such as { column = 'label' }"
            continue
        yield from _needed(table, f"labels.{name}.column", label.column)
        column = table.columns.get(label.column)
        wanted = WHOLE if label.classes is not None else (*WHOLE, "string")
        if column is not None and (column.time is not None or column.type not in wanted):
            yield f"labels.{name}.column", f"must be of type {', '.join(wanted)}, column {label.column!r} is not"


def _features(config: Config, table: TableSource) -> Iterator[Fault]:
    answers = {label.column: name for name, label in config.labels.items() if isinstance(label, ColumnLabel)}
    for group in ("user", "item", "sequence"):
        for name in getattr(config.features, group):
            yield f"features.{group}.{name}", "looks over time; a table has no clock: features.context is what it has"
    for name, feature in config.features.context.items():
        place = f"features.context.{name}"
        if all(getattr(feature, kind) is None for kind in IN_A_TABLE):
            yield place, f"must be one of {', '.join(IN_A_TABLE)}: a table has neither clock nor profiles"
        if feature.column is not None and feature.column not in table.columns:
            yield f"{place}.column", unknown("column", feature.column, table.columns)
        if feature.column in answers:
            yield f"{place}.column", f"is what label {answers[feature.column]!r} says: the model would read the answer"
        if feature.image is not None and table.format != "idx":
            yield f"{place}.image", f"goes with a source of format = 'idx', this one is {table.format}"
        if f"context_{name}" in table.columns:
            yield place, f"would be column context_{name}, which rows have already; rename either"


def _judged(config: Config, table: TableSource) -> Iterator[Fault]:
    names, chosen = table.split.names[1:], config.training.evaluate_on
    if chosen is not None and chosen not in names:
        yield "training.evaluate_on", f"is {chosen!r}, but the splits to judge on are {list(names)}"
    if "gauc" in config.gate and config.datasets.user is None:
        yield "gate.gauc", "compares within a user: name the column that says whose a row is in $.datasets.user"
    for rule in config.clean.budgets:
        if rule in RULE_IDS and rule not in ROW_RULE_IDS:
            yield f"clean.budgets.{rule}", f"is a rule of events; a table is judged by {list(ROW_RULE_IDS)}"
