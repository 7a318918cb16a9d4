"""Sums, and what is made row by row of scores: softmax, the likelihood of a class, and its gradient.

Sums along the last axis run in float64 over four lanes, so they are at least as exact as NumPy's pairwise ones; sums
over rows add whole rows one after the other, as NumPy does.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tsengine.kernels.compiled.machine import WHOLE, Kernel, float32, float64, function, int32, int64
from tsengine.kernels.compiled.numbers import exponential, like


@function
def _total(x: Any) -> float:
    a = b = c = d = 0.0
    for i in range(len(x) // 4):
        a += x[4 * i]
        b += x[4 * i + 1]
        c += x[4 * i + 2]
        d += x[4 * i + 3]
    for i in range(len(x) - len(x) % 4, len(x)):
        a += x[i]
    return (a + b) + (c + d)


@function
def _sums(out: Any, x: Any, outer: int, middle: int, inner: int, divisor: int) -> None:
    """out[o, i] = sum over m of x[o, m, i], divided."""
    if inner == 1:
        for o in range(outer):
            out[o] = _total(x[o * middle : (o + 1) * middle]) / divisor
        return
    share = like(out[0], divisor)
    for o in range(outer):
        line = out[o * inner : (o + 1) * inner]
        for i in range(inner):
            line[i] = like(out[0], 0)
        for m in range(middle):
            begin = (o * middle + m) * inner
            other = x[begin : begin + inner]
            for i in range(inner):
                line[i] += other[i]
        if divisor != 1:
            for i in range(inner):
                line[i] /= share


@Kernel
def reduce(row: Any, p: Any) -> int:
    """Arrays out [outer, inner], x [outer, middle, inner]; item size, the three sizes, the divisor."""
    outer, middle, inner = row[6], row[7], row[8]
    if row[5] == 4:
        _sums(float32(row, p, 0, outer * inner), float32(row, p, 1, WHOLE), outer, middle, inner, row[9])
    else:
        _sums(float64(row, p, 0, outer * inner), float64(row, p, 1, WHOLE), outer, middle, inner, row[9])
    return 0


@function
def _largest(x: Any, begin: int, n: int) -> Any:
    found = x[begin]
    for i in range(begin + 1, begin + n):
        if x[i] > found or x[i] != x[i]:
            found = x[i]
    return found


@function
def _shifted(out: Any, x: Any, rows: int, n: int) -> None:
    """exp(x - the largest of its row); the exponentials of all rows in one loop, because rows may be short."""
    for begin in range(0, rows * n, n):
        top = _largest(x, begin, n)
        for i in range(begin, begin + n):
            out[i] = x[i] - top
    whole = out[: rows * n]
    for i in range(rows * n):
        whole[i] = exponential(whole[i])


@function
def _row_total(x: Any, begin: int, n: int) -> float:
    total = 0.0
    for i in range(begin, begin + n):
        total += x[i]
    return total


@function
def _softmax(out: Any, x: Any, rows: int, n: int) -> None:
    _shifted(out, x, rows, n)
    for begin in range(0, rows * n, n):
        share = like(out[0], 1) / like(out[0], _row_total(out, begin, n))
        for i in range(begin, begin + n):
            out[i] *= share


@Kernel
def softmax(row: Any, p: Any) -> int:
    """Arrays out, x [rows, n]; item size, rows, n."""
    if row[5] == 4:
        _softmax(float32(row, p, 0, WHOLE), float32(row, p, 1, WHOLE), row[6], row[7])
    else:
        _softmax(float64(row, p, 0, WHOLE), float64(row, p, 1, WHOLE), row[6], row[7])
    return 0


@function
def _log_likelihood(out: Any, x: Any, labels: Any, rows: int, n: int) -> int:
    together = max(1, 4096 // n)
    powers = np.empty(together * n, out.dtype)
    for first in range(0, rows, together):
        count = min(together, rows - first)
        _shifted(powers, x[first * n : (first + count) * n], count, n)
        for row in range(count):
            label = labels[first + row]
            if label < 0 or label >= n:
                return 1
            begin = (first + row) * n
            total = math.log(_row_total(powers, row * n, n))
            out[first + row] = (x[begin + label] - _largest(x, begin, n)) - total
    return 0


@Kernel
def class_log_likelihood(row: Any, p: Any) -> int:
    """Arrays out [rows], logits [rows, n], labels [rows]; item size, size of a label, rows, n."""
    rows, n = row[9], row[10]
    if row[7] == 4 and row[8] == 4:
        return int(
            _log_likelihood(float32(row, p, 0, rows), float32(row, p, 1, WHOLE), int32(row, p, 2, rows), rows, n)
        )
    if row[7] == 4:
        return int(
            _log_likelihood(float32(row, p, 0, rows), float32(row, p, 1, WHOLE), int64(row, p, 2, rows), rows, n)
        )
    if row[8] == 4:
        return int(
            _log_likelihood(float64(row, p, 0, rows), float64(row, p, 1, WHOLE), int32(row, p, 2, rows), rows, n)
        )
    return int(_log_likelihood(float64(row, p, 0, rows), float64(row, p, 1, WHOLE), int64(row, p, 2, rows), rows, n))


@function
def _likelihood_gradient(out: Any, grad: Any, step: int, labels: Any, probability: Any, rows: int, n: int) -> int:
    for row in range(rows):
        line, other = out[row * n : (row + 1) * n], probability[row * n : (row + 1) * n]
        label, weight = labels[row], grad[row * step]
        if label < 0 or label >= n:
            return 1
        for i in range(n):
            line[i] = -other[i] * weight
        line[label] += weight
    return 0


@Kernel
def class_log_likelihood_gradient(row: Any, p: Any) -> int:
    """Arrays out, grad [rows], labels [rows], p [rows, n]; item size, size of a label, rows, n, stride of grad."""
    rows, n, step = row[11], row[12], row[13]
    if row[9] == 4:
        out, grad, probability = float32(row, p, 0, WHOLE), float32(row, p, 1, WHOLE), float32(row, p, 3, WHOLE)
        if row[10] == 4:
            return int(_likelihood_gradient(out, grad, step, int32(row, p, 2, WHOLE), probability, rows, n))
        return int(_likelihood_gradient(out, grad, step, int64(row, p, 2, WHOLE), probability, rows, n))
    wide, slope, chance = float64(row, p, 0, WHOLE), float64(row, p, 1, WHOLE), float64(row, p, 3, WHOLE)
    if row[10] == 4:
        return int(_likelihood_gradient(wide, slope, step, int32(row, p, 2, WHOLE), chance, rows, n))
    return int(_likelihood_gradient(wide, slope, step, int64(row, p, 2, WHOLE), chance, rows, n))
