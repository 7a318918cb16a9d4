"""How a program is written: operators and NumPy's functions on nodes, control dependencies, own ops, pictures."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import tsengine as ts
from tsengine import drawing, errors
from tsengine.onnx import to_onnx
from tsengine.ops.registry import REGISTRY
from tsengine.specs import Array, Spec
from tsengine.testing.gradcheck import gradient_error


@pytest.fixture(autouse=True)
def graph() -> Iterator[ts.Graph]:
    with ts.Graph().as_default() as graph:
        yield graph


def run(fetches: Any, feeds: Any = None) -> Any:
    return ts.Session().run(fetches, feeds)


X = np.array([[0.5, 1.5, -2.0], [3.0, 0.25, 1.0]])
POSITIVE = np.abs(X)


@pytest.mark.parametrize(
    ("function", "value"),
    [(f, POSITIVE) for f in (np.exp, np.log, np.log1p, np.sqrt, np.square, np.tanh, np.abs, np.sign, np.isnan)]
    + [(lambda x, f=f: f(x, axis=1), X) for f in (np.sum, np.mean, np.max, np.argmax)]
    + [(lambda x: np.sum(x, axis=0, keepdims=True), X), (lambda x: np.clip(x, -1, 1), X)]
    + [(lambda x: np.reshape(x, (3, 2)), X), (np.transpose, X), (lambda x: np.expand_dims(x, 0), X)]
    + [(lambda x: np.concatenate([x, x], axis=1), X), (lambda x: np.stack([x, x]), X), (np.ones_like, X)]
    + [(lambda x: np.where(x > 0, x, 0 * x), X), (lambda x: np.broadcast_to(x, (4, 2, 3)), X)]
    + [(lambda x: np.matmul(x, X.T), X), (lambda x: X * x, X), (lambda x: np.float64(2) * x, X), (lambda x: 1 - x, X)]
    + [(lambda x: np.maximum(x, 0.5), X), (lambda x: np.power(x, 2.0), POSITIVE), (lambda x: X.T @ x, X)],
)  # fmt: skip
def test_numpy_s_functions_build_nodes(function: Any, value: Array) -> None:
    x = ts.placeholder(np.float64, (2, 3))
    node = function(x)
    assert isinstance(node, ts.Node)
    np.testing.assert_allclose(run(node, {x: value}), function(value), rtol=1e-12)


def test_what_numpy_cannot_do_with_nodes_is_named() -> None:
    x: Any = ts.placeholder(np.float64, (2,))
    for call in (
        lambda: np.add.reduce(x),
        lambda: np.exp(x, dtype="f4"),
        lambda: np.arcsin(x),
        lambda: np.linalg.norm(x),
    ):
        with pytest.raises(errors.GraphError, match=r"numpy\.\S+ does not take nodes"):
            call()


def test_equality_builds_a_node_and_a_node_is_still_a_key() -> None:
    x, y = ts.placeholder("int32", (3,)), ts.placeholder("int32", (3,))
    feeds = {x: [1, 2, 3], y: [1, 5, 3]}
    np.testing.assert_array_equal(run([x == y, x != y, x == 2], feeds), [[1, 0, 1], [0, 1, 0], [0, 1, 0]])
    with pytest.raises(TypeError, match="has no truth value"):
        assert x == y
    assert len({x, y, x}) == 2


def test_what_controls_a_node_runs_with_it() -> None:
    counter, other = ts.Variable(0, name="counter"), ts.Variable(10)
    count = ts.assign_add(counter, 1)
    with ts.get_default_graph().control_dependencies([count]):
        y = ts.identity(counter)
        late = ts.assign(other, counter * 2)
    z = y * 10
    session = ts.Session()
    assert session.run(z) == 0, "a read is from the start of the run"
    assert session.run(counter) == 1
    session.run(late)
    assert session.run([counter, other]) == [2, 2]
    assert session.run([z, y], {y: 7}) == [70, 7], "what is fed is not computed, and pulls nothing in"
    assert session.run(counter) == 2
    assert session.run([count, y]) == [None, 2]
    assert session.run(counter) == 3, "once a run, however often it is asked for"


def test_controls_nest_and_reach_through_each_other() -> None:
    graph = ts.get_default_graph()
    names = [ts.Variable(0, name=name) for name in ("a", "b", "c")]
    with graph.control_dependencies([ts.assign_add(names[0], 1)]):
        second = ts.assign_add(names[1], 1)
        with graph.control_dependencies([second]):
            third = ts.assign_add(names[2], 1)
    session = ts.Session()
    session.run(third)
    assert session.run(names) == [1, 1, 1]
    with (
        pytest.raises(errors.GraphError, match="is not an element of this graph"),
        ts.Graph().control_dependencies([third]),
    ):
        pass


class Cubed(ts.Operation):
    """x**3."""

    def infer(self, *inputs: Spec) -> Spec:
        return inputs[0]

    def compute(self, *values: Array) -> Array:
        return np.asarray(values[0] ** 3)


@ts.RegisterGradient(Cubed)
def cubed_gradient(op: Any, grad: Array) -> Array:
    return np.asarray(grad * 3 * op.inputs[0] ** 2)


def test_an_op_of_one_s_own_is_a_node_like_any_other() -> None:
    x = ts.placeholder("float32", (None, 2))
    y = Cubed([x]) + 1.0
    assert (y.dtype.name, y.shape) == ("float32", (None, 2))
    np.testing.assert_array_equal(run(y, {x: [[1, 2]]}), [[2, 9]])
    assert gradient_error(lambda node: ts.tanh(Cubed([node])) * Cubed([node * 2.0]), [np.array([0.3, -0.7])]) < 1e-6


class Blended(ts.Operation):
    """share * x + (1 - share) * y."""

    def __init__(self, x: ts.Node, y: ts.Node, share: float) -> None:
        super().__init__([x, y])
        self.share = share

    def compute(self, *values: Array) -> Array:
        x, y = values
        return np.asarray(self.share * x + (1 - self.share) * y)


asked: list[float] = []


@ts.RegisterGradient(Blended)
def blended_gradient(op: Any, grad: Array) -> list[Array | None]:
    asked.append(op.share)
    return [op.share * grad, None if op.share == 1.0 else (1 - op.share) * grad]


def test_a_registered_gradient_is_asked_once_for_all_inputs_and_knows_its_op() -> None:
    x, y = ts.placeholder("float64", (2,)), ts.placeholder("float64", (2,))
    feeds = {x: [1.0, 2.0], y: [3.0, 4.0]}
    for share, (by_x, by_y) in ((0.25, (0.25, 0.75)), (1.0, (1.0, 0.0))):
        asked.clear()
        got = run(ts.gradients(Blended(x, y, share), [x, y]), feeds)
        np.testing.assert_array_equal(got, [[by_x, by_x], [by_y, by_y]])
        assert asked == [share]
    assert gradient_error(lambda a, b: ts.tanh(Blended(a, b, 0.3)) * a, [X[0], X[1]], known_ranks=False) < 1e-6


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda op, grad: [grad, grad], "gave 2 results for 1 inputs"),
        (lambda op, grad: grad[:1], r"gradient by input 0 has shape \[1\], the input \[2\]"),
    ],
)
def test_a_registered_gradient_of_another_form_is_refused(made: Any, message: str) -> None:
    class Careless(ts.Operation):
        def compute(self, *values: Array) -> Array:
            return values[0]

    name = f"Careless{len(message)}"
    Careless.__name__ = name
    ts.RegisterGradient(name)(made)
    x = ts.placeholder("float64", (2,))
    with pytest.raises(errors.GradientError, match=rf"op host_call.*test_programming.py:\d+\) failed: .*{message}"):
        run(ts.gradients(Careless([x]), [x]), {x: [1.0, 2.0]})


def test_an_op_without_a_gradient_says_how_to_give_it_one() -> None:
    class Plain(ts.Operation):
        def compute(self, *values: Array) -> Array:
            return np.zeros((3,)) if self.name == "wrong" else values[0]

        def infer(self, *inputs: Spec) -> Spec:
            return inputs[0]

    x = ts.placeholder("float64", (2,))
    with pytest.raises(errors.GradientError, match=r"no gradient is registered for Plain.*@RegisterGradient\(Plain\)"):
        ts.gradients(Plain([x]), [x])
    with pytest.raises(errors.GraphError, match=r"'wrong'.*compute gave shape \[3\], infer said float64\[2\]"):
        run(Plain([x], name="wrong"), {x: [1, 2]})
    with pytest.raises(errors.GradientError, match="Cubed has a gradient already"):
        ts.RegisterGradient("Cubed")(cubed_gradient)


@pytest.fixture
def registry() -> Iterator[None]:
    """What a test adds to the table of primitives is taken out again."""
    before = dict(REGISTRY)
    yield
    REGISTRY.clear()
    REGISTRY.update(before)


@pytest.mark.usefixtures("registry")
def test_a_primitive_of_one_s_own_is_called_with_defaults_and_found_at_the_caller_s_line() -> None:
    class Rules:
        """factor * x + shift."""

        @staticmethod
        def infer(x: Spec, shift: Spec, factor: float = 2.0) -> Spec:
            if x != shift:
                raise errors.ShapeError("x and shift must be alike")
            return x

        @staticmethod
        def kernel(out: Array, x: Array, shift: Array, factor: float) -> None:
            np.add(factor * x, shift, out=out)

    scaled = ts.op("scaled", inplace=(0,))(Rules)
    x = ts.placeholder("float64", (2,))
    y = scaled(x, [1.0, 2.0], name="y")
    z = scaled(x, [0.0, 0.0], factor=3.0)
    assert y.name == "y"
    np.testing.assert_array_equal(run([y, z], {x: [1, 1]}), [[3, 4], [3, 3]])
    assert y.site == (__file__, z.site[1] - 1)
    with pytest.raises(errors.GraphError, match=r"op scaled, .* at .*test_programming.py:\d+\): x and shift must be"):
        scaled(x, 1.0)
    with pytest.raises(errors.GradientError, match="no gradient is defined for op scaled"):
        ts.gradients(y, [x])
    with pytest.raises(errors.ExportError, match=r"'y' .*: its op has no ONNX rule"):
        to_onnx([y], [x])


def test_a_profile_says_where_a_run_s_time_went() -> None:
    x, w = ts.placeholder("float32", (64, 32), name="x"), ts.Variable(np.ones((32, 8), np.float32), name="w")
    loss = ts.reduce_sum(ts.relu(x @ w, name="hidden"))
    step = ts.train.Optimizer(ts.train.GradientDescent(), 0.1).minimize(loss)
    session, feeds = ts.Session(), {x: np.ones((64, 32), np.float32)}
    plain = session.run([loss, step], feeds)
    assert not session.profile
    ts.get_default_graph().store.set("w", np.ones((32, 8)))
    assert session.run([loss, step], feeds, profile=True) == plain
    assert session.profile is not None
    ran = {line.op: line for line in session.profile.lines}
    assert {"matmul", "relu", "reduce_sum", "apply_dense"} <= set(ran)
    assert ran["relu"].node == "hidden"
    assert ran["relu"].bytes == 2 * 64 * 8 * 4
    assert session.profile.seconds == sum(line.seconds for line in session.profile.lines) > 0
    assert "relu 'hidden'" in str(session.profile)
    assert session.stats.plans == 1


def test_a_graph_can_be_drawn() -> None:
    x = ts.placeholder("float32", (None, 2), name="x")
    with ts.get_default_graph().control_dependencies([ts.assign_add(ts.Variable(1.0, name="w"), 2.0, name="add")]):
        y = ts.relu(x, name='say "y"'.replace(" ", "_").replace('"', "-"))
    dot = ts.get_default_graph().to_dot()
    assert f"n{x.id} -> n{y.id};" in dot
    assert dot.count("[style=dashed]") == 1
    assert drawing.to_text([x, y]) == ("placeholder 'x' float32[?,2]\nrelu 'say_-y-' float32[?,2] <- 'x' after 'add'")
    if program := shutil.which("dot"):
        assert (
            "<svg" in subprocess.run([program, "-Tsvg"], input=dot, capture_output=True, text=True, check=True).stdout
        )
