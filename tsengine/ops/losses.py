"""Losses per example, from logits, in forms that neither overflow nor lose the tail."""

from __future__ import annotations

from typing import Any

import numpy as np

from tsengine.graph import Node, apply, as_node, as_nodes
from tsengine.ops.activations import log_softmax, sigmoid
from tsengine.ops.elementwise import Gradients
from tsengine.ops.reduce import reduce_sum
from tsengine.ops.registry import op
from tsengine.specs import Array, Spec, broadcast, need_kind, same_dtype


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
