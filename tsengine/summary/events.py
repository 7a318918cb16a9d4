"""TensorBoard's messages as bytes: the fields of Event, Summary and HistogramProto that curves and histograms need.

A protobuf message is its fields one after the other: the key (number * 8 + kind) as a varint, then the value. Kinds: 0
a varint, 1 eight bytes, 2 a length and that many bytes, 5 four bytes. The numbers are those of TensorFlow's
core/util/event.proto and core/framework/summary.proto.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable

import numpy as np

from tsengine.specs import Array
from tsengine.summary.buckets import Buckets


def file_version(wall_time: float) -> bytes:
    """The Event that begins a file. wall_time: seconds since 1970."""
    return _double(1, wall_time) + _message(3, b"brain.Event:2")


def summary_event(wall_time: float, step: int, values: Iterable[bytes]) -> bytes:
    """An Event of one step with any number of values. wall_time: seconds since 1970."""
    summary = b"".join(_message(1, value) for value in values)
    return _double(1, wall_time) + _integer(2, step) + _message(5, summary)


def scalar_value(tag: str, value: float) -> bytes:
    """A Summary.Value of one number, which the format keeps as float32; one too large for it is infinite."""
    with np.errstate(over="ignore"):
        rounded = np.float32(value)
    return _message(1, tag.encode()) + _key(2, 5) + struct.pack("<f", rounded)


def histogram_value(tag: str, buckets: Buckets) -> bytes:
    """A Summary.Value of a histogram."""
    facts = (buckets.min, buckets.max, buckets.num, buckets.sum, buckets.sum_squares)
    histogram = b"".join(_double(field, fact) for field, fact in enumerate(facts, 1))
    histogram += _doubles(6, buckets.limits) + _doubles(7, buckets.counts)
    return _message(1, tag.encode()) + _message(5, histogram)


def _varint(number: int) -> bytes:
    """Seven bits a byte, the lowest first; the eighth bit says that more follow."""
    digits = bytearray()
    while number > 0x7F:
        digits.append(number & 0x7F | 0x80)
        number >>= 7
    digits.append(number)
    return bytes(digits)


def _key(field: int, kind: int) -> bytes:
    return _varint(field << 3 | kind)


def _integer(field: int, number: int) -> bytes:
    return _key(field, 0) + _varint(number)


def _double(field: int, number: float) -> bytes:
    return _key(field, 1) + struct.pack("<d", number)


def _message(field: int, content: bytes) -> bytes:
    return _key(field, 2) + _varint(len(content)) + content


def _doubles(field: int, numbers: Array) -> bytes:
    return _message(field, numbers.astype("<f8").tobytes())
