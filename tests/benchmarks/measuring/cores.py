"""A process on its own few cores. This module must not import NumPy: BLAS reads its settings when it is loaded."""

from __future__ import annotations

import os

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


def pin(cores: int, threads: int) -> None:
    """Keep this process and its children on so many cores, with so many threads for BLAS and compiled loops.

    Some libraries ignore their thread settings, none can ignore the cores. SystemExit where there are too few.
    """
    usable = sorted(os.sched_getaffinity(0))
    if cores > len(usable):
        raise SystemExit(f"{cores} cores are asked for, this process may use {len(usable)}")
    os.sched_setaffinity(0, usable[:cores])
    os.environ.update(dict.fromkeys(THREADS, str(threads)))
