"""Follow the regularized leader: Adagrad's rates, and weights that l1 holds at exactly 0."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tsengine.specs import Array, Spec
from tsengine.train.rules import Rule, Slot, Slots, like


@dataclass(frozen=True)
class FTRL(Rule):
    """n' = n + g^2; z += g - (n'^p - n^p) / lr * w; w = (sign(z) l1 - z) / (n'^p / lr + 2 l2) if |z| > l1 else 0.

    McMahan et al. 2013, in the form of TensorFlow's ApplyFtrl: p = -learning_rate_power = 0.5, n starts at `initial` =
    0.1 (the paper's beta is 0 here), z at 0, and l2 counts twice. There is no epsilon; n keeps the division defined.

    Made for weights that start at 0, as those of a wide linear part: with l1 = l2 = 0 it is then Adagrad. Any other
    first value is forgotten: the first dense step sets a weight without a gradient to exactly 0 and shrinks one with.
    On rows, those without a gradient stay as they are.
    """

    l1: float = 0.0
    l2: float = 0.0
    initial: float = 0.1
    learning_rate_power: float = -0.5
    elementwise: ClassVar[bool] = True

    def __post_init__(self) -> None:
        """Refuse constants with which the formula divides by 0 or grows without bound."""
        faults = [
            f"{name} must be {wanted}, got {value}"
            for name, value, fits, wanted in (
                ("l1", self.l1, self.l1 >= 0, ">= 0"),
                ("l2", self.l2, self.l2 >= 0, ">= 0"),
                ("initial", self.initial, self.initial > 0, "> 0"),
                ("learning_rate_power", self.learning_rate_power, self.learning_rate_power <= 0, "<= 0"),
            )
            if not fits
        ]
        if faults:
            raise ValueError("FTRL: " + "; ".join(faults))

    def slots(self, spec: Spec) -> dict[str, Slot]:
        """`accumulator` (n) and `linear` (z), of the parameter's shape."""
        return {"accumulator": like(spec, self.initial), "linear": like(spec, 0.0)}

    def apply_dense(self, param: Array, slots: Slots, grad: Array, step: int, learning_rate: float) -> None:
        """One step in place. The rate must not be 0: the formula divides by it."""
        if learning_rate <= 0:
            raise ValueError(f"FTRL divides by its learning rate, which must be > 0, got {learning_rate}")
        n, z = slots["accumulator"], slots["linear"]
        before = self._power(n)
        n += grad * grad
        after = self._power(n)
        z += grad - (after - before) / learning_rate * param
        # clip(z) - z is sign(z) * l1 - z outside [-l1, l1], and exactly 0 within
        param[...] = (np.clip(z, -self.l1, self.l1) - z) / (after / learning_rate + 2.0 * self.l2)

    def _power(self, n: Array) -> Array:
        return np.sqrt(n) if self.learning_rate_power == -0.5 else n**-self.learning_rate_power
