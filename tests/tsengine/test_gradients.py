"""The gradient driver: accumulation, unbroadcasting, sparse and missing gradients."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import tsengine as ts
from tsengine import errors
from tsengine.testing.gradcheck import gradient_error

pytestmark = pytest.mark.usefixtures("kernels")


@pytest.fixture(autouse=True)
def graph() -> Iterator[ts.Graph]:
    with ts.Graph().as_default() as graph:
        yield graph


def first_gradient(y: ts.Node, x: ts.Node) -> ts.Node:
    (grad,) = ts.gradients(y, [x])
    assert isinstance(grad, ts.Node)
    return grad


def run(fetches: Any, feeds: Any = None) -> Any:
    return ts.Session(checked=True).run(fetches, feeds)


def test_a_node_used_twice_counts_twice() -> None:
    a = ts.Variable([3.0])
    b = a + a
    c = b + b  # the graph that breaks an engine without a topological order
    assert run(ts.gradients(c, [a])[0])[0] == 4.0
    assert run(ts.gradients(a * a, [a])[0])[0] == 6.0
    x = ts.constant([[1.0, 2.0], [3.0, 4.0]])
    np.testing.assert_array_equal(run(ts.gradients(x @ x, [x])[0]), [[7, 11], [9, 13]])


def test_broadcast_is_summed_back() -> None:
    x, w, s = ts.constant(np.ones((3, 2), np.float32)), ts.Variable([[0.0, 0.0]]), ts.Variable(2.0)
    np.testing.assert_array_equal(run(ts.gradients(x + w, [w])[0]), [[3, 3]])
    assert run(ts.gradients(x * s, [s])[0]) == 6.0


def test_vector_products_of_unknown_rank() -> None:
    a, b = ts.placeholder(np.float64), ts.placeholder(np.float64)
    grads = ts.gradients(a @ b, [a, b])
    got = run(grads, {a: [[1.0, 2.0], [3.0, 4.0]], b: [1.0, 10.0]})
    np.testing.assert_array_equal(got[0], [[1, 10], [1, 10]])
    np.testing.assert_array_equal(got[1], [4, 6])


def test_unconnected_stopped_and_weighted() -> None:
    x, y = ts.Variable([1.0]), ts.Variable([2.0])
    assert ts.gradients(x * 2.0, [y]) == [None]
    assert ts.gradients(ts.stop_gradient(x), [x]) == [None]
    h = x * 3.0
    assert ts.gradients(h * y, [x], stop_gradients=[h]) == [None]
    assert run(ts.gradients(h, [x], grad_ys=[ts.constant([5.0])])[0])[0] == 15.0
    assert run(ts.gradients([h, x], [x])[0])[0] == 4.0
    with pytest.raises(errors.GradientError, match="only floats have gradients"):
        ts.gradients(ts.constant(1), [x])


def test_second_derivatives() -> None:
    assert gradient_error(lambda x: first_gradient(ts.sigmoid(x) * x**3.0, x), [np.array([0.3, -1.2, 2.0]) ** 2]) < 1e-5
    assert gradient_error(lambda x: first_gradient(ts.square(ts.softmax(x)), x), [np.array([[0.3, -1.2, 2.0]])]) < 1e-5
    assert gradient_error(lambda x: first_gradient(ts.log_softmax(x) * x, x), [np.array([[0.3, -1.2, 2.0]])]) < 1e-5


def test_a_table_gets_slices_and_several_uses_are_joined() -> None:
    table = ts.Variable(np.zeros((6, 2), np.float32))
    first, second = ts.constant([1, 1]), ts.constant([[4], [1]])
    y = ts.reduce_sum(ts.gather(table, first) * 2.0) + ts.reduce_sum(ts.gather(table, second) * 3.0)
    (grad,) = ts.gradients(y, [table])
    assert isinstance(grad, ts.IndexedSlices)
    assert grad.dense_shape == (6, 2)
    got, dense = run([grad, grad.to_dense()])
    assert isinstance(got, ts.IndexedSlicesValue)
    assert sorted(got.indices) == [1, 1, 1, 4]
    np.testing.assert_array_equal(dense[:, 0], [0, 7, 0, 0, 3, 0])


def test_a_table_used_densely_too_gets_a_dense_gradient() -> None:
    table = ts.Variable(np.ones((3, 2), np.float32))
    y = ts.reduce_sum(ts.gather(table, ts.constant([0, 0]))) + ts.reduce_sum(table * 5.0)
    np.testing.assert_array_equal(run(ts.gradients(y, [table])[0]), [[7, 7], [5, 5], [5, 5]])


def test_gather_of_what_is_no_variable_is_dense() -> None:
    table = ts.Variable(np.ones((3, 2), np.float32))
    y = ts.gather(table * 2.0, ts.constant([2, 2]))
    np.testing.assert_array_equal(run(ts.gradients(y, [table])[0]), [[0, 0], [0, 0], [4, 4]])


@pytest.mark.parametrize("combiner", ["sum", "mean"])
def test_bags_leave_padding_alone(combiner: str) -> None:
    table = ts.Variable(np.arange(8, dtype=np.float32).reshape(4, 2))
    ids, lengths = ts.constant([[1, 2, 99], [0, 0, 0]]), ts.constant([2, 0])
    bag = ts.embedding_bag(table, ids, lengths, combiner)
    value, grad = run([bag, ts.gradients(bag, [table])[0]])
    scale = 2.0 if combiner == "mean" else 1.0
    np.testing.assert_array_equal(value, np.array([[6, 8], [0, 0]]) / scale)
    assert list(grad.indices) == [1, 2]
    np.testing.assert_array_equal(grad.values, np.full((2, 2), 1 / scale))
    with pytest.raises(errors.IndexOutOfRange, match="lengths must lie in"):
        run(ts.embedding_bag(table, ids, ts.constant([4, 0]), combiner))


@pytest.mark.parametrize("loss", [ts.softmax_cross_entropy_with_logits, ts.sparse_softmax_cross_entropy_with_logits])
def test_softmax_losses(loss: Callable[..., ts.Node]) -> None:
    logits = np.array([[1.0, -2.0, 0.5], [0.0, 3.0, 1000.0]])
    sparse = loss is ts.sparse_softmax_cross_entropy_with_logits
    labels = np.array([2, 1]) if sparse else np.eye(3)[[2, 1]]
    value = run(loss(ts.constant(labels), ts.constant(logits)))
    np.testing.assert_allclose(value, [np.log(np.exp([0.5, -2.5, 0]).sum()), 997.0], rtol=1e-12)
    assert gradient_error(lambda x: loss(ts.constant(labels), x), [logits / 10]) < 1e-6


@pytest.mark.parametrize("known_sizes", [False, True])
def test_a_value_that_comes_in_more_than_twice(known_sizes: bool) -> None:
    """Its contributions are one value several times, which must not be overwritten by their own sum."""
    arrays = [np.array([[0.3, -1.2, 2.0]])]
    assert gradient_error(lambda x: ts.square(x + x + x), arrays, known_sizes=known_sizes) < 1e-6
    assert gradient_error(lambda x: (h := ts.tanh(x * 2.0)) + h + h, arrays, known_sizes=known_sizes) < 1e-6
    assert gradient_error(lambda x: ts.add_n([ts.exp(x), x, ts.exp(x)]), arrays, known_sizes=known_sizes) < 1e-6


def test_labels_of_another_shape_than_the_rows_are_refused() -> None:
    logits, labels = ts.placeholder(shape=(1, 4)), ts.placeholder("int32", (3,))
    with pytest.raises(errors.GraphError, match="labels must have the shape of x without its last axis"):
        ts.sparse_softmax_cross_entropy_with_logits(labels, logits)
