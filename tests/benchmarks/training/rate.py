"""How fast a training step is: a warm-up, then the median rate of five slices of time."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

WARM_UP, SLICES, ASK_EVERY = 3, 5, 8


@dataclass(frozen=True)
class Training:
    """A step to time.

    prepare  a batch of NumPy arrays as the step wants it
    step     makes one step on a prepared batch; its loss, perhaps not yet computed
    number   the loss as a float, waiting for it
    """

    prepare: Callable[[tuple[Any, ...]], Any]
    step: Callable[[Any], Any]
    number: Callable[[Any], float]


@dataclass(frozen=True)
class Rate:
    """Steps a second in each slice, and the loss of the last step."""

    slices: list[float]
    loss: float
    steps: int

    @property
    def steps_s(self) -> float:
        """The median."""
        return statistics.median(self.slices)


def warm_up(training: Training, batches: Sequence[Any]) -> None:
    """The first steps, in which compilers compile."""
    for k in range(WARM_UP):
        loss = training.step(batches[k % len(batches)])
    training.number(loss)


def timed(training: Training, batches: Sequence[Any], seconds: float) -> Rate:
    """Steps after the warm-up for so many seconds. A step may only be queued: every eighth loss is waited for."""
    done, rates = WARM_UP, []
    for _ in range(SLICES):
        first, start = done, time.perf_counter()
        while time.perf_counter() - start < seconds / SLICES:
            loss = training.step(batches[done % len(batches)])
            done += 1
            if (done - first) % ASK_EVERY == 0:
                training.number(loss)
        number = training.number(loss)
        rates.append((done - first) / (time.perf_counter() - start))
    return Rate(rates, number, done)


def counted(training: Training, batches: Sequence[Any], steps: int) -> Rate:
    """Exactly so many steps from the beginning; the rate is that of those after the warm-up, or of the last."""
    behind = min(WARM_UP, steps - 1)
    for k in range(steps):
        if k == behind:
            start = time.perf_counter()
        loss = training.step(batches[k % len(batches)])
    number = training.number(loss)
    return Rate([(steps - behind) / (time.perf_counter() - start)], number, steps)
