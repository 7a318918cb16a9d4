"""The loader: steps of an epoch for one rank, and the rows in order for fitting and judging."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from pipeline.features import FeatureSpec
from pipeline.loader.decode import Batch, decode, plain, read_group
from pipeline.loader.layout import RowGroup, read_layout
from pipeline.loader.order import EpochOrder, Share
from pipeline.loader.windows import Placed, Selection, Windows

AHEAD_BYTES = 1 << 30


@dataclass(frozen=True)
class Step:
    """One global batch as one rank sees it: its own shards, and the weight of all rows of the batch."""

    index: int
    weight_sum: float
    shards: list[tuple[int, Batch]]


class Loader:
    """Batches of published examples.

    folders             partitions in the order of the sequence
    specs               the model's inputs
    label               the column that becomes input `label` (float32 [n]); `weight` is float32 [n], 0 on padding
    batch_size, shards  the global batch is cut into `shards` equal parts; rank r of W gets shards r, r + W, ...
    seed                of the order
    window_row_groups   rows are shuffled within so many row groups
    from_us             in_order leaves out rows whose event_time is earlier (microseconds, UTC)
    ahead_bytes         the next window is read in the background if a rank's rows of it are no more than this
    """

    def __init__(
        self,
        folders: Sequence[str],
        specs: Sequence[FeatureSpec],
        label: str,
        batch_size: int = 4096,
        shards: int = 1,
        seed: int = 0,
        window_row_groups: int = 8,
        from_us: int | None = None,
        ahead_bytes: int = AHEAD_BYTES,
    ) -> None:
        if shards < 1 or batch_size < 1 or batch_size % shards:
            raise ValueError(f"batch_size ({batch_size}) must be a positive multiple of shards ({shards})")
        if window_row_groups < 1:
            raise ValueError(f"window_row_groups must be at least 1, got {window_row_groups}")
        self._layout = read_layout(folders)
        self._selection, self._from_us, self._ahead_bytes = Selection(tuple(specs), label), from_us, ahead_bytes
        self._batch_size, self._shards, self._seed, self._window = batch_size, shards, seed, window_row_groups

    @property
    def rows(self) -> int:
        """Rows of the dataset."""
        return self._layout.rows

    @property
    def digest(self) -> str:
        """Of the rows and of how they lie in row groups: with it and the seed the order is fixed."""
        return self._layout.digest

    @property
    def steps_per_epoch(self) -> int:
        """Batches of an epoch, the same for all ranks."""
        return self.order(0).steps

    def order(self, epoch: int) -> EpochOrder:
        """The order of an epoch."""
        return EpochOrder(self._layout, self._seed, epoch, self._batch_size, self._window)

    def steps(self, epoch: int, rank: int, world: int, start: int = 0) -> Iterator[Step]:
        """The steps of an epoch from `start` on, for one rank; no window that lies before `start` is read.

        Raises DamagedData naming the file that cannot be read.
        """
        order, share = self.order(epoch), Share(rank, world, self._shards, self._batch_size)
        with Windows(order, share, self._selection, self._ahead_bytes) as windows:
            for step in range(start, order.steps):
                first, end = order.span(step)
                found = windows.covering(first, end)
                weights = np.concatenate([placed.part_weights(first, end) for placed in found])
                shards = [(k, _shard(found, first + k * share.shard_rows, share.shard_rows)) for k in share.numbers]
                yield Step(step, float(weights.sum(dtype=np.float64)), shards)

    def in_order(self, columns: Sequence[str] = (), rows: int = 65_536) -> Iterator[tuple[Batch, Batch]]:
        """All rows in sequence as (inputs with label and weight, other columns as they lie), at most `rows` at once.

        Times are int64 microseconds; text, lists and integers with nulls come as objects.
        """
        for group in self._layout.groups:
            table = self._kept(group, columns)
            for first in range(0, table.num_rows, rows):
                part = table.slice(first, rows)
                batch = decode(part, self._selection.specs, self._selection.label, group.path)
                yield batch, {name: plain(part.column(name)) for name in columns}

    def _kept(self, group: RowGroup, columns: Sequence[str]) -> pa.Table:
        """The rows of a group that are late enough, with all columns that are asked for."""
        clock = [] if self._from_us is None else ["event_time"]
        table = read_group(group, list(dict.fromkeys([*self._selection.columns, *clock, *columns])))
        return table if self._from_us is None else table.filter(plain(table.column("event_time")) >= self._from_us)


def _shard(found: Sequence[Placed], first: int, rows: int) -> Batch:
    """A shard's rows: those at places first..first + rows, then rows of zeros (padding ids, weight 0)."""
    parts = [placed.part(first, first + rows) for placed in found]
    return {name: _filled([part[name] for part in parts], rows) for name in parts[0]}


def _filled(parts: list[np.ndarray], rows: int) -> np.ndarray:
    missing = rows - sum(map(len, parts))
    padding = np.zeros((missing, *parts[0].shape[1:]), parts[0].dtype)
    used = [part for part in (*parts, padding) if len(part)]
    return used[0] if len(used) == 1 else np.concatenate(used)
