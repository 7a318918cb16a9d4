"""Matrix products with what follows them: activation(a @ b + bias), the sum never leaving the caches in between.

Products are BLAS calls, the smallest too: OpenBLAS is ahead of a plain loop from 2 x 2 on. Loops do what BLAS has no
form for, an outer product of vectors or matrices without a unit stride.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tsengine.kernels.compiled import blas
from tsengine.kernels.compiled.machine import WHOLE, Kernel, address, float32, float64, function
from tsengine.kernels.compiled.numbers import like, relu, sigmoid

ACTIVATIONS = {None: 0, "relu": 1, "sigmoid": 2}
LOOPS, GEMM, LEFT_VECTOR, RIGHT_VECTOR = range(4)
"""How a product is made: by loops, a matrix product, or one of a matrix with the vector b (right) or a (left)."""


@function
def _loops(row: Any, out: Any, a: Any, b: Any) -> None:
    m, n, k = row[11], row[12], row[13]
    for i in range(m):
        line = out[i * n : (i + 1) * n]
        for j in range(n):
            line[j] = like(out[0], 0)
        for step in range(k):
            value, begin = a[i * row[14] + step * row[15]], step * row[16]
            for j in range(n):
                line[j] += value * b[begin + j * row[17]]


@function
def _finish(row: Any, out: Any, bias: Any) -> None:
    """Add the bias and apply the activation, as many rows at once as stay in the nearest cache."""
    m, n, activation = row[11], row[12], row[19]
    together = max(1, 4096 // n)
    for first in range(0, m, together):
        block = out[first * n : min(m, first + together) * n]
        if row[18]:
            for i in range(len(block) // n):
                line = block[i * n : (i + 1) * n]
                for j in range(n):
                    line[j] += bias[j]
        if activation == 1:
            for j in range(len(block)):
                block[j] = relu(block[j])
        elif activation == 2:
            for j in range(len(block)):
                block[j] = sigmoid(block[j])


@function
def _gemm(row: Any, p: Any) -> tuple[Any, ...]:
    """Arguments of a matrix product but for the scalars: transposes and leading sizes from the strides."""
    a_plain, b_plain = row[15] == 1, row[17] == 1
    return (
        np.int32(blas.ROW_MAJOR),
        np.int32(blas.PLAIN if a_plain else blas.TRANSPOSED),
        np.int32(blas.PLAIN if b_plain else blas.TRANSPOSED),
        row[14] if a_plain else row[15],
        row[16] if b_plain else row[17],
    )


@Kernel
def product(row: Any, p: Any) -> int:
    """Arrays out [m, n], a [m, k], b [k, n], bias [n]; item size, way, m, n, k, strides of a and b, whether there is a
    bias, activation, address of the BLAS routine."""
    if row[9] == 4:
        _single(row, p)
    else:
        _double(row, p)
    return 0


@function
def _single(row: Any, p: Any) -> None:
    one, zero, at = np.float32(1), np.float32(0), row[20]
    out, a, b = address(row, p, 0), address(row, p, 1), address(row, p, 2)
    m, n, k, way = row[11], row[12], row[13], row[10]
    order, a_turned, b_turned, lda, ldb = _gemm(row, p)
    if way == GEMM:
        blas.sgemm(at, (order, a_turned, b_turned, m, n, k, one, a, lda, b, ldb, zero, out, n))
    elif way == RIGHT_VECTOR:
        rows, columns = (m, k) if row[15] == 1 else (k, m)
        blas.sgemv(at, (order, a_turned, rows, columns, one, a, lda, b, row[16], zero, out, np.int64(1)))
    elif way == LEFT_VECTOR:
        turned = np.int32(blas.TRANSPOSED if row[17] == 1 else blas.PLAIN)
        rows, columns = (k, n) if row[17] == 1 else (n, k)
        blas.sgemv(at, (order, turned, rows, columns, one, b, ldb, a, row[15], zero, out, np.int64(1)))
    else:
        _loops(row, float32(row, p, 0, WHOLE), float32(row, p, 1, WHOLE), float32(row, p, 2, WHOLE))
    if row[18] or row[19]:
        _finish(row, float32(row, p, 0, m * n), float32(row, p, 3, n))


@function
def _double(row: Any, p: Any) -> None:
    one, zero, at = np.float64(1), np.float64(0), row[20]
    out, a, b = address(row, p, 0), address(row, p, 1), address(row, p, 2)
    m, n, k, way = row[11], row[12], row[13], row[10]
    order, a_turned, b_turned, lda, ldb = _gemm(row, p)
    if way == GEMM:
        blas.dgemm(at, (order, a_turned, b_turned, m, n, k, one, a, lda, b, ldb, zero, out, n))
    elif way == RIGHT_VECTOR:
        rows, columns = (m, k) if row[15] == 1 else (k, m)
        blas.dgemv(at, (order, a_turned, rows, columns, one, a, lda, b, row[16], zero, out, np.int64(1)))
    elif way == LEFT_VECTOR:
        turned = np.int32(blas.TRANSPOSED if row[17] == 1 else blas.PLAIN)
        rows, columns = (k, n) if row[17] == 1 else (n, k)
        blas.dgemv(at, (order, turned, rows, columns, one, b, ldb, a, row[15], zero, out, np.int64(1)))
    else:
        _loops(row, float64(row, p, 0, WHOLE), float64(row, p, 1, WHOLE), float64(row, p, 2, WHOLE))
    if row[18] or row[19]:
        _finish(row, float64(row, p, 0, m * n), float64(row, p, 3, n))
