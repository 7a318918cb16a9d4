"""idx files, as MNIST comes: a magic number, the sizes, then one byte a pixel or label. Plain or gzip by name.

bytes 0-3       0, 0, 8 (bytes follow), number of dimensions: 3 for images, 1 for labels
then            each size as 4 bytes, most significant first
then            the product of the sizes as bytes, and nothing behind
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, cast

from pipeline.errors import DamagedData
from pipeline.storage import files_at

BLOCK_ROWS = 4096


@contextmanager
def opened(path: str) -> Iterator[BinaryIO]:
    """The content of an idx file from its first byte on."""
    with files_at(path).open(path) as file:
        yield cast(BinaryIO, gzip.GzipFile(fileobj=file)) if path.endswith(".gz") else file


def read_sizes(stream: BinaryIO, path: str, dimensions: int) -> tuple[int, ...]:
    """The sizes that an idx file of bytes says. Raises DamagedData when it is no such file."""
    what = {3: "images", 1: "labels"}[dimensions]
    magic, wanted = stream.read(4), bytes((0, 0, 8, dimensions))
    if magic != wanted:
        raise DamagedData(f"{path} is no idx file of {what}: it begins with {magic.hex()}, expected {wanted.hex()}")
    sizes = stream.read(4 * dimensions)
    if len(sizes) < 4 * dimensions:
        raise DamagedData(f"{path} ends within its header; deliver it again")
    return struct.unpack(f">{dimensions}I", sizes)


def read_pairs(images: str, labels: str, shape: tuple[int, int]) -> Iterator[tuple[list[bytes], list[int]]]:
    """Images (rows x columns bytes each) and their labels, some thousands at once.

    Raises DamagedData naming the file whose container, magic number or sizes are not as expected.
    """
    try:
        with opened(images) as pixels, opened(labels) as answers:
            count, *of_image = read_sizes(pixels, images, 3)
            (answered,) = read_sizes(answers, labels, 1)
            if tuple(of_image) != tuple(shape):
                raise DamagedData(f"{images} has images of {of_image}, expected {list(shape)} ($.sources: shape)")
            if count != answered:
                raise DamagedData(f"{images} says {count} images, but {labels} says {answered} labels")
            for first in range(0, count, BLOCK_ROWS):
                rows = min(BLOCK_ROWS, count - first)
                block = _exactly(pixels, images, rows * math.prod(shape))
                size = math.prod(shape)
                yield [block[k * size : (k + 1) * size] for k in range(rows)], list(_exactly(answers, labels, rows))
            for stream, path in ((pixels, images), (answers, labels)):
                if stream.read(1):
                    raise DamagedData(f"{path} is longer than its header says ({count} rows); deliver it again")
    except (EOFError, OSError, zlib.error) as error:
        raise DamagedData(f"{images} or {labels} is damaged ({error}); deliver it again") from None


def inspect_pair(images: str, labels: str, shape: tuple[int, int]) -> int | str:
    """How many images there are, or one line that says what is wrong."""
    try:
        return sum(len(block) for block, _ in read_pairs(images, labels, shape))
    except DamagedData as error:
        return str(error)


def _exactly(stream: BinaryIO, path: str, count: int) -> bytes:
    found = stream.read(count)
    if len(found) < count:
        raise DamagedData(f"{path} is shorter than its header says; deliver it again")
    return found
