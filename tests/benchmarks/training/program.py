"""Our training step over processes: the trainer's program for `ctr`, and how its speed is read off its reports."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import count, pairwise
from typing import Any

import numpy as np

import tsengine as ts
from tests.benchmarks.measuring.peak_memory import PeakMemory
from tests.benchmarks.training.data import Array, batches
from tests.benchmarks.training.model import RULES, TABLES, build
from tests.benchmarks.training.rate import SLICES, WARM_UP, Rate
from tests.benchmarks.training.workloads import FIELDS, WORKLOADS, Workload
from tsengine.parallel import Learning, Replica, StepReport, Trainer

PROGRAM = "tests.benchmarks.training.program:replica"
ENDLESS = 1_000_000_000


@dataclass(frozen=True)
class Step:
    """One batch as a rank sees it: its shards, as many rows in each."""

    index: int
    weight_sum: float
    shards: list[tuple[int, dict[str, Array]]]


def replica(spec: Mapping[str, Any]) -> Replica:
    """From JSON: `rows` of the tables, `shards` of a batch, `steps` to make at most (null: no end)."""
    workload = WORKLOADS["ctr"]
    model = build(workload, spec["rows"])
    with model.graph.as_default():
        batch_weight = ts.placeholder(np.float32, (), name="batch_weight")
        loss = ts.reduce_sum(model.losses) / batch_weight
    learning = Learning(RULES[workload.rule], workload.learning_rate)
    return Replica(
        graph=model.graph,
        loss=loss,
        feeds=model.feeds,
        batch_weight=batch_weight,
        learning={variable.name: learning for variable in model.graph.trainable_variables()},
        table_rows=dict.fromkeys(TABLES, workload.batch // spec["shards"] * FIELDS),
        batches=lambda rank, world, first: _steps(
            workload, list(model.feeds), spec, range(rank, spec["shards"], world)
        ),
        steps=ENDLESS,
    )


def _steps(workload: Workload, names: list[str], spec: Mapping[str, Any], shards: range) -> Iterator[Step]:
    """The batches over and over; the first step is always step 0, there are no checkpoints."""
    size = workload.batch // spec["shards"]
    drawn = [
        [
            (k, {name: array[k * size : (k + 1) * size] for name, array in zip(names, batch, strict=True)})
            for k in shards
        ]
        for batch in batches(workload, spec["rows"], spec["steps"])
    ]
    for index in count():
        yield Step(index, float(workload.batch), drawn[index % len(drawn)])


class _Enough(Exception):
    """The clock has run out."""


class _Watch:
    """Reads the clock at every report, and ends the training when it has run so many seconds after the warm-up."""

    def __init__(self, seconds: float | None, memory: PeakMemory) -> None:
        self.reports: list[tuple[float, float]] = []
        self.peak_bytes = 0
        self._seconds, self._memory = seconds, memory

    def __call__(self, report: StepReport) -> None:
        self.reports.append((time.perf_counter(), report.loss))
        if self._seconds is None:
            self.peak_bytes = self._memory.bytes
            return
        if len(self.reports) == WARM_UP:
            self._memory.pause()
        if len(self.reports) > WARM_UP + SLICES and self._clock_s() > self._seconds:
            raise _Enough

    def rate(self) -> Rate:
        """From the instants at which the steps were reported."""
        steps = len(self.reports)
        behind = max(1, min(WARM_UP, steps - 1))
        slices = min(SLICES, steps - behind) if self._seconds is not None else 1
        cuts = [behind - 1 + (steps - behind) * k // slices for k in range(slices + 1)]
        rates = [(j - i) / (self.reports[j][0] - self.reports[i][0]) for i, j in pairwise(cuts)]
        return Rate(rates, self.reports[-1][1], steps)

    def _clock_s(self) -> float:
        return self.reports[-1][0] - self.reports[WARM_UP - 1][0]


def run(workers: int, rows: int, seconds: float, steps: int | None) -> tuple[Rate, tuple[int, int]]:
    """Time `ctr` over so many processes, a shard each: the rate, and the peaks of the whole run and of its steps.

    With `steps` the run goes to its end, where the trainer hands over the trained values; with `seconds` it is broken
    off when the clock has run out.
    """
    with PeakMemory() as memory:
        watch = _Watch(seconds if steps is None else None, memory)
        trainer = Trainer(
            program=PROGRAM,
            spec={"rows": rows, "shards": workers, "steps": steps},
            workers=workers,
            shards=workers,
            shard_rows=WORKLOADS["ctr"].batch // workers,
            on_step=watch,
            steps=steps,
        )
        try:
            trainer.train()
        except _Enough:
            watch.peak_bytes = memory.bytes
    return watch.rate(), (memory.bytes, watch.peak_bytes)
