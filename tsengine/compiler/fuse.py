"""Fuse: a table of small patterns whose inner values nobody else reads, each of which becomes one step.

matmul + bias (+ activation)           -> fused_linear                    the same bits, in the result's own buffer
concat_part(a @ b, ..., axis=1)        -> fused_matmul_columns            without the columns that nobody wants
reduce_sum(gather(table, [B, L]), 1)   -> fused_gather_sum                no [B, L, D]
reduce_sum(c * log_softmax(x), -1)     -> fused_log_likelihood            cross-entropy, and its gradient as
log_softmax_gradient(g * c, p)         -> fused_log_likelihood_gradient   g * (c - p * sum(c))
select_class(log_softmax(x), c)        -> fused_class_log_likelihood      the same for class numbers, and
log_softmax_gradient(place_class, p)   -> fused_class_log_likelihood_gradient
apply_rows(row_gradients(g), ids)      -> apply_rows(g, ids)              the update sees to the shape, no copy

Whoever looks at the shape of an inner value still finds it; a value of which only the shape matters is not computed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from tsengine.compiler.program import Program, Step
from tsengine.ops import fused
from tsengine.ops.registry import REGISTRY

Pattern = Callable[[Step, "_Seen"], Step | None]
_ACTIVATIONS = ("relu", "sigmoid", "tanh")
assert fused  # its ops are in the registry


class _Seen:
    """The steps so far, and which of their values have one reader alone."""

    def __init__(self, program: Program) -> None:
        self.steps: dict[int, Step] = {}
        self._uses = program.consumers()

    def step(self, item: int) -> Step:
        return self.steps[item]

    def inner(self, item: int, op: str) -> Step | None:
        """The step that made a value, if it is that op and this is the only reader."""
        step = self.steps[item]
        return step if step.op.name == op and self._uses[item] == 1 else None


def fuse(program: Program) -> Program:
    """Try every pattern at every step, in order."""
    seen = _Seen(program)
    notes = []
    for step in program.steps:
        found = next((made for pattern in _PATTERNS.get(step.op.name, ()) if (made := pattern(step, seen))), None)
        if found is not None:
            notes.append(f"fuse: '{step.node.name}' {found.op.name}")
        seen.steps[step.id] = found or step
    return program.after(seen.steps.values(), *notes)


def _linear(step: Step, seen: _Seen) -> Step | None:
    product, bias = seen.inner(step.inputs[0], "matmul"), seen.step(step.inputs[1])
    if product is None or bias.spec is None or bias.spec.rank != 1:
        return None
    if product.spec is None or not product.spec.rank or product.spec != step.spec:
        return None
    return _made(step, "fused_linear", (*product.inputs, bias.id), {**product.attrs, "activation": None})


def _activated(step: Step, seen: _Seen) -> Step | None:
    inner = seen.inner(step.inputs[0], "fused_linear")
    if inner is None or inner.attrs["activation"] is not None:
        return None
    return _made(step, "fused_linear", inner.inputs, {**inner.attrs, "activation": step.op.name})


def _matmul_columns(step: Step, seen: _Seen) -> Step | None:
    product = seen.inner(step.inputs[0], "matmul")
    if product is None or _rank(product) != 2 or _rank(seen.step(product.inputs[1])) != 2:
        return None
    axis, part = step.attrs["axis"], step.attrs["part"]
    sizes = [seen.step(item).spec for item in step.inputs[1 : part + 2]]
    widths = [size.shape[1] for size in sizes if size is not None and size.shape is not None]
    known = [width for width in widths if width is not None]
    if axis not in (1, -1) or len(known) < len(sizes):
        return None
    columns = {"begin": sum(known[:-1]), "end": sum(known)}
    return _made(step, "fused_matmul_columns", product.inputs, {**product.attrs, **columns})


def _gather_sum(step: Step, seen: _Seen) -> Step | None:
    found = seen.inner(step.inputs[0], "gather")
    if found is None or step.attrs["keepdims"] or step.attrs["axis"] not in (1, (1,)):
        return None
    table, ids = (seen.step(item).spec for item in found.inputs)
    if table is None or ids is None or table.rank != 2 or ids.rank != 2:
        return None
    return _made(step, "fused_gather_sum", found.inputs)


def _log_likelihood(step: Step, seen: _Seen) -> Step | None:
    product = seen.inner(step.inputs[0], "multiply")
    if product is None or step.attrs["keepdims"] or product.spec is None or not product.spec.rank:
        return None
    if step.attrs["axis"] not in (-1, (-1,), product.spec.rank - 1, (product.spec.rank - 1,)):
        return None
    for labels, logs in (product.inputs, product.inputs[::-1]):
        inner = seen.inner(logs, "log_softmax")
        if inner is not None and _rank(seen.step(labels)) == product.spec.rank == _rank(inner):
            return _made(step, "fused_log_likelihood", (labels, inner.inputs[0]))
    return None


def _log_likelihood_gradient(step: Step, seen: _Seen) -> Step | None:
    summed = seen.inner(step.inputs[0], "sum_to_like")
    product = seen.inner(step.inputs[0] if summed is None else summed.inputs[0], "multiply")
    if product is None or _rank(product) != _rank(step):
        return None
    for spread, labels in (product.inputs, product.inputs[::-1]):
        repeated = seen.step(spread)
        if repeated.op.name != "broadcast_like" or _rank(seen.step(labels)) != _rank(step):
            continue
        grad = seen.step(repeated.inputs[0]).spec
        if grad is not None and grad.shape is not None and grad.shape[-1:] in ((), (1,)):
            return _made(step, "fused_log_likelihood_gradient", (repeated.inputs[0], labels, step.inputs[1]))
    return None


def _rank(step: Step) -> int | None:
    return None if step.spec is None else step.spec.rank


def _class_log_likelihood(step: Step, seen: _Seen) -> Step | None:
    inner = seen.inner(step.inputs[0], "log_softmax")
    return inner and _made(step, "fused_class_log_likelihood", (inner.inputs[0], step.inputs[1]))


def _class_log_likelihood_gradient(step: Step, seen: _Seen) -> Step | None:
    placed = seen.inner(step.inputs[0], "place_class")
    return placed and _made(step, "fused_class_log_likelihood_gradient", (*placed.inputs[:2], step.inputs[1]))


def _rows_as_they_are(step: Step, seen: _Seen) -> Step | None:
    values = seen.inner(step.inputs[0], "row_gradients")
    return values and replace(step, inputs=(values.inputs[0], step.inputs[1]))


def _made(step: Step, op: str, inputs: tuple[int, ...], attrs: dict[str, Any] | None = None) -> Step:
    return Step(step.id, REGISTRY[op], inputs, attrs or {}, step.spec, step.node)


_PATTERNS: dict[str, tuple[Pattern, ...]] = {
    "add": (_linear,),
    **dict.fromkeys(_ACTIVATIONS, (_activated,)),
    "concat_part": (_matmul_columns,),
    "reduce_sum": (_gather_sum, _log_likelihood),
    "select_class": (_class_log_likelihood,),
    "apply_rows": (_rows_as_they_are,),
    "log_softmax_gradient": (_log_likelihood_gradient, _class_log_likelihood_gradient),
}
