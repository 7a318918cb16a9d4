"""Losses in forms that neither overflow nor lose the tail; per example but for the mean squared error."""

from __future__ import annotations

from typing import Any

import numpy as np

from tsengine.composite import composite
from tsengine.errors import ShapeError
from tsengine.graph import Node, apply, as_node, as_nodes
from tsengine.ops.activations import log_softmax, relu, sigmoid, softplus
from tsengine.ops.elementwise import Gradients, square
from tsengine.ops.reduce import reduce_mean, reduce_sum
from tsengine.ops.registry import op
from tsengine.specs import Array, Spec, broadcast, fits, need_kind, same_dtype


@op("sigmoid_cross_entropy_with_logits", broadcasting=True)
class _SigmoidCrossEntropy:
    """max(x, 0) - x * z + log1p(exp(-|x|)) for logits x and labels z: the log loss of sigmoid(x)."""

    not_exported = "losses are not part of a served model"

    @staticmethod
    def infer(labels: Spec, logits: Spec) -> Spec:
        need_kind(logits, "f", "logits")
        return Spec(same_dtype(labels, logits), broadcast(labels.shape, logits.shape))

    @staticmethod
    def kernel(out: Array, labels: Array, logits: Array) -> None:
        np.copyto(out, logits)
        np.abs(out, out=out)
        np.negative(out, out=out)
        np.exp(out, out=out)
        np.log1p(out, out=out)
        np.add(out, np.maximum(logits, 0), out=out)
        np.subtract(out, logits * labels, out=out)

    @staticmethod
    def gradient(node: Node, grad: Node) -> Gradients:
        labels, logits = node.inputs
        return -(grad * logits), grad * (sigmoid(logits) - labels)


def sigmoid_cross_entropy_with_logits(labels: Any, logits: Any, name: str | None = None) -> Node:
    """Log loss of sigmoid(logits) against labels in [0, 1], per element."""
    target, x = as_nodes(labels, logits)
    return apply("sigmoid_cross_entropy_with_logits", target, x, name=name)


def softmax_cross_entropy_with_logits(labels: Any, logits: Any) -> Node:
    """-sum(labels * log_softmax(logits)) over the last axis; labels are probabilities of logits' shape."""
    target, x = as_nodes(labels, logits)
    return -reduce_sum(target * log_softmax(x), axis=-1)


def sparse_softmax_cross_entropy_with_logits(labels: Any, logits: Any) -> Node:
    """-log_softmax(logits)[label] over the last axis; labels are class numbers without that axis."""
    return -apply("select_class", log_softmax(logits), as_node(labels))


@composite
def mse(labels: Any, predictions: Any) -> Node:
    """mean((predictions - labels)^2) over all elements, a scalar; NaN of nothing."""
    target, found = _alike("labels", labels, "predictions", predictions)
    return reduce_mean(square(found - target))


@composite
def hinge_loss(labels: Any, logits: Any) -> Node:
    """max(0, 1 - y * x) for logits x and y = 2 * label - 1, per element; labels are 0 or 1. Gradient 0 at the kink."""
    target, x = _alike("labels", labels, "logits", logits)
    return relu(1.0 - (2.0 * target - 1.0) * x)


@composite
def bpr_loss(positive: Any, negative: Any) -> Node:
    """-log(sigmoid(positive - negative)), as softplus(negative - positive), per pair of scores.

    Rendle et al. 2009, arXiv:1205.2618. Scores [B, 1] go with negatives [B, n]; [B] with [B, 1] is refused.
    """
    better, worse = as_nodes(positive, negative)
    ranks = (better.value_spec.rank, worse.value_spec.rank)
    if None not in ranks and ranks[0] != ranks[1]:
        raise ShapeError(f"positive and negative must have one rank, got {better.spec} and {worse.spec}")
    return softplus(worse - better)


def _alike(name: str, x: Any, other_name: str, y: Any) -> tuple[Node, ...]:
    """Both as nodes. Labels [B] against predictions [B, 1] would broadcast to [B, B], and still learn something."""
    left, right = as_nodes(x, y)
    if left.shape is not None and not fits(left.shape, right.shape):
        raise ShapeError(f"{name} and {other_name} must have one shape, got {left.spec} and {right.spec}")
    return left, right
