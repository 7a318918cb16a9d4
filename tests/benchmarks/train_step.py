"""One training step of tiny, mlp and ctr beside the peers' (promised: 1.5 x JAX, 0.9 x JAX, 1.2 x TensorFlow)."""

from __future__ import annotations

import argparse
import os
import sys

from tests.benchmarks.measuring.alternate import alternate
from tests.benchmarks.measuring.cores import pin
from tests.benchmarks.measuring.settings import Settings
from tests.benchmarks.measuring.table import Measured, Row
from tests.benchmarks.training.command_line import add_arguments, at_least_one
from tests.benchmarks.training.matches import MATCHES
from tests.benchmarks.training.workloads import WORKLOADS


def measure(settings: Settings) -> Measured:
    """Every match: processes of all sides in turns. A peer that cannot be imported is named."""
    rows, figures = list[Row](), []
    for match in MATCHES:
        if match.cores > len(os.sched_getaffinity(0)):
            rows += match.unmatched(f"not measured: {match.cores} cores are needed")
            continue
        answers = alternate(match.commands(sys.executable, settings.peers, settings.seconds), settings.repeats)
        rows += match.rows(answers)
        figures.append({"workload": match.workload, "cores": match.cores, "bar": match.bar, "processes": answers})
    return Measured(rows, figures)


def main(arguments: list[str]) -> int:
    """Time our step in this process and print one JSON line."""
    asked = _asked(arguments)
    threads = asked.threads or asked.workers or 1
    pin(threads, 1 if asked.workers else threads)
    print(_line(asked, threads))
    return 0


def _asked(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="train_step", description=(__doc__ or "").splitlines()[0])
    add_arguments(parser)
    parser.add_argument("--workers", type=at_least_one, help="processes of the trainer (none: the step runs here)")
    parser.add_argument("--kernels", help="the session's kernels (its own choice)")
    asked = parser.parse_args(arguments)
    if asked.workers and asked.workload != "ctr":
        parser.error(f"--workers is for ctr, the trainer has no program for {asked.workload}")
    if asked.workers and WORKLOADS["ctr"].batch % asked.workers:
        parser.error(f"--workers must divide the batch of {WORKLOADS['ctr'].batch} rows, got {asked.workers}")
    if asked.workers and asked.kernels:
        parser.error("--kernels is for one process, the trainer's sessions choose their own")
    return asked


def _line(asked: argparse.Namespace, threads: int) -> str:
    from tests.benchmarks.training import engine, figures, program  # they load NumPy, which reads what `pin` has set

    workload, kernels = WORKLOADS[asked.workload], asked.kernels
    if asked.workers:
        rate, peaks = program.run(asked.workers, asked.rows, asked.seconds, asked.steps)
        kernels = "own choice"
    else:
        ours = engine.engine(workload, asked.rows, asked.kernels)
        rate, peaks = figures.run(ours.training, workload, asked.rows, asked.seconds, asked.steps)
        kernels = ours.kernels
    side = {"library": "tsengine", "threads": threads, "workers": asked.workers or 0, "kernels": kernels}
    return figures.figures(rate, workload, peaks, **side, rows=asked.rows).line()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
