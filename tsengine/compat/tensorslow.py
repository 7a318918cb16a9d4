"""The public names of the TensorSlow teaching project, float64: its programs run with only the import changed.

`import tsengine.compat.tensorslow as ts`. What differs: values are not left on nodes after a run, so a training step
uses the feed it is given, and `train.compute_gradients` takes a feed; runs copy values in and out; every variable is
float64; products of more than two axes are np.matmul's. What that project got wrong (gradients of shared nodes, of
broadcasting, of vectors) is right here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np

import tsengine.graph as engine
import tsengine.variables as engine_variables
from tsengine.gradients import gradients
from tsengine.graph import Node
from tsengine.indexed_slices import IndexedSlices
from tsengine.ops import activations, elementwise, host, linear, reduce
from tsengine.scopes import DefaultGraph, get_default_graph
from tsengine.session import Session as EngineSession
from tsengine.specs import Array, Spec
from tsengine.train.optimizer import Optimizer
from tsengine.train.rules import GradientDescent

_FLOAT = np.dtype(np.float64)


class Graph:
    """A graph with its nodes by kind, in the order they were made."""

    def __init__(self) -> None:
        self.engine = engine.Graph()

    def as_default(self) -> DefaultGraph:
        """Make it the default graph, for good or for a `with` block."""
        return self.engine.as_default()

    @property
    def placeholders(self) -> list[Node]:
        """All placeholders."""
        return [node for node in self.engine.nodes if node.op.name == "placeholder"]

    @property
    def variables(self) -> list[Node]:
        """All variables that training changes."""
        return list(self.engine.trainable_variables())

    @property
    def operations(self) -> list[Node]:
        """All other nodes."""
        return [node for node in self.engine.nodes if not node.op.source]


class Variable(engine_variables.Variable):
    """A float64 variable."""

    __slots__ = ()

    def __init__(self, initial_value: Any = None) -> None:
        value = None if initial_value is None else np.asarray(initial_value, _FLOAT)
        super().__init__(value, shape=() if value is None else None, dtype=_FLOAT)

    @property
    def value(self) -> Array:
        """A copy of the value."""
        return self.graph.store.get(self.name)


class Session:
    """Runs nodes of any graph."""

    def __init__(self) -> None:
        self._sessions: dict[int, EngineSession] = {}

    def run(self, operation: Any, feed_dict: Mapping[Any, Any] | None = None) -> Any:
        """The value of a node (or nested nodes) for this feed; None for a training step."""
        graph = _first_graph(operation)
        session = self._sessions.setdefault(id(graph), EngineSession(graph))
        return session.run(operation, feed_dict)


def _first_graph(fetched: Any) -> engine.Graph:
    while isinstance(fetched, list | tuple | dict) and fetched:
        fetched = next(iter(fetched.values() if isinstance(fetched, dict) else fetched))
    return fetched.graph if isinstance(fetched, Node) else get_default_graph()


def placeholder() -> Node:
    """A value of any shape that every run must feed."""
    return engine_variables.placeholder(_FLOAT)


def _node(value: Any) -> Node:
    return engine.as_node(value, _FLOAT)


def add(x: Any, y: Any) -> Node:
    """x + y."""
    return elementwise.add(_node(x), _node(y))


def multiply(x: Any, y: Any) -> Node:
    """x * y, element by element."""
    return elementwise.multiply(_node(x), _node(y))


def negative(x: Any) -> Node:
    """-x."""
    return elementwise.negative(_node(x))


def log(x: Any) -> Node:
    """Natural logarithm."""
    return elementwise.log(_node(x))


def matmul(a: Any, b: Any) -> Node:
    """Product of matrices or vectors."""
    return linear.matmul(_node(a), _node(b))


def sigmoid(a: Any) -> Node:
    """1 / (1 + exp(-a))."""
    return activations.sigmoid(_node(a))


def softmax(a: Any) -> Node:
    """Probabilities over the last axis."""
    return activations.softmax(_node(a))


def reduce_sum(A: Any, axis: int | Sequence[int] | None = None) -> Node:
    """Sum over axes."""
    return reduce.reduce_sum(_node(A), axis)


class Operation(host.Operation):
    """Base of a user's own op: pass the input nodes to `__init__`, define `compute(*values)`."""

    __slots__ = ()

    def infer(self, *inputs: Spec) -> Spec:
        """float64 of any shape."""
        return Spec(_FLOAT, None)


RegisterGradient = host.RegisterGradient


class _GradientDescentOptimizer:
    """One step is w -= learning_rate * d loss / d w for every variable that the loss depends on."""

    def __init__(self, learning_rate: float) -> None:
        self._optimizer = Optimizer(GradientDescent(), learning_rate)

    def minimize(self, loss: Node) -> Node:
        """An operation that makes one step, from the feed it is run with."""
        return self._optimizer.minimize(loss)


def _compute_gradients(loss: Node, feed_dict: Mapping[Any, Any] | None = None) -> dict[Node, Array]:
    """node -> gradient of sum(loss), for everything the loss depends on."""
    nodes = [node for node in engine.ancestors([loss]) if node.op.name != "constant"]
    found = [(node, grad) for node, grad in zip(nodes, gradients(loss, nodes), strict=True) if grad is not None]
    dense = [grad.to_dense() if isinstance(grad, IndexedSlices) else grad for _, grad in found]
    values = EngineSession(loss.graph).run(dense, feed_dict)
    return {node: value for (node, _), value in zip(found, values, strict=True)}


train = SimpleNamespace(GradientDescentOptimizer=_GradientDescentOptimizer, compute_gradients=_compute_gradients)
