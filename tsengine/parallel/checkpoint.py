"""Checkpoints: parameters, slots and the step, in a folder that appears whole or not at all.

What a batch of a step holds, and what its shards draw at random, are functions of the step, so the step is the whole
state of the reader and of the random numbers.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tsengine.parallel.errors import CheckpointMismatch
from tsengine.parallel.memory import Memory
from tsengine.parallel.parameters import Parameter
from tsengine.train import restore, save

STATE, ARRAYS, UNFINISHED = "state.json", "state.safetensors", ".writing-"


def save_checkpoint(
    folder: str, step: int, memory: Memory, parameters: Sequence[Parameter], run: Mapping[str, Any], keep: int
) -> None:
    """Write `folder/step=N`: into a folder of another name, flushed, then renamed; only the newest `keep` stay."""
    target = Path(folder) / f"step={step:08d}"
    if target.exists():
        return
    _remove_unfinished(folder)
    temporary = Path(folder) / f"{UNFINISHED}{uuid.uuid4().hex}"
    temporary.mkdir(parents=True)
    try:
        save(str(temporary / ARRAYS), {name: memory[name] for name in _names(parameters)})
        _write_flushed(temporary / STATE, {"step": step, "run": dict(run), "made_by": _platform()})
        os.rename(temporary, target)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    for old in checkpoints(folder)[:-keep]:
        shutil.rmtree(old)


def checkpoints(folder: str) -> list[Path]:
    """The whole checkpoints of a folder, oldest first."""
    return sorted(path for path in Path(folder).glob("step=*") if (path / STATE).exists())


def latest_checkpoint(folder: str, run: Mapping[str, Any]) -> str | None:
    """The newest checkpoint of the same run; None where there is none.

    Raises CheckpointMismatch with the differences when the newest one belongs to another run.
    """
    found = checkpoints(folder)
    if not found:
        return None
    other = json.loads((found[-1] / STATE).read_text())["run"]
    keys = sorted(key for key in {*other, *run} if other.get(key) != run.get(key))
    if keys:
        lines = ", ".join(f"{key}: {other.get(key)!r} there, {run.get(key)!r} here" for key in keys)
        raise CheckpointMismatch(
            f"{found[-1]} is a checkpoint of another run ({lines}); remove it or train into another folder"
        )
    return str(found[-1])


def load_checkpoint(path: str, memory: Memory, parameters: Sequence[Parameter]) -> int:
    """Put a checkpoint's arrays into shared memory; returns how many steps were made before it.

    Raises CheckpointMismatch with every difference when it is of another graph.
    """
    arrays = restore(str(Path(path) / ARRAYS))
    wanted = {name: memory[name] for name in _names(parameters)}
    faults = [f"{name} is missing" for name in sorted({*wanted} - {*arrays})]
    faults += [f"{name} is not in this graph" for name in sorted({*arrays} - {*wanted})]
    faults += [
        f"{name} has shape {arrays[name].shape}, this graph's has {array.shape}"
        for name, array in wanted.items()
        if name in arrays and arrays[name].shape != array.shape
    ]
    if faults:
        raise CheckpointMismatch(f"{path} is a checkpoint of another graph: " + "; ".join(faults))
    for name, array in wanted.items():
        array[...] = arrays[name]
    return int(json.loads((Path(path) / STATE).read_text())["step"])


def _names(parameters: Sequence[Parameter]) -> list[str]:
    names = []
    for p in parameters:
        names.append(f"parameter/{p.name}")
        names += [f"slot/{p.name}/{key}" for key in p.slots]
    return names


def _remove_unfinished(folder: str) -> None:
    """What a killed process had begun to write. One training writes to a folder at a time, so nobody is at it."""
    for path in Path(folder).glob(f"{UNFINISHED}*"):
        shutil.rmtree(path, ignore_errors=True)


def _write_flushed(path: Path, state: Mapping[str, Any]) -> None:
    with path.open("w") as file:
        json.dump(state, file, indent=1)
        file.flush()
        os.fsync(file.fileno())


def _platform() -> dict[str, str]:
    """What the promise of equal bits holds for."""
    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    return {"machine": platform.machine(), "numpy": np.__version__, "blas": f"{blas.get('name')} {blas.get('version')}"}
