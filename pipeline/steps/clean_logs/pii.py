"""The keyed hash of pipeline.pii as a Spark column."""

from __future__ import annotations

from pyspark.sql import Column
from pyspark.sql import functions as F

from pipeline.pii import HEX_DIGITS, pads


def hashed(text: Column, key: bytes) -> Column:
    """What stands for a text in the datasets; null stays null.

    The key's two blocks are literals of the plan; the session's settings keep them out of what Spark prints of it.
    """
    inner, outer = (F.lit(bytearray(pad)) for pad in pads(key))
    first = F.unhex(F.sha2(F.concat(inner, text.cast("binary")), 256))
    return F.substring(F.sha2(F.concat(outer, first), 256), 1, HEX_DIGITS)
