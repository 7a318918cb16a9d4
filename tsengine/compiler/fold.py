"""Fold: what depends on constants and known shapes alone is computed once, by the same kernels, at compile time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tsengine.compiler.evaluate import evaluate, shape_alone
from tsengine.compiler.program import Program, Step
from tsengine.errors import EngineError
from tsengine.ops.registry import REGISTRY
from tsengine.specs import Array, byte_size, spec_of

_LARGEST_BYTES = 1 << 20  # a larger result costs more memory than its computation costs time


def fold(program: Program) -> Program:
    """Replace steps whose inputs are all constants by constants."""
    known: dict[int, Array] = {}
    shapes: dict[int, Array] = {}
    steps, notes = [], []
    for step in program.steps:
        if step.op.name == "constant":
            known[step.id] = step.attrs["value"]
        elif step.movable and step.inputs and all(item in known or item in shapes for item in step.inputs):
            values = [known[item] if item in known else shapes[item] for item in step.inputs]
            if all(item in known for item in step.reads):
                step = _folded(step, values) or step
            if step.op.name == "constant":
                known[step.id] = step.attrs["value"]
                notes.append(f"fold: '{step.node.name}' is constant")
        if step.spec is not None and step.spec.known:
            shapes[step.id] = shape_alone(step.spec)
        steps.append(step)
    return program.after(steps, *notes)


def _folded(step: Step, inputs: list[Array]) -> Step | None:
    if step.spec is None or not step.spec.known or byte_size(step.spec) > _LARGEST_BYTES:
        return None
    try:
        with np.errstate(all="ignore"):
            value = np.array(evaluate(step.op, inputs, step.attrs))
    except EngineError:
        return None  # the run will say it, with the node's name
    value.flags.writeable = False
    return replace(step, op=REGISTRY["constant"], inputs=(), attrs={"value": value}, spec=spec_of(value))
