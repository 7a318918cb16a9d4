"""The start of a Python that imports tsengine, beside one that imports NumPy alone (promised: at most 0.1 s more)."""

from __future__ import annotations

import compileall
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import tsengine
from tests.benchmarks.measuring.settings import Settings
from tests.benchmarks.measuring.table import Measured

ROUNDS_A_REPEAT = 3
STARTS = {"numpy": ("compiled", "numpy"), "tsengine": ("compiled", "tsengine"), "its source": ("source", "tsengine")}
"""What is imported in which copy of the engine. Where Python may not keep bytecode, every start reads the source."""


def copies(folder: Path) -> None:
    """The engine with its bytecode, and without."""
    for name in ("compiled", "source"):
        source = Path(tsengine.__file__).parent
        shutil.copytree(source, folder / name / "tsengine", ignore=shutil.ignore_patterns("__pycache__"))
    compileall.compile_dir(folder / "compiled", quiet=1)


def start_seconds(folder: Path, module: str) -> float:
    """Wall seconds from the start to the end of a fresh Python that imports `module` and writes no bytecode."""
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", f"import {module}"], check=True, cwd=folder, env=environment)
    return time.perf_counter() - start


def measure(settings: Settings) -> Measured:
    """One row a start, seconds; the first round only warms the file cache and is not counted."""
    rounds = ROUNDS_A_REPEAT * settings.repeats
    with tempfile.TemporaryDirectory() as made:
        copies(Path(made))
        starts = [(Path(made, copy), module) for copy, module in STARTS.values()]
        times = [[start_seconds(*start) for start in starts] for _ in range(rounds + 1)][1:]
    medians = [statistics.median(column) for column in zip(*times, strict=True)]
    rows = [
        {
            "import": name,
            "median_s": median,
            "added_s": median - medians[0],
            "ratio_of_medians": median / medians[0],
        }
        for name, median in zip(STARTS, medians, strict=True)
    ]
    return Measured(list(rows), [dict(zip(STARTS, each, strict=True)) for each in times])
