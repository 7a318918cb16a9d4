"""Reductions over axes. `axis` is None for all axes, an int or a tuple; negative axes count from the end."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from tsengine.errors import ShapeError
from tsengine.graph import Node, apply, as_node
from tsengine.ops.elementwise import Gradients, cast, equal
from tsengine.ops.registry import op
from tsengine.ops.shape import broadcast_like, expand_dims
from tsengine.specs import Array, Shape, Spec, need_kind

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
