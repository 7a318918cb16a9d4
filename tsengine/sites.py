"""Where the user's program made a node, and nodes in words: what every error of the engine names."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tsengine.graph import Node

_PACKAGE = os.path.dirname(os.path.abspath(__file__)) + os.sep


def user_site() -> tuple[str, int]:
    """File and line of the innermost caller outside the engine."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame = frame.f_back
    return frame.f_code.co_filename, frame.f_lineno


def format_site(site: tuple[str, int]) -> str:
    """`file.py:12`."""
    return f"{site[0]}:{site[1]}"


def describe(node: Node) -> str:
    """A node in words for an error: name, op, inputs with shapes, where the user made it."""
    given = ", ".join(map(with_spec, node.inputs))
    return f"'{node.name}' (op {node.op.name}, inputs {given or 'none'}, made at {format_site(node.site)})"


def with_spec(node: Node) -> str:
    """`'x' float32[?,3]`."""
    return f"'{node.name}' {node.spec or 'operation'}"


def refusal(name: str, op: str, inputs: Iterable[str], why: object) -> str:
    """Why a node cannot be made, with its name, op, inputs and the user's line."""
    return f"'{name}' (op {op}, inputs {', '.join(inputs) or 'none'}, at {format_site(user_site())}): {why}"
