"""Reductions over axes. `axis` is None for all axes, an int or a tuple; negative axes count from the end."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from tsengine.composite import composite
from tsengine.errors import ShapeError
from tsengine.graph import Node, apply, as_node
from tsengine.ops.elementwise import (
    Gradients,
    abs,
    cast,
    equal,
    exp,
    less,
    log,
    negative,
    square,
    stop_gradient,
    where,
)
from tsengine.ops.registry import op
from tsengine.ops.shape import broadcast_like, expand_dims
from tsengine.specs import Array, Shape, Spec, fits, need_kind

Axes = tuple[int, ...] | None


def _reduced(x: Spec, axis: Axes, keepdims: bool) -> Shape | None:
    if x.shape is None:
        return () if axis is None and not keepdims else None
    dropped = _positive(axis, len(x.shape))
    kept = (1 if position in dropped else size for position, size in enumerate(x.shape))
    if keepdims:
        return tuple(kept)
    return tuple(size for position, size in enumerate(x.shape) if position not in dropped)


def _positive(axis: Axes, rank: int) -> set[int]:
    if axis is None:
        return set(range(rank))
    wrong = [item for item in axis if not -rank <= item < rank]
    if wrong:
        raise ShapeError(f"axis {wrong[0]} is outside the {rank} axes of the input")
    return {item % rank for item in axis}


def _infer(x: Spec, axis: Axes, keepdims: bool) -> Spec:
    return x.with_shape(_reduced(x, axis, keepdims))


def _infer_floating(x: Spec, axis: Axes, keepdims: bool) -> Spec:
    need_kind(x, "f", "x")
    return _infer(x, axis, keepdims)


def _spread(node: Node, grad: Node) -> Node:
    """A gradient of the reduced value, back in the shape of the input."""
    axis, x = node.attrs["axis"], node.inputs[0]
    if axis is not None and not node.attrs["keepdims"]:
        grad = expand_dims(grad, axis)
    return broadcast_like(grad, x)


@op("reduce_sum")
class _ReduceSum:
    """Sum over axes, in NumPy's pairwise order."""

    infer = staticmethod(_infer)

    @staticmethod
    def kernel(out: Array, x: Array, axis: Axes, keepdims: bool) -> None:
        np.add.reduce(x, axis=axis, keepdims=keepdims, out=out)

    @staticmethod
    def gradient(node: Node, grad: Node) -> Gradients:
        return (_spread(node, grad),)

    @staticmethod
    def onnx(builder: Any, node: Node, inputs: list[str]) -> str:
        return str(builder.reduce("ReduceSum", node, inputs))


@op("reduce_mean")
class _ReduceMean:
    """Mean over axes; of nothing it is NaN."""

    infer = staticmethod(_infer_floating)

    @staticmethod
    def kernel(out: Array, x: Array, axis: Axes, keepdims: bool) -> None:
        np.add.reduce(x, axis=axis, keepdims=keepdims, out=out)
        np.divide(out, x.dtype.type(_reduced_count(x, axis)), out=out)

    @staticmethod
    def gradient(node: Node, grad: Node) -> Gradients:
        count = apply("reduced_count", node.inputs[0], axis=node.attrs["axis"])
        return (_spread(node, grad / count),)

    @staticmethod
    def onnx(builder: Any, node: Node, inputs: list[str]) -> str:
        return str(builder.reduce("ReduceMean", node, inputs))


def _reduced_count(x: Array, axis: Axes) -> int:
    count = 1
    for position in _positive(axis, x.ndim):
        count *= x.shape[position]
    return count


@op("reduced_count", shape_only=(0,))
class _ReducedCount:
    """How many elements of x a reduction over `axis` puts into one, as a scalar of x's dtype."""

    nondifferentiable = "it depends on the shape alone"
    not_exported = "it appears in gradients only"

    @staticmethod
    def infer(x: Spec, axis: Axes) -> Spec:
        return x.with_shape(())

    @staticmethod
    def kernel(out: Array, x: Array, axis: Axes) -> None:
        out[...] = _reduced_count(x, axis)


@op("reduce_max")
class _ReduceMax:
    """Largest element over axes; of nothing it is minus infinity. Equal maxima share the gradient evenly."""

    infer = staticmethod(_infer_floating)

    @staticmethod
    def kernel(out: Array, x: Array, axis: Axes, keepdims: bool) -> None:
        np.maximum.reduce(x, axis=axis, keepdims=keepdims, out=out, initial=-np.inf)

    @staticmethod
    def gradient(node: Node, grad: Node) -> Gradients:
        x = node.inputs[0]
        chosen = cast(equal(x, _spread(node, node)), x.dtype)
        ties = reduce_sum(chosen, node.attrs["axis"], node.attrs["keepdims"])
        return (_spread(node, grad / ties) * chosen,)

    @staticmethod
    def onnx(builder: Any, node: Node, inputs: list[str]) -> str:
        return str(builder.reduce("ReduceMax", node, inputs))


@op("argmax")
class _Argmax:
    """Position of the largest element along one axis, the first of equals; int64."""

    nondifferentiable = "it is constant but for jumps"

    @staticmethod
    def infer(x: Spec, axis: int) -> Spec:
        return Spec(np.dtype(np.int64), _reduced(x, (axis,), False))

    @staticmethod
    def kernel(out: Array, x: Array, axis: int) -> None:
        np.argmax(x, axis=axis, out=out)

    @staticmethod
    def onnx(builder: Any, node: Node, inputs: list[str]) -> str:
        return str(builder.add("ArgMax", inputs, axis=node.attrs["axis"], keepdims=0))


def _axes(axis: int | Sequence[int] | None) -> Axes:
    if axis is None:
        return None
    return (operator.index(axis),) if not isinstance(axis, Sequence) else tuple(map(operator.index, axis))


def reduce_sum(
    x: Any, axis: int | Sequence[int] | None = None, keepdims: bool = False, name: str | None = None
) -> Node:
    """Sum over axes."""
    return apply("reduce_sum", as_node(x), name=name, axis=_axes(axis), keepdims=keepdims)


def reduce_mean(
    x: Any, axis: int | Sequence[int] | None = None, keepdims: bool = False, name: str | None = None
) -> Node:
    """Mean over axes; NaN over nothing."""
    return apply("reduce_mean", as_node(x), name=name, axis=_axes(axis), keepdims=keepdims)


def reduce_max(
    x: Any, axis: int | Sequence[int] | None = None, keepdims: bool = False, name: str | None = None
) -> Node:
    """Largest element over axes; minus infinity over nothing."""
    return apply("reduce_max", as_node(x), name=name, axis=_axes(axis), keepdims=keepdims)


def argmax(x: Any, axis: int = -1, name: str | None = None) -> Node:
    """Position of the largest element along one axis; int64."""
    return apply("argmax", as_node(x), name=name, axis=operator.index(axis))


def reduce_min(x: Any, axis: int | Sequence[int] | None = None, keepdims: bool = False) -> Node:
    """Smallest element over axes, as -reduce_max(-x); infinity over nothing. Equal minima share the gradient evenly."""
    return negative(reduce_max(negative(x), axis, keepdims))


def logsumexp(x: Any, axis: int | Sequence[int] | None = None, keepdims: bool = False) -> Node:
    """log(sum(exp(x))) over axes, as m + log(sum(exp(x - m))) for the maximum m; minus infinity over nothing.

    m cancels out, so the gradient takes it for a constant. Where it is not finite 0 does: inf - inf would be NaN.
    """
    node = as_node(x)
    most = stop_gradient(reduce_max(node, axis, keepdims=True))
    shift = where(less(abs(most), np.inf), most, 0.0)
    return log(reduce_sum(exp(node - shift), axis, keepdims)) + reduce_sum(shift, axis, keepdims)


def l2_loss(x: Any) -> Node:
    """sum(x^2) / 2, a scalar: its gradient is x."""
    return reduce_sum(square(x)) / 2.0


@composite
def accuracy(labels: Any, logits: Any) -> Node:
    """Share of the rows whose largest logit is at the label, a float32 scalar; NaN of no rows.

    labels: class numbers, in the shape of logits without its last axis.
    """
    target, x = as_node(labels), as_node(logits)
    found = argmax(x)
    if target.dtype.kind not in "iu":
        raise ShapeError(f"labels must be class numbers, got {target.spec}")
    if found.shape is not None and target.shape is not None and not fits(target.shape, found.shape):
        raise ShapeError(f"labels must have the shape of logits without its last axis, got {target.spec} for {x.spec}")
    return reduce_mean(cast(equal(found, cast(target, np.int64)), np.float32))
