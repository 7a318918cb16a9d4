"""Memory of the trainer with a table of 50,000,000 x 16 and 2 workers (promised: 1.2 x the tables with their state)."""

from __future__ import annotations

import sys

from tests.benchmarks.measuring.alternate import answer_of
from tests.benchmarks.measuring.settings import Settings
from tests.benchmarks.measuring.table import Measured
from tests.benchmarks.training.workloads import WIDTH

WORKERS, STEPS, BAR = 2, 8, 1.2


def tables_bytes(rows: int) -> int:
    """The embeddings [rows, 16] and the wide weights [rows, 1], float32, each with Adagrad's sum beside it."""
    return 2 * 4 * rows * (WIDTH + 1)


def measure(settings: Settings) -> Measured:
    """The peak up to the last step, and that of the whole run, which ends with the trained values handed over."""
    size = ["--rows", str(settings.rows), "--steps", str(STEPS), "--workers", str(WORKERS)]
    answer = answer_of([sys.executable, "-m", "tests.benchmarks.train_step", "ctr", *size])
    held = tables_bytes(settings.rows)
    peaks = {"steps": answer["peak_bytes_of_steps"], "steps and result": answer["peak_bytes"]}
    rows = [
        {
            "peak_of": name,
            "rows": settings.rows,
            "workers": WORKERS,
            "tables_and_state_gb": held / 1e9,
            "peak_gb": peak / 1e9,
            "ratio": peak / held,
            "bar": BAR,
            "verdict": "held" if peak <= BAR * held else "missed",
        }
        for name, peak in peaks.items()
    ]
    return Measured(list(rows), [answer])
