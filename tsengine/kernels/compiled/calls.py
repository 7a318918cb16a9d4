"""The compiled twin of `tsengine.kernels.calls`, made of the same parts as the machine's kernels."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit

from tsengine.kernels.calls import Calls
from tsengine.kernels.compiled import optimizers
from tsengine.kernels.compiled.machine import prefetch
from tsengine.kernels.compiled.moves import AHEAD
from tsengine.kernels.compiled.updates import ROWWISE_ADAGRAD, SLOTS, dense_step, entry, row_step
from tsengine.specs import Array
from tsengine.train.rules import Rule, Slots

_compiled = njit(cache=True, nogil=True, error_model="numpy")


@_compiled
def _owned(counts: Any, rows: Any, values: Any, whose: Any, places: Any, found: Any, sums: Any) -> int:
    """Sum into `sums` and name in `found`, shard by shard; how many. whose: block, rank, size."""
    known, width = 0, values.shape[2]
    block, rank, size = whose[0], whose[1], whose[2]
    for shard in range(len(counts)):
        for i in range(counts[shard]):
            row = rows[shard, i]
            if row // block % size != rank:
                continue
            number = entry(places, row, known)
            total, value = sums[number], values[shard, i]
            if number == known:
                known += 1
                found[number] = row
                for j in range(width):
                    total[j] = value[j]
            else:
                for j in range(width):
                    total[j] += value[j]
    return known


@_compiled
def _rows(rule: int, w: Any, s: Any, v: Any, rows: Any, grads: Any, constants: Any) -> None:
    n = grads.shape[1]
    state = 1 if rule == ROWWISE_ADAGRAD else n
    for i in range(len(rows)):
        later = rows[min(i + AHEAD, len(rows) - 1)]
        prefetch(w, later * n)
        prefetch(s, later * state)
        prefetch(v, later * n)
        row_step(rule, w, s, v, rows[i], grads[i], constants)


@_compiled
def _dense(rule: int, w: Any, s: Any, v: Any, grad: Any, constants: Any) -> None:
    dense_step(rule, w, s, v, grad, constants)


class CompiledCalls(Calls):
    """By Numba where it takes rule and dtype, else in NumPy."""

    def dedupe(self, rows: Array, values: Array) -> tuple[Array, Array]:
        """The distinct rows in the order of their first places, and their sums."""
        return self.owned(np.array([len(rows)]), rows[None], values[None], 1, 0, 1)

    def owned(self, counts: Array, rows: Array, values: Array, block: int, rank: int, size: int) -> tuple[Array, Array]:
        """The distinct rows in the order of their first places, and their sums."""
        total = int(np.sum(counts))
        places = np.zeros(1 << max(4, (2 * total).bit_length()), np.int64)
        found, wide = np.empty(total, np.int64), values.reshape(*values.shape[:2], math.prod(values.shape[2:]))
        sums = np.empty((total, wide.shape[2]), values.dtype)
        count = _owned(np.asarray(counts), rows, wide, np.array([block, rank, size]), places, found, sums)
        return found[:count], sums[:count].reshape(count, *values.shape[2:])

    def apply_dense(self, rule: Rule, param: Array, slots: Slots, grad: Array, step: int, rate: float) -> None:
        """One step in place, in one pass."""
        number = optimizers.number_of(rule)
        arrays = [param, *slots.values()]
        if number in (None, ROWWISE_ADAGRAD) or len(slots) > SLOTS or not _alike([*arrays, grad], param):
            return super().apply_dense(rule, param, slots, grad, step, rate)
        flat = [item.reshape(-1) for item in arrays]
        constants = optimizers.constants_of(rule, step, rate)
        return _dense(number, *flat, *[flat[0]] * (SLOTS - len(slots)), grad.reshape(-1), constants)

    def apply_rows(
        self, rule: Rule, param: Array, slots: Slots, rows: Array, grads: Array, step: int, rate: float
    ) -> None:
        """One step in place on distinct rows, in one pass."""
        number = optimizers.number_of(rule)
        arrays = [param, *slots.values()]
        if number is None or not rule.only_given_rows or len(slots) > SLOTS or not _alike([*arrays, grads], param):
            return super().apply_rows(rule, param, slots, rows, grads, step, rate)
        flat = [item.reshape(-1) for item in arrays]
        constants, wide = (
            optimizers.constants_of(rule, step, rate),
            grads.reshape(len(rows), math.prod(grads.shape[1:])),
        )
        return _rows(number, *flat, *[flat[0]] * (SLOTS - len(slots)), rows, wide, constants)


def _alike(arrays: list[Array], param: Array) -> bool:
    return param.dtype.kind == "f" and all(a.dtype == param.dtype and a.flags.c_contiguous for a in arrays)
