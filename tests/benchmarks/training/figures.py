"""One process of one side: what it measured, and the JSON line that it prints."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from tests.benchmarks.measuring.peak_memory import PeakMemory
from tests.benchmarks.training.data import batches
from tests.benchmarks.training.rate import Rate, Training, counted, timed, warm_up
from tests.benchmarks.training.workloads import Workload


@dataclass(frozen=True)
class Figures:
    """What one process measured.

    library     tsengine, or the peer
    threads     cores that it was kept on
    workers     processes of the trainer; 0 where the step runs in the process itself
    kernels     the engine's; "" for a peer
    peak_bytes  proportional memory of all its processes at the worst instant; `of_steps` before the run's end
    """

    library: str
    workload: str
    threads: int
    workers: int
    kernels: str
    rows: int
    steps: int
    steps_s: float
    samples_s: float
    loss: float
    peak_bytes: int
    peak_bytes_of_steps: int
    slices: list[float]

    def line(self) -> str:
        """As JSON."""
        return json.dumps(asdict(self))


def figures(rate: Rate, workload: Workload, peaks: tuple[int, int], **side: Any) -> Figures:
    """What was measured of one side; peaks are those of the whole run and of its steps alone."""
    return Figures(
        workload=workload.name,
        steps=rate.steps,
        steps_s=round(rate.steps_s, 3),
        samples_s=round(rate.steps_s * workload.batch, 1),
        loss=rate.loss,
        peak_bytes=peaks[0],
        peak_bytes_of_steps=peaks[1],
        slices=[round(slice_, 3) for slice_ in rate.slices],
        **side,
    )


def run(
    load: Callable[[], Training], workload: Workload, rows: int, seconds: float, steps: int | None
) -> tuple[Rate, tuple[int, int]]:
    """Time a step in this process: for so many seconds, or exactly so many steps. The rate, and both peaks."""
    with PeakMemory() as memory:
        training = load()
        prepared = [training.prepare(batch) for batch in batches(workload, rows, steps)]
        if steps is not None:
            rate = counted(training, prepared, steps)
        else:
            warm_up(training, prepared)
            with memory.paused():
                rate = timed(training, prepared, seconds)
        memory.look()
    return rate, (memory.bytes, memory.bytes)
