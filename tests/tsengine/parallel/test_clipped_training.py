"""Schedules and clipping over processes: the norm of all gradients by hand, any number of workers, and one graph."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tsengine as ts
from tests.tsengine.parallel import drawing_programs as drawing
from tests.tsengine.parallel import parallel_programs as plain
from tests.tsengine.parallel.parallel_programs import Run, trainer
from tsengine.parallel import Learning, Replica
from tsengine.parallel.parameters import arrays_of, parameters_of
from tsengine.parallel.reduce import Reducer
from tsengine.specs import Array
from tsengine.train import (
    GradientDescent,
    Momentum,
    Optimizer,
    RowWiseAdagrad,
    Transform,
    clip_by_global_norm,
    clip_by_norm,
    clip_by_value,
    weight_decay,
)

SHARDS = 4


def descending(limit: float | None = None, **clipping: Any) -> Replica:
    """The plain program, each of whose variables falls by its clipped gradient."""
    replica = plain.build({})
    how = Learning(GradientDescent(), 1.0, **clipping)
    rows = {"table": plain.TABLE, "wide": plain.TABLE}
    return replace(replica, learning=dict.fromkeys(replica.learning, how), table_rows=rows, clip_global_norm=limit)


def drawn_gradients(scale: float = 1.0) -> list[dict[str, Any]]:
    """For every shard; a table's rows come unordered, some of them twice in a shard and many in several."""
    rng, shapes = np.random.default_rng(8), {p.name: p.shape for p in parameters_of(plain.build({}))}

    def of(name: str) -> Any:
        if name not in ("table", "wide"):
            return (rng.normal(size=shapes[name]) * scale).astype(np.float32)
        rows = rng.integers(0, plain.TABLE, 150)
        return ts.IndexedSlicesValue((rng.normal(size=(150, *shapes[name][1:])) * scale).astype(np.float32), rows)

    return [{name: of(name) for name in shapes} for _ in range(SHARDS)]


def fallen(replica: Replica, size: int, shards: list[dict[str, Any]]) -> dict[str, Array]:
    """What each variable lost in one step over so many ranks."""
    parameters = parameters_of(replica)
    memory = plain.memory_of(arrays_of(parameters, SHARDS))
    ranks = [Reducer(memory, parameters, replica.clip_global_norm, rank, size) for rank in range(size)]
    for shard, slopes in enumerate(shards):
        ranks[shard % size].publish(shard, slopes)
    for rank in ranks:
        if rank.measures:
            rank.measure()
    for rank in ranks:
        rank.update(0)
    return {p.name: -memory[f"parameter/{p.name}"] for p in parameters}


def whole(shards: list[dict[str, Any]]) -> dict[str, Array]:
    """The gradient of the batch in float64, dense."""
    found = {p.name: np.zeros(p.shape) for p in parameters_of(plain.build({}))}
    for slopes in shards:
        for name, slope in slopes.items():
            if isinstance(slope, ts.IndexedSlicesValue):
                np.add.at(found[name], slope.indices, slope.values.astype(np.float64))
            else:
                found[name] += slope
    return found


def norm(gradients: Mapping[str, Array]) -> float:
    return float(np.sqrt(sum((gradient**2).sum() for gradient in gradients.values())))


CLIPPED: list[tuple[Replica, str]] = [
    (descending(3.0), "all"),
    (descending(1.5, clip_norm=2.0), "each, then all"),
    (descending(clip_norm=2.0), "each"),
    (descending(clip_value=(-0.5, 0.25)), "values"),
    (descending(3.0, clip_value=(-0.5, 0.25)), "values, then all"),
]


def by_hand(replica: Replica, gradients: dict[str, Array]) -> dict[str, Array]:
    how, limit = replica.learning["hidden"], replica.clip_global_norm
    if how.clip_value is not None:
        gradients = {name: np.clip(g, *how.clip_value) for name, g in gradients.items()}
    if how.clip_norm is not None:
        gradients = {name: g * min(1.0, how.clip_norm / norm({name: g})) for name, g in gradients.items()}
    return gradients if limit is None else {n: g * min(1.0, limit / norm(gradients)) for n, g in gradients.items()}


@pytest.mark.parametrize("replica", [case for case, _ in CLIPPED], ids=[name for _, name in CLIPPED])
def test_clipped_as_by_hand_and_the_same_on_any_number_of_ranks(replica: Replica) -> None:
    shards = drawn_gradients()
    alone = fallen(replica, 1, shards)
    expected = by_hand(replica, whole(shards))
    assert norm(expected) < 0.5 * norm(whole(shards)), "the case clips"
    for name, value in alone.items():
        np.testing.assert_allclose(value, expected[name], rtol=1e-4, atol=1e-6, err_msg=name)
    for size in (2, 3, 4):
        for name, value in fallen(replica, size, shards).items():
            np.testing.assert_array_equal(value, alone[name], err_msg=f"{name} on {size} ranks")


def test_what_is_short_enough_keeps_its_bits() -> None:
    shards = drawn_gradients(1e-3)
    for name, value in fallen(descending(3.0, clip_norm=3.0), 2, shards).items():
        np.testing.assert_array_equal(value, fallen(descending(), 2, shards)[name])


def test_squares_do_not_overflow_float32() -> None:
    shards = drawn_gradients(1e25)
    found = fallen(descending(3.0), 2, shards)
    assert norm({name: value.astype(np.float64) for name, value in found.items()}) == pytest.approx(3.0, rel=1e-5)


def test_rows_of_an_earlier_batch_do_not_count() -> None:
    """The second batch has no row of the tables: its norm is that of the dense variables."""
    replica = descending(1.0)
    parameters = parameters_of(replica)
    memory = plain.memory_of(arrays_of(parameters, 1))
    reducer = Reducer(memory, parameters, replica.clip_global_norm, 0, 1)
    dense: dict[str, Any] = {p.name: np.zeros(p.shape, np.float32) for p in parameters}
    dense["bias"] = np.array([3, 4, 0, 0, 0, 0, 0], np.float32)
    empty = {n: ts.IndexedSlicesValue(np.zeros((0, *memory[f"parameter/{n}"].shape[1:]), np.float32), np.zeros(0, int))
             for n in ("table", "wide")}  # fmt: skip
    for slopes in (drawn_gradients()[0], {**dense, **empty}):
        memory["parameter/bias"][...] = 0
        reducer.publish(0, slopes)
        reducer.measure()
        reducer.update(0)
    np.testing.assert_allclose(memory["parameter/bias"], [-0.6, -0.8, 0, 0, 0, 0, 0], rtol=1e-6)


@pytest.mark.parametrize(
    "spec",
    [
        {"scheduled": True},
        {"scheduled": True, "clip_global_norm": 0.15},
        {"clip_norm": 0.05, "clip_global_norm": 0.1},
        {"clip_value": (-0.004, 0.002), "scheduled": True},
    ],
    ids=repr,
)
def test_it_is_what_one_graph_learns_by_minimize(spec: dict[str, Any]) -> None:
    steps = 12
    over_processes = trainer(2, spec, drawing.NAME, steps=steps).train()
    plainly = trainer(2, {}, drawing.NAME, steps=steps).train()
    for name, value in minimized(spec, steps).items():
        np.testing.assert_allclose(over_processes[name], value, rtol=2e-3, atol=2e-5, err_msg=name)
        assert np.abs(plainly[name] - value).max() > 0.01, f"{name} would learn otherwise without {spec}"


def minimized(spec: dict[str, Any], steps: int) -> dict[str, Array]:
    """The program's variables after so many steps of a session on whole batches."""
    replica = drawing.build(spec)
    graph = replica.graph
    wanted: list[tuple[str, Any]] = [
        ("clip_value", lambda bounds: clip_by_value(*bounds)),
        ("clip_norm", clip_by_norm),
        ("clip_global_norm", clip_by_global_norm),
    ]
    transforms: list[Transform] = [make(spec[key]) for key, make in wanted if key in spec]
    rates = [drawing.schedule(rate) if spec.get("scheduled") else rate for rate in (0.3, 0.1)]
    optimizer = Optimizer(
        Momentum(0.5), rates[0], tables=RowWiseAdagrad(), table_learning_rate=rates[1],
        transforms=[*transforms, weight_decay(1e-3, only=[graph.variables["hidden"]])],
    )  # fmt: skip
    learnt, session = graph.trainable_variables(), ts.Session(graph)
    with graph.as_default():
        step = optimizer.minimize(replica.loss)
    for index in range(steps):
        batch = plain.data(index)
        feeds: dict[ts.Node, Any] = {replica.feeds[name]: value for name, value in batch.items()}
        session.run(step, {**feeds, replica.batch_weight: np.float32(batch["weight"].sum())})
    return {variable.name: graph.store.get(variable.name) for variable in learnt}


def test_a_resumed_run_goes_on_in_its_schedule(tmp_path: Path) -> None:
    spec = {"scheduled": True, "clip_global_norm": 0.2}
    whole_run = Run(4, tmp_path / "whole", spec, program=drawing.NAME)
    trainer(1, spec, drawing.NAME, checkpoints=str(tmp_path / "parts"), steps=7).train()
    resumed = Run(2, tmp_path / "parts", spec, program=drawing.NAME)
    assert resumed.reports[0].step == 7
    assert (resumed.digest, resumed.state) == (whole_run.digest, whole_run.state)


@pytest.mark.parametrize(
    ("clipping", "message"),
    [
        ({"clip_norm": 0.0}, "a norm is clipped to a limit > 0, got 0.0"),
        ({"clip_value": (0.5, 1.0)}, r"the bounds must hold 0, got \[0.5, 1.0\]"),
        ({"limit": -1.0}, "a norm is clipped to a limit > 0, got -1.0"),
    ],
)
def test_limits_that_make_no_sense_are_refused(clipping: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        descending(**clipping)
