"""The reference for the compiler: every node in turn, each result an array of its own, no passes, no plan."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tsengine.compiler.evaluate import evaluate
from tsengine.graph import Node, ancestors
from tsengine.specs import Array


def interpret(fetches: list[Node], feeds: Mapping[Node, Any]) -> list[Array]:
    """The values of nodes (not of updates), computed one node after the other."""
    values = {node.id: np.array(value, node.dtype) for node, value in feeds.items()}
    for node in ancestors(fetches, stop=frozenset(values)):
        if node.id in values:
            continue
        if node.op.source:
            value = node.attrs["value"] if node.op.name == "constant" else node.graph.store.get(node.name)
        else:
            with np.errstate(all="ignore"):
                value = evaluate(node.op, [values[item.id] for item in node.inputs], node.attrs)
        values[node.id] = np.array(value)
    return [values[node.id] for node in fetches]
