"""Random numbers in a training are those of (seed, step, shard, node); averages follow the batches of all shards."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tsengine as ts
from tests.tsengine.parallel import drawing_programs as drawing
from tests.tsengine.parallel import parallel_programs as plain
from tests.tsengine.parallel.parallel_programs import Run, trainer
from tsengine.parallel import Replica, TrainingFailure
from tsengine.specs import Array

SPEC = {"dropout": 0.4, "normalize": 0.9, "clip_global_norm": 0.2, "scheduled": True}


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The run of one worker, with everything."""
    return Run(1, tmp_path_factory.mktemp("alone"), SPEC, program=drawing.NAME)


def shards(step: int) -> list[dict[str, Array]]:
    """The shards of a step, all of them."""
    (found,) = (s.shards for s in plain.batches(0, 1, 0, {}) if s.index == step)
    return [batch for _, batch in found]


def feeds(replica: Replica, batch: dict[str, Array]) -> dict[ts.Node, Any]:
    weight = sum(float(shard["weight"].sum()) for shard in shards(0))
    return {**{replica.feeds[name]: v for name, v in batch.items()}, replica.batch_weight: np.float32(weight)}


@pytest.mark.parametrize("workers", [2, 4])
def test_any_number_of_workers_draws_the_same(alone: Run, workers: int, tmp_path: Path) -> None:
    run = Run(workers, tmp_path, SPEC, program=drawing.NAME)
    assert (run.digest, run.state) == (alone.digest, alone.state)
    assert [r.loss for r in run.reports] == [r.loss for r in alone.reports]


def test_a_killed_run_goes_on_to_draw_what_it_would_have_drawn(alone: Run, tmp_path: Path) -> None:
    more: dict[str, Any] = {"program": drawing.NAME, "checkpoint_every": 4}
    with pytest.raises(TrainingFailure, match="was killed by signal 9"):
        trainer(2, {**SPEC, "die_at": 10}, checkpoints=str(tmp_path), **more).train()
    run = Run(4, tmp_path, SPEC, **more)
    assert run.reports[0].step == 8
    assert (run.digest, run.state) == (alone.digest, alone.state)


def test_a_shard_draws_the_step_times_the_shards_and_itself(alone: Run) -> None:
    """The loss of the first step is that of six runs of one graph which draw 0 to 5; other numbers give another."""
    replica = drawing.build(SPEC)
    session, step = ts.Session(replica.graph), ts.random_step(replica.graph)

    def loss(first: int) -> float:
        fed = enumerate(shards(0), start=first)
        return float(sum(session.run(replica.loss, {**feeds(replica, batch), step: k}) for k, batch in fed))

    assert loss(0) == pytest.approx(alone.reports[0].loss, rel=1e-6)
    assert abs(loss(6) - alone.reports[0].loss) > 1e-3


def test_the_random_step_is_no_part_of_the_trained_model(alone: Run) -> None:
    learnt = {"table", "hidden", "out", "scale", "offset"}
    assert {*alone.parameters} == learnt | {"mean", "variance"}
    assert not [name for name in alone.checkpoint if "random" in name]


def test_an_average_follows_the_shards_by_their_weight() -> None:
    """After one step: 0.9 of the first value and 0.1 of the statistics, the last shard counting for its rows."""
    replica = drawing.build(SPEC)
    after = trainer(2, SPEC, drawing.NAME, steps=1).train()
    parts = [replica.averages[name].part for name in ("mean", "variance")]
    seen = [ts.Session(replica.graph).run(parts, feeds(replica, batch)) for batch in shards(0)]
    mean, variance = np.sum(seen, axis=0)
    np.testing.assert_allclose(after["mean"], 0.1 * mean, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(after["variance"], 0.9 + 0.1 * variance, rtol=1e-5)
    assert np.abs(mean).max() > 0.05


def test_averages_arrive_at_the_statistics_of_the_data(alone: Run) -> None:
    """With the trained parameters, the hidden layer over the last batches has about the averages that were kept."""
    replica = drawing.build(SPEC)
    for name, value in alone.parameters.items():
        replica.graph.store.set(name, value)
    parts = [replica.averages[name].part for name in ("mean", "variance")]
    steps = range(plain.STEPS - 8, plain.STEPS)
    session = ts.Session(replica.graph)
    seen = [np.sum([session.run(parts, feeds(replica, b)) for b in shards(step)], axis=0) for step in steps]
    mean, variance = np.mean(seen, axis=0)
    np.testing.assert_allclose(alone.parameters["mean"], mean, atol=0.3 * np.sqrt(variance).max())
    np.testing.assert_allclose(alone.parameters["variance"], variance, rtol=0.5)


def test_a_batch_without_weight_moves_no_average() -> None:
    before = trainer(1, SPEC, drawing.NAME, steps=1).train()
    after = trainer(2, {**SPEC, "no_weight_at": 1}, drawing.NAME, steps=2).train()
    for name in ("mean", "variance"):
        np.testing.assert_array_equal(after[name], before[name])


def test_a_nan_is_explained_in_a_graph_that_draws() -> None:
    with pytest.raises(TrainingFailure, match=r"step 2, shard 0: .* is nan; it begins with what is fed to 'x'"):
        trainer(2, {**SPEC, "nan_at": 2}, drawing.NAME).train()
