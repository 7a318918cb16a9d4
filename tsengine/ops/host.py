"""Operations of a user's own: a class with `compute`, and a gradient that is computed on numbers.

class Cube(ts.Operation):
    def compute(self, x):
        return x**3

@ts.RegisterGradient(Cube)
def cube_gradient(op, grad):
    return grad * 3 * op.inputs[0] ** 2

`Cube([x])` is a node like any other. To the compiler it is an opaque call of Python: it is not folded, shared, fused or
exported, and has no second derivative. A primitive of one's own (`ts.op`, see docs/how-to-add-an-op.md) can be all of
that.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from tsengine.errors import GradientError, GraphError
from tsengine.graph import Graph, Node, apply
from tsengine.ops.registry import REGISTRY, op
from tsengine.ops.shape import reshape, reshape_like
from tsengine.scopes import get_default_graph
from tsengine.sites import describe, format_site, user_site
from tsengine.specs import DEFAULT_FLOAT, Array, Spec, fits, format_shape

Numeric = Callable[..., Any]
_rules: dict[str, Numeric] = {}


@op("host_call", stateful=True)
class _HostCall:
    """A Python function of arrays; opaque to every pass."""

    not_exported = "it is a Python function"

    @staticmethod
    def infer(*inputs: Spec, function: Numeric, result: Spec) -> Spec:
        return result

    @staticmethod
    def compute(*inputs: Array, function: Numeric, result: Spec) -> Array:
        value = np.asarray(function(*map(_read_only, inputs)), result.dtype)
        if not fits(value.shape, result.shape):
            raise GraphError(f"compute gave shape {format_shape(value.shape)}, infer said {result}")
        return value.copy() if any(np.may_share_memory(value, item) for item in inputs) else value

    @staticmethod
    def gradient(node: Node, grad: Node) -> tuple[Node, ...]:
        kind = type(node).__name__
        if kind not in _rules:
            raise GradientError(
                f"no gradient is registered for {kind}: {describe(node)}; "
                f"write @RegisterGradient({kind}) above a function (op, grad) of arrays"
            )
        flats = [reshape(source, [-1]) for source in node.inputs]
        call = partial(_all_gradients, _rules[kind], node)
        packed = apply("host_call", *node.inputs, node, grad, function=call, result=Spec(node.dtype, (None,)))
        return tuple(
            reshape_like(apply("concat_part", packed, *flats, axis=0, part=part), source)
            for part, source in enumerate(node.inputs)
        )


class _Ran:
    """What a rule for a gradient sees of its operation: its own attributes, and the arrays of this run."""

    def __init__(self, node: Node, inputs: Sequence[Array], output: Array) -> None:
        self._node, self.inputs, self.output = node, list(inputs), output

    def __getattr__(self, name: str) -> Any:
        return getattr(self._node, name)


def _all_gradients(rule: Numeric, node: Node, *values: Array) -> Array:
    """The gradients by all inputs one after the other: the rule is asked once, and its arrays are its own."""
    *inputs, output, grad = values
    result = rule(_Ran(node, inputs, output), grad)
    parts = list(result) if isinstance(result, list | tuple) else [result]
    if len(parts) != len(inputs):
        raise GradientError(f"the registered gradient gave {len(parts)} results for {len(inputs)} inputs")
    return np.concatenate([_checked(part, inputs[place], place) for place, part in enumerate(parts)])


def _checked(part: Any, value: Array, place: int) -> Array:
    """One gradient, flat; None is zeros. One that would be broadcast into its input's shape is a mistake."""
    array = np.zeros(value.shape) if part is None else np.asarray(part)
    if array.shape != value.shape:
        shapes = format_shape(array.shape), format_shape(value.shape)
        raise GradientError(f"the registered gradient by input {place} has shape {shapes[0]}, the input {shapes[1]}")
    return array.ravel()


def _read_only(array: Array) -> Array:
    """It may be a feed, a variable, or a value that others read too."""
    view = array.view()
    view.flags.writeable = False
    return view


class Operation(Node):
    """Base of a user's own op: give the input nodes, define `compute(*arrays)`, and `infer(*specs)` where it can.

    The result has the dtype of the first input and any shape, unless `infer` says more.
    """

    __slots__ = ()

    def __init__(self, input_nodes: Sequence[Node] = (), name: str | None = None) -> None:
        inputs = tuple(input_nodes)
        graph: Graph = inputs[0].graph if inputs else get_default_graph()
        graph.need_own(inputs, type(self).__name__)
        result = self.infer(*(node.value_spec for node in inputs))
        attrs = {"function": self.compute, "result": result}
        unique = graph.names.unique(name or type(self).__name__)
        super().__init__(graph, REGISTRY["host_call"], inputs, attrs, result, unique)

    @property
    def input_nodes(self) -> list[Node]:
        """The nodes it reads."""
        return list(self.inputs)

    def infer(self, *inputs: Spec) -> Spec:
        """dtype and shape of the result."""
        return Spec(inputs[0].dtype if inputs else DEFAULT_FLOAT, None)

    def compute(self, *values: Array) -> Any:
        """The value, from the values of the inputs."""
        raise NotImplementedError(
            f"{type(self).__name__} made at {format_site(user_site())} must define compute(*values)"
        )


class RegisterGradient:
    """Decorator: `f(op, grad)`, over arrays in op.inputs and op.output, is the gradient of an Operation class.

    It returns the gradient by the one input, or a list of them. A second rule for one name is an error.
    """

    def __init__(self, op_type: str | type[Operation]) -> None:
        self._name = op_type if isinstance(op_type, str) else op_type.__name__

    def __call__(self, rule: Numeric) -> Numeric:
        if self._name in _rules or self._name in REGISTRY:
            raise GradientError(f"{self._name} has a gradient already")
        _rules[self._name] = rule
        return rule
