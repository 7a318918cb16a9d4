"""The graph and its nodes. A node is one application of a primitive and the handle of its one result.

A graph only grows: nodes are never changed, inputs exist before their consumers, so ascending ids are a topological
order everywhere in the engine.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike

from tsengine.arrays import to_array
from tsengine.errors import GraphError, ShapeError
from tsengine.operators import Operators
from tsengine.ops.registry import REGISTRY, OpDef
from tsengine.ops.sources import CONSTANT
from tsengine.scopes import DefaultGraph, Names, NameScope, get_default_graph
from tsengine.sites import describe, format_site, refusal, user_site, with_spec
from tsengine.specs import Shape, Spec
from tsengine.store import VariableStore

if TYPE_CHECKING:
    from tsengine.variables import Variable


class Node(Operators):
    """One application of a primitive; also the handle of its result, with Python's operators.

    Fields: graph, id (topological), op, inputs, attrs, spec (None for an operation without a result), name, site (the
    user's file and line), control (operations that run whenever this node does).
    """

    __slots__ = ("graph", "id", "op", "inputs", "attrs", "spec", "name", "site", "control")

    def __init__(
        self, graph: Graph, op: OpDef, inputs: tuple[Node, ...], attrs: dict[str, Any], spec: Spec | None, name: str
    ) -> None:
        self.graph, self.op, self.inputs, self.attrs, self.spec, self.name = graph, op, inputs, attrs, spec, name
        self.site = user_site()
        self.control = graph.controlling(inputs)
        self.id = graph.append(self)

    @property
    def value_spec(self) -> Spec:
        """The spec of the result; an operation without one is an error."""
        if self.spec is None:
            raise GraphError(f"{describe(self)} is an operation and has no value")
        return self.spec

    @property
    def dtype(self) -> np.dtype[Any]:
        """dtype of the result."""
        return self.value_spec.dtype

    @property
    def shape(self) -> Shape | None:
        """Shape of the result, None where the rank is unknown."""
        return self.value_spec.shape

    def __repr__(self) -> str:
        return f"<{self.op.name} '{self.name}' {self.spec if self.spec is not None else 'operation'}>"


class Graph:
    """An append-only list of nodes, the names they bear, and the store of its variables' values."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.variables: dict[str, Variable] = {}
        self.summaries: dict[str, tuple[str, Node]] = {}  # by tag: "scalar" or "histogram", of which node
        self.names = Names()
        self.store = VariableStore()
        self._by_name: dict[str, Node] = {}
        self._control: list[tuple[Node, ...]] = []

    def append(self, node: Node) -> int:
        """Take a node in; returns its id."""
        self.nodes.append(node)
        self._by_name[node.name] = node
        return len(self.nodes) - 1

    def node(self, name: str) -> Node:
        """The node of that name."""
        if name not in self._by_name:
            raise GraphError(f"the graph has no node '{name}'")
        return self._by_name[name]

    def as_default(self) -> DefaultGraph:
        """Make this the default graph: for good as a statement, for a block as a context manager."""
        return DefaultGraph(self)

    def name_scope(self, name: str) -> NameScope:
        """Prefix the names of the nodes made in a `with` block."""
        return NameScope(self.names, name)

    def control_dependencies(self, operations: Iterable[Node]) -> AbstractContextManager[None]:
        """Whoever runs a node made in this block runs these operations too.

        That is all: what a node reads of a variable is its value from the start of the run, whatever is updated in it,
        and updates run in the order in which they were made.
        """
        wanted = tuple(operations)
        self.need_own(wanted, "control_dependencies")
        return self._controlled(wanted)

    @contextmanager
    def _controlled(self, wanted: tuple[Node, ...]) -> Iterator[None]:
        self._control.append(wanted)
        try:
            yield
        finally:
            self._control.pop()

    def controlling(self, inputs: tuple[Node, ...]) -> tuple[Node, ...]:
        """The operations of the open blocks that a new node with these inputs does not depend on anyway."""
        if not self._control:
            return ()
        known = {node.id for node in inputs}
        return tuple({node.id: node for block in self._control for node in block if node.id not in known}.values())

    def to_dot(self) -> str:
        """The graph in the language of Graphviz; `dot -Tsvg` draws it."""
        from tsengine.drawing import to_dot

        return to_dot(self.nodes)

    def trainable_variables(self) -> list[Variable]:
        """The variables that optimizers change, in the order they were made."""
        return [variable for variable in self.variables.values() if variable.trainable]

    def create(self, op: OpDef, inputs: tuple[Node, ...], attrs: dict[str, Any], name: str | None) -> Node:
        """Add one application of a primitive; its spec is inferred here, and a mistake reported here."""
        self.need_own(inputs, op.name)
        full = self.names.unique(name or op.name)
        try:
            result = op.infer(*[_input_spec(op, node) for node in inputs], **attrs)
        except ShapeError as error:
            raise GraphError(refusal(full, op.name, map(with_spec, inputs), error)) from None
        return Node(self, op, inputs, attrs, result, full)

    def need_own(self, nodes: Iterable[Any], wanted_by: str) -> None:
        """Refuse what is no node of this graph."""
        for node in nodes:
            if not isinstance(node, Node):
                kind = type(node).__name__
                raise GraphError(f"{wanted_by} takes nodes, got {node!r} of type {kind} at {format_site(user_site())}")
            if node.graph is not self:
                raise GraphError(
                    f"{describe(node)} of {node.spec} is not an element of this graph: "
                    f"{wanted_by} at {format_site(user_site())}"
                )


def _input_spec(op: OpDef, node: Node) -> Spec | None:
    if node.spec is None and op.update is None:
        raise ShapeError(f"'{node.name}' is an operation and has no value")
    return node.spec


def apply(op: str | OpDef, *inputs: Node, name: str | None = None, **attrs: Any) -> Node:
    """Apply a primitive to nodes, in the graph of its inputs (the default graph where it has none)."""
    definition = REGISTRY[op] if isinstance(op, str) else op
    graph = inputs[0].graph if inputs else get_default_graph()
    return graph.create(definition, inputs, attrs, name)


def binary(op: str, x: Any, y: Any, name: str | None = None) -> Node:
    """Apply an element-wise primitive of two operands; a plain number or array takes the other operand's dtype."""
    left, right = as_nodes(x, y)
    return apply(op, left, right, name=name)


def as_nodes(*values: Any) -> tuple[Node, ...]:
    """All values as nodes of one graph; what is not a node becomes a constant with the dtype of the first node."""
    model = next((value for value in values if isinstance(value, Node)), None)
    if model is None:
        return tuple(as_node(value) for value in values)
    return tuple(as_node(value, model.dtype, model.graph, model) for value in values)


def as_node(value: Any, dtype: DTypeLike | None = None, graph: Graph | None = None, beside: Node | None = None) -> Node:
    """A node as it is; anything else as a constant. `beside` is the operand that an error names."""
    if isinstance(value, Node):
        return value
    array = to_array(value, dtype, beside)
    return (graph or get_default_graph()).create(CONSTANT, (), {"value": array}, None)


def constant(value: Any, dtype: DTypeLike | None = None, name: str | None = None) -> Node:
    """A fixed array in the default graph. Python floats are float32, ints int32; arrays keep their dtype."""
    return get_default_graph().create(CONSTANT, (), {"value": to_array(value, dtype)}, name)


def pulled_in(targets: list[Node], stop: frozenset[int] = frozenset()) -> list[Node]:
    """The operations that control what the targets need, and what those need, in order; not the targets."""
    found: dict[int, Node] = {}
    pending = targets
    while pending:
        controlled = [item for node in ancestors(pending, stop) if node.id not in stop for item in node.control]
        pending = [node for node in controlled if node.id not in found]
        found |= {node.id: node for node in pending}
    wanted = {node.id for node in targets}
    return [found[key] for key in sorted(found) if key not in wanted]


def ancestors(targets: Iterable[Node], stop: frozenset[int] = frozenset()) -> list[Node]:
    """Every node the targets need, in topological order; the inputs of nodes whose id is in `stop` are not followed."""
    found: dict[int, Node] = {}
    stack = list(targets)
    while stack:
        node = stack.pop()
        if node.id not in found:
            found[node.id] = node
            if node.id not in stop:
                stack.extend(node.inputs)
    return [found[key] for key in sorted(found)]
