"""Each element's (or each row's) gradient divided by the root of the sum of its squares so far."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tsengine.specs import Array, Spec
from tsengine.train.rules import Rule, Slot, Slots, like


@dataclass(frozen=True)
class Adagrad(Rule):
    """n += g^2; w -= lr * g / (sqrt(n) + epsilon), n from `initial`.

    Duchi, Hazan & Singer 2011. The constants are TensorFlow's: n starts at 0.1, epsilon is 0, outside the root.
    Rows without a gradient stay as they are, which is what the dense step does too.
    """

    initial: float = 0.1
    epsilon: float = 0.0
    elementwise: ClassVar[bool] = True

    def slots(self, spec: Spec) -> dict[str, Slot]:
        """`accumulator`, of the parameter's shape."""
        return {"accumulator": like(spec, self.initial)}

    def apply_dense(self, param: Array, slots: Slots, grad: Array, step: int, learning_rate: float) -> None:
        """One step in place."""
        total = slots["accumulator"]
        total += grad * grad
        root = np.sqrt(total)
        root += self.epsilon
        param -= learning_rate * grad / root


@dataclass(frozen=True)
class RowWiseAdagrad(Rule):
    """s[r] += mean(g[r]^2); w[r] -= lr * g[r] / (sqrt(s[r]) + epsilon): one number of state per row.

    FBGEMM's EXACT_ROWWISE_ADAGRAD: s starts at 0, epsilon 1e-8 stands outside the root, duplicates are summed before
    they are squared. Rows without a gradient stay as they are. A slice must hold whole rows.
    """

    initial: float = 0.0
    epsilon: float = 1e-8
    elementwise: ClassVar[bool] = False

    def slots(self, spec: Spec) -> dict[str, Slot]:
        """`row_accumulator` [rows]; a scalar parameter is one row."""
        return {"row_accumulator": Slot(like(spec, 0.0).shape[:1], spec.dtype, self.initial)}

    def apply_dense(self, param: Array, slots: Slots, grad: Array, step: int, learning_rate: float) -> None:
        """One step in place on whole rows [n, ...]."""
        total = slots["row_accumulator"]
        if total.shape != param.shape[:1]:
            raise ValueError(f"RowWiseAdagrad works on whole rows: {param.shape} does not fit {total.shape} of state")
        total += _row_means(grad)
        root = np.sqrt(total)
        root += self.epsilon
        param -= learning_rate * grad / root.reshape(root.shape + (1,) * (grad.ndim - root.ndim))


def _row_means(grad: Array) -> Array:
    """Mean of the squares of each row. Every row is summed alone, so which rows stand beside it does not matter."""
    if grad.ndim < 2:
        return grad * grad
    rows = grad.reshape(len(grad), math.prod(grad.shape[1:]))
    return np.add.reduce(rows * rows, axis=1) / grad.dtype.type(max(1, rows.shape[1]))
