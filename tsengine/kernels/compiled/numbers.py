"""Scalar functions that the compiler makes vectors of, for both widths of float."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import types
from numba.extending import intrinsic, overload

from tsengine.kernels.compiled.machine import function


def like(x: Any, value: Any) -> Any:
    """A number in the type of x. A plain one would make a float32 expression float64, at a fraction of the speed."""
    return value


@overload(like)
def _like(x: Any, value: Any) -> Any:
    return _in_float32 if x == types.float32 else _in_float64


def _in_float32(x: Any, value: Any) -> Any:
    return np.float32(value)


def _in_float64(x: Any, value: Any) -> Any:
    return np.float64(value)


def exponential(x: Any) -> Any:
    """exp(x); for float32 within 2 units in the last place."""
    return math.exp(x)


@overload(exponential)
def _exponential(x: Any) -> Any:
    return _exponential_float32 if x == types.float32 else _exponential_float64


def _exponential_float64(x: Any) -> Any:
    return math.exp(x)


def _exponential_float32(x: Any) -> Any:
    """Cody and Waite: x = n log 2 + r with |r| <= log(2) / 2; e^r as a polynomial (Cephes), 2^n in two halves as bits.

    NaN passes both comparisons and r, and with them the result.
    """
    held = np.float32(-104.0) if x < np.float32(-104.0) else x
    held = np.float32(89.0) if held > np.float32(89.0) else held
    n = np.floor(held * np.float32(1.44269504) + np.float32(0.5))
    r = held - n * np.float32(0.693359375) - n * np.float32(-2.12194440e-4)
    p = np.float32(1.9875691500e-4)
    p = p * r + np.float32(1.3981999507e-3)
    p = p * r + np.float32(8.3334519073e-3)
    p = p * r + np.float32(4.1665795894e-2)
    p = p * r + np.float32(1.6666665459e-1)
    p = p * r + np.float32(5.0000001201e-1)
    p = p * (r * r) + r + np.float32(1.0)
    whole = np.int32(n)
    half = np.int32(whole >> np.int32(1))
    return p * _power_of_two(half) * _power_of_two(np.int32(whole - half))


@intrinsic
def _as_float32(typing: Any, bits: Any) -> Any:
    """The float32 of these 32 bits."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], context.get_value_type(types.float32))

    return types.float32(types.int32), generate


@function
def _power_of_two(n: Any) -> Any:
    return _as_float32(np.int32(np.int32(n + np.int32(127)) << np.int32(23)))


@function
def relu(x: Any) -> Any:
    """max(x, 0); NaN stays NaN."""
    return like(x, 0) if x <= like(x, 0) else x


@function
def sigmoid(x: Any) -> Any:
    """1 / (1 + exp(-x)): exp overflows to infinity, and 1 / infinity is 0."""
    return like(x, 1) / (like(x, 1) + exponential(-x))
