"""The benchmarks' sides compute the same, say all they promise, and name who is absent. Speed is no matter here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.benchmarks.measuring.peak_memory import held_bytes
from tests.benchmarks.training.data import Embeddings, table_values
from tests.benchmarks.training.matches import OURS, Match
from tests.benchmarks.training.workloads import WORKLOADS

ROOT = Path(__file__).parents[1]
KEYS = {"workload", "threads", "workers", "kernels", "steps_s", "samples_s", "loss", "peak_bytes"}
SMALL = ("ctr", "--rows", "26000", "--steps", "4")


def answer(module: str, *arguments: str, path: str = "") -> dict[str, Any]:
    """The line that a side prints; `path` is searched before what is installed."""
    done = subprocess.run(
        [sys.executable, "-m", f"tests.benchmarks.{module}", *arguments],
        capture_output=True,
        check=True,
        encoding="utf-8",
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": path},
    )
    said: dict[str, Any] = json.loads(done.stdout)
    return said


@pytest.mark.parametrize(("workload", "low", "high"), [("tiny", 0.701225, 0.701235), ("mlp", 0.3065, 0.3105)])
def test_our_step_reaches_the_loss_that_all_peers_reach(workload: str, low: float, high: float) -> None:
    said = answer("train_step", workload, "--steps", "48")
    assert low <= said["loss"] <= high
    assert set(said) >= KEYS
    assert said["steps"] == 48
    assert said["samples_s"] == pytest.approx(said["steps_s"] * WORKLOADS[workload].batch, rel=1e-3)


def test_ctr_by_us_by_our_workers_and_by_hand_is_the_same_training() -> None:
    ours, workers = answer("train_step", *SMALL), answer("train_step", *SMALL, "--workers", "2", "--threads", "1")
    by_hand = answer("training.peers", "numpy", *SMALL)
    assert set(ours) == set(workers) == set(by_hand) >= KEYS
    assert ours["loss"] == pytest.approx(by_hand["loss"], rel=1e-5)
    assert workers["loss"] == pytest.approx(by_hand["loss"], rel=1e-5)
    assert (ours["workers"], workers["workers"]) == (0, 2)
    assert workers["peak_bytes"] > ours["peak_bytes"], "the workers' memory counts"


def test_shared_memory_counts_though_no_process_maps_it() -> None:
    size, file = 1 << 26, os.memfd_create("shared")
    try:
        before = held_bytes([os.getpid()])
        for place in range(0, size, 1 << 20):
            os.pwrite(file, bytes(1 << 20), place)
        assert held_bytes([os.getpid()]) - before >= 0.9 * size
    finally:
        os.close(file)


def test_embeddings_drawn_in_blocks_are_those_drawn_at_once() -> None:
    workload = WORKLOADS["ctr"]
    rng = np.random.default_rng(1)
    for shape in ((429, 256), (256, 128), (128, 64), (64, 1)):
        rng.normal(size=shape)
    whole = (rng.normal(size=(70_000, 16)) * 0.05).astype(np.float32)
    np.testing.assert_array_equal(table_values(workload, 70_000)[0], whole)
    drawn = Embeddings(workload)
    for start, stop in ((7, 9), (9, 50), (0, 3), (30, 31)):
        np.testing.assert_array_equal(drawn.rows("embeddings", (70_000, 16), start, stop), whole[start:stop])


def test_workers_are_refused_where_the_trainer_has_no_program() -> None:
    with pytest.raises(subprocess.CalledProcessError) as error:
        answer("train_step", "mlp", "--workers", "2")
    assert "--workers is for ctr" in error.value.stderr


def test_a_peer_that_cannot_be_imported_is_named(tmp_path: Path) -> None:
    (tmp_path / "jax.py").write_text("raise ImportError('jax is broken')\n", encoding="utf-8")
    said = answer("training.peers", "jax", "tiny", "--steps", "1", path=str(tmp_path))
    assert said == {"library": "jax", "absent": "jax is broken"}
    match = Match("tiny", 1, 0, ("torch", "jax"), 1.5, ("jax",))
    rows = match.rows({OURS: [{"steps_s": 6.0}], "torch": [{"steps_s": 2.0}], "jax": [said]})
    assert [(row["side"], row["ours_over_it"], row["bar"], row["verdict"]) for row in rows] == [
        (OURS, "", "", ""),
        ("torch", 3.0, "", ""),
        ("jax", "", 1.5, "absent: jax is broken"),
    ]


def test_the_bar_is_on_the_faster_of_its_peers_and_on_medians() -> None:
    match = Match("ctr", 2, 2, ("torch", "tensorflow"), 1.8, ("torch", "tensorflow"))
    rates = {OURS: (17.0, 99.0, 18.0), "torch": (10.0, 1.0, 50.0), "tensorflow": (9.0, 9.0, 9.0)}
    rows = match.rows({side: [{"steps_s": rate} for rate in seen] for side, seen in rates.items()})
    assert [(row["steps_s"], row["lowest"], row["highest"]) for row in rows] == [(18, 17, 99), (10, 1, 50), (9, 9, 9)]
    assert [(row["bar"], row["verdict"]) for row in rows] == [("", ""), (1.8, "held"), ("", "")]
