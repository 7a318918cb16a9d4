"""Each element's gradient divided by its running root mean square."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tsengine.specs import Array, Spec
from tsengine.train.rules import Rule, Slot, Slots, like


@dataclass(frozen=True)
class RMSProp(Rule):
    """s = decay * s + (1 - decay) * g^2; a = momentum * a + lr * g / sqrt(s + epsilon); w -= a.

    Tieleman & Hinton 2012 (lecture 6e), in the form of TensorFlow 1's ApplyRMSProp: epsilon 1e-10 stands inside the
    root, the rate inside `a`, and s starts at 1, so the first steps are short. (PyTorch: s from 0, epsilon 1e-8 outside
    the root, decay 0.99, the rate outside.) On rows only the rows given decay and move, as in TensorFlow.
    """

    decay: float = 0.9
    momentum: float = 0.0
    epsilon: float = 1e-10
    elementwise: ClassVar[bool] = True

    def slots(self, spec: Spec) -> dict[str, Slot]:
        """`rms` (a mean square, for all its name) and `momentum`, of the parameter's shape."""
        return {"rms": like(spec, 1.0), "momentum": like(spec, 0.0)}

    def apply_dense(self, param: Array, slots: Slots, grad: Array, step: int, learning_rate: float) -> None:
        """One step in place."""
        square, change = slots["rms"], slots["momentum"]
        square *= self.decay
        square += (1.0 - self.decay) * (grad * grad)
        change *= self.momentum
        change += learning_rate * grad / np.sqrt(square + self.epsilon)
        param -= change
