"""What a run may fetch: nodes and IndexedSlices, nested in lists, tuples, named tuples and dicts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

from tsengine.errors import FetchError
from tsengine.graph import Graph, Node
from tsengine.indexed_slices import IndexedSlices, IndexedSlicesValue
from tsengine.sites import describe, format_site, user_site


class Fetches:
    """A structure of fetches taken apart: the distinct nodes, and how to build the structure from their values."""

    def __init__(self, structure: Any, graph: Graph) -> None:
        self.nodes: list[Node] = []
        self._place: dict[int, int] = {}
        self._recipe: list[
            tuple[Callable[[list[Any]], Any], int] | int
        ] = []  # postfix: a node's place, or (make, arity)
        self._graph = graph
        self._flatten(structure)

    def build(self, values: list[Any]) -> Any:
        """The structure with the nodes' values in it."""
        stack: list[Any] = []
        for item in self._recipe:
            if isinstance(item, int):
                stack.append(values[item])
            else:
                make, arity = item
                parts = stack[len(stack) - arity :]
                del stack[len(stack) - arity :]
                stack.append(make(parts))
        return stack[0]

    def _flatten(self, structure: Any) -> None:
        """Right to left with a stack, then reversed: postfix order without recursion."""
        pending: list[Any] = [structure]
        backwards: list[Any] = []
        while pending:
            item = pending.pop()
            if isinstance(item, Node):
                backwards.append(item)
                continue
            make, parts = _taken_apart(item) or self._refuse(structure, item)
            backwards.append((make, len(parts)))
            pending.extend(parts)
        self._recipe = [item if isinstance(item, tuple) else self._placed(item) for item in reversed(backwards)]

    def _placed(self, node: Node) -> int:
        if node.graph is not self._graph:
            where = format_site(user_site())
            raise FetchError(
                f"fetched node is not an element of this session's graph: {describe(node)} of {node.spec}, at {where}"
            )
        if node.id not in self._place:
            self._place[node.id] = len(self.nodes)
            self.nodes.append(node)
        return self._place[node.id]

    def _refuse(self, structure: Any, item: Any) -> NoReturn:
        raise FetchError(
            f"Fetch argument {item!r} has invalid type {type(item).__name__}: fetch nodes, or lists, tuples, dicts of "
            f"nodes; it is {_path(structure, item)} at {format_site(user_site())}"
        )


def _taken_apart(item: Any) -> tuple[Callable[[list[Any]], Any], list[Any]] | None:
    if isinstance(item, IndexedSlices):
        return (lambda parts: IndexedSlicesValue(*parts)), [item.values, item.indices]
    if isinstance(item, dict):
        keys = list(item)
        return (lambda parts: dict(zip(keys, parts, strict=True))), list(item.values())
    if isinstance(item, tuple) and hasattr(item, "_fields"):
        kind = type(item)
        return (lambda parts: kind(*parts)), list(item)
    if isinstance(item, list | tuple):
        return type(item), list(item)
    return None


def _path(structure: Any, wanted: Any) -> str:
    """Where in the structure an item stands: `fetches['a'][1]`."""
    pending = [(structure, "fetches")]
    while pending:
        item, path = pending.pop()
        if item is wanted:
            return path
        parts = item.items() if isinstance(item, dict) else enumerate(item) if isinstance(item, list | tuple) else ()
        pending.extend((part, f"{path}[{key!r}]") for key, part in parts)
    return "fetches"
