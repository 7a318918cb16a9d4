"""Arrays by name in safetensors files, written so that a reader sees the old file or the new one, never a part.

`save` and `restore` write and read one file. A `Saver` keeps the variables of a graph in a row of checkpoints

    <prefix>-<step>.safetensors     the arrays, by the names of the variables
    checkpoints.json                beside them: what the folder holds, the oldest first

    {"format": 1, "checkpoints": [
        {"file": "model-20.safetensors", "prefix": "model", "step": 20,
         "variables": {"w": {"shape": [3, 2], "dtype": "float32"}}}]}

A checkpoint counts once the index names it: the file is whole on the disk before that, and removed only after the
index no longer does.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from tsengine.graph import Graph
from tsengine.scopes import get_default_graph
from tsengine.specs import Array, format_shape
from tsengine.train.errors import CheckpointError
from tsengine.variables import Variable

INDEX, FORMAT = "checkpoints.json", 1


def save(path: str, arrays: Mapping[str, Array], metadata: Mapping[str, str] | None = None) -> None:
    """Write arrays (and string metadata) to `path`: a temporary file beside it, flushed to disk, then renamed."""
    data = _to_bytes(arrays, metadata or {})
    handle, temporary = tempfile.mkstemp(dir=os.path.dirname(os.path.abspath(path)), prefix=".saving-")
    os.close(handle)
    _replace(path, data, temporary)


def restore(path: str) -> dict[str, Array]:
    """The arrays of a file written by `save`."""
    from safetensors.numpy import load_file

    return dict(load_file(path))


class Saver:
    """Saves and restores variables by name; the newest `max_to_keep` checkpoints of a prefix stay (None: all).

    variables: those to save; all of the default graph by default, slots and the step too, also ones made later.
    One saver writes a prefix at a time.
    """

    def __init__(self, variables: Sequence[Variable] | None = None, max_to_keep: int | None = 5) -> None:
        if max_to_keep is not None and max_to_keep < 1:
            raise ValueError(f"max_to_keep must be >= 1, or None to keep all, got {max_to_keep}")
        if variables is not None and not variables:
            raise ValueError("a Saver needs at least one variable, or None for all of the graph")
        self.max_to_keep = max_to_keep
        self._graph: Graph = variables[0].graph if variables else get_default_graph()
        self._chosen = None if variables is None else tuple(variables)

    def save(self, path_prefix: str, step: int) -> str:
        """Write `<path_prefix>-<step>.safetensors` and put it into the folder's index; returns its path.

        All values are of one moment: no step runs between them. Killed at any time, the older checkpoints stay.
        A step must be >= 0; one that was saved before is replaced, and is the newest then.
        """
        if step < 0:
            raise ValueError(f"step must be >= 0, got {step}")
        folder, prefix = os.path.split(os.path.abspath(path_prefix))
        entry = {"file": f"{prefix}-{step}.safetensors", "prefix": prefix, "step": int(step)}
        entry["variables"] = {v.name: {"shape": list(v.static_shape), "dtype": v.dtype.name} for v in self._variables}
        path = os.path.join(folder, str(entry["file"]))
        store = self._graph.store
        with store.lock.reading():
            data = _to_bytes({v.name: store.array(v.name) for v in self._variables}, {"step": str(int(step))})
        os.makedirs(folder, exist_ok=True)
        _replace(path, data, os.path.join(folder, f".{prefix}.saving"))
        self._enter(folder, entry)
        return path

    def restore(self, path: str) -> None:
        """Put the values of a checkpoint into the variables.

        Raises CheckpointError with every difference at once, and then changes nothing: a variable that the checkpoint
        lacks, a shape, a dtype, and (unless the saver was given its variables) a name that the graph lacks.
        They change all at one moment: a step that runs meanwhile sees the values before or those of the checkpoint.
        """
        arrays = _read(path)
        faults = self._faults(arrays)
        if faults:
            raise CheckpointError(f"{path} does not fit the graph: " + "; ".join(faults))
        self._graph.store.set_many({variable.name: arrays[variable.name] for variable in self._variables})

    @property
    def _variables(self) -> Sequence[Variable]:
        return list(self._graph.variables.values()) if self._chosen is None else self._chosen

    def _faults(self, arrays: Mapping[str, Array]) -> list[str]:
        wanted = {variable.name: variable for variable in self._variables}
        faults = [f"'{name}' is missing in the checkpoint" for name in wanted if name not in arrays]
        if self._chosen is None:
            faults += [f"'{name}' is not in the graph" for name in sorted({*arrays} - {*wanted})]
        for name in sorted({*wanted} & {*arrays}):
            saved, held = arrays[name], wanted[name]
            if saved.shape != held.static_shape:
                shapes = format_shape(saved.shape), format_shape(held.static_shape)
                faults.append(f"'{name}' has shape {shapes[0]} in the checkpoint, {shapes[1]} in the graph")
            if saved.dtype != held.dtype:
                faults.append(f"'{name}' is {saved.dtype.name} in the checkpoint, {held.dtype.name} in the graph")
        return faults

    def _enter(self, folder: str, entry: Mapping[str, Any]) -> None:
        """Name a file in the index, as the newest; then remove those of its prefix that are too many."""
        before = [item for item in read_index(folder) if os.path.exists(os.path.join(folder, item["file"]))]
        entries = [item for item in before if item["file"] != entry["file"]] + [dict(entry)]
        own = [item["file"] for item in entries if item["prefix"] == entry["prefix"]]
        old = set(own[: -self.max_to_keep] if self.max_to_keep else ())
        index = {"format": FORMAT, "checkpoints": [item for item in entries if item["file"] not in old]}
        data = json.dumps(index, indent=1).encode()
        _replace(os.path.join(folder, INDEX), data, os.path.join(folder, f".{INDEX}.saving"))
        for name in sorted(old):
            with suppress(FileNotFoundError):
                os.unlink(os.path.join(folder, name))


def latest_checkpoint(folder: str) -> str | None:
    """Path of the checkpoint that a Saver wrote last into a folder; None where there is none."""
    found = [os.path.join(os.path.abspath(folder), item["file"]) for item in read_index(folder)]
    return next((path for path in reversed(found) if os.path.exists(path)), None)


def read_index(folder: str) -> list[dict[str, Any]]:
    """What a folder's index says of its checkpoints, the oldest first; nothing where there is no index."""
    path = os.path.join(folder, INDEX)
    if not os.path.exists(path):
        return []
    with open(path, "rb") as file:
        text = file.read()
    try:
        index = json.loads(text)
        known = index["format"] == FORMAT and all(map(_is_entry, index["checkpoints"]))
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{path} is damaged ({error!r}); remove it to begin another") from None
    if not known:
        raise CheckpointError(f"{path} is not an index of format {FORMAT}; save into another folder")
    return list(index["checkpoints"])


def _is_entry(item: Mapping[str, Any]) -> bool:
    """Files outside the folder are none of its index's business: old ones get removed."""
    return isinstance(item["prefix"], str) and os.path.basename(item["file"]) == item["file"] and item["step"] >= 0


def _read(path: str) -> dict[str, Array]:
    from safetensors import SafetensorError

    try:
        return restore(path)
    except SafetensorError as error:
        raise CheckpointError(f"{path} is no checkpoint, or damaged: {error}") from None


def _to_bytes(arrays: Mapping[str, Array], metadata: Mapping[str, str]) -> bytes:
    from safetensors.numpy import save as to_bytes

    # asarray, for ascontiguousarray makes a scalar a vector of one
    return to_bytes({name: np.asarray(array, order="C") for name, array in arrays.items()}, dict(metadata))


def _replace(path: str, data: bytes, temporary: str) -> None:
    """Write a temporary file, flush it to the disk, rename it to `path`, and flush the folder."""
    try:
        with open(temporary, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
    folder = os.open(os.path.dirname(os.path.abspath(path)), os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
