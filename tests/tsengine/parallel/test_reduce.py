"""Who owns what, and what a program may ask for."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import tsengine as ts
from tests.tsengine.parallel import parallel_programs as programs
from tsengine.parallel import Average, Learning, Replica
from tsengine.parallel.communicator import SharedMemoryCommunicator
from tsengine.parallel.errors import ProgramError
from tsengine.parallel.memory import Memory
from tsengine.parallel.not_finite import origin
from tsengine.parallel.parameters import arrays_of, parameters_of
from tsengine.parallel.reduce import Reducer
from tsengine.parallel.worker import Worker, _same_ids
from tsengine.train import Adam, AdamW, GradientDescent, RowWiseAdagrad, Rule


def changed(**learning: Learning) -> Replica:
    replica = programs.build({})
    return replace(replica, learning={**replica.learning, **learning})


def memory_for(replica: Replica, shards: int) -> Memory:
    return programs.memory_of(arrays_of(parameters_of(replica), shards))


def test_dense_variables_lie_end_to_end_in_blocks_of_64_and_tables_apart() -> None:
    found = {p.name: p for p in parameters_of(programs.build({}))}
    assert [(name, p.begin, p.size) for name, p in found.items() if not p.table_rows] == [
        ("bias", 0, 7), ("hidden", 64, 24 * 7), ("out", 4 * 64, 7),
    ]  # fmt: skip
    assert (found["table"].table_rows, found["wide"].table_rows) == (48, 36)


def test_a_programs_faults_come_all_at_once() -> None:
    learning = {
        "table": Learning(RowWiseAdagrad(), 0.1, weight_decay=0.1),
        "hidden": Learning(RowWiseAdagrad(), 0.1),
        "absent": Learning(Adam(), 0.1),
    }
    with pytest.raises(ProgramError) as failure:
        parameters_of(changed(**learning))
    text = str(failure.value)
    assert "the graph has no variable 'absent', it has bias, hidden, out, table, wide" in text
    assert "variable 'hidden' is dense; RowWiseAdagrad works on whole rows" in text
    assert "variable 'table' is a table: decay would reach only" in text


def test_an_average_that_cannot_follow_is_named() -> None:
    replica = programs.build({})
    with replica.graph.as_default():
        ts.Variable(np.zeros(3, np.int32), name="count", trainable=False)
        part = ts.constant(np.zeros((2, 7), np.float32))
    averages = {"bias": Average(part, 0.9), "count": Average(part, 0.9), "absent": Average(part, 0.9)}
    with pytest.raises(ProgramError) as failure:
        parameters_of(replace(replica, averages=averages))
    text = str(failure.value)
    assert "the graph has no variable 'absent'" in text
    assert "variable 'bias' is an average and learns; it can do one of the two" in text
    assert "variable 'bias' is [7], what it follows is [2,7]" in text
    assert "variable 'count' is int32; only float32 learns" in text


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (Adam(), "variable 'table' is a table: Adam moves every row at every step.*take LazyAdam"),
        (AdamW(), "variable 'table' is a table: AdamW's decay would reach only.*take LazyAdam"),
    ],
)
def test_a_rule_that_is_not_for_the_rows_of_one_owner_is_refused(rule: Rule, message: str) -> None:
    with pytest.raises(ProgramError, match=message):
        parameters_of(changed(table=Learning(rule, 0.1)))


@pytest.mark.parametrize(
    ("table_rows", "message"),
    [
        ({"table": 48}, "variable 'wide' is used as a table: table_rows must say"),
        (
            {"table": 48, "wide": 36, "out": 1},
            "variable 'out' is not only looked up by ids: leave it out",
        ),
    ],
)
def test_a_table_is_said_to_be_one(table_rows: dict[str, int], message: str) -> None:
    replica = replace(changed(out=Learning(GradientDescent(), 0.1)), table_rows=table_rows)
    with pytest.raises(ProgramError, match=message):
        _worker(replica)


def test_a_variable_that_the_loss_does_not_need_cannot_learn() -> None:
    replica = programs.build({})
    with replica.graph.as_default():
        ts.Variable(np.zeros(3, np.float32), name="alone")
    replica = replace(replica, learning={**replica.learning, "alone": Learning(Adam(), 0.1)})
    with pytest.raises(ProgramError, match="the loss does not depend on variable 'alone'"):
        _worker(replica)


def test_more_gradient_rows_than_announced_are_refused() -> None:
    replica = replace(programs.build({}), table_rows={"table": 2, "wide": 36})
    reducer = Reducer(memory_for(replica, 1), parameters_of(replica), None, 0, 1)
    slopes: dict[str, Any] = {p.name: np.zeros(p.shape, np.float32) for p in parameters_of(replica)}
    slopes["table"] = ts.IndexedSlicesValue(np.zeros((3, 5), np.float32), np.array([1, 2, 3]))
    with pytest.raises(ProgramError, match="a shard has gradients for 3 rows of 'table', the program said 2 at most"):
        reducer.publish(0, slopes)


@pytest.mark.parametrize("together", ["wide", "table"])
@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_every_number_and_every_row_has_one_owner(size: int, together: str) -> None:
    """With gradient 1 in all shards, plain descent takes `shards * rate` from every used number: once, by somebody."""
    plain = Learning(GradientDescent(), 0.5)
    replica = changed(**dict.fromkeys(("table", "wide", "hidden", "out", "bias"), plain))
    replica = replace(replica, table_rows={"table": programs.TABLE, "wide": programs.TABLE})
    parameters, memory = parameters_of(replica), memory_for(replica, 4)
    rows = np.arange(0, programs.TABLE, 3)
    slopes: dict[str, Any] = {p.name: np.ones(p.shape, np.float32) for p in parameters}
    for p in parameters[3:]:
        slopes[p.name] = ts.IndexedSlicesValue(np.ones((len(rows), *p.shape[1:]), np.float32), rows)
    ranks = [Reducer(memory, parameters, None, rank, size, {"wide": together}) for rank in range(size)]
    for shard in range(4):
        ranks[shard % size].publish(shard, slopes)
    for rank in ranks:
        rank.update(0)
    for p in parameters:
        expected = np.full(p.shape, -2.0, np.float32)
        if p.table_rows:
            expected[np.setdiff1d(np.arange(programs.TABLE), rows)] = 0
        np.testing.assert_array_equal(memory[f"parameter/{p.name}"], expected)


def test_a_rank_that_owns_no_block_of_a_small_table_has_nothing_to_do() -> None:
    """Of one block the second of two ranks owns nothing; with gradient 1 in one shard the first takes the step."""
    graph = ts.Graph()
    with graph.as_default():
        ids, weight = ts.placeholder(np.int32, (None,), name="ids"), ts.placeholder(np.float32, (), name="weight")
        table = ts.Variable(np.zeros((9, 3), np.float32), name="table")
        loss = ts.reduce_sum(ts.gather(table, ids)) / weight
    replica = Replica(
        graph=graph, loss=loss, feeds={"ids": ids}, batch_weight=weight,
        learning={"table": Learning(GradientDescent(), 0.5)}, table_rows={"table": 4},
        batches=lambda rank, world, first: iter(()), steps=0,
    )  # fmt: skip
    parameters, memory = parameters_of(replica), memory_for(replica, 1)
    ranks = [Reducer(memory, parameters, None, rank, 2) for rank in range(2)]
    ranks[0].publish(0, {"table": ts.IndexedSlicesValue(np.ones((2, 3), np.float32), np.array([1, 7]))})
    for rank in ranks:
        rank.update(0)
    expected = np.zeros((9, 3), np.float32)
    expected[[1, 7]] = -0.5
    np.testing.assert_array_equal(memory["parameter/table"], expected)


def test_tables_looked_up_by_the_same_ids_share_their_numbering() -> None:
    graph = ts.Graph()
    with graph.as_default():
        ids, other = (ts.placeholder(np.int32, (None, 2), name=name) for name in ("ids", "other"))
        a, b, c, d = (ts.Variable(np.zeros((9, 3), np.float32), name=name) for name in "abcd")
        looked_up = [ts.gather(table, at) for table, at in ((a, ids), (b, ids), (c, other), (d, ids))]
        batch_weight = ts.placeholder(np.float32, (), name="batch_weight")
        loss = ts.reduce_sum(ts.add_n(looked_up)) / batch_weight
    replica = Replica(
        graph=graph,
        loss=loss,
        feeds={"ids": ids, "other": other},
        batch_weight=batch_weight,
        learning=dict.fromkeys("abcd", Learning(GradientDescent(), 0.1)),
        table_rows={"a": 4, "b": 4, "c": 4, "d": 5},
        batches=lambda rank, world, first: iter(()),
        steps=0,
    )
    worker = _worker(replica)
    assert _same_ids(worker.parameters, worker._slopes(), worker._fed()) == {"a": "a", "b": "a", "c": "c", "d": "d"}


def test_the_origin_of_a_nan_is_where_it_is_made() -> None:
    """NaN in a feed that `where` takes out is innocent; log of a negative variable is not."""
    with ts.Graph().as_default():
        x = ts.placeholder(np.float32, (2,), name="x")
        weight = ts.Variable(np.array([1.0, -1.0], np.float32), name="weight")
        inside = ts.log(weight, name="culprit")
        loss = ts.reduce_sum(ts.where(ts.is_nan(x), 0.0, x) * inside)
    with np.errstate(invalid="ignore"):
        assert origin(loss, {x: np.array([np.nan, 1.0], np.float32)}).name == "culprit"
    weight.graph.store.set("weight", np.array([np.inf, 1.0], np.float32))
    assert origin(loss, {x: np.array([1.0, 1.0], np.float32)}) is weight


def _worker(replica: Replica) -> Worker:
    arrays = {**SharedMemoryCommunicator.arrays(1), **arrays_of(parameters_of(replica), 1)}
    return Worker(replica, programs.memory_of(arrays), 0, 1, {"stall_timeout_s": 1})
