"""Passes: what each does. That none changes a number is shown on random graphs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import tsengine as ts
from tsengine.compiler.memory import Placement
from tsengine.compiler.pipeline import compile_program
from tsengine.compiler.program import Program
from tsengine.compiler.verify import verify, verify_memory
from tsengine.errors import CompileError
from tsengine.profile import Line
from tsengine.testing.interpreter import interpret

pytestmark = pytest.mark.usefixtures("kernels")


@pytest.fixture(autouse=True)
def graph() -> Iterator[ts.Graph]:
    with ts.Graph().as_default() as graph:
        yield graph


def ops(program: Program) -> list[str]:
    return [step.op.name for step in program.steps]


def profiled(fetches: list[ts.Node], feeds: dict[ts.Node, Any]) -> list[Line]:
    session = ts.Session()
    session.run(fetches, feeds, profile=True)
    assert session.profile is not None
    return session.profile.lines


def test_fold_computes_constants_and_known_shapes() -> None:
    x = ts.placeholder(np.float32, [2, 3])
    y = x * (ts.constant(2.0) + 3.0) + ts.reduce_sum(ts.ones_like(x))
    assert "fill_like" not in ops(compile_program([y], [x]))
    assert ops(compile_program([y], [x])).count("add") == 1
    assert ops(compile_program([y], [x], disable={"fold"})).count("add") == 2
    np.testing.assert_array_equal(ts.Session().run(y, {x: np.ones((2, 3))}), np.full((2, 3), 11))


def test_cse_shares_equal_steps_and_respects_order_and_attributes() -> None:
    x, y = ts.placeholder(np.float32, [None, 2]), ts.placeholder(np.float32, [None, 2])
    same = [x * y, y * x]
    other = [x - y, y - x, ts.reduce_sum(x, axis=0), ts.reduce_sum(x, axis=1)]
    program = compile_program([*same, *other], [x, y])
    assert ops(program).count("multiply") == 1
    assert ops(program).count("subtract") == 2
    assert ops(program).count("reduce_sum") == 2
    assert program.fetches[0] == program.fetches[1]


def test_rewrite_makes_the_log_of_a_softmax_finite() -> None:
    x, c = ts.Variable(np.array([[1000.0, 0.0]])), ts.constant([[0.0, 1.0]], dtype=np.float64)
    loss = -ts.reduce_sum(c * ts.log(ts.softmax(x)))
    (grad,) = ts.gradients(loss, [x])
    assert isinstance(grad, ts.Node)
    value, slope = ts.Session().run([loss, grad])
    assert value == 1000.0
    np.testing.assert_allclose(slope, [[1.0, -1.0]])
    assert not np.isfinite(ts.Session(disable={"rewrite"}).run(loss))
    assert "softmax_gradient" not in ops(compile_program([grad], []))


def test_rewrite_drops_what_does_nothing() -> None:
    x = ts.placeholder(np.float32, [None])
    y = ts.identity(ts.negative(-(x * 1.0))) / 1.0
    assert ops(compile_program([ts.exp(y)], [x])).count("exp") == 1
    assert set(ops(compile_program([ts.exp(y)], [x]))) <= {"placeholder", "exp", "constant"}
    kept = x + 0.0  # not an identity: it turns -0 into 0
    assert "add" in ops(compile_program([kept], [x]))


def test_rewrite_keeps_a_cast_that_loses_something() -> None:
    x = ts.placeholder("int64", (2,))
    y = ts.cast(ts.cast(x, "float64"), "int64")
    z = ts.cast(ts.cast(ts.cast(x, "int32"), "float64"), "int32")
    numbers = np.array([2**53 + 1, 5])
    session = ts.Session()
    np.testing.assert_array_equal(session.run(y, {x: numbers}), [2**53, 5])
    assert session.plan(z, {x: numbers}).dump().count("cast(") == 1


def test_fuse_takes_only_chains_that_nobody_else_reads() -> None:
    x, w, b = ts.placeholder(np.float32, [None, 3]), ts.Variable(np.ones((3, 2), np.float32)), ts.Variable([1.0, -9.0])
    h = ts.relu(ts.bias_add(x @ w, b))
    assert ops(compile_program([h], [x])).count("fused_linear") == 1
    (grad,) = ts.gradients(h, [w])
    assert isinstance(grad, ts.Node)
    plan = ts.Session().plan([h, grad], {x: np.ones((2, 3))})
    assert [line.op for line in profiled([h, grad], {x: np.ones((2, 3))})].count("matmul") == 1  # the gradient's own
    assert plan.dump().count("= matmul") == 1  # that of the forward pass is in the fused step alone
    product = h.inputs[0].inputs[0]
    assert "fused_linear" not in ops(compile_program([h, product], [x]))
    both = ts.Session().run([h, product, ts.shape_of(product)], {x: np.ones((2, 3))})
    np.testing.assert_array_equal(both[0], [[4, 0], [4, 0]])
    np.testing.assert_array_equal(both[2], [2, 2])


def test_fuse_leaves_a_product_whose_shape_was_looked_at_before() -> None:
    x, w, b = ts.placeholder(np.float32, [None, 3]), ts.Variable(np.ones((3, 2), np.float32)), ts.Variable([1.0, -9.0])
    product = x @ w
    sizes = ts.shape_of(product)
    h = ts.relu(ts.bias_add(product, b))
    got = ts.Session(checked=True).run([h, sizes], {x: np.ones((2, 3))})
    np.testing.assert_array_equal(got[0], [[4, 0], [4, 0]])
    np.testing.assert_array_equal(got[1], [2, 2])


def test_a_sum_over_gathered_rows_becomes_a_bag_and_its_gradient_needs_only_the_shape_of_the_rows() -> None:
    table = ts.Variable(np.arange(12, dtype=np.float64).reshape(6, 2))
    ids = ts.placeholder(np.int32, [None, 3])
    bags = ts.reduce_sum(ts.gather(table, ids), axis=1)
    (grad,) = ts.gradients(ts.reduce_sum(ts.square(bags)), [table])
    assert isinstance(grad, ts.IndexedSlices)
    feeds = {ids: np.array([[0, 0, 5], [1, 2, 3]])}
    fetches = [bags, grad.to_dense()]
    ran = [line.op for line in profiled(fetches, feeds)]
    assert "fused_gather_sum" in ran
    assert "gather" not in ran
    got, slope = ts.Session(checked=True).run(fetches, feeds)
    np.testing.assert_array_equal(got, [[10, 13], [12, 15]])
    np.testing.assert_array_equal(slope[5], [20, 26])
    np.testing.assert_array_equal(slope[0], [40, 52])
    np.testing.assert_array_equal(slope[4], [0, 0])


def test_a_sum_to_the_shape_that_a_value_has_is_that_value_once_the_shapes_are_known() -> None:
    x, b = ts.placeholder(np.float64, [None, 3]), ts.placeholder(np.float64, [None, 3])
    (slope,) = ts.gradients(ts.reduce_sum(ts.square(x + b)), [b])
    assert isinstance(slope, ts.Node)
    session = ts.Session()
    for rows, kept in ((2, 0), (1, 1)):
        feeds = {x: np.ones((2, 3)), b: np.ones((rows, 3))}
        assert session.plan(slope, feeds).dump().count("= sum_to_like") == kept
        np.testing.assert_array_equal(session.run(slope, feeds), np.full((rows, 3), 4 * 2 / rows))


def test_a_product_is_not_made_for_a_part_of_a_concatenation_that_no_gradient_needs() -> None:
    left, right = ts.Variable(np.ones((4, 3))), ts.placeholder(np.float64, [None, 2])
    w = ts.Variable(np.arange(20.0).reshape(5, 4))
    loss = ts.reduce_sum(ts.square(ts.concat([left, right], axis=1) @ w))
    (grad,) = ts.gradients(loss, [left])
    feeds = {right: np.full((4, 2), 0.5)}
    assert isinstance(grad, ts.Node)
    got, plain = (ts.Session(disable=names).run(grad, feeds) for names in ((), ("fuse",)))
    np.testing.assert_allclose(got, plain, rtol=1e-12)
    assert "fused_matmul_columns" in [line.op for line in profiled([grad], feeds)]
    both = [item for item in ts.gradients(loss, [left, right]) if isinstance(item, ts.Node)]
    assert "fused_matmul_columns" not in [line.op for line in profiled(both, feeds)]


@pytest.mark.parametrize("sparse", [False, True])
def test_cross_entropy_is_one_step_each_way(sparse: bool) -> None:
    logits = ts.placeholder(np.float64, [None, 3])
    scores = np.array([[1.0, 2.0, 0.5], [1000.0, -1000.0, 0.0]])
    classes = np.array([1, 2], np.int32)
    given = classes if sparse else np.eye(3)[classes] * [[0.5], [1.0]]
    labels = ts.placeholder(given.dtype, [None] * given.ndim)
    kind = ts.sparse_softmax_cross_entropy_with_logits if sparse else ts.softmax_cross_entropy_with_logits
    loss, feeds = kind(labels, logits), {logits: scores, labels: given}
    (grad,) = ts.gradients(ts.reduce_sum(loss), [logits])
    assert isinstance(grad, ts.Node)
    ran = [line.op for line in profiled([loss, grad], feeds)]
    assert sum(op.startswith("fused") and "likelihood" in op for op in ran) == 2
    assert not {"log_softmax", "log_softmax_gradient", "multiply", "place_class"} & set(ran)
    p = np.exp(scores - scores.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    weight = np.array([1.0, 1.0]) if sparse else np.array([0.5, 1.0])
    for disable in ((), ("fuse",)):
        value, slope = ts.Session(disable=disable, checked=True).run([loss, grad], feeds)
        np.testing.assert_allclose(value, weight * [-np.log(p[0, 1]), 1000.0], rtol=1e-14)
        np.testing.assert_allclose(slope, weight[:, None] * (p - np.eye(3)[classes]), rtol=1e-14)


def test_the_written_out_cross_entropy_is_fused_too() -> None:
    logits, c = ts.placeholder(np.float64, [None, 2]), ts.placeholder(np.float64, [None, 2])
    inner = ts.reduce_sum(ts.multiply(c, ts.log(ts.softmax(logits))), axis=1)
    loss = ts.negative(ts.reduce_sum(inner))
    assert "fused_log_likelihood" in ops(compile_program([loss], [logits, c]))


def test_memory_is_reused_in_place_and_says_so() -> None:
    x = ts.placeholder(np.float32, [None])
    y = x
    for _ in range(10):
        y = ts.exp(ts.sigmoid(y))
    plan = ts.Session().plan(y, {x: np.zeros(1000)})
    assert len(plan.memory.sizes) == 1
    assert plan.memory.bytes_before == 20 * 4000
    assert plan.memory.bytes_after == 4000
    assert "in place" in plan.dump()
    assert ts.Session(disable={"memory"}).plan(y, {x: np.zeros(1000)}).memory.bytes_after == 80_000


def test_a_view_keeps_its_buffer_alive(kernels: str) -> None:
    x = ts.placeholder(np.float32, [4, 4])
    base = ts.exp(x)
    late = ts.transpose(base)[0]
    busy = ts.sigmoid(ts.tanh(ts.sigmoid(x * 2.0) + x))
    y = ts.reduce_sum(busy, axis=0) + late
    values = np.arange(16, dtype=np.float32).reshape(4, 4) / 10
    rtol = 0 if kernels == "numpy" else 1e-6
    np.testing.assert_allclose(ts.Session().run(y, {x: values}), interpret([y], {x: values})[0], rtol=rtol)


def test_a_view_that_has_to_copy_copies_in_every_run() -> None:
    x = ts.placeholder(np.float32, [2, 3])
    y = ts.reshape(ts.transpose(ts.exp(x)), [-1])
    session = ts.Session()
    for values in (np.zeros((2, 3)), np.arange(6.0).reshape(2, 3)):
        np.testing.assert_allclose(session.run(y, {x: values}), np.exp(values).T.ravel(), rtol=1e-6)


def test_verification_finds_what_is_broken() -> None:
    x = ts.placeholder(np.float32, [3])
    y = ts.exp(x) + ts.tanh(x)
    program = compile_program([y], [x])
    with pytest.raises(CompileError, match="before it is made"):
        verify(program.after(reversed(program.steps)), "a test")
    with pytest.raises(CompileError, match="is made twice"):
        verify(program.after((*program.steps, program.steps[-1])), "a test")
    plan = ts.Session(disable={"memory"}).plan(y, {x: np.zeros(3)})
    first, second = (step.id for step in plan.program.steps if step.op.name in ("exp", "tanh"))
    plan.memory.places[second] = Placement("buffer", plan.memory.places[first].buffer)
    with pytest.raises(CompileError, match="while %1 is still read"):
        verify_memory(plan.program, plan.memory)
