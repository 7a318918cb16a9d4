"""Dirt at the edges of a day, on rows made by hand."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest

from pipeline.simulate import DirtRates, SimulationConfig, World, build_world
from pipeline.simulate.dirt import Delivered, deliver
from pipeline.simulate.events import LIKE, EventRows, event_lines, line_ids

ROWS = 100


def only(**rates: float) -> DirtRates:
    """These kinds and no others."""
    return DirtRates(**{rate.name: rates.get(rate.name, 0.0) for rate in fields(DirtRates)})


def at_midnight(world: World, day: int) -> EventRows:
    """Likes that happened in the last instant of a day and were received in the first second of the next."""
    every = {name: np.full(ROWS, -1) for name in ("scene", "position", "duration", "amount")}
    time = np.full(ROWS, world.config.day_starts[day + 1] - 1)
    return EventRows(
        ids=line_ids(1, 0, ROWS), action=np.full(ROWS, LIKE), user=np.arange(ROWS), room=np.zeros(ROWS, dtype=np.int64),
        time=time, received=time + 1000, bot=np.zeros(ROWS, dtype=np.bool_), **every,
    )  # fmt: skip


def delivered(lookback_days: int, dirt: DirtRates) -> tuple[World, Delivered]:
    world = build_world(SimulationConfig(users=10, streamers=20, lookback_days=lookback_days, dirt=dirt))
    rows = at_midnight(world, 1)
    return world, deliver(world, rows, event_lines(world, rows), 0)


@pytest.mark.parametrize("lookback_days", [1, 2])
def test_a_duplicate_never_comes_when_it_would_be_too_late(lookback_days: int) -> None:
    _, found = delivered(lookback_days, only(resent=1.0))
    assert {kind for _, _, _, kind, _ in found.dirt} == {"resent"}
    assert {day for _, day, _, _, _ in found.dirt} == set(range(2, 2 + lookback_days))
    assert sum(map(len, found.lines.values())) == 2 * ROWS
    assert found.kept.all()
    assert found.on_time.all()


def test_a_line_that_would_be_too_late_the_next_day_comes_in_time() -> None:
    _, found = delivered(1, only(next_day=1.0))
    assert found.dirt == []
    assert found.on_time.all()
    _, patient = delivered(2, only(next_day=1.0))
    assert {(day, kind) for _, day, _, kind, _ in patient.dirt} == {(3, "next_day")}
    assert patient.kept.all()
    assert not patient.on_time.any()


def test_far_too_late_is_just_past_the_look_back() -> None:
    _, found = delivered(2, only(far_too_late=1.0))
    assert {day for _, day, _, _, _ in found.dirt} == {5}, "of an event of day 1, received on day 2"
    assert not found.kept.any()
