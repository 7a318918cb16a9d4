"""Any number of workers gives the same bits; whatever dies, nothing is left and the run goes on to the same bits."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tsengine as ts
from tests.tsengine.parallel import parallel_programs as programs
from tests.tsengine.parallel.parallel_programs import Run, trainer, workers_of
from tsengine.parallel import CheckpointMismatch, StepReport, Trainer, TrainingFailure
from tsengine.parallel.checkpoint import checkpoints
from tsengine.train import restore

ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    """After every test: no process, and no shared memory that is open or mapped."""
    before = _blocks()
    yield
    assert workers_of(os.getpid()) == set()
    assert _blocks() == before


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The run of one worker."""
    return Run(1, tmp_path_factory.mktemp("alone"))


@pytest.mark.parametrize("workers", [2, 3])
def test_any_number_of_workers_gives_the_same_bits(alone: Run, workers: int, tmp_path: Path) -> None:
    run = Run(workers, tmp_path)
    assert run.digest == alone.digest
    assert run.state == alone.state
    assert [(r.step, r.loss, r.observed) for r in run.reports] == [(r.step, r.loss, r.observed) for r in alone.reports]
    assert [r.step for r in run.reports if r.observed] == [9, 19, 29]


def test_every_array_is_in_the_checkpoint(alone: Run, tmp_path: Path) -> None:
    Run(2, tmp_path, steps=1)
    arrays = restore(str(checkpoints(str(tmp_path))[-1] / "state.safetensors"))
    assert sorted(name for name in arrays if name.startswith("slot/")) == [
        "slot/hidden/m", "slot/hidden/v", "slot/out/m", "slot/out/v", "slot/table/row_accumulator",
        "slot/wide/m", "slot/wide/v",
    ]  # fmt: skip
    assert all(arrays[name].any() for name in arrays if name.startswith("slot/"))


def test_it_is_the_training_of_a_single_graph(alone: Run) -> None:
    """The first loss, and the parameters after one step, against gradients of the whole batch in one graph."""
    replica = programs.build({})
    whole = programs.data(0)
    feeds: dict[ts.Node, Any] = {replica.feeds[name]: value for name, value in whole.items()}
    feeds[replica.batch_weight] = np.float32(whole["weight"].sum())
    variables = [replica.graph.variables[name] for name in ("hidden", "bias", "table")]
    slopes = ts.gradients(replica.loss, variables)
    loss, (hidden, bias, table) = ts.Session(replica.graph).run([replica.loss, slopes], feeds)
    assert alone.reports[0].loss == pytest.approx(float(loss), rel=1e-6)

    after = trainer(2, steps=1).train()
    first = replica.graph.store.get("hidden")
    hidden = hidden + 1e-4 * first
    expected = first - 0.01 * hidden / (np.abs(hidden) + 1e-8 / np.sqrt(1 - 0.999))  # the first step of Adam
    np.testing.assert_allclose(after["hidden"], expected, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(after["bias"], -0.1 * bias, rtol=1e-4, atol=1e-7)
    rows = replica.graph.store.get("table").astype(np.float64)
    summed = np.zeros_like(rows)
    np.add.at(summed, table.indices, table.values.astype(np.float64))
    stepped = rows - 0.1 * summed / (np.sqrt((summed**2).mean(axis=1, keepdims=True)) + 1e-8)
    np.testing.assert_allclose(after["table"], stepped, rtol=1e-3, atol=1e-5)
    untouched = np.setdiff1d(np.arange(programs.TABLE), table.indices)
    np.testing.assert_array_equal(after["table"][untouched], rows[untouched].astype(np.float32))


def test_the_loss_falls(alone: Run) -> None:
    assert alone.reports[0].loss > np.mean([report.loss for report in alone.reports[-5:]])
    assert alone.reports[0].weight_sum == programs.ROWS * programs.SHARDS - programs.PADDING


@pytest.mark.parametrize(("die_at", "then"), [(3, 2), (10, 3), (29, 1)])
def test_a_killed_worker_ends_all_and_the_run_goes_on_to_the_same_bits(
    alone: Run, tmp_path: Path, die_at: int, then: int
) -> None:
    more: dict[str, Any] = {"checkpoint_every": 4, "run": {"id": "a"}}
    with pytest.raises(TrainingFailure, match=r"worker 1 \(process \d+\) was killed by signal 9; the same run goes on"):
        trainer(2, {"die_at": die_at}, checkpoints=str(tmp_path), **more).train()
    run = Run(then, tmp_path, **more)
    assert run.reports[0].step == die_at // 4 * 4
    assert (run.digest, run.state) == (alone.digest, alone.state)


def test_a_finished_run_makes_no_step_again(alone: Run, tmp_path: Path) -> None:
    Run(2, tmp_path)
    again = Run(2, tmp_path)
    assert again.reports == []
    assert again.digest == alone.digest


def test_when_the_parent_is_killed_nothing_stays_and_the_run_goes_on(alone: Run, tmp_path: Path) -> None:
    program = (
        "import sys; from tsengine.parallel import Trainer\n"
        f"t = Trainer({programs.NAME!r}, {{'stall_at': 9}}, 2, {programs.SHARDS}, {programs.ROWS}, sys.argv[1], 4,\n"
        "            on_step=lambda report: print(report.step, flush=True))\n"
        "t.train()\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT, text=True) as parent:
        assert parent.stdout is not None
        while int(parent.stdout.readline()) < 6:
            pass
        assert len(workers_of(parent.pid)) == 2
        os.kill(parent.pid, signal.SIGKILL)
    _wait_until(lambda: not workers_of(parent.pid))
    assert [path.name for path in checkpoints(str(tmp_path))] in (["step=00000004"], ["step=00000004", "step=00000008"])
    run = Run(3, tmp_path)
    assert (run.digest, run.state) == (alone.digest, alone.state)


def test_a_checkpoint_of_another_run_is_refused(tmp_path: Path) -> None:
    trainer(1, checkpoints=str(tmp_path), run={"id": "a"}, steps=2).train()
    with pytest.raises(CheckpointMismatch, match=r"checkpoint of another run \(id: 'a' there, 'b' here\)"):
        trainer(1, checkpoints=str(tmp_path), run={"id": "b"}).train()
    other = Trainer(programs.NAME, {}, 1, 12, 6, checkpoints=str(tmp_path), run={"id": "a"})
    with pytest.raises(CheckpointMismatch, match=r"shard_rows: 12 there, 6 here, shards: 6 there, 12 here"):
        other.train()


def test_a_worker_that_raises_shows_its_traceback_once(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(TrainingFailure) as failure:
        trainer(2, {"raise_at": 3}).train()
    text = str(failure.value)
    assert text.startswith("worker 1 failed: RuntimeError: the data is gone")
    assert text.count("Traceback") == 1
    assert 'raise RuntimeError("the data is gone")' in text
    assert capfd.readouterr().err == ""


def test_a_program_that_does_not_exist_is_named() -> None:
    with pytest.raises(TrainingFailure, match="worker 0 failed: ModuleNotFoundError: No module named 'absent'"):
        Trainer("absent:build", {}, 1, 6, 12).train()


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (
            {"nan_at": 2},
            r"step 2, shard 0: the loss 'divide' is nan; it begins with what is fed to 'x' \(op",
        ),
        ({"bad_gradient": True}, "the gradient of variable 'out' is NaN or infinite"),
        ({"ends_at": 4}, "the batches ended before step 4, the program said 30 steps"),
        ({"lost_at": 1}, r"expected shards \[0, 2, 4\] of step 1 on rank 0 of 2, .* gave shards \[2, 4\] of step 1"),
    ],
)
def test_what_went_wrong_is_named(spec: dict[str, Any], message: str) -> None:
    with pytest.raises(TrainingFailure) as failure:
        trainer(2, spec).train()
    assert re.search(rf"worker [01] failed: {message}", str(failure.value))
    assert "Traceback" not in str(failure.value)


def test_a_batch_without_weight_changes_nothing_but_the_moments() -> None:
    reports: list[StepReport] = []
    trainer(2, {"no_weight_at": 1}, steps=3, on_step=reports.append).train()
    assert reports[1].loss == 0.0
    assert np.isfinite(reports[2].loss)


def test_a_worker_that_stalls_is_named() -> None:
    with pytest.raises(TrainingFailure, match=r"worker 0 failed: worker \[1\] did not come within 1 s"):
        trainer(2, {"stall_at": 2}, stall_timeout_s=1.0).train()


def test_a_caller_that_stops_listening_ends_the_training() -> None:
    def stop(report: StepReport) -> None:
        if report.step == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trainer(2, on_step=stop).train()


def test_more_workers_than_shards_are_refused() -> None:
    with pytest.raises(ValueError, match=r"workers must lie between 1 and shards \(6\), got 7"):
        trainer(7)


def _wait_until(done: Any, limit_s: float = 20.0) -> None:
    deadline = time.monotonic() + limit_s
    while not done():
        assert time.monotonic() < deadline
        os.sched_yield()


def _blocks() -> tuple[int, int]:
    """How many blocks of shared memory are mapped here, and how many are open."""
    mapped = Path("/proc/self/maps").read_text().count("memfd:training")
    return mapped, sum("memfd:training" in _target(path) for path in Path("/proc/self/fd").iterdir())


def _target(path: Path) -> str:
    try:
        return os.readlink(path)
    except FileNotFoundError:
        return ""
