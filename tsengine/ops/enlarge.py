"""Ops that make an array larger: filled around the edges, repeated, or spread over classes."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from tsengine.composite import composite
from tsengine.errors import ShapeError
from tsengine.graph import Node, apply, as_node
from tsengine.ops.elementwise import Gradients, cast, equal
from tsengine.ops.registry import op
from tsengine.ops.shape import Ints, expand_dims, ints
from tsengine.specs import DEFAULT_FLOAT, Array, Spec

_GRADIENTS_ONLY = "it appears in gradients only"
Paddings = tuple[tuple[int, int], ...]


@op("pad")
class _Pad:
    """x with paddings[i][0] elements of one value before and paddings[i][1] after it along axis i."""

    @staticmethod
    def infer(x: Spec, paddings: Paddings, value: float) -> Spec:
        _need_one_per_axis(x, paddings, "pair of paddings")
        if min(chain.from_iterable(paddings), default=0) < 0:
            raise ShapeError(f"paddings must not be negative, got {list(paddings)}")
        if not x.is_float and not float(value).is_integer():
            raise ShapeError(f"{x} cannot be padded with {value}")
        sizes = x.shape or (None,) * len(paddings)
        return x.with_shape(
            tuple(
                None if size is None else before + size + after
                for size, (before, after) in zip(sizes, paddings, strict=True)
            )
        )

    @staticmethod
    def kernel(out: Array, x: Array, paddings: Paddings, value: float) -> None:
        out[...] = value
        out[_inner(out, paddings)] = x

    @staticmethod
    def gradient(node: Node, grad: Node) -> Gradients:
        return (apply("unpad", grad, paddings=node.attrs["paddings"]),)

    @staticmethod
    def onnx(builder: Any, node: Node, inputs: list[str]) -> str:
        widths = np.array(node.attrs["paddings"], np.int64).reshape(-1, 2)
        if not len(widths):
            return str(builder.add("Identity", inputs))
        value = np.array(node.attrs["value"], node.dtype)
        return str(builder.add("Pad", [*inputs, builder.constant(widths.T.ravel()), builder.constant(value)]))


def _need_one_per_axis(x: Spec, values: Sequence[Any], what: str) -> None:
    if x.rank not in (None, len(values)):
        raise ShapeError(f"needs one {what} per axis of {x}, got {list(values)}")


def _inner(x: Array, paddings: Paddings) -> tuple[slice, ...]:
    return tuple(slice(before, size - after) for size, (before, after) in zip(x.shape, paddings, strict=True))


@op("unpad")
class _Unpad:
    """What a padding was put around."""

    not_exported = _GRADIENTS_ONLY

    @staticmethod
    def infer(x: Spec, paddings: Paddings) -> Spec:
        sizes = x.shape or (None,) * len(paddings)
        return x.with_shape(
            tuple(
                None if size is None else size - before - after
                for size, (before, after) in zip(sizes, paddings, strict=True)
            )
        )

    @staticmethod
    def view(x: Array, paddings: Paddings) -> Array:
        return x[_inner(x, paddings)]

    @staticmethod
    def gradient(node: Node, grad: Node) -> Gradients:
        return (pad(grad, node.attrs["paddings"]),)


@op("tile")
class _Tile:
    """multiples[i] copies of x one after the other along axis i."""

    @staticmethod
    def infer(x: Spec, multiples: Ints) -> Spec:
        _need_one_per_axis(x, multiples, "multiple")
        if min(multiples, default=0) < 0:
            raise ShapeError(f"multiples must not be negative, got {list(multiples)}")
        sizes = x.shape or (None,) * len(multiples)
        return x.with_shape(
            tuple(None if size is None else size * times for size, times in zip(sizes, multiples, strict=True))
        )

    @staticmethod
    def kernel(out: Array, x: Array, multiples: Ints) -> None:
        out.reshape(_tiles(x, multiples))[...] = x.reshape(_tiles(x, (1,) * x.ndim))

    @staticmethod
    def gradient(node: Node, grad: Node) -> Gradients:
        return (apply("sum_tiles", grad, node.inputs[0], multiples=node.attrs["multiples"]),)

    @staticmethod
    def onnx(builder: Any, node: Node, inputs: list[str]) -> str:
        multiples = np.array(node.attrs["multiples"], np.int64)
        return str(
            builder.add("Tile", [*inputs, builder.constant(multiples)])
            if len(multiples)
            else builder.add("Identity", inputs)
        )


def _tiles(x: Array, multiples: Ints) -> Ints:
    """A shape with two axes for each of x: which copy, and where in it."""
    return tuple(chain.from_iterable(zip(multiples, x.shape, strict=True)))


@op("sum_tiles", shape_only=(1,))
class _SumTiles:
    """The sum of the copies that were made of an array shaped `like`."""

    not_exported = _GRADIENTS_ONLY

    @staticmethod
    def infer(x: Spec, like: Spec, multiples: Ints) -> Spec:
        return x.with_shape(like.shape)

    @staticmethod
    def kernel(out: Array, x: Array, like: Array, multiples: Ints) -> None:
        np.add.reduce(x.reshape(_tiles(like, multiples)), axis=tuple(range(0, 2 * like.ndim, 2)), out=out)

    @staticmethod
    def gradient(node: Node, grad: Node) -> Gradients:
        return tile(grad, node.attrs["multiples"]), None


@composite
def pad(x: Any, paddings: Sequence[Sequence[int]], value: float = 0.0, name: str | None = None) -> Node:
    """x with one value around it: for each axis a pair, how many elements before and how many after."""
    pairs = [ints(pair) for pair in paddings]
    if any(len(pair) != 2 for pair in pairs):
        raise ShapeError(f"paddings must be a pair (before, after) for each axis, got {list(paddings)}")
    return apply("pad", as_node(x), name=name, paddings=tuple(pairs), value=value)


@composite
def tile(x: Any, multiples: Sequence[int], name: str | None = None) -> Node:
    """Copies of x one after the other, for each axis so many; [a, b] tiled by [2] is [a, b, a, b]."""
    return apply("tile", as_node(x), name=name, multiples=ints(multiples))


@composite
def one_hot(ids: Any, depth: int, dtype: DTypeLike = DEFAULT_FLOAT) -> Node:
    """[*ids.shape, depth]: 1 where the last axis has the id's place, else 0. An id outside [0, depth) is all zeros."""
    node = as_node(ids)
    if node.dtype.kind not in "iu":
        raise ShapeError(f"ids must be integers, got {node.spec}")
    classes = as_node(np.arange(depth, dtype=np.int64), graph=node.graph)
    return cast(equal(expand_dims(cast(node, np.int64), -1), classes), dtype)
