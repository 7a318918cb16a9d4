"""Who starts the workers, gives them memory, listens to them, and takes the trained parameters back."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tsengine.kernels import resolved
from tsengine.parallel.checkpoint import latest_checkpoint
from tsengine.parallel.errors import TrainingFailure
from tsengine.parallel.memory import Memory, create, lay_out
from tsengine.parallel.processes import Message, Processes
from tsengine.specs import Array

GRACE_S = 2.0
"""How long a worker may take to leave by itself once another has failed."""


@dataclass(frozen=True)
class StepReport:
    """One step: the global loss before it, the batch's weight, how long it took and how long data was waited for."""

    step: int
    loss: float
    weight_sum: float
    seconds: float
    waited_s: float
    observed: Mapping[str, float]


@dataclass(frozen=True)
class Trainer:
    """Trains a program over processes.

    program           `module:function`, which makes a Replica from `spec` (JSON) in every worker
    workers, shards   shards >= workers is fixed by the model's config; workers may differ from run to run
    shard_rows        rows of a shard, padding included
    checkpoints       folder for checkpoints, or None; a training of the same `run` goes on from the newest there
    checkpoint_every  steps; the last step is always kept
    run               what identifies the run (JSON); a checkpoint of another run, other shards or kernels is refused
    on_step           called in this process after every step
    stall_timeout_s   a rank that keeps the others waiting longer is named and everything ends
    steps             make no more than so many, counted from the beginning of the run
    """

    program: str
    spec: Mapping[str, Any]
    workers: int
    shards: int
    shard_rows: int
    checkpoints: str | None = None
    checkpoint_every: int = 200
    keep: int = 2
    run: Mapping[str, Any] = field(default_factory=dict)
    on_step: Callable[[StepReport], None] = lambda report: None
    stall_timeout_s: float = 300.0
    steps: int | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.workers <= self.shards:
            raise ValueError(f"workers must lie between 1 and shards ({self.shards}), got {self.workers}")

    def train(self) -> dict[str, Array]:
        """Make all steps; the trained value of every variable that learns or is an average.

        The arrays lie where they were trained, so that a large table never exists twice. That memory goes with them.

        Raises TrainingFailure when a worker fails or dies, CheckpointMismatch when the folder holds another run's
        checkpoints, MemoryError when the memory does not suffice. Whatever happens, no process and no shared memory
        stays behind.
        """
        with Processes(self.workers) as processes:
            processes.start(self.settings())
            plan = _plan(processes.messages())
            with _shared(plan["arrays"]) as (memory, place):
                try:
                    processes.tell(place)
                    self._listen(processes.messages())
                finally:
                    memory["abort"][0] = 1  # whoever waits at a barrier leaves by itself
                    processes.end(GRACE_S)
                memory.give_back_all_but(f"parameter/{name}" for name in plan["parameters"])
                return {name: memory[f"parameter/{name}"] for name in plan["parameters"]}

    def settings(self) -> dict[str, Any]:
        """What every worker is told."""
        run = {**self.run, "shards": self.shards, "shard_rows": self.shard_rows, "kernels": resolved(None)}
        return {
            "program": self.program,
            "spec": dict(self.spec),
            "shards": self.shards,
            "shard_rows": self.shard_rows,
            "checkpoints": self.checkpoints,
            "checkpoint_every": self.checkpoint_every,
            "keep": self.keep,
            "run": run,
            "resume_from": None if self.checkpoints is None else latest_checkpoint(self.checkpoints, run),
            "stall_timeout_s": self.stall_timeout_s,
            "steps": self.steps,
        }

    def _listen(self, messages: Iterator[Message]) -> None:
        for message in messages:
            if message["event"] == "step":
                self.on_step(StepReport(**{key: value for key, value in message.items() if key != "event"}))


def _plan(messages: Iterator[Message]) -> Message:
    """What rank 0 says of the memory that training needs."""
    for message in messages:
        if message["event"] == "plan":
            return message
    raise TrainingFailure("the workers ended before they had begun")


@contextmanager
def _shared(arrays: Mapping[str, Any]) -> Iterator[tuple[Memory, dict[str, Any]]]:
    """The memory, and where workers find it."""
    places, size = lay_out({name: (tuple(shape), dtype) for name, (shape, dtype) in arrays.items()})
    file = create(size)
    memory = Memory(places, file, size)
    try:
        told = {name: {"offset": p.offset, "shape": p.shape, "dtype": p.dtype} for name, p in places.items()}
        yield memory, {"file": file, "size": size, "places": told}
    finally:
        memory.close()
        os.close(file)
