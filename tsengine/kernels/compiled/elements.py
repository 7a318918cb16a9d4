"""Element by element: out = f(x) or out = f(x, y), in tiles that fit the nearest cache.

A tile of each input is copied into memory of its own, worked on there, and copied out. So any strides (0 where a value
repeats), and a result in place of an input, cost one plain loop each, and every f is a loop of which the compiler makes
vectors: it can see that nothing overlaps.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tsengine.kernels.compiled.machine import WHOLE, Kernel, float32, float64, function
from tsengine.kernels.compiled.numbers import exponential, like, relu, sigmoid

UNARY = ("negative", "square", "exp", "sqrt", "log", "relu", "sigmoid", "abs")
BINARY = ("add", "subtract", "multiply", "divide", "relu_gradient", "sigmoid_cross_entropy_with_logits")
FUNCTIONS = {name: number for number, name in enumerate((*UNARY, *BINARY))}
"""Numbers of the functions, as `_work` has them."""
_TILE = 512


@function
def _work(number: int, z: Any, x: Any, y: Any, n: int) -> None:
    if number == 0:
        for i in range(n):
            z[i] = -x[i]
    elif number == 1:
        for i in range(n):
            z[i] = x[i] * x[i]
    elif number == 2:
        for i in range(n):
            z[i] = exponential(x[i])
    elif number == 3:
        for i in range(n):
            z[i] = math.sqrt(x[i])
    elif number == 4:
        for i in range(n):
            z[i] = math.log(x[i])
    elif number == 5:
        for i in range(n):
            z[i] = relu(x[i])
    elif number == 6:
        for i in range(n):
            z[i] = sigmoid(x[i])
    elif number == 7:
        for i in range(n):
            z[i] = abs(x[i])
    elif number == 8:
        for i in range(n):
            z[i] = x[i] + y[i]
    elif number == 9:
        for i in range(n):
            z[i] = x[i] - y[i]
    elif number == 10:
        for i in range(n):
            z[i] = x[i] * y[i]
    elif number == 11:
        for i in range(n):
            z[i] = x[i] / y[i]
    elif number == 12:
        for i in range(n):
            z[i] = x[i] * (like(y[i], 1) if y[i] > like(y[i], 0) else like(y[i], 0))
    elif number == 13:
        for i in range(n):
            z[i] = exponential(-abs(y[i]))
        for i in range(n):
            z[i] = relu(y[i]) - y[i] * x[i] + math.log1p(z[i])


@function
def _load(tile: Any, source: Any, begin: int, stride: int, n: int) -> None:
    if stride == 1:
        line = source[begin : begin + n]
        for i in range(n):
            tile[i] = line[i]
    elif stride == 0:
        value = source[begin]
        for i in range(n):
            tile[i] = value
    else:
        for i in range(n):
            tile[i] = source[begin + i * stride]


@function
def _map(row: Any, out: Any, x: Any, y: Any, tiles: Any) -> None:
    """Rows [rows, columns] in tiles; rows of few columns, but for their strides, one after the other."""
    number, columns, arity = row[8], row[10], row[11]
    for i in range(row[9]):
        for begin in range(0, columns, _TILE):
            n = min(_TILE, columns - begin)
            _load(tiles[1], x, i * row[12] + begin * row[13], row[13], n)
            if arity == 2:
                _load(tiles[2], y, i * row[14] + begin * row[15], row[15], n)
            _work(number, tiles[0], tiles[1], tiles[2], n)
            line = out[i * columns + begin : i * columns + begin + n]
            for j in range(n):
                line[j] = tiles[0][j]


@Kernel
def elementwise(row: Any, p: Any) -> int:
    """Arrays out, x, y; item size, function, rows, columns, arity, strides of rows and columns of x and of y."""
    if row[7] == 4:
        _map(
            row,
            float32(row, p, 0, WHOLE),
            float32(row, p, 1, WHOLE),
            float32(row, p, 2, WHOLE),
            np.empty((3, _TILE), np.float32),
        )
    else:
        _map(
            row,
            float64(row, p, 0, WHOLE),
            float64(row, p, 1, WHOLE),
            float64(row, p, 2, WHOLE),
            np.empty((3, _TILE), np.float64),
        )
    return 0
