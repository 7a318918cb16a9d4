"""Where a NaN came from: the loss's inputs are followed back to the first value that is not finite by itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tsengine.graph import Node, ancestors
from tsengine.session import Session
from tsengine.sites import describe
from tsengine.specs import Array


def origin(loss: Node, feeds: Mapping[Node, Any]) -> Node:
    """The node on a path to the loss whose value is not finite although those of all its inputs are."""
    nodes = ancestors([loss])
    values = dict(zip((node.id for node in nodes), Session(loss.graph).run(nodes, feeds), strict=True))
    found = loss
    while bad := [node for node in found.inputs if not _finite(values[node.id])]:
        found = bad[0]
    return found


def explain(loss: Node, value: float, feeds: Mapping[Node, Any]) -> str:
    """One sentence for a person."""
    node = origin(loss, feeds)
    kind = {"placeholder": "what is fed to", "variable_read": "variable"}.get(node.op.name, "the result of")
    return f"the loss '{loss.name}' is {value}; it begins with {kind} {describe(node)}"


def _finite(value: Array) -> bool:
    return value.dtype.kind != "f" or bool(np.isfinite(value).all())
