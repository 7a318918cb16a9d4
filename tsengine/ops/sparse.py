"""Tables and the rows selected from them. The gradient by a table is IndexedSlices: only the rows that were used."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tsengine.composite import composite
from tsengine.errors import ShapeError
from tsengine.graph import Node, apply, as_node, as_nodes
from tsengine.indexed_slices import IndexedSlices
from tsengine.kernels import rows
from tsengine.ops.elementwise import Gradients, equal, where
from tsengine.ops.masks import boolean_mask
from tsengine.ops.reduce import reduce_sum
from tsengine.ops.registry import op
from tsengine.ops.shape import expand_dims, reshape
from tsengine.specs import Array, Spec, broadcast, fits, need_kind, need_rank

_GRADIENTS_ONLY = "it appears in gradients only"
_INT32 = np.dtype(np.int32)


@op("gather")
class _Gather:
    """Rows of a table: table[ids] along axis 0. An id outside the table is an error, negative ones too."""

    @staticmethod
    def infer(table: Spec, ids: Spec) -> Spec:
        need_kind(ids, "iu", "ids")
        if table.rank == 0:
            raise ShapeError("a table needs at least one axis, got a scalar")
        return table.with_shape(None if table.shape is None or ids.shape is None else ids.shape + table.shape[1:])

    @staticmethod
    def kernel(out: Array, table: Array, ids: Array) -> None:
        rows.take(out, table, ids)

    @staticmethod
    def gradient(node: Node, grad: Node) -> tuple[IndexedSlices, None]:
        table, ids = node.inputs
        if ids.value_spec.rank == 1:
            return IndexedSlices(grad, ids, table), None
        return IndexedSlices(apply("row_gradients", grad, table), reshape(ids, (-1,)), table), None

    @staticmethod
    def onnx(builder: Any, node: Node, inputs: list[str]) -> str:
        return str(builder.add("Gather", inputs, axis=0))


@op("row_gradients", shape_only=(1,))
class _RowGradients:
    """The gradient of a gather as one row per id: [n, *table.shape[1:]]."""

    not_exported = _GRADIENTS_ONLY

    @staticmethod
    def infer(grad: Spec, table: Spec) -> Spec:
        if grad.shape is None or table.shape is None:
            return grad.with_shape(None)
        sizes = grad.shape[: len(grad.shape) - len(table.shape) + 1]
        count = None if None in sizes else int(np.prod([size for size in sizes if size is not None], dtype=np.int64))
        return grad.with_shape((count, *table.shape[1:]))

    @staticmethod
    def view(grad: Array, table: Array) -> Array:
        count = int(np.prod(grad.shape[: grad.ndim - table.ndim + 1], dtype=np.int64))
        return grad.reshape(count, *table.shape[1:])

    @staticmethod
    def gradient(node: Node, grad: Node) -> Gradients:
        return apply("reshape_like", grad, node.inputs[0]), None


@op("slices_to_dense", shape_only=(2,))
class _SlicesToDense:
    """Zeros in the shape of the table, with the sum of the values of each row."""

    not_exported = _GRADIENTS_ONLY

    @staticmethod
    def infer(values: Spec, indices: Spec, table: Spec) -> Spec:
        return values.with_shape(table.shape)

    @staticmethod
    def kernel(out: Array, values: Array, indices: Array, table: Array) -> None:
        rows.check_ids(indices, len(table))
        unique, sums = rows.dedupe(indices, values)
        out[...] = 0
        out[unique] = sums

    @staticmethod
    def gradient(node: Node, grad: Node) -> Gradients:
        return gather(grad, node.inputs[1]), None, None


@op("sum_duplicates")
class _SumDuplicates:
    """The values [n, ...] of each row of slices summed at its first place in `indices`; 0 at its other places."""

    undifferentiated = "clipping comes after the gradients, none goes through it"
    not_exported = _GRADIENTS_ONLY

    @staticmethod
    def infer(values: Spec, indices: Spec) -> Spec:
        return values

    @staticmethod
    def kernel(out: Array, values: Array, indices: Array) -> None:
        out[...] = 0
        first = np.unique(indices, return_index=True)[1]
        out[first] = rows.dedupe(indices, values)[1]


@op("embedding_bag")
class _EmbeddingBag:
    """Sum or mean of the rows ids[b, :lengths[b]] of a table; an empty bag is 0. Padding is never looked up."""

    @staticmethod
    def infer(table: Spec, ids: Spec, lengths: Spec, mean: bool) -> Spec:
        _need_bags(ids, lengths)
        need_rank(table, (2,), "the table")
        batch = None if ids.shape is None else broadcast(ids.shape[:1], lengths.shape)
        return table.with_shape((batch[0] if batch else None, None if table.shape is None else table.shape[1]))

    @staticmethod
    def kernel(out: Array, table: Array, ids: Array, lengths: Array, mean: bool) -> None:
        rows.pool(out, table, ids, lengths, mean)

    @staticmethod
    def gradient(node: Node, grad: Node) -> tuple[IndexedSlices, None, None]:
        table, ids, lengths = node.inputs
        values = apply("bag_gradients", grad, lengths, mean=node.attrs["mean"])
        return IndexedSlices(values, apply("bag_ids", ids, lengths), table), None, None

    @staticmethod
    def onnx(builder: Any, node: Node, inputs: list[str]) -> str:
        return str(builder.embedding_bag(node, inputs))


def _need_bags(ids: Spec, lengths: Spec) -> None:
    need_kind(ids, "iu", "ids")
    need_kind(lengths, "i", "lengths")
    need_rank(ids, (2,), "ids")
    need_rank(lengths, (1,), "lengths")


@op("bag_ids")
class _BagIds:
    """The ids of all bags without their padding, bag after bag."""

    nondifferentiable = "ids are integers"
    not_exported = _GRADIENTS_ONLY

    @staticmethod
    def infer(ids: Spec, lengths: Spec) -> Spec:
        return ids.with_shape((None,))

    @staticmethod
    def compute(ids: Array, lengths: Array) -> Array:
        return ids[rows.valid_positions(ids, lengths)]


@op("bag_gradients")
class _BagGradients:
    """The gradient of a bag, once for each of its ids, bag after bag."""

    undifferentiated = "a bag has a first derivative only; gather and reduce_sum have more"
    not_exported = _GRADIENTS_ONLY

    @staticmethod
    def infer(grad: Spec, lengths: Spec, mean: bool) -> Spec:
        return grad.with_shape((None, None if grad.shape is None else grad.shape[1]))

    @staticmethod
    def compute(grad: Array, lengths: Array, mean: bool) -> Array:
        return rows.spread(grad, lengths, mean)


@op("bucketize")
class _Bucketize:
    """How many of the ascending edges are at or below x, int32. NaN gives 0; `where` can give it its own."""

    nondifferentiable = "it is constant but for jumps"

    @staticmethod
    def infer(x: Spec, edges: Spec) -> Spec:
        need_kind(x, "f", "x")
        need_rank(edges, (1,), "edges")
        if x.dtype != edges.dtype:
            raise ShapeError(f"edges must have the dtype of x, {x.dtype}, got {edges.dtype}")
        return Spec(_INT32, x.shape)

    @staticmethod
    def kernel(out: Array, x: Array, edges: Array) -> None:
        out[...] = np.searchsorted(edges, x, side="right")
        out[np.isnan(x)] = 0

    @staticmethod
    def onnx(builder: Any, node: Node, inputs: list[str]) -> str:
        return str(builder.bucketize(inputs))


@op("segment_sum")
class _SegmentSum:
    """Row s of the result is the sum of the values whose segment is s; segments in any order."""

    not_exported = "no served model pools by segment ids; use embedding_bag"

    @staticmethod
    def infer(values: Spec, segments: Spec, count: int) -> Spec:
        need_kind(segments, "iu", "segments")
        need_rank(segments, (1,), "segments")
        return values.with_shape(None if values.shape is None else (count, *values.shape[1:]))

    @staticmethod
    def kernel(out: Array, values: Array, segments: Array, count: int) -> None:
        rows.check_ids(segments, count)
        unique, sums = rows.dedupe(segments, values)
        out[...] = 0
        out[unique] = sums

    @staticmethod
    def gradient(node: Node, grad: Node) -> Gradients:
        return gather(grad, node.inputs[1]), None


@op("select_class")
class _SelectClass:
    """x[..., labels[...]]: for each row of the last axis the element that its label names."""

    not_exported = "it serves losses only"

    @staticmethod
    def infer(x: Spec, labels: Spec) -> Spec:
        need_kind(labels, "iu", "labels")
        if x.shape is None or labels.shape is None:
            return x.with_shape(labels.shape)
        if not fits(labels.shape, x.shape[:-1]):
            raise ShapeError(f"labels must have the shape of x without its last axis, got {labels} for {x}")
        return x.with_shape(x.shape[:-1])

    @staticmethod
    def kernel(out: Array, x: Array, labels: Array) -> None:
        rows.check_ids(labels, x.shape[-1])
        out[...] = np.take_along_axis(x, labels[..., None], axis=-1)[..., 0]

    @staticmethod
    def gradient(node: Node, grad: Node) -> Gradients:
        return apply("place_class", grad, node.inputs[1], node.inputs[0]), None


@op("place_class", shape_only=(2,))
class _PlaceClass:
    """Zeros in the shape of `like`, with each value at the place in the last axis that its label names."""

    not_exported = _GRADIENTS_ONLY

    @staticmethod
    def infer(values: Spec, labels: Spec, like: Spec) -> Spec:
        return like

    @staticmethod
    def kernel(out: Array, values: Array, labels: Array, like: Array) -> None:
        rows.check_ids(labels, like.shape[-1])
        out[...] = 0
        np.put_along_axis(out, labels[..., None], values[..., None], axis=-1)

    @staticmethod
    def gradient(node: Node, grad: Node) -> Gradients:
        return apply("select_class", grad, node.inputs[1]), None, None


def gather(table: Any, ids: Any, name: str | None = None) -> Node:
    """table[ids] along axis 0: [*ids.shape, *table.shape[1:]]. An id outside [0, rows) is an error."""
    return apply("gather", as_node(table), as_node(ids), name=name)


def embedding_lookup(table: Any, ids: Any, name: str | None = None) -> Node:
    """Rows of an embedding table [V, D] for ids of any shape: [*ids.shape, D]."""
    return gather(table, ids, name or "embedding_lookup")


@composite
def embedding_bag(
    table: Any, ids: Any, lengths: Any, combiner: str = "mean", name: str | None = None, *, weights: Any = None
) -> Node:
    """Sum or mean of the rows that the first lengths[b] of the padded ids [B, L] name: [B, D]; 0 for an empty bag.

    With weights [B, L] a row counts as often as its weight says, and the mean is over the sum of the weights (0 where
    that is 0). Ids and weights of the padding are never looked at, and the gradient has no rows for them.
    """
    if combiner not in ("sum", "mean"):
        raise ShapeError(f"combiner must be 'sum' or 'mean', got {combiner!r}")
    if weights is not None:
        return _weighted_bag(table, ids, lengths, weights, combiner, name)
    return apply("embedding_bag", as_node(table), as_node(ids), as_node(lengths), name=name, mean=combiner == "mean")


def _weighted_bag(table: Any, ids: Any, lengths: Any, weights: Any, combiner: str, name: str | None) -> Node:
    """The rows of the valid ids alone are gathered, so no gradient reaches a row that only padding names."""
    (rows_of, factors), given = as_nodes(table, weights), as_node(ids)
    need_rank(rows_of.value_spec, (2,), "the table")
    need_kind(given.value_spec, "iu", "ids")
    valid = apply("bag_mask", given, as_node(lengths))
    used = apply("place_masked", boolean_mask(factors, valid), valid)
    if combiner == "mean":
        total = reduce_sum(used, axis=1, keepdims=True)
        nothing = equal(total, 0.0)
        used = where(nothing, 0.0, used / where(nothing, 1.0, total))
    found = gather(rows_of, boolean_mask(given, valid), f"{name or 'embedding_bag'}/gather")
    placed = apply("place_masked", found, valid)
    return reduce_sum(placed * expand_dims(used, 2), axis=1, name=name)


@composite
def bucketize(x: Any, edges: Sequence[float], name: str | None = None) -> Node:
    """int32 in x's shape: how many of the ascending edges are <= x. Edges are held in x's dtype. NaN gives 0."""
    node = as_node(x)
    held = np.asarray(edges, dtype=node.dtype)
    if held.ndim != 1 or np.isnan(held).any() or (np.diff(held) <= 0).any():
        raise ShapeError(f"edges must be a list of strictly ascending numbers in {node.dtype}, got {list(edges)}")
    return apply("bucketize", node, as_node(held, graph=node.graph), name=name)


def segment_sum(values: Any, segments: Any, count: int, name: str | None = None) -> Node:
    """Sums of values [n, ...] by their segment in [0, count): [count, ...]."""
    return apply("segment_sum", as_node(values), as_node(segments), name=name, count=int(count))
