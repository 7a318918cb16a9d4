"""What a run promises: fetch structures, feeds, copies, caches, start-of-run reads, and errors with a place."""

from __future__ import annotations

import copy
import threading
import tracemalloc
from collections import namedtuple
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

import tsengine as ts
from tests.tsengine.long_chains import chain
from tsengine import errors
from tsengine.compiler.pipeline import PASSES
from tsengine.graph import apply
from tsengine.specs import Spec

pytestmark = pytest.mark.usefixtures("kernels")


@pytest.fixture(autouse=True)
def graph() -> Iterator[ts.Graph]:
    with ts.Graph().as_default() as graph:
        yield graph


def test_nested_fetches_keep_their_structure() -> None:
    Pair = namedtuple("Pair", "first second")
    x = ts.placeholder(np.float32, [None], name="x")
    y, step = x * 2.0, ts.no_op()
    got = ts.Session().run({"a": [y, (x, y)], "b": Pair(x, step), "c": []}, {x: [1, 2]})
    assert list(got) == ["a", "b", "c"]
    assert got["c"] == []
    assert isinstance(got["b"], Pair)
    assert got["b"].second is None
    assert isinstance(got["a"][1], tuple)
    np.testing.assert_array_equal(got["a"][1][1], [2, 4])
    np.testing.assert_array_equal(got["b"].first, [1, 2])


def test_any_node_can_be_fed_for_one_run() -> None:
    w = ts.Variable([1.0, 2.0])
    y = w * 3.0
    z = y + 1.0
    session = ts.Session()
    np.testing.assert_array_equal(session.run(z, {y: [10, 20]}), [11, 21])
    np.testing.assert_array_equal(session.run(z, {w: [0, 0]}), [1, 1])
    np.testing.assert_array_equal(session.run(z), [4, 7])
    np.testing.assert_array_equal(session.run(y, {y: [5, 5]}), [5, 5])


def test_fetches_are_copies_and_feeds_are_never_written() -> None:
    x, w = ts.placeholder(np.float32, [None], name="x"), ts.Variable([1.0, 1.0])
    session = ts.Session()
    fed = np.array([1.0, 2.0], np.float32)
    fed.flags.writeable = False
    y = ts.sigmoid(ts.exp(-x))
    first, echo, value = session.run([y, x, w], {x: fed})
    kept = first.copy()
    echo[0] = value[0] = 99.0
    session.run([y], {x: [7.0, 8.0]})
    np.testing.assert_array_equal(first, kept)
    np.testing.assert_array_equal(session.run(w), [1, 1])
    assert fed[0] == 1.0


class Unchanged(ts.Operation):
    """Gives back the very array it was given."""

    def infer(self, *inputs: Spec) -> Spec:
        return inputs[0]

    def compute(self, *values: Any) -> Any:
        return values[0]


class Careless(ts.Operation):
    """Writes into the array it was given."""

    def compute(self, *values: Any) -> Any:
        values[0][...] = 0
        return values[0]


@pytest.mark.parametrize("disable", [(), PASSES])
def test_nothing_fetched_changes_afterwards(graph: ts.Graph, disable: tuple[str, ...]) -> None:
    x, w = ts.placeholder(np.float32, [2, 3], name="x"), ts.Variable(np.ones((2, 3), np.float32))
    c, table = ts.constant(np.arange(6.0, dtype=np.float32).reshape(2, 3)), ts.Variable(np.ones((4, 3), np.float32))
    y = ts.exp(x)
    fetches: dict[str, Any] = {
        "fed": [x, ts.transpose(x), x[0], Unchanged([x])],
        "variable": [w, ts.transpose(w), ts.reshape(w, [-1]), ts.identity(w), Unchanged([w])],
        "constant": [c, ts.transpose(c), c[1], ts.identity(c), Unchanged([c])],
        "computed": [y, ts.transpose(y), ts.reduce_sum(y), Unchanged([y]), ts.boolean_mask(y, y > 1.0)],
        "rows": ts.gradients(ts.reduce_sum(ts.square(ts.gather(table, [1, 1]))), [table]),
        "steps": [ts.assign_add(w, x), ts.assign_add(table, np.ones((4, 3), np.float32))],
    }
    session = ts.Session(disable=disable)
    fed = np.full((2, 3), 2.0, np.float32)
    first = session.run(fetches, {x: fed})
    kept = copy.deepcopy(first)
    fed[...] = -1.0
    session.run(fetches, {x: fed})
    second = session.run(fetches, {x: np.zeros((2, 3))})
    for name in fetches:
        for array, before in zip(first[name], kept[name], strict=True):
            np.testing.assert_equal(array, before, name)
    for array in [*first["variable"], *first["constant"], *second["constant"], second["rows"][0].values]:
        array[...] = 99.0
    third = session.run(fetches, {x: fed})
    np.testing.assert_equal(third["constant"], kept["constant"])
    assert third["variable"][0].max() < 99.0


def test_an_operation_of_a_user_can_write_into_nothing(graph: ts.Graph) -> None:
    x, w = ts.placeholder(np.float32, [2], name="x"), ts.Variable([1.0, 2.0])
    fed = np.ones(2, np.float32)
    for victim in (x, w, x * 2.0, ts.constant([1.0, 2.0])):
        with pytest.raises(errors.ExecutionError, match="read-only"):
            ts.Session().run(Careless([victim]), {x: fed})
    np.testing.assert_array_equal(fed, 1.0)
    np.testing.assert_array_equal(graph.store.get(w.name), [1, 2])


def test_an_operation_that_gives_back_its_input_is_not_overwritten() -> None:
    """Its input's buffer is free after it, its result's is not."""
    x = ts.placeholder(np.float32, [None], name="x")
    same, other = Unchanged([x * 2.0]), ts.tanh(x)
    np.testing.assert_array_equal(ts.Session().run(same + other * ts.exp(other) * 0.0, {x: [1.0, 2.0]}), [2, 4])


def test_initial_values_are_copied_in(graph: ts.Graph) -> None:
    mine = np.ones(3, np.float32)
    w = ts.Variable(mine)
    ts.Session().run(ts.assign_add(w, [1.0, 1.0, 1.0]))
    assert mine[0] == 1.0
    np.testing.assert_array_equal(graph.store.get(w.name), [2, 2, 2])


def test_reads_see_the_start_of_the_run_and_updates_come_last() -> None:
    a, b = ts.Variable([1.0]), ts.Variable([2.0])
    session = ts.Session()
    before, loss, *_ = session.run([a, a * 10.0, ts.assign_add(a, [5.0])])
    assert (before[0], loss[0], session.run(a)[0]) == (1.0, 10.0, 6.0)
    session.run([ts.assign(a, b), ts.assign(b, a)])
    assert (session.run(a)[0], session.run(b)[0]) == (2.0, 6.0)
    m = ts.Variable([[1.0, 2.0], [3.0, 4.0]])
    session.run(ts.assign(m, ts.transpose(m)))
    np.testing.assert_array_equal(session.run(m), [[1, 3], [2, 4]])


def test_plans_are_kept_by_structure_and_buffers_by_shape() -> None:
    x = ts.placeholder(np.float32, [None])
    y = ts.exp(x)
    session = ts.Session()
    for size in (2, 3, 2, 3, 2):
        session.run(y, {x: np.zeros(size)})
    assert (session.stats.runs, session.stats.plans, session.stats.bindings) == (5, 1, 2)
    _ = y + 1.0  # a graph that grew does not spoil the plans
    session.run(y, {x: np.zeros(2)})
    assert session.stats.plans == 1


def test_callable_gives_what_run_gives_and_may_skip_the_copy() -> None:
    x, unused = ts.placeholder(np.float32, [None]), ts.placeholder(np.float32)
    y = ts.exp(x) * 2.0
    session = ts.Session()
    kept, fast = (session.make_callable([y, ts.reduce_sum(y)], [unused, x], copy=copy) for copy in (True, False))
    for size in (1, 4, 1):
        values = np.arange(size, dtype=np.float32)
        expected = session.run([y, ts.reduce_sum(y)], {x: values})
        for function in (kept, fast):
            got = function(0.0, values)
            np.testing.assert_array_equal(got[0], expected[0])
            assert got[1] == expected[1]
    first = fast(0.0, [1.0])[0]
    assert fast(0.0, [2.0])[0] is first
    with pytest.raises(TypeError, match="expected 2 values"):
        kept(1.0)


def test_callable_without_copy_never_hands_out_a_variable() -> None:
    w = ts.Variable([1.0])
    got = ts.Session().make_callable(w, copy=False)()
    got[0] = 5.0
    assert ts.Session().run(w)[0] == 1.0


def test_threads_do_not_disturb_each_other() -> None:
    x = ts.placeholder(np.float32, [None])
    y = ts.reduce_sum(ts.exp(ts.sigmoid(x) * 3.0) + x)
    session = ts.Session()
    inputs = [np.full(5000, number, np.float32) for number in range(4)]
    expected = [session.run(y, {x: values}) for values in inputs]
    wrong: list[int] = []

    def work(number: int) -> None:
        wrong.extend(number for _ in range(50) if session.run(y, {x: inputs[number]}) != expected[number])

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_a_run_inside_a_run_has_buffers_of_its_own(graph: ts.Graph) -> None:
    session, x = ts.Session(graph), ts.placeholder(np.float64, [None])
    inner: list[np.ndarray] = []

    def again(value: np.ndarray) -> np.ndarray:
        if not inner:
            inner.append(np.zeros(0))
            inner.append(session.run(y, {x: [5.0, 6.0]}))
        return value

    doubled = x * 2.0
    y = apply("host_call", doubled, function=again, result=Spec(doubled.dtype, None)) + doubled
    np.testing.assert_array_equal(session.run(y, {x: [1.0, 2.0]}), [4, 8])
    np.testing.assert_array_equal(inner[1], [20, 24])


def test_two_sessions_of_one_graph_in_two_threads(graph: ts.Graph) -> None:
    """One trains, one evaluates: it always sees a whole step, and values of its own feed."""
    x, w = ts.placeholder(np.float64, [None]), ts.Variable(np.zeros(500))
    step, double, spread = ts.assign_add(w, np.ones(500)), w * 2.0, ts.reduce_max(w) - ts.reduce_min(w)
    total = ts.reduce_sum(ts.tanh(x) * 0.0 + x)
    wrong: list[Any] = []

    def train() -> None:
        session = ts.Session(graph)
        for _ in range(200):
            session.run(step)

    def evaluate(session: ts.Session, number: float) -> None:
        for _ in range(200):
            got = session.run([w, double, spread, total], {x: [number, number]})
            if got[2] or got[3] != 2 * number or (got[1] != 2 * got[0]).any():
                wrong.append(got)

    jobs: list[tuple[Callable[..., None], tuple[Any, ...]]]
    jobs = [(train, ()), (train, ()), *((evaluate, (ts.Session(graph), float(number))) for number in range(2))]
    threads = [threading.Thread(target=function, args=args) for function, args in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    np.testing.assert_array_equal(ts.Session(graph).run(w), np.full(500, 400.0))


def test_updates_of_several_threads_are_all_counted() -> None:
    w = ts.Variable(np.zeros(1000, np.float64))
    step, session = ts.assign_add(w, np.ones(1000)), ts.Session()
    seen = []

    def work() -> None:
        for _ in range(100):
            value, _ = session.run([w, step])
            seen.append(np.unique(value).size)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(seen) == {1}
    np.testing.assert_array_equal(session.run(w), np.full(1000, 300.0))


def test_100_000_nodes_in_a_row_build_differentiate_compile_run_and_print() -> None:
    chain(100_000, count_bytes=False)


def test_the_memory_of_a_chain_grows_with_its_length() -> None:
    """From the second chain on nothing is loaded for the first time. The long form is `make prove PART=long_chains`."""
    _, one, two = (chain(ops, count_bytes=True) for ops in (100, 2_000, 4_000))
    assert 1.9 < two.bytes / one.bytes < 2.1


def test_a_hundred_batch_sizes_need_no_more_memory_than_the_last_few() -> None:
    x, w = ts.placeholder(np.float32, [None, 8]), ts.Variable(np.ones((8, 8), np.float32))
    hidden = ts.tanh(x @ w)
    loss = ts.reduce_mean(ts.square(ts.tanh(hidden @ w) + hidden))
    step = ts.train.Optimizer(ts.train.GradientDescent(), 0.1).minimize(loss)
    session, held = ts.Session(), {}
    tracemalloc.start()
    with pytest.warns(errors.ManyPlans, match=r"has bound 64 plans, for 1 different sets") as warned:
        for rows in range(1000, 1100):
            session.run([loss, step], {x: np.ones((rows, 8))})
            held[rows] = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert held[1001] < held[1015] < held[1099] < 1.2 * held[1015]
    assert [Path(item.filename).name for item in warned] == ["test_session.py"]
    assert (session.stats.plans, session.stats.bindings) == (1, 100)
    for rows in range(1084, 1100):
        session.run([loss, step], {x: np.ones((rows, 8))})
    assert session.stats.bindings == 100


def test_nodes_made_in_a_loop_are_warned_of() -> None:
    x, session = ts.placeholder(np.float32, [None]), ts.Session()
    with pytest.warns(errors.ManyPlans, match="for 64 different sets of fetches .* make no nodes in a loop"):
        for number in range(70):
            session.run(x + float(number), {x: [1.0]})


def test_a_second_run_compiles_and_binds_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    x, w = ts.placeholder(np.float32, [None]), ts.Variable([2.0])
    loss = ts.reduce_sum(ts.square(x * w))
    step = ts.train.Optimizer(ts.train.Adam(), 0.1).minimize(loss)
    session = ts.Session()
    call = session.make_callable([loss, step], [x])
    for run in (lambda: session.run([loss, step], {x: [1.0, 2.0]}), lambda: call([1.0, 2.0, 3.0])):
        run()
        with monkeypatch.context() as patched:
            patched.delattr("tsengine.session.compile_program")
            patched.delattr("tsengine.session.bind")
            assert run()[0] > 0


def test_a_missing_feed_names_the_placeholder_and_its_place() -> None:
    x = ts.placeholder(np.float32, [None, 3], name="clicks")
    with pytest.raises(
        errors.MissingFeed,
        match=r"placeholder tensor 'clicks' with dtype and shape float32\[\?,3\].*test_session.py:\d+",
    ) as caught:
        ts.Session().run(x + 1.0)
    assert isinstance(caught.value, KeyError)


def test_wrong_feeds_say_what_was_expected() -> None:
    x, ids = ts.placeholder(np.float32, [None, 3], name="x"), ts.placeholder(np.int32, [None], name="ids")
    session = ts.Session()
    with pytest.raises(errors.FeedError, match=r"shape \[2\] for Tensor 'x', which has shape \[\?,3\]"):
        session.run(x + 1.0, {x: [1, 2]})
    with pytest.raises(errors.FeedError, match="float64 is not compatible with Tensor type int32 of 'ids'"):
        session.run(ids + 1, {ids: [0.5]})
    with pytest.raises(errors.FeedError, match="integers outside int32"):
        session.run(ids + 1, {ids: np.array([1 << 40])})
    with pytest.raises(errors.FeedError, match="cannot be a node"):
        session.run(x + 1.0, {x: x})
    with pytest.raises(errors.FeedKeyError, match="'a' is a str"):
        session.run(x + 1.0, cast(Any, {"a": 1}))
    with pytest.raises(errors.FeedKeyError, match="operation and has no value"):
        session.run(ids, {ts.no_op(name="nothing"): 1, ids: [1]})


def test_wrong_fetches_say_what_was_fetched() -> None:
    other = ts.Graph()
    with other.as_default():
        z = ts.constant(1.0)
    for bad, message in (
        (None, "None has invalid type NoneType"),
        ("x", "invalid type str"),
        ([z], "not an element of this session's graph"),
    ):
        with pytest.raises(errors.FetchError, match=message):
            ts.Session().run(bad)


def test_a_failing_kernel_names_the_node_and_the_users_line() -> None:
    table = ts.Variable(np.zeros((5, 2), np.float32), name="table")
    ids = ts.placeholder(np.int32, [None], name="ids")
    rows = ts.gather(table, ids, name="look_up")
    for bad in (5, -1):
        with pytest.raises(
            errors.IndexOutOfRange,
            match=rf"'look_up' \(op gather.*test_session.py:\d+\) failed: indices\[1\] = {bad} is not in \[0, 5\)",
        ):
            ts.Session().run(rows, {ids: [0, bad]})
    a, b = ts.placeholder(np.float32, [None]), ts.placeholder(np.float32, [None])
    with pytest.raises(errors.ExecutionError, match=r"op add.*was given float32\[2\], float32\[3\]"):
        ts.Session().run(a + b, {a: [1, 2], b: [1, 2, 3]})


def test_unknown_passes_kernels_and_closed_sessions_are_refused() -> None:
    x = ts.constant(1.0)
    with pytest.raises(ValueError, match="there is no pass cse2; the passes are fold"):
        ts.Session(disable={"cse2"}).run(x)
    with pytest.raises(ValueError, match="kernels must be one of numpy, numba, got 'cuda'"):
        ts.Session(kernels="cuda")
    with ts.Session() as session:
        session.run(x)
    with pytest.raises(errors.GraphError, match="closed Session"):
        session.run(x)
