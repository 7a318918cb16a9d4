"""Which steps the machine takes, and the row that each becomes: sizes and strides worked out when a plan is bound.

A rule gets the step, its result and its inputs as operands, and gives rows, or None where its NumPy twin should run.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from tsengine.compiler.operands import Operand
from tsengine.compiler.program import Step
from tsengine.kernels.compiled import blas, moves, products, reductions
from tsengine.kernels.compiled.elements import BINARY, FUNCTIONS, UNARY, elementwise
from tsengine.kernels.compiled.machine import Kernel

Row = list[int]
Rule = Callable[[Step, Operand, Sequence[Operand]], list[Row] | None]


def rows_of(step: Step, out: Operand, inputs: Sequence[Operand | None]) -> list[Row] | None:
    """The rows that do this step, None where no kernel here takes it."""
    rule = _RULES.get(step.op.name)
    known = [item for item in inputs if item is not None]
    if rule is None or len(known) != len(inputs) or out.dtype.kind != "f" or out.dtype.itemsize not in (4, 8):
        return None
    if 0 in out.shape or any(item.dtype != out.dtype and item.dtype.kind not in "iu" for item in known):
        return None
    return rule(step, out, known)


def row(kernel: Kernel, arrays: Sequence[Operand], *numbers: int) -> Row:
    """A row of the machine."""
    return [kernel.address, *(part for item in arrays for part in (item.base, item.offset)), *map(int, numbers)]


def _elementwise(step: Step, out: Operand, inputs: Sequence[Operand]) -> list[Row] | None:
    if not all(_spreads(item.shape, out.shape) for item in inputs):
        return None
    lines = collapsed(out.shape, [aligned(item, out.shape) for item in inputs])
    if lines is None or any(item.dtype != out.dtype for item in inputs):
        return None
    (rows, columns), strides = lines
    facts = [FUNCTIONS[step.op.name], rows, columns, len(inputs), *strides[0], *strides[-1]]
    return [row(elementwise, (out, inputs[0], inputs[-1]), out.dtype.itemsize, *facts)]


def _spreads(shape: tuple[int, ...], over: tuple[int, ...]) -> bool:
    """Whether a shape broadcasts to another; where a shape rule has not made sure, the twin says what is wrong."""
    return len(shape) <= len(over) and all(a in (1, b) for a, b in zip(shape[::-1], over[::-1], strict=False))


def aligned(item: Operand, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The strides with which an operand runs through a shape that it is broadcast to."""
    extra = len(shape) - len(item.shape)
    own = zip(item.shape, item.strides, strict=True)
    return (0,) * extra + tuple(0 if size == 1 else stride for size, stride in own)


def collapsed(
    shape: tuple[int, ...], strides: Sequence[tuple[int, ...]]
) -> tuple[tuple[int, int], list[tuple[int, int]]] | None:
    """Axes joined where every operand runs on: (rows, columns) and strides for each operand; None if two do not do."""
    kept: list[tuple[int, list[int]]] = []
    for axis, size in enumerate(shape):
        if size == 1:
            continue
        steps = [item[axis] for item in strides]
        if kept and all(before == step * size for before, step in zip(kept[-1][1], steps, strict=True)):
            kept[-1] = (kept[-1][0] * size, steps)
        else:
            kept.append((size, steps))
    if len(kept) > 2:
        return None
    kept = [(1, [0] * len(strides))] * (2 - len(kept)) + kept
    (rows, outer), (columns, inner) = kept
    return (rows, columns), list(zip(outer, inner, strict=True))


def _product(step: Step, out: Operand, inputs: Sequence[Operand]) -> list[Row] | None:
    a, b = inputs[0], inputs[1]
    bias = inputs[2] if len(inputs) > 2 else None
    activation = step.attrs.get("activation")
    if activation not in products.ACTIVATIONS or (bias is not None and not bias.contiguous):
        return None
    if step.attrs["transpose_a"] and len(a.shape) == 2:
        a = a._replace(shape=a.shape[::-1], strides=a.strides[::-1])
    if step.attrs["transpose_b"] and len(b.shape) == 2:
        b = b._replace(shape=b.shape[::-1], strides=b.strides[::-1])
    if len(a.shape) != 2 or len(b.shape) != 2 or 0 in (*a.shape, *b.shape):
        return None
    if "end" in step.attrs:
        b = _columns(b, step.attrs["begin"], step.attrs["end"])
    m, k, n = *a.shape, b.shape[1]
    if out.shape != (m, n) or (bias is not None and bias.shape != (n,)):
        return None
    way = _way(m, n, k, a, b)
    name = "gemm" if way == products.GEMM else "gemv"
    place = 0 if way == products.LOOPS else blas.routine(("s" if out.dtype.itemsize == 4 else "d") + name)
    if way != products.LOOPS and not place:
        return None
    facts = [m, n, k, *_strides(a), *_strides(b), bias is not None, products.ACTIVATIONS[activation], place]
    return [row(products.product, (out, a, b, out if bias is None else bias), out.dtype.itemsize, way, *facts)]


def _columns(matrix: Operand, begin: int, end: int) -> Operand:
    """Some columns of a matrix, where they lie."""
    offset = matrix.offset + begin * matrix.strides[1] * matrix.dtype.itemsize
    return matrix._replace(shape=(matrix.shape[0], end - begin), offset=offset)


def _strides(matrix: Operand) -> tuple[int, int]:
    """As BLAS wants them: one of the two is 1, and the other as large as a line, also where an axis has one element."""
    (m, n), (outer, inner) = matrix.shape, matrix.strides
    if inner == 1 or (n == 1 and outer != 1):
        return (max(outer, n) if m == 1 else outer), 1
    return 1 if m == 1 else outer, max(inner, m) if n == 1 else inner


def _way(m: int, n: int, k: int, a: Operand, b: Operand) -> int:
    matrices = all(_is_matrix(item) for item in (a, b))
    if k == 1 or not matrices:
        return products.LOOPS
    if n == 1:
        return products.RIGHT_VECTOR
    return products.LEFT_VECTOR if m == 1 else products.GEMM


def _is_matrix(item: Operand) -> bool:
    """Whether BLAS has a form for it: lines without gaps that do not overlap."""
    (rows, columns), (outer, inner) = item.shape, _strides(item)
    return (inner == 1 and outer >= columns) or (outer == 1 and inner >= rows)


def _reduced(step: Step, out: Operand, inputs: Sequence[Operand]) -> list[Row] | None:
    x = inputs[0]
    axes = step.attrs["axis"]
    chosen = range(len(x.shape)) if axes is None else np.atleast_1d(axes) % max(1, len(x.shape))
    return _sum(out, x, sorted({int(axis) for axis in chosen}), step.op.name == "reduce_mean")


def _sum_to_like(step: Step, out: Operand, inputs: Sequence[Operand]) -> list[Row] | None:
    x = inputs[0]
    extra = len(x.shape) - len(out.shape)
    repeated = [extra + axis for axis, size in enumerate(out.shape) if size == 1 and x.shape[extra + axis] != 1]
    return _sum(out, x, [*range(extra), *repeated], mean=False)


def _sum(out: Operand, x: Operand, axes: list[int], mean: bool) -> list[Row] | None:
    """Over axes that lie side by side."""
    if not axes or not x.contiguous or axes != list(range(axes[0], axes[-1] + 1)) or x.dtype != out.dtype:
        return None
    sizes = [math.prod(part) for part in (x.shape[: axes[0]], x.shape[axes[0] : axes[-1] + 1], x.shape[axes[-1] + 1 :])]
    if not sizes[1] or math.prod(out.shape) != sizes[0] * sizes[2]:
        return None
    return [row(reductions.reduce, (out, x), x.dtype.itemsize, *sizes, sizes[1] if mean else 1)]


def _softmax(step: Step, out: Operand, inputs: Sequence[Operand]) -> list[Row] | None:
    if not inputs[0].contiguous or not out.shape:
        return None
    sizes = math.prod(out.shape[:-1]), out.shape[-1]
    return [row(reductions.softmax, (out, inputs[0]), out.dtype.itemsize, *sizes)]


def _likelihood(step: Step, out: Operand, inputs: Sequence[Operand]) -> list[Row] | None:
    logits, labels = inputs
    if not (logits.contiguous and labels.contiguous and _ids(labels)) or 0 in logits.shape:
        return None
    sizes = math.prod(out.shape), logits.shape[-1]
    return [row(reductions.class_log_likelihood, (out, *inputs), out.dtype.itemsize, labels.dtype.itemsize, *sizes)]


def _likelihood_gradient(step: Step, out: Operand, inputs: Sequence[Operand]) -> list[Row] | None:
    grad, labels, probability = inputs
    if not (labels.contiguous and _ids(labels) and probability.contiguous):
        return None
    lines = collapsed(grad.shape, [aligned(grad, grad.shape)])
    if lines is None or lines[0][0] != 1 or labels.shape != out.shape[:-1] or not _spreads(grad.shape, labels.shape):
        return None
    facts = [out.dtype.itemsize, labels.dtype.itemsize, math.prod(out.shape[:-1]), out.shape[-1], lines[1][0][1]]
    return [row(reductions.class_log_likelihood_gradient, (out, *inputs), *facts)]


def _gather(step: Step, out: Operand, inputs: Sequence[Operand]) -> list[Row] | None:
    table, ids = inputs
    if not (table.contiguous and ids.contiguous and _ids(ids)):
        return None
    facts = [out.dtype.itemsize, ids.dtype.itemsize, math.prod(ids.shape), math.prod(table.shape[1:]), table.shape[0]]
    return [row(moves.gather, (out, table, ids), *facts)]


def _gather_sum(step: Step, out: Operand, inputs: Sequence[Operand]) -> list[Row] | None:
    table, ids = inputs
    if not (table.contiguous and ids.contiguous and _ids(ids)):
        return None
    facts = [out.dtype.itemsize, ids.dtype.itemsize, *ids.shape, math.prod(table.shape[1:]), table.shape[0]]
    return [row(moves.pool, (out, table, ids), *facts)]


def _ids(item: Operand) -> bool:
    return item.dtype.kind == "i" and item.dtype.itemsize in (4, 8)


def _concat(step: Step, out: Operand, inputs: Sequence[Operand]) -> list[Row] | None:
    axis = step.attrs["axis"] % len(out.shape)
    width, begin, made = math.prod(out.shape[axis:]), 0, list[Row]()
    for item in inputs:
        one = copied(out._replace(offset=out.offset + begin * out.dtype.itemsize), width, item, axis)
        if one is None:
            return None
        made += one
        begin += math.prod(item.shape[axis:])
    return made


def copied(out: Operand, width: int, x: Operand, axis: int) -> list[Row] | None:
    """x, its axes joined before and from `axis` on, into rows of an array that are `width` elements apart."""
    rows, columns = math.prod(x.shape[:axis]), math.prod(x.shape[axis:])
    if not rows * columns:
        return []
    before = collapsed(x.shape[:axis], [x.strides[:axis]])
    after = collapsed(x.shape[axis:], [x.strides[axis:]])
    if before is None or after is None or before[0][0] != 1 or after[0][0] != 1:
        return None
    facts = [x.dtype.itemsize, rows, columns, width, before[1][0][1], after[1][0][1]]
    return [row(moves.copy, (out, x), *facts)]


def _snapshot(step: Step, out: Operand, inputs: Sequence[Operand]) -> list[Row] | None:
    return copied(out, 0, inputs[0], 0)


_RULES: dict[str, Rule] = {
    **dict.fromkeys((*UNARY, *BINARY), _elementwise),
    "matmul": _product,
    "fused_linear": _product,
    "fused_matmul_columns": _product,
    "reduce_sum": _reduced,
    "reduce_mean": _reduced,
    "sum_to_like": _sum_to_like,
    "softmax": _softmax,
    "fused_class_log_likelihood": _likelihood,
    "fused_class_log_likelihood_gradient": _likelihood_gradient,
    "gather": _gather,
    "fused_gather_sum": _gather_sum,
    "concat": _concat,
    "snapshot": _snapshot,
}
TAKEN = frozenset(_RULES)
"""The ops that have a rule."""
