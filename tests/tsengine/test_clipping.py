"""Clipping and weight decay: numbers by hand, dense and sparse, alone and in a chain before the rule."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import tsengine as ts
from tsengine import errors
from tsengine.specs import Array
from tsengine.train import (
    GradientDescent,
    Momentum,
    Optimizer,
    Transform,
    clip_by_global_norm,
    clip_by_norm,
    clip_by_value,
    clip_global_norm,
    clip_norm,
    clip_value,
    global_norm,
    weight_decay,
)


@pytest.fixture(autouse=True)
def graph() -> Iterator[ts.Graph]:
    with ts.Graph().as_default() as graph:
        yield graph


def slices(values: Any, indices: Any, rows: int = 4) -> ts.IndexedSlices:
    """Slices of a table [rows, 2]."""
    table = ts.Variable(np.zeros((rows, 2)))
    return ts.IndexedSlices(ts.constant(np.asarray(values, float)), ts.constant(np.asarray(indices, np.int32)), table)


def dense(grad: ts.Node | ts.IndexedSlices | None) -> Array:
    assert grad is not None
    return np.asarray(ts.Session().run(grad.to_dense() if isinstance(grad, ts.IndexedSlices) else grad))


def moved(*transforms: Transform, w: Any = (0.0, 0.0), slope: Any = (3.0, -4.0)) -> Array:
    """What a step of plain descent with rate 1 takes from w."""
    variable = ts.Variable(np.array(w))
    step = Optimizer(GradientDescent(), 1.0, transforms=transforms).minimize(ts.reduce_sum(variable * np.array(slope)))
    ts.Session().run(step)
    return np.asarray(w) - variable.graph.store.get(variable.name)


@pytest.mark.parametrize(
    ("transforms", "expected"),
    [
        ((), [3.0, -4.0]),
        ((clip_by_value(-1.0, 2.0),), [2.0, -1.0]),
        ((clip_by_norm(2.5),), [1.5, -2.0]),
        ((clip_by_norm(5.0),), [3.0, -4.0]),
        ((clip_by_global_norm(1.0),), [0.6, -0.8]),
        ((clip_by_value(-3.0, 1.0), clip_by_norm(1.0)), [1 / np.sqrt(10), -3 / np.sqrt(10)]),
        ((clip_by_norm(1.0), clip_by_value(-0.7, 0.5)), [0.5, -0.7]),
    ],
    ids=repr,
)
def test_pieces_chain_before_the_rule(transforms: tuple[Transform, ...], expected: list[float]) -> None:
    np.testing.assert_allclose(moved(*transforms), expected, rtol=1e-12)


def test_a_global_norm_is_over_all_variables_and_a_norm_over_each() -> None:
    """|a| = 3, |table| = 4 (a row named twice: 1.5 + 2.5), so the norm is 5."""
    a = ts.constant(np.array([[3.0], [0.0]]))
    table = slices([[0, 1.5], [0, 2.5]], [2, 2])
    together, norm = clip_global_norm([a, None, table], 2.5)
    assert together[1] is None
    np.testing.assert_allclose(dense(together[0]), [[1.5], [0.0]])
    np.testing.assert_allclose(dense(together[2]), [[0.0, 0.0], [0.0, 0.0], [0.0, 2.0], [0.0, 0.0]])
    assert ts.Session().run(norm) == ts.Session().run(global_norm([table, a])) == 5.0
    np.testing.assert_allclose(dense(clip_norm(a, 3.5)), [[3.0], [0.0]])
    np.testing.assert_allclose(dense(clip_norm(table, 2.0))[2], [0.0, 2.0])


CLIPS: list[Callable[[Any], Any]] = [
    lambda g: clip_value(g, -0.5, 0.8),
    lambda g: clip_norm(g, 1.5),
    lambda g: clip_global_norm([g], 1.5)[0][0],
]


@pytest.mark.parametrize("clip", CLIPS)
@pytest.mark.parametrize("ids", [[2, 0, 2, 2, 1, 0], [3, 1, 0, 2, 4, 5], []])
def test_slices_are_clipped_as_the_gradient_that_they_stand_for(clip: Callable[[Any], Any], ids: list[int]) -> None:
    values = np.random.default_rng(0).standard_normal((len(ids), 2))
    sparse = slices(values, ids, rows=6)
    np.testing.assert_allclose(dense(clip(sparse)), dense(clip(ts.constant(dense(sparse)))), rtol=1e-12)


def test_duplicates_that_cancel_have_no_norm() -> None:
    """Parts of 100 and -99 are a gradient of 1: their own norm would be 141."""
    table = slices([[100.0, 0], [-99.0, 0]], [1, 1])
    np.testing.assert_array_equal(dense(clip_norm(table, 1.0))[1], [1.0, 0])
    np.testing.assert_array_equal(dense(clip_value(table, -2.0, 2.0))[1], [1.0, 0])


def test_what_is_short_enough_keeps_its_bits_and_dtype() -> None:
    grad = np.random.default_rng(1).standard_normal(50).astype(np.float32)
    clipped = ts.Session().run(clip_norm(ts.constant(grad), 100.0))
    np.testing.assert_array_equal(clipped, grad)
    assert clipped.dtype == np.float32


def test_squares_do_not_overflow_float32() -> None:
    grad = ts.constant(np.array([3e30, 4e30], np.float32))
    np.testing.assert_allclose(ts.Session().run(clip_norm(grad, 1.0)), [0.6, 0.8], rtol=1e-6)


@pytest.mark.parametrize("bad", [np.inf, np.nan])
def test_what_is_not_finite_is_not_hidden(bad: float) -> None:
    grad = ts.constant(np.array([bad, 1.0]))
    assert not np.isfinite(ts.Session().run(clip_norm(grad, 1.0))).all()


def test_a_clipped_table_learns_by_its_rule_and_others_by_theirs(graph: ts.Graph) -> None:
    table, w = ts.Variable(np.zeros((3, 1)), name="table"), ts.Variable(np.zeros(1), name="w")
    loss = ts.reduce_sum(ts.gather(table, ts.constant([1, 1, 2]))) + ts.reduce_sum(w) * 2.0
    optimizer = Optimizer(Momentum(), 1.0, tables=GradientDescent(), transforms=(clip_by_global_norm(1.5),))
    ts.Session().run(optimizer.minimize(loss))  # gradients 2, 1 (rows) and 2: their norm is 3
    np.testing.assert_allclose(graph.store.get("table"), [[0.0], [-1.0], [-0.5]])
    np.testing.assert_allclose(graph.store.get("w"), [-1.0])
    plain = optimizer.compute_gradients(loss, [w])[0][0]
    assert isinstance(plain, ts.Node)
    assert ts.Session().run(plain) == 2.0, "apply_gradients does the transforms"


def test_weight_decay_adds_the_slope_of_half_the_square() -> None:
    np.testing.assert_allclose(moved(weight_decay(0.1), w=(2.0, -5.0)), [3.2, -4.5])


def test_weight_decay_reaches_only_the_variables_named() -> None:
    a, b = ts.Variable(np.array([1.0]), name="a"), ts.Variable(np.array([1.0]), name="b")
    pairs = weight_decay(0.5, only=[a])([(ts.constant(np.zeros(1)), v) for v in (a, b)] + [(None, a)])
    assert [None if grad is None else dense(grad).item() for grad, _ in pairs] == [0.5, 0.0, None]


def test_weight_decay_of_a_table_is_refused() -> None:
    table = ts.Variable(np.ones((3, 1)), name="table")
    loss = ts.reduce_sum(ts.gather(table, ts.constant([1])))
    with pytest.raises(errors.GradientError, match=r"'table' has a sparse gradient, decay would reach only the rows"):
        Optimizer(GradientDescent(), 0.1, transforms=(weight_decay(0.1),)).minimize(loss)
    Optimizer(GradientDescent(), 0.1, transforms=(weight_decay(0.1, only=[]),)).minimize(loss)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: clip_by_value(0.5, 1.0), r"the bounds must hold 0, got \[0.5, 1.0\]"),
        (lambda: clip_by_norm(0.0), "a limit > 0, got 0.0"),
        (lambda: clip_by_global_norm(float("nan")), "a limit > 0, got nan"),
        (lambda: global_norm([None]), "the norm of no gradient at all"),
    ],
)
def test_bounds_that_make_no_sense_are_refused(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
