"""Elements chosen by a mask, one after the other, and put back to where they were."""

from __future__ import annotations

from typing import Any

import numpy as np

from tsengine.errors import ShapeError
from tsengine.graph import Node, apply, as_node
from tsengine.kernels import rows
from tsengine.ops.elementwise import Gradients
from tsengine.ops.registry import op
from tsengine.specs import Array, Spec, broadcast, fits, need_kind, need_rank

_BOOL = np.dtype(np.bool_)


@op("boolean_mask")
class _BooleanMask:
    """x[mask]: the elements (rows, where x has more axes than the mask) at which it holds, in order."""

    @staticmethod
    def infer(x: Spec, mask: Spec) -> Spec:
        need_kind(mask, "b", "the mask")
        if mask.rank == 0:
            raise ShapeError("a mask needs at least one axis, got a scalar")
        if x.shape is None or mask.shape is None:
            return x.with_shape(None)
        if not fits(mask.shape, x.shape[: len(mask.shape)]):
            raise ShapeError(f"the mask must have the first axes of x, got {mask} for {x}")
        return x.with_shape((None, *x.shape[len(mask.shape) :]))

    @staticmethod
    def compute(x: Array, mask: Array) -> Array:
        return np.asarray(x[mask])

    @staticmethod
    def gradient(node: Node, grad: Node) -> Gradients:
        return apply("place_masked", grad, node.inputs[1]), None

    @staticmethod
    def onnx(builder: Any, node: Node, inputs: list[str]) -> str:
        return str(builder.boolean_mask(node, inputs))


@op("place_masked")
class _PlaceMasked:
    """The opposite of a mask: its elements at the places where it holds, zeros at the others."""

    @staticmethod
    def infer(values: Spec, mask: Spec) -> Spec:
        if values.shape is None or mask.shape is None:
            return values.with_shape(None)
        return values.with_shape((*mask.shape, *values.shape[1:]))

    @staticmethod
    def kernel(out: Array, values: Array, mask: Array) -> None:
        out[...] = 0
        out[mask] = values

    @staticmethod
    def gradient(node: Node, grad: Node) -> Gradients:
        return boolean_mask(grad, node.inputs[1]), None

    @staticmethod
    def onnx(builder: Any, node: Node, inputs: list[str]) -> str:
        return str(builder.place_masked(inputs, node.dtype))


@op("bag_mask", shape_only=(0,))
class _BagMask:
    """bool [B, L] for ids [B, L]: position l of bag b counts where l < lengths[b], the rest is padding."""

    nondifferentiable = "lengths are integers"

    @staticmethod
    def infer(ids: Spec, lengths: Spec) -> Spec:
        need_kind(lengths, "i", "lengths")
        need_rank(ids, (2,), "ids")
        need_rank(lengths, (1,), "lengths")
        if ids.shape is None or lengths.shape is None:
            return Spec(_BOOL, (None, None))
        if not fits(lengths.shape, ids.shape[:1]):
            raise ShapeError(f"needs one length per row of ids, got {lengths} for {ids}")
        return Spec(_BOOL, (*(broadcast(ids.shape[:1], lengths.shape) or ()), ids.shape[1]))

    @staticmethod
    def kernel(out: Array, ids: Array, lengths: Array) -> None:
        out[...] = rows.valid_positions(ids, lengths)

    @staticmethod
    def onnx(builder: Any, node: Node, inputs: list[str]) -> str:
        return str(builder.bag_mask(inputs))


def boolean_mask(x: Any, mask: Any, name: str | None = None) -> Node:
    """x[mask]: [n, *x.shape[mask.rank:]], for a mask that has the first axes of x and holds at n places."""
    node = as_node(x)
    return apply("boolean_mask", node, as_node(mask, np.bool_, node.graph), name=name)
