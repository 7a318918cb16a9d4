"""Element-wise arithmetic and comparison. Binary ops broadcast like NumPy; the gradient driver undoes that once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from tsengine.errors import ShapeError
from tsengine.graph import Node, apply, as_node, as_nodes, binary
from tsengine.ops.registry import OpDef, Rule, op, register
from tsengine.specs import Array, Spec, broadcast, fits, need_kind, same_dtype

Gradients = tuple[Node | None, ...]
_BOOL = np.dtype(np.bool_)


def _same(x: Spec) -> Spec:
    return x


def _arithmetic(x: Spec, y: Spec) -> Spec:
    return Spec(same_dtype(x, y), broadcast(x.shape, y.shape))


def _floating_arithmetic(x: Spec, y: Spec) -> Spec:
    return _floating(_arithmetic(x, y))


def _comparison(x: Spec, y: Spec) -> Spec:
    same_dtype(x, y)
    return Spec(_BOOL, broadcast(x.shape, y.shape))


def _floating(x: Spec) -> Spec:
    need_kind(x, "f", "x")
    return x


def _by_ufunc(ufunc: np.ufunc) -> Rule:
    def kernel(out: Array, *inputs: Array) -> None:
        ufunc(*inputs, out=out)

    return kernel


def _unary(name: str, ufunc: np.ufunc, doc: str, infer: Rule = _floating, **facts: Any) -> Callable[..., Node]:
    definition = register(name, doc=doc, infer=infer, kernel=_by_ufunc(ufunc), inplace=(0,), **facts)

    def build(x: Any, name: str | None = None) -> Node:
        return apply(definition, as_node(x), name=name)

    return _documented(build, definition)


def _binary(name: str, ufunc: np.ufunc, doc: str, infer: Rule = _arithmetic, **facts: Any) -> Callable[..., Node]:
    inplace = (0, 1) if infer in (_arithmetic, _floating_arithmetic) else ()
    definition = register(
        name, doc=doc, infer=infer, kernel=_by_ufunc(ufunc), inplace=inplace, broadcasting=True, **facts
    )

    def build(x: Any, y: Any, name: str | None = None) -> Node:
        return binary(definition.name, x, y, name)

    return _documented(build, definition)


def _documented(build: Callable[..., Node], definition: OpDef) -> Callable[..., Node]:
    build.__name__ = build.__qualname__ = definition.name
    build.__doc__ = definition.doc
    return build


def _gradient_of_divide(node: Node, grad: Node) -> Gradients:
    scaled = grad / node.inputs[1]
    return scaled, -(scaled * node)


def _gradient_of_pow(node: Node, grad: Node) -> Gradients:
    x, y = node.inputs
    safe = where(x > 0, x, as_node(1.0, x.dtype, x.graph))
    return grad * y * pow(x, y - 1), grad * node * log(safe)


def _gradient_of_choice(node: Node, grad: Node) -> Gradients:
    """The operand that was chosen takes all; x does at a tie."""
    x, y = node.inputs
    chosen = x >= y if node.op.name == "maximum" else x <= y
    nothing = as_node(0, grad.dtype, grad.graph)
    return where(chosen, grad, nothing), where(chosen, nothing, grad)


add = _binary("add", np.add, "x + y.", commutative=True, gradient=lambda node, grad: (grad, grad), onnx="Add")
subtract = _binary("subtract", np.subtract, "x - y.", gradient=lambda node, grad: (grad, -grad), onnx="Sub")
multiply = _binary(
    "multiply",
    np.multiply,
    "x * y.",
    commutative=True,
    onnx="Mul",
    gradient=lambda node, grad: (grad * node.inputs[1], grad * node.inputs[0]),
)
divide = _binary(
    "divide",
    np.true_divide,
    "x / y, floats only.",
    gradient=_gradient_of_divide,
    onnx="Div",
    infer=_floating_arithmetic,
)
pow = _binary(
    "pow",
    np.power,
    "x to the power y; the gradient by y is 0 where x <= 0.",
    gradient=_gradient_of_pow,
    onnx="Pow",
    infer=_floating_arithmetic,
)
maximum = _binary("maximum", np.maximum, "The larger one.", commutative=True, gradient=_gradient_of_choice, onnx="Max")
minimum = _binary("minimum", np.minimum, "The smaller one.", commutative=True, gradient=_gradient_of_choice, onnx="Min")

sign = _unary(
    "sign", np.sign, "-1, 0 or 1.", _same, nondifferentiable="it is constant but for a jump at 0", onnx="Sign"
)
negative = _unary("negative", np.negative, "-x.", _same, gradient=lambda node, grad: (-grad,), onnx="Neg")
abs = _unary(
    "abs",
    np.abs,
    "|x|; gradient 0 at 0.",
    _same,
    gradient=lambda node, grad: (grad * sign(node.inputs[0]),),
    onnx="Abs",
)
exp = _unary("exp", np.exp, "e to the power x.", gradient=lambda node, grad: (grad * node,), onnx="Exp")
log = _unary("log", np.log, "Natural logarithm.", gradient=lambda node, grad: (grad / node.inputs[0],), onnx="Log")
sqrt = _unary("sqrt", np.sqrt, "Square root.", gradient=lambda node, grad: (grad * 0.5 / node,), onnx="Sqrt")
square = _unary(
    "square",
    np.square,
    "x * x.",
    _same,
    gradient=lambda node, grad: (grad * 2.0 * node.inputs[0],),
    onnx=lambda builder, node, inputs: builder.add("Mul", [inputs[0], inputs[0]]),
)
log1p = _unary(
    "log1p",
    np.log1p,
    "log(1 + x), exact for small x.",
    gradient=lambda node, grad: (grad / (node.inputs[0] + 1.0),),
    onnx=lambda builder, node, inputs: builder.log1p(inputs[0], node.dtype),
)
expm1 = _unary(
    "expm1",
    np.expm1,
    "exp(x) - 1, exact for small x.",
    gradient=lambda node, grad: (grad * (node + 1.0),),
    onnx=lambda builder, node, inputs: builder.expm1(inputs[0], node.dtype),
)


_STEP = "it is constant but for jumps"
equal = _binary("equal", np.equal, "x == y.", _comparison, commutative=True, nondifferentiable=_STEP, onnx="Equal")
greater = _binary("greater", np.greater, "x > y.", _comparison, nondifferentiable=_STEP, onnx="Greater")
less = _binary("less", np.less, "x < y.", _comparison, nondifferentiable=_STEP, onnx="Less")
greater_equal = _binary(
    "greater_equal", np.greater_equal, "x >= y.", _comparison, nondifferentiable=_STEP, onnx="GreaterOrEqual"
)
less_equal = _binary("less_equal", np.less_equal, "x <= y.", _comparison, nondifferentiable=_STEP, onnx="LessOrEqual")
not_equal = _binary(
    "not_equal",
    np.not_equal,
    "x != y.",
    _comparison,
    commutative=True,
    nondifferentiable=_STEP,
    onnx=lambda builder, node, inputs: builder.add("Not", [builder.add("Equal", inputs)]),
)


def _logical(*inputs: Spec) -> Spec:
    for item in inputs:
        need_kind(item, "b", "an operand")
    return Spec(_BOOL, broadcast(*(item.shape for item in inputs)))


_LOGIC = "bools have no gradient"
logical_and = _binary(
    "logical_and",
    np.logical_and,
    "x and y, for bools.",
    _logical,
    commutative=True,
    nondifferentiable=_LOGIC,
    onnx="And",
)
logical_or = _binary(
    "logical_or", np.logical_or, "x or y, for bools.", _logical, commutative=True, nondifferentiable=_LOGIC, onnx="Or"
)
logical_not = _unary("logical_not", np.logical_not, "not x, for bools.", _logical, nondifferentiable=_LOGIC, onnx="Not")


@op("floor_mod", broadcasting=True, inplace=(0, 1))
class _FloorMod:
    """Remainder of the division rounded down: it has the divisor's sign. A divisor of 0 gives 0."""

    nondifferentiable = "it serves integer hashing"
    onnx = "Mod"
    kernel = staticmethod(_by_ufunc(np.mod))

    @staticmethod
    def infer(x: Spec, y: Spec) -> Spec:
        need_kind(x, "iu", "x")
        return _arithmetic(x, y)


@op("is_nan")
class _IsNan:
    """Whether x is not a number."""

    nondifferentiable = _STEP
    onnx = "IsNaN"
    kernel = staticmethod(_by_ufunc(np.isnan))

    @staticmethod
    def infer(x: Spec) -> Spec:
        return Spec(_BOOL, _floating(x).shape)


@op("where", broadcasting=True)
class _Where:
    """x where the condition holds, else y."""

    onnx = "Where"

    @staticmethod
    def infer(condition: Spec, x: Spec, y: Spec) -> Spec:
        need_kind(condition, "b", "the condition")
        return Spec(same_dtype(x, y), broadcast(condition.shape, x.shape, y.shape))

    @staticmethod
    def kernel(out: Array, condition: Array, x: Array, y: Array) -> None:
        np.copyto(out, y)
        np.copyto(out, x, where=condition)

    @staticmethod
    def gradient(node: Node, grad: Node) -> Gradients:
        nothing = as_node(0, grad.dtype, grad.graph)
        condition = node.inputs[0]
        return None, where(condition, grad, nothing), where(condition, nothing, grad)


@op("cast")
class _Cast:
    """The same values in another dtype; floats to integers cut towards zero."""

    @staticmethod
    def infer(x: Spec, dtype: np.dtype[Any]) -> Spec:
        return Spec(dtype, x.shape)

    @staticmethod
    def kernel(out: Array, x: Array, dtype: np.dtype[Any]) -> None:
        np.copyto(out, x, casting="unsafe")

    @staticmethod
    def gradient(node: Node, grad: Node) -> Gradients:
        return (cast(grad, node.inputs[0].dtype) if node.value_spec.is_float else None,)

    @staticmethod
    def onnx(builder: Any, node: Node, inputs: list[str]) -> str:
        return str(builder.add("Cast", inputs, to=builder.element_type(node.dtype)))


@op("identity")
class _Identity:
    """x itself."""

    onnx = "Identity"

    @staticmethod
    def infer(x: Spec) -> Spec:
        return x

    @staticmethod
    def view(x: Array) -> Array:
        return x

    @staticmethod
    def gradient(node: Node, grad: Node) -> Gradients:
        return (grad,)


@op("stop_gradient")
class _StopGradient:
    """x itself, constant for gradients."""

    nondifferentiable = "that is its purpose"
    onnx = "Identity"
    infer = staticmethod(_same)

    @staticmethod
    def view(x: Array) -> Array:
        return x


@op("add_n", inplace=(0,))
class _AddN:
    """The sum of several arrays of one shape, from the first to the last."""

    onnx = "Sum"

    @staticmethod
    def infer(*inputs: Spec) -> Spec:
        shape = broadcast(*(item.shape for item in inputs))
        if any(item.shape is not None and shape is not None and not fits(item.shape, shape) for item in inputs):
            raise ShapeError(f"add_n takes arrays of one shape, got {', '.join(map(str, inputs))}")
        return Spec(same_dtype(*inputs), shape)

    @staticmethod
    def kernel(out: Array, first: Array, second: Array, *rest: Array) -> None:
        np.add(first, second, out=out)
        for item in rest:
            np.add(out, item, out=out)

    @staticmethod
    def gradient(node: Node, grad: Node) -> Gradients:
        return (grad,) * len(node.inputs)


def floor_mod(x: Any, y: Any, name: str | None = None) -> Node:
    """Remainder of integers with the sign of the divisor, as Python's %."""
    return binary("floor_mod", x, y, name)


def is_nan(x: Any, name: str | None = None) -> Node:
    """bool of x's shape: whether it is not a number."""
    return apply("is_nan", as_node(x), name=name)


def where(condition: Any, x: Any, y: Any, name: str | None = None) -> Node:
    """x where the condition holds, else y; all three broadcast. A branch not taken adds nothing to a gradient."""
    left, right = as_nodes(x, y)
    return apply("where", as_node(condition, np.bool_, left.graph), left, right, name=name)


def cast(x: Any, dtype: DTypeLike, name: str | None = None) -> Node:
    """The same values in another dtype."""
    node = as_node(x)
    return node if node.dtype == np.dtype(dtype) else apply("cast", node, name=name, dtype=np.dtype(dtype))


def identity(x: Any, name: str | None = None) -> Node:
    """x itself under another name."""
    return apply("identity", as_node(x), name=name)


def stop_gradient(x: Any, name: str | None = None) -> Node:
    """x itself; gradients treat it as a constant."""
    return apply("stop_gradient", as_node(x), name=name)


def add_n(values: list[Node], name: str | None = None) -> Node:
    """The sum of several arrays of one shape, from the first to the last."""
    return values[0] if len(values) == 1 else apply("add_n", *values, name=name)


def clip(x: Any, low: float, high: float) -> Node:
    """x held within [low, high]."""
    return minimum(maximum(x, low), high)


def reciprocal(x: Any) -> Node:
    """1 / x, floats only; infinite at 0."""
    return divide(1.0, as_node(x))


def rsqrt(x: Any) -> Node:
    """1 / sqrt(x); infinite at 0, NaN below."""
    return reciprocal(sqrt(x))
