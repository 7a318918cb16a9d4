"""Proof of an epoch: how often each row is seen, whatever the number of ranks and wherever it was interrupted."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from pipeline.loader.order import EpochOrder


@dataclass(frozen=True)
class Proof:
    """Rows seen at least once, seen again, never seen; and the digest of the order."""

    seen: int
    repeated: int
    missed: int
    digest: str


def verify_epoch(order: EpochOrder, stops: tuple[int, ...] = ()) -> Proof:
    """Walk an epoch as a reader does that is stopped before the steps `stops` and resumed there."""
    counts = np.zeros(order.layout.rows, np.int64)
    digest = hashlib.sha256()
    for first, end in zip((0, *stops), (*stops, order.steps), strict=True):
        fresh = EpochOrder(order.layout, order.seed, order.epoch, order.batch_size, order.window_row_groups)
        for step in range(first, end):
            rows = fresh.rows(step)
            np.add.at(counts, rows, 1)
            digest.update(rows.tobytes())
    return Proof(
        int((counts > 0).sum()), int(np.maximum(counts - 1, 0).sum()), int((counts == 0).sum()), digest.hexdigest()
    )
