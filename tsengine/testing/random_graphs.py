"""Random graphs of smooth ops with shared and repeated operands, for what single ops cannot show."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tsengine.graph import Node
from tsengine.ops import activations, elementwise, linear, reduce, shape, slicing, sparse
from tsengine.specs import Array

Build = Callable[..., Node]
_SHAPES = ((3, 4), (4,), (1, 4), (3, 1), ())


def random_graph(seed: int, size: int) -> tuple[Build, list[Array]]:
    """(build, arrays): build(*nodes) makes `size` ops over nodes that hold the float64 arrays and returns a scalar."""
    rng = np.random.default_rng(seed)
    arrays = [rng.standard_normal(_SHAPES[place % len(_SHAPES)]) for place in range(3 + seed % 3)]

    def build(*inputs: Node) -> Node:
        choice = np.random.default_rng([seed, 1])
        nodes = [shape.broadcast_like(item, inputs[0]) if choice.random() < 0.3 else item for item in inputs]
        for _ in range(size):
            nodes.append(_grown(nodes, inputs[0], choice))
        return reduce.reduce_mean(elementwise.add_n([reduce.reduce_mean(node) for node in nodes]))

    return build, arrays


def _grown(nodes: list[Node], model: Node, choice: np.random.Generator) -> Node:
    """One more op over random nodes; results are squashed so that long chains stay of order one."""
    x, y = (nodes[choice.integers(len(nodes))] for _ in range(2))
    wide = shape.broadcast_like(x * 1.0, model)
    makers: list[Callable[[], Node]] = [
        lambda: activations.tanh(x + y),
        lambda: activations.tanh(x * y),
        lambda: activations.sigmoid(x - y),
        lambda: activations.softplus(-x),
        lambda: activations.softmax(wide),
        lambda: activations.log_softmax(wide) * 0.1,
        lambda: elementwise.log(activations.softmax(wide)) * 0.1,
        lambda: reduce.reduce_sum(activations.tanh(wide), axis=0),
        lambda: reduce.reduce_mean(wide, axis=1, keepdims=True),
        lambda: activations.tanh(linear.matmul(wide, wide, transpose_a=True))[0:1],
        lambda: x / (elementwise.square(y) + 1.0),
        lambda: slicing.slice_(slicing.concat([wide, wide], 1), [0, 2], [-1, 4]),
        lambda: sparse.gather(wide, np.array([2, 0, 2])),
    ]
    return makers[choice.integers(len(makers))]()
