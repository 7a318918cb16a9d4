"""Optimizers: pinned first steps, convergence, slices and rows against the whole, and the graph around them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tsengine as ts
from tsengine import errors
from tsengine.specs import Array, spec_of
from tsengine.train import Adagrad, Adam, GradientDescent, Optimizer, RowWiseAdagrad, Rule, dedupe, restore, save

RULES: list[tuple[Rule, float]] = [(GradientDescent(), 0.1), (Adagrad(), 0.5), (RowWiseAdagrad(), 0.5), (Adam(), 0.05)]
ROSENBROCK = {GradientDescent: 0.001, Adagrad: 0.3, RowWiseAdagrad: 0.3, Adam: 0.02}


@pytest.fixture(autouse=True)
def graph() -> Iterator[ts.Graph]:
    with ts.Graph().as_default() as graph:
        yield graph


def slots_of(rule: Rule, param: Array) -> dict[str, Array]:
    return {name: np.full(slot.shape, slot.fill, slot.dtype) for name, slot in rule.slots(spec_of(param)).items()}


@pytest.mark.parametrize(("rule", "rate"), RULES)
def test_a_parabola_is_minimized(rule: Rule, rate: float) -> None:
    x = ts.Variable(np.array([3.0, -2.0]))
    step = Optimizer(rule, rate).minimize(ts.reduce_sum(ts.square(x - np.array([1.0, 0.5]))))
    session = ts.Session()
    for _ in range(600):
        session.run(step)
    assert session.stats.plans == session.stats.bindings == 1
    np.testing.assert_allclose(session.run(x), [1.0, 0.5], atol=1e-2)


@pytest.mark.parametrize(("rule", "rate"), [(rule, ROSENBROCK[type(rule)]) for rule, _ in RULES])
def test_rosenbrock_is_minimized(rule: Rule, rate: float) -> None:
    x = ts.Variable(np.array([-0.5, 0.8]))
    a, b = x[0], x[1]
    step = Optimizer(rule, rate).minimize(ts.square(1.0 - a) + 100.0 * ts.square(b - a * a))
    run = ts.Session().make_callable(step)
    for _ in range(12_000):
        run()
    np.testing.assert_allclose(ts.Session().run(x), [1.0, 1.0], atol=0.05)


def test_first_steps_by_hand() -> None:
    g = np.array([[0.5, -2.0]])
    expected: dict[type, Any] = {
        GradientDescent: -0.1 * g,
        Adagrad: -0.1 * g / np.sqrt(0.1 + g * g),
        RowWiseAdagrad: -0.1 * g / (np.sqrt((0.25 + 4.0) / 2) + 1e-8),
        Adam: -0.1 * np.sqrt(0.001) / 0.1 * (0.1 * g) / (np.sqrt(0.001 * g * g) + 1e-8),
    }
    for rule, _ in RULES:
        param = np.zeros((1, 2))
        rule.apply_dense(param, slots_of(rule, param), g, 0, 0.1)
        np.testing.assert_allclose(param, expected[type(rule)], rtol=1e-12)


def test_adam_against_a_second_implementation() -> None:
    rng = np.random.default_rng(0)
    param, m, v, other = np.ones(4), np.zeros(4), np.zeros(4), np.ones(4)
    rule = Adam()
    held = slots_of(rule, param)
    for t in range(1, 30):
        g = rng.standard_normal(4)
        rule.apply_dense(param, held, g, t - 1, 0.01)
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        m_hat, v_hat = m / (1 - 0.9**t), v / (1 - 0.999**t)
        other = other - 0.01 * m_hat / (np.sqrt(v_hat) + 1e-8 / np.sqrt(1 - 0.999**t))
    np.testing.assert_allclose(param, other, rtol=1e-10)


@pytest.mark.parametrize("rule", [rule for rule, _ in RULES if rule.elementwise])
def test_any_slicing_gives_the_same_bits(rule: Rule) -> None:
    rng = np.random.default_rng(1)
    start = rng.standard_normal(1003).astype(np.float32)
    whole, sliced = start.copy(), start.copy()
    slots, parts = slots_of(rule, whole), slots_of(rule, sliced)
    for step in range(3):
        grad = rng.standard_normal(1003).astype(np.float32)
        rule.apply_dense(whole, slots, grad, step, 0.01)
        for cut in (slice(0, 1), slice(1, 334), slice(334, 1003)):
            rule.apply_dense(sliced[cut], {name: slot[cut] for name, slot in parts.items()}, grad[cut], step, 0.01)
    np.testing.assert_array_equal(whole, sliced)
    assert whole.dtype == np.float32


@pytest.mark.parametrize("width", [1, 3, 16])
@pytest.mark.parametrize("rule", [GradientDescent(), Adagrad(), RowWiseAdagrad()])
def test_rows_equal_the_dense_step_where_the_rest_has_no_gradient(rule: Rule, width: int) -> None:
    rng = np.random.default_rng(2)
    start = rng.standard_normal((40, width)).astype(np.float32)
    dense, sparse = start.copy(), start.copy()
    dense_slots, sparse_slots = slots_of(rule, dense), slots_of(rule, sparse)
    for step in range(3):
        rows = np.sort(rng.choice(40, 7, replace=False))
        grads = rng.standard_normal((7, width)).astype(np.float32)
        whole = np.zeros_like(start)
        whole[rows] = grads
        rule.apply_dense(dense, dense_slots, whole, step, 0.1)
        rule.apply_rows(sparse, sparse_slots, rows, grads, step, 0.1)
    np.testing.assert_array_equal(dense, sparse)


@pytest.mark.parametrize("rule", [rule for rule, _ in RULES])
def test_rows_may_be_split_among_owners(rule: Rule) -> None:
    rng = np.random.default_rng(3)
    start, grads = (rng.standard_normal((30, 5)).astype(np.float32) for _ in range(2))
    together, apart = start.copy(), start.copy()
    slots, parts = slots_of(rule, together), slots_of(rule, apart)
    rows = np.arange(30)
    rule.apply_rows(together, slots, rows, grads, 0, 0.1)
    for own in (rows[::3], rows[1::3], rows[2::3]):
        rule.apply_rows(apart, parts, own, grads[own], 0, 0.1)
    np.testing.assert_array_equal(together, apart)


def test_lazy_adam_leaves_other_rows_alone() -> None:
    rule, param = Adam(), np.ones((3, 2), np.float32)
    held = slots_of(rule, param)
    for step in range(5):
        rule.apply_rows(param, held, np.array([1]), np.ones((1, 2), np.float32), step, 0.1)
    np.testing.assert_array_equal(param[[0, 2]], 1)
    assert np.all(param[1] < 1)


def test_rowwise_adagrad_refuses_parts_of_rows() -> None:
    with pytest.raises(ValueError, match="works on whole rows"):
        RowWiseAdagrad().apply_dense(np.zeros(4), {"row_accumulator": np.zeros(2)}, np.zeros(4), 0, 0.1)


@pytest.mark.parametrize("shape", [(), (1,), (3,)])
def test_dedupe_sums_what_is_named_twice(shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(4)
    indices, values = rng.integers(0, 9, 50).astype(np.int32), rng.standard_normal((50, *shape))
    rows, sums = dedupe(indices, values)
    assert list(rows) == sorted(set(indices))
    for row, total in zip(rows, sums, strict=True):
        np.testing.assert_allclose(total, values[indices == row].sum(axis=0), rtol=1e-12)
    empty = dedupe(indices[:0], values[:0])
    assert (len(empty[0]), empty[1].shape) == (0, (0, *shape))
    apart = dedupe(np.array([3, 1, 2]), np.array([30.0, 10.0, 20.0]))
    np.testing.assert_array_equal(apart, ([1, 2, 3], [10, 20, 30]))


def test_duplicates_are_summed_before_they_are_squared() -> None:
    table = ts.Variable(np.zeros((2, 1)), name="table")
    loss = ts.reduce_sum(ts.gather(table, ts.constant([0, 0])))
    step = Optimizer(GradientDescent(), 0.1, tables=Adagrad(initial=0.0)).minimize(loss)
    ts.Session().run(step)
    np.testing.assert_allclose(ts.Session().run(table), [[-0.1], [0.0]])
    assert table.graph.store.get("table/accumulator")[0] == 4.0


def test_tables_learn_by_rowwise_adagrad_unless_told_otherwise(graph: ts.Graph) -> None:
    table, w = ts.Variable(np.ones((4, 2), np.float32), name="table"), ts.Variable([1.0, 1.0], name="w")
    loss = ts.reduce_sum(ts.gather(table, ts.constant([1])) * w)
    optimizer = Optimizer(Adam(), lambda step: 0.1 / (step + 1))
    step = optimizer.minimize(loss)
    session = ts.Session()
    assert session.run([loss, step])[0] == 2.0
    session.run(step)
    assert sorted(graph.variables) == ["optimizer/step", "table", "table/row_accumulator", "w", "w/m", "w/v"]
    assert graph.store.get("optimizer/step") == 2
    assert [item.name for item in graph.trainable_variables()] == ["table", "w"]
    assert graph.store.get("table/row_accumulator").shape == (4,)


def test_nothing_to_learn_is_an_error() -> None:
    ts.Variable([1.0], name="w")
    with pytest.raises(errors.GradientError, match="depends on none of w"):
        Optimizer(GradientDescent(), 0.1).minimize(ts.constant(1.0))


def test_saved_arrays_come_back_and_a_failed_save_leaves_the_old_file(tmp_path: Path, monkeypatch: Any) -> None:
    path = str(tmp_path / "weights.safetensors")
    arrays: dict[str, Array] = {"a/b": np.arange(6, dtype=np.float32).reshape(2, 3).T, "step": np.array(7, np.int64)}
    save(path, arrays, {"version": "1"})
    got = restore(path)
    assert set(got) == set(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(got[name], array)
        assert got[name].dtype == array.dtype

    def refuse(*_: object) -> None:
        raise OSError("disk full")

    replace: Callable[..., None] = refuse
    monkeypatch.setattr("os.replace", replace)
    with pytest.raises(OSError, match="disk full"):
        save(path, {"a": np.zeros(3)})
    assert set(restore(path)) == set(arrays)
    assert [item.name for item in tmp_path.iterdir()] == ["weights.safetensors"]
