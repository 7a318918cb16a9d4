"""The start of a Python that imports tsengine, beside one that imports NumPy alone (promised: at most 0.1 s more)."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

from tests.benchmarks.measuring.settings import Settings
from tests.benchmarks.measuring.table import Measured

ROUNDS_A_REPEAT = 3


def start_seconds(module: str) -> float:
    """Wall seconds from the start to the end of a fresh Python that imports `module`."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", f"import {module}"], check=True)
    return time.perf_counter() - start


def measure(settings: Settings) -> Measured:
    """One row a module, seconds; the first round only warms the file cache and is not counted."""
    modules = ("numpy", "tsengine")
    rounds = ROUNDS_A_REPEAT * settings.repeats
    times = [[start_seconds(module) for module in modules] for _ in range(rounds + 1)][1:]
    medians = [statistics.median(column) for column in zip(*times, strict=True)]
    rows = [
        {
            "import": module,
            "median_s": median,
            "added_s": median - medians[0],
            "ratio_of_medians": median / medians[0],
        }
        for module, median in zip(modules, medians, strict=True)
    ]
    return Measured(list(rows), [dict(zip(modules, pair, strict=True)) for pair in times])
