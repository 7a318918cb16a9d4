"""Fuse: matmul + bias (+ activation) become one instruction that works in its result's own buffer.

The arithmetic is the same, element for element, so the numbers are the same bits; what is saved is two dispatches and,
with the memory pass off, two buffers. Only chains whose inner values nobody else reads are fused.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tsengine.compiler.program import Program, Step
from tsengine.ops.registry import REGISTRY, op
from tsengine.specs import Array, Spec

_ACTIVATIONS = ("relu", "sigmoid", "tanh")


@op("fused_linear")
class _FusedLinear:
    """activation(a @ b + bias); made by the compiler only."""

    nondifferentiable = "it is made after gradients were taken"
    not_exported = "the exporter reads the graph before fusion"

    @staticmethod
    def infer(a: Spec, b: Spec, bias: Spec, activation: str | None, transpose_a: bool, transpose_b: bool) -> Spec:
        product = REGISTRY["matmul"].infer(a, b, transpose_a=transpose_a, transpose_b=transpose_b)
        total: Spec = REGISTRY["add"].infer(product, bias)
        return total

    @staticmethod
    def kernel(out: Array, a: Array, b: Array, bias: Array, activation: str | None, **transposes: bool) -> None:
        matmul = REGISTRY["matmul"].kernel
        assert matmul is not None
        matmul(out, a, b, **transposes)
        np.add(out, bias, out=out)
        if activation is not None:
            _activate(out, activation)


def _activate(out: Array, activation: str) -> None:
    kernel = REGISTRY[activation].kernel
    assert kernel is not None
    kernel(out, out)


def fuse(program: Program) -> Program:
    """Fuse every chain that qualifies. Whoever wanted the shape of an inner value takes that of the result."""
    uses = program.consumers()
    made: dict[int, Step] = {}
    renamed: dict[int, int] = {}
    looked_at: set[int] = set()
    notes = []
    for step in program.steps:
        step = step.renamed(renamed)
        fused = _with_bias(step, made, uses) or _with_activation(step, made, uses)
        inner = step.inputs[0] if fused is not None else -1
        if fused is not None and inner not in looked_at:
            notes.append(f"fuse: '{fused.node.name}' {fused.attrs['activation'] or 'linear'}")
            del made[inner]
            renamed = {old: step.id if new == inner else new for old, new in renamed.items()} | {inner: step.id}
            step = fused
        made[step.id] = step
        looked_at.update(set(step.inputs) - set(step.reads))
    return program.after(made.values(), *notes)


def _with_bias(step: Step, made: dict[int, Step], uses: dict[int, int]) -> Step | None:
    if step.op.name != "add":
        return None
    product, bias = (made[item] for item in step.inputs)
    if product.op.name != "matmul" or uses[product.id] != 1 or bias.spec is None or bias.spec.rank != 1:
        return None
    if product.spec is None or not product.spec.rank or product.spec != step.spec:
        return None
    return _fused(step, (*product.inputs, bias.id), {**product.attrs, "activation": None})


def _with_activation(step: Step, made: dict[int, Step], uses: dict[int, int]) -> Step | None:
    if step.op.name not in _ACTIVATIONS:
        return None
    inner = made[step.inputs[0]]
    if inner.op.name != "fused_linear" or inner.attrs["activation"] is not None or uses[inner.id] != 1:
        return None
    return _fused(step, inner.inputs, {**inner.attrs, "activation": step.op.name})


def _fused(step: Step, inputs: tuple[int, ...], attrs: dict[str, Any]) -> Step:
    return Step(step.id, REGISTRY["fused_linear"], inputs, attrs, step.spec, step.node)
