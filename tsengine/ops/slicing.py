"""Joining arrays and cutting boxes out of them. Cutting is a view; joining copies."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from tsengine.composite import composite
from tsengine.errors import ShapeError
from tsengine.graph import Node, apply, as_node, as_nodes
from tsengine.ops.elementwise import Gradients
from tsengine.ops.registry import op
from tsengine.ops.shape import Ints, expand_dims, ints, squeeze, zeros_like
from tsengine.specs import Array, Shape, Spec, format_shape, same_dtype

_GRADIENTS_ONLY = "it appears in gradients only"


@op("concat")
class _Concat:
    """Arrays one after the other along an axis."""

    @staticmethod
    def infer(*inputs: Spec, axis: int) -> Spec:
        dtype = same_dtype(*inputs)
        shapes = [item.shape for item in inputs if item.shape is not None]
        if len(shapes) < len(inputs):
            return Spec(dtype, None)
        return Spec(dtype, _concatenated(shapes, axis))

    @staticmethod
    def kernel(out: Array, *inputs: Array, axis: int) -> None:
        np.concatenate(inputs, axis=axis, out=out)

    @staticmethod
    def gradient(node: Node, grad: Node) -> Gradients:
        axis, inputs = node.attrs["axis"], node.inputs
        return tuple(apply("concat_part", grad, *inputs, axis=axis, part=part) for part in range(len(inputs)))

    @staticmethod
    def onnx(builder: Any, node: Node, inputs: list[str]) -> str:
        return str(builder.add("Concat", inputs, axis=node.attrs["axis"]))


def _concatenated(shapes: list[Shape], axis: int) -> Shape:
    rank = len(shapes[0])
    if any(len(shape) != rank for shape in shapes) or not -rank <= axis < rank:
        raise ShapeError(f"cannot concat {' and '.join(map(format_shape, shapes))} along axis {axis}: ranks must agree")
    place = axis % rank
    sizes: list[int | None] = []
    for position, column in enumerate(zip(*shapes, strict=True)):
        if position == place:
            sizes.append(None if None in column else sum(size for size in column if size is not None))
            continue
        known = {size for size in column if size is not None}
        if len(known) > 1:
            raise ShapeError(
                f"cannot concat {' and '.join(map(format_shape, shapes))} along axis {axis}: the other axes must agree"
            )
        sizes.append(known.pop() if known else None)
    return tuple(sizes)


@op("concat_part", shape_only=range(1, 1 << 30))
class _ConcatPart:
    """The piece of a concatenation that came from input `part`."""

    not_exported = _GRADIENTS_ONLY

    @staticmethod
    def infer(x: Spec, *inputs: Spec, axis: int, part: int) -> Spec:
        return inputs[part]

    @staticmethod
    def view(x: Array, *inputs: Array, axis: int, part: int) -> Array:
        start = sum(item.shape[axis] for item in inputs[:part])
        index = [slice(None)] * x.ndim
        index[axis] = slice(start, start + inputs[part].shape[axis])
        return x[tuple(index)]

    @staticmethod
    def gradient(node: Node, grad: Node) -> Gradients:
        axis, part = node.attrs["axis"], node.attrs["part"]
        pieces = [zeros_like(item) for item in node.inputs[1:]]
        pieces[part] = grad
        return (concat(pieces, axis), *[None] * len(pieces))


@op("slice")
class _Slice:
    """The box that begins at `begin` and has `size` elements along each axis; -1 means to the end."""

    @staticmethod
    def infer(x: Spec, begin: Ints, size: Ints) -> Spec:
        if x.shape is None:
            return x.with_shape(tuple(None if item == -1 else item for item in size))
        if len(begin) != len(x.shape) or len(size) != len(begin):
            raise ShapeError(f"begin {list(begin)} and size {list(size)} must have one number per axis of {x}")
        return x.with_shape(tuple(map(_sliced, x.shape, begin, size)))

    @staticmethod
    def view(x: Array, begin: Ints, size: Ints) -> Array:
        return x[_box(begin, size)]

    @staticmethod
    def gradient(node: Node, grad: Node) -> Gradients:
        return (apply("place_slice", grad, node.inputs[0], **node.attrs),)

    @staticmethod
    def onnx(builder: Any, node: Node, inputs: list[str]) -> str:
        begin, size = node.attrs["begin"], node.attrs["size"]
        ends = [
            np.iinfo(np.int64).max if count == -1 else start + count for start, count in zip(begin, size, strict=True)
        ]
        bounds = [builder.constant(np.array(values, np.int64)) for values in (begin, ends, range(len(begin)))]
        return str(builder.add("Slice", [inputs[0], *bounds]))


def _sliced(have: int | None, begin: int, size: int) -> int | None:
    if have is None:
        return None if size == -1 else size
    if begin < 0 or size < -1 or begin + max(size, 0) > have:
        raise ShapeError(f"begin {begin} and size {size} leave an axis of {have} elements")
    return have - begin if size == -1 else size


def _box(begin: Ints, size: Ints) -> tuple[slice, ...]:
    return tuple(slice(start, None if count == -1 else start + count) for start, count in zip(begin, size, strict=True))


@op("place_slice", shape_only=(1,))
class _PlaceSlice:
    """Zeros in the shape of `like`, with x in the box that a slice took."""

    not_exported = _GRADIENTS_ONLY

    @staticmethod
    def infer(x: Spec, like: Spec, begin: Ints, size: Ints) -> Spec:
        return x.with_shape(like.shape)

    @staticmethod
    def kernel(out: Array, x: Array, like: Array, begin: Ints, size: Ints) -> None:
        out[...] = 0
        out[_box(begin, size)] = x

    @staticmethod
    def gradient(node: Node, grad: Node) -> Gradients:
        return apply("slice", grad, **node.attrs), None


def concat(values: Sequence[Any], axis: int, name: str | None = None) -> Node:
    """Arrays one after the other along an axis."""
    return apply("concat", *as_nodes(*values), name=name, axis=operator.index(axis))


@composite
def stack(values: Sequence[Any], axis: int = 0, name: str | None = None) -> Node:
    """Arrays of one shape side by side along a new axis."""
    return concat([expand_dims(value, axis) for value in as_nodes(*values)], axis, name)


def slice_(x: Any, begin: Sequence[int], size: Sequence[int], name: str | None = None) -> Node:
    """The box that begins at `begin` and has `size` elements along each axis; -1 means to the end."""
    return apply("slice", as_node(x), name=name, begin=ints(begin), size=ints(size))


@composite
def getitem(x: Node, key: Any) -> Node:
    """x[key] for integers and slices of step 1 with bounds that are not negative."""
    keys = key if isinstance(key, tuple) else (key,)
    if x.shape is None or len(keys) > len(x.shape) or not all(isinstance(item, int | slice) for item in keys):
        raise ShapeError(f"only integers and slices index a node of known rank, got {key!r} for {x.spec}")
    pairs = [_range(item) for item in keys] + [(0, -1)] * (len(x.shape) - len(keys))
    box = slice_(x, [begin for begin, _ in pairs], [size for _, size in pairs])
    dropped = [place for place, item in enumerate(keys) if isinstance(item, int)]
    return squeeze(box, dropped) if dropped else box


def _range(item: int | slice) -> tuple[int, int]:
    if isinstance(item, int):
        begin, stop, step = item, item + 1, 1
    else:
        begin, stop, step = item.start or 0, item.stop, item.step or 1
    if begin < 0 or step != 1 or (stop is not None and stop < begin):
        raise ShapeError(f"an index must count from the front with step 1, got {item!r}; use tsengine.gather or slice")
    return begin, -1 if stop is None else stop - begin


@composite
def split(x: Any, parts: int | Sequence[int], axis: int = 0, name: str | None = None) -> list[Node]:
    """Pieces of x one after the other along an axis of known size: so many equal ones, or of the sizes in a list."""
    node = as_node(x)
    rank = node.value_spec.rank or 0
    size = node.shape[axis] if node.shape and -rank <= axis < rank else None
    if size is None:
        raise ShapeError(f"split needs an axis of known size, got axis {axis} of {node.spec}")
    sizes = _equal(size, parts) if isinstance(parts, int | np.integer) else ints(parts)
    if sum(sizes) != size or min(sizes, default=0) < 0:
        raise ShapeError(f"{size} elements cannot be split into {parts} along axis {axis} of {node.spec}")
    begins = [sum(sizes[:place]) for place in range(len(sizes))]
    return [_piece(node, axis % rank, begin, count, name) for begin, count in zip(begins, sizes, strict=True)]


def _equal(size: int, parts: int) -> Ints:
    return (size // parts,) * int(parts) if parts > 0 else ()


def _piece(x: Node, axis: int, begin: int, count: int, name: str | None) -> Node:
    places = range(x.value_spec.rank or 0)
    return slice_(x, [begin * (at == axis) for at in places], [count if at == axis else -1 for at in places], name)
