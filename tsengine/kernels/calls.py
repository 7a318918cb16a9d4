"""What a trainer calls on arrays outside of any plan: sums over rows named more than once, and an optimizer's step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from tsengine.kernels.rows import distinct, sum_runs
from tsengine.specs import Array

if TYPE_CHECKING:
    from tsengine.train.rules import Rule, Slots


class Distinct(Protocol):
    """The distinct ones of some ids. Several tables that look into the same ids need them found once."""

    @property
    def rows(self) -> Array:
        """[n], in an order of the implementation's."""

    def sum(self, values: Array, sums: Array) -> None:
        """Write the sum of the values of each of `rows` into sums [n, ...], added in the order of the ids."""


class Calls:
    """In NumPy. `tsengine.kernels.compiled.calls` has the twin."""

    def distinct(self, ids: Array) -> Distinct:
        """Of ids [n]; it sums values [n, ...]."""
        return _Sorted.of(_narrow(ids), None)

    def owned(self, counts: Array, ids: Array, block: int, rank: int, size: int) -> Distinct:
        """Of the ids [shards, n] whose block is this rank's; it sums values [shards, n, ...], in shard order.

        counts: how many of a shard's ids count.
        """
        narrow = _narrow(ids[np.arange(ids.shape[1]) < np.reshape(counts, (-1, 1))])
        mine = np.flatnonzero(narrow // block % size == rank)
        places = np.concatenate([np.arange(count) + shard * ids.shape[1] for shard, count in enumerate(counts)])
        return _Sorted.of(narrow[mine], places[mine])

    def apply_dense(self, rule: Rule, param: Array, slots: Slots, grad: Array, step: int, rate: float) -> None:
        """One step in place on a parameter or a slice of it."""
        rule.apply_dense(param, slots, grad, step, rate)

    def apply_rows(
        self, rule: Rule, param: Array, slots: Slots, rows: Array, grads: Array, step: int, rate: float
    ) -> None:
        """One step in place on distinct rows of a table."""
        rule.apply_rows(param, slots, rows, grads, step, rate)


@dataclass(frozen=True)
class _Sorted:
    """By a stable sort: `order` lists the values of the first row, then those of the second, …"""

    rows: Array
    order: Array
    starts: Array

    @classmethod
    def of(cls, ids: Array, places: Array | None) -> _Sorted:
        rows, order, starts = distinct(ids)
        return cls(rows.astype(np.int64), order if places is None else places[order], starts)

    def sum(self, values: Array, sums: Array) -> None:
        sums[...] = sum_runs(values.reshape(-1, *sums.shape[1:]), self.order, self.starts)


def _narrow(ids: Array) -> Array:
    """Row numbers in a small type if they fit: NumPy sorts 16 bits by radix, 10,000 ids in 0.15 ms, not 0.64."""
    return ids.astype(np.min_scalar_type(int(ids.max(initial=0))))
