"""The TensorSlow project's names: what they compute, how they learn, and that what it got wrong is right."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pytest

import tsengine as engine
import tsengine.compat.tensorslow as ts
from tsengine import errors
from tsengine.onnx import to_onnx

pytestmark = pytest.mark.usefixtures("kernels")

POINTS = np.array([[3.0, 2.0], [-2.0, -2.0], [0.5, -0.25], [2.0, 2.0]])


@pytest.fixture(autouse=True)
def graph() -> Iterator[ts.Graph]:
    graph = ts.Graph()
    with graph.as_default():
        yield graph


def run(operation: Any, feed: Any = None) -> Any:
    return ts.Session().run(operation, feed)


def step_of(loss: Any, rate: float = 0.1) -> Any:
    return ts.train.GradientDescentOptimizer(rate).minimize(loss)


def trained(loss: Any, variable: ts.Variable, rate: float = 0.1, feed: Any = None) -> Any:
    """The variable after one step."""
    run(step_of(loss, rate), feed)
    return run(variable)


def sloped(build: Callable[..., Any], *values: Any) -> list[Any]:
    """Gradients of the sum of build(variables) that hold these values."""
    variables = [ts.Variable(value) for value in values]
    found = ts.train.compute_gradients(build(*variables))
    return [found[variable] for variable in variables]


# what is exposed


def test_all_public_names_are_there() -> None:
    ops = ["add", "matmul", "sigmoid", "softmax", "log", "multiply", "reduce_sum", "negative"]
    rest = ["Graph", "Operation", "placeholder", "Variable", "RegisterGradient", "Session", "train"]
    assert all(hasattr(ts, name) for name in [*ops, *rest])
    assert all(hasattr(ts.train, name) for name in ("GradientDescentOptimizer", "compute_gradients"))


def test_a_graph_lists_its_nodes_by_kind_in_their_order(graph: ts.Graph) -> None:
    x, w, z = ts.placeholder(), ts.Variable([1.0]), ts.placeholder()
    y = ts.add(ts.multiply(x, w), z)
    assert graph.placeholders == [x, z]
    assert graph.variables == [w]
    assert graph.operations == [y.inputs[0], y]


# values


def test_an_affine_transformation() -> None:
    A, b, x = ts.Variable([[1, 0], [0, -1]]), ts.Variable([1, 1]), ts.placeholder()
    np.testing.assert_array_equal(run(ts.add(ts.matmul(A, x), b), {x: [1, 2]}), [2, -1])


def test_a_perceptron_of_a_vector_gives_a_number() -> None:
    w, b, x = ts.Variable([1, 1]), ts.Variable(0), ts.placeholder()
    y = ts.Session().run(operation=ts.sigmoid(ts.add(ts.matmul(w, x), b)), feed_dict={x: [3, 2]})
    assert abs(y - 0.9933071490757153) < 1e-15
    assert np.ndim(y) == 0


def test_a_softmax_classifier_and_its_loss() -> None:
    X, c = ts.placeholder(), ts.placeholder()
    W, b = ts.Variable([[1, -1], [1, -1]]), ts.Variable([0, 0])
    p = ts.softmax(ts.add(ts.matmul(X, W), b))
    J = ts.negative(ts.reduce_sum(ts.reduce_sum(ts.multiply(c, ts.log(p)), axis=1)))
    rows = run(p, {X: POINTS})
    first = [0.999954602131298, 3.35350130466478e-04, 0.622459331201855, 0.999664649869534]
    np.testing.assert_allclose(rows[:, 0], first, rtol=1e-12)
    np.testing.assert_allclose(rows.sum(axis=1), 1, rtol=1e-15)
    loss = run(J, {X: POINTS, c: [[1, 0], [0, 1], [1, 0], [1, 0]]})
    np.testing.assert_allclose(loss, 0.47479319582511526, rtol=1e-12)
    cloud = np.random.default_rng(0).standard_normal((100, 2))
    closed = 1 / (1 + np.exp(-2 * cloud.sum(axis=1)))
    np.testing.assert_allclose(run(p, {X: cloud})[:, 0], closed, rtol=1e-12)
    np.testing.assert_array_equal(run(p, {X: [[0, 0]]}), [[0.5, 0.5]])


@pytest.mark.parametrize(
    "value", [[1, 2], [[1.5], [2]], (1, 2), np.array([1.0, 2.0]), 3, 2.5, np.float64(4), np.int64(5)]
)
def test_variables_and_feeds_take_what_is_like_an_array(value: Any) -> None:
    """Tuples too, which TensorSlow left as tuples and then failed on."""
    x = ts.placeholder()
    for found in (run(ts.Variable(value)), run(x, {x: value}), -run(ts.negative(x), {x: value})):
        np.testing.assert_array_equal(found, np.asarray(value))
        assert np.asarray(found).dtype == np.float64


def test_products_of_matrices_and_vectors() -> None:
    a, b, v, w = np.arange(6.0).reshape(2, 3), np.arange(12.0).reshape(3, 4), np.arange(3.0), np.ones(3)
    for left, right in ((a, b), (a, v), (v, w), (v, b)):
        np.testing.assert_array_equal(run(ts.matmul(left, right)), left @ right)
    stack, other = np.arange(12.0).reshape(2, 2, 3), np.arange(6.0).reshape(3, 2)
    np.testing.assert_array_equal(run(ts.matmul(stack, other)), np.matmul(stack, other))
    batches = np.arange(24.0).reshape(2, 3, 4)
    assert run(ts.matmul(stack, batches)).shape == (2, 2, 4), "np.matmul; ndarray.dot would give (2, 2, 2, 4)"


def test_sums_over_axes() -> None:
    x = np.arange(6.0).reshape(3, 2)
    for axis in (None, 0, 1, -1, (0, 1)):
        np.testing.assert_array_equal(run(ts.reduce_sum(x, axis=axis)), x.sum(axis=axis))
    assert run(ts.reduce_sum(np.ones((2, 3)), axis=(0, 1))) == 6.0


def test_sums_and_products_broadcast() -> None:
    x, row, column = np.arange(6.0).reshape(3, 2), np.array([1.0, 10.0]), np.array([[1.0], [2.0], [3.0]])
    for one, other in itertools.permutations([x, row, column, np.array(2.0)], 2):
        np.testing.assert_array_equal(run(ts.add(one, other)), one + other)
        np.testing.assert_array_equal(run(ts.multiply(one, other)), one * other)


def test_a_node_gives_what_its_own_feed_says_whoever_ran_it_before() -> None:
    """One hundred rows when training, then one row many times, from several sessions."""
    x, w = ts.placeholder(), ts.Variable([2.0, 3.0])
    shared = ts.matmul(x, w)
    y, z = ts.negative(shared), ts.add(shared, 1.0)
    many, sessions = np.arange(200.0).reshape(100, 2), [ts.Session(), ts.Session()]
    for session in sessions:
        np.testing.assert_array_equal(session.run(y, {x: many}), -(many @ [2, 3]))
        np.testing.assert_array_equal(session.run(z, {x: [[1, 1]]}), [6])
        np.testing.assert_array_equal(session.run([y, z], {x: [[0, 1]]}), [[-3], [4]])


# feeds, fetches, graphs


def test_what_is_fed_beside_what_is_needed() -> None:
    """A placeholder of this graph that nobody needs does no harm; what is no node is a mistake."""
    x, unused = ts.placeholder(), ts.placeholder()
    assert run(ts.negative(x), {x: 1.0, unused: 5.0}) == -1.0
    with pytest.raises(TypeError, match="'a' is a str, not a node"):
        run(ts.negative(x), {x: 1.0, "a": 1})


def test_a_placeholder_that_was_not_fed_is_named_with_its_line() -> None:
    x = ts.placeholder()
    with pytest.raises(
        KeyError, match=r"You must feed a value for placeholder tensor 'placeholder'.*float64.*\.py:\d+"
    ):
        run(ts.negative(x))


def test_variables_and_results_can_be_fed_for_one_run() -> None:
    """TensorSlow ignored such a feed."""
    w = ts.Variable([1.0, 2.0])
    y = ts.negative(w)
    z = ts.add(y, 1.0)
    np.testing.assert_array_equal(run(z, {w: [5, 5]}), [-4, -4])
    np.testing.assert_array_equal(run(z, {y: [5, 5]}), [6, 6])
    np.testing.assert_array_equal(run(z), [0, -1])


class Pair(NamedTuple):
    """Two of anything."""

    one: Any
    other: Any


def test_several_nodes_are_fetched_in_the_form_they_are_asked_for() -> None:
    x = ts.Variable(2.0)
    y = ts.negative(x)
    assert run([x, (y, {"x": x})]) == [2.0, (-2.0, {"x": 2.0})]
    assert run(Pair(x, y)) == Pair(2.0, -2.0)


def test_a_graph_is_the_default_for_good_or_for_a_block(graph: ts.Graph) -> None:
    with ts.Graph().as_default():
        ts.placeholder()
    assert graph.placeholders == []
    x = ts.placeholder()
    assert graph.placeholders == [x]
    lasting = ts.Graph()
    context = lasting.as_default()
    y = ts.placeholder()
    assert lasting.placeholders == [y]
    context.__exit__(None, None, None)


def test_without_any_graph_there_is_one() -> None:
    engine.reset_default_graph()
    assert run(ts.negative(ts.Variable(1.0))) == -1.0
    engine.reset_default_graph()


def test_nodes_of_two_graphs_do_not_mix() -> None:
    x = ts.placeholder()
    with ts.Graph().as_default():
        y = ts.placeholder()
    with pytest.raises(errors.GraphError, match="is not an element of this graph"):
        ts.add(x, y)
    with pytest.raises(errors.FetchError, match="is not an element of this session's graph"):
        run([x, y], {x: 1.0})


# training


def test_a_step_moves_every_variable_by_gradients_from_before_it() -> None:
    """loss = sum(a * b): both move by the other's value from before the step; the learning rate is not scaled."""
    a, b, free = ts.Variable([1.0, 2.0]), ts.Variable([10.0, 20.0]), ts.Variable([7.0])
    step = ts.train.GradientDescentOptimizer(learning_rate=0.1).minimize(ts.reduce_sum(ts.multiply(a, b)))
    session = ts.Session()
    assert session.run(step) is None
    np.testing.assert_allclose(session.run(a), [0.0, 0.0], atol=1e-15)
    np.testing.assert_allclose(session.run(b), [9.9, 19.8])
    assert session.run(free) == [7.0]


def test_a_loss_over_a_batch_is_a_sum_and_so_is_its_gradient() -> None:
    x, w = ts.placeholder(), ts.Variable(0.0)
    assert trained(ts.reduce_sum(ts.multiply(x, w)), w, 1.0, {x: np.ones(100)}) == -100.0


def test_a_step_uses_its_own_feed() -> None:
    """Whatever ran before: nothing, the loss of another batch, a part of the graph, or the step itself."""
    x, w = ts.placeholder(), ts.Variable([1.0, 1.0])
    hidden = ts.multiply(x, w)
    loss = ts.reduce_sum(ts.sigmoid(hidden))
    step, session = step_of(loss, 1.0), ts.Session()
    batch, other = np.array([[1.0, 2.0]]), np.ones((3, 2))
    expected = np.array([1.0, 1.0])
    for before in ((), (loss,), (hidden,), (step_of(loss, 0.0),)):
        for operation in before:
            session.run(operation, {x: other})
        session.run(step, {x: batch})
        y = 1 / (1 + np.exp(-batch * expected))
        expected = expected - (y * (1 - y) * batch).sum(axis=0)
        np.testing.assert_allclose(session.run(w), expected, rtol=1e-12)


def test_two_steps_in_a_row_are_two_steps() -> None:
    """TensorSlow's second one used the first one's sigmoid: 0.60678."""
    w = ts.Variable(1.0)
    step, session = step_of(ts.reduce_sum(ts.sigmoid(w)), 1.0), ts.Session()
    session.run(step)
    session.run(step)
    assert session.run(w) == pytest.approx(0.58975408, abs=1e-8)


AXES: tuple[Any, ...] = (None, 0, 1, -1, (0, 1), (1,))
BROADCASTS = (((3, 2), (3, 2)), ((4, 2), (2,)), ((3, 2), (1, 2)), ((3, 2), (3, 1)), ((3, 2), ()), ((), (2,)))
PRODUCTS = (((3, 2), (2, 4)), ((3, 2), (2,)), ((2,), (2, 4)), ((2,), (2,)), ((5, 3, 2), (2, 4)), ((5, 3, 2), (5, 2, 4)))
GRADIENTS: list[tuple[Callable[..., Any], tuple[tuple[int, ...], ...]]] = [
    *((op, ((3, 2),)) for op in (ts.sigmoid, ts.softmax, ts.log, ts.negative)),
    *((partial(ts.reduce_sum, axis=axis), ((3, 2),)) for axis in AXES),
    *((op, shapes) for op in (ts.add, ts.multiply) for shapes in BROADCASTS),
    *((ts.matmul, shapes) for shapes in PRODUCTS),
]


def numeric(build: Callable[..., Any], values: list[Any], place: int, weights: Any) -> Any:
    """The gradient of sum(weights * build(...)) by one of the values, by a central difference for each element."""
    nodes = [ts.placeholder() for _ in values]
    loss, session = ts.reduce_sum(ts.multiply(build(*nodes), weights)), ts.Session()
    slope = np.zeros_like(values[place])
    for at in np.ndindex(slope.shape):
        moved = np.zeros_like(slope)
        moved[at] = 1e-6
        ends = [[v + sign * moved if n == place else v for n, v in enumerate(values)] for sign in (1, -1)]
        above, below = (session.run(loss, dict(zip(nodes, end, strict=True))) for end in ends)
        slope[at] = (above - below) / 2e-6
    return slope


@pytest.mark.parametrize(("build", "shapes"), GRADIENTS)
def test_the_gradient_of_every_op_is_a_central_difference(build: Any, shapes: tuple[tuple[int, ...], ...]) -> None:
    """Through every way of broadcasting, vectors, more than two axes, and every axis: TensorSlow had a few of them."""
    rng = np.random.default_rng(1)
    values = [np.asarray(rng.uniform(0.5, 2.0, shape)) for shape in shapes]
    weights = rng.standard_normal(np.shape(run(build(*values))))
    found = sloped(lambda *nodes: ts.multiply(build(*nodes), weights), *values)
    for place, slope in enumerate(found):
        assert np.shape(slope) == np.shape(values[place])
        np.testing.assert_allclose(slope, numeric(build, values, place, weights), rtol=1e-6, atol=1e-9)


def test_gradients_of_a_node_used_twice() -> None:
    """matmul(x, x) was silently wrong, add(x, sigmoid(x)) a KeyError."""
    x = [[1.0, 2.0], [3.0, 4.0]]
    np.testing.assert_array_equal(sloped(lambda x: ts.add(x, x), x), [np.full((2, 2), 2)])
    np.testing.assert_array_equal(sloped(lambda x: ts.multiply(x, x), x), [2 * np.array(x)])
    np.testing.assert_array_equal(sloped(lambda x: ts.matmul(x, x), x), [[[7, 11], [9, 13]]])
    p = 1 / (1 + np.exp(-np.array(x)))
    for build in (lambda x: ts.add(x, ts.sigmoid(x)), lambda x: ts.add(ts.sigmoid(x), x)):
        np.testing.assert_allclose(sloped(build, x), [1 + p * (1 - p)], rtol=1e-12)


def random_expression(rng: np.random.Generator, size: int) -> Callable[[Any], Any]:
    """`size` ops over one matrix and each other, squashed so that values stay of order one."""
    makers: list[Callable[[Any, Any], Any]] = [
        lambda x, y: ts.sigmoid(ts.add(x, y)),
        lambda x, y: ts.sigmoid(ts.multiply(x, y)),
        lambda x, y: ts.sigmoid(ts.matmul(x, y)),
        lambda x, y: ts.softmax(ts.negative(x)),
        lambda x, y: ts.log(ts.add(1.0, ts.softmax(y))),
        lambda x, y: ts.add(x, ts.reduce_sum(ts.sigmoid(y), axis=1)),
    ]
    plan = [(int(rng.integers(len(makers))), rng.random(2)) for _ in range(size)]

    def build(x: Any) -> Any:
        nodes = [x]
        for kind, places in plan:
            one, other = (nodes[int(place * len(nodes))] for place in places)
            nodes.append(makers[kind](one, other))
        return nodes[-1]

    return build


@pytest.mark.parametrize("seed", range(40))
def test_paths_of_any_length_meet_rightly(seed: int) -> None:
    """Of such graphs of eight ops TensorSlow had 2% right, most were a KeyError."""
    rng = np.random.default_rng(seed)
    build, value, weights = (
        random_expression(rng, 3 + seed % 8),
        rng.standard_normal((2, 2)),
        rng.standard_normal((2, 2)),
    )
    (found,) = sloped(lambda x: ts.multiply(build(x), weights), value)
    np.testing.assert_allclose(found, numeric(build, [value], 0, weights), rtol=1e-5, atol=1e-7)


def test_what_lies_beside_the_loss_or_after_it_does_not_matter() -> None:
    """An accuracy, a second loss, and what is made of the loss: TensorSlow stumbled over the first two."""
    x, w = ts.placeholder(), ts.Variable([1.0, 2.0])
    y = ts.multiply(x, w)
    loss, other = ts.reduce_sum(y), ts.reduce_sum(ts.sigmoid(y))
    after = ts.negative(loss)
    np.testing.assert_allclose(trained(loss, w, 0.1, {x: [1.0, 10.0]}), [0.9, 1.0])
    assert run([other, after], {x: [0.0, 0.0]}) == [1.0, -0.0]


def test_integers_are_trained_as_floats() -> None:
    """Its gradients began as the integer 1, and an array of integers could not be updated."""
    for initial in ([1, 2], np.array([1, 2])):
        w = ts.Variable(initial)
        np.testing.assert_allclose(trained(ts.reduce_sum(ts.negative(w)), w), [1.1, 2.1])
    w = ts.Variable(3)
    assert trained(ts.add(ts.sigmoid(ts.multiply(w, 0)), ts.multiply(2, w)), w) == pytest.approx(2.8)


def test_a_gradient_has_the_shape_of_its_variable() -> None:
    """Through broadcasting: its scalar variable became a matrix, its (2,) an error."""
    X = np.ones((3, 2))
    scalar, row, wide = ts.Variable(2.0), ts.Variable([0.0, 0.0]), ts.Variable([[0.0, 0.0]])
    assert trained(ts.reduce_sum(ts.multiply(X, scalar)), scalar) == pytest.approx(1.4)
    np.testing.assert_allclose(trained(ts.reduce_sum(ts.multiply(X, row)), row), [-0.3, -0.3])
    np.testing.assert_allclose(trained(ts.reduce_sum(ts.add(X, wide)), wide), [[-0.3, -0.3]])
    number = ts.Variable(1)
    assert trained(ts.reduce_sum(ts.add(X, number)), number) == pytest.approx(0.4)


def test_a_loss_that_is_no_number_is_summed() -> None:
    w = ts.Variable([1.0, 2.0])
    np.testing.assert_allclose(trained(ts.negative(w), w), [1.1, 2.1])
    np.testing.assert_allclose(sloped(ts.softmax, [[1.0, 2.0, 0.5]]), [[[0, 0, 0]]], atol=1e-15)


def test_gradients_of_everything_the_loss_depends_on() -> None:
    x, w = ts.placeholder(), ts.Variable([3.0, 4.0])
    y = ts.multiply(x, w)
    loss = ts.reduce_sum(y)
    found = ts.train.compute_gradients(loss, {x: [1.0, 2.0]})
    assert set(found) == {x, w, y, loss}
    np.testing.assert_array_equal([found[x], found[w], found[y]], [[3, 4], [1, 2], [1, 1]])
    assert found[loss] == 1.0


def test_values_are_copied_in_and_out() -> None:
    """Training changed the array that a program had made the variable of, and those that a run had given out."""
    mine = np.array([1.0, 2.0])
    w = ts.Variable(mine)
    step, session = step_of(ts.reduce_sum(w), 1.0), ts.Session()
    held, value = session.run(w), w.value
    session.run(step)
    held[...] = value[...] = 99.0
    np.testing.assert_array_equal(mine, [1, 2])
    np.testing.assert_array_equal(session.run(w), [0, 1])


def test_single_precision_is_the_engine_s_own_and_stays_so() -> None:
    """Here all is float64, a float32 array too. In the engine a step leaves float32 as it is."""
    assert ts.Variable(np.ones(2, np.float32)).dtype == np.float64
    w = engine.Variable(np.ones(2, np.float32))
    engine.Session().run(engine.train.Optimizer(engine.train.GradientDescent(), 0.1).minimize(engine.reduce_sum(w)))
    assert engine.Session().run(w).dtype == np.float32


# operations of a user's own


class Cube(ts.Operation):
    """x**3, with a gradient that is registered below."""

    def __init__(self, x: Any) -> None:
        super().__init__([x])

    def compute(self, *values: Any) -> Any:
        return values[0] ** 3


class Square(ts.Operation):
    """x * x, registered by its class."""

    def compute(self, *values: Any) -> Any:
        return values[0] * values[0]


class Orphan(Cube):
    """An op that nobody gave a gradient."""


@ts.RegisterGradient("Cube")
def cube_gradient(op: Any, grad: Any) -> Any:
    return 3 * op.inputs[0] ** 2 * grad


@ts.RegisterGradient(Square)
def square_gradient(op: Any, grad: Any) -> Any:
    return [2 * op.inputs[0] * grad]


def test_a_user_s_own_operation_runs_and_trains() -> None:
    w = ts.Variable([2.0, 1.0])
    y = Cube(w)
    np.testing.assert_array_equal(run(y), [8, 1])
    assert y.input_nodes == [w]
    np.testing.assert_allclose(trained(ts.reduce_sum(y), w), [0.8, 0.7])
    for build, power in ((Cube, 3), (lambda x: Square([x]), 2), (lambda x: Cube(Square([x])), 6)):
        (found,) = sloped(build, [0.5, -1.5])
        np.testing.assert_allclose(found, power * np.array([0.5, -1.5]) ** (power - 1), rtol=1e-12)


class Scaled(ts.Operation):
    """factor * x, where the factor is an attribute of its own and the other input decides nothing."""

    def __init__(self, x: Any, other: Any, factor: float) -> None:
        super().__init__([x, other])
        self.factor = factor

    def compute(self, *values: Any) -> Any:
        return self.factor * values[0]


asked: list[Any] = []


@ts.RegisterGradient("Scaled")
def scaled_gradient(op: Any, grad: Any) -> Any:
    asked.append(op.output)
    return [op.factor * grad, 0 * op.inputs[1]]


def test_a_gradient_is_computed_once_for_all_inputs() -> None:
    """It was asked for once for each of them. A rule reads the op's attributes beside its inputs and its output."""
    asked.clear()
    found = sloped(lambda x, y: Scaled(x, y, 3.0), [1.0, 2.0], [5.0, 6.0])
    np.testing.assert_array_equal(found, [[3, 3], [0, 0]])
    np.testing.assert_array_equal(asked, [[3, 6]])


def test_a_user_s_own_operation_is_opaque() -> None:
    """It is not shared, not folded, and cannot be exported."""
    calls = []

    class Counted(ts.Operation):
        def compute(self, *values: Any) -> Any:
            calls.append(1)
            return values[0]

    x = ts.placeholder()
    one = np.ones(1)
    y = ts.add(ts.add(Counted([x]), Counted([x])), Counted([ts.add(one, one)]))
    session = ts.Session()
    for runs in (1, 2):
        session.run(y, {x: one})
        assert len(calls) == 3 * runs
    with pytest.raises(errors.ExportError, match="it is a Python function"):
        to_onnx({"y": y}, [x])


def test_a_gradient_that_is_missing_or_there_twice_is_named() -> None:
    with pytest.raises(errors.GradientError, match=r"no gradient is registered for Orphan: 'Orphan' .*\.py:\d+"):
        step_of(Orphan(ts.Variable([1.0])))
    for kind in ("Cube", Square, "sigmoid"):
        with pytest.raises(errors.GradientError, match="has a gradient already"):
            ts.RegisterGradient(kind)(cube_gradient)


# numbers


def test_softmax_and_sigmoid_of_large_numbers() -> None:
    """Its softmax gave NaN, its sigmoid a warning, which is an error in these tests."""
    np.testing.assert_array_equal(run(ts.softmax([[1000.0, 0.0]])), [[1, 0]])
    np.testing.assert_array_equal(run(ts.softmax([1000.0, 0.0])), [1, 0])
    np.testing.assert_array_equal(run(ts.sigmoid([-1000.0, 1000.0])), [0, 1])


def test_the_loss_of_a_certain_classifier_is_finite() -> None:
    """0 * log(0) is NaN by IEEE's rules; the logarithm of a softmax is taken as one function."""
    X, zero = ts.placeholder(), ts.placeholder()
    J = ts.negative(ts.reduce_sum(ts.multiply([[1, 0]], ts.log(ts.softmax(X)))))
    assert run(J, {X: [[1000.0, 0.0]]}) == 0.0
    assert np.isnan(run(ts.multiply(0.0, ts.log(zero)), {zero: 0.0}))
    logits = engine.constant(np.array([[1000.0, 0.0]]))
    assert engine.Session().run(engine.softmax_cross_entropy_with_logits(np.array([[1.0, 0.0]]), logits)) == [0.0]


# size


def test_shared_operands_cost_nothing() -> None:
    """64 levels of add(x, x); its cost doubled with every level."""
    x = ts.Variable(1.0)
    y: Any = x
    for _ in range(64):
        y = ts.add(y, y)
    assert run(y) == 2.0**64
    assert ts.train.compute_gradients(y)[x] == 2.0**64


def test_long_chains_do_not_recurse() -> None:
    """It stopped at 2,000 ops; the engine's own test has 100,000."""
    x = ts.Variable(1.0)
    y: Any = x
    for _ in range(5_000):
        y = ts.negative(y)
    assert trained(y, x, 1.0) == 0.0


def test_sessions_in_threads_do_not_meet() -> None:
    """No value of a run lies on a node."""
    x = ts.placeholder()
    y = ts.reduce_sum(ts.sigmoid(ts.multiply(x, x)))
    inputs = [np.full(2000 + number, float(number)) for number in range(3)]
    expected = [run(y, {x: value}) for value in inputs]
    assert not hasattr(y, "output")
    wrong: list[int] = []

    def work(number: int) -> None:
        session = ts.Session()
        wrong.extend(number for _ in range(50) if session.run(y, {x: inputs[number]}) != expected[number])

    threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
