"""Random ops: numbers that depend on seed, name and step alone, and dropout whose two passes agree."""

from __future__ import annotations

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

import tsengine as ts
from tsengine import errors
from tsengine.compiler.pipeline import PASSES
from tsengine.graph import apply
from tsengine.onnx import to_onnx
from tsengine.specs import Array
from tsengine.testing.gradcheck import gradient_error
from tsengine.testing.interpreter import interpret
from tsengine.testing.opcases.conv import bits


@pytest.fixture(autouse=True)
def graph() -> Iterator[ts.Graph]:
    with ts.Graph().as_default() as graph:
        yield graph


def _philox(key: tuple[int, int], counter: int) -> list[int]:
    """Philox4x64-10 (Salmon et al. 2011) in Python's integers: the four words of one counter."""
    mask, words, (k0, k1) = 2**64 - 1, [counter, 0, 0, 0], key
    for _ in range(10):
        left, right = 0xD2E7470EE14C6C93 * words[0], 0xCA5A826395121157 * words[2]
        words = [(right >> 64) ^ words[1] ^ k0, right & mask, (left >> 64) ^ words[3] ^ k1, left & mask]
        k0, k1 = (k0 + 0x9E3779B97F4A7C15) & mask, (k1 + 0xBB67AE8584CAA73B) & mask
    return words


def test_numbers_are_philox_s_bits_from_its_paper() -> None:
    noise = ts.random_uniform((11,), seed=5, name="noise")
    value = ts.Session().run(noise, {ts.random_step(): 9})
    key = bits(5, "noise", 9).state["state"]["key"].tolist()
    halves = [half for count in (1, 2) for word in _philox(key, count) for half in (word % 2**32, word >> 32)]
    assert value.tolist() == [(half >> 8) / 2**24 for half in halves[:11]]


def test_moments() -> None:
    uniform = ts.random_uniform((400, 500), -1.0, 3.0)
    normal = ts.random_normal((400, 500), 2.0, 0.5)
    drawn, bell = ts.Session().run([uniform, normal])
    assert drawn.dtype == bell.dtype == np.float32
    assert drawn.min() >= -1 and drawn.max() <= 3
    assert abs(drawn.mean() - 1) < 0.02 and abs(drawn.std() - 4 / math.sqrt(12)) < 0.01
    assert abs(bell.mean() - 2) < 0.01 and abs(bell.std() - 0.5) < 0.01
    assert abs(((bell - 2) ** 4).mean() / 0.5**4 - 3) < 0.1
    assert abs(np.corrcoef(drawn.ravel(), bell.ravel())[0, 1]) < 0.01


def test_every_run_draws_the_next_step() -> None:
    noise, step, session = ts.random_normal((4,)), ts.random_step(), ts.Session()
    runs = [session.run([step, noise]) for _ in range(3)]
    assert [int(number) for number, _ in runs] == [0, 1, 2]
    assert len({value.tobytes() for _, value in runs}) == 3
    for number, value in runs:
        np.testing.assert_array_equal(session.run(noise, {step: number}), value)
    assert session.run(step) == 3  # feeding left it alone


def test_runs_that_draw_nothing_leave_the_step_alone(graph: ts.Graph) -> None:
    noise, session = ts.random_uniform((2,)), ts.Session()
    session.run(noise)
    session.run(ts.constant(1.0) + 1.0)
    assert graph.store.get("random/step") == 1


def test_the_same_graph_and_runs_give_the_same_numbers_and_other_nodes_do_not_matter() -> None:
    def values(before: int, seed: int | None = None) -> list[Array]:
        with ts.Graph().as_default() as graph:
            for place in range(before):
                ts.random_normal((3,), name=f"other_{place}")
            noise = ts.random_normal((3,), seed=seed, name="noise")
            more = [ts.random_normal((3,), name="more")] * before
            session = ts.Session(graph)
            return [session.run([noise, *more])[0] for _ in range(2)]

    np.testing.assert_array_equal(values(0), values(0))
    np.testing.assert_array_equal(values(0), values(2))
    np.testing.assert_array_equal(values(0), values(0, seed=0))
    assert (np.array(values(0)) != np.array(values(0, seed=1))).all()


def test_two_nodes_differ_and_are_neither_shared_nor_folded() -> None:
    x = ts.constant(np.ones((5, 8), np.float32))
    pairs = [(ts.random_uniform((40,)), ts.random_uniform((40,))), (ts.dropout(x, 0.5), ts.dropout(x, 0.5))]
    session = ts.Session(checked=True)
    first, second = session.run(pairs), session.run(pairs)
    for (a, b), (later, _) in zip(first, second, strict=True):
        assert (a != b).any() and (a != later).any()


def test_passes_and_the_interpreter_draw_the_same(graph: ts.Graph) -> None:
    x = ts.placeholder(np.float64, [None, 3])
    y = ts.dropout(ts.exp(x), 0.4) + ts.random_normal((3,), dtype=np.float64)
    (grad,) = ts.gradients(y, [x])
    feeds = {x: np.arange(12.0).reshape(4, 3) / 12, ts.random_step(): 5}
    want = ts.Session(graph, checked=True).run([y, grad], feeds)
    for disable in (PASSES, ("memory",), ("cse",)):
        np.testing.assert_array_equal(ts.Session(graph, disable=disable).run([y, grad], feeds), want)
    assert isinstance(grad, ts.Node)
    np.testing.assert_array_equal(interpret([y, grad], feeds), want)


def test_the_state_is_an_integer_among_the_variables(graph: ts.Graph) -> None:
    noise, session = ts.random_uniform((3,)), ts.Session()
    session.run(noise)
    saved = {name: graph.store.get(name) for name in graph.variables}
    assert saved == {"random/step": 1}
    later = session.run(noise)
    graph.store.set("random/step", saved["random/step"])
    np.testing.assert_array_equal(session.run(noise), later)
    session.run(ts.assign(ts.random_step(), np.int64(1)))
    np.testing.assert_array_equal(session.run(noise), later)
    session.run(ts.global_variables_initializer())
    assert session.run(ts.random_step()) == 0


def test_one_step_for_a_graph_wherever_it_is_first_needed(graph: ts.Graph) -> None:
    with ts.name_scope("tower"):
        noise = ts.random_uniform((3,))
        step = ts.random_step()
    assert (noise.name, step.name) == ("tower/random_uniform", "random/step")
    assert ts.random_step() is step
    assert step not in graph.trainable_variables()


def test_sessions_and_threads_never_share_a_step(graph: ts.Graph) -> None:
    noise, step = ts.random_uniform((50,)), ts.random_step()
    sessions = [ts.Session(graph) for _ in range(4)]

    def draw(session: ts.Session) -> list[tuple[int, bytes]]:
        return [(int(number), value.tobytes()) for number, value in (session.run([step, noise]) for _ in range(50))]

    with ThreadPoolExecutor(4) as pool:
        runs = [item for part in pool.map(draw, sessions) for item in part]
    assert sorted(number for number, _ in runs) == list(range(200))
    for number, value in runs[::20]:
        assert sessions[0].run(noise, {step: number}).tobytes() == value


def test_dropout_keeps_its_share_and_the_expectation() -> None:
    x = np.full((300, 400), 2.0, np.float32)
    y = ts.Session().run(ts.dropout(ts.constant(x), 0.3))
    assert set(np.unique(y).tolist()) == {0.0, float(np.float32(2 / 0.7))}
    assert abs((y == 0).mean() - 0.3) < 0.005
    assert abs(y.mean() - 2) < 0.02


def test_dropout_uses_one_mask_forward_and_backward_and_another_in_the_next_run() -> None:
    x = ts.placeholder(np.float32, [None, 50])
    y = ts.dropout(x, 0.5)
    (grad,) = ts.gradients(y, [x])
    session, rows = ts.Session(), np.ones((20, 50), np.float32)
    masks = []
    for _ in range(2):
        value, slope = session.run([y, grad], {x: rows})
        np.testing.assert_array_equal(slope, value)  # of ones, both are the mask times 2
        masks.append(value)
    assert 300 < (masks[0] != masks[1]).sum() < 700


def test_dropout_drops_what_is_not_a_number() -> None:
    y = ts.Session().run(ts.dropout(ts.constant(np.full(100, np.nan, np.float32)), 0.5))
    assert 0 < (y == 0).sum() < 100


def test_dropout_s_gradients_of_both_orders() -> None:
    x = np.random.default_rng(4).standard_normal((4, 5))

    attrs: dict[str, Any] = {"rate": 0.5, "seed": 1, "stream": "mask"}

    def dropped(node: ts.Node) -> ts.Node:
        return apply("dropout", node * node, ts.constant(np.int64(3)), ts.constant(True), **attrs)

    def slope(node: ts.Node) -> ts.Node:
        (grad,) = ts.gradients(dropped(node) * node, [node])
        assert isinstance(grad, ts.Node)
        return grad

    assert gradient_error(dropped, [x]) < 1e-6
    assert gradient_error(slope, [x]) < 1e-6


def test_dropout_is_the_identity_where_it_should_be() -> None:
    x = np.arange(12, dtype=np.float32)
    node, training = ts.placeholder(np.float32, [None]), ts.placeholder(np.bool_, [])
    y, session = ts.dropout(node, 0.5, training=training), ts.Session()
    np.testing.assert_array_equal(session.run(y, {node: x, training: False}), x)
    assert (session.run(y, {node: x, training: True}) != x).any()
    for same in (ts.dropout(node, 0.5, training=False), ts.dropout(node, 0.0)):
        assert same.op.name == "identity"
        np.testing.assert_array_equal(session.run(same, {node: x}), x)


def test_mistakes_are_told() -> None:
    x = ts.placeholder(np.float32, [None])
    with pytest.raises(errors.GraphError, match=r"the rate of dropout must lie in \[0, 1\), got 1"):
        ts.dropout(x, 1)
    with pytest.raises(errors.GraphError, match="training must be bool, got float32"):
        ts.dropout(x, 0.5, training=ts.placeholder(np.float32, []))
    with pytest.raises(errors.GraphError, match=r"the shape of random numbers must be known, got \[-1, 2\]"):
        ts.random_normal((-1, 2))
    with pytest.raises(errors.GraphError, match="random numbers must be floating, got int32"):
        ts.random_uniform((2,), dtype=np.int32)


def test_export_leaves_dropout_out_and_refuses_noise() -> None:
    pytest.importorskip("onnx")
    x = ts.placeholder(np.float32, [None], name="x")
    model = to_onnx({"y": ts.dropout(x, 0.5, training=ts.placeholder(np.bool_, []))}, [x])
    assert [node.op_type for node in model.graph.node] == ["Identity", "Identity"]
    with pytest.raises(errors.ExportError, match="a served model draws no random numbers"):
        to_onnx({"y": x + ts.random_normal((1,))}, [x])
