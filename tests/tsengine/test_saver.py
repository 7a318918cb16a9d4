"""Saving: one file, and a row of checkpoints with its index; what does not fit, and what a kill leaves behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tsengine as ts
from tsengine.specs import Array
from tsengine.train import Adam, CheckpointError, Optimizer, Saver, latest_checkpoint, restore, save


@pytest.fixture(autouse=True)
def graph() -> Iterator[ts.Graph]:
    with ts.Graph().as_default() as graph:
        yield graph


def refuse(*_: object) -> None:
    raise OSError("disk full")


def files(folder: Path) -> list[str]:
    return sorted(item.name for item in folder.iterdir())


def numbered(value: float) -> tuple[ts.Variable, Saver]:
    """A graph of its own with one variable, w."""
    with ts.Graph().as_default():
        return ts.Variable(np.full(2, value, np.float32), name="w"), Saver(max_to_keep=2)


def test_saved_arrays_come_back_and_a_failed_save_leaves_the_old_file(tmp_path: Path, monkeypatch: Any) -> None:
    path = str(tmp_path / "weights.safetensors")
    arrays: dict[str, Array] = {"a/b": np.arange(6, dtype=np.float32).reshape(2, 3).T, "step": np.array(7, np.int64)}
    save(path, arrays, {"version": "1"})
    got = restore(path)
    assert set(got) == set(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(got[name], array)
        assert (got[name].dtype, got[name].shape) == (array.dtype, array.shape)
    replace: Callable[..., None] = refuse
    monkeypatch.setattr("os.replace", replace)
    with pytest.raises(OSError, match="disk full"):
        save(path, {"a": np.zeros(3)})
    assert set(restore(path)) == set(arrays)
    assert files(tmp_path) == ["weights.safetensors"]


def training() -> tuple[ts.Node, ts.Variable]:
    w = ts.Variable(np.array([1.0, 2.0], np.float32), name="w")
    return Optimizer(Adam(), 0.1).minimize(ts.reduce_sum(ts.square(w))), w


def test_training_goes_on_to_the_same_bits_slots_and_step_too(tmp_path: Path) -> None:
    saver = Saver()
    step, w = training()
    session = ts.Session()
    session.run(step)
    path = saver.save(str(tmp_path / "deep" / "model"), 1)
    for _ in range(3):
        session.run(step)
    with ts.Graph().as_default() as other:
        again, v = training()
        Saver().restore(path)
        for _ in range(3):
            ts.Session().run(again)
        np.testing.assert_array_equal(ts.Session().run(v), session.run(w))
        assert other.store.get("optimizer/step") == 4
    assert latest_checkpoint(str(tmp_path / "deep")) == path == str(tmp_path / "deep" / "model-1.safetensors")


def test_the_index_by_the_letter(tmp_path: Path) -> None:
    ts.Variable(np.zeros((3, 2), np.float32), name="w")
    ts.Variable(7, dtype=np.int64, name="n")
    Saver().save(str(tmp_path / "model"), 20)
    variables = {"w": {"shape": [3, 2], "dtype": "float32"}, "n": {"shape": [], "dtype": "int64"}}
    entry = {"file": "model-20.safetensors", "prefix": "model", "step": 20, "variables": variables}
    assert json.loads((tmp_path / "checkpoints.json").read_text()) == {"format": 1, "checkpoints": [entry]}


def test_the_newest_stay_each_prefix_by_itself(tmp_path: Path) -> None:
    w, saver = numbered(1.0)
    saver.save(str(tmp_path / "best"), 3)
    for step in (10, 20, 30, 5):
        saver.save(str(tmp_path / "model"), step)
    assert files(tmp_path) == [
        "best-3.safetensors", "checkpoints.json", "model-30.safetensors", "model-5.safetensors",
    ]  # fmt: skip
    assert latest_checkpoint(str(tmp_path)) == str(tmp_path / "model-5.safetensors"), "saved last"
    saver.save(str(tmp_path / "model"), 30)
    assert latest_checkpoint(str(tmp_path)) == str(tmp_path / "model-30.safetensors")
    (tmp_path / "model-30.safetensors").unlink()
    assert latest_checkpoint(str(tmp_path)) == str(tmp_path / "model-5.safetensors"), "one that exists"
    assert w.graph.store.get("w").tolist() == [1.0, 1.0]


def test_a_folder_without_checkpoints_has_no_latest(tmp_path: Path) -> None:
    assert latest_checkpoint(str(tmp_path)) is latest_checkpoint(str(tmp_path / "absent")) is None


def test_every_difference_is_told_at_once_and_nothing_changes(tmp_path: Path) -> None:
    for name, value in {
        "shape": np.zeros((2, 3)),
        "dtype": np.zeros(2),
        "gone": np.zeros(1),
        "same": np.ones(2),
    }.items():
        ts.Variable(value, name=name)
    path = Saver().save(str(tmp_path / "model"), 1)
    with ts.Graph().as_default() as other:
        ts.Variable(np.zeros((3, 2)), name="shape")
        ts.Variable(np.zeros(2, np.float32), name="dtype")
        same, _ = ts.Variable(np.zeros(2), name="same"), ts.Variable(np.zeros(2), name="added")
        with pytest.raises(CheckpointError) as failure:
            Saver().restore(path)
        assert str(failure.value) == (
            f"{path} does not fit the graph: 'added' is missing in the checkpoint; 'gone' is not in the graph; "
            "'dtype' is float64 in the checkpoint, float32 in the graph; "
            "'shape' has shape [2,3] in the checkpoint, [3,2] in the graph"
        )
        assert not other.store.get("same").any()
        Saver([same]).restore(path)
        assert other.store.get("same").all(), "what was not chosen need not fit"


def test_restoring_gives_a_variable_without_a_first_value_one(tmp_path: Path) -> None:
    w, saver = numbered(4.0)
    path = saver.save(str(tmp_path / "model"), 1)
    with ts.Graph().as_default() as other:
        ts.Variable(shape=(2,), name="w")
        with pytest.raises(ts.errors.UninitializedVariable, match="'w'"):
            Saver().save(str(tmp_path / "model"), 2)
        Saver().restore(path)
        np.testing.assert_array_equal(other.store.get("w"), w.graph.store.get("w"))
    assert files(tmp_path) == ["checkpoints.json", "model-1.safetensors"]


def test_a_run_beside_a_restore_sees_one_checkpoint_whole(tmp_path: Path, eager_threads: None) -> None:
    variables = [ts.Variable(np.zeros(2), name=name) for name in ("a", "b", "c")]
    saver, read, seen = Saver(), ts.Session().make_callable(variables), list[Any]()
    paths = [saver.save(str(tmp_path / "zeros"), 1)]
    ts.get_default_graph().store.set_many({variable.name: [1.0, 1.0] for variable in variables})
    paths.append(saver.save(str(tmp_path / "ones"), 1))

    def look() -> None:
        while len(seen) < 2000:
            seen.append(np.unique(read()).tolist())

    reader = threading.Thread(target=look)
    reader.start()
    while reader.is_alive():
        for path in paths:
            saver.restore(path)
    assert [values for values in seen if len(values) > 1] == []


def test_a_damaged_file_or_index_is_told(tmp_path: Path) -> None:
    _, saver = numbered(1.0)
    path = Path(saver.save(str(tmp_path / "model"), 1))
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(CheckpointError, match=r"model-1.safetensors is no checkpoint, or damaged"):
        saver.restore(str(path))
    with pytest.raises(FileNotFoundError):
        saver.restore(str(tmp_path / "model-2.safetensors"))
    index = tmp_path / "checkpoints.json"
    outside = {"format": 1, "checkpoints": [{"file": "../x", "prefix": "model", "step": 1}]}
    for text, message in (
        ("{", "is damaged"),
        ("[]", "is damaged"),
        ('{"format": 1, "checkpoints": [{}]}', "is damaged"),
        ('{"format": 2, "checkpoints": []}', "is not an index of format 1"),
        (json.dumps(outside), "is not an index of format 1"),
    ):
        index.write_text(text)
        with pytest.raises(CheckpointError, match=message):
            latest_checkpoint(str(tmp_path))


def test_arguments_that_make_no_sense_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="max_to_keep must be >= 1, or None to keep all, got 0"):
        Saver(max_to_keep=0)
    with pytest.raises(ValueError, match="at least one variable"):
        Saver([])
    with pytest.raises(ValueError, match="step must be >= 0, got -1"):
        numbered(1.0)[1].save(str(tmp_path / "model"), -1)


def test_a_save_that_fails_leaves_the_old_one(tmp_path: Path, monkeypatch: Any) -> None:
    _, saver = numbered(1.0)
    old = saver.save(str(tmp_path / "model"), 1)
    with monkeypatch.context() as patch, pytest.raises(OSError, match="disk full"):
        patch.setattr("os.replace", refuse)
        saver.save(str(tmp_path / "model"), 2)
    assert latest_checkpoint(str(tmp_path)) == old
    assert files(tmp_path) == ["checkpoints.json", "model-1.safetensors"]


KILLED = """
import os, signal, sys
import numpy as np
import tsengine as ts

left, fsync = int(sys.argv[2]), os.fsync

def flush(handle):
    global left
    left -= 1
    if not left:
        os.kill(os.getpid(), signal.SIGKILL)
    fsync(handle)

os.fsync = flush
ts.Variable(np.full(2, 2.0, np.float32), name="w")
ts.train.Saver(max_to_keep=1).save(sys.argv[1], 2)
"""


@pytest.mark.parametrize(("flush", "newest"), [(1, 1), (2, 1), (3, 1), (4, 2)])
def test_a_killed_save_leaves_a_whole_checkpoint(tmp_path: Path, flush: int, newest: int) -> None:
    """Killed before the file's, the folder's, the index's and again the folder's flush to the disk."""
    w, saver = numbered(1.0)
    prefix = str(tmp_path / "model")
    saver.save(prefix, 1)
    ended = subprocess.run([sys.executable, "-c", KILLED, prefix, str(flush)], cwd=os.getcwd())
    assert ended.returncode == -signal.SIGKILL
    latest = latest_checkpoint(str(tmp_path))
    assert latest == f"{prefix}-{newest}.safetensors"
    saver.restore(latest)
    assert w.graph.store.get("w").tolist() == [newest, newest]
    saver.save(prefix, 2)
    saver.save(prefix, 3)
    assert {"checkpoints.json", "model-2.safetensors", "model-3.safetensors"} <= set(files(tmp_path))
    assert not [name for name in files(tmp_path) if name.startswith(".")], "no half file stays"
