"""The order of an epoch: row groups permuted, rows permuted within windows of groups, cut into batches and shards.

It is a function of the layout, the seed, the epoch and the window; the number of workers, read sizes and interruptions
do not enter. The whole state of a reader is (epoch, step).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import xxhash
from numpy.typing import NDArray

from pipeline.loader.layout import Layout, RowGroup

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Window:
    """Row groups that are in memory together; `begin` is the place of its first row in the epoch."""

    number: int
    groups: tuple[RowGroup, ...]
    begin: int

    @property
    def rows(self) -> int:
        """Rows of the window."""
        return sum(group.rows for group in self.groups)

    @property
    def end(self) -> int:
        """The place behind its last row."""
        return self.begin + self.rows


@dataclass(frozen=True)
class EpochOrder:
    """Which row comes where in one epoch."""

    layout: Layout
    seed: int
    epoch: int
    batch_size: int
    window_row_groups: int

    @property
    def steps(self) -> int:
        """Batches of the epoch; the last one may be short."""
        return -(-self.layout.rows // self.batch_size)

    @cached_property
    def windows(self) -> tuple[Window, ...]:
        """The windows in order."""
        permuted = [self.layout.groups[i] for i in self._permutation("groups", len(self.layout.groups))]
        windows, begin = list[Window](), 0
        for first in range(0, len(permuted), self.window_row_groups):
            windows.append(Window(len(windows), tuple(permuted[first : first + self.window_row_groups]), begin))
            begin = windows[-1].end
        return tuple(windows)

    def within(self, window: Window) -> Rows:
        """For each place of the window, the row of its groups, laid end to end, that stands there."""
        return self._permutation(f"window/{window.number}", window.rows)

    def span(self, step: int) -> tuple[int, int]:
        """First place of a step's batch in the epoch, and the one behind its last."""
        return step * self.batch_size, min((step + 1) * self.batch_size, self.layout.rows)

    def covering(self, first: int, end: int) -> list[Window]:
        """The windows that hold places first..end."""
        return [window for window in self.windows if window.begin < end and window.end > first]

    def rows(self, step: int) -> Rows:
        """The sequence numbers of a step's rows, in order: what `verify` counts."""
        first, end = self.span(step)
        found = []
        for window in self.covering(first, end):
            numbers = np.concatenate([np.arange(g.start, g.start + g.rows) for g in window.groups])
            placed = numbers[self.within(window)]
            found.append(placed[max(first - window.begin, 0) : end - window.begin])
        return np.concatenate(found) if found else np.zeros(0, np.int64)

    def _permutation(self, what: str, count: int) -> Rows:
        """By the rank of Philox's raw output, which NumPy keeps from version to version, unlike `permutation`."""
        key = xxhash.xxh128_intdigest(f"{self.seed}/{self.epoch}/{what}".encode())
        drawn = np.atleast_1d(np.random.Philox(key=key).random_raw(count))
        return np.argsort(drawn, kind="stable")


@dataclass(frozen=True)
class Share:
    """Which places of an epoch are one rank's: those of shards rank, rank + world, ... of every batch."""

    rank: int
    world: int
    shards: int
    batch_size: int

    @property
    def numbers(self) -> range:
        """Its shards."""
        return range(self.rank, self.shards, self.world)

    @property
    def shard_rows(self) -> int:
        """Rows of a shard."""
        return self.batch_size // self.shards

    def holds(self, places: Rows) -> NDArray[np.bool_]:
        """Whether each place is this rank's."""
        shard = places % self.batch_size // self.shard_rows
        return shard % self.world == self.rank
