"""Which columns have statistics, and of which kind: that decides what is counted.

key       one value a row: nulls, distinct, smallest and largest
time      the same
number    and a histogram over fixed bins (statistics.bins), with quantiles read off it
label     a number that is 0 or 1: and how many are positive
list      its length, as a number
category  the most frequent values with their counts
id        the same of an encoded id: 1 counts as null, 2 as unknown
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pipeline import schemas
from pipeline.features import feature_specs

if TYPE_CHECKING:
    from pipeline.config import Config

Kind = Literal["key", "time", "number", "label", "list", "category", "id"]
Kinds = dict[str, Kind]
"""Column -> kind."""

BINNED = ("number", "label", "list")
LISTED = ("category", "id")
TABLES = ("events", "examples")
"""The tables of a day that have statistics, as [drift] names them."""

_BY_TYPE: dict[str, Kind] = {
    "string": "category", "boolean": "category", "timestamp": "time", "date": "time", "array<int>": "list",
}  # fmt: skip


def dataset_of(config: Config, table: str) -> str:
    """`examples` -> `examples/enter`."""
    return f"examples/{config.training.label}" if table == "examples" else table


def kinds_of(config: Config, table: str) -> Kinds:
    """The columns of `events` or `examples` that have statistics. (Where a line lay, `source_file`, is no content.)"""
    return _of_events(config) if table == "events" else {**_of_examples(config), **delays_of(config)}


def delays_of(config: Config) -> Kinds:
    """`known_after_s_<label>`: of every positive label, the seconds from the exposure until it could be known."""
    return dict.fromkeys((f"known_after_s_{name}" for name in config.labels), "number")


def _of_events(config: Config) -> Kinds:
    columns = {name: type_ for name, type_ in schemas.events(config).items() if name != "source_file"}
    return {name: "key" if name == "event_id" else _BY_TYPE.get(type_, "number") for name, type_ in columns.items()}


def _of_examples(config: Config) -> Kinds:
    ids = {spec.name for spec in feature_specs(config) if spec.kind == "id"}
    found: Kinds = {name: _BY_TYPE.get(type_, "number") for name, type_ in schemas.examples(config).items()}
    found |= dict.fromkeys(ids, "id")
    found |= dict.fromkeys((f"label_{name}" for name in config.labels), "label")
    return {**found, "example_id": "key"}
