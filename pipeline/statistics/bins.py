"""The bins of every number's histogram: fixed for ever, so that the counts of any two days can be held together.

Between one power of two and the next lie 16 bins of equal width (a log-linear or HDR histogram). No edge is fitted to
data: the first day needs no days before it, a later day may hold numbers that no earlier one had, and a rebuild gives
the same counts. Edges are exact binary fractions, so no logarithm decides on which side a number falls. Whole numbers
up to 32 have a bin each; above, a bin's ends differ by at most a sixteenth.

Bin 0 is what is closer to zero than 2^-20, bin n > 0 begins at edge(n), bin -n mirrors bin n. What is beyond 2^63,
infinite or no number at all falls into the last bin.
"""

from __future__ import annotations

PER_OCTAVE = 16
LEAST_EXPONENT, LAST_EXPONENT = -20, 63
"""Numbers below 2^-20 (about a millionth) count as zero; a bigint ends at 2^63."""


def edge(number: int) -> float:
    """Where a bin begins, seen from zero; that of bin 0 is 0."""
    if number == 0:
        return 0.0
    octave, part = divmod(abs(number) - 1, PER_OCTAVE)
    size = (1 + part / PER_OCTAVE) * 2.0 ** (LEAST_EXPONENT + octave)
    return size if number > 0 else -size
