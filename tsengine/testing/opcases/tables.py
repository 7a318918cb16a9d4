"""Cases of primitives that select rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from tsengine.specs import Array
from tsengine.testing.opcases.cases import (
    Case,
    Row,
    bools,
    fixed,
    ints,
    normal,
)


def _bags(draw_ids: Callable[..., Array] = ints) -> Iterator[tuple[str, Array, Array]]:
    yield "plain", draw_ids(6, 4, 3), np.array([0, 3, 1, 2], np.int32)
    yield "empty", draw_ids(6, 0, 3), np.zeros(0, np.int32)


def _bag(table: Array, ids: Array, lengths: Array, mean: bool) -> Array:
    out = np.zeros((len(ids), table.shape[1]))
    for bag, (row, length) in enumerate(zip(ids, lengths, strict=True)):
        for item in row[:length]:
            out[bag] += table[item] / (length if mean else 1)
    return out


def _scatter(values: Array, indices: Array, table: Array) -> Array:
    out = np.zeros_like(table)
    for row, value in zip(indices, values, strict=True):
        out[row] += value
    return out


def _summed_at_first(values: Array, indices: Array) -> Array:
    out = np.zeros_like(values)
    for row, value in zip(indices, values, strict=True):
        out[list(indices).index(row)] += value
    return out


def _placed(values: Array, mask: Array) -> Array:
    out, rest = np.zeros(mask.shape + values.shape[1:]), iter(values)
    for place in np.ndindex(mask.shape):
        if mask[place]:
            out[place] = next(rest)
    return out


def _bucket(x: Array, edges: Array) -> Array:
    return np.array([sum(value >= edge for edge in edges) for value in x.ravel()], np.int32).reshape(x.shape)


SPARSE: dict[str, Row] = {
    "gather": fixed(
        lambda table, ids: np.array([table[item] for item in ids.ravel()]).reshape(*ids.shape, *table.shape[1:]),
        ("plain", (normal(6, 3), ints(6, 5)), {}),
        ("plain", (normal(6, 3), ints(6, 2, 2, dtype="int64")), {}),
        ("plain", (normal(6), ints(6, 4)), {}),
        ("empty", (normal(6, 3), ints(6, 0)), {}),
        ("scalar", (normal(6, 3), ints(6)), {}),
    ),
    "row_gradients": fixed(
        lambda grad, table: grad.reshape(-1, 3),
        ("plain", (normal(2, 2, 3), normal(6, 3)), {}),
        ("empty", (normal(0, 2, 3), normal(6, 3)), {}),
        ("scalar", (normal(3), normal(6, 3)), {}),
    ),
    "slices_to_dense": fixed(
        _scatter,
        ("plain", (normal(7, 3), ints(4, 7), normal(4, 3)), {}),
        ("empty", (normal(0, 3), ints(4, 0), normal(4, 3)), {}),
        scalar="it needs rows",
    ),
    "sum_duplicates": fixed(
        _summed_at_first,
        ("plain", (normal(7, 3), ints(4, 7)), {}),
        ("plain", (normal(5), ints(9, 5, dtype="int64")), {}),
        ("empty", (normal(0, 3), ints(4, 0)), {}),
        scalar="it needs rows",
    ),
    "embedding_bag": Row(
        _bag,
        tuple(
            Case(kind, (normal(6, 3), ids, lengths), {"mean": mean})
            for mean in (False, True)
            for kind, ids, lengths in _bags()
        ),
        {"scalar": "it needs rows"},
    ),
    "bag_mask": Row(
        lambda ids, lengths: np.array([[at < n for at in range(ids.shape[1])] for n in lengths]).reshape(ids.shape),
        tuple(Case(kind, (ids, lengths)) for kind, ids, lengths in _bags()),
        {"scalar": "it needs rows"},
    ),
    "boolean_mask": fixed(
        lambda x, mask: np.array([x[place] for place in np.ndindex(mask.shape) if mask[place]]).reshape(
            -1, *x.shape[mask.ndim :]
        ),
        ("plain", (normal(6), bools(6)), {}),
        ("plain", (normal(4, 3, 2), bools(4, 3)), {}),
        ("plain", (normal(4, 3), np.zeros(4, bool)), {}),
        ("empty", (normal(0, 3), bools(0)), {}),
        ("empty", (normal(2, 0, 3), bools(2, 0)), {}),
        scalar="it needs an axis to choose along",
    ),
    "place_masked": fixed(
        _placed,
        ("plain", (normal(2), np.array([True, False, True])), {}),
        ("plain", (normal(3, 2), np.array([[True, False], [False, False], [True, True]])), {}),
        ("plain", (normal(0, 2), np.zeros((2, 2), bool)), {}),
        ("empty", (normal(0, 2), bools(0, 3)), {}),
        scalar="it needs an axis to choose along",
    ),
    "bag_ids": Row(
        lambda ids, lengths: np.concatenate(
            [np.zeros(0, ids.dtype), *(row[:n] for row, n in zip(ids, lengths, strict=True))]
        ),
        tuple(Case(kind, (ids, lengths)) for kind, ids, lengths in _bags()),
        {"scalar": "it needs rows"},
    ),
    "bag_gradients": Row(
        lambda grad, lengths, mean: np.array(
            [grad[bag] / (n if mean else 1) for bag, n in enumerate(lengths) for _ in range(n)]
        ).reshape(-1, 3),
        tuple(
            Case(kind, (normal(len(ids), 3), lengths), {"mean": mean})
            for mean in (False, True)
            for kind, ids, lengths in _bags()
        ),
        {"scalar": "it needs rows"},
    ),
    "bucketize": fixed(
        _bucket,
        ("plain", (np.array([[-1.0, 0.0, np.nan], [0.5, 1.0, 9.0]]), np.array([0.0, 1.0])), {}),
        ("empty", (normal(0), np.array([0.0])), {}),
        ("scalar", (normal(), np.array([0.0, 0.1])), {}),
    ),
    "segment_sum": fixed(
        lambda values, segments, count: _scatter(values, segments, np.zeros((count, *values.shape[1:]))),
        ("plain", (normal(7, 3), ints(4, 7)), {"count": 5}),
        ("empty", (normal(0, 3), ints(4, 0)), {"count": 2}),
        scalar="it needs rows",
    ),
    "select_class": fixed(
        lambda x, labels: np.array([x[i, j] for i, j in enumerate(labels)]),
        ("plain", (normal(3, 4), ints(4, 3)), {}),
        ("empty", (normal(0, 4), ints(4, 0)), {}),
        scalar="it needs classes",
    ),
    "place_class": fixed(
        lambda v, labels, like: v[:, None] * (np.arange(4) == labels[:, None]),
        ("plain", (normal(3), ints(4, 3), normal(3, 4)), {}),
        ("empty", (normal(0), ints(4, 0), normal(0, 4)), {}),
        scalar="it needs classes",
    ),
}
