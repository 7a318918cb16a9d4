"""Batch normalization (Ioffe & Szegedy, 2015, https://arxiv.org/abs/1502.03167), composed of primitives.

Every channel is brought to mean 0 and variance 1, then scaled and shifted. The channel is axis 1 of images [B, C, H, W]
and the last axis of rows [B, C]; statistics are taken over all other axes. Variances are the biased ones (divided by
the count), in training and in the moving averages alike.
"""

from __future__ import annotations

from typing import Any

from tsengine.composite import composite
from tsengine.errors import ShapeError
from tsengine.graph import Node, as_nodes
from tsengine.ops.elementwise import sqrt, square
from tsengine.ops.reduce import reduce_mean
from tsengine.ops.shape import expand_dims, squeeze
from tsengine.specs import need_rank

EPSILON = 1e-5
"""Added to the variance, inside the root."""


@composite
def batch_norm(
    x: Any, scale: Any, offset: Any, mean: Any, variance: Any, epsilon: float = EPSILON, name: str | None = None
) -> Node:
    """(x - mean) * scale / sqrt(variance + epsilon) + offset, all four [C]: the form that a served model uses.

    The factor of a channel is computed on [C] before it meets x, so x is passed over three times, in place.
    """
    images, *vectors = as_nodes(x, scale, offset, mean, variance)
    with images.graph.name_scope(name or "batch_norm"):
        for vector, what in zip(vectors, ("scale", "offset", "mean", "variance"), strict=True):
            need_rank(vector.value_spec, (1,), what)
        factor = vectors[0] / sqrt(vectors[3] + epsilon)
        return (images - _beside(images, vectors[2])) * _beside(images, factor) + _beside(images, vectors[1])


@composite
def batch_norm_train(
    x: Any, scale: Any, offset: Any, epsilon: float = EPSILON, name: str | None = None
) -> tuple[Node, Node, Node]:
    """(y, mean [C], variance [C]): x normalized by its own batch's statistics, through which the gradient flows.

    The moving averages for `batch_norm` are the caller's: two variables and two updates to run beside the training step

        y, mean, variance = ts.batch_norm_train(x, scale, offset)
        keep = 0.99
        follow = ts.group(
            ts.assign(moving_mean, moving_mean * keep + mean * (1 - keep)),
            ts.assign(moving_variance, moving_variance * keep + variance * (1 - keep)),
        )
        session.run([loss, step, follow], feeds)

    In a training over processes `tsengine.parallel.Average` makes these updates. Of a batch without rows mean, variance
    and gradients are NaN.
    """
    images, factor, shift = as_nodes(x, scale, offset)
    axes = _statistics_axes(images)
    with images.graph.name_scope(name or "batch_norm_train"):
        mean = reduce_mean(images, axes, keepdims=True)
        centred = images - mean
        variance = reduce_mean(square(centred), axes, keepdims=True)
        y = centred * (_beside(images, factor) / sqrt(variance + epsilon)) + _beside(images, shift)
        return y, squeeze(mean, axes), squeeze(variance, axes)


def _statistics_axes(x: Node) -> tuple[int, ...]:
    return (0,) if _is_rows(x) else (0, 2, 3)


def _is_rows(x: Node) -> bool:
    if x.value_spec.rank not in (2, 4):  # of an unknown rank [C] would be broadcast along the wrong axis
        raise ShapeError(f"batch normalization needs x of rank 2 or 4, got {x.spec}")
    return x.value_spec.rank == 2


def _beside(x: Node, vector: Node) -> Node:
    """A vector [C] in a shape that broadcasts along x's channel axis."""
    return vector if _is_rows(x) else expand_dims(vector, (1, 2))
