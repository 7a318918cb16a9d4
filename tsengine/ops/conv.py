"""Convolution and pooling of images [batch, channels, height, width], in ONNX's layout.

Each op's gradients are primitives of this file again: convolution and average pooling are (bi)linear and max pooling is
linear for a given choice of maxima, so second and higher derivatives need nothing more.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

from tsengine.composite import composite
from tsengine.errors import ShapeError
from tsengine.graph import Node, apply, as_node, as_nodes
from tsengine.kernels import conv as kernels
from tsengine.kernels.conv import Pair, Window
from tsengine.ops.elementwise import Gradients
from tsengine.ops.reduce import reduce_mean
from tsengine.ops.registry import op
from tsengine.specs import Array, Shape, Spec, format_shape, need_kind, need_rank, same_dtype

_GRADIENTS_ONLY = "it appears in gradients only"
_IMAGES = "x [batch, channels, height, width]"
_FILTERS = "filters [out, in, height, width]"


def _four(value: Spec, what: str) -> Shape:
    """The four sizes of images or filters; all unknown where the rank is."""
    need_kind(value, "f", what)
    need_rank(value, (4,), what)
    return (None,) * 4 if value.shape is None else value.shape


def _need_moves(strides: Pair, padding: str) -> None:
    if min(strides) < 1:
        raise ShapeError(f"strides must be at least 1, got {list(strides)}")
    if padding not in ("valid", "same"):
        raise ShapeError(f"padding must be 'valid' or 'same', got {padding!r}")


def _outputs(sizes: Shape, window: Shape, strides: Pair, padding: str) -> Shape:
    """Height and width of the result, where they can be known."""
    if any(extent is not None and extent < 1 for extent in window):
        raise ShapeError(f"a window must have at least one element, got {format_shape(window)}")
    _need_moves(strides, padding)
    known = list(zip(sizes, window, strides, strict=True))
    if padding == "same":
        return tuple(None if size is None else -(-size // stride) for size, _, stride in known)
    if any(size is not None and extent is not None and size < extent for size, extent, _ in known):
        raise ShapeError(f"a window {format_shape(window)} does not fit into an image {format_shape(sizes)}")
    return tuple(
        None if size is None or extent is None else (size - extent) // stride + 1 for size, extent, stride in known
    )


def _padding(x: Node, window: Window) -> dict[str, Any]:
    """ONNX attributes: explicit margins where the image's size is known, else the rule's name."""
    if window.padding == "valid":
        return {}
    height, width = (x.shape or (None,) * 4)[2:]
    if height is None or width is None:
        return {"auto_pad": "SAME_UPPER"}
    (top, bottom), (left, right) = window.margins((height, width))
    return {"pads": [top, left, bottom, right]}


@op("conv2d")
class _Conv2d:
    """y[b, o] = sum over c of the cross-correlation of x[b, c] with filters[o, c]."""

    @staticmethod
    def infer(x: Spec, filters: Spec, strides: Pair, padding: str) -> Spec:
        (batch, channels, *image), (count, depth, *window) = _four(x, _IMAGES), _four(filters, _FILTERS)
        if channels is not None and depth is not None and channels != depth:
            raise ShapeError(f"x {x} has {channels} channels, the filters {filters} take {depth}")
        sizes = _outputs(tuple(image), tuple(window), strides, padding)
        return Spec(same_dtype(x, filters), (batch, count, *sizes))

    @staticmethod
    def kernel(out: Array, x: Array, filters: Array, strides: Pair, padding: str) -> None:
        kernels.convolve(out, x, filters, strides, padding)

    @staticmethod
    def gradient(node: Node, grad: Node) -> Gradients:
        x, filters = node.inputs
        return (
            apply("conv2d_input_gradient", grad, filters, x, **node.attrs),
            apply("conv2d_filter_gradient", x, grad, filters, **node.attrs),
        )

    @staticmethod
    def onnx(builder: Any, node: Node, inputs: list[str]) -> str:
        x, filters = node.inputs
        height, width = (filters.shape or (None,) * 4)[2:]
        strides = node.attrs["strides"]
        window = Window((height or 0, width or 0), strides, node.attrs["padding"])
        margins = {"auto_pad": "SAME_UPPER"} if not (height and width) else _padding(x, window)
        return str(builder.add("Conv", inputs, strides=list(strides), **margins))


@op("conv2d_input_gradient", shape_only=(2,))
class _Conv2dInputGradient:
    """Gradient of conv2d by its images, in the shape of x."""

    not_exported = _GRADIENTS_ONLY

    @staticmethod
    def infer(grad: Spec, filters: Spec, x: Spec, strides: Pair, padding: str) -> Spec:
        return Spec(same_dtype(grad, filters), x.shape)

    @staticmethod
    def kernel(out: Array, grad: Array, filters: Array, x: Array, strides: Pair, padding: str) -> None:
        kernels.input_gradient(out, grad, filters, strides, padding)

    @staticmethod
    def gradient(node: Node, grad: Node) -> Gradients:
        outward, filters, _ = node.inputs
        return (
            apply("conv2d", grad, filters, **node.attrs),
            apply("conv2d_filter_gradient", grad, outward, filters, **node.attrs),
            None,
        )


@op("conv2d_filter_gradient", shape_only=(2,))
class _Conv2dFilterGradient:
    """Gradient of conv2d by its filters, in the shape of `filters`."""

    not_exported = _GRADIENTS_ONLY

    @staticmethod
    def infer(x: Spec, grad: Spec, filters: Spec, strides: Pair, padding: str) -> Spec:
        return Spec(same_dtype(x, grad), filters.shape)

    @staticmethod
    def kernel(out: Array, x: Array, grad: Array, filters: Array, strides: Pair, padding: str) -> None:
        kernels.filter_gradient(out, x, grad, strides, padding)

    @staticmethod
    def gradient(node: Node, grad: Node) -> Gradients:
        x, outward, _ = node.inputs
        return (
            apply("conv2d_input_gradient", outward, grad, x, **node.attrs),
            apply("conv2d", x, grad, **node.attrs),
            None,
        )


def _pooled(x: Spec, window: Window) -> Spec:
    batch, channels, *image = _four(x, _IMAGES)
    return x.with_shape((batch, channels, *_outputs(tuple(image), window.size, window.strides, window.padding)))


def _onnx_pool(op_type: str, builder: Any, node: Node, inputs: list[str], **attrs: int) -> str:
    window = node.attrs["window"]
    margins = _padding(node.inputs[0], window)
    moves = {"kernel_shape": list(window.size), "strides": list(window.strides)}
    return str(builder.add(op_type, inputs, **moves, **margins, **attrs))


@op("max_pool2d")
class _MaxPool2d:
    """The largest element of each window. Of equal maxima the first, row by row, takes the gradient."""

    infer = staticmethod(_pooled)

    @staticmethod
    def kernel(out: Array, x: Array, window: Window) -> None:
        kernels.max_pool(out, x, window)

    @staticmethod
    def gradient(node: Node, grad: Node) -> Gradients:
        return (apply("max_pool2d_gradient", grad, node.inputs[0], **node.attrs),)

    @staticmethod
    def onnx(builder: Any, node: Node, inputs: list[str]) -> str:
        return _onnx_pool("MaxPool", builder, node, inputs)


@op("max_pool2d_gradient")
class _MaxPool2dGradient:
    """Gradient of max_pool2d by x: each window's to its first maximum."""

    not_exported = _GRADIENTS_ONLY

    @staticmethod
    def infer(grad: Spec, x: Spec, window: Window) -> Spec:
        return x

    @staticmethod
    def kernel(out: Array, grad: Array, x: Array, window: Window) -> None:
        kernels.max_pool_gradient(out, grad, x, window)

    @staticmethod
    def gradient(node: Node, grad: Node) -> Gradients:
        return apply("max_pool2d_pick", grad, node.inputs[1], **node.attrs), None


@op("max_pool2d_pick")
class _MaxPool2dPick:
    """Of each window the element of `values` at the place of its first maximum in x."""

    not_exported = _GRADIENTS_ONLY

    @staticmethod
    def infer(values: Spec, x: Spec, window: Window) -> Spec:
        return _pooled(x, window)

    @staticmethod
    def kernel(out: Array, values: Array, x: Array, window: Window) -> None:
        kernels.max_pool_pick(out, values, x, window)

    @staticmethod
    def gradient(node: Node, grad: Node) -> Gradients:
        return apply("max_pool2d_gradient", grad, node.inputs[1], **node.attrs), None


@op("avg_pool2d")
class _AvgPool2d:
    """The mean of each window's elements; padding is not counted."""

    infer = staticmethod(_pooled)

    @staticmethod
    def kernel(out: Array, x: Array, window: Window) -> None:
        kernels.average_pool(out, x, window)

    @staticmethod
    def gradient(node: Node, grad: Node) -> Gradients:
        return (apply("avg_pool2d_gradient", grad, node.inputs[0], **node.attrs),)

    @staticmethod
    def onnx(builder: Any, node: Node, inputs: list[str]) -> str:
        return _onnx_pool("AveragePool", builder, node, inputs, count_include_pad=0)


@op("avg_pool2d_gradient", shape_only=(1,))
class _AvgPool2dGradient:
    """Gradient of avg_pool2d by x: each window's in equal shares to its elements."""

    not_exported = _GRADIENTS_ONLY

    @staticmethod
    def infer(grad: Spec, x: Spec, window: Window) -> Spec:
        return grad.with_shape(x.shape)

    @staticmethod
    def kernel(out: Array, grad: Array, x: Array, window: Window) -> None:
        kernels.average_pool_gradient(out, grad, window)

    @staticmethod
    def gradient(node: Node, grad: Node) -> Gradients:
        return apply("avg_pool2d", grad, **node.attrs), None


def _pair(value: int | Sequence[int], what: str) -> Pair:
    """Height and width from one number for both or from two."""
    sizes = tuple(map(operator.index, value)) if isinstance(value, Sequence) else (operator.index(value),) * 2
    if len(sizes) != 2:
        raise ShapeError(f"{what} must be one number or (height, width), got {value!r}")
    return sizes[0], sizes[1]


@composite
def conv2d(
    x: Any, filters: Any, strides: int | Sequence[int] = 1, padding: str = "valid", name: str | None = None
) -> Node:
    """Images x [B, C, H, W] under filters [O, C, kh, kw]: [B, O, H', W'].

    strides: one number or (down, right). padding "valid": H' = (H - kh) // stride + 1. "same": H' = ceil(H / stride),
    zeros around, the odd one at the end (TensorFlow's SAME). The filters are not turned around (cross-correlation).
    """
    images, weights = as_nodes(x, filters)
    return apply("conv2d", images, weights, name=name, strides=_pair(strides, "strides"), padding=padding)


@composite
def max_pool2d(
    x: Any,
    size: int | Sequence[int],
    strides: int | Sequence[int] | None = None,
    padding: str = "valid",
    name: str | None = None,
) -> Node:
    """The largest element of each window of x [B, C, H, W]; the windows lie side by side unless strides are given.

    Of several equal maxima in a window the first one, row by row, takes the whole gradient (as in TensorFlow on a CPU
    and in PyTorch). Padding never is the maximum.
    """
    return apply("max_pool2d", as_node(x), name=name, window=_window(size, strides, padding))


@composite
def avg_pool2d(
    x: Any,
    size: int | Sequence[int],
    strides: int | Sequence[int] | None = None,
    padding: str = "valid",
    name: str | None = None,
) -> Node:
    """The mean of each window of x [B, C, H, W]; padding is not counted, so windows at the edge average fewer."""
    return apply("avg_pool2d", as_node(x), name=name, window=_window(size, strides, padding))


def _window(size: int | Sequence[int], strides: int | Sequence[int] | None, padding: str) -> Window:
    extent = _pair(size, "size")
    return Window(extent, extent if strides is None else _pair(strides, "strides"), padding)


@composite
def global_avg_pool2d(x: Any, name: str | None = None) -> Node:
    """The mean of each channel's image: [B, C] of x [B, C, H, W]."""
    images = as_node(x)
    need_rank(images.value_spec, (4,), _IMAGES)
    return reduce_mean(images, (2, 3), name=name)
