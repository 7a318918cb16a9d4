"""Which graph new nodes go to, and what they are called.

The stack of default graphs is the engine's one piece of global state. `Graph().as_default()` sets the default for good
when used as a statement and restores the one before when used as a context manager.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import AbstractContextManager
from types import TracebackType
from typing import TYPE_CHECKING

from tsengine.errors import GraphError
from tsengine.sites import format_site, user_site

if TYPE_CHECKING:
    from tsengine.graph import Graph, Node

_VALID_NAME = re.compile(r"[A-Za-z0-9_.][A-Za-z0-9_.\-/]*")
_default_graphs: list[Graph] = []


def get_default_graph() -> Graph:
    """The graph that new nodes without inputs go to; made at first need."""
    from tsengine.graph import Graph

    if not _default_graphs:
        _default_graphs.append(Graph())
    return _default_graphs[-1]


def reset_default_graph() -> None:
    """Forget all default graphs; the next node starts a new one."""
    _default_graphs.clear()


class DefaultGraph:
    """What `as_default` returns: the graph is the default from now on, and until the end of a `with` block."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        _default_graphs.append(graph)

    def __enter__(self) -> Graph:
        return self.graph

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for position in range(len(_default_graphs) - 1, -1, -1):
            if _default_graphs[position] is self.graph:
                del _default_graphs[position]
                return


class Names:
    """The names of one graph: unique, and prefixed by the open scopes."""

    def __init__(self) -> None:
        self.scope = ""
        self._taken: dict[str, int] = {}

    def unique(self, name: str) -> str:
        """`name` under the open scope, with _1, _2, ... appended where it is taken."""
        if not _VALID_NAME.fullmatch(name):
            raise GraphError(
                f"'{name}' is not a name: it must be of letters, digits, '_', '.', and not first '-' or '/', "
                f"at {format_site(user_site())}"
            )
        return self._claim(self.scope + name)

    def _claim(self, full: str) -> str:
        count = self._taken.get(full)
        if count is None:
            self._taken[full] = 1
            return full
        while (candidate := f"{full}_{count}") in self._taken:
            count += 1
        self._taken[full] = count + 1
        self._taken[candidate] = 1
        return candidate


class NameScope:
    """Prefix the names of nodes made inside a `with` block; scopes nest, a name used twice gets _1, _2."""

    def __init__(self, names: Names, name: str) -> None:
        self._names = names
        self._name = name
        self._before: list[str] = []

    def __enter__(self) -> str:
        self._before.append(self._names.scope)
        self._names.scope = self._names.unique(self._name) + "/"
        return self._names.scope

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._names.scope = self._before.pop()


def name_scope(name: str) -> NameScope:
    """A name scope of the default graph."""
    return get_default_graph().name_scope(name)


def control_dependencies(operations: Iterable[Node]) -> AbstractContextManager[None]:
    """Whoever runs a node made in this block runs these operations too (in the default graph)."""
    return get_default_graph().control_dependencies(operations)
