"""Cases of reductions and of primitives that move elements."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tsengine.specs import Array
from tsengine.testing.opcases.cases import (
    Row,
    fixed,
    normal,
    reduction,
    unary,
)


def _part(x: Array, *inputs: Array, axis: int, part: int) -> Array:
    return np.split(x, np.cumsum([item.shape[axis] for item in inputs])[:-1], axis=axis)[part]


def _place(x: Array, like: Array, begin: Sequence[int], size: Sequence[int]) -> Array:
    widths = [(b, n - b - s) for b, s, n in zip(begin, x.shape, like.shape, strict=True)]
    return np.pad(x, widths)


REDUCTIONS: dict[str, Row] = {
    "reduce_sum": reduction(np.sum),
    "reduce_mean": reduction(
        lambda x, axis, keepdims: (
            np.sum(x, axis=axis, keepdims=keepdims) / max(1, x.size // max(1, np.sum(x, axis=axis).size))
        )
    ),
    "reduce_max": reduction(lambda x, axis, keepdims: -np.min(-x, axis=axis, keepdims=keepdims)),
    "argmax": fixed(
        lambda x, axis: np.argsort(-x, axis=axis, kind="stable").take(0, axis=axis),
        ("plain", (normal(3, 4),), {"axis": -1}),
        ("plain", (normal(3, 4),), {"axis": 0}),
        ("empty", (normal(0, 4),), {"axis": 1}),
        scalar="it needs an axis",
    ),
    "reduced_count": fixed(
        lambda x, axis: np.array(np.ones_like(x).sum() if axis is None else x.shape[0] * 1.0),
        ("plain", (normal(3, 4),), {"axis": None}),
        ("plain", (normal(3, 4),), {"axis": (0,)}),
        ("empty", (normal(0, 4),), {"axis": (0,)}),
        ("scalar", (normal(),), {"axis": None}),
    ),
}

SHAPES: dict[str, Row] = {
    "reshape": fixed(
        lambda x, shape: np.ravel(x).reshape(shape),
        ("plain", (normal(3, 4),), {"shape": (2, -1)}),
        ("plain", (normal(3, 4),), {"shape": (12,)}),
        ("empty", (normal(0, 4),), {"shape": (-1, 2)}),
        ("scalar", (normal(),), {"shape": (1, 1)}),
    ),
    "reshape_like": fixed(
        lambda x, like: np.ravel(x).reshape(like.shape),
        ("plain", (normal(3, 4), normal(12)), {}),
        ("empty", (normal(0, 4), normal(0)), {}),
        ("scalar", (normal(), normal(1)), {}),
    ),
    "transpose": fixed(
        lambda x, order: np.einsum(x, list(range(x.ndim)), list(order)),
        ("plain", (normal(2, 3, 4),), {"order": (2, 0, 1)}),
        ("empty", (normal(0, 4),), {"order": (1, 0)}),
        ("scalar", (normal(),), {"order": ()}),
    ),
    "expand_dims": fixed(
        lambda x, axes: x.reshape(*x.shape, 1) if axes == (-1,) else x[None],
        ("plain", (normal(3, 4),), {"axes": (0,)}),
        ("plain", (normal(3, 4),), {"axes": (-1,)}),
        ("empty", (normal(0, 4),), {"axes": (0,)}),
        ("scalar", (normal(),), {"axes": (0,)}),
    ),
    "squeeze": fixed(
        lambda x, axes: x[0] if axes == (0,) else x[..., 0],
        ("plain", (normal(1, 4),), {"axes": (0,)}),
        ("empty", (normal(0, 1),), {"axes": (-1,)}),
        scalar="a scalar has no axis to lose",
    ),
    "broadcast_to": fixed(
        lambda x, shape: x + np.zeros(shape),
        ("plain", (normal(3, 1),), {"shape": (2, 3, 4)}),
        ("empty", (normal(1, 4),), {"shape": (0, 4)}),
        ("scalar", (normal(),), {"shape": (2,)}),
    ),
    "broadcast_like": fixed(
        lambda x, like: x + 0 * like,
        ("plain", (normal(3, 1), normal(2, 3, 4)), {}),
        ("empty", (normal(1, 4), normal(0, 4)), {}),
        ("scalar", (normal(), normal(2)), {}),
    ),
    "sum_to_like": fixed(
        lambda x, like: (
            x
            if x.shape == like.shape
            else np.einsum(
                x, [0, 1, 2][3 - x.ndim :], [1] if like.ndim == 2 else ([] if like.ndim == 0 else [2])
            ).reshape(like.shape)
        ),
        ("plain", (normal(3, 4), normal(3, 4)), {}),
        ("broadcast", (normal(2, 3, 4), normal(4)), {}),
        ("broadcast", (normal(2, 3, 4), normal(3, 1)), {}),
        ("empty", (normal(0, 4), normal(4)), {}),
        ("scalar", (normal(2, 3), normal()), {}),
    ),
    "concat": fixed(
        lambda *x, axis: np.vstack(x) if axis == 0 else np.hstack(x),
        ("plain", (normal(3, 4), normal(1, 4)), {"axis": 0}),
        ("plain", (normal(3, 4), normal(3, 2), normal(3, 1)), {"axis": -1}),
        ("empty", (normal(0, 4), normal(0, 2)), {"axis": 1}),
        scalar="it needs an axis",
    ),
    "concat_part": fixed(
        _part,
        ("plain", (normal(3, 6), normal(3, 4), normal(3, 2)), {"axis": 1, "part": 1}),
        ("empty", (normal(0, 6), normal(0, 4), normal(0, 2)), {"axis": -1, "part": 0}),
        scalar="it needs an axis",
    ),
    "slice": fixed(
        lambda x, begin, size: x[begin[0] :][: None if size[0] == -1 else size[0], begin[1] :][
            :, : None if size[1] == -1 else size[1]
        ],
        ("plain", (normal(3, 4),), {"begin": (1, 0), "size": (2, 3)}),
        ("plain", (normal(3, 4),), {"begin": (0, 1), "size": (-1, 2)}),
        ("empty", (normal(0, 4),), {"begin": (0, 1), "size": (-1, -1)}),
        scalar="it needs an axis",
    ),
    "place_slice": fixed(
        _place,
        ("plain", (normal(2, 3), normal(3, 4)), {"begin": (1, 0), "size": (2, 3)}),
        ("empty", (normal(0, 3), normal(0, 4)), {"begin": (0, 1), "size": (-1, -1)}),
        scalar="it needs an axis",
    ),
    "pad": fixed(
        lambda x, paddings, value: np.pad(x, paddings, constant_values=value) if x.ndim else x,
        ("plain", (normal(3, 4),), {"paddings": ((1, 0), (0, 2)), "value": 0.0}),
        ("plain", (normal(3, 4),), {"paddings": ((0, 0), (2, 1)), "value": -1.5}),
        ("empty", (normal(0, 4),), {"paddings": ((1, 1), (0, 1)), "value": 2.0}),
        ("scalar", (normal(),), {"paddings": (), "value": 1.0}),
    ),
    "unpad": fixed(
        lambda x, paddings: x[1:, :-2] if paddings else x,
        ("plain", (normal(3, 4),), {"paddings": ((1, 0), (0, 2))}),
        ("empty", (normal(1, 4),), {"paddings": ((1, 0), (0, 2))}),
        ("scalar", (normal(),), {"paddings": ()}),
    ),
    "tile": fixed(
        lambda x, multiples: np.tile(x, multiples),
        *(
            (kind, (normal(*shape),), {"multiples": multiples})
            for kind, shape, multiples in (
                ("plain", (3, 4), (2, 3)),
                ("plain", (2, 1, 3), (1, 4, 2)),
                ("empty", (0, 4), (2, 2)),
                ("empty", (3, 4), (0, 2)),
                ("scalar", (), ()),
            )
        ),
    ),
    "sum_tiles": fixed(
        lambda x, like, multiples: (
            sum((part for row in np.split(x, 2) for part in np.split(row, 3, axis=1)), np.zeros(like.shape))
            if multiples
            else x
        ),
        ("plain", (normal(6, 12), normal(3, 4)), {"multiples": (2, 3)}),
        ("empty", (normal(0, 12), normal(0, 4)), {"multiples": (2, 3)}),
        ("scalar", (normal(), normal()), {"multiples": ()}),
    ),
    "shape_of": fixed(
        lambda x: np.array([len(x), 4]) if x.ndim else np.array([], "int64"),
        ("plain", (normal(3, 4),), {}),
        ("empty", (normal(0, 4),), {}),
        ("scalar", (normal(),), {}),
    ),
    "fill_like": fixed(
        lambda x, value: x * 0 + value,
        ("plain", (normal(3, 4),), {"value": 2.0}),
        ("empty", (normal(0, 4),), {"value": 1.0}),
        ("scalar", (normal(),), {"value": 1.0}),
    ),
    "snapshot": unary(lambda x: x),
}
