"""Where values live: first use, copies, outside storage, initial rows that do not depend on table size."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest

import tsengine as ts
from tsengine import errors
from tsengine.graph import apply
from tsengine.initializers import Constant, GlorotUniform, HeNormal, Initializer, Normal, Uniform
from tsengine.specs import Spec
from tsengine.store import ReadWriteLock


@pytest.fixture(autouse=True)
def graph() -> Iterator[ts.Graph]:
    with ts.Graph().as_default() as graph:
        yield graph


def test_get_and_set_copy(graph: ts.Graph) -> None:
    w = ts.Variable([1.0, 2.0], name="w")
    got = graph.store.get("w")
    got[0] = 9.0
    given = np.array([3.0, 4.0])
    graph.store.set("w", given)
    given[0] = 9.0
    np.testing.assert_array_equal(ts.Session().run(w), [3, 4])
    assert graph.store.get("w").dtype == np.float32


def test_bound_storage_is_the_variable(graph: ts.Graph) -> None:
    w = ts.Variable([1.0, 2.0], name="w")
    mine = np.array([5.0, 6.0], np.float32)
    graph.store.bind("w", mine)
    session = ts.Session()
    np.testing.assert_array_equal(session.run(w), [5, 6])
    session.run(ts.assign_add(w, [1.0, 1.0]))
    np.testing.assert_array_equal(mine, [6, 7])
    mine[:] = 0
    np.testing.assert_array_equal(session.run(w * 2.0), [0, 0])
    session.run(ts.global_variables_initializer())
    np.testing.assert_array_equal(mine, [1, 2])


def test_bind_refuses_with_every_fault_at_once(graph: ts.Graph) -> None:
    ts.Variable(np.zeros((2, 3), np.float32), name="w")
    wrong = np.zeros((3, 2)).T[:, ::-1]
    wrong.flags.writeable = False
    with pytest.raises(
        errors.StoreError, match=r"'w' must have dtype float32, got float64; C-contiguous True, got False; writable"
    ):
        graph.store.bind("w", wrong)
    with pytest.raises(errors.StoreError, match=r"there is no variable 'v'; the graph has w"):
        graph.store.bind("v", wrong)
    with pytest.raises(errors.StoreError, match=r"'w' has shape \[2,3\], got \[3\]"):
        graph.store.set("w", [1, 2, 3])


def test_without_initial_value_a_variable_is_uninitialized(graph: ts.Graph) -> None:
    w = ts.Variable(shape=(2,), name="w")
    with pytest.raises(errors.UninitializedVariable, match="uninitialized variable 'w'"):
        ts.Session().run(w)
    graph.store.set("w", [1.0, 2.0])
    assert ts.Session().run(w)[1] == 2.0


def test_many_are_set_with_every_fault_at_once_or_not_at_all(graph: ts.Graph) -> None:
    for name in ("a", "b"):
        ts.Variable(np.zeros(2, np.float32), name=name)
    ts.Variable(shape=(1,), name="empty")
    with pytest.raises(errors.StoreError) as failure:
        graph.store.set_many({"a": [1.0, 1.0], "b": [1.0], "empty": np.array([1j]), "c": 1.0})
    assert str(failure.value) == (
        "variable 'b' has shape [2], got [1]; variable 'empty' holds float32, got complex128; "
        "there is no variable 'c'; the graph has a, b, empty"
    )
    assert not graph.store.get("a").any()
    graph.store.set_many({"a": [1.0, 2.0], "empty": [3.0]})
    assert [graph.store.get(name).tolist() for name in ("a", "b", "empty")] == [[1, 2], [0, 0], [3]]


def test_many_are_set_in_the_storage_they_have(graph: ts.Graph) -> None:
    ts.Variable([1.0, 2.0], name="w")
    mine = np.zeros(2, np.float32)
    graph.store.bind("w", mine)
    graph.store.set_many({"w": [5, 6]})
    np.testing.assert_array_equal(mine, [5, 6])


def test_a_reader_never_sees_a_mix_of_what_is_set_together(graph: ts.Graph, eager_threads: None) -> None:
    names = ["a", "b", "c"]
    read = ts.Session().make_callable([ts.Variable(0, name=name) for name in names])
    seen = set[tuple[int, ...]]()

    def look() -> None:
        while len(seen) < 50:
            seen.add(tuple(map(int, read())))

    reader, value = threading.Thread(target=look), 0
    reader.start()
    while reader.is_alive():
        value += 1
        graph.store.set_many(dict.fromkeys(names, value))
    assert [values for values in seen if len(set(values)) > 1] == []


def test_sessions_of_one_graph_share_variables() -> None:
    w = ts.Variable(0, dtype=np.int64)
    step = ts.assign_add(w, 1)
    first, second = ts.Session(), ts.Session()
    first.run(step)
    second.run(step)
    assert first.run(w) == 2


def test_a_run_that_updates_holds_the_store_alone(graph: ts.Graph) -> None:
    w = ts.Variable([1.0])
    held: list[bool] = []

    def look(x: np.ndarray) -> np.ndarray:
        held.append(graph.store.lock.is_writing)
        return x

    looked = apply("host_call", w, function=look, result=Spec(w.dtype, None))
    ts.Session().run(looked)
    ts.Session().run([looked, ts.assign_add(w, [1.0])])
    assert held == [False, True]
    assert not graph.store.lock.is_writing


def test_a_writer_waits_for_readers_and_goes_before_new_ones() -> None:
    lock, order = ReadWriteLock(), list[str]()

    def write() -> None:
        with lock.writing():
            order.append("written")

    with lock.reading():
        writer = threading.Thread(target=write)
        writer.start()
        writer.join(timeout=0.05)
        order.append("read")
    writer.join()
    assert order == ["read", "written"]


@pytest.mark.parametrize("initializer", [Constant(3.0), Normal(7), Uniform(7, -1, 1), GlorotUniform(7), HeNormal(7)])
@pytest.mark.parametrize("shape", [(1000, 3), (500, 16), (64,), ()])
def test_rows_in_any_blocks_are_the_rows_of_the_whole(initializer: Initializer, shape: tuple[int, ...]) -> None:
    w = ts.Variable(initializer=initializer, shape=shape, name="w")
    whole = ts.Session().run(w)
    assert whole.shape == shape
    assert whole.dtype == np.float32
    if shape:
        cuts = [0, 1, 2, 7, 40, shape[0]]
        parts = [w.initial_rows(start, stop) for start, stop in pairwise(cuts)]
        np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_a_table_that_grows_keeps_its_rows_and_names_and_seeds_differ() -> None:
    def rows(name: str, size: int, seed: int = 1) -> np.ndarray:
        with ts.Graph().as_default():
            return np.asarray(ts.Session().run(ts.Variable(initializer=Normal(seed), shape=(size, 5), name=name)))

    small, large = rows("table", 100), rows("table", 170)
    np.testing.assert_array_equal(large[:100], small)
    assert not np.any(rows("other", 100) == small)
    assert not np.any(rows("table", 100, seed=2) == small)


@pytest.mark.parametrize(
    ("shape", "he", "glorot"),
    [
        ((128, 72), 0.125, 0.1),  # fans 128 and 72: sqrt(2 / 128), sqrt(2 / 200)
        ((32, 8, 5, 5), 0.1, 0.0447214),  # 8 * 25 and 32 * 25: sqrt(2 / 200), sqrt(2 / 1000)
        ((4, 18, 3, 3), 0.1111111, 0.1005038),  # 18 * 9 and 4 * 9: sqrt(2 / 162), sqrt(2 / 198)
        ((20_000,), 0.01, 0.0099998),  # one unit of 20,000 inputs
    ],
)
def test_a_layer_s_initial_values_have_the_deviation_of_its_fans(
    shape: tuple[int, ...], he: float, glorot: float
) -> None:
    """He et al. 2015: sqrt(2 / fan_in). Glorot & Bengio 2010: sqrt(2 / (fan_in + fan_out))."""
    for initializer, deviation in ((HeNormal(5), he), (GlorotUniform(5), glorot)):
        drawn = initializer.rows("w", shape, 0, shape[0])
        assert drawn.shape == shape
        assert abs(drawn.std() / deviation - 1) < 4 / np.sqrt(2 * drawn.size)
    limit = glorot * np.sqrt(3)
    assert 0.98 * limit < np.abs(GlorotUniform(5).rows("w", shape, 0, shape[0])).max() < 1.00001 * limit


def test_initial_values_of_weights_keep_their_bits() -> None:
    """They are those that the deviation, worked out by hand, gives: no model's first step has changed."""
    weights = HeNormal(7).rows("deep/layer_0", (128, 3), 0, 128)
    np.testing.assert_array_equal(weights, Normal(7, stddev=0.125).rows("deep/layer_0", (128, 3), 0, 128))
    stacked = HeNormal(7).rows("w", (8, 16, 3), 0, 8)
    np.testing.assert_array_equal(stacked, Normal(7, stddev=0.125).rows("w", (8, 16, 3), 0, 8))


def test_random_initial_values_have_the_distribution_they_say() -> None:
    def values(initializer: Initializer) -> np.ndarray:
        return np.asarray(ts.Session().run(ts.Variable(initializer=initializer, shape=(50_000, 4))), np.float64)

    normal = (values(Normal(3, mean=1.0, stddev=2.0)) - 1.0) / 2.0
    assert abs(normal.mean()) < 0.01
    assert abs(normal.std() - 1) < 0.01
    assert abs(np.mean(np.abs(normal) < 1) - 0.6827) < 0.005
    assert abs(np.mean(normal**4) - 3) < 0.1
    uniform = values(Uniform(3, -2.0, 6.0))
    assert uniform.min() >= -2
    assert uniform.max() <= 6
    assert abs(uniform.mean() - 2) < 0.03
    assert abs(values(HeNormal(3)).std() - np.sqrt(2 / 50_000)) < 1e-4
    assert abs(np.corrcoef(normal[:-1, 0], normal[1:, 0])[0, 1]) < 0.02


@pytest.mark.parametrize("shape", [(), (7, 16), (1_000_000, 1)])
def test_a_variable_begins_at_a_cache_line(graph: ts.Graph, shape: tuple[int, ...]) -> None:
    """So a row of 16 numbers is one line, and not parts of two."""
    ts.Variable(initializer=Constant(1.0), shape=shape, name="v")
    array = graph.store.array("v")
    assert array.shape == shape
    assert array.__array_interface__["data"][0] % 64 == 0
