"""Ops that move elements without changing them. Most are views: they cost nothing and share their input's buffer.

Shapes in attributes are static; a shape only known when running comes from another array, as in `reshape_like`.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from tsengine.composite import composite
from tsengine.errors import ShapeError
from tsengine.graph import Node, apply, as_node
from tsengine.ops.elementwise import Gradients
from tsengine.ops.registry import op
from tsengine.specs import Array, Shape, Spec, broadcast, fits

_GRADIENTS_ONLY = "it appears in gradients only"
Ints = tuple[int, ...]


@op("reshape")
class _Reshape:
    """The same elements in another shape; one size may be -1."""

    @staticmethod
    def infer(x: Spec, shape: Ints) -> Spec:
        return x.with_shape(_reshaped(x, shape))

    @staticmethod
    def view(x: Array, shape: Ints) -> Array:
        return x.reshape(shape)

    @staticmethod
    def gradient(node: Node, grad: Node) -> Gradients:
        return (reshape_like(grad, node.inputs[0]),)

    @staticmethod
    def onnx(builder: Any, node: Node, inputs: list[str]) -> str:
        shape = builder.constant(np.array(node.attrs["shape"], np.int64))
        return str(builder.add("Reshape", [inputs[0], shape], allowzero=1))


def _reshaped(x: Spec, shape: Ints) -> Shape:
    rest = math.prod(size for size in shape if size != -1)
    if not x.known or x.shape is None:
        return tuple(None if size == -1 else size for size in shape)
    total = math.prod(size for size in x.shape if size is not None)
    if (-1 not in shape and rest != total) or (-1 in shape and (total % rest if rest else True)):
        raise ShapeError(f"{x} with {total} elements cannot be reshaped to {list(shape)}")
    return tuple(total // rest if size == -1 else size for size in shape)


@op("reshape_like", shape_only=(1,))
class _ReshapeLike:
    """The same elements in the shape of another array."""

    not_exported = _GRADIENTS_ONLY

    @staticmethod
    def infer(x: Spec, like: Spec) -> Spec:
        return x.with_shape(like.shape)

    @staticmethod
    def view(x: Array, like: Array) -> Array:
        return x.reshape(like.shape)

    @staticmethod
    def gradient(node: Node, grad: Node) -> Gradients:
        return reshape_like(grad, node.inputs[0]), None


@op("transpose")
class _Transpose:
    """Axes in another order: axis i of the result is axis order[i] of x."""

    @staticmethod
    def infer(x: Spec, order: Ints) -> Spec:
        if sorted(order) != list(range(len(order))) or x.rank not in (None, len(order)):
            raise ShapeError(f"order {list(order)} is not an order of the axes of {x}")
        return x.with_shape(None if x.shape is None else tuple(x.shape[axis] for axis in order))

    @staticmethod
    def view(x: Array, order: Ints) -> Array:
        return x.transpose(order)

    @staticmethod
    def gradient(node: Node, grad: Node) -> Gradients:
        return (transpose(grad, tuple(int(axis) for axis in np.argsort(node.attrs["order"]))),)

    @staticmethod
    def onnx(builder: Any, node: Node, inputs: list[str]) -> str:
        order = list(node.attrs["order"])
        return str(builder.add("Transpose", inputs, perm=order) if order else builder.add("Identity", inputs))


@op("expand_dims")
class _ExpandDims:
    """New axes of size 1; positions are those in the result."""

    @staticmethod
    def infer(x: Spec, axes: Ints) -> Spec:
        if x.shape is None:
            return x
        rank = len(x.shape) + len(axes)
        places = {axis % rank for axis in axes if -rank <= axis < rank}
        if len(places) < len(axes):
            raise ShapeError(f"axes {list(axes)} are not {len(axes)} different places among {rank}")
        sizes = iter(x.shape)
        return x.with_shape(tuple(1 if place in places else next(sizes) for place in range(rank)))

    @staticmethod
    def view(x: Array, axes: Ints) -> Array:
        return np.expand_dims(x, axes)

    @staticmethod
    def gradient(node: Node, grad: Node) -> Gradients:
        return (squeeze(grad, node.attrs["axes"]),)

    @staticmethod
    def onnx(builder: Any, node: Node, inputs: list[str]) -> str:
        return str(builder.add("Unsqueeze", [inputs[0], builder.constant(np.array(node.attrs["axes"], np.int64))]))


@op("squeeze")
class _Squeeze:
    """Without these axes, which must have size 1."""

    @staticmethod
    def infer(x: Spec, axes: Ints) -> Spec:
        if x.shape is None:
            return x
        rank = len(x.shape)
        wrong = [axis for axis in axes if not -rank <= axis < rank or x.shape[axis] not in (1, None)]
        if wrong:
            raise ShapeError(f"axis {wrong[0]} of {x} does not have size 1")
        dropped = {axis % rank for axis in axes}
        return x.with_shape(tuple(size for place, size in enumerate(x.shape) if place not in dropped))

    @staticmethod
    def view(x: Array, axes: Ints) -> Array:
        return np.squeeze(x, axes)

    @staticmethod
    def gradient(node: Node, grad: Node) -> Gradients:
        return (
            expand_dims(grad, node.attrs["axes"])
            if node.inputs[0].shape is not None
            else reshape_like(grad, node.inputs[0]),
        )

    @staticmethod
    def onnx(builder: Any, node: Node, inputs: list[str]) -> str:
        return str(builder.add("Squeeze", [inputs[0], builder.constant(np.array(node.attrs["axes"], np.int64))]))


@op("broadcast_to")
class _BroadcastTo:
    """x repeated along axes of size 1 (and new leading axes) to reach a shape."""

    @staticmethod
    def infer(x: Spec, shape: Ints) -> Spec:
        if not fits(shape, broadcast(x.shape, shape)):
            raise ShapeError(f"{x} cannot be broadcast to {list(shape)}")
        return x.with_shape(shape)

    @staticmethod
    def view(x: Array, shape: Ints) -> Array:
        return np.broadcast_to(x, shape)

    @staticmethod
    def gradient(node: Node, grad: Node) -> Gradients:
        return (apply("sum_to_like", grad, node.inputs[0]),)

    @staticmethod
    def onnx(builder: Any, node: Node, inputs: list[str]) -> str:
        return str(builder.add("Expand", [inputs[0], builder.constant(np.array(node.attrs["shape"], np.int64))]))


@op("broadcast_like", shape_only=(1,))
class _BroadcastLike:
    """x repeated to the shape of another array."""

    not_exported = _GRADIENTS_ONLY

    @staticmethod
    def infer(x: Spec, like: Spec) -> Spec:
        if like.shape is not None and not fits(like.shape, broadcast(x.shape, like.shape)):
            raise ShapeError(f"{x} cannot be broadcast to the shape of {like}")
        return x.with_shape(like.shape)

    @staticmethod
    def view(x: Array, like: Array) -> Array:
        return np.broadcast_to(x, like.shape)

    @staticmethod
    def gradient(node: Node, grad: Node) -> Gradients:
        return apply("sum_to_like", grad, node.inputs[0]), None


@op("sum_to_like", shape_only=(1,))
class _SumToLike:
    """The opposite of broadcasting: x summed over the axes along which `like` was repeated; x itself where none was."""

    not_exported = _GRADIENTS_ONLY

    @staticmethod
    def infer(x: Spec, like: Spec) -> Spec:
        return x.with_shape(like.shape)

    @staticmethod
    def is_view(x: Spec, like: Spec) -> bool:
        return x.shape == like.shape

    @staticmethod
    def view(x: Array, like: Array) -> Array:
        return x

    @staticmethod
    def kernel(out: Array, x: Array, like: Array) -> None:
        extra = x.ndim - like.ndim
        repeated = [extra + axis for axis, size in enumerate(like.shape) if size == 1 and x.shape[extra + axis] != 1]
        axes = (*range(extra), *repeated)
        np.add.reduce(x, axis=axes, keepdims=True, out=out.reshape((1,) * extra + out.shape))

    @staticmethod
    def gradient(node: Node, grad: Node) -> Gradients:
        return broadcast_like(grad, node.inputs[0]), None


@op("shape_of", shape_only=(0,))
class _ShapeOf:
    """The sizes of x, int64 [rank]."""

    nondifferentiable = "it depends on the shape alone"
    onnx = "Shape"

    @staticmethod
    def infer(x: Spec) -> Spec:
        return Spec(np.dtype(np.int64), (x.rank,))

    @staticmethod
    def kernel(out: Array, x: Array) -> None:
        out[...] = x.shape


@op("fill_like", shape_only=(0,))
class _FillLike:
    """One number in the shape and dtype of x."""

    nondifferentiable = "it depends on the shape alone"

    @staticmethod
    def infer(x: Spec, value: float) -> Spec:
        return x

    @staticmethod
    def kernel(out: Array, x: Array, value: float) -> None:
        out[...] = value

    @staticmethod
    def onnx(builder: Any, node: Node, inputs: list[str]) -> str:
        value = np.array([node.attrs["value"]], node.dtype)
        return str(builder.add("ConstantOfShape", [builder.add("Shape", inputs)], value=builder.tensor(value)))


def ints(values: int | Sequence[int]) -> Ints:
    """Sizes, axes or positions as a tuple of Python ints."""
    return (
        tuple(map(operator.index, values)) if isinstance(values, Sequence | np.ndarray) else (operator.index(values),)
    )


def reshape(x: Any, shape: Sequence[int], name: str | None = None) -> Node:
    """The same elements in another shape; one size may be -1."""
    return apply("reshape", as_node(x), name=name, shape=ints(shape))


def reshape_like(x: Node, like: Node) -> Node:
    """The same elements in the shape of `like`; x itself where that is known to be its shape."""
    return x if x.value_spec.known and x.shape == like.shape else apply("reshape_like", x, like)


@composite
def transpose(x: Any, order: Sequence[int] | None = None, name: str | None = None) -> Node:
    """Axes in another order; reversed by default, for which the rank must be known."""
    node = as_node(x)
    if order is None and node.shape is None:
        raise ShapeError("transpose needs an order for an input of unknown rank")
    given = tuple(range(len(node.shape or ())))[::-1] if order is None else ints(order)
    return apply("transpose", node, name=name, order=given)


def expand_dims(x: Any, axis: int | Sequence[int], name: str | None = None) -> Node:
    """New axes of size 1 at these places of the result."""
    return apply("expand_dims", as_node(x), name=name, axes=ints(axis))


def squeeze(x: Any, axis: int | Sequence[int], name: str | None = None) -> Node:
    """Without these axes of size 1."""
    return apply("squeeze", as_node(x), name=name, axes=ints(axis))


def broadcast_to(x: Any, shape: Sequence[int], name: str | None = None) -> Node:
    """x repeated to a shape."""
    return apply("broadcast_to", as_node(x), name=name, shape=ints(shape))


def broadcast_like(x: Node, like: Node, name: str | None = None) -> Node:
    """x repeated to the shape of `like`."""
    return apply("broadcast_like", x, like, name=name)


def shape_of(x: Any, name: str | None = None) -> Node:
    """The sizes of x when it runs, int64 [rank]."""
    return apply("shape_of", as_node(x), name=name)


def zeros_like(x: Any, name: str | None = None) -> Node:
    """Zeros in the shape and dtype of x."""
    return apply("fill_like", as_node(x), name=name, value=0.0)


def ones_like(x: Any, name: str | None = None) -> Node:
    """Ones in the shape and dtype of x."""
    return apply("fill_like", as_node(x), name=name, value=1.0)


@composite
def flatten(x: Any, name: str | None = None) -> Node:
    """[B, ...] as [B, n]: one row per example. All sizes but the first must be known."""
    node = as_node(x)
    sizes = (None,) if not node.shape else node.shape[1:]
    count = math.prod(size or 0 for size in sizes)
    first = -1 if count or not node.shape else node.shape[0]
    if first is None or None in sizes:
        raise ShapeError(f"flatten needs a first axis and the sizes of all others, got {node.spec}")
    return reshape(node, (first, count), name)
