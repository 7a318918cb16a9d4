"""What must hold between labels, sampled negatives and the rest of a config of events."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pipeline.config.checks import Fault, unknown
from pipeline.config.labels import ChosenLabel, ColumnLabel

if TYPE_CHECKING:
    from pipeline.config import Config, Negatives

ALWAYS_KEPT = ("user_id", "event_time")
NEVER_KEPT = ("event_id", "event_type", "item_id", "room_id", "available_at")
"""What makes the example the row that it is, and what a candidate has of its own."""


def label_faults(config: Config) -> Iterator[Fault]:
    """Every fault of labels and negatives."""
    for name, label in config.labels.items():
        if isinstance(label, ColumnLabel):
            yield f"labels.{name}.column", "is for the rows of a table; a label of events needs `event` and `within_s`"
        elif isinstance(label, ChosenLabel) and label.column is None and config.negatives is None:
            way_out = "sample candidates beside them with [negatives], or give `column` and `at_least`"
            yield f"labels.{name}.chosen", f"would be 1 for every example: {way_out}"
    if config.negatives is not None:
        yield from _negatives(config, config.negatives)


def _negatives(config: Config, negatives: Negatives) -> Iterator[Fault]:
    if negatives.candidates == "on_air" and config.datasets.rooms is None:
        yield "negatives.candidates", 'is "on_air", but $.datasets.rooms names no source; choose "popular"'
    source = config.sources.get(config.datasets.events)
    known = {} if source is None else source.columns
    for name in negatives.keep:
        if name in ALWAYS_KEPT:
            yield "negatives.keep", f"names {name!r}, which a candidate always shares with its example: leave it out"
        elif name in NEVER_KEPT:
            yield "negatives.keep", f"names {name!r}, which is of the event or its item, not of the user or the moment"
        elif source is not None and name not in known:
            yield "negatives.keep", unknown("column", name, set(known) - {*ALWAYS_KEPT, *NEVER_KEPT})
