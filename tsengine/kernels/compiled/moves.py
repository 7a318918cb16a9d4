"""What only moves values: rows out of a table, alone or summed, and copies between arrays of any strides."""

from __future__ import annotations

from typing import Any

from tsengine.kernels.compiled.machine import WHOLE, Kernel, float32, float64, function, int32, int64, prefetch

AHEAD = 16
"""How many rows before its use a row of a table is asked for."""


@function
def _gather(out: Any, table: Any, ids: Any, count: int, width: int, rows: int) -> int:
    for i in range(count):
        wanted = ids[i]
        if wanted < 0 or wanted >= rows:
            return 1
        prefetch(table, ids[min(i + AHEAD, count - 1)] * width)
        line, source = out[i * width : (i + 1) * width], table[wanted * width : (wanted + 1) * width]
        for j in range(width):
            line[j] = source[j]
    return 0


@function
def _gather_any(out: Any, table: Any, row: Any, p: Any) -> int:
    if row[8] == 4:
        return int(_gather(out, table, int32(row, p, 2, WHOLE), row[9], row[10], row[11]))
    return int(_gather(out, table, int64(row, p, 2, WHOLE), row[9], row[10], row[11]))


@Kernel
def gather(row: Any, p: Any) -> int:
    """Arrays out [count, width], table [rows, width], ids [count]; item size, size of an id, count, width, rows."""
    if row[7] == 4:
        return int(_gather_any(float32(row, p, 0, WHOLE), float32(row, p, 1, WHOLE), row, p))
    return int(_gather_any(float64(row, p, 0, WHOLE), float64(row, p, 1, WHOLE), row, p))


@function
def _pool(out: Any, table: Any, ids: Any, row: Any) -> int:
    length, width = row[10], row[11]
    for bag in range(row[9]):
        line = out[bag * width : (bag + 1) * width]
        for j in range(width):
            line[j] = 0
        for item in range(length):
            at = bag * length + item
            wanted = ids[at]
            if wanted < 0 or wanted >= row[12]:
                return 1
            prefetch(table, ids[min(at + AHEAD, row[9] * length - 1)] * width)
            source = table[wanted * width : (wanted + 1) * width]
            for j in range(width):
                line[j] += source[j]
    return 0


@function
def _pool_any(out: Any, table: Any, row: Any, p: Any) -> int:
    if row[8] == 4:
        return int(_pool(out, table, int32(row, p, 2, WHOLE), row))
    return int(_pool(out, table, int64(row, p, 2, WHOLE), row))


@Kernel
def pool(row: Any, p: Any) -> int:
    """Arrays out [bags, width], table [rows, width], ids [bags, length]; item size, size of an id, bags, length, width,
    rows."""
    if row[7] == 4:
        return int(_pool_any(float32(row, p, 0, WHOLE), float32(row, p, 1, WHOLE), row, p))
    return int(_pool_any(float64(row, p, 0, WHOLE), float64(row, p, 1, WHOLE), row, p))


@function
def _copy(out: Any, x: Any, row: Any) -> None:
    for i in range(row[6]):
        line, at = out[i * row[8] : i * row[8] + row[7]], i * row[9]
        if row[10] == 1:
            source = x[at : at + row[7]]
            for j in range(row[7]):
                line[j] = source[j]
        else:
            for j in range(row[7]):
                line[j] = x[at + j * row[10]]


@Kernel
def copy(row: Any, p: Any) -> int:
    """Arrays out, x; item size, rows, columns, stride of out's rows, strides of x's rows and columns."""
    if row[5] == 4:
        _copy(float32(row, p, 0, WHOLE), float32(row, p, 1, WHOLE), row)
    else:
        _copy(float64(row, p, 0, WHOLE), float64(row, p, 1, WHOLE), row)
    return 0


@Kernel
def count(row: Any, p: Any) -> int:
    """Arrays counter, amount: one int64 each; the counter grows by the amount."""
    int64(row, p, 0, 1)[0] += int64(row, p, 1, 1)[0]
    return 0
