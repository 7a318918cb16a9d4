"""Learning rates as functions of the step (how many updates came before). Each is data: a frozen dataclass."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

Schedule = Callable[[int], float]


@dataclass(frozen=True)
class Constant:
    """The same rate at every step."""

    rate: float

    def __call__(self, step: int) -> float:
        return self.rate


@dataclass(frozen=True)
class ExponentialDecay:
    """rate * decay_rate ^ (step / decay_steps); `staircase` rounds the exponent down."""

    rate: float
    decay_steps: int
    decay_rate: float
    staircase: bool = False

    def __post_init__(self) -> None:
        _need_steps("exponential_decay", "decay_steps", self.decay_steps, 1)

    def __call__(self, step: int) -> float:
        exponent = step // self.decay_steps if self.staircase else step / self.decay_steps
        return float(self.rate * self.decay_rate**exponent)


@dataclass(frozen=True)
class CosineDecay:
    """rate * ((1 - alpha) * (1 + cos(pi * min(step, decay_steps) / decay_steps)) / 2 + alpha)."""

    rate: float
    decay_steps: int
    alpha: float = 0.0

    def __post_init__(self) -> None:
        _need_steps("cosine_decay", "decay_steps", self.decay_steps, 1)

    def __call__(self, step: int) -> float:
        cosine = (1.0 + math.cos(math.pi * min(step, self.decay_steps) / self.decay_steps)) / 2.0
        return self.rate * ((1.0 - self.alpha) * cosine + self.alpha)


@dataclass(frozen=True)
class WarmUp:
    """schedule(0) * (step + 1) / steps while step < steps, then schedule(step - steps)."""

    schedule: Schedule
    steps: int

    def __post_init__(self) -> None:
        _need_steps("warm_up", "steps", self.steps, 0)

    def __call__(self, step: int) -> float:
        if step < self.steps:
            return self.schedule(0) * (step + 1) / self.steps
        return self.schedule(step - self.steps)


def constant(rate: float) -> Schedule:
    """The same rate at every step."""
    return Constant(rate)


def exponential_decay(rate: float, decay_steps: int, decay_rate: float, staircase: bool = False) -> Schedule:
    """rate * decay_rate ^ (step / decay_steps), the exponent rounded down with `staircase`.

    TensorFlow's tf.train.exponential_decay.
    """
    return ExponentialDecay(rate, decay_steps, decay_rate, staircase)


def cosine_decay(rate: float, decay_steps: int, alpha: float = 0.0) -> Schedule:
    """Half a cosine from `rate` to alpha * rate within `decay_steps`, then it stays there.

    rate * ((1 - alpha) * (1 + cos(pi * min(step, decay_steps) / decay_steps)) / 2 + alpha): TensorFlow's
    tf.train.cosine_decay, after Loshchilov & Hutter 2017 (SGDR, arXiv:1608.03983) without restarts.
    """
    return CosineDecay(rate, decay_steps, alpha)


def warm_up(schedule: float | Schedule, steps: int) -> Schedule:
    """A straight line up to schedule(0) in `steps` steps, then the schedule from its beginning.

    schedule(0) * (step + 1) / steps while step < steps, then schedule(step - steps). Goyal et al. 2017
    (arXiv:1706.02677), section 2.2; no step has rate 0.
    """
    return WarmUp(as_schedule(schedule), steps)


def as_schedule(rate: float | Schedule) -> Schedule:
    """A number as a constant schedule; a schedule as it is."""
    return rate if callable(rate) else Constant(float(rate))


def _need_steps(name: str, argument: str, steps: int, least: int) -> None:
    if steps < least:
        raise ValueError(f"{name}: {argument} must be >= {least}, got {steps}")
