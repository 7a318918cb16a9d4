"""[drift]: how far a day may differ from the days before it."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

from pydantic import Field, model_validator

from pipeline.config.checks import Fault, unknown
from pipeline.config.table import Name, NotNegative, Positive, Table

if TYPE_CHECKING:
    from pipeline.config import Config

NotBelowZero = Annotated[float, Field(ge=0)]

MEANT_FOR = {
    "psi": ("number", "label", "list", "category", "id"),
    "unknown_rate": ("id",),
    "unknown_rate_change": ("id",),
    "label_rate_change": ("label",),
}
"""Kinds of column (pipeline.statistics.columns) that a check goes with; the others go with all."""


class Level(Table):
    """Above `warn` a finding is said, above `fail` it stops the road."""

    warn: NotBelowZero | None = None
    fail: NotBelowZero | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Level:
        if self.warn is None and self.fail is None:
            raise ValueError("needs warn or fail: a check without a level never says anything")
        if self.warn is not None and self.fail is not None and self.warn > self.fail:
            raise ValueError(f"warn ({self.warn}) must not be above fail ({self.fail})")
        return self


class Limits(Table):
    """What is checked of a column. A rate is a share of the rows; a change is against the reference days together."""

    psi: Level | None = None
    """Population stability index: sum over groups of (day - reference) * ln(day / reference), in shares."""
    null_rate: Level | None = None
    """Share of nulls, of any day."""
    null_rate_change: Level | None = None
    """By how much that share rose or fell: 0.05 is from 1 % to 6 %."""
    unknown_rate: Level | None = None
    """Share of ids that the vocabulary did not hold, of any day."""
    unknown_rate_change: Level | None = None
    """By how much that share rose or fell."""
    label_rate_change: Level | None = None
    """By how much the share of positives rose or fell, of itself: 0.5 is from 4 % to 2 % or to 6 %."""


class Drift(Limits):
    """The limits of every column, and those of single ones; a day that breaks one ends with exit code 3."""

    warm_up_days: NotNegative = 0
    """The product's first days, while windows fill and vocabularies grow: neither judged nor referred to."""
    reference_days: Positive = 7
    """The days before, so many of them, are what a day is held against. While there are fewer, nothing is judged but
    null_rate and unknown_rate."""
    least_rows: Positive = 1000
    """With fewer rows, of the day or of a reference day, shares say little: not judged."""
    psi: Level | None = Level(warn=0.1, fail=0.25)
    rows_change: Level | None = None
    """By how much the rows of a dataset rose or fell, of the mean of the reference days: 0.5 is half as many."""
    accepted_days: tuple[datetime.date, ...] = ()
    """Days that a person has looked at: what is above `fail` there is said and stops nothing."""
    events: dict[Name, Limits] = Field(default={})
    """Limits of single columns of the events,"""
    examples: dict[Name, Limits] = Field(default={})
    """and of the examples; what is not said of a column is as for all."""

    def level(self, table: str, column: str, check: str) -> tuple[Level | None, str]:
        """The level of a check for a column of `events` or `examples`, and its place in the config."""
        own: Level | None = getattr(getattr(self, table).get(column, Limits()), check)
        return (own, f"$.drift.{table}.{column}.{check}") if own else (getattr(self, check), f"$.drift.{check}")


def drift_faults(config: Config) -> Iterator[Fault]:
    """Limits of columns that there are not, or that have no such rate."""
    from pipeline.statistics.columns import TABLES, kinds_of

    if config.drift is None:
        return
    for table in TABLES:
        kinds = kinds_of(config, table)
        for column, limits in getattr(config.drift, table).items():
            place = f"drift.{table}.{column}"
            if column not in kinds:
                yield place, unknown("column", column, kinds)
            elif limits == Limits():
                yield place, "says nothing: give a check such as psi = { fail = 0.5 }, or leave it out"
            else:
                yield from _meaningless(place, limits, kinds[column])


def _meaningless(place: str, limits: Limits, kind: str) -> Iterator[Fault]:
    for check, kinds in MEANT_FOR.items():
        if getattr(limits, check) is not None and kind not in kinds:
            yield f"{place}.{check}", f"means nothing of a column of kind {kind!r}, only of {', '.join(kinds)}"
