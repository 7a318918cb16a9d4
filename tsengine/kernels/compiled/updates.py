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

from tsengine.kernels.compiled.machine import WHOLE, Kernel, float32, float64, function, inlined, int32, int64, prefetch
from tsengine.kernels.compiled.moves import AHEAD
from tsengine.kernels.compiled.numbers import like

DESCENT, MOMENTUM, ADAGRAD, ADAM, ROWWISE_ADAGRAD = range(5)
SLOTS = 2
"""Arrays of state that a kernel takes; a rule with fewer gives the parameter in their place."""


# A step of each rule over flat arrays: a parameter w and its slots s, v learn by a gradient g, with constants c.


@inlined
def descent(w: Any, s: Any, v: Any, g: Any, c: Any) -> None:
    rate = like(g[0], c[0])
    for i in range(len(g)):
        w[i] -= rate * g[i]


@inlined
def momentum(w: Any, s: Any, v: Any, g: Any, c: Any) -> None:
    rate, kept, nesterov = like(g[0], c[0]), like(g[0], c[1]), c[2] != 0
    for i in range(len(g)):
        s[i] = s[i] * kept + g[i]
        w[i] -= rate * (g[i] + kept * s[i] if nesterov else s[i])


@inlined
def adagrad(w: Any, s: Any, v: Any, g: Any, c: Any) -> None:
    rate, epsilon = like(g[0], c[0]), like(g[0], c[1])
    for i in range(len(g)):
        s[i] += g[i] * g[i]
        w[i] -= rate * g[i] / (math.sqrt(s[i]) + epsilon)


@inlined
def adam(w: Any, s: Any, v: Any, g: Any, c: Any) -> None:
    rate, beta1, beta2 = like(g[0], c[0]), like(g[0], c[1]), like(g[0], c[2])
    m_share, v_share, epsilon, kept = like(g[0], c[3]), like(g[0], c[4]), like(g[0], c[5]), like(g[0], c[6])
    for i in range(len(g)):
        s[i] = s[i] * beta1 + m_share * g[i]
        v[i] = v[i] * beta2 + v_share * (g[i] * g[i])
        w[i] = w[i] * kept - rate * s[i] / (math.sqrt(v[i]) + epsilon)


@inlined
def rowwise_adagrad(w: Any, s: Any, v: Any, g: Any, c: Any) -> None:
    """s has one element."""
    total = like(g[0], 0)
    for i in range(len(g)):
        total += g[i] * g[i]
    s[0] += total / like(g[0], len(g))
    root, rate = math.sqrt(s[0]) + like(g[0], c[1]), like(g[0], c[0])
    for i in range(len(g)):
        w[i] -= rate * g[i] / root


@function
def dense_step(rule: int, w: Any, s: Any, v: Any, g: Any, c: Any) -> None:
    """One step in place."""
    if rule == DESCENT:
        descent(w, s, v, g, c)
    elif rule == MOMENTUM:
        momentum(w, s, v, g, c)
    elif rule == ADAGRAD:
        adagrad(w, s, v, g, c)
    elif rule == ADAM:
        adam(w, s, v, g, c)


def _over_rows(step: Any, slots: int, state: int) -> Any:
    """The step of a rule on the rows of a table that are named, which has so many slots; state: elements of a row's
    slot, or 0 for as many as the row has. The rule is chosen outside of the loop: inside it would cost as much as the
    step."""

    @function
    def over_rows(w: Any, s: Any, v: Any, rows: Any, grads: Any, n: int, c: Any) -> None:
        m = state or n
        for i in range(len(rows)):
            later, row = rows[min(i + AHEAD, len(rows) - 1)], rows[i]
            prefetch(w, later * n)
            if slots > 0:
                prefetch(s, later * m)
            if slots > 1:
                prefetch(v, later * m)
            line, grad = w[row * n : (row + 1) * n], grads[i * n : (i + 1) * n]
            step(line, s[row * m : (row + 1) * m], v[row * m : (row + 1) * m], grad, c)

    return over_rows


_descent_rows, _momentum_rows = _over_rows(descent, 0, 0), _over_rows(momentum, 1, 0)
_adagrad_rows, _adam_rows = _over_rows(adagrad, 1, 0), _over_rows(adam, 2, 0)
_rowwise_adagrad_rows = _over_rows(rowwise_adagrad, 1, 1)


@function
def rows_step(rule: int, w: Any, s: Any, v: Any, rows: Any, grads: Any, n: int, c: Any) -> None:
    """One step in place on distinct rows of n elements, grads [rows, n]; all arrays flat."""
    if rule == DESCENT:
        _descent_rows(w, s, v, rows, grads, n, c)
    elif rule == MOMENTUM:
        _momentum_rows(w, s, v, rows, grads, n, c)
    elif rule == ADAGRAD:
        _adagrad_rows(w, s, v, rows, grads, n, c)
    elif rule == ADAM:
        _adam_rows(w, s, v, rows, grads, n, c)
    elif rule == ROWWISE_ADAGRAD:
        _rowwise_adagrad_rows(w, s, v, rows, grads, n, c)


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


@inlined
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
    found = int64(row, p, 6, WHOLE)
    _sum(row, int32(row, p, 5, WHOLE), values, sums)
    rows_step(row[23], w, s, v, found[1 : 1 + found[0]], sums, row[20], float64(row, p, 4, 8))


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
