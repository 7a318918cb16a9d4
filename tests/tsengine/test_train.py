"""Optimizers: pinned steps, convergence, slices and rows against the whole, and the graph around them."""

from __future__ import annotations

from collections.abc import Iterator
from math import sqrt
from typing import Any, NamedTuple

import numpy as np
import pytest

import tsengine as ts
from tsengine import errors
from tsengine.specs import Array, spec_of
from tsengine.train import (
    FTRL,
    Adagrad,
    Adam,
    AdamW,
    GradientDescent,
    LazyAdam,
    Momentum,
    Optimizer,
    RMSProp,
    RowWiseAdagrad,
    Rule,
    dedupe,
)

pytestmark = pytest.mark.usefixtures("kernels")


class Trial(NamedTuple):
    """A rule, and the rates with which it must find the minimum of each problem."""

    rule: Rule
    parabola: float
    rosenbrock: float
    table: float


TRIALS = [
    Trial(GradientDescent(), 0.1, 0.001, 0.1),
    Trial(Momentum(), 0.02, 0.0003, 0.02),
    Trial(Momentum(nesterov=True), 0.02, 0.0003, 0.02),
    Trial(Adagrad(), 0.5, 0.3, 0.5),
    Trial(RowWiseAdagrad(), 0.5, 0.3, 0.5),
    Trial(RMSProp(), 0.01, 0.001, 0.01),
    Trial(RMSProp(momentum=0.9), 0.001, 0.0003, 0.002),
    Trial(Adam(), 0.05, 0.02, 0.02),
    Trial(LazyAdam(), 0.05, 0.02, 0.02),
    Trial(AdamW(decay=1e-4, decay_rows=True), 0.05, 0.02, 0.02),
    Trial(FTRL(), 0.5, 0.3, 0.5),
    Trial(FTRL(learning_rate_power=-0.7), 0.5, 3.0, 2.0),
]
RULES = [trial.rule for trial in TRIALS]


@pytest.fixture(autouse=True)
def graph() -> Iterator[ts.Graph]:
    with ts.Graph().as_default() as graph:
        yield graph


def slots_of(rule: Rule, param: Array) -> dict[str, Array]:
    return {name: np.full(slot.shape, slot.fill, slot.dtype) for name, slot in rule.slots(spec_of(param)).items()}


def test_every_rule_is_on_trial() -> None:
    public = {item for item in vars(ts.train).values() if isinstance(item, type) and Rule in item.__mro__[1:]}
    assert public == {type(rule) for rule in RULES}


@pytest.mark.parametrize("trial", TRIALS, ids=lambda trial: repr(trial.rule))
def test_a_parabola_is_minimized(trial: Trial) -> None:
    x = ts.Variable(np.array([3.0, -2.0]))
    step = Optimizer(trial.rule, trial.parabola).minimize(ts.reduce_sum(ts.square(x - np.array([1.0, 0.5]))))
    session = ts.Session()
    for _ in range(600):
        session.run(step)
    assert session.stats.plans == session.stats.bindings == 1
    np.testing.assert_allclose(session.run(x), [1.0, 0.5], atol=1e-2)


@pytest.mark.parametrize("trial", TRIALS, ids=lambda trial: repr(trial.rule))
def test_rosenbrock_is_minimized(trial: Trial) -> None:
    x = ts.Variable(np.array([-0.5, 0.8]))
    a, b = x[0], x[1]
    step = Optimizer(trial.rule, trial.rosenbrock).minimize(ts.square(1.0 - a) + 100.0 * ts.square(b - a * a))
    run = ts.Session().make_callable(step)
    for _ in range(12_000):
        run()
    np.testing.assert_allclose(ts.Session().run(x), [1.0, 1.0], atol=0.05)


@pytest.mark.parametrize("trial", TRIALS, ids=lambda trial: repr(trial.rule))
def test_a_sparse_table_is_learned(trial: Trial) -> None:
    """Each step sees 16 of 40 rows, some of them twice; the loss is 0 where every row is its target."""
    rng = np.random.default_rng(5)
    target = rng.standard_normal((40, 3)).astype(np.float32)
    table, ids = ts.Variable(np.zeros((40, 3), np.float32)), ts.placeholder(np.int32, (None,))
    missed = ts.square(ts.gather(table, ids) - ts.gather(ts.constant(target), ids))
    step = Optimizer(GradientDescent(), trial.table, tables=trial.rule).minimize(ts.reduce_sum(missed))
    run = ts.Session().make_callable(step, [ids])
    for _ in range(1500):
        run(rng.integers(0, 40, 16).astype(np.int32))
    np.testing.assert_allclose(ts.Session().run(table), target, atol=0.05)


# Two steps from w = 1 with the gradients 0.5 and -2 and a rate of 0.1, worked out by hand from the published formulas.
# Epsilons are large, so that where they stand shows.
PINNED: list[tuple[Rule, float, float]] = [
    (GradientDescent(), 0.95, 1.15),
    # TensorFlow's ApplyMomentum, PyTorch's SGD(momentum=0.9): a = 0.5, then 0.45 - 2 = -1.55
    (Momentum(0.9), 0.95, 1.105),
    # nesterov: 1 - 0.1 * (0.5 + 0.9 * 0.5), then + 0.1 * (2 + 0.9 * 1.55)
    (Momentum(0.9, nesterov=True), 0.905, 1.2445),
    # TensorFlow's ApplyAdagradV2: n = 0.1 + 0.25, then + 4; epsilon outside the root
    (Adagrad(0.1, 0.01), 1 - 0.05 / (sqrt(0.35) + 0.01), 1 - 0.05 / (sqrt(0.35) + 0.01) + 0.2 / (sqrt(4.35) + 0.01)),
    # FBGEMM's EXACT_ROWWISE_ADAGRAD, rows of one number: s = 0.25, then 4.25
    (RowWiseAdagrad(0.0, 0.01), 1 - 0.05 / 0.51, 1 - 0.05 / 0.51 + 0.2 / (sqrt(4.25) + 0.01)),
    # TensorFlow's ApplyRMSProp: s = 0.9 + 0.1 * 0.25, then 0.9 * 0.925 + 0.1 * 4; epsilon inside the root, momentum 0.5
    (
        RMSProp(0.9, 0.5, 0.01),
        1 - 0.05 / sqrt(0.935),
        1 - 1.5 * 0.05 / sqrt(0.935) + 0.2 / sqrt(1.2425),
    ),
    # TensorFlow's ApplyAdam: m = 0.05, then -0.155; v = 0.0025, then 0.042475; the rate 0.1 * 0.1 / 0.1 = 0.1 at first
    *(
        (
            rule(0.9, 0.99, 0.01),
            1 - 0.1 * 0.05 / 0.06,
            1 - 0.1 * 0.05 / 0.06 + 0.1 * sqrt(0.0199) / 0.19 * 0.155 / (sqrt(0.042475) + 0.01),
        )
        for rule in (Adam, LazyAdam)
    ),
    # PyTorch's AdamW(weight_decay=0.1): w * 0.99, then the step with m / (1 - b1^t), v / (1 - b2^t)
    (
        AdamW(0.9, 0.99, 0.01, decay=0.1, decay_rows=True),
        0.99 - 0.1 * 0.5 / 0.51,
        (0.99 - 0.1 * 0.5 / 0.51) * 0.99 + 0.1 * 0.155 / 0.19 / (sqrt(0.042475 / 0.0199) + 0.01),
    ),
    # TensorFlow's ApplyFtrl: n = 0.35, then 4.35; z = -2.2538, then -9.2709; 2 * l2 stands beside n^0.5 / lr
    (FTRL(l1=0.2, l2=0.1), 0.335803684021, 0.430785538052),
]


@pytest.mark.parametrize(("rule", "first", "second"), PINNED, ids=lambda item: repr(item))
@pytest.mark.parametrize("rows", [False, True])
def test_the_first_two_steps_by_hand(rule: Rule, first: float, second: float, rows: bool) -> None:
    param = np.array([[1.0]])
    slots = slots_of(rule, param)
    for step, (slope, expected) in enumerate(((0.5, first), (-2.0, second))):
        grad = np.array([[slope]])
        if rows:
            rule.apply_rows(param, slots, np.array([0]), grad, step, 0.1)
        else:
            rule.apply_dense(param, slots, grad, step, 0.1)
        assert param.item() == pytest.approx(expected, rel=1e-9)


def test_every_rule_is_pinned() -> None:
    assert {type(rule) for rule, _, _ in PINNED} == {type(rule) for rule in RULES}


def test_rowwise_adagrad_takes_the_mean_over_the_row() -> None:
    param, grad = np.zeros((1, 2)), np.array([[0.5, -2.0]])
    RowWiseAdagrad().apply_dense(param, {"row_accumulator": np.zeros(1)}, grad, 0, 0.1)
    np.testing.assert_allclose(param, -0.1 * grad / (sqrt(4.25 / 2) + 1e-8), rtol=1e-12)


def test_the_constants_are_those_of_the_libraries_named() -> None:
    found = {type(rule)(): slots_of(type(rule)(), np.zeros(1)) for rule in RULES}
    first = {type(rule): {name: slot.item() for name, slot in slots.items()} for rule, slots in found.items()}
    assert first[Adagrad] == {"accumulator": 0.1}
    assert first[RMSProp] == {"rms": 1.0, "momentum": 0.0}
    assert first[FTRL] == {"accumulator": 0.1, "linear": 0.0}
    assert RMSProp() == RMSProp(0.9, 0.0, 1e-10)
    assert (Adam(), AdamW()) == (Adam(0.9, 0.999, 1e-8), AdamW(0.9, 0.999, 1e-8, 0.01))


def test_adam_against_a_second_implementation() -> None:
    """Algorithm 1 of the paper, as PyTorch has it, with the epsilon that makes the two forms one."""
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


def test_ftrl_from_zero_is_adagrad() -> None:
    rng = np.random.default_rng(6)
    leader, other = np.zeros(5), np.zeros(5)
    slots, others = slots_of(FTRL(), leader), slots_of(Adagrad(), other)
    for step in range(20):
        grad = rng.standard_normal(5)
        FTRL().apply_dense(leader, slots, grad, step, 0.1)
        Adagrad().apply_dense(other, others, grad, step, 0.1)
    np.testing.assert_allclose(leader, other, rtol=1e-9)


def test_ftrl_holds_weak_weights_at_zero_and_forgets_first_values_where_dense() -> None:
    param = np.array([0.0, 0.0, 0.7])
    FTRL(l1=1.0).apply_dense(param, slots_of(FTRL(), param), np.array([0.9, -2.0, 0.0]), 0, 0.1)
    assert (param[0], param[2]) == (0.0, 0.0)
    assert param[1] == pytest.approx((2.0 - 1.0) / (sqrt(4.1) / 0.1))


def test_ftrl_refuses_constants_that_break_the_formula() -> None:
    with pytest.raises(
        ValueError, match=r"l1 must be >= 0, got -1; .*initial must be > 0, got 0; .*power must be <= 0"
    ):
        FTRL(l1=-1, initial=0, learning_rate_power=0.5)
    with pytest.raises(ValueError, match="FTRL divides by its learning rate"):
        FTRL().apply_dense(np.zeros(1), slots_of(FTRL(), np.zeros(1)), np.ones(1), 0, 0.0)


@pytest.mark.parametrize("rule", RULES, ids=repr)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_scalar_learns_and_keeps_its_dtype(rule: Rule, dtype: Any) -> None:
    param, grad = np.array(1.0, dtype), np.array(0.5, dtype)
    slots = slots_of(rule, param)
    rule.apply_dense(param, slots, grad, 0, 0.1)
    vector = np.array([1.0], dtype)
    rule.apply_dense(vector, slots_of(rule, vector), np.array([0.5], dtype), 0, 0.1)
    assert param == vector[0] != 1.0
    assert {param.dtype, *(slot.dtype for slot in slots.values())} == {np.dtype(dtype)}


@pytest.mark.parametrize("rule", [rule for rule in RULES if rule.elementwise], ids=repr)
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
    for name, slot in slots.items():
        np.testing.assert_array_equal(slot, parts[name])


@pytest.mark.parametrize("width", [1, 3, 16])
@pytest.mark.parametrize("rule", [GradientDescent(), Adagrad(), RowWiseAdagrad(), Adam()], ids=repr)
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
    for name, slot in dense_slots.items():
        np.testing.assert_array_equal(slot, sparse_slots[name])


LAZY = [rule for rule in RULES if rule.only_given_rows]


@pytest.mark.parametrize("rule", LAZY, ids=repr)
def test_rows_without_a_gradient_keep_every_bit_of_weight_and_state(rule: Rule) -> None:
    rng = np.random.default_rng(7)
    param = rng.standard_normal((6, 2)).astype(np.float32)
    slots = slots_of(rule, param)
    rule.apply_rows(param, slots, np.arange(6), rng.standard_normal((6, 2)).astype(np.float32), 0, 0.1)
    before = [array.copy() for array in (param, *slots.values())]
    for step in range(1, 4):
        rule.apply_rows(param, slots, np.array([1, 4]), np.ones((2, 2), np.float32), step, 0.1)
        rule.apply_rows(param, slots, np.array([], np.int64), np.ones((0, 2), np.float32), step, 0.1)
    for old, new in zip(before, (param, *slots.values()), strict=True):
        assert old[[0, 2, 3, 5]].tobytes() == new[[0, 2, 3, 5]].tobytes()
        assert (old[[1, 4]] != new[[1, 4]]).all()


def test_adam_goes_on_moving_rows_whose_gradient_is_gone() -> None:
    """TensorFlow 1's sparse Adam: by hand, the second step of a row with gradient 1 once. Without rows too."""
    rule, param = Adam(), np.zeros((3, 1))
    held = slots_of(rule, param)
    rule.apply_rows(param, held, np.array([1]), np.ones((1, 1)), 0, 0.1)
    first = param[1, 0]
    rule.apply_rows(param, held, np.array([], np.int64), np.ones((0, 1)), 1, 0.1)
    rate = 0.1 * sqrt(1 - 0.999**2) / (1 - 0.9**2)
    assert param[1, 0] == pytest.approx(first - rate * 0.09 / (sqrt(0.000999) + 1e-8))
    assert not param[[0, 2]].any()


@pytest.mark.parametrize("shape", [(4,), (4, 3), (4, 2, 3)])
@pytest.mark.parametrize("rule", RULES, ids=repr)
def test_a_batch_may_use_no_row_of_a_table(rule: Rule, shape: tuple[int, ...]) -> None:
    param = np.ones(shape)
    rule.apply_rows(param, slots_of(rule, param), np.array([], np.int64), np.zeros((0, *shape[1:])), 0, 0.1)
    assert param.shape == shape
    np.testing.assert_array_equal(param, 1.0)


@pytest.mark.parametrize("rule", LAZY, ids=repr)
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


def test_rowwise_adagrad_refuses_parts_of_rows() -> None:
    with pytest.raises(ValueError, match="works on whole rows"):
        RowWiseAdagrad().apply_dense(np.zeros(4), {"row_accumulator": np.zeros(2)}, np.zeros(4), 0, 0.1)


def test_adamw_refuses_tables_unless_asked() -> None:
    table = ts.Variable(np.ones((3, 2), np.float32), name="table")
    loss = ts.reduce_sum(ts.gather(table, ts.constant([1])))
    with pytest.raises(errors.GradientError, match=r"'table' has a sparse gradient: AdamW's decay would.*LazyAdam\(\)"):
        Optimizer(AdamW(), 0.1, tables=AdamW()).minimize(loss)
    ts.Session().run(Optimizer(AdamW(), 0.1, tables=AdamW(decay_rows=True)).minimize(loss))
    np.testing.assert_array_equal(ts.Session().run(table)[[0, 2]], 1)


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


@pytest.mark.parametrize("together", [False, True])
def test_two_losses_share_the_slots_and_the_step_of_one_optimizer(graph: ts.Graph, together: bool) -> None:
    """Gradients 0.5 and -2, as pinned above: a = 0.5, w = 0.95; a = 0.45 - 2, w = 0.95 + 0.155. Apart: a = -2."""
    w = ts.Variable(np.array(1.0), name="w")
    optimizer = Optimizer(Momentum(0.9), 0.1)
    first, second = optimizer.minimize(0.5 * w), optimizer.minimize(-2.0 * w)
    for fetches in [[first, second]] if together else [first, second]:
        ts.Session().run(fetches)
    assert sorted(graph.variables) == ["optimizer/step", "w", "w/momentum"]
    assert graph.store.get("optimizer/step") == 2
    np.testing.assert_allclose([graph.store.get("w"), graph.store.get("w/momentum")], [1.105, -1.55], rtol=1e-12)
    other = Optimizer(Momentum(0.9), 0.1, name="other").minimize(-2.0 * w)
    ts.Session().run(other)
    np.testing.assert_allclose([graph.store.get("w"), graph.store.get("w/momentum_1")], [1.305, -2.0], rtol=1e-12)


def test_adam_s_moments_and_its_t_go_on_from_loss_to_loss() -> None:
    """The pinned second step of Adam: were the second loss's t 1 again, the rate would be another."""
    rule, w = Adam(0.9, 0.99, 0.01), ts.Variable(np.array(1.0), name="w")
    optimizer = Optimizer(rule, 0.1)
    for loss in (0.5 * w, -2.0 * w):
        ts.Session().run(optimizer.minimize(loss))
    assert ts.Session().run(w) == pytest.approx(next(after for item, _, after in PINNED if item == rule), rel=1e-12)


@pytest.mark.parametrize(
    ("rule", "slots"), [(Adagrad(), ["t/accumulator"]), (Momentum(), ["t/momentum", "t/accumulator"])]
)
def test_a_table_has_slots_for_each_rule_that_it_learns_by(rule: Rule, slots: list[str], graph: ts.Graph) -> None:
    """The loss of the whole table is for `rule`, that of a row for `tables`; equal rules have one memory."""
    t = ts.Variable(np.ones((2, 1)), name="t")
    optimizer = Optimizer(rule, 0.1, tables=Adagrad())
    optimizer.minimize(ts.reduce_sum(t))
    optimizer.minimize(ts.reduce_sum(ts.gather(t, ts.constant([1]))))
    assert [name for name in graph.variables if name.startswith("t/")] == slots


def test_an_optimizer_for_two_graphs_has_slots_in_each() -> None:
    optimizer = Optimizer(Momentum(), 0.1)
    for graph in (ts.Graph(), ts.Graph()):
        with graph.as_default():
            ts.Session().run(optimizer.minimize(ts.Variable(1.0, name="w") * 2.0))
        assert graph.store.get("w/momentum") == 2.0
