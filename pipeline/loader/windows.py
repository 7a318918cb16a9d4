"""One rank's rows of the windows in use, and of the next window on its way.

A rank reads every row group, since a shuffled batch takes from all of them, but keeps only its own shards' rows and the
weights of the others. One row group at a time is decoded; the rows go straight to their places.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.features import FeatureSpec
from pipeline.loader.decode import Batch, columns_of, decode, read_group
from pipeline.loader.order import EpochOrder, Rows, Share, Window


@dataclass(frozen=True)
class Selection:
    """What to take of each row: the model's inputs and the label's column."""

    specs: tuple[FeatureSpec, ...]
    label: str

    @property
    def columns(self) -> list[str]:
        """The columns to read."""
        return list(dict.fromkeys([*columns_of(self.specs), self.label, "weight"]))

    @property
    def row_bytes(self) -> int:
        """Bytes of a decoded row: four for each number, id and place of a sequence."""
        inputs = sum((spec.length or 0) + 1 if spec.kind == "sequence" else len(spec.columns) for spec in self.specs)
        return 4 * (inputs + 2)


@dataclass(frozen=True)
class Placed:
    """A window as one rank holds it: its own rows by place, and every row's weight."""

    window: Window
    places: Rows
    """Place in the epoch of each row of `own`, ascending."""
    own: Batch
    weights: NDArray[np.float32]

    def part(self, first: int, end: int) -> Batch:
        """Own rows at places first..end."""
        begin, stop = np.searchsorted(self.places, (first, end))
        return {name: values[begin:stop] for name, values in self.own.items()}

    def part_weights(self, first: int, end: int) -> NDArray[np.float32]:
        """Weights of all rows at places first..end."""
        return self.weights[max(first - self.window.begin, 0) : end - self.window.begin]


def place(order: EpochOrder, window: Window, share: Share, selection: Selection) -> Placed:
    """Read a window and put a rank's rows into the epoch's order."""
    rows = order.within(window)
    places = np.arange(window.begin, window.end)
    mine = share.holds(places)
    own_rows = rows[mine]
    own: Batch = {}
    weights = np.empty(window.rows, np.float32)
    start = 0
    for group in window.groups:
        batch = decode(read_group(group, selection.columns), selection.specs, selection.label, group.path)
        weights[start : start + group.rows] = batch["weight"]
        targets = np.flatnonzero((own_rows >= start) & (own_rows < start + group.rows))
        for name, values in batch.items():
            whole = own.setdefault(name, np.empty((len(own_rows), *values.shape[1:]), values.dtype))
            whole[targets] = values[own_rows[targets] - start]
        start += group.rows
    return Placed(window, places[mine], own, weights[rows])


class Windows:
    """The windows of an epoch as they are needed; a thread reads the next one ahead if it fits into `ahead_bytes`."""

    def __init__(self, order: EpochOrder, share: Share, selection: Selection, ahead_bytes: int) -> None:
        self._order, self._share, self._selection, self._ahead_bytes = order, share, selection, ahead_bytes
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="read-ahead")
        self._found: dict[int, Future[Placed]] = {}

    def __enter__(self) -> Windows:
        return self

    def __exit__(self, *_: object) -> None:
        self._reader.shutdown(wait=True, cancel_futures=True)

    def covering(self, first: int, end: int) -> Sequence[Placed]:
        """The windows that hold places first..end; what came before them is dropped."""
        needed = self._order.covering(first, end)
        for number in [number for number in self._found if number < needed[0].number]:
            del self._found[number]
        placed = [self._request(window).result() for window in needed]
        self._read_ahead(needed[-1].number + 1)
        return placed

    def _read_ahead(self, number: int) -> None:
        if number < len(self._order.windows):
            window = self._order.windows[number]
            if window.rows * self._selection.row_bytes // self._share.world <= self._ahead_bytes:
                self._request(window)

    def _request(self, window: Window) -> Future[Placed]:
        if window.number not in self._found:
            task = self._reader.submit(place, self._order, window, self._share, self._selection)
            self._found[window.number] = task
        return self._found[window.number]
