"""A gradient against a central difference, along a random direction: cheap, and hard to pass by chance."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from tsengine.gradients import gradients
from tsengine.graph import Graph, Node
from tsengine.indexed_slices import IndexedSlices
from tsengine.session import Session
from tsengine.specs import Array, Shape
from tsengine.variables import placeholder


def gradient_error(
    build: Callable[..., Node],
    arrays: Sequence[Array],
    seed: int = 0,
    step: float = 1e-6,
    known_sizes: bool = False,
    known_ranks: bool = True,
    kernels: str | None = None,
) -> float:
    """|u' J v by the gradient - by a central difference|, relative to their size; float64 arrays are varied.

    build(*nodes) makes the node under test from placeholders that are fed the arrays. With `known_sizes` the graph
    knows their shapes, and the backward pass gets another plan: nothing to undo, more values made in place. Without
    `known_ranks` it does not even know how many axes they have.
    """
    with Graph().as_default() as graph:
        inputs = [placeholder(array.dtype, _told(array, known_sizes, known_ranks)) for array in arrays]
        y = build(*inputs)
        varied = [place for place, array in enumerate(arrays) if array.dtype == np.float64]
        weights = placeholder(y.dtype)
        found = gradients(y, [inputs[place] for place in varied], [weights])
    session = Session(graph, kernels=kernels)
    feeds = dict(zip(inputs, arrays, strict=True))
    rng = np.random.default_rng(seed)
    value = np.asarray(session.run(y, feeds))
    outward = rng.standard_normal(value.shape)
    ways = {place: rng.standard_normal(arrays[place].shape) for place in varied}
    moved = [
        {**feeds, **{inputs[place]: arrays[place] + sign * step * ways[place] for place in varied}} for sign in (1, -1)
    ]
    above, below = (np.sum(outward * session.run(y, feed)) for feed in moved)
    numeric = float(above - below) / (2 * step)
    dense = [grad.to_dense() if isinstance(grad, IndexedSlices) else grad for grad in found if grad is not None]
    values = session.run(dense, {**feeds, weights: outward})
    present = [place for place, grad in zip(varied, found, strict=True) if grad is not None]
    symbolic = float(sum(np.sum(grad * ways[place]) for place, grad in zip(present, values, strict=True)))
    return abs(numeric - symbolic) / max(1.0, abs(numeric), abs(symbolic))


def _told(array: Array, sizes: bool, rank: bool) -> Shape | None:
    """What the graph is told of an array's shape."""
    return array.shape if sizes else (None,) * array.ndim if rank else None
