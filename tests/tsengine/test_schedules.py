"""Schedules: values worked out by hand, and the step that an optimizer hands them."""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt
from typing import Any

import numpy as np
import pytest

import tsengine as ts
from tsengine.train import GradientDescent, Optimizer, Schedule, constant, cosine_decay, exponential_decay, warm_up

VALUES: list[tuple[Schedule, dict[int, float]]] = [
    (constant(0.3), {0: 0.3, 7: 0.3}),
    (exponential_decay(0.8, 10, 0.25), {0: 0.8, 5: 0.4, 10: 0.2, 15: 0.1, 20: 0.05}),
    (exponential_decay(0.8, 10, 0.25, staircase=True), {0: 0.8, 9: 0.8, 10: 0.2, 19: 0.2, 20: 0.05}),
    (cosine_decay(0.8, 12), {0: 0.8, 3: 0.4 * (1 + sqrt(0.5)), 4: 0.6, 6: 0.4, 8: 0.2, 12: 0.0, 99: 0.0}),
    (cosine_decay(0.8, 12, alpha=0.25), {0: 0.8, 6: 0.5, 12: 0.2, 13: 0.2}),
    (warm_up(0.8, 4), {0: 0.2, 1: 0.4, 2: 0.6, 3: 0.8, 4: 0.8, 50: 0.8}),
    (warm_up(cosine_decay(0.8, 12), 4), {0: 0.2, 3: 0.8, 4: 0.8, 8: 0.6, 10: 0.4, 16: 0.0}),
    (warm_up(exponential_decay(0.8, 10, 0.25), 0), {0: 0.8, 10: 0.2}),
]


@pytest.mark.parametrize(("schedule", "values"), VALUES, ids=lambda item: repr(item))
def test_values_by_hand(schedule: Schedule, values: dict[int, float]) -> None:
    assert {step: schedule(step) for step in values} == pytest.approx(values, abs=1e-15)
    assert all(type(schedule(step)) is float for step in values)


def test_schedules_are_data() -> None:
    assert warm_up(cosine_decay(0.8, 12), 4) == warm_up(cosine_decay(0.8, 12), 4) != warm_up(cosine_decay(0.8, 11), 4)
    assert repr(exponential_decay(0.1, 5, 0.5)).startswith("ExponentialDecay(rate=0.1, decay_steps=5, decay_rate=0.5")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: exponential_decay(0.1, 0, 0.5), "exponential_decay: decay_steps must be >= 1, got 0"),
        (lambda: cosine_decay(0.1, -1), "cosine_decay: decay_steps must be >= 1, got -1"),
        (lambda: warm_up(0.1, -1), "warm_up: steps must be >= 0, got -1"),
    ],
)
def test_steps_that_make_no_sense_are_refused(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_an_optimizer_asks_for_the_rate_of_its_step() -> None:
    """A gradient of 1: the weight falls by the rate, 0.25, 0.5, 0.5, 0.25, 0.125."""
    with ts.Graph().as_default():
        w = ts.Variable(np.float64(2.0))
        step = Optimizer(GradientDescent(), warm_up(exponential_decay(0.5, 1, 0.5), 2)).minimize(w)
        session = ts.Session()
        seen = [session.run([w, step])[0].item() for _ in range(5)] + [session.run(w).item()]
    assert seen == [2.0, 1.75, 1.25, 0.75, 0.5, 0.375]
