"""What a trainer calls on arrays outside of any plan: sums over rows named more than once, and an optimizer's step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np

from tsengine.kernels.rows import distinct, sum_runs
from tsengine.specs import Array

if TYPE_CHECKING:
    from tsengine.train.rules import Rule, Slots


class Distinct(Protocol):
    """The distinct ones of some ids, to sum values by. Several tables that look into the same ids need them found once.

    `find` and `find_owned` look at ids and keep what they found, and its memory, until they are called again.
    """

    @property
    def rows(self) -> Array:
        """[n], in an order of the implementation's."""

    def find(self, ids: Array) -> None:
        """Of ids [n]; then `sum` takes values [n, ...]."""

    def find_owned(self, counts: Array, ids: Array, block: int, rank: int, size: int) -> None:
        """Of the ids [shards, n] whose block is this rank's; then `sum` takes values [shards, n, ...], in shard order.

        counts: how many of a shard's ids count.
        """

    def sum(self, values: Array, sums: Array) -> None:
        """Write the sum of the values of each of `rows` into sums [n, ...], added in the order of the ids."""


class Calls:
    """In NumPy. `tsengine.kernels.compiled.calls` has the twin."""

    def distinct(self) -> Distinct:
        """One that has found nothing yet."""
        return _Sorted()

    def apply_dense(self, rule: Rule, param: Array, slots: Slots, grad: Array, step: int, rate: float) -> None:
        """One step in place on a parameter or a slice of it."""
        rule.apply_dense(param, slots, grad, step, rate)

    def apply_rows(
        self, rule: Rule, param: Array, slots: Slots, rows: Array, grads: Array, step: int, rate: float
    ) -> None:
        """One step in place on distinct rows of a table."""
        rule.apply_rows(param, slots, rows, grads, step, rate)


class _Sorted:
    """By a stable sort: `_order` lists the values of the first row, then those of the second, …"""

    def __init__(self) -> None:
        self.rows = self._order = self._starts = np.zeros(0, np.int64)

    def find(self, ids: Array) -> None:
        self._sort(_narrow(ids), np.arange(len(ids)))

    def find_owned(self, counts: Array, ids: Array, block: int, rank: int, size: int) -> None:
        narrow = _narrow(ids[np.arange(ids.shape[1]) < np.reshape(counts, (-1, 1))])
        mine = np.flatnonzero(narrow // block % size == rank)
        places = np.concatenate([np.arange(count) + shard * ids.shape[1] for shard, count in enumerate(counts)])
        self._sort(narrow[mine], places[mine])

    def _sort(self, ids: Array, places: Array) -> None:
        rows, order, self._starts = distinct(ids)
        self.rows, self._order = rows.astype(np.int64), places[order]

    def sum(self, values: Array, sums: Array) -> None:
        sums[...] = sum_runs(values.reshape(-1, *sums.shape[1:]), self._order, self._starts)


def _narrow(ids: Array) -> Array:
    """Row numbers in a small type if they fit: NumPy sorts 16 bits by radix, 10,000 ids in 0.15 ms, not 0.64."""
    return ids.astype(np.min_scalar_type(int(ids.max(initial=0))))
