"""How many values of an array lie where: counts between limits that are the same for every array.

The limits are those of TensorFlow 1's summaries (core/lib/histogram): 0, and 1e-12, 1.1e-12, ... to 1e20 on both sides
of it, each a tenth further than the one before. So values of every size are told apart by a tenth of their size, and
histograms of different steps can be laid over each other.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tsengine.specs import Array


def _limits() -> Array:
    positive = [1e-12]
    while positive[-1] * 1.1 < 1e20:
        positive.append(positive[-1] * 1.1)
    upper = np.array([*positive, np.finfo(np.float64).max])
    return np.concatenate([-upper[::-1], [0.0], upper])


LIMITS = _limits()


class Buckets(NamedTuple):
    """Facts of an array, and counts[i] of its values in [limits[i - 1], limits[i])."""

    min: float
    max: float
    num: int
    sum: float
    sum_squares: float
    limits: Array
    counts: Array


def buckets_of(values: Array) -> Buckets:
    """The buckets of finite values of any shape, in float64; of no values at all, no bucket and zeros.

    Empty buckets are left out, but for the last of a row of them: it says where the next one begins.
    """
    flat = np.asarray(values, np.float64).ravel()
    if not flat.size:
        return Buckets(0.0, 0.0, 0, 0.0, 0.0, flat, flat)
    # no limit above the last bucket: the largest float is in it
    counts = np.bincount(np.searchsorted(LIMITS[:-1], flat, side="right"), minlength=len(LIMITS))
    filled = counts > 0
    kept = filled | np.append(filled[1:], False)
    with np.errstate(over="ignore"):
        sums = float(flat.sum()), float(np.square(flat).sum())
    return Buckets(float(flat.min()), float(flat.max()), flat.size, *sums, LIMITS[kept], counts[kept])
