"""The compiled kernels against their twins: where they are taken, what they give, what happens where they refuse."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tsengine as ts
import tsengine.kernels
from tsengine.compiler.instructions import Stretch
from tsengine.errors import ExecutionError, IndexOutOfRange
from tsengine.graph import apply
from tsengine.kernels.calls import Calls
from tsengine.kernels.compiled.calls import CompiledCalls
from tsengine.kernels.compiled.encode import TAKEN
from tsengine.specs import Array, Spec
from tsengine.testing.opcases import TABLE, Case
from tsengine.train import (
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
)

RULES: list[Rule] = [
    GradientDescent(),
    Momentum(0.8),
    Momentum(0.8, nesterov=True),
    Adagrad(epsilon=1e-7),
    RowWiseAdagrad(),
    Adam(),
    LazyAdam(beta1=0.8),
    AdamW(decay=0.1, decay_rows=True),
    RMSProp(),
]


@pytest.fixture(autouse=True)
def graph() -> Iterator[ts.Graph]:
    with ts.Graph().as_default() as graph:
        yield graph


def stretched(session: ts.Session, fetches: Any, feeds: dict[ts.Node, Any]) -> list[str]:
    """The ops that the machine does."""
    done = [item for item in session.plan(fetches, feeds).instructions if isinstance(item, Stretch)]
    return [step.op.name for item in done for step in item.steps]


def in_single(case: Case) -> list[Array]:
    return [item.astype(np.float32) if item.dtype == np.float64 else item for item in case.inputs]


@pytest.mark.parametrize("name", sorted(TAKEN))
def test_every_kernel_gives_what_its_twin_gives_in_both_widths(name: str) -> None:
    taken = 0
    for case in TABLE[name].cases:
        for inputs, rtol in ((in_single(case), 2e-5), (list(case.inputs), 1e-12)):
            with ts.Graph().as_default() as graph:
                nodes = [ts.placeholder(item.dtype, item.shape) for item in inputs]
                y = apply(name, *nodes, **case.attrs)
            feeds = dict(zip(nodes, inputs, strict=True))
            compiled = ts.Session(graph, kernels="numba")
            taken += name in stretched(compiled, y, feeds)
            wanted = ts.Session(graph, kernels="numpy").run(y, feeds)
            np.testing.assert_allclose(compiled.run(y, feeds), wanted, rtol=rtol, atol=rtol)
    assert taken >= 2, "the machine takes none of the cases: the test shows nothing"


def test_what_is_not_finite_stays_so() -> None:
    x = ts.placeholder("float32", [None])
    values = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 200.0, -200.0, 88.7, -103.9, 1e-40], np.float32)
    fetches = [ts.exp(x), ts.sigmoid(x), ts.relu(x), -x, ts.square(x), x / 0.0, ts.softmax(x)]
    results = [ts.Session(kernels=name).run(fetches, {x: values}) for name in ("numba", "numpy")]
    for got, wanted in zip(*results, strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-6)


def test_strides_of_every_kind() -> None:
    x, y = ts.placeholder("float32", [None, None]), ts.placeholder("float32", [None])
    fetches = [x + y, ts.transpose(x) * 2.0, x[:, 1:3] - x[0:1, 0:1], ts.concat([x[1:], x[:2]], 0) / (y + 1.0)]
    wide, line = np.arange(40, dtype=np.float32).reshape(5, 8), np.arange(8, dtype=np.float32)
    feeds = {x: wide[:, ::2], y: line[::-2]}  # neither lies in one piece
    results = [ts.Session(kernels=name).run(fetches, feeds) for name in ("numba", "numpy")]
    for got, wanted in zip(*results, strict=True):
        np.testing.assert_array_equal(got, wanted)


def summed(table: ts.Node, ids: ts.Node) -> ts.Node:
    return ts.reduce_sum(ts.gather(table, ids), axis=1)


@pytest.mark.parametrize("lookup", [ts.gather, summed])
@pytest.mark.parametrize("wrong", [-1, 6])
def test_an_id_outside_the_table_is_told_by_the_twin_and_changes_nothing(
    lookup: Callable[..., ts.Node], wrong: int
) -> None:
    table = ts.Variable(np.ones((6, 2), np.float32), name="table")
    ids = ts.placeholder(np.int64, [None, 2])
    session, loss = ts.Session(kernels="numba"), ts.reduce_sum(lookup(table, ids))
    step = Optimizer(GradientDescent(), 1.0, tables=GradientDescent()).minimize(loss)
    session.run(step, {ids: [[0, 1]]})
    with pytest.raises(IndexOutOfRange, match=rf"gather.*made at .*= {wrong} is not in"):
        session.run([loss, step], {ids: [[2, 3], [wrong, 4]]})
    with pytest.raises(IndexOutOfRange, match=rf"(gather|apply_rows).*made at .*= {wrong} is not in \[0, 6\)"):
        session.run(step, {ids: [[2, 3], [wrong, 4]]})
    np.testing.assert_array_equal(session.run(table)[:, 0], [0, 0, 1, 1, 1, 1])


@pytest.mark.parametrize("rule", RULES, ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_optimizers_step_as_their_rules_do(rule: Rule, dtype: str) -> None:
    rng = np.random.default_rng(0)
    start, ids = rng.standard_normal((9, 5)), rng.integers(0, 9, (4, 3))
    learned = []
    for kernels in ("numba", "numpy"):
        with ts.Graph().as_default() as graph:
            table, whole = (ts.Variable(start.astype(dtype), name=name) for name in ("table", "whole"))
            x = ts.placeholder(np.int32, [None, 3])
            bags = ts.reduce_sum(ts.gather(table, x), axis=1)
            loss = ts.reduce_sum(ts.square(bags)) + ts.reduce_sum(ts.square(whole @ np.ones((5, 2), dtype)))
            tables = LazyAdam() if isinstance(rule, Adam) and type(rule) is Adam else rule
            dense = GradientDescent() if isinstance(rule, RowWiseAdagrad) else rule
            step = Optimizer(dense, lambda step: 0.1 / (1 + step), tables=tables).minimize(loss)
        session = ts.Session(graph, kernels=kernels)
        for _ in range(4):
            session.run(step, {x: ids})
        learned.append([session.run(table), session.run(whole)])
        done = stretched(session, step, {x: ids}) if kernels == "numba" else []
        assert ("apply_rows" in done) == (kernels == "numba" and not isinstance(rule, RMSProp))
    for got, wanted in zip(*learned, strict=True):
        np.testing.assert_allclose(got, wanted, rtol=2e-5 if dtype == "float32" else 1e-11)


def test_a_rule_that_inherits_is_not_taken_for_its_parent() -> None:
    class Backwards(GradientDescent):
        def apply_dense(self, param: Array, slots: Any, grad: Array, step: int, learning_rate: float) -> None:
            param += learning_rate * grad

    w = ts.Variable(np.zeros(3, np.float32))
    session = ts.Session(kernels="numba")
    session.run(Optimizer(Backwards(), 0.5).minimize(ts.reduce_sum(w)))
    np.testing.assert_array_equal(session.run(w), [0.5, 0.5, 0.5])


def test_a_second_step_in_the_same_run_has_the_next_rate() -> None:
    learned = []
    for kernels in ("numba", "numpy"):
        with ts.Graph().as_default() as graph:
            w = ts.Variable(np.zeros(2, np.float32))
            optimizer = Optimizer(GradientDescent(), lambda step: 1.0 if step == 0 else 0.25)
            both = [optimizer.minimize(ts.reduce_sum(w)), optimizer.minimize(ts.reduce_sum(3.0 * w))]
        session = ts.Session(graph, kernels=kernels)
        session.run(both)
        learned.append(session.run(w))
    np.testing.assert_array_equal(learned[0], [-1.75, -1.75])
    np.testing.assert_array_equal(learned[1], learned[0])


def test_ids_that_one_table_does_not_take_are_numbered_for_the_next() -> None:
    learned = []
    for kernels in ("numba", "numpy"):
        with ts.Graph().as_default() as graph:
            ids = ts.placeholder(np.int64, [None])
            tables = [ts.Variable(np.ones((5, 2), np.float32), name=name) for name in ("all", "given")]
            steps = [
                Optimizer(GradientDescent(), 0.5, tables=rule, name=f"by_{type(rule).__name__}").minimize(
                    ts.reduce_sum(ts.gather(table, ids)), [table]
                )
                for table, rule in zip(tables, (Adam(), LazyAdam()), strict=True)
            ]
        session = ts.Session(graph, kernels=kernels)
        for _ in range(2):
            session.run(steps, {ids: [3, 0, 3]})
        learned.append(session.run(tables))
    np.testing.assert_allclose(learned[0], learned[1], rtol=1e-5)


def test_a_bias_of_one_number_and_shapes_that_do_not_fit_are_left_to_the_twins() -> None:
    x, w = ts.placeholder("float32", [None, 3]), np.ones((3, 70), np.float32)
    b, weight = ts.placeholder("float32", [None]), ts.placeholder("float32", [None, 70])
    y = ts.relu(ts.bias_add(x @ w, b))
    (slope,) = ts.gradients(y, [x], [weight])
    session, feeds = ts.Session(kernels="numba"), {x: np.ones((4, 3)), b: [7.0]}
    np.testing.assert_array_equal(session.run(y, feeds), np.full((4, 70), 10.0))
    assert isinstance(slope, ts.Node)
    with pytest.raises(ExecutionError, match=r"made at .* failed: "):
        session.run(slope, {**feeds, weight: np.ones((9, 70))})


def test_a_step_that_is_set_in_the_run_is_the_one_that_counts() -> None:
    learned = []
    for kernels in ("numba", "numpy"):
        with ts.Graph().as_default() as graph:
            w = ts.Variable(np.zeros(2, np.float32))
            optimizer = Optimizer(GradientDescent(), lambda step: float(step))
            first = optimizer.minimize(ts.reduce_sum(w))
            later = [ts.assign(graph.variables["optimizer/step"], 5), optimizer.minimize(ts.reduce_sum(w))]
        session = ts.Session(graph, kernels=kernels)
        session.run(first)
        session.run(later)
        learned.append(session.run(w))
    np.testing.assert_array_equal(learned[0], learned[1])
    np.testing.assert_array_equal(learned[0], [-5.0, -5.0])


def test_values_that_move_between_runs_are_found() -> None:
    w, x = ts.Variable(np.ones(3, np.float32), name="w"), ts.placeholder("float32", [3])
    session = ts.Session(kernels="numba")
    call = session.make_callable(w * x, [x])
    graph = ts.get_default_graph()
    for factor in (1.0, 5.0):
        elsewhere = np.full(3, factor, np.float32)
        graph.store.bind("w", elsewhere)
        for value in (2.0, 3.0):
            np.testing.assert_array_equal(call(np.full(3, value, np.float32)), np.full(3, factor * value))


def test_a_view_that_only_the_machine_reads_is_not_taken_in_a_run() -> None:
    x = ts.placeholder("float32", [None, 4])
    y = ts.exp(ts.reshape(x, [-1, 2]))
    session = ts.Session(kernels="numba")
    feeds = {x: np.zeros((3, 4), np.float32)}
    assert [len(item.steps) for item in session.plan(y, feeds).instructions] == [1]
    np.testing.assert_array_equal(session.run(y, feeds), np.ones((6, 2)))


def test_a_profile_names_the_steps_of_a_stretch() -> None:
    x = ts.placeholder("float32", [None])
    session = ts.Session(kernels="numba")
    session.run(ts.exp(ts.relu(x, name="first"), name="second"), {x: np.zeros(8)}, profile=True)
    assert session.profile is not None
    assert [line.node for line in session.profile.lines] == ["first", "second"]
    assert all(line.seconds > 0 for line in session.profile.lines)


@pytest.mark.parametrize("shards", [1, 3])
def test_rows_of_shards_are_summed_by_their_owners(shards: int) -> None:
    rng = np.random.default_rng(1)
    rows, values = rng.integers(0, 300, (shards, 50)), rng.standard_normal((shards, 50, 2)).astype(np.float32)
    counts = rng.integers(0, 50, shards)
    for rank in range(2):
        found = []
        for calls in (Calls(), CompiledCalls()):
            own = calls.distinct()
            own.find_owned(counts, rows, 64, rank, 2)
            sums = np.full((len(own.rows), 2), np.nan, np.float32)
            own.sum(values, sums)
            order = np.argsort(own.rows)
            found.append((own.rows[order], sums[order]))
        np.testing.assert_array_equal(found[0][0], found[1][0])
        np.testing.assert_allclose(found[0][1], found[1][1], rtol=1e-5, atol=1e-6)
        assert ((found[0][0] // 64) % 2 == rank).all()


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_a_trainer_s_calls_step_as_the_rules_do(rule: Rule) -> None:
    rng = np.random.default_rng(2)
    slots = rule.slots(Spec(np.dtype(np.float32), (7, 3)))
    states = []
    for calls in (Calls(), CompiledCalls()):
        param = np.linspace(-1, 1, 21, dtype=np.float32).reshape(7, 3)
        held = {name: np.full(slot.shape, slot.fill, slot.dtype) for name, slot in slots.items()}
        rng = np.random.default_rng(2)
        for step in range(3):
            rows = np.array([5, 0, 3])
            if rule.only_given_rows:
                calls.apply_rows(rule, param, held, rows, rng.standard_normal((3, 3)).astype(np.float32), step, 0.1)
            if rule.elementwise:
                calls.apply_dense(rule, param, held, rng.standard_normal((7, 3)).astype(np.float32), step, 0.1)
        states.append([param, *held.values()])
    for got, wanted in zip(*states, strict=True):
        np.testing.assert_allclose(got, wanted, rtol=2e-5, atol=1e-7)


def test_a_second_process_compiles_nothing() -> None:
    code = (
        "import numpy as np, tsengine as ts; from tsengine.kernels.compiled.elements import elementwise\n"
        "from tsengine.kernels.compiled.machine import run\n"
        "x = ts.placeholder('float32', [4]); ts.Session(kernels='numba').run(ts.exp(x), {x: np.ones(4)})\n"
        "print(elementwise.compiled.cache_hits, sum(run.stats.cache_misses.values()))"
    )
    for _ in range(2):
        said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.split() == ["1", "0"]


def test_a_kernel_is_compiled_anew_when_a_part_of_it_changes(tmp_path: Path) -> None:
    """Numba itself looks at the file of the kernel alone, and would go on with the parts of yesterday."""
    shutil.copytree(Path(tsengine.__file__).parent, tmp_path / "tsengine", ignore=shutil.ignore_patterns("*.nb?"))
    code = (
        "import numpy as np; from tsengine.kernels import calls_for; from tsengine.train import GradientDescent\n"
        "w, calls = np.zeros(3, np.float32), calls_for('numba')\n"
        "calls.apply_dense(GradientDescent(), w, {}, w + 1, 0, 1.0); print(w[0])"
    )
    said = []
    for written in ("w[i] -= rate * g[i]", "w[i] -= 5 * rate * g[i]"):
        part = tmp_path / "tsengine" / "kernels" / "compiled" / "updates.py"
        part.write_text(part.read_text().replace("w[i] -= rate * g[i]\n", f"{written}\n", 1))
        run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
        said.append(run.stdout.strip())
    assert said == ["-1.0", "-5.0"]


def test_without_numba_it_is_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tsengine.kernels, "installed", lambda: False)
    assert ts.Session().kernels == "numpy"
    with pytest.raises(ValueError, match="kernels='numba' needs the package numba: pip install numba"):
        ts.Session(kernels="numba")


def test_what_a_twin_refuses_names_the_node() -> None:
    logits, labels = ts.placeholder("float32", [None, 3]), ts.placeholder("int64", [None])
    loss = ts.sparse_softmax_cross_entropy_with_logits(labels, logits)
    with pytest.raises(ExecutionError, match=r"select_class.*= 3 is not in \[0, 3\)"):
        ts.Session(kernels="numba").run(loss, {logits: np.zeros((2, 3)), labels: [0, 3]})
