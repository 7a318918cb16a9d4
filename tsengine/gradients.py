"""Reverse-mode differentiation, graph to graph: the backward pass is more nodes, compiled like all others.

The driver walks from the target to the sources in descending id, which is a reverse topological order, so every node is
visited once, after all its consumers. What every rule would otherwise repeat is done here: contributions are summed
back over broadcast axes, accumulated once, and kept as IndexedSlices only where they reach a variable.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from tsengine.errors import GradientError
from tsengine.graph import Graph, Node, ancestors, apply
from tsengine.indexed_slices import IndexedSlices, concatenate
from tsengine.ops.elementwise import add_n, cast
from tsengine.ops.shape import ones_like, reshape_like
from tsengine.scopes import get_default_graph
from tsengine.sites import describe, format_site, user_site
from tsengine.specs import fits
from tsengine.variables import Variable

Gradient = Node | IndexedSlices


def gradients(
    ys: Node | Sequence[Node],
    xs: Sequence[Node],
    grad_ys: Sequence[Node | None] | None = None,
    stop_gradients: Iterable[Node] = (),
) -> list[Gradient | None]:
    """d sum(ys) / d x for each x: a Node of x's shape, IndexedSlices for a table, None where unconnected.

    `grad_ys` weighs each y (ones by default); nothing flows through `stop_gradients`.
    """
    targets, stopped = [ys] if isinstance(ys, Node) else list(ys), list(stop_gradients)
    weights = [None] * len(targets) if grad_ys is None else list(grad_ys)
    if not targets or len(weights) != len(targets):
        found = f"got {len(targets)} and {len(weights)} at {format_site(user_site())}"
        raise GradientError(f"gradients needs at least one y, and as many grad_ys: {found}")
    given = [weight for weight in weights if weight is not None]
    for nodes, what in ((targets, "ys"), (xs, "xs"), (given, "grad_ys"), (stopped, "stop_gradients")):
        _graph_of(targets[0]).need_own(nodes, f"{what} of gradients")
    with targets[0].graph.name_scope("gradients"):
        slopes = _backward(targets, list(xs), weights, {node.id for node in stopped})
    return [slopes.get(x.id) for x in xs]


def gradient_stop(y: Node, x: Node) -> Node | None:
    """The first node on the way from x to y that no gradient passes; None where all let it through, or no way is."""
    way = _between([y], {x.id}, set())
    stops = [node for node in way if node.op.nondifferentiable is not None and node is not x]
    return stops[0] if way and way[-1] is y and stops else None


def _graph_of(y: Any) -> Graph:
    return y.graph if isinstance(y, Node) else get_default_graph()


def _backward(
    targets: list[Node], xs: list[Node], weights: Sequence[Node | None], stop: set[int]
) -> dict[int, Gradient]:
    pending: dict[int, list[Gradient]] = {}
    for y, weight in zip(targets, weights, strict=True):
        _need_float(y)
        pending.setdefault(y.id, []).append(ones_like(y) if weight is None else _weighing(y, weight))
    wanted = {x.id for x in xs}
    found: dict[int, Gradient] = {}
    for node in reversed(_between(targets, wanted, stop)):
        parts = pending.pop(node.id, None)
        if not parts:
            continue
        total = _accumulate(node, parts)
        if node.id in wanted:
            found[node.id] = total
        if node.inputs and node.id not in stop:
            _propagate(node, total, pending)
    return found


def _need_float(y: Node) -> None:
    if not y.value_spec.is_float:
        raise GradientError(f"only floats have gradients, got {describe(y)} of {y.spec}")


def _weighing(y: Node, weight: Node) -> Node:
    """A weight for each element of y. Fewer, which would be broadcast, are refused here or when they run."""
    if weight.dtype != y.dtype or (weight.shape is not None and not fits(weight.shape, y.shape)):
        raise GradientError(
            f"grad_ys must have dtype and shape of its y, got {weight.spec} for {y.spec}: "
            f"{describe(weight)} for {describe(y)}"
        )
    return reshape_like(weight, y)


def _between(targets: list[Node], wanted: set[int], stop: set[int]) -> list[Node]:
    """The nodes on a path from a wanted node to a target, ascending."""
    on_path: set[int] = set()
    nodes = []
    for node in ancestors(targets):
        through = node.id not in stop and any(item.id in on_path for item in node.inputs)
        if node.id in wanted or through:
            on_path.add(node.id)
            nodes.append(node)
    return nodes


def _accumulate(node: Node, parts: list[Gradient]) -> Gradient:
    """One gradient from all contributions. Slices stay slices only for a variable that was used in no other way."""
    slices = [part for part in parts if isinstance(part, IndexedSlices)]
    if len(slices) == len(parts) and isinstance(node, Variable):
        return concatenate(slices)
    dense = [part.to_dense() if isinstance(part, IndexedSlices) else part for part in parts]
    return add_n(dense)


def _propagate(node: Node, total: Gradient, pending: dict[int, list[Gradient]]) -> None:
    if node.op.gradient is None:
        if node.op.nondifferentiable is None:
            why = f" ({node.op.undifferentiated})" if node.op.undifferentiated else ""
            raise GradientError(f"no gradient is defined for op {node.op.name}{why}: {describe(node)}")
        return
    dense = total.to_dense() if isinstance(total, IndexedSlices) else total
    contributions = node.op.gradient(node, dense)
    if len(contributions) != len(node.inputs):
        raise GradientError(
            f"the gradient rule gave {len(contributions)} results for {len(node.inputs)} inputs: {describe(node)}"
        )
    for position, (source, part) in enumerate(zip(node.inputs, contributions, strict=True)):
        if part is not None and source.value_spec.is_float:
            pending.setdefault(source.id, []).append(_fitted(node, position, source, part))


def _fitted(node: Node, position: int, source: Node, part: Gradient) -> Gradient:
    """A contribution in the dtype and shape of the input it belongs to."""
    if isinstance(part, IndexedSlices):
        return part
    if node.op.broadcasting and not (part.value_spec.known and part.shape == source.shape):
        part = apply("sum_to_like", part, source)
    if part.shape is not None and not fits(part.shape, source.shape):
        raise GradientError(
            f"the gradient by input {position} is {part.spec}, '{source.name}' is {source.spec}: {describe(node)}"
        )
    return cast(part, source.dtype)
