"""[negatives]: candidates that nobody logged, sampled beside each example."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from pipeline.config.table import Name, NotNegative, Table


class Negatives(Table):
    """Up to `per_example` candidates beside each logged example: the same user at the same moment, another item.

    A candidate is drawn with a chance proportional to (1 + its events `popularity` on the arrival day before) ^ power.
    `sampling_probability` of an example is 1 where it was logged, else the chance of one draw to give that candidate
    among all that could have been drawn then. Nothing that was not known before the moment has a part in it.
    """

    per_example: Annotated[int, Field(gt=0, le=100)]
    """There may be fewer, where too few candidates are left; on the first day there are no popular items at all."""
    candidates: Literal["on_air", "popular"]
    """`on_air`: the rooms on air, as known when the slot of five minutes began; those that are known to have ended by
    then are out. `popular`: the items with an event `popularity` on the arrival day before, for products without rooms.
    """
    popularity: Name
    """The type of event that is counted; what robots did is not."""
    power: Annotated[float, Field(ge=0, le=1)] = 0.75
    """1 draws as often as an item is met, 0 draws all alike."""
    unseen_days: NotNegative = 2
    """Not the item of any event of that user that was known before the slot, so many days back; 0 asks for none.
    The item of the example itself is never drawn for it."""
    keep: tuple[Name, ...] = ()
    """Columns that say something of the user or the moment, so that a candidate has the example's values. Whatever else
    an event says, such as a place in a list, is of what was shown: no feature and no label may look at it."""
    seed: int = 1

    @property
    def draws(self) -> int:
        """How often is drawn beside an example, for some are drawn twice or were seen."""
        return 3 * self.per_example
