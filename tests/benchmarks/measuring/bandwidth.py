"""How fast one core copies memory."""

from __future__ import annotations

import statistics
import time

import numpy as np

BYTES, TIMES = 1 << 27, 9


def copied_bytes_s() -> float:
    """Bytes read and written a second by a copy far larger than the caches; the median of several."""
    source, target = np.ones(BYTES, np.uint8), np.ones(BYTES, np.uint8)
    seconds = []
    for _ in range(TIMES):
        start = time.perf_counter()
        np.copyto(target, source)
        seconds.append(time.perf_counter() - start)
    return 2 * BYTES / statistics.median(seconds)
