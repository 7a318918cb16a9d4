"""Our step against the limits of the core: its matrix products alone, and its bytes at the speed of a copy."""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

from tests.benchmarks.measuring.alternate import answer_of
from tests.benchmarks.measuring.cores import pin
from tests.benchmarks.measuring.settings import Settings
from tests.benchmarks.measuring.table import Measured, Row
from tests.benchmarks.training.command_line import add_arguments
from tests.benchmarks.training.workloads import WORKLOADS

TURN_S, TURNS_AT_LEAST, WATCHED_STEPS, OPS_NAMED = 0.1, 5, 20, 6


def measure(settings: Settings) -> Measured:
    """A row a workload, each in a process of its own on one core."""
    module = [sys.executable, "-m", "tests.benchmarks.limits"]
    answers = [answer_of([*module, workload, "--seconds", str(settings.seconds)]) for workload in WORKLOADS]
    return Measured([_row(answer) for answer in answers], answers)


def _row(answer: dict[str, Any]) -> Row:
    memory_s = answer["moved_bytes"] / answer["copied_bytes_s"]
    return {
        "workload": answer["workload"],
        "step_ms": 1e3 * answer["step_s"],
        "bare_products_ms": 1e3 * answer["products_s"],
        "bare_products_of_step": f"{answer['products_s'] / answer['step_s']:.0%}",
        "moved_mb": answer["moved_bytes"] / 1e6,
        "copy_gb_s": answer["copied_bytes_s"] / 1e9,
        "moved_as_a_copy_ms": 1e3 * memory_s,
        "ops_by_time": answer["shares"],
    }


def main(arguments: list[str]) -> int:
    """Measure one workload in this process and print one JSON line."""
    parser = argparse.ArgumentParser(prog="limits", description=(__doc__ or "").splitlines()[0])
    add_arguments(parser)
    parser.add_argument("--kernels", help="the session's kernels (its own choice)")
    asked = parser.parse_args(arguments)
    pin(asked.threads or 1, asked.threads or 1)
    print(json.dumps(_measured(asked)))
    return 0


def _measured(asked: argparse.Namespace) -> dict[str, Any]:
    from tests.benchmarks.measuring.bandwidth import copied_bytes_s  # all of these load NumPy
    from tests.benchmarks.training.data import batches
    from tests.benchmarks.training.engine import engine
    from tests.benchmarks.training.products import bare_products
    from tests.benchmarks.training.rate import warm_up
    from tests.benchmarks.training.traffic import traffic

    workload = WORKLOADS[asked.workload]
    ours, drawn = engine(workload, asked.rows, asked.kernels), batches(workload, asked.rows)
    training, products = ours.training(), bare_products(workload)
    warm_up(training, drawn)
    steps_s, products_s = _in_turns(lambda k: training.step(drawn[k % len(drawn)]), lambda k: products(), asked.seconds)
    watched = traffic(ours, drawn, WATCHED_STEPS)
    return {
        "workload": workload.name,
        "threads": asked.threads or 1,
        "kernels": ours.kernels,
        "step_s": statistics.median(steps_s),
        "products_s": statistics.median(products_s),
        "copied_bytes_s": copied_bytes_s(),
        "moved_bytes": watched.bytes,
        "shares": watched.shares(OPS_NAMED),
        "op_s": watched.seconds,
        "turns": {"step_s": steps_s, "products_s": products_s},
    }


def _in_turns(
    first: Callable[[int], Any], second: Callable[[int], Any], seconds: float
) -> tuple[list[float], list[float]]:
    """Seconds that each takes, turn by turn, until the time is over."""
    times: tuple[list[float], list[float]] = ([], [])
    end = time.perf_counter() + seconds
    while len(times[0]) < TURNS_AT_LEAST or time.perf_counter() < end:
        for kept, work in zip(times, (first, second), strict=True):
            kept.append(_seconds(work))
    return times


def _seconds(work: Callable[[int], Any]) -> float:
    """Of one call, over as many as a turn has room for."""
    done, start = 0, time.perf_counter()
    while (now := time.perf_counter()) - start < TURN_S:
        work(done)
        done += 1
    return (now - start) / done


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
