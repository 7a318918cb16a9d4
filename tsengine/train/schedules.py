"""Learning rates as functions of the step (how many updates came before)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

Schedule = Callable[[int], float]


@dataclass(frozen=True)
class Constant:
    """The same rate at every step."""

    rate: float

    def __call__(self, step: int) -> float:
        return self.rate


def constant(rate: float) -> Schedule:
    """The same rate at every step."""
    return Constant(rate)


def as_schedule(rate: float | Schedule) -> Schedule:
    """A number as a constant schedule; a schedule as it is."""
    return rate if callable(rate) else Constant(float(rate))
