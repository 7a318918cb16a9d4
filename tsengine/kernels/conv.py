"""Loops over the windows of images [batch, channels, height, width]: convolution, pooling, and their gradients.

A convolution gathers every window into a column (a view of the padded images, copied block by block) and multiplies
once per image; there is no loop over pixels, and what loops there are go over the positions inside a window. For 64
images 16x28x28 and 32 filters 3x3, forward on one core: 6.2 ms in blocks of 1 MB, 7.6 ms with 25 MB of columns at once.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from tsengine.specs import Array

Pair = tuple[int, int]
_BLOCK_BYTES = 1 << 20  # columns of a block stay in cache between gathering and product


@dataclass(frozen=True)
class Window:
    """A window that moves over height and width.

    padding "valid": only where the window fits. "same": ceil(size / stride) positions, with the margin that takes
    split evenly, the odd row or column at the end (TensorFlow's SAME, ONNX's SAME_UPPER).
    """

    size: Pair
    strides: Pair
    padding: str

    def outputs(self, sizes: Pair) -> Pair:
        """How many positions it has along height and width of an image of this size."""
        height, width = (
            -(-size // stride) if self.padding == "same" else max(0, (size - window) // stride + 1)
            for size, window, stride in zip(sizes, self.size, self.strides, strict=True)
        )
        return height, width

    def margins(self, sizes: Pair) -> tuple[Pair, Pair]:
        """(top, bottom), (left, right): what is added around an image of this size."""
        if self.padding != "same":
            return (0, 0), (0, 0)
        totals = (
            max(0, (count - 1) * stride + window - size)
            for size, window, stride, count in zip(sizes, self.size, self.strides, self.outputs(sizes), strict=True)
        )
        vertical, horizontal = ((total // 2, total - total // 2) for total in totals)
        return vertical, horizontal

    def positions(self, wide: Array, counts: Pair) -> Iterator[tuple[int, int, Array]]:
        """(i, j, view [..., counts]): for each position inside the window, what lies under it in every window."""
        (rows, columns), (down, right) = counts, self.strides
        for i in range(self.size[0]):
            for j in range(self.size[1]):
                vertical = slice(i, i + down * (rows - 1) + 1, down)
                yield i, j, wide[..., vertical, slice(j, j + right * (columns - 1) + 1, right)]


def _sizes(x: Array) -> Pair:
    return x.shape[2], x.shape[3]


def _widened(x: Array, window: Window, fill: float) -> Array:
    """x with its margins; x itself where there are none."""
    (top, bottom), (left, right) = window.margins(_sizes(x))
    if not (top or bottom or left or right):
        return x
    height, width = _sizes(x)
    wide = np.full((*x.shape[:2], top + height + bottom, left + width + right), fill, x.dtype)
    wide[:, :, top : top + height, left : left + width] = x
    return wide


def _inner(wide: Array, window: Window, sizes: Pair) -> Array:
    """The part of a widened image that is not margin."""
    (top, _), (left, _) = window.margins(sizes)
    return wide[:, :, top : top + sizes[0], left : left + sizes[1]]


def _columns(x: Array, window: Window) -> Array:
    """Every window of x as a view [batch, channels, window height, window width, *positions]."""
    view = sliding_window_view(_widened(x, window, 0.0), window.size, axis=(2, 3))
    return view[:, :, :: window.strides[0], :: window.strides[1]].transpose(0, 1, 4, 5, 2, 3)


def _blocks(images: int, bytes_each: int) -> Iterator[slice]:
    """Runs of images; they depend on the shape alone, so sums over them always have the same order."""
    step = max(1, _BLOCK_BYTES // max(1, bytes_each))
    return (slice(start, start + step) for start in range(0, images, step))


def _gathered(x: Array, window: Window) -> Iterator[tuple[slice, Array]]:
    """(images, their columns [n, channels * window, positions]), block by block."""
    columns = _columns(x, window)
    shape = (math.prod(columns.shape[1:4]), math.prod(columns.shape[4:]))
    for block in _blocks(len(x), math.prod(shape) * x.itemsize):
        part = columns[block]
        yield block, np.ascontiguousarray(part).reshape(len(part), *shape)


def _per_image(values: Array) -> Array:
    """[batch, channels, positions] of [batch, channels, height, width]."""
    return values.reshape(*values.shape[:2], values.shape[2] * values.shape[3])


def _matrix(filters: Array) -> Array:
    """[filters, channels * window]."""
    return filters.reshape(len(filters), math.prod(filters.shape[1:]))


def convolve(out: Array, x: Array, filters: Array, strides: Pair, padding: str) -> None:
    """Cross-correlation, as in every library that calls it convolution: the filters are not turned around."""
    if out.size:
        result, matrix = _per_image(out), _matrix(filters)
        for block, columns in _gathered(x, Window(_sizes(filters), strides, padding)):
            np.matmul(matrix, columns, out=result[block])


def filter_gradient(out: Array, x: Array, grad: Array, strides: Pair, padding: str) -> None:
    """Gradient of `convolve` by the filters, of the shape of `out`: image by image, then their sum."""
    out[...] = 0
    if grad.size:
        matrix, outward = _matrix(out), _per_image(grad)
        for block, columns in _gathered(x, Window(_sizes(out), strides, padding)):
            matrix += np.matmul(outward[block], columns.swapaxes(1, 2)).sum(axis=0)


def input_gradient(out: Array, grad: Array, filters: Array, strides: Pair, padding: str) -> None:
    """Gradient of `convolve` by the images, of the shape of `out`: columns, then each added back where it came from."""
    out[...] = 0
    if not grad.size:
        return
    window = Window(_sizes(filters), strides, padding)
    matrix, outward, counts = _matrix(filters).T, _per_image(grad), _sizes(grad)
    wide = _widened(out, window, 0.0)
    for block in _blocks(len(grad), len(matrix) * outward.shape[2] * out.itemsize):
        columns = np.matmul(matrix, outward[block]).reshape(-1, *filters.shape[1:], *counts)
        for i, j, under in window.positions(wide[block], counts):
            under += columns[:, :, i, j]
    if wide is not out:
        out[...] = _inner(wide, window, _sizes(out))


def max_pool(out: Array, x: Array, window: Window) -> None:
    """The largest element of each window; the margin never wins, NaN does."""
    if out.size:
        out[...] = -np.inf
        for _, _, under in window.positions(_widened(x, window, -np.inf), _sizes(out)):
            np.maximum(out, under, out=out)


def _first_maxima(x: Array, window: Window, counts: Pair) -> Iterator[Array]:
    """For each position inside the window, where it holds the first maximum of its window, row by row: bool."""
    wide = _widened(x, window, -np.inf)
    best = np.full((*x.shape[:2], *counts), -np.inf, x.dtype)
    for _, _, under in window.positions(wide, counts):
        np.maximum(best, under, out=best)
    free = np.ones(best.shape, np.bool_)
    for _, _, under in window.positions(wide, counts):
        first = under == best
        first &= free
        free ^= first
        yield first


def max_pool_gradient(out: Array, grad: Array, x: Array, window: Window) -> None:
    """Each window's gradient to its first maximum, which may be that of several windows; none where there is a NaN.

    Multiplying by the mask takes a seventh of the time of `np.add(where=)`, which branches at every element.
    """
    out[...] = 0
    if grad.size:
        counts = _sizes(grad)
        wide = _widened(out, window, 0.0)
        maxima = _first_maxima(x, window, counts)
        for first, (_, _, under) in zip(maxima, window.positions(wide, counts), strict=True):
            under += grad * first
        if wide is not out:
            out[...] = _inner(wide, window, _sizes(out))


def max_pool_pick(out: Array, values: Array, x: Array, window: Window) -> None:
    """The element of `values` at the place of each window's first maximum in x; 0 where there is a NaN."""
    if out.size:
        out[...] = 0
        counts = _sizes(out)
        beneath = window.positions(_widened(values, window, 0.0), counts)
        for first, (_, _, under) in zip(_first_maxima(x, window, counts), beneath, strict=True):
            np.copyto(out, under, where=first)


def _members(x: Array, window: Window, counts: Pair) -> Array:
    """How many elements of the image each window holds, [*counts]."""
    ones = _widened(np.ones((1, 1, *_sizes(x)), x.dtype), window, 0.0)
    members = np.zeros(counts, x.dtype)
    for _, _, under in window.positions(ones, counts):
        members += under[0, 0]
    return members


def average_pool(out: Array, x: Array, window: Window) -> None:
    """The mean of each window's elements; the margin is not counted."""
    if out.size:
        out[...] = 0
        for _, _, under in window.positions(_widened(x, window, 0.0), _sizes(out)):
            out += under
        out /= _members(x, window, _sizes(out))


def average_pool_gradient(out: Array, grad: Array, window: Window) -> None:
    """Each window's gradient in equal shares to its elements."""
    out[...] = 0
    if grad.size:
        counts = _sizes(grad)
        share = grad / _members(out, window, counts)
        wide = _widened(out, window, 0.0)
        for _, _, under in window.positions(wide, counts):
            under += share
        if wide is not out:
            out[...] = _inner(wide, window, _sizes(out))
