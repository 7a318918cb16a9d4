"""Feature interactions of ranking models, as functions of primitives. x [B, F, D] holds F embeddings per example."""

from __future__ import annotations

from typing import Any

import numpy as np

from tsengine.composite import composite
from tsengine.errors import ShapeError
from tsengine.graph import Node, as_node, as_nodes
from tsengine.ops.elementwise import square
from tsengine.ops.linear import linear, matmul
from tsengine.ops.reduce import reduce_sum
from tsengine.ops.shape import flatten, transpose
from tsengine.ops.sparse import gather
from tsengine.specs import fits


@composite
def fm_interaction(x: Any) -> Node:
    """The sum of <x_i, x_j> over all pairs i < j of embeddings [B, F, D]: [B, 1].

    As 0.5 * sum_d((sum_f x)^2 - sum_f x^2), which takes F steps instead of F^2. Rendle 2010, Factorization Machines,
    lemma 3.1.
    """
    node = as_node(x)
    if node.value_spec.rank not in (None, 3):
        raise ShapeError(f"x must be embeddings [B, F, D], got {node.spec}")
    pairs = square(reduce_sum(node, axis=1)) - reduce_sum(square(node), axis=1)
    return reduce_sum(pairs, axis=1, keepdims=True) / 2.0


@composite
def dot_interaction(x: Any) -> Node:
    """<x_i, x_j> of every pair j < i of embeddings [B, F, D]: [B, F * (F - 1) / 2]; F must be known.

    The order is that of the rows of the strictly lower triangle of x x^T: (1, 0), (2, 0), (2, 1), ... Naumov et al.
    2019 (DLRM), arXiv:1906.00091.
    """
    node = as_node(x)
    count = node.shape[1] if node.shape is not None and len(node.shape) == 3 else None
    if count is None:
        raise ShapeError(f"x must be embeddings [B, F, D] with a known F, got {node.spec}")
    left, right = np.tril_indices(count, -1)
    products = flatten(matmul(node, node, transpose_b=True))
    chosen = as_node((left * count + right).astype(np.int64), graph=node.graph)
    return transpose(gather(transpose(products, (1, 0)), chosen), (1, 0))


@composite
def cross_layer(x0: Any, x: Any, weights: Any, bias: Any) -> Node:
    """x0 * (x @ weights + bias) + x for the first input x0 and the last layer's x, both [B, n]: [B, n].

    weights [n, n], bias [n]. Wang et al. 2021 (DCN-v2), arXiv:2008.13535.
    """
    first, last, matrix, vector = as_nodes(x0, x, weights, bias)
    crossed = linear(last, matrix, vector)
    for item in (last, crossed):
        if item.shape is not None and not fits(item.shape, first.shape):
            raise ShapeError(
                f"x0, x and x @ weights + bias must have one shape, got {first.spec}, {last.spec} and {crossed.spec}"
            )
    return first * crossed + last
