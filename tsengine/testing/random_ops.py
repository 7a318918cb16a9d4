"""What random graphs are made of: a table of ops, each over any two values.

A row brings its operands into a form that the op takes and holds its result to order one, so that long chains neither
explode nor vanish. `variant` picks among axes, orders, bounds and the like.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Protocol

import numpy as np

import tsengine as ts
from tsengine.graph import Node, apply
from tsengine.specs import Array


class Ground(Protocol):
    """Where ops grow: what a row of the table may ask."""

    def shape(self, node: Node) -> tuple[int, ...]:
        """The shape that a value will have."""

    def shaped(self, x: Node, wanted: tuple[int, ...]) -> Node:
        """x in another shape."""

    def beside(self, x: Node, y: Node) -> Node:
        """y in a shape that broadcasts with x."""

    def constant(self, x: Node, values: Array) -> Node:
        """A constant in the graph of x; floats in x's dtype."""


Op = Callable[[Ground, Node, Node, int], Node]
MATRIX, SQUARE, CUBE, IMAGES = (3, 4), (4, 4), (2, 3, 4), (1, 2, 4, 4)


def of_one(function: Callable[[Node], Node]) -> Op:
    """A row for a function of one value of any shape."""
    return lambda g, x, y, variant: function(x)


def of_two(function: Callable[[Node, Node], Node]) -> Op:
    """A row for a function of two values that broadcast."""
    return lambda g, x, y, variant: function(x, g.beside(x, y))


def in_shape(wanted: tuple[int, ...], function: Callable[[Node, Node, int], Node]) -> Op:
    """A row for a function of two values of one given shape."""
    return lambda g, x, y, variant: function(g.shaped(x, wanted), g.shaped(y, wanted), variant)


def with_rows(function: Callable[[Node], Node]) -> Op:
    """A row for a function of one value with at least one axis."""
    return lambda g, x, y, variant: function(x if g.shape(x) else g.shaped(x, (4,)))


def one_above(x: Node) -> Node:
    """Something smooth that is at least 1."""
    return ts.square(ts.tanh(x)) + 1.0


ELEMENTS: dict[str, Op] = {
    "add": of_two(lambda x, y: (x + y) * 0.7),
    "subtract": of_two(lambda x, y: (x - y) * 0.7),
    "multiply": of_two(lambda x, y: ts.tanh(x * y)),
    "divide": of_two(lambda x, y: x / one_above(y)),
    "pow": of_two(lambda x, y: one_above(x) ** ts.tanh(y)),
    "maximum": of_two(lambda x, y: ts.maximum(x, y)),
    "minimum": of_two(lambda x, y: ts.minimum(x, y)),
    "where": of_two(lambda x, y: ts.where(x < y, x * 0.5, y)),
    "choose": of_two(lambda x, y: ts.where(ts.logical_or(x >= y, ts.logical_not(y > 0.5)), ts.sigmoid(x), y)),
    "between": of_two(lambda x, y: ts.where(ts.logical_and(x <= y, ts.not_equal(x, y)), x, 1.0)),
    "add_n": lambda g, x, y, variant: ts.add_n([x, g.shaped(y, g.shape(x)), x]) * 0.4,
    "negative": of_one(lambda x: -x),
    "twice_negative": of_one(lambda x: -(-(x * 1.0) / 1.0)),
    "abs": of_one(ts.abs),
    "sign": of_one(lambda x: ts.sign(x) * ts.tanh(x)),
    "square": of_one(lambda x: ts.square(ts.tanh(x))),
    "exp": of_one(lambda x: ts.exp(-ts.square(ts.tanh(x)))),
    "log": of_one(lambda x: ts.log(one_above(x))),
    "log1p": of_one(lambda x: ts.log1p(ts.square(ts.tanh(x)))),
    "expm1": of_one(lambda x: ts.expm1(ts.tanh(x))),
    "sqrt": of_one(lambda x: ts.sqrt(one_above(x))),
    "reciprocal": of_one(lambda x: ts.reciprocal(one_above(x))),
    "rsqrt": of_one(lambda x: ts.rsqrt(one_above(x))),
    "clip": of_one(lambda x: ts.clip(x, -0.7, 0.9)),
    "identity": of_one(lambda x: ts.identity(x)),
    "stop_gradient": of_one(lambda x: x * ts.stop_gradient(ts.ones_like(x))),
    "is_nan": of_one(lambda x: ts.where(ts.is_nan(x), 0.0, x)),
    "cast": of_one(lambda x: x * ts.cast(x > 0.0, x.dtype)),
    "fill_like": of_one(lambda x: x * 0.5 + ts.ones_like(x) - ts.zeros_like(x)),
}

ACTIVATIONS: dict[str, Op] = {
    "tanh": of_one(ts.tanh),
    "sigmoid": of_one(ts.sigmoid),
    "relu": of_one(ts.relu),
    "leaky_relu": of_one(ts.leaky_relu),
    "elu": of_one(ts.elu),
    "gelu": of_one(ts.gelu),
    "softplus": of_one(lambda x: ts.softplus(-x)),
    "softmax": with_rows(ts.softmax),
    "log_softmax": with_rows(lambda x: ts.log_softmax(x) * 0.3),
    "log_of_softmax": with_rows(lambda x: ts.log(ts.softmax(x)) * 0.3),
}


def reduced(function: Callable[..., Node]) -> Op:
    """A row for a reduction: over one axis, the first two, or all; with and without the axes kept."""

    def build(g: Ground, x: Node, y: Node, variant: int) -> Node:
        rank = len(g.shape(x))
        axes = [None, *range(rank), *(-1 - axis for axis in range(rank)), *([(0, 1)] if rank > 1 else [])]
        return ts.tanh(function(x, axes[variant % len(axes)], bool(variant // 7 % 2)))

    return build


def _one_hot(x: Node) -> Node:
    return ts.reduce_sum(x * ts.cast(ts.one_hot(ts.argmax(x), 4), x.dtype), -1)


REDUCTIONS: dict[str, Op] = {
    "reduce_sum": reduced(ts.reduce_sum),
    "reduce_mean": reduced(ts.reduce_mean),
    "reduce_max": reduced(ts.reduce_max),
    "reduce_min": reduced(ts.reduce_min),
    "logsumexp": reduced(ts.logsumexp),
    "l2_loss": of_one(lambda x: ts.tanh(ts.l2_loss(x) * 0.05)),
    "argmax": in_shape(MATRIX, lambda x, y, variant: _one_hot(x)),
}


def _turned(g: Ground, x: Node, y: Node, variant: int) -> Node:
    orders = list(itertools.permutations(range(len(g.shape(x)))))
    return ts.transpose(x, orders[variant % len(orders)])


def _reshaped(g: Ground, x: Node, y: Node, variant: int) -> Node:
    count = math.prod(g.shape(x))
    divisors = [size for size in range(1, count + 1) if count % size == 0]
    rows = divisors[variant % len(divisors)]
    return ts.reshape(x, [[rows, -1], [-1], [1, rows, count // rows]][variant // 5 % 3])


def _box(g: Ground, x: Node, y: Node, variant: int) -> Node:
    begin = [(size > 1) * (variant % 2) for size in g.shape(x)]
    size = [-1 if variant // 2 % 2 else max(1, have - 1) for have in g.shape(x)]
    return ts.slice(x, begin, size)


def _joined(g: Ground, x: Node, y: Node, variant: int) -> Node:
    given = x if g.shape(x) else ts.expand_dims(x, 0)
    other = g.shaped(y, g.shape(given))
    return ts.concat([given, other, given], variant % len(g.shape(given)))


def _split(g: Ground, x: Node, y: Node, variant: int) -> Node:
    left, right = ts.split(ts.reshape(g.shaped(x, MATRIX), MATRIX), 2, axis=1)
    return left * 0.5 + ts.tanh(right)


def _padded(g: Ground, x: Node, y: Node, variant: int) -> Node:
    return ts.pad(x, [(variant % 2, 1 - place % 2) for place, _ in enumerate(g.shape(x))], 0.5 * (variant // 2 % 2))


def _like(g: Ground, x: Node, y: Node, variant: int) -> Node:
    return ts.broadcast_like(x, ts.stack([x, g.shaped(y, g.shape(x))]))


def _squeezed(g: Ground, x: Node, y: Node, variant: int) -> Node:
    thin = [place for place, size in enumerate(g.shape(x)) if size == 1]
    return ts.squeeze(x, thin[variant % len(thin)]) if thin else ts.squeeze(ts.expand_dims(x, 0), 0)


SHAPES: dict[str, Op] = {
    "transpose": _turned,
    "reshape": _reshaped,
    "slice": _box,
    "concat": _joined,
    "split": _split,
    "pad": _padded,
    "broadcast_like": _like,
    "squeeze": _squeezed,
    "expand_dims": lambda g, x, y, variant: ts.expand_dims(x, variant % (len(g.shape(x)) + 1)),
    "broadcast_to": lambda g, x, y, variant: ts.broadcast_to(x, (2, *g.shape(x))),
    "tile": lambda g, x, y, variant: ts.tile(x, [1 + (variant + place) % 2 for place in range(len(g.shape(x)))]),
    "stack": lambda g, x, y, variant: ts.stack([x, g.shaped(y, g.shape(x))], variant % (len(g.shape(x)) + 1)),
    "flatten": in_shape(CUBE, lambda x, y, variant: ts.flatten(ts.reshape(x, CUBE))),
    "reshape_like": lambda g, x, y, variant: apply("reshape_like", g.shaped(x, g.shape(y)), ts.reshape(y, [-1])),
    "shape_of": lambda g, x, y, variant: x / (ts.cast(ts.reduce_sum(ts.shape_of(x)), x.dtype) + 1.0),
    "index": in_shape(MATRIX, lambda x, y, variant: ts.reshape(x, MATRIX)[variant % 3, 0 : 1 + variant % 4]),
}


def _product(x: Node, y: Node, variant: int) -> Node:
    first, second = bool(variant % 2), bool(variant // 2 % 2)
    return ts.tanh(ts.matmul(x, y, transpose_a=first, transpose_b=second))


def _vectors(g: Ground, x: Node, y: Node, variant: int) -> Node:
    left, right = [((3, 4), (4,)), ((3,), (3, 4)), ((4,), (4,)), ((4,), (2, 4, 3))][variant % 4]
    return ts.tanh(ts.matmul(g.shaped(x, left), g.shaped(y, right)))


def _batches(g: Ground, x: Node, y: Node, variant: int) -> Node:
    left, right = [((2, 3, 4), (4, 2)), ((3, 4), (2, 4, 3)), ((2, 1, 3, 4), (2, 4, 2))][variant % 3]
    return ts.tanh(ts.matmul(g.shaped(x, left), g.shaped(y, right)))


def _linear(g: Ground, x: Node, y: Node, variant: int) -> Node:
    made = ts.linear(g.shaped(x, MATRIX), g.shaped(y, SQUARE), g.shaped(y, (4,)))
    return [ts.tanh, ts.relu, ts.sigmoid][variant % 3](made)


def _normalized(g: Ground, x: Node, y: Node, variant: int) -> Node:
    rows, factor = g.shaped(x, MATRIX), ts.tanh(g.shaped(y, (4,)))
    made, mean, variance = ts.batch_norm_train(ts.reshape(rows, MATRIX), factor, factor, epsilon=0.1)
    plain = ts.batch_norm(ts.reshape(rows, MATRIX), factor, factor, mean, variance, epsilon=0.1)
    return (ts.tanh(made) + ts.tanh(plain)) * 0.5


PRODUCTS: dict[str, Op] = {
    "matmul": in_shape(SQUARE, _product),
    "matmul_vectors": _vectors,
    "matmul_batches": _batches,
    "linear": _linear,
    "batch_norm": _normalized,
    "fm_interaction": in_shape(CUBE, lambda x, y, variant: ts.tanh(ts.fm_interaction(x))),
    "dot_interaction": in_shape(CUBE, lambda x, y, variant: ts.tanh(ts.dot_interaction(ts.reshape(x, CUBE)))),
    "cross_layer": lambda g, x, y, variant: ts.tanh(
        ts.cross_layer(g.shaped(x, MATRIX), g.shaped(y, MATRIX), g.shaped(x, SQUARE), g.shaped(y, (4,)))
    ),
}


def _ids(variant: int, rows: int, *shape: int) -> Array:
    return np.random.default_rng(variant).integers(0, rows, shape)


def _gathered(g: Ground, x: Node, y: Node, variant: int) -> Node:
    table = x if g.shape(x) else g.shaped(x, (4,))
    sizes = [(), (3,), (2, 2), (0,)][variant % 4]
    found = ts.gather(table, g.constant(x, _ids(variant, g.shape(table)[0], *sizes)))
    return found if sizes != (0,) else ts.reduce_sum(found, 0)


def _bag(g: Ground, x: Node, y: Node, variant: int) -> Node:
    ids, lengths = _ids(variant, 5, 3, 4), _ids(variant + 1, 5, 3)
    weights = ts.sigmoid(g.shaped(y, MATRIX)) if variant % 3 else None
    combiner = "mean" if variant // 3 % 2 else "sum"
    return ts.tanh(ts.embedding_bag(g.shaped(x, (5, 3)), ids, lengths, combiner, weights=weights))


def _full_bag(g: Ground, x: Node, y: Node, variant: int) -> Node:
    return ts.reduce_sum(ts.embedding_lookup(g.shaped(x, (5, 3)), g.constant(x, _ids(variant, 5, 4, 2))), 1) * 0.5


def _segments(g: Ground, x: Node, y: Node, variant: int) -> Node:
    return ts.segment_sum(g.shaped(x, (5, 3)), g.constant(x, _ids(variant, 4, 5)), 4) * 0.5


def _masked(g: Ground, x: Node, y: Node, variant: int) -> Node:
    mask = g.constant(x, _ids(variant, 2, 3) > 0) if variant % 2 else g.shaped(y, MATRIX) > 0.0
    return ts.reduce_sum(ts.tanh(ts.boolean_mask(g.shaped(x, MATRIX), mask)), 0) * 0.5


def _bucketized(g: Ground, x: Node, y: Node, variant: int) -> Node:
    return x * ts.cast(ts.equal(ts.floor_mod(ts.bucketize(x, [-0.5, 0.0, 0.5]), 2), 1), x.dtype)


TABLES: dict[str, Op] = {
    "gather": _gathered,
    "embedding_bag": _bag,
    "gather_sum": _full_bag,
    "segment_sum": _segments,
    "boolean_mask": _masked,
    "bucketize": _bucketized,
}


def _sparse_loss(g: Ground, x: Node, y: Node, variant: int) -> Node:
    logits, labels = g.shaped(x, MATRIX), g.constant(x, _ids(variant, 4, 3))
    return ts.sparse_softmax_cross_entropy_with_logits(labels, logits) * 0.3


def _labels(g: Ground, y: Node, variant: int) -> Node:
    """Probabilities that depend on another value, or given ones, which get no gradient."""
    given = np.eye(4)[_ids(variant, 4, 3)]
    return ts.sigmoid(g.shaped(y, MATRIX)) if variant % 2 else g.constant(y, given)


def _dense_loss(g: Ground, x: Node, y: Node, variant: int) -> Node:
    return ts.softmax_cross_entropy_with_logits(_labels(g, y, variant), g.shaped(x, MATRIX)) * 0.2


def _naive_loss(g: Ground, x: Node, y: Node, variant: int) -> Node:
    logs = ts.log(ts.softmax(g.shaped(x, MATRIX)))
    return -ts.reduce_sum(ts.reduce_sum(_labels(g, y, variant) * logs, axis=1)) * 0.05


LOSSES: dict[str, Op] = {
    "sigmoid_cross_entropy": of_two(lambda x, y: ts.sigmoid_cross_entropy_with_logits(ts.sigmoid(x), y) * 0.5),
    "softmax_cross_entropy": _dense_loss,
    "sparse_softmax_cross_entropy": _sparse_loss,
    "log_likelihood": _naive_loss,
    "mse": in_shape(MATRIX, lambda x, y, variant: ts.tanh(ts.mse(x, y))),
    "hinge_loss": in_shape(MATRIX, lambda x, y, variant: ts.hinge_loss(ts.cast(y > 0.0, y.dtype), x) * 0.5),
    "bpr_loss": in_shape((4,), lambda x, y, variant: ts.bpr_loss(x, y) * 0.5),
}


def _convolved(g: Ground, x: Node, y: Node, variant: int) -> Node:
    filters = g.shaped(y, (2, 2, 2 + variant % 2, 2))
    padding = "same" if variant // 2 % 2 else "valid"
    return ts.tanh(ts.conv2d(g.shaped(x, IMAGES), filters, 1 + variant // 4 % 2, padding) * 0.3)


def _pooled(function: Callable[..., Node]) -> Op:
    def build(g: Ground, x: Node, y: Node, variant: int) -> Node:
        padding = "same" if variant // 2 % 2 else "valid"
        return function(g.shaped(x, IMAGES), 2 + variant % 2, 1 + variant // 4 % 2, padding)

    return build


IMAGE_OPS: dict[str, Op] = {
    "conv2d": _convolved,
    "max_pool2d": _pooled(ts.max_pool2d),
    "avg_pool2d": _pooled(ts.avg_pool2d),
    "global_avg_pool2d": in_shape(IMAGES, lambda x, y, variant: ts.global_avg_pool2d(x)),
}

OPS: dict[str, Op] = {
    **ELEMENTS, **ACTIVATIONS, **REDUCTIONS, **SHAPES, **PRODUCTS, **TABLES, **LOSSES, **IMAGE_OPS,
}  # fmt: skip
