"""The order of an epoch: pinned by literal numbers, and proved to hold every row once."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from pipeline.loader import EpochOrder, Layout, RowGroup
from pipeline.loader.order import Share
from pipeline.loader.verify import verify_epoch


def order_of(sizes: list[int], batch_size: int = 4, window: int = 2) -> EpochOrder:
    starts = np.cumsum([0, *sizes])
    groups = tuple(RowGroup("x", i, b - a, a) for i, (a, b) in enumerate(pairwise(starts.tolist())))
    return EpochOrder(Layout(groups, "d"), seed=1, epoch=0, batch_size=batch_size, window_row_groups=window)


def test_the_order_of_a_seed_never_changes() -> None:
    """Literal numbers: a checkpoint that was made today must go on with the same rows tomorrow."""
    order = order_of([3, 4, 2])
    assert [order.rows(step).tolist() for step in range(order.steps)] == [[0, 6, 5, 1], [4, 2, 3, 8], [7]]


def test_rows_are_shuffled_across_the_groups_of_a_window_and_not_beyond() -> None:
    order = order_of([50, 50, 50, 50], batch_size=100)
    for step, window in enumerate(order.windows):
        rows = order.rows(step)
        owned = np.concatenate([np.arange(group.start, group.start + group.rows) for group in window.groups])
        assert sorted(rows.tolist()) == sorted(owned.tolist())
        assert len({int(row) // 50 for row in rows[:20]}) == 2


def test_a_proof_counts_every_row_once_wherever_the_reader_stopped() -> None:
    order = order_of([30, 1, 17, 40], batch_size=8)
    whole = verify_epoch(order)
    assert (whole.seen, whole.repeated, whole.missed) == (88, 0, 0)
    assert verify_epoch(order, stops=(1, 5)) == whole


def test_a_proof_finds_a_row_that_comes_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    order = order_of([30, 1, 17, 40], batch_size=8)
    rows = EpochOrder.rows
    monkeypatch.setattr(EpochOrder, "rows", lambda self, step: rows(self, max(step, 1)))
    proof = verify_epoch(order)
    assert (proof.seen, proof.repeated, proof.missed) == (80, 8, 8)


def test_proofs_of_two_epochs_differ() -> None:
    order = order_of([30, 1, 17, 40], batch_size=8)
    assert verify_epoch(order).digest != verify_epoch(replace(order, epoch=1)).digest


@pytest.mark.parametrize("world", [1, 2, 3, 5, 9])
def test_the_shares_of_all_ranks_are_all_places(world: int) -> None:
    places = np.arange(100)
    held = np.array([Share(rank, world, 6, 24).holds(places) for rank in range(world)])
    assert (held.sum(axis=0) == 1).all()
    for rank, mine in enumerate(held):
        assert {int(place) % 24 // 4 for place in places[mine]} == set(Share(rank, world, 6, 24).numbers)
