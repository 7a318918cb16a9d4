"""One process of a training: `python -m tsengine.parallel.worker RANK SIZE PARENT`; it is started by the trainer only.

It reads JSON lines from its standard input and writes JSON lines to what was its standard output: the plan (rank 0),
a report each step (rank 0), and at last `done` or `failed`.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from typing import Any, TextIO

import numpy as np

from tsengine.compiler.cse import cse
from tsengine.compiler.prune import prune
from tsengine.gradients import Gradient, gradients
from tsengine.graph import Node
from tsengine.indexed_slices import IndexedSlices
from tsengine.ops.random import random_step_of
from tsengine.parallel.checkpoint import load_checkpoint, save_checkpoint
from tsengine.parallel.communicator import SharedMemoryCommunicator
from tsengine.parallel.errors import Aborted, CheckpointMismatch, NotFinite, ProgramError, Stalled
from tsengine.parallel.memory import Memory, Place, open_from
from tsengine.parallel.not_finite import explain
from tsengine.parallel.parameters import Parameter, arrays_of, parameters_of
from tsengine.parallel.reduce import Reducer
from tsengine.parallel.replica import Replica, ShardedStep, load_program
from tsengine.session import Session
from tsengine.specs import Array
from tsengine.store import fill

PR_SET_PDEATHSIG = 1


class Worker:
    """A replica with its part of the shared memory."""

    def __init__(self, replica: Replica, memory: Memory, rank: int, size: int, settings: Mapping[str, Any]) -> None:
        self.replica, self.memory, self.rank, self.size = replica, memory, rank, size
        self.settings = settings
        self.parameters = parameters_of(replica)
        self.group = SharedMemoryCommunicator(memory, rank, size, settings["stall_timeout_s"])
        self._random_step = random_step_of(replica.graph)
        slopes = self._slopes()
        self._run = self._callable(slopes)
        same = _same_ids(self.parameters, slopes, self._fed())
        self.reducer = Reducer(memory, self.parameters, replica.clip_global_norm, rank, size, same)

    def prepare(self) -> int:
        """Fill parameters and slots (rank 0), bind them, and return the first step to make."""
        first = 0
        if self.rank == 0:
            self._fill()
            if self.settings["resume_from"] is not None:
                first = load_checkpoint(self.settings["resume_from"], self.memory, self.parameters)
        first = int(self.group.broadcast(np.array([first], dtype=np.float64))[0])
        for p in self.parameters:
            self.replica.graph.store.bind(p.name, self.memory[f"parameter/{p.name}"])
        return first

    def train(self, first: int, report: Callable[[dict[str, Any]], None]) -> None:
        """Make every step from `first` on."""
        last = self.last_step
        expected, begin = first, time.monotonic()
        for step in self.replica.batches(self.rank, self.size, first) if first < last else ():
            loaded = time.monotonic()
            self._check(step, expected)
            loss, seen = self._step(step)
            if self.rank == 0:
                seconds, waited = time.monotonic() - begin, loaded - begin
                report(_report(step, loss, seconds, waited, seen))
                self._checkpoint(step.index + 1, last)
            begin, expected = time.monotonic(), expected + 1
            if expected == last:
                break
        if expected < last:
            raise ProgramError(f"the batches ended before step {expected}, the program said {last} steps")
        self.group.barrier()

    @property
    def last_step(self) -> int:
        """The one behind the last step to make."""
        limit = self.settings["steps"]
        return self.replica.steps if limit is None else min(limit, self.replica.steps)

    def _check(self, step: ShardedStep, expected: int) -> None:
        """A shard that is missing would leave the gradient of the step before in its place, unseen."""
        shards, wanted = [k for k, _ in step.shards], list(range(self.rank, self.settings["shards"], self.size))
        if step.index != expected or shards != wanted:
            raise ProgramError(
                f"expected shards {wanted} of step {expected} on rank {self.rank} of {self.size}, "
                f"the program's batches gave shards {shards} of step {step.index}"
            )

    def _step(self, step: ShardedStep) -> tuple[float, dict[str, float]]:
        """The loss before the step and what is observed of it. Nobody updates before all have computed, nor computes
        again before all have updated."""
        self._compute(step)
        self.group.barrier()
        loss, seen = self._loss(), self._observe(step.index)
        if self.reducer.measures:
            self.reducer.measure()
            self.group.barrier()
        self.reducer.update(step.index, average=step.weight_sum > 0)
        self.group.barrier()
        return loss, seen

    def _fill(self) -> None:
        for p in self.parameters:
            fill(self.memory[f"parameter/{p.name}"], self.replica.graph.variables[p.name].initial_rows)
            for key, (_, _, value) in p.slots.items():
                self.memory[f"slot/{p.name}/{key}"][...] = value

    def _callable(self, slopes: Mapping[str, Gradient | None]) -> Callable[..., Any]:
        faults = [fault for p in self.parameters for fault in _faults(p, slopes[p.name])]
        if faults:
            raise ProgramError("; ".join(faults))
        fetches = [self.replica.loss, list(self.replica.watched.values()), list(slopes.values())]
        return Session(self.replica.graph).make_callable(fetches, self._fed(), copy=False)

    def _slopes(self) -> dict[str, Gradient | None]:
        """What to sum over the shards for each parameter: its gradient, or its part of what it follows."""
        learning = [p.name for p in self.parameters if not p.follows]
        variables = self.replica.graph.variables
        found = dict(zip(learning, gradients(self.replica.loss, [variables[n] for n in learning]), strict=True))
        found |= {name: average.part for name, average in self.replica.averages.items()}
        return {p.name: found[p.name] for p in self.parameters}

    def _fed(self) -> list[Node]:
        drawn = [] if self._random_step is None else [self._random_step]
        return [*self.replica.feeds.values(), self.replica.batch_weight, *drawn]

    def _values(self, step: ShardedStep, shard: int, batch: Mapping[str, Array]) -> list[Any]:
        """What is fed for a shard. The weight of a batch that has none is 1: its loss is 0."""
        drawn = [] if self._random_step is None else [np.int64(step.index * self.settings["shards"] + shard)]
        total = np.float32(step.weight_sum or 1.0)
        return [*(batch[name] for name in self.replica.feeds), total, *drawn]

    def _compute(self, step: ShardedStep) -> None:
        """Loss and gradients of this rank's shards."""
        for shard, batch in step.shards:
            fed = self._values(step, shard, batch)
            loss, watched, slopes = self._run(*fed)
            if not np.isfinite(loss):
                feeds = dict(zip(self._fed(), fed, strict=True))
                raise NotFinite(f"step {step.index}, shard {shard}: {explain(self.replica.loss, float(loss), feeds)}")
            self.memory["loss"][shard] = loss
            for name, values in zip(self.replica.watched, watched, strict=True):
                self.memory[f"watched/{name}"][shard] = values
            self.reducer.publish(shard, dict(zip((p.name for p in self.parameters), slopes, strict=True)))

    def _loss(self) -> float:
        """The loss of the global batch: the shards' in their order."""
        total = 0.0
        for value in self.memory["loss"].tolist():
            total += value
        return total

    def _observe(self, step: int) -> dict[str, float]:
        due = self.rank == 0 and self.replica.observe is not None and (step + 1) % self.replica.observe_every == 0
        if not due or self.replica.observe is None:
            return {}
        return dict(self.replica.observe({name: self.memory[f"watched/{name}"] for name in self.replica.watched}))

    def _checkpoint(self, done: int, last: int) -> None:
        folder, every = self.settings["checkpoints"], self.settings["checkpoint_every"]
        if folder is not None and (done == last or done % every == 0):
            save_checkpoint(folder, done, self.memory, self.parameters, self.settings["run"], self.settings["keep"])


def _faults(p: Parameter, slope: Gradient | None) -> list[str]:
    if slope is None:
        return [f"the loss does not depend on variable '{p.name}', which should learn"]
    if isinstance(slope, IndexedSlices) and not p.table_rows:
        return [f"variable '{p.name}' is used as a table: table_rows must say how many of its rows a shard may use"]
    if p.table_rows and not isinstance(slope, IndexedSlices):
        return [f"variable '{p.name}' is not only looked up by ids: leave it out of table_rows"]
    return []


def _same_ids(
    parameters: tuple[Parameter, ...], slopes: Mapping[str, Gradient | None], fed: list[Node]
) -> dict[str, str]:
    """For each table the first one with as many `table_rows` that is looked up by the same ids."""
    tables = [(p, slope.indices) for p in parameters if isinstance(slope := slopes[p.name], IndexedSlices)]
    values = cse(prune([ids for _, ids in tables], fed)).fetches
    first: dict[tuple[int, int], str] = {}
    return {p.name: first.setdefault((ids, p.table_rows), p.name) for (p, _), ids in zip(tables, values, strict=True)}


def _report(step: ShardedStep, loss: float, seconds: float, waited: float, seen: dict[str, float]) -> dict[str, Any]:
    return {
        "step": step.index,
        "loss": loss,
        "weight_sum": step.weight_sum,
        "seconds": seconds,
        "waited_s": waited,
        "observed": seen,
    }


def plan(replica: Replica, shards: int, size: int, rows: int) -> dict[str, Any]:
    """The arrays that the shared memory must have, by name, and which variables learn or follow."""
    parameters = parameters_of(replica)
    arrays = {**SharedMemoryCommunicator.arrays(size), **arrays_of(parameters, shards)}
    arrays |= {f"watched/{name}": ((shards, rows), "<f4") for name in replica.watched}
    return {"arrays": arrays, "parameters": [p.name for p in parameters]}


def main() -> None:
    """Talk to the trainer."""
    rank, size, parent = (int(argument) for argument in sys.argv[1:4])
    die_with(parent)
    reports = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a program prints is no report
    try:
        _serve(rank, size, parent, reports)
    except Aborted:
        _say(reports, {"event": "aborted"})
    except (NotFinite, ProgramError, Stalled, CheckpointMismatch) as error:  # their messages say it all
        _say(reports, {"event": "failed", "reason": f"{error}", "traceback": ""})
    except BaseException as error:
        reason = f"{type(error).__name__}: {error}"
        _say(reports, {"event": "failed", "reason": reason, "traceback": traceback.format_exc()})


def _serve(rank: int, size: int, parent: int, reports: TextIO) -> None:
    settings = json.loads(sys.stdin.readline())
    replica = load_program(settings["program"])(settings["spec"])
    if rank == 0:
        _say(reports, {"event": "plan", **plan(replica, settings["shards"], size, settings["shard_rows"])})
    block = json.loads(sys.stdin.readline())
    file = open_from(parent, block["file"])
    memory = Memory({name: Place(**place) for name, place in block["places"].items()}, file, block["size"])
    os.close(file)
    worker = Worker(replica, memory, rank, size, settings)
    first = worker.prepare()
    worker.train(first, lambda fields: _say(reports, {"event": "step", **fields}))
    _say(reports, {"event": "done", "first": first})


def die_with(parent: int) -> None:
    """Ask the kernel to kill this process when its parent dies; at once when that has happened already."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def _say(reports: TextIO, message: dict[str, Any]) -> None:
    reports.write(json.dumps(message) + "\n")
    reports.flush()


if __name__ == "__main__":
    main()
