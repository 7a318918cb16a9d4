"""Cases of matrix products and of what works on the last axis."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tsengine.specs import Array
from tsengine.testing.opcases.cases import (
    ROWS_ONLY,
    Case,
    Row,
    fixed,
    normal,
)


def _softmax(x: Array) -> Array:
    powers = np.exp(x - x.max(axis=-1, keepdims=True, initial=-1e300))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


def _matmul(a: Array, b: Array, transpose_a: bool, transpose_b: bool) -> Array:
    left = np.moveaxis(a, -1, -2) if transpose_a else a
    right = np.moveaxis(b, -1, -2) if transpose_b else b
    if left.ndim == 1 or right.ndim == 1:
        return np.asarray(np.dot(left, right))
    return np.einsum("...ij,...jk->...ik", left, right)


def _matmul_cases() -> Iterator[Case]:
    for ta in (False, True):
        for tb in (False, True):
            flags = {"transpose_a": ta, "transpose_b": tb}
            yield Case("plain", (normal(*((4, 3) if ta else (3, 4))), normal(*((5, 4) if tb else (4, 5)))), flags)
            yield Case(
                "broadcast", (normal(2, *((4, 3) if ta else (3, 4))), normal(*((5, 4) if tb else (4, 5)))), flags
            )
            yield Case("empty", (normal(*((4, 0) if ta else (0, 4))), normal(*((5, 4) if tb else (4, 5)))), flags)
    none = {"transpose_a": False, "transpose_b": False}
    yield from (
        Case("plain", pair, none)
        for pair in ((normal(3, 4), normal(4)), (normal(4), normal(4)), (normal(4), normal(4, 2)))
    )


def _matmul_gradient(grad: Array, a: Array, b: Array, by: int) -> Array:
    if a.ndim == 2 and b.ndim == 1:
        return np.outer(grad, b) if by == 0 else a.T @ grad
    if a.ndim == 1:
        return grad * (a, b)[1 - by]
    return grad @ b.T if by == 0 else a.T @ grad


LAST_AXIS: dict[str, Row] = {
    name: Row(
        reference,
        tuple(
            Case(kind, tuple(normal(*shape) for _ in range(arity)))
            for kind, shape in (("plain", (3, 4)), ("plain", (2, 3, 4)), ("plain", (4,)), ("empty", (0, 4)))
        ),
        ROWS_ONLY,
    )
    for name, reference, arity in (
        ("softmax", _softmax, 1),
        ("log_softmax", lambda x: np.log(_softmax(x)), 1),
        ("softmax_gradient", lambda g, y: y * g - y * np.sum(g * y, -1, keepdims=True), 2),
        ("log_softmax_gradient", lambda g, y: g - y * np.sum(g, -1, keepdims=True), 2),
    )
}

LINEAR: dict[str, Row] = {
    "matmul": Row(_matmul, tuple(_matmul_cases()), {"scalar": "operands are vectors or matrices"}),
    "matmul_gradient": fixed(
        _matmul_gradient,
        *(
            ("plain", inputs, {"by": by})
            for by in (0, 1)
            for inputs in (
                (normal(3), normal(3, 4), normal(4)),
                (normal(), normal(4), normal(4)),
                (normal(3, 2), normal(3, 4), normal(4, 2)),
            )
        ),
        ("empty", (normal(0, 2), normal(0, 4), normal(4, 2)), {"by": 1}),
        scalar="operands are vectors or matrices",
    ),
}
