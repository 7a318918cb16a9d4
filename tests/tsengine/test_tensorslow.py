"""Programs of the TensorSlow project: the reference losses of its two examples, and what it got wrong."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tsengine.compat.tensorslow as ts
from tsengine import errors

pytestmark = pytest.mark.usefixtures("kernels")


def classifier(seed: int) -> dict[str, Any]:
    """examples/perceptron.py: draw order matters for the reference numbers."""
    ts.Graph().as_default()
    random = np.random.RandomState(seed)
    red, blue = random.randn(50, 2) - 2 * np.ones((50, 2)), random.randn(50, 2) + 2 * np.ones((50, 2))
    X, c = ts.placeholder(), ts.placeholder()
    W, b = ts.Variable(random.randn(2, 2)), ts.Variable(random.randn(2))
    p = ts.softmax(ts.add(ts.matmul(X, W), b))
    return {"X": X, "c": c, "p": p, "W": W, "b": b, "points": np.concatenate((blue, red)), "rate": 0.01}


def perceptron(seed: int) -> dict[str, Any]:
    """examples/multi_layer_perceptron.py."""
    ts.Graph().as_default()
    random = np.random.RandomState(seed)
    corners = [np.array([corner]) for corner in ([0, 0], [1, 1], [0, 1], [1, 0])]
    clouds = [0.2 * random.randn(25, 2) + corner for corner in corners]
    X, c = ts.placeholder(), ts.placeholder()
    W_h, b_h = ts.Variable(random.randn(2, 2)), ts.Variable(random.randn(2))
    W, b = ts.Variable(random.randn(2, 2)), ts.Variable(random.randn(2))
    p = ts.softmax(ts.add(ts.matmul(ts.sigmoid(ts.add(ts.matmul(X, W_h), b_h)), W), b))
    return {
        "X": X,
        "c": c,
        "p": p,
        "W": W,
        "b": b,
        "W_h": W_h,
        "points": np.concatenate(clouds[2:] + clouds[:2]),
        "rate": 0.03,
    }


def train(model: dict[str, Any], steps: int) -> tuple[list[float], ts.Session, Any]:
    """The examples' own protocol: run(J), then run(step), with the same feed."""
    loss = ts.negative(ts.reduce_sum(ts.reduce_sum(ts.multiply(model["c"], ts.log(model["p"])), axis=1)))
    step = ts.train.GradientDescentOptimizer(learning_rate=model["rate"]).minimize(loss)
    feed = {model["X"]: model["points"], model["c"]: [[1, 0]] * 50 + [[0, 1]] * 50}
    session, losses = ts.Session(), []
    for _ in range(steps):
        losses.append(session.run(loss, feed))
        assert session.run(step, feed) is None
    return [*losses, session.run(loss, feed)], session, feed


@pytest.mark.parametrize(
    ("seed", "first", "last", "after"),
    [
        (0, 95.68681436534442, 0.4224689151835746, 0.4189391479296046),
        (1, 761.0067187453935, 0.11450099739490137, 0.11391404485085513),
    ],
)
def test_the_perceptron_learns_by_the_reference_losses(seed: int, first: float, last: float, after: float) -> None:
    model = classifier(seed)
    start = model["W"].value, model["b"].value
    losses, session, _ = train(model, 100)
    np.testing.assert_allclose([losses[0], losses[99], losses[100]], [first, last, after], rtol=1e-8, atol=1e-9)
    assert all(np.diff(losses) <= 0)
    W, b = session.run([model["W"], model["b"]])
    np.testing.assert_allclose(W.sum(axis=1), start[0].sum(axis=1), atol=1e-12)  # training a softmax conserves it
    np.testing.assert_allclose(b.sum(), start[1].sum(), atol=1e-12)
    if seed == 0:
        expected = [[1.163180670943239, -1.7717416864616085], [2.124755429641721, -0.36983210303200853]]
        np.testing.assert_allclose(W, expected, rtol=1e-8)


@pytest.mark.parametrize(
    ("seed", "losses_at", "after", "accuracy", "grid"),
    [
        (0, (86.226362, 39.779951, 12.277037, 12.010625), 11.979724849616694, 0.95, 777),
        (1, (75.946232, 11.102530, 5.086520, 4.527557), 4.453556735102899, 0.98, 1987),
    ],
)
def test_the_mlp_learns_by_the_reference_losses(
    seed: int, losses_at: tuple[float, ...], after: float, accuracy: float, grid: int
) -> None:
    model = perceptron(seed)
    losses, session, feed = train(model, 1000)
    np.testing.assert_allclose([losses[at] for at in (0, 100, 500, 900)], losses_at, atol=1e-6)
    np.testing.assert_allclose(losses[1000], after, rtol=1e-8)
    if seed == 0:
        expected = [[-7.288823815152789, -5.462224458987445], [5.658714531833434, 6.898658702834486]]
        np.testing.assert_allclose(session.run(model["W_h"]), expected, rtol=1e-8)
    classes = session.run(model["p"], feed).argmax(axis=1)
    assert np.mean(classes == np.repeat([0, 1], 50)) == accuracy
    line = np.linspace(-2, 2)
    ones = sum(int(session.run(model["p"], {model["X"]: [[x, y]]})[0].argmax()) for x in line for y in line)
    assert ones == grid


def test_forward_values_of_the_notebook() -> None:
    graph = ts.Graph()
    graph.as_default()
    A, b, x = ts.Variable([[1, 0], [0, -1]]), ts.Variable([1, 1]), ts.placeholder()
    session = ts.Session()
    np.testing.assert_array_equal(session.run(ts.add(ts.matmul(A, x), b), {x: [1, 2]}), [2, -1])
    w, bias = ts.Variable([1, 1]), ts.Variable(0)
    y = ts.sigmoid(ts.add(ts.matmul(w, x), bias))
    assert abs(session.run(y, feed_dict={x: (3, 2)}) - 0.9933071490757153) < 1e-15
    assert session.run(x, {x: [1]}).tolist() == [1]
    assert (len(graph.placeholders), len(graph.variables), len(graph.operations)) == (1, 4, 5)


def test_a_step_uses_its_own_feed() -> None:
    ts.Graph().as_default()
    w, x = ts.Variable(1.0), ts.placeholder()
    step = ts.train.GradientDescentOptimizer(1.0).minimize(ts.reduce_sum(ts.multiply(ts.sigmoid(w), x)))
    session = ts.Session()
    session.run(step, {x: [1.0]})
    session.run(step, {x: [1.0]})
    first = 1.0 - 0.19661193324148185
    second = first - 1 / (1 + np.exp(-first)) * (1 - 1 / (1 + np.exp(-first)))
    np.testing.assert_allclose(session.run(w), second, rtol=1e-12)


def test_gradients_that_were_wrong_are_right() -> None:
    ts.Graph().as_default()
    x, s, w = ts.Variable([[1, 2], [3, 4]]), ts.Variable(2), ts.Variable([1, 10])
    found = ts.train.compute_gradients(ts.reduce_sum(ts.matmul(x, x)))
    np.testing.assert_array_equal(found[x], [[7, 11], [9, 13]])
    found = ts.train.compute_gradients(ts.reduce_sum(ts.multiply(np.ones((3, 2)), s)))
    assert found[s] == 6.0
    found = ts.train.compute_gradients(ts.reduce_sum(ts.matmul(x, w)))
    np.testing.assert_array_equal(found[x], [[1, 10], [1, 10]])
    found = ts.train.compute_gradients(ts.reduce_sum(ts.add(x, ts.sigmoid(x)), axis=(0, 1)))
    p = 1 / (1 + np.exp(-np.array([[1.0, 2.0], [3.0, 4.0]])))
    np.testing.assert_allclose(found[x], 1 + p * (1 - p), rtol=1e-12)


class Cube(ts.Operation):
    def compute(self, *values: Any) -> Any:
        return values[0] ** 3


@ts.RegisterGradient("Cube")
def cube_gradient(op: Any, grad: Any) -> Any:
    return 3 * op.inputs[0] ** 2 * grad


def test_a_users_own_operation_runs_and_trains() -> None:
    class Orphan(Cube):
        pass

    with ts.Graph().as_default():
        w = ts.Variable([2.0, 1.0])
        y = Cube([w])
        step = ts.train.GradientDescentOptimizer(0.1).minimize(ts.reduce_sum(y))
        session = ts.Session()
        np.testing.assert_array_equal(session.run(y), [8, 1])
        session.run(step)
        np.testing.assert_allclose(session.run(w), [0.8, 0.7])
        assert y.input_nodes == [w]
        with pytest.raises(errors.GradientError, match="no gradient is registered for Orphan"):
            ts.train.GradientDescentOptimizer(0.1).minimize(Orphan([w]))
    with pytest.raises(errors.GradientError, match="Cube has a gradient already"):
        ts.RegisterGradient("Cube")(cube_gradient)
