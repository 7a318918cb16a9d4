"""The data and the initial values of the timed steps, drawn from fixed seeds: every side begins with the same bits.

Data is made once, in memory, so that the step alone counts.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.benchmarks.training.workloads import FIELDS, NUMBERS, WIDTH, Workload

Array = NDArray[Any]
Batch = tuple[Array, ...]

BATCHES = 16
EMBEDDING_STDDEV = 0.05
_BLOCK_ROWS = 65_536


def batches(workload: Workload, rows: int, steps: int | None = None) -> list[Batch]:
    """(x, label) batches, as many as so many steps use before they begin again; `tiny` has one.

    Those of `ctr` are (ids int64 [B, 26], numbers [B, 13], label float32 [B]).
    """
    count = min(BATCHES, steps or BATCHES)
    rng = np.random.default_rng(0)
    if workload.name == "tiny":
        return [_two_clouds(rng, workload.batch // 2)]
    if workload.name == "mlp":
        truth = rng.normal(size=(workload.widths[0], workload.widths[-1])).astype(np.float32)
        return [_classified(rng, workload.batch, truth) for _ in range(count)]
    return [_clicks(rng, workload.batch, rows // FIELDS) for _ in range(count)]


def _two_clouds(rng: np.random.Generator, half: int) -> Batch:
    low, high = rng.normal(0, 0.5, (half, 2)) - 1, rng.normal(0, 0.5, (half, 2)) + 1
    return np.concatenate([low, high]).astype(np.float32), np.repeat([0, 1], half)


def _classified(rng: np.random.Generator, size: int, truth: Array) -> Batch:
    x = rng.normal(size=(size, len(truth))).astype(np.float32)
    return x, (x @ truth).argmax(axis=1)


def _clicks(rng: np.random.Generator, size: int, values: int) -> Batch:
    """Every field has so many values, and a range of the table to itself."""
    ids = (rng.zipf(1.2, size=(size, FIELDS)) % values).astype(np.int64) + np.arange(FIELDS) * values
    numbers = rng.normal(size=(size, NUMBERS)).astype(np.float32)
    noise = rng.normal(size=size)
    label = numbers[:, 0] + (ids[:, 0] % 7 - 3) * 0.3 + noise > 0
    return ids, numbers, label.astype(np.float32)


def dense_values(workload: Workload) -> tuple[list[Array], list[Array]]:
    """Initial (weights [in, out], biases [out]) of the layers."""
    return _weights(np.random.default_rng(1), workload), [np.zeros(out, np.float32) for out in workload.widths[1:]]


def _weights(rng: np.random.Generator, workload: Workload) -> list[Array]:
    return [(rng.normal(size=shape) * np.sqrt(2 / shape[0])).astype(np.float32) for shape in pairwise(workload.widths)]


class Embeddings:
    """The table's initial rows, drawn block by block: an initializer of the engine that never holds the table.

    One stream of random numbers gives the layers first and the rows after them, so blocks must be asked for in order;
    rows asked for again are drawn again from the beginning.
    """

    def __init__(self, workload: Workload) -> None:
        self._workload = workload
        self._restart()

    def rows(self, name: str, shape: tuple[int, ...], start: int, stop: int) -> Array:
        """Rows start..stop as float32 [stop - start, *shape[1:]]."""
        if start < self._next:
            self._restart()
        if start > self._next:
            self._draw(start - self._next, shape[1:])
        return self._draw(stop - start, shape[1:])

    def _restart(self) -> None:
        self._next, self._rng = 0, np.random.default_rng(1)
        _weights(self._rng, self._workload)

    def _draw(self, count: int, row: tuple[int, ...]) -> Array:
        self._next += count
        return (self._rng.normal(size=(count, *row)) * EMBEDDING_STDDEV).astype(np.float32)


def table_values(workload: Workload, rows: int) -> tuple[Array, Array, Array]:
    """Initial (embeddings [rows, 16], wide weights [rows, 1], weights of the numbers [13]) for the peers."""
    embeddings = np.empty((rows, WIDTH), np.float32)
    drawn = Embeddings(workload)
    for start in range(0, rows, _BLOCK_ROWS):
        stop = min(start + _BLOCK_ROWS, rows)
        embeddings[start:stop] = drawn.rows("embeddings", embeddings.shape, start, stop)
    return embeddings, np.zeros((rows, 1), np.float32), np.zeros(NUMBERS, np.float32)
