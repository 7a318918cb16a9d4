"""A program that the trainer's tests run in worker processes, how to run one, and how to see its processes."""

from __future__ import annotations

import hashlib
import os
import signal
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import tsengine as ts
from tsengine.parallel import Learning, Replica, StepReport, Trainer
from tsengine.parallel.checkpoint import checkpoints
from tsengine.parallel.memory import Memory, create, lay_out
from tsengine.train import Adam, GradientDescent, LazyAdam, RowWiseAdagrad, restore

NAME = "tests.tsengine.parallel.parallel_programs:build"
ROWS, IDS, TABLE, SHARDS, STEPS, PADDING = 12, 3, 500, 6, 30, 5
Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Step:
    index: int
    weight_sum: float
    shards: list[tuple[int, Arrays]]


def data(step: int) -> Arrays:
    """The global batch of a step: zipf ids, many of them twice in a shard and in several; the last rows are padding."""
    rng = np.random.default_rng(step)
    rows = ROWS * SHARDS
    weight = np.ones(rows, np.float32)
    weight[rows - PADDING :] = 0
    return {
        "ids": (rng.zipf(1.3, size=(rows, IDS)) % TABLE).astype(np.int32),
        "x": rng.normal(size=(rows, 4)).astype(np.float32),
        "label": (rng.random(rows) < 0.4).astype(np.float32),
        "weight": weight,
    }


def batches(rank: int, world: int, first: int, spec: Mapping[str, Any]) -> Iterator[Step]:
    """The steps from `first` on, with whatever misfortune the spec asks for."""
    for index in range(first, spec.get("ends_at", STEPS)):
        whole = data(index)
        _misfortune(index, rank, world, spec)
        if index == spec.get("nan_at"):
            whole["x"][0, 0] = np.nan
        if index == spec.get("no_weight_at"):
            whole["weight"][:] = 0
        shards = [(k, {n: v[k * ROWS : (k + 1) * ROWS] for n, v in whole.items()}) for k in range(rank, SHARDS, world)]
        lost = index == spec.get("lost_at") and rank == 0
        yield Step(index, float(whole["weight"].sum()), shards[lost:])


def _misfortune(index: int, rank: int, world: int, spec: Mapping[str, Any]) -> None:
    if rank != world - 1:
        return
    if index == spec.get("raise_at"):
        raise RuntimeError("the data is gone")
    if index == spec.get("die_at"):
        os.kill(os.getpid(), signal.SIGKILL)
    if index == spec.get("stall_at"):
        time.sleep(3600)


def build(spec: Mapping[str, Any]) -> Replica:
    """A wide part, embeddings used twice, and a hidden layer; the loss is a weighted sum over rows."""
    graph = ts.Graph()
    with graph.as_default():
        ids = ts.placeholder(np.int32, (None, IDS), name="ids")
        x = ts.placeholder(np.float32, (None, 4), name="x")
        label, weight = (ts.placeholder(np.float32, (None,), name=name) for name in ("label", "weight"))
        total = ts.placeholder(np.float32, (), name="total")
        logits = _logits(ids, x)
        losses = ts.sigmoid_cross_entropy_with_logits(labels=label, logits=logits)
        loss = ts.reduce_sum(losses * weight) / total
        if spec.get("bad_gradient"):  # a value of 0 with a slope of 0 * infinity
            loss = loss + ts.reduce_sum(ts.sqrt(graph.variables["out"] * 0.0))
    learning = {
        "table": Learning(RowWiseAdagrad(), 0.1),
        "wide": Learning(LazyAdam(), 0.05),
        "hidden": Learning(Adam(), 0.01, weight_decay=1e-4),
        "bias": Learning(GradientDescent(), 0.1),
        "out": Learning(Adam(), 0.01),
    }
    return Replica(
        graph=graph,
        loss=loss,
        feeds={"ids": ids, "x": x, "label": label, "weight": weight},
        batch_weight=total,
        learning=learning,
        table_rows={"table": ROWS * (IDS + 1), "wide": ROWS * IDS},
        batches=lambda rank, world, first: batches(rank, world, first, spec),
        steps=STEPS,
        watched={"logits": logits},
        observe=lambda seen: {"mean_logit": float(seen["logits"].mean())},
        observe_every=10,
    )


def _logits(ids: ts.Node, x: ts.Node) -> ts.Node:
    rng = np.random.default_rng(0)
    table = ts.Variable(rng.normal(size=(TABLE, 5)).astype(np.float32), name="table")
    wide = ts.Variable(np.zeros((TABLE, 1), np.float32), name="wide")
    hidden = ts.Variable((rng.normal(size=(IDS * 5 + 9, 7)) / 4).astype(np.float32), name="hidden")
    bias = ts.Variable(np.zeros(7, np.float32), name="bias")
    out = ts.Variable((rng.normal(size=(7, 1)) / 2).astype(np.float32), name="out")
    looked_up = ts.reshape(ts.embedding_lookup(table, ids), (-1, IDS * 5))
    again = ts.embedding_lookup(table, ts.squeeze(ids[:, :1], 1))
    inside = ts.tanh(ts.bias_add(ts.concat([looked_up, again, x], axis=1) @ hidden, bias))
    flat = ts.reshape(ts.embedding_lookup(wide, ids), (-1, IDS))
    return ts.squeeze(inside @ out, 1) + ts.reduce_sum(flat, axis=1)


def trainer(workers: int, spec: Mapping[str, Any] | None = None, program: str = NAME, **more: Any) -> Trainer:
    """A training of a program that is made of this module's batches."""
    return Trainer(program, spec or {}, workers, SHARDS, ROWS, **more)


def digest(arrays: Arrays) -> str:
    """Of all their bytes."""
    return hashlib.sha256(b"".join(arrays[name].tobytes() for name in sorted(arrays))).hexdigest()


class Run:
    """A finished training: its parameters, its reports, their digest, and that of its last checkpoint."""

    def __init__(self, workers: int, folder: Path, spec: Mapping[str, Any] | None = None, **more: Any) -> None:
        self.reports: list[StepReport] = []
        self.parameters = trainer(workers, spec, checkpoints=str(folder), on_step=self.reports.append, **more).train()
        self.checkpoint = restore(str(checkpoints(str(folder))[-1] / "state.safetensors"))
        self.digest, self.state = digest(self.parameters), digest(self.checkpoint)


def workers_of(process: int) -> set[int]:
    """The running worker processes whose parent is, or was before it died, `process`."""
    found = set()
    for path in Path("/proc").glob("[0-9]*"):
        try:
            command = (path / "cmdline").read_bytes().split(b"\0")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if b"tsengine.parallel.worker" in command and command[-2] == str(process).encode():
            found.add(int(path.name))
    return found


def memory_of(arrays: Mapping[str, tuple[tuple[int, ...], str]]) -> Memory:
    """Shared memory with these arrays; it goes when the last of them is forgotten."""
    places, size = lay_out(arrays)
    file = create(size)
    memory = Memory(places, file, size)
    os.close(file)
    return memory
