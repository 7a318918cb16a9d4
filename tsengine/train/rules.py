"""Optimizers as small rules over arrays: constants, slots, and one in-place step.

A rule is a frozen dataclass. `apply_dense` works on a whole parameter or, where `elementwise`, on any contiguous slice
of the flattened parameter and of its slots, with the same bits; `apply_rows` works on unique rows of a table with
gradients that are summed already. `step` counts the updates before this one, from 0.
"""

from __future__ import annotations

import math
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
    """What the graph's optimizer and the parallel trainer need of an optimizer."""

    elementwise: ClassVar[bool]

    def slots(self, spec: Spec) -> dict[str, Slot]:
        """The slots of a parameter of that dtype and shape."""

    def apply_dense(self, param: Array, slots: Slots, grad: Array, step: int, learning_rate: float) -> None:
        """One step in place on a parameter (or a slice of it)."""

    def apply_rows(
        self, param: Array, slots: Slots, rows: Array, grads: Array, step: int, learning_rate: float
    ) -> None:
        """One step in place on unique rows of a table."""


def _like(spec: Spec, fill: float) -> Slot:
    return Slot(tuple(size or 0 for size in spec.shape or ()), spec.dtype, fill)


@dataclass(frozen=True)
class GradientDescent:
    """w -= lr * g. Rows without a gradient stay as they are."""

    elementwise: ClassVar[bool] = True

    def slots(self, spec: Spec) -> dict[str, Slot]:
        """None."""
        return {}

    def apply_dense(self, param: Array, slots: Slots, grad: Array, step: int, learning_rate: float) -> None:
        """One step in place."""
        param -= learning_rate * grad

    def apply_rows(
        self, param: Array, slots: Slots, rows: Array, grads: Array, step: int, learning_rate: float
    ) -> None:
        """One step in place on unique rows."""
        param[rows] -= learning_rate * grads


@dataclass(frozen=True)
class Adagrad:
    """n += g^2; w -= lr * g / (sqrt(n) + epsilon), n from `initial`.

    Duchi, Hazan & Singer 2011. The constants are TensorFlow's: n starts at 0.1, epsilon is 0, outside the root.
    Rows without a gradient stay as they are.
    """

    initial: float = 0.1
    epsilon: float = 0.0
    elementwise: ClassVar[bool] = True

    def slots(self, spec: Spec) -> dict[str, Slot]:
        """`accumulator`, of the parameter's shape."""
        return {"accumulator": _like(spec, self.initial)}

    def apply_dense(self, param: Array, slots: Slots, grad: Array, step: int, learning_rate: float) -> None:
        """One step in place."""
        total = slots["accumulator"]
        total += grad * grad
        param -= self._change(total, grad, learning_rate)

    def apply_rows(
        self, param: Array, slots: Slots, rows: Array, grads: Array, step: int, learning_rate: float
    ) -> None:
        """One step in place on unique rows."""
        total = slots["accumulator"][rows] + grads * grads
        slots["accumulator"][rows] = total
        param[rows] -= self._change(total, grads, learning_rate)

    def _change(self, total: Array, grad: Array, learning_rate: float) -> Array:
        root = np.sqrt(total)
        root += self.epsilon
        return learning_rate * grad / root


@dataclass(frozen=True)
class RowWiseAdagrad:
    """s[r] += mean(g[r]^2); w[r] -= lr * g[r] / (sqrt(s[r]) + epsilon): one number of state per row.

    FBGEMM's EXACT_ROWWISE_ADAGRAD: s starts at 0, epsilon 1e-8 stands outside the root, duplicates are summed before
    they are squared. Rows without a gradient stay as they are. A slice must hold whole rows.
    """

    initial: float = 0.0
    epsilon: float = 1e-8
    elementwise: ClassVar[bool] = False

    def slots(self, spec: Spec) -> dict[str, Slot]:
        """`row_accumulator` [rows]; a scalar parameter is one row."""
        shape = tuple(size or 0 for size in spec.shape or ())[:1]
        return {"row_accumulator": Slot(shape, spec.dtype, self.initial)}

    def apply_dense(self, param: Array, slots: Slots, grad: Array, step: int, learning_rate: float) -> None:
        """One step in place on whole rows [n, ...]."""
        total = slots["row_accumulator"]
        if total.shape != param.shape[:1]:
            raise ValueError(f"RowWiseAdagrad works on whole rows: {param.shape} does not fit {total.shape} of state")
        total += _row_means(grad)
        param -= self._change(total, grad, learning_rate)

    def apply_rows(
        self, param: Array, slots: Slots, rows: Array, grads: Array, step: int, learning_rate: float
    ) -> None:
        """One step in place on unique rows."""
        total = slots["row_accumulator"][rows] + _row_means(grads)
        slots["row_accumulator"][rows] = total
        param[rows] -= self._change(total, grads, learning_rate)

    def _change(self, total: Array, grad: Array, learning_rate: float) -> Array:
        root = np.sqrt(total)
        root += self.epsilon
        return learning_rate * grad / root.reshape(root.shape + (1,) * (grad.ndim - root.ndim))


def _row_means(grad: Array) -> Array:
    """Mean of the squares of each row. Every row is summed alone, so which rows stand beside it does not matter."""
    if grad.ndim < 2:
        return grad * grad
    rows = grad.reshape(len(grad), -1)
    return np.add.reduce(rows * rows, axis=1) / grad.dtype.type(max(1, rows.shape[1]))


@dataclass(frozen=True)
class Adam:
    """m = b1 m + (1 - b1) g; v = b2 v + (1 - b2) g^2; w -= lr sqrt(1 - b2^t) / (1 - b1^t) * m / (sqrt(v) + epsilon).

    Kingma & Ba 2015, in the form of section 2 with "epsilon hat": epsilon 1e-8 is added to sqrt(v) before the bias
    correction of v, as in TensorFlow. t is step + 1. On rows only the rows given are decayed and moved ("lazy" Adam),
    with the global t in the bias correction; this differs from the dense step, which moves every row.
    """

    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    elementwise: ClassVar[bool] = True

    def slots(self, spec: Spec) -> dict[str, Slot]:
        """`m` and `v`, of the parameter's shape."""
        return {"m": _like(spec, 0.0), "v": _like(spec, 0.0)}

    def apply_dense(self, param: Array, slots: Slots, grad: Array, step: int, learning_rate: float) -> None:
        """One step in place."""
        m, v = slots["m"], slots["v"]
        param -= self._change(m, v, grad, step, learning_rate)

    def apply_rows(
        self, param: Array, slots: Slots, rows: Array, grads: Array, step: int, learning_rate: float
    ) -> None:
        """One step in place on unique rows."""
        m, v = slots["m"][rows], slots["v"][rows]
        change = self._change(m, v, grads, step, learning_rate)
        slots["m"][rows], slots["v"][rows] = m, v
        param[rows] -= change

    def _change(self, m: Array, v: Array, grad: Array, step: int, learning_rate: float) -> Array:
        """Moves the moments in place and returns what the parameter loses."""
        t = step + 1
        rate = learning_rate * math.sqrt(1.0 - self.beta2**t) / (1.0 - self.beta1**t)
        m *= self.beta1
        m += (1.0 - self.beta1) * grad
        v *= self.beta2
        v += (1.0 - self.beta2) * (grad * grad)
        root = np.sqrt(v)
        root += self.epsilon
        return rate * m / root
