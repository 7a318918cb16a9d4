"""Counter-based random numbers: a pure function of (seed, names, row), never of call order or table size."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_WORDS_PER_COUNT = 4  # Philox4x64 gives four 64-bit words for each value of its counter


def stream_key(seed: int, *names: str | int) -> NDArray[np.uint64]:
    """The 128-bit key of a stream: BLAKE2b of the seed and what names the stream (variable, step, shard, node)."""
    import hashlib  # it loads OpenSSL, which an import of the engine need not wait for

    text = "\x1f".join([str(seed), *map(str, names)])
    return np.frombuffer(hashlib.blake2b(text.encode(), digest_size=16).digest(), dtype=np.uint64)


def words(key: NDArray[np.uint64], start: int, stop: int, per_row: int) -> NDArray[np.uint64]:
    """Random 64-bit words [stop - start, per_row] for rows start..stop; a row's words depend on its number alone."""
    counts = -(-per_row // _WORDS_PER_COUNT)
    generator = np.random.Philox(key=key, counter=start * counts)
    drawn = generator.random_raw((stop - start) * counts * _WORDS_PER_COUNT)
    return drawn.reshape(stop - start, counts * _WORDS_PER_COUNT)[:, :per_row]


def uniform(drawn: NDArray[np.uint64]) -> NDArray[np.float64]:
    """Words to floats in [0, 1), by their upper 53 bits."""
    return np.asarray((drawn >> np.uint64(11)) * 2.0**-53, np.float64)


def normal(drawn: NDArray[np.uint64]) -> NDArray[np.float64]:
    """Words to standard normal floats, one word each: Box-Muller on its two halves (so |z| < 6.7)."""
    radius = np.sqrt(-2.0 * np.log(((drawn >> np.uint64(32)) + 1.0) * 2.0**-32))
    angle = (drawn & np.uint64(0xFFFFFFFF)) * (2.0 * np.pi * 2.0**-32)
    return np.asarray(radius * np.cos(angle), np.float64)
