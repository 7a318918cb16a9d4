"""Cases of convolutions and pooling, against loops over every pixel, and of random ops, against NumPy's generators."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tsengine.kernels.conv import Window
from tsengine.specs import Array
from tsengine.testing.opcases.cases import Case, Row, fixed, normal

Place = tuple[int, int]
_IMAGES_ONLY = {"scalar": "it needs images"}


def _first_places(size: int, window: int, stride: int, padding: str) -> list[int]:
    """Where each window begins along one axis; before 0 it lies in the margin."""
    if padding == "valid":
        return list(range(0, size - window + 1, stride))
    count = math.ceil(size / stride)
    missing = max(0, (count - 1) * stride + window - size)
    return [stride * place - missing // 2 for place in range(count)]


def windows(
    sizes: Place, window: Place, strides: Place, padding: str
) -> Iterator[tuple[Place, list[Place], list[Place]]]:
    """For each output pixel: it, the input pixels under its window, and their places in the window."""
    rows, columns = (_first_places(*facts, padding) for facts in zip(sizes, window, strides, strict=True))
    for row, top in enumerate(rows):
        for column, left in enumerate(columns):
            inside = [
                ((top + i, left + j), (i, j))
                for i in range(window[0])
                for j in range(window[1])
                if 0 <= top + i < sizes[0] and 0 <= left + j < sizes[1]
            ]
            yield (row, column), [pixel for pixel, _ in inside], [place for _, place in inside]


def _empty_result(images: int, channels: int, sizes: Place, window: Place, strides: Place, padding: str) -> Array:
    rows, columns = (len(_first_places(*facts, padding)) for facts in zip(sizes, window, strides, strict=True))
    return np.zeros((images, channels, rows, columns))


def convolution(x: Array, filters: Array, strides: Place, padding: str) -> Array:
    """conv2d pixel by pixel."""
    sizes, window = (x.shape[2], x.shape[3]), (filters.shape[2], filters.shape[3])
    out = _empty_result(len(x), len(filters), sizes, window, strides, padding)
    for (row, column), pixels, places in windows(sizes, window, strides, padding):
        for (h, w), (i, j) in zip(pixels, places, strict=True):
            out[:, :, row, column] += x[:, :, h, w] @ filters[:, :, i, j].T
    return out


def _input_gradient(grad: Array, filters: Array, x: Array, strides: Place, padding: str) -> Array:
    sizes, window = (x.shape[2], x.shape[3]), (filters.shape[2], filters.shape[3])
    out = np.zeros_like(x)
    for (row, column), pixels, places in windows(sizes, window, strides, padding):
        for (h, w), (i, j) in zip(pixels, places, strict=True):
            out[:, :, h, w] += grad[:, :, row, column] @ filters[:, :, i, j]
    return out


def _filter_gradient(x: Array, grad: Array, filters: Array, strides: Place, padding: str) -> Array:
    sizes, window = (x.shape[2], x.shape[3]), (filters.shape[2], filters.shape[3])
    out = np.zeros_like(filters)
    for (row, column), pixels, places in windows(sizes, window, strides, padding):
        for (h, w), (i, j) in zip(pixels, places, strict=True):
            out[:, :, i, j] += grad[:, :, row, column].T @ x[:, :, h, w]
    return out


def _pool(x: Array, window: Window, choose: Callable[[Array], Any]) -> Array:
    facts = (x.shape[2], x.shape[3]), window.size, window.strides, window.padding
    out = _empty_result(len(x), x.shape[1], *facts)
    for (row, column), pixels, _ in windows(*facts):
        for image in np.ndindex(*x.shape[:2]):
            out[(*image, row, column)] = choose(np.array([x[(*image, *pixel)] for pixel in pixels]))
    return out


def max_pooling(x: Array, window: Window) -> Array:
    """max_pool2d pixel by pixel."""
    return _pool(x, window, np.max)


def average_pooling(x: Array, window: Window) -> Array:
    """avg_pool2d pixel by pixel."""
    return _pool(x, window, np.mean)


def max_pooling_gradient(grad: Array, x: Array, window: Window) -> Array:
    """To the first maximum of each window."""
    out = np.zeros_like(x)
    for (row, column), pixels, _ in windows((x.shape[2], x.shape[3]), window.size, window.strides, window.padding):
        for image in np.ndindex(*x.shape[:2]):
            first = max(pixels, key=lambda pixel: x[(*image, *pixel)])
            out[(*image, *first)] += grad[(*image, row, column)]
    return out


def _picked(values: Array, x: Array, window: Window) -> Array:
    facts = (x.shape[2], x.shape[3]), window.size, window.strides, window.padding
    out = _empty_result(len(x), x.shape[1], *facts)
    for (row, column), pixels, _ in windows(*facts):
        for image in np.ndindex(*x.shape[:2]):
            first = max(pixels, key=lambda pixel: x[(*image, *pixel)])
            out[(*image, row, column)] = values[(*image, *first)]
    return out


def _average_pooling_gradient(grad: Array, x: Array, window: Window) -> Array:
    out = np.zeros_like(x)
    for (row, column), pixels, _ in windows((x.shape[2], x.shape[3]), window.size, window.strides, window.padding):
        for h, w in pixels:
            out[:, :, h, w] += grad[:, :, row, column] / len(pixels)
    return out


def _conv_cases(arrange: Callable[[Array, Array, Array], tuple[Array, ...]]) -> tuple[Case, ...]:
    """Cases of x, filters and a gradient of the result, in the order that `arrange` gives them."""
    cases = []
    for kind, images, sizes, window, strides, padding in (
        ("plain", 2, (5, 6), (3, 2), (1, 1), "valid"),
        ("plain", 2, (5, 6), (3, 2), (1, 1), "same"),
        ("plain", 2, (7, 5), (2, 3), (2, 3), "same"),
        ("plain", 1, (7, 5), (2, 3), (3, 2), "valid"),
        ("empty", 0, (5, 4), (3, 3), (1, 1), "same"),
    ):
        x, filters = normal(images, 3, *sizes), normal(4, 3, *window)
        grad = normal(*convolution(x, filters, strides, padding).shape)
        cases.append(Case(kind, arrange(x, filters, grad), {"strides": strides, "padding": padding}))
    return tuple(cases)


def _pool_cases(arrange: Callable[[Array, Array], tuple[Array, ...]]) -> tuple[Case, ...]:
    cases = []
    for kind, images, sizes, window in (
        ("plain", 2, (6, 4), Window((2, 2), (2, 2), "valid")),
        ("plain", 2, (5, 7), Window((3, 2), (2, 1), "same")),
        ("plain", 1, (5, 7), Window((2, 3), (1, 2), "valid")),
        ("empty", 0, (4, 4), Window((2, 2), (2, 2), "valid")),
    ):
        x = normal(images, 3, *sizes)
        cases.append(Case(kind, arrange(x, normal(*max_pooling(x, window).shape)), {"window": window}))
    return tuple(cases)


CONVOLUTIONS: dict[str, Row] = {
    name: Row(reference, cases, _IMAGES_ONLY)
    for name, reference, cases in (
        ("conv2d", convolution, _conv_cases(lambda x, filters, grad: (x, filters))),
        ("conv2d_input_gradient", _input_gradient, _conv_cases(lambda x, filters, grad: (grad, filters, x))),
        ("conv2d_filter_gradient", _filter_gradient, _conv_cases(lambda x, filters, grad: (x, grad, filters))),
        ("max_pool2d", max_pooling, _pool_cases(lambda x, grad: (x,))),
        ("max_pool2d_gradient", max_pooling_gradient, _pool_cases(lambda x, grad: (grad, x))),
        ("max_pool2d_pick", _picked, _pool_cases(lambda x, grad: (normal(*x.shape), x))),
        ("avg_pool2d", average_pooling, _pool_cases(lambda x, grad: (x,))),
        ("avg_pool2d_gradient", _average_pooling_gradient, _pool_cases(lambda x, grad: (grad, x))),
    )
}


def bits(seed: int, stream: str, step: Any) -> np.random.Philox:
    """The bit generator that a random op must agree with."""
    text = f"{seed}\x1f{stream}\x1f{int(step)}".encode()
    return np.random.Philox(key=np.frombuffer(hashlib.blake2b(text, digest_size=16).digest(), np.uint64))


def _uniform(step: Array, shape: Any, dtype: Any, low: float, high: float, seed: int, stream: str) -> Array:
    return low + np.random.Generator(bits(seed, stream, step)).random(shape, dtype) * dtype.type(high - low)


def _normal(step: Array, shape: Any, dtype: Any, mean: float, stddev: float, seed: int, stream: str) -> Array:
    drawn = [
        math.sqrt(-2 * math.log(((word >> 32) + 1) / 2**32)) * math.cos(2 * math.pi * (word % 2**32) / 2**32)
        for word in bits(seed, stream, step).random_raw(math.prod(shape)).tolist()
    ]
    return np.asarray(mean + stddev * np.array(drawn).reshape(shape))


def _draws(dtype: str, **attrs: float) -> Iterator[tuple[str, tuple[Array, ...], dict[str, Any]]]:
    for kind, shape in (("plain", (3, 5)), ("empty", (0, 4)), ("scalar", ())):
        form = {"shape": shape, "dtype": np.dtype(dtype), "seed": 7, "stream": f"node/{kind}"}
        yield kind, (np.array(3),), {**form, **attrs}


DRAWN: dict[str, Row] = {
    "random_uniform": fixed(_uniform, *_draws("float64", low=-1.0, high=3.0), *_draws("float32", low=0.0, high=1.0)),
    "random_normal": fixed(_normal, *_draws("float64", mean=2.0, stddev=0.5)),
    "dropout": fixed(
        # Where it drops, ONNX must differ: tests/tsengine/test_random.py has that.
        lambda x, step, training, rate, seed, stream: x,
        *(
            (kind, (normal(*shape), np.array(3), np.array(training)), {"rate": rate, "seed": 7, "stream": "node"})
            for kind, shape in (("plain", (3, 4)), ("empty", (0, 4)), ("scalar", ()))
            for training, rate in ((False, 0.5), (True, 0.0))
        ),
    ),
}
