"""A checkpoint is there whole or not at all, and is taken up by its own run only."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from tests.tsengine.parallel import parallel_programs as programs
from tsengine.parallel.checkpoint import checkpoints, latest_checkpoint, load_checkpoint, save_checkpoint
from tsengine.parallel.errors import CheckpointMismatch
from tsengine.parallel.memory import Memory
from tsengine.parallel.parameters import Parameter, arrays_of, parameters_of

PARAMETERS = parameters_of(programs.build({}))


def memory(fill: float, parameters: tuple[Parameter, ...] = PARAMETERS) -> Memory:
    arrays = arrays_of(parameters, 1)
    found = programs.memory_of(arrays)
    for name in arrays:
        found[name][...] = fill
    return found


def test_what_was_saved_comes_back(tmp_path: Path) -> None:
    save_checkpoint(str(tmp_path), 12, memory(3.0), PARAMETERS, {"id": 1}, keep=2)
    other = memory(0.0)
    path = latest_checkpoint(str(tmp_path), {"id": 1})
    assert path is not None
    assert load_checkpoint(path, other, PARAMETERS) == 12
    assert (other["parameter/table"] == 3).all()
    assert (other["slot/hidden/m"] == 3).all()
    assert (other["gradient"] == 0).all()
    made_by = json.loads((Path(path) / "state.json").read_text())["made_by"]
    assert made_by["numpy"] == np.__version__
    assert set(made_by) == {"machine", "numpy", "blas"}


def test_only_the_newest_stay(tmp_path: Path) -> None:
    for step in (5, 10, 15):
        save_checkpoint(str(tmp_path), step, memory(step), PARAMETERS, {}, keep=2)
    assert [path.name for path in checkpoints(str(tmp_path))] == ["step=00000010", "step=00000015"]
    assert sorted(os.listdir(tmp_path)) == ["step=00000010", "step=00000015"]


def test_what_a_killed_process_left_is_no_checkpoint_and_goes(tmp_path: Path) -> None:
    (tmp_path / ".writing-x").mkdir()
    (tmp_path / ".writing-x/state.json").write_text("{")
    (tmp_path / "step=00000099").mkdir()
    assert latest_checkpoint(str(tmp_path), {}) is None
    save_checkpoint(str(tmp_path), 1, memory(1.0), PARAMETERS, {}, keep=2)
    assert not (tmp_path / ".writing-x").exists()


def test_a_failed_write_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr("tsengine.parallel.checkpoint.save", full)
    with pytest.raises(OSError, match="no space left"):
        save_checkpoint(str(tmp_path), 1, memory(1.0), PARAMETERS, {}, keep=2)
    assert os.listdir(tmp_path) == []


def test_nothing_bears_the_name_of_a_checkpoint_before_it_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[str]] = []
    rename = os.rename

    def watched(source: Path, target: Path) -> None:
        seen.append(sorted(path.name for path in tmp_path.iterdir()))
        rename(source, target)

    monkeypatch.setattr(os, "rename", watched)
    save_checkpoint(str(tmp_path), 1, memory(1.0), PARAMETERS, {}, keep=2)
    (names,) = seen
    assert [name[:9] for name in names] == [".writing-"], "what a kill at this instant would leave"
    assert [path.name for path in checkpoints(str(tmp_path))] == ["step=00000001"]


def test_every_difference_to_another_graph_is_said(tmp_path: Path) -> None:
    save_checkpoint(str(tmp_path), 1, memory(1.0, PARAMETERS[1:]), PARAMETERS[1:], {}, keep=2)
    (path,) = checkpoints(str(tmp_path))
    fewer = PARAMETERS[:3]
    with pytest.raises(CheckpointMismatch, match="parameter/bias is missing; parameter/table is not in this"):
        load_checkpoint(str(path), memory(0.0, fewer), fewer)
