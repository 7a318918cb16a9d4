"""TFRecord framing: how records of any bytes stand in a file, so that a reader knows a damaged or unfinished one.

    uint64 length | uint32 masked CRC-32C of the length | the bytes | uint32 masked CRC-32C of the bytes

Numbers are little-endian, as in TensorFlow's core/lib/io/record_writer.cc.
"""

from __future__ import annotations

import struct

import numpy as np

CASTAGNOLI = 0x82F63B78
"""The polynomial of CRC-32C, its lowest power in the highest bit."""


def _remainders() -> list[int]:
    """What each value of a byte adds to a checksum."""
    table = np.arange(256)
    for _ in range(8):
        table = np.where(table & 1, table >> 1 ^ CASTAGNOLI, table >> 1)
    return [int(item) for item in table]


_REMAINDERS = _remainders()


def crc32c(data: bytes) -> int:
    """The CRC-32C of RFC 3720 (appendix B.4)."""
    checksum = 0xFFFFFFFF
    for byte in data:
        checksum = _REMAINDERS[(checksum ^ byte) & 0xFF] ^ checksum >> 8
    return checksum ^ 0xFFFFFFFF


def record(data: bytes) -> bytes:
    """One record, ready to be appended to a file."""
    length = struct.pack("<Q", len(data))
    return length + _masked(length) + data + _masked(data)


def _masked(data: bytes) -> bytes:
    """A checksum turned by 15 bits, plus a constant: that of bytes which hold checksums would be a weak one."""
    checksum = crc32c(data)
    return struct.pack("<I", (checksum >> 15 | checksum << 17) + 0xA282EAD8 & 0xFFFFFFFF)
