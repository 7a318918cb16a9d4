"""Optimizer steps in one pass: each element of a parameter and of its slots is read and written once.

For rows of a table the duplicates are summed first: the ids of the batch are numbered by a hash table, once for all
tables that they look into, so that a step costs what its batch has, whatever the size of the table. A sum runs in the
order of the batch.
The arithmetic is that of the rules in `tsengine/train`, operation for operation.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tsengine.kernels.compiled.machine import WHOLE, Kernel, float32, float64, function, int32, int64, prefetch
from tsengine.kernels.compiled.moves import AHEAD
from tsengine.kernels.compiled.numbers import like

DESCENT, MOMENTUM, ADAGRAD, ADAM, ROWWISE_ADAGRAD = range(5)
SLOTS = 2
"""Arrays of state that a kernel takes; a rule with fewer gives the parameter in their place."""


@function
def dense_step(rule: int, w: Any, s: Any, v: Any, g: Any, c: Any) -> None:
    """A parameter and its slots learn by a gradient of their size, with the constants c."""
    rate, a, b = like(g[0], c[0]), like(g[0], c[1]), like(g[0], c[2])
    if rule == DESCENT:
        for i in range(len(g)):
            w[i] -= rate * g[i]
    elif rule == MOMENTUM:
        for i in range(len(g)):
            s[i] = s[i] * a + g[i]
            w[i] -= rate * (g[i] + a * s[i] if b != like(b, 0) else s[i])
    elif rule == ADAGRAD:
        for i in range(len(g)):
            s[i] += g[i] * g[i]
            w[i] -= rate * g[i] / (math.sqrt(s[i]) + a)
    elif rule == ADAM:
        m_share, v_share, epsilon, kept = like(a, c[3]), like(a, c[4]), like(a, c[5]), like(a, c[6])
        for i in range(len(g)):
            s[i] = s[i] * a + m_share * g[i]
            v[i] = v[i] * b + v_share * (g[i] * g[i])
            w[i] = w[i] * kept - rate * s[i] / (math.sqrt(v[i]) + epsilon)


@function
def row_step(rule: int, w: Any, s: Any, v: Any, row: int, g: Any, c: Any) -> None:
    n = len(g)
    line = w[row * n : (row + 1) * n]
    if rule != ROWWISE_ADAGRAD:
        dense_step(rule, line, s[row * n : (row + 1) * n], v[row * n : (row + 1) * n], g, c)
        return
    total = like(g[0], 0)
    for i in range(n):
        total += g[i] * g[i]
    s[row] += total / like(g[0], n)
    root, rate = math.sqrt(s[row]) + like(g[0], c[1]), like(g[0], c[0])
    for i in range(n):
        line[i] -= rate * g[i] / root


@Kernel
def dense(row: Any, p: Any) -> int:
    """Arrays parameter, two slots, gradient, constants; item size, rule, elements."""
    n, rule, constants = row[13], row[12], float64(row, p, 4, 8)
    if row[11] == 4:
        w, s, v, g = float32(row, p, 0, n), float32(row, p, 1, n), float32(row, p, 2, n), float32(row, p, 3, n)
        dense_step(rule, w, s, v, g, constants)
    else:
        x, t, u, h = float64(row, p, 0, n), float64(row, p, 1, n), float64(row, p, 2, n), float64(row, p, 3, n)
        dense_step(rule, x, t, u, h, constants)
    return 0


@function
def entry(places: Any, wanted: int, count: int) -> int:
    """The number of an id in a hash table with linear probing; an id that is not there is put in as number `count`.

    An entry holds the id above and its number + 1 below; 0 is a free place. The size is a power of two.
    """
    mask = len(places) - 1
    place = ((wanted * 0x9E3779B97F4A7C1) >> 24) & mask
    while places[place] != 0 and places[place] >> 32 != wanted:
        place = (place + 1) & mask
    if places[place] == 0:
        places[place] = np.int64(wanted) << 32 | (count + 1)
    return (places[place] & 0xFFFFFFFF) - 1


@function
def _number(row: Any, ids: Any, places: Any, numbers: Any, found: Any) -> int:
    count, table = 0, places[: row[11]]
    for i in range(len(table)):
        table[i] = 0
    for i in range(row[9]):
        wanted = ids[i]
        if wanted < 0 or wanted >= row[10]:
            return 1
        known = entry(table, wanted, count)
        if known == count:
            found[1 + count] = wanted
            count += 1
        numbers[i] = known
    found[0] = count
    return 0


@Kernel
def number(row: Any, p: Any) -> int:
    """The distinct ids of a batch, numbered in the order of their first places.

    Arrays numbers [n], found (how many, then the distinct ids), ids [n], places: the hash table, twice as large as n at
    least. Then n, rows of the table, size of places, size of an id.
    """
    numbers, found, places = int32(row, p, 0, WHOLE), int64(row, p, 1, WHOLE), int64(row, p, 3, WHOLE)
    if row[12] == 4:
        return int(_number(row, int32(row, p, 2, WHOLE), places, numbers, found))
    return int(_number(row, int64(row, p, 2, WHOLE), places, numbers, found))


@function
def _sum(row: Any, numbers: Any, values: Any, sums: Any) -> None:
    """The sums of the values of each number: a number that comes next for the first time begins a sum."""
    n, known = row[20], 0
    for bag in range(row[18]):
        for item in range(row[19]):
            own, at = numbers[bag * row[19] + item], bag * row[21] + item * row[22]
            total, value = sums[own * n : (own + 1) * n], values[at : at + n]
            if own == known:
                known += 1
                for i in range(n):
                    total[i] = value[i]
            else:
                for i in range(n):
                    total[i] += value[i]


@function
def _rows(row: Any, p: Any, w: Any, s: Any, v: Any, values: Any, sums: Any) -> None:
    n, constants, found = row[20], float64(row, p, 4, 8), int64(row, p, 6, WHOLE)
    _sum(row, int32(row, p, 5, WHOLE), values, sums)
    state = 1 if row[23] == ROWWISE_ADAGRAD else n
    for i in range(found[0]):
        later = found[1 + min(i + AHEAD, found[0] - 1)]
        prefetch(w, later * n)
        prefetch(s, later * state)
        prefetch(v, later * n)
        row_step(row[23], w, s, v, found[1 + i], sums[i * n : (i + 1) * n], constants)


@Kernel
def rows(row: Any, p: Any) -> int:
    """Arrays parameter, two slots, values, constants, numbers and found as `number` made them, sums (scratch); item
    size, bags, ids of a bag, width, strides of the values by bag and by id, rule."""
    if row[17] == 4:
        w, s, v = float32(row, p, 0, WHOLE), float32(row, p, 1, WHOLE), float32(row, p, 2, WHOLE)
        _rows(row, p, w, s, v, float32(row, p, 3, WHOLE), float32(row, p, 7, WHOLE))
    else:
        x, t, u = float64(row, p, 0, WHOLE), float64(row, p, 1, WHOLE), float64(row, p, 2, WHOLE)
        _rows(row, p, x, t, u, float64(row, p, 3, WHOLE), float64(row, p, 7, WHOLE))
    return 0
