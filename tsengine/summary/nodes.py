"""Which nodes of a graph are to be seen, and under which tags.

The graph notes them as they are named. `merge_all` gives them as a structure that a session fetches like any other, so
a run computes them beside the rest, and only when they are asked for.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from tsengine.errors import SummaryError
from tsengine.graph import Graph, Node
from tsengine.scopes import get_default_graph
from tsengine.sites import describe, format_site, user_site


class Summaries(NamedTuple):
    """Scalars and histograms by tag: the nodes, and fetched from a run their values."""

    scalars: dict[str, Any]
    histograms: dict[str, Any]


def scalar(name: str, node: Node) -> Summaries:
    """Note a node of shape [] for `merge_all`; its tag is `name` under the graph's open name scope.

    Returns it as something to fetch by itself. Raises SummaryError where the node is no scalar or the tag is taken; a
    node of unknown rank is looked at when its value is written.
    """
    _need_node("scalar", name, node)
    if node.shape not in ((), None):
        raise SummaryError(
            f"scalar '{name}' at {format_site(user_site())} must be one number, got {node.value_spec}: "
            f"{describe(node)}; take its mean, or ts.summary.histogram"
        )
    return Summaries({_noted("scalar", name, node): node}, {})


def histogram(name: str, node: Node) -> Summaries:
    """Note a node of any shape for `merge_all`; its tag is `name` under the graph's open name scope.

    Returns it as something to fetch by itself. Raises SummaryError where the tag is taken.
    """
    _need_node("histogram", name, node)
    return Summaries({}, {_noted("histogram", name, node): node})


def merge_all(graph: Graph | None = None) -> Summaries:
    """All that a graph (the default one) has noted so far, to fetch; nothing, where it has noted nothing."""
    noted = (graph or get_default_graph()).summaries.items()
    return Summaries(
        {tag: node for tag, (kind, node) in noted if kind == "scalar"},
        {tag: node for tag, (kind, node) in noted if kind == "histogram"},
    )


def _need_node(kind: str, name: str, node: Any) -> None:
    if not isinstance(node, Node):
        raise SummaryError(
            f"{kind} '{name}' at {format_site(user_site())} must be a node, got {type(node).__name__}; "
            f"FileWriter.{kind} writes values that are no nodes"
        )
    if node.spec is None:
        raise SummaryError(f"{kind} '{name}' at {format_site(user_site())}: {describe(node)} has no value")


def _noted(kind: str, name: str, node: Node) -> str:
    """Enter a node into its graph; returns its tag."""
    tag, noted = node.graph.names.scope + name, node.graph.summaries
    if tag in noted:
        known, other = noted[tag]
        raise SummaryError(
            f"{kind} '{tag}' at {format_site(user_site())}: the tag is that of the {known} of {describe(other)}; "
            "give it another name, or open a name_scope"
        )
    noted[tag] = kind, node
    return tag
