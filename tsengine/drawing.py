"""Pictures of a graph: as text for a terminal, and in the language of Graphviz."""

from __future__ import annotations

from collections.abc import Iterable

from tsengine.graph import Node

SHAPES = {"placeholder": "invhouse", "variable_read": "box3d", "constant": "plaintext"}
"""How a source is drawn; an update is an octagon, anything else a box."""


def to_text(nodes: Iterable[Node]) -> str:
    """A line a node: `relu 'hidden' float32[?,8] <- 'add'`, in topological order."""
    return "\n".join(map(_line, nodes))


def to_dot(nodes: Iterable[Node]) -> str:
    """A directed graph; dashed arrows lead from an operation to what it controls."""
    lines = ["digraph {", "  rankdir=TB; node [shape=box, fontname=sans, fontsize=10]; edge [arrowsize=0.6];"]
    for node in nodes:
        label = f"{node.name}\\n{node.op.name}" + ("" if node.spec is None else f" {node.spec}")
        lines.append(f'  n{node.id} [label="{_escaped(label)}", shape={_shape(node)}];')
        lines += [f"  n{item.id} -> n{node.id};" for item in node.inputs]
        lines += [f"  n{item.id} -> n{node.id} [style=dashed];" for item in node.control]
    return "\n".join([*lines, "}"])


def _line(node: Node) -> str:
    read = ", ".join(f"'{item.name}'" for item in node.inputs)
    after = ", ".join(f"'{item.name}'" for item in node.control)
    spec = "operation" if node.spec is None else str(node.spec)
    arrow, also = (f" <- {read}" if read else ""), (f" after {after}" if after else "")
    return f"{node.op.name} '{node.name}' {spec}{arrow}{also}"


def _shape(node: Node) -> str:
    return "octagon" if node.op.update is not None else SHAPES.get(node.op.name, "box")


def _escaped(text: str) -> str:
    return text.replace('"', r"\"")
