"""Cases of element-wise primitives."""

from __future__ import annotations

import numpy as np

from tsengine.specs import Array
from tsengine.testing.opcases.cases import (
    Row,
    away,
    binary,
    bools,
    fixed,
    ints,
    normal,
    positive,
    rng,
    unary,
)


def _cross_entropy(labels: Array, logits: Array) -> Array:
    p = 1 / (1 + np.exp(-logits))
    return np.asarray(-labels * np.log(p) - (1 - labels) * np.log(1 - p))


ELEMENTS: dict[str, Row] = {
    "add": binary(lambda x, y: x + y),
    "subtract": binary(lambda x, y: x - y),
    "multiply": binary(lambda x, y: x * y),
    "divide": binary(lambda x, y: x / y, normal, away),
    "pow": binary(lambda x, y: np.exp(y * np.log(x)), positive),
    "maximum": binary(lambda x, y: np.where(x > y, x, y)),
    "minimum": binary(lambda x, y: np.where(x < y, x, y)),
    "negative": unary(lambda x: 0 - x),
    "abs": unary(lambda x: np.sqrt(x * x), away),
    "exp": unary(np.exp),
    "log": unary(np.log, positive),
    "log1p": unary(lambda x: np.log(1 + x), positive),
    "expm1": unary(lambda x: np.exp(x) - 1),
    "sqrt": unary(lambda x: x**0.5, positive),
    "square": unary(lambda x: x * x),
    "sign": unary(lambda x: np.where(x > 0, 1.0, -1.0), away),
    "equal": binary(lambda x, y: ~(x != y), lambda *s: ints(2, *s)),
    "not_equal": binary(lambda x, y: ~(x == y), lambda *s: ints(2, *s)),
    "greater": binary(lambda x, y: y < x),
    "less": binary(lambda x, y: y > x),
    "greater_equal": binary(lambda x, y: ~(x < y)),
    "less_equal": binary(lambda x, y: ~(x > y)),
    "logical_and": binary(lambda x, y: x & y, bools),
    "logical_or": binary(lambda x, y: x | y, bools),
    "logical_not": unary(lambda x: ~x, bools),
    "is_nan": unary(lambda x: x != x, lambda *s: np.where(bools(*s), np.nan, 1.0)),
    "floor_mod": binary(
        lambda x, y: x - y * np.floor(x / y).astype("int64"),
        lambda *s: ints(90, *s, dtype="int64") - 45,
        lambda *s: ints(9, *s, dtype="int64") + 1,
    ),
    "where": fixed(
        lambda c, x, y: c * x + (1 - c) * y,
        ("plain", (bools(3, 4), normal(3, 4), normal(3, 4)), {}),
        ("broadcast", (bools(3, 1), normal(4), normal()), {}),
        ("empty", (bools(0, 2), normal(0, 2), normal(2)), {}),
        ("scalar", (bools(), normal(), normal()), {}),
    ),
    "cast": fixed(
        lambda x, dtype: np.trunc(x) if dtype.kind == "i" else x,
        *(
            (kind, (normal(*shape) * 5,), {"dtype": np.dtype(kept)})
            for kept in ("int32", "float64")
            for kind, shape in (("plain", (3, 4)), ("empty", (0,)), ("scalar", ()))
        ),
    ),
    "identity": unary(lambda x: x),
    "stop_gradient": unary(lambda x: x),
    "add_n": fixed(
        lambda *inputs: np.sum(np.stack(inputs), axis=0),
        *(
            (kind, tuple(normal(*shape) for _ in range(3)), {})
            for kind, shape in (("plain", (3, 4)), ("empty", (0,)), ("scalar", ()))
        ),
    ),
    "sigmoid": unary(lambda x: np.exp(x) / (1 + np.exp(x))),
    "tanh": unary(lambda x: 1 - 2 / (np.exp(2 * x) + 1)),
    "relu": unary(lambda x: x * (x > 0), away),
    "leaky_relu": fixed(
        lambda x, alpha: (x + np.abs(x)) / 2 + alpha * (x - np.abs(x)) / 2,
        *((k, (away(*s),), {"alpha": 0.2}) for k, s in (("plain", (3, 4)), ("empty", (0,)), ("scalar", ()))),
    ),
    "softplus": unary(lambda x: np.log(1 + np.exp(x))),
    "relu_gradient": fixed(
        lambda g, y: np.where(y > 0, g, 0),
        *((k, (normal(*s), away(*s)), {}) for k, s in (("plain", (3, 4)), ("empty", (0,)), ("scalar", ()))),
    ),
    "sigmoid_cross_entropy_with_logits": binary(_cross_entropy, lambda *s: rng.uniform(0, 1, s), normal),
}
