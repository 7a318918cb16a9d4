"""[labels]: what is learnt of an example. What decides the kind is which keys a table has."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from pipeline.config.table import Name, Positive, Table, one_of


class EventLabel(Table):
    """What every label of a product of events says: an example is an event of type `of`."""

    of: Name = "exposure"
    mature_after_s: Positive
    """So long after it an example is complete: what arrives later does not count. At least a line's usual delay."""


class Label(EventLabel):
    """Positive when events of type `event` follow within `within_s`, with the example's own values of `match`.

    (nothing else)      one such event is enough
    column, at_least    their sum of that column must reach so much: seconds watched, money spent
    next                the user's very next event of that type must be such a one
    """

    event: Name
    match: tuple[Name, ...] = Field(default=("user_id", "item_id"), min_length=1)
    within_s: Positive
    column: Name | None = None
    """A whole-number column of the events that follow, summed; null counts as 0."""
    at_least: Positive | None = None
    """What that sum must reach."""
    next: bool = False
    """Whether only the first of the user's events of that type that follow in time counts, by (event_time, event_id)
    among those that had arrived when the label matured. Where none follows, the label is 0."""

    @model_validator(mode="after")
    def _matures(self) -> Label:
        if self.mature_after_s < self.within_s:
            raise ValueError(f"mature_after_s ({self.mature_after_s}) must be at least within_s ({self.within_s})")
        return self

    @model_validator(mode="after")
    def _one_kind(self) -> Label:
        _both_or_neither(self.column, self.at_least)
        if self.next and self.column is not None:
            raise ValueError("`next` looks at one event and `column` sums over several: give one of them")
        if self.next and ("user_id" not in self.match or len(self.match) < 2):
            raise ValueError(
                "`next` asks whether the user's next event is about the same thing, so `match` must hold user_id and "
                f'something else, such as ["user_id", "item_id"], got {list(self.match)}'
            )
        return self


class ChosenLabel(EventLabel):
    """Positive by being in the log: 1 for an example, 0 for every candidate that [negatives] sample beside it.

    With `column` and `at_least` it is 1 where the example's own event says at least so much, and needs no negatives:
    which ratings are four stars or more. No feature may look at that column.
    """

    chosen: Literal[True]
    column: Name | None = None
    at_least: float | None = None

    @model_validator(mode="after")
    def _says_something(self) -> ChosenLabel:
        _both_or_neither(self.column, self.at_least)
        return self


def _both_or_neither(column: str | None, at_least: float | None) -> None:
    if (column is None) != (at_least is None):
        raise ValueError("`column` and `at_least` go together: what is compared, and with what")


ONE = ("1",)


class ColumnLabel(Table):
    """A label that a column of a table says: 1 or 0, or with `classes` the number of a class."""

    column: Name
    positive: tuple[str, ...] = Field(default=ONE, min_length=1)
    """Texts of the column that mean 1."""
    negative: tuple[str, ...] = ()
    """Texts of the column that mean 0. Where none is given: "0" beside `positive` = ["1"], else every other text."""
    classes: Annotated[int, Field(ge=2)] | None = None
    """The column holds the whole numbers from 0 up to this one, without it."""

    @model_validator(mode="after")
    def _says_one_thing(self) -> ColumnLabel:
        if self.classes is not None and (self.positive != ONE or self.negative):
            raise ValueError("`positive` and `negative` mean nothing beside `classes`: leave them out")
        if both := sorted({*self.positive} & {*self.negative}):
            raise ValueError(f"{both} cannot be positive and negative")
        return self

    @property
    def zeros(self) -> tuple[str, ...]:
        """Texts that mean 0; empty where every text does that is not positive."""
        return self.negative or (("0",) if self.positive == ONE else ())


def _kind(given: dict[str, Any]) -> type[Table]:
    if "chosen" in given:
        return ChosenLabel
    return ColumnLabel if "column" in given and "event" not in given else Label


AnyLabel = Annotated[Label | ChosenLabel | ColumnLabel, one_of(_kind)]
