"""Adam and its kin: a running mean of the gradient, divided by the root of a running mean of its square.

They differ in two places: which rows of a table a sparse step moves, and what weight decay does.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tsengine.specs import Array, Spec
from tsengine.train.rules import Rule, Slot, Slots, like


@dataclass(frozen=True)
class _Moments(Rule):
    """The two running means, and the dense step."""

    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    elementwise: ClassVar[bool] = True

    def slots(self, spec: Spec) -> dict[str, Slot]:
        """`m` and `v`, of the parameter's shape."""
        return {"m": like(spec, 0.0), "v": like(spec, 0.0)}

    def apply_dense(self, param: Array, slots: Slots, grad: Array, step: int, learning_rate: float) -> None:
        """One step in place."""
        m, v = slots["m"], slots["v"]
        self._decay(m, v)
        m += (1.0 - self.beta1) * grad
        v += (1.0 - self.beta2) * (grad * grad)
        param -= self._change(m, v, step, learning_rate)

    def _decay(self, m: Array, v: Array) -> None:
        m *= self.beta1
        v *= self.beta2

    def _change(self, m: Array, v: Array, step: int, learning_rate: float) -> Array:
        """What the parameter loses."""
        rate = learning_rate * math.sqrt(1.0 - self.beta2 ** (step + 1)) / (1.0 - self.beta1 ** (step + 1))
        root = np.sqrt(v)
        root += self._epsilon_hat(step)
        return rate * m / root

    def _epsilon_hat(self, step: int) -> float:
        return self.epsilon


@dataclass(frozen=True)
class Adam(_Moments):
    """m = b1 m + (1 - b1) g; v = b2 v + (1 - b2) g^2; w -= lr sqrt(1 - b2^t) / (1 - b1^t) * m / (sqrt(v) + epsilon).

    Kingma & Ba 2015, in the form of section 2 with "epsilon hat": epsilon 1e-8 is added to sqrt(v) before the bias
    correction of v, as in TensorFlow 1. (PyTorch adds it after; epsilon = 1e-8 * sqrt(1 - b2^t) would be the same.)
    t is step + 1. Rows equal the dense step, as in TensorFlow 1: EVERY row of the table decays and moves, at the cost
    of the whole table, however few rows have a gradient. For large tables take LazyAdam.
    """

    only_given_rows: ClassVar[bool] = False

    def apply_rows(
        self, param: Array, slots: Slots, rows: Array, grads: Array, step: int, learning_rate: float
    ) -> None:
        """One step in place on the whole table, of which only unique rows have a gradient."""
        m, v = slots["m"], slots["v"]
        self._decay(m, v)
        m[rows] += (1.0 - self.beta1) * grads
        v[rows] += (1.0 - self.beta2) * (grads * grads)
        param -= self._change(m, v, step, learning_rate)


@dataclass(frozen=True)
class LazyAdam(_Moments):
    """Adam whose step on rows decays and moves only the rows given, with the global t in the bias correction.

    The formula, the constants and the dense step are Adam's. As TensorFlow's contrib LazyAdamOptimizer and PyTorch's
    SparseAdam. Differs from the dense step, which goes on moving a row after its last gradient.
    """


@dataclass(frozen=True)
class AdamW(_Moments):
    """w -= lr * (m / (1 - b1^t) / (sqrt(v / (1 - b2^t)) + epsilon) + decay * w), m and v as in Adam.

    Loshchilov & Hutter 2019 (arXiv:1711.05101), algorithm 2, with the decay scaled by the rate, as in PyTorch and
    optax. The decay does not pass through the moments, which is the difference from L2 added to the gradient. epsilon
    1e-8 is added after the bias correction of v, as in the paper and PyTorch: not where our Adam has it.

    Rows are refused: decay would reach only those that a batch happens to use. With `decay_rows` that is asked for;
    then only the rows given decay and move.
    """

    decay: float = 0.01
    decay_rows: bool = False

    def apply_dense(self, param: Array, slots: Slots, grad: Array, step: int, learning_rate: float) -> None:
        """One step in place."""
        param *= 1.0 - learning_rate * self.decay
        super().apply_dense(param, slots, grad, step, learning_rate)

    def refuses_rows(self) -> str | None:
        """Refused unless `decay_rows`."""
        if self.decay_rows:
            return None
        return (
            "AdamW's decay would reach only the rows that a batch happens to use; "
            "take LazyAdam() for tables, or AdamW(decay_rows=True)"
        )

    def _epsilon_hat(self, step: int) -> float:
        return self.epsilon * math.sqrt(1.0 - self.beta2 ** (step + 1))
