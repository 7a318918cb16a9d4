"""Cases of the steps that only the compiler makes, each against the plain steps it stands for."""

from __future__ import annotations

import numpy as np

from tsengine.specs import Array
from tsengine.testing.opcases.cases import Row, fixed, ints, normal

_FLAGS = {"transpose_a": False, "transpose_b": False}


def _linear(a: Array, b: Array, bias: Array, activation: str | None, transpose_a: bool, transpose_b: bool) -> Array:
    x = a @ b + bias
    if activation == "relu":
        return np.where(x > 0, x, 0)
    if activation == "sigmoid":
        return np.asarray(1 / (1 + np.exp(-x)))
    return np.tanh(x) if activation == "tanh" else x


def _log_softmax(x: Array) -> Array:
    return x - np.log(np.sum(np.exp(x), axis=-1, keepdims=True))


def _one_hot(labels: Array) -> Array:
    return np.asarray(labels[..., None] == np.arange(4))


def _by_logits(grad: Array, labels: Array, p: Array) -> Array:
    weighted = grad * labels
    weighted = weighted.sum(axis=0, keepdims=True) if len(p) < len(weighted) else weighted
    return np.asarray(weighted - p * np.sum(weighted, axis=-1, keepdims=True))


FUSED: dict[str, Row] = {
    "fused_linear": fixed(
        _linear,
        *(
            (kind, (normal(rows, 4), normal(4, 2), normal(2)), {"activation": activation, **_FLAGS})
            for kind, rows in (("plain", 3), ("empty", 0))
            for activation in ("relu", "sigmoid", "tanh", None)
        ),
        scalar="operands are matrices",
    ),
    "fused_matmul_columns": fixed(
        lambda a, b, begin, end, transpose_a, transpose_b: ((a.T if transpose_a else a) @ (b.T if transpose_b else b))[
            :, begin:end
        ],
        ("plain", (normal(3, 4), normal(4, 5)), {"begin": 1, "end": 4, **_FLAGS}),
        ("plain", (normal(4, 3), normal(5, 4)), {"begin": 0, "end": 2, "transpose_a": True, "transpose_b": True}),
        ("plain", (normal(3, 4), normal(5, 4)), {"begin": 4, "end": 5, "transpose_a": False, "transpose_b": True}),
        ("empty", (normal(0, 4), normal(4, 5)), {"begin": 1, "end": 4, **_FLAGS}),
        scalar="operands are matrices",
    ),
    "fused_gather_sum": fixed(
        lambda table, ids: np.array([sum(table[item] for item in bag) for bag in ids]).reshape(len(ids), 3),
        ("plain", (normal(6, 3), ints(6, 5, 4)), {}),
        ("plain", (normal(9, 3), ints(9, 2, 1, dtype="int64")), {}),
        ("empty", (normal(6, 3), ints(6, 0, 4)), {}),
        scalar="it needs bags",
    ),
    "fused_log_likelihood": fixed(
        lambda labels, logits: np.sum(labels * _log_softmax(logits), axis=-1),
        ("plain", (normal(3, 4), normal(3, 4)), {}),
        ("plain", (normal(4), normal(4)), {}),
        ("plain", (normal(1, 4), normal(3, 4)), {}),
        ("plain", (normal(3, 4), normal(1, 4)), {}),
        ("empty", (normal(0, 4), normal(0, 4)), {}),
        scalar="it needs classes",
    ),
    "fused_log_likelihood_gradient": fixed(
        _by_logits,
        ("plain", (normal(3, 1), normal(3, 4), normal(3, 4)), {}),
        ("plain", (normal(), normal(3, 4), normal(3, 4)), {}),
        ("plain", (normal(3, 1), normal(1, 4), normal(3, 4)), {}),
        ("plain", (normal(3, 1), normal(3, 4), normal(1, 4)), {}),
        ("empty", (normal(0, 1), normal(0, 4), normal(0, 4)), {}),
        scalar="it needs classes",
    ),
    "fused_class_log_likelihood": fixed(
        lambda logits, labels: np.sum(_log_softmax(logits) * _one_hot(labels), axis=-1),
        ("plain", (normal(3, 4), ints(4, 3)), {}),
        ("plain", (normal(2, 3, 4), ints(4, 2, 3, dtype="int64")), {}),
        ("empty", (normal(0, 4), ints(4, 0)), {}),
        scalar="it needs classes",
    ),
    "fused_class_log_likelihood_gradient": fixed(
        lambda grad, labels, p: grad[..., None] * (_one_hot(labels) - p),
        ("plain", (normal(3), ints(4, 3), normal(3, 4)), {}),
        ("plain", (normal(2, 3), ints(4, 2, 3), normal(2, 3, 4)), {}),
        ("empty", (normal(0), ints(4, 0), normal(0, 4)), {}),
        scalar="it needs classes",
    ),
}
