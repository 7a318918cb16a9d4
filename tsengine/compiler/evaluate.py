"""Run one primitive on arrays, allocating its result: for constants, and for shapes known only when running."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tsengine.ops.registry import OpDef
from tsengine.specs import Array, Spec, spec_of


def evaluate(op: OpDef, inputs: Sequence[Array], attrs: dict[str, Any]) -> Array:
    """The result of a primitive that is neither a source nor an update. A view stays a view."""
    specs = [spec_of(item) for item in inputs]
    result = op.infer(*specs, **attrs)
    if op.view is not None and (op.is_view is None or op.is_view(*specs, **attrs)):
        return np.asarray(op.view(*inputs, **attrs))
    if op.compute is not None:
        return np.asarray(op.compute(*inputs, **attrs))
    if op.kernel is None:
        raise TypeError(f"op {op.name} does not compute")
    out = np.empty(result.shape, result.dtype)
    op.kernel(out, *inputs, **attrs)
    return out


def shape_alone(spec: Spec | None) -> Array:
    """An array of a known spec that takes no memory, for an op that looks at nothing but the shape."""
    if spec is None:
        raise TypeError("an operation has no shape")
    return np.broadcast_to(np.zeros((), spec.dtype), tuple(size or 0 for size in spec.shape or ()))
