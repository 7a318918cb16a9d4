"""What the user of the benchmarks may choose."""

from __future__ import annotations

import sys
from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    """How long to measure, and beside whom.

    peers    the Python that has the peers installed
    repeats  processes of each side, run alternately
    seconds  of the clock in each of them
    rows     of the table in part `memory`
    lines    of a day in part `features`, which also takes a quarter and four times as many
    """

    peers: str = sys.executable
    repeats: int = 5
    seconds: float = 5.0
    rows: int = 50_000_000
    lines: int = 4_000_000
