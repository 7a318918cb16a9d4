"""The compiled twin of `tsengine.kernels.calls`, made of the same parts as the machine's kernels."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit

from tsengine.kernels.calls import Calls, Distinct
from tsengine.kernels.compiled import optimizers
from tsengine.kernels.compiled.machine import kept
from tsengine.kernels.compiled.updates import ROWWISE_ADAGRAD, SLOTS, dense_step, entry, rows_step
from tsengine.specs import Array
from tsengine.train.rules import Rule, Slots


def _compiled(function: Any) -> Any:
    return njit(cache=True, nogil=True, error_model="numpy")(kept(function))


@_compiled
def _number(counts: Any, ids: Any, whose: Any, places: Any, numbers: Any, found: Any) -> int:
    """Number the ids of this rank by their first places, -1 the others; how many. whose: block, rank, size."""
    known = 0
    block, rank, size = whose[0], whose[1], whose[2]
    for shard in range(len(counts)):
        for i in range(counts[shard]):
            row = ids[shard, i]
            if size > 1 and row // block % size != rank:
                numbers[shard, i] = -1
                continue
            numbers[shard, i] = entry(places, row, known)
            if numbers[shard, i] == known:
                found[known] = row
                known += 1
    return known


@_compiled
def _sum(counts: Any, numbers: Any, values: Any, sums: Any) -> None:
    known, width = 0, values.shape[2]
    for shard in range(len(counts)):
        for i in range(counts[shard]):
            number = numbers[shard, i]
            if number < 0:
                continue
            total, value = sums[number], values[shard, i]
            if number == known:
                known += 1
                for j in range(width):
                    total[j] = value[j]
            else:
                for j in range(width):
                    total[j] += value[j]


@_compiled
def _rows(rule: int, w: Any, s: Any, v: Any, rows: Any, grads: Any, constants: Any) -> None:
    rows_step(rule, w, s, v, rows, grads.reshape(-1), grads.shape[1], constants)


@_compiled
def _dense(rule: int, w: Any, s: Any, v: Any, grad: Any, constants: Any) -> None:
    dense_step(rule, w, s, v, grad, constants)


class _Numbered:
    """By a hash table: which of `rows` each id [shards, n] is, in the order of their first places."""

    def __init__(self) -> None:
        self._counts = self._rows = self._places = np.zeros(0, np.int64)
        self._numbers, self._found = np.zeros((0, 0), np.int32), 0

    @property
    def rows(self) -> Array:
        return self._rows[: self._found]

    def find(self, ids: Array) -> None:
        self.find_owned(np.array([len(ids)]), ids[None], 1, 0, 1)

    def find_owned(self, counts: Array, ids: Array, block: int, rank: int, size: int) -> None:
        self._counts = np.asarray(counts)
        total = int(self._counts.sum())
        if len(self._rows) < total or self._numbers.shape != ids.shape:
            self._rows, self._numbers = np.empty(total, np.int64), np.empty(ids.shape, np.int32)
            self._places = np.empty(1 << max(4, (2 * total).bit_length()), np.int64)
        self._places[...] = 0
        whose = np.array([block, rank, size])
        self._found = _number(self._counts, ids, whose, self._places, self._numbers, self._rows)

    def sum(self, values: Array, sums: Array) -> None:
        wide = (*self._numbers.shape, math.prod(sums.shape[1:]))
        _sum(self._counts, self._numbers, values.reshape(wide), sums.reshape(len(sums), wide[2]))


class CompiledCalls(Calls):
    """By Numba where it takes rule and dtype, else in NumPy."""

    def distinct(self) -> Distinct:
        """One that has found nothing yet."""
        return _Numbered()

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
