"""Activations, in forms that cannot overflow."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tsengine.errors import ShapeError
from tsengine.graph import Node, apply, as_node
from tsengine.ops.elementwise import Gradients, clip, expm1, minimum, where
from tsengine.ops.reduce import reduce_sum
from tsengine.ops.registry import op
from tsengine.specs import Array, Spec, need_kind


def _floating(x: Spec) -> Spec:
    need_kind(x, "f", "x")
    return x


def _floating_rows(x: Spec, *others: Spec) -> Spec:
    if x.rank == 0:
        raise ShapeError("needs at least one axis, got a scalar")
    return _floating(x)


@op("sigmoid", inplace=(0,))
class _Sigmoid:
    """Logistic function, 1 / (1 + exp(-x)): exp may reach infinity, and 1 / infinity is the 0 that is meant."""

    onnx = "Sigmoid"
    infer = staticmethod(_floating)

    @staticmethod
    def kernel(out: Array, x: Array) -> None:
        np.negative(x, out=out)
        np.exp(out, out=out)
        np.add(out, 1, out=out)
        np.reciprocal(out, out=out)

    @staticmethod
    def gradient(node: Node, grad: Node) -> Gradients:
        return (grad * (node * (1.0 - node)),)


@op("tanh", inplace=(0,))
class _Tanh:
    """Hyperbolic tangent."""

    onnx = "Tanh"
    infer = staticmethod(_floating)

    @staticmethod
    def kernel(out: Array, x: Array) -> None:
        np.tanh(x, out=out)

    @staticmethod
    def gradient(node: Node, grad: Node) -> Gradients:
        return (grad * (1.0 - node * node),)


@op("relu", inplace=(0,))
class _Relu:
    """max(x, 0); NaN stays NaN."""

    onnx = "Relu"
    infer = staticmethod(_floating)

    @staticmethod
    def kernel(out: Array, x: Array) -> None:
        np.maximum(x, 0, out=out)

    @staticmethod
    def gradient(node: Node, grad: Node) -> Gradients:
        return (apply("relu_gradient", grad, node),)


@op("relu_gradient", inplace=(0,))
class _ReluGradient:
    """grad where the relu's output is positive, else 0."""

    not_exported = "it appears in gradients only"

    @staticmethod
    def infer(grad: Spec, y: Spec) -> Spec:
        return grad

    @staticmethod
    def kernel(out: Array, grad: Array, y: Array) -> None:
        np.multiply(grad, y > 0, out=out)

    @staticmethod
    def gradient(node: Node, grad: Node) -> Gradients:
        return apply("relu_gradient", grad, node.inputs[1]), None


@op("leaky_relu", inplace=(0,))
class _LeakyRelu:
    """x where it is positive, else alpha * x; NaN stays NaN."""

    @staticmethod
    def infer(x: Spec, alpha: float) -> Spec:
        return _floating(x)

    @staticmethod
    def kernel(out: Array, x: Array, alpha: float) -> None:
        small = ~(x > 0)
        np.copyto(out, x)
        np.multiply(out, alpha, out=out, where=small)

    @staticmethod
    def gradient(node: Node, grad: Node) -> Gradients:
        return (where(node.inputs[0] > 0, grad, grad * node.attrs["alpha"]),)

    @staticmethod
    def onnx(builder: Any, node: Node, inputs: list[str]) -> str:
        return str(builder.add("LeakyRelu", inputs, alpha=node.attrs["alpha"]))


@op("softplus")
class _Softplus:
    """log(1 + exp(x)), as max(x, 0) + log1p(exp(-|x|))."""

    onnx = "Softplus"
    infer = staticmethod(_floating)

    @staticmethod
    def kernel(out: Array, x: Array) -> None:
        _softplus(out, x)

    @staticmethod
    def gradient(node: Node, grad: Node) -> Gradients:
        return (grad * sigmoid(node.inputs[0]),)


def _softplus(out: Array, x: Array) -> None:
    np.abs(x, out=out)
    np.negative(out, out=out)
    np.exp(out, out=out)
    np.log1p(out, out=out)
    np.add(out, np.maximum(x, 0), out=out)


@op("softmax", inplace=(0,))
class _Softmax:
    """exp(x) / sum(exp(x)) over the last axis, shifted by the maximum."""

    infer = staticmethod(_floating_rows)

    @staticmethod
    def kernel(out: Array, x: Array) -> None:
        np.subtract(x, _row_maximum(x), out=out)
        np.exp(out, out=out)
        np.divide(out, out.sum(axis=-1, keepdims=True), out=out)

    @staticmethod
    def gradient(node: Node, grad: Node) -> Gradients:
        return (apply("softmax_gradient", grad, node),)

    @staticmethod
    def onnx(builder: Any, node: Node, inputs: list[str]) -> str:
        return str(builder.add("Softmax", inputs, axis=-1))


def _row_maximum(x: Array) -> Array:
    return np.max(x, axis=-1, keepdims=True, initial=-np.inf)


@op("softmax_gradient")
class _SoftmaxGradient:
    """y * (grad - sum(grad * y)) for y = softmax(x), over the last axis."""

    not_exported = "it appears in gradients only"
    infer = staticmethod(_floating_rows)

    @staticmethod
    def kernel(out: Array, grad: Array, y: Array) -> None:
        np.multiply(grad, y, out=out)
        total = out.sum(axis=-1, keepdims=True)
        np.subtract(grad, total, out=out)
        np.multiply(out, y, out=out)

    @staticmethod
    def gradient(node: Node, grad: Node) -> Gradients:
        outer, y = node.inputs
        inner = reduce_sum(outer * y, axis=-1, keepdims=True)
        weight = reduce_sum(grad * y, axis=-1, keepdims=True)
        return apply("softmax_gradient", grad, y), grad * (outer - inner) - outer * weight


@op("log_softmax")
class _LogSoftmax:
    """x - log(sum(exp(x))) over the last axis, shifted by the maximum: finite where softmax is 0."""

    infer = staticmethod(_floating_rows)

    @staticmethod
    def kernel(out: Array, x: Array) -> None:
        np.subtract(x, _row_maximum(x), out=out)
        np.subtract(out, np.log(np.exp(out).sum(axis=-1, keepdims=True)), out=out)

    @staticmethod
    def gradient(node: Node, grad: Node) -> Gradients:
        return (apply("log_softmax_gradient", grad, softmax(node.inputs[0])),)

    @staticmethod
    def onnx(builder: Any, node: Node, inputs: list[str]) -> str:
        return str(builder.add("LogSoftmax", inputs, axis=-1))


@op("log_softmax_gradient")
class _LogSoftmaxGradient:
    """grad - y * sum(grad) for y = softmax(x), over the last axis."""

    not_exported = "it appears in gradients only"
    infer = staticmethod(_floating_rows)

    @staticmethod
    def kernel(out: Array, grad: Array, y: Array) -> None:
        np.multiply(y, grad.sum(axis=-1, keepdims=True), out=out)
        np.subtract(grad, out, out=out)

    @staticmethod
    def gradient(node: Node, grad: Node) -> Gradients:
        outer, y = node.inputs
        weight = reduce_sum(grad * y, axis=-1, keepdims=True)
        return grad - weight, -(grad * reduce_sum(outer, axis=-1, keepdims=True))


def sigmoid(x: Any, name: str | None = None) -> Node:
    """1 / (1 + exp(-x))."""
    return apply("sigmoid", as_node(x), name=name)


def tanh(x: Any, name: str | None = None) -> Node:
    """Hyperbolic tangent."""
    return apply("tanh", as_node(x), name=name)


def relu(x: Any, name: str | None = None) -> Node:
    """max(x, 0); gradient 0 at 0."""
    return apply("relu", as_node(x), name=name)


def softplus(x: Any, name: str | None = None) -> Node:
    """log(1 + exp(x)) without overflow."""
    return apply("softplus", as_node(x), name=name)


def softmax(x: Any, name: str | None = None) -> Node:
    """Probabilities over the last axis."""
    return apply("softmax", as_node(x), name=name)


def log_softmax(x: Any, name: str | None = None) -> Node:
    """Logarithm of the softmax over the last axis, finite for any finite x."""
    return apply("log_softmax", as_node(x), name=name)


def leaky_relu(x: Any, alpha: float = 0.2, name: str | None = None) -> Node:
    """x where it is positive, else alpha * x; gradient alpha at 0."""
    return apply("leaky_relu", as_node(x), name=name, alpha=float(alpha))


def elu(x: Any, alpha: float = 1.0) -> Node:
    """x where it is positive, else alpha * (exp(x) - 1). Clevert et al. 2015, arXiv:1511.07289.

    exp sees no positive x: it could overflow, and in the gradient 0 * infinity is NaN.
    """
    node = as_node(x)
    return where(node > 0, node, alpha * expm1(minimum(node, 0.0)))


def gelu(x: Any) -> Node:
    """x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x^3))) / 2. Hendrycks and Gimpel 2016, arXiv:1606.08415.

    This is their approximation of x * P(N(0, 1) <= x), off by less than 0.001; NumPy has no erf for the exact form.
    """
    node = as_node(x)
    held = clip(node, -10.0, 10.0)  # beyond, tanh is 1 to the last bit; the cube would overflow, its gradient be NaN
    inner = math.sqrt(2 / math.pi) * (held + 0.044715 * held * held * held)
    return node * (1.0 + tanh(inner)) * 0.5
