"""Loops over the rows of a table: take them, pool them, and sum gradients of rows that were used more than once."""

from __future__ import annotations

from typing import Any

import numpy as np

from tsengine.errors import IndexOutOfRange
from tsengine.specs import Array

_UNSIGNED: dict[int, np.dtype[Any]] = {size: np.dtype(f"u{size}") for size in (1, 2, 4, 8)}


def check_ids(ids: Array, rows: int) -> None:
    """Refuse ids outside [0, rows). Read as unsigned, a negative id is a huge one: one pass finds both."""
    unsigned = ids if ids.dtype.kind == "u" else ids.view(_UNSIGNED[ids.dtype.itemsize])
    if unsigned.size and int(unsigned.max()) >= rows:
        raise IndexOutOfRange(_out_of_range(ids, rows))


def _out_of_range(ids: Array, rows: int) -> str:
    place = tuple(int(axis) for axis in np.argwhere((ids < 0) | (ids >= rows))[0])
    return f"indices{list(place) if place else ''} = {ids[place]} is not in [0, {rows})"


def take(out: Array, table: Array, ids: Array) -> None:
    """Rows of a table. One bounds check, then mode 'clip': 'raise' would go through a buffer at half the speed."""
    check_ids(ids, len(table))
    if len(table):
        np.take(table, ids, axis=0, out=out, mode="clip")


def valid_positions(ids: Array, lengths: Array) -> Array:
    """bool [B, L]: position l of row b counts where l < lengths[b]."""
    if lengths.size and (int(lengths.min()) < 0 or int(lengths.max()) > ids.shape[1]):
        raise IndexOutOfRange(f"lengths must lie in [0, {ids.shape[1]}], got {lengths.min()}..{lengths.max()}")
    return np.arange(ids.shape[1]) < lengths[:, None]


def pool(out: Array, table: Array, ids: Array, lengths: Array, mean: bool) -> None:
    """Sum (or mean; 0 for an empty bag) of the rows ids[b, :lengths[b]], in position order.

    One position at a time: [B, D] stays in cache where the gathered [B, L, D] would not.
    """
    valid = valid_positions(ids, lengths)
    used = np.where(valid, ids, 0)
    check_ids(used, max(1, len(table)))
    out[...] = 0
    rows = np.empty_like(out)
    for position in range(int(lengths.max(initial=0))):
        np.take(table, used[:, position], axis=0, out=rows, mode="clip")
        rows[~valid[:, position]] = 0
        out += rows
    if mean:
        out /= np.maximum(lengths, 1).astype(out.dtype)[:, None]


def pool_all(out: Array, table: Array, ids: Array) -> None:
    """Sum of the rows ids[b, :], in position order, one position at a time as in `pool`."""
    check_ids(ids, len(table))
    out[...] = 0
    if not out.size:
        return
    rows = np.empty_like(out)
    for position in range(ids.shape[1]):
        np.take(table, ids[:, position], axis=0, out=rows, mode="clip")
        out += rows


def spread(grad: Array, lengths: Array, mean: bool) -> Array:
    """Gradient of `pool` by each used row: bag b's gradient, lengths[b] times, in position order."""
    share = grad / np.maximum(lengths, 1).astype(grad.dtype)[:, None] if mean else grad
    return np.repeat(share, lengths, axis=0)


def dedupe(indices: Array, values: Array) -> tuple[Array, Array]:
    """(unique rows ascending, the sum of the values [n, ...] of each)."""
    unique, order, starts = distinct(indices)
    return unique, sum_runs(values, order, starts)


def distinct(indices: Array) -> tuple[Array, Array, Array]:
    """(unique rows ascending, a stable order that sorts the indices, where in it each row begins)."""
    order = np.argsort(indices, kind="stable")
    ordered = indices[order]
    starts = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1]))[: len(ordered)])
    return ordered[starts], order, starts


def sum_runs(values: Array, order: Array, starts: Array) -> Array:
    """Sums of the values [n, ...], taken in that order, from each start to the next.

    By np.add.reduceat: a run is summed in NumPy's order for its length (pairwise for long runs of one column), which is
    not strictly first to last but depends on nothing besides the input.
    """
    ordered = values[order]
    return ordered if len(starts) == len(order) else np.add.reduceat(ordered, starts, axis=0)
