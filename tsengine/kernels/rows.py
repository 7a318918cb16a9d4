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
    """(unique rows ascending, the sum of the values of each).

    Stable argsort, then np.add.reduceat: a run is summed in NumPy's order for its length (pairwise for long runs of
    one column), which is not strictly first to last but depends on nothing besides the input.
    """
    if not len(indices):
        return indices, values
    order = np.argsort(indices, kind="stable")
    ordered = indices[order]
    starts = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
    if len(starts) == len(indices):
        return ordered, values[order]
    return ordered[starts], np.add.reduceat(values[order], starts, axis=0)
