"""What an optimizer is: a small rule over arrays, with constants, slots, and one in-place step. The plainest is here.

A rule is a frozen dataclass. `apply_dense` works on a whole parameter or, where `elementwise`, on any contiguous slice
of the flattened parameter and of its slots, with the same bits; `apply_rows` works on unique rows of a table with
gradients that are summed already. `step` counts the updates before this one, from 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple, Protocol

import numpy as np

from tsengine.specs import Array, Spec

Slots = dict[str, Array]


class Slot(NamedTuple):
    """State that a rule keeps for a parameter: its shape, dtype and first value."""

    shape: tuple[int, ...]
    dtype: np.dtype[np.floating]
    fill: float


class Rule(Protocol):
    """What the graph's optimizer and the parallel trainer need of an optimizer.

    elementwise     a slice of a parameter learns as it would inside the whole
    only_given_rows `apply_rows` touches no other row, so the owners of different rows may call it side by side
    """

    elementwise: ClassVar[bool]
    only_given_rows: ClassVar[bool] = True

    def slots(self, spec: Spec) -> dict[str, Slot]:
        """The slots of a parameter of that dtype and shape."""

    def apply_dense(self, param: Array, slots: Slots, grad: Array, step: int, learning_rate: float) -> None:
        """One step in place on a parameter (or a slice of it)."""

    def apply_rows(
        self, param: Array, slots: Slots, rows: Array, grads: Array, step: int, learning_rate: float
    ) -> None:
        """One step in place on unique rows of a table: the dense one on them alone. Other rows stay as they are."""
        own, own_slots = param[rows], {name: slot[rows] for name, slot in slots.items()}
        self.apply_dense(own, own_slots, grads, step, learning_rate)
        param[rows] = own
        for name, slot in slots.items():
            slot[rows] = own_slots[name]

    def refuses_rows(self) -> str | None:
        """Why gradients of rows are not for this rule, and what is; None where they are."""
        return None


def like(spec: Spec, fill: float) -> Slot:
    """A slot of the parameter's own shape and dtype."""
    return Slot(tuple(size or 0 for size in spec.shape or ()), spec.dtype, fill)


@dataclass(frozen=True)
class GradientDescent(Rule):
    """w -= lr * g. Rows without a gradient stay as they are, which is what the dense step does too."""

    elementwise: ClassVar[bool] = True

    def slots(self, spec: Spec) -> dict[str, Slot]:
        """None."""
        return {}

    def apply_dense(self, param: Array, slots: Slots, grad: Array, step: int, learning_rate: float) -> None:
        """One step in place."""
        param -= learning_rate * grad
