"""The reference for the compiler: every node in turn, each result an array of its own, no passes, no plan.

A view stays a view, because the last bits of a product depend on how its operands lie in memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tsengine.compiler.evaluate import evaluate
from tsengine.graph import Node, ancestors, pulled_in
from tsengine.specs import Array


def interpret(fetches: list[Node], feeds: Mapping[Node, Any]) -> list[Array]:
    """The values of nodes (not of updates), computed one node after the other."""
    values = _values(fetches, feeds)
    return [values[node.id] for node in fetches]


def interpret_run(fetches: list[Node], feeds: Mapping[Node, Any]) -> list[Array | None]:
    """A run with its updates: all values from the variables as they are, then the updates in the order of their making.

    None for an operation.
    """
    wanted = [*fetches, *pulled_in(fetches, frozenset(node.id for node in feeds))]
    values = _values(wanted, feeds)
    for node in ancestors(wanted, stop=frozenset(node.id for node in feeds)):
        if node.op.update is not None:
            node.op.update(node.graph.store, *(values.get(item.id) for item in node.inputs), **node.attrs)
    return [values.get(node.id) for node in fetches]


def _values(fetches: list[Node], feeds: Mapping[Node, Any]) -> dict[int, Array]:
    values = {node.id: np.array(value, node.dtype) for node, value in feeds.items()}
    for node in ancestors(fetches, stop=frozenset(values)):
        if node.id not in values and node.op.update is None:
            values[node.id] = _value(node, values)
    return values


def _value(node: Node, values: Mapping[int, Array]) -> Array:
    if node.op.source:
        return np.asarray(node.attrs["value"]) if node.op.name == "constant" else node.graph.store.get(node.name)
    with np.errstate(all="ignore"):
        return evaluate(node.op, [values[item.id] for item in node.inputs], node.attrs)
