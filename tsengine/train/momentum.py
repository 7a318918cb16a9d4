"""Gradient descent with a memory of the gradients' direction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tsengine.specs import Array, Spec
from tsengine.train.rules import Rule, Slot, Slots, like


@dataclass(frozen=True)
class Momentum(Rule):
    """a = momentum * a + g; w -= lr * a, or with `nesterov` w -= lr * (g + momentum * a). a starts at 0.

    Polyak 1964; Nesterov's in the form of Sutskever et al. 2013, as TensorFlow's ApplyMomentum and PyTorch's SGD
    (dampening 0) have it: the rate stands outside `a`, so a rate that falls acts at once. On rows only the rows given
    decay and move, as in TensorFlow; the dense step moves every row that ever had a gradient.
    """

    momentum: float = 0.9
    nesterov: bool = False
    elementwise: ClassVar[bool] = True

    def slots(self, spec: Spec) -> dict[str, Slot]:
        """`momentum`, of the parameter's shape."""
        return {"momentum": like(spec, 0.0)}

    def apply_dense(self, param: Array, slots: Slots, grad: Array, step: int, learning_rate: float) -> None:
        """One step in place."""
        total = slots["momentum"]
        total *= self.momentum
        total += grad
        param -= learning_rate * (grad + self.momentum * total if self.nesterov else total)
