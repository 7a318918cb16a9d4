"""Whether a raw file can be read to its end: what it holds, or what its reader said of the damage.

Gzip always has a checksum of its content; zstd and Parquet have one where their writer was told to add it.
"""

from __future__ import annotations

import hashlib
import io
import zlib
from dataclasses import dataclass
from functools import cached_property
from typing import BinaryIO, cast

from pipeline.storage import FileEntry, decompressed, describe_file, files_at

BLOCK = 1 << 20


@dataclass(frozen=True)
class DamagedFile:
    """A raw file that cannot be read to its end, and what was said of it."""

    path: str
    said: str
    sha256: str

    def __str__(self) -> str:
        return f"{self.path} is damaged ({self.said})"


def inspect_raw(path: str) -> FileEntry | DamagedFile:
    """Lines, bytes and SHA-256 of a raw file, or why it cannot be read to its end."""
    with files_at(path).open(path) as file:
        stream = _Hashing(file)
        try:
            lines = _count_lines(decompressed(path, cast(BinaryIO, stream)))
        except (EOFError, OSError, zlib.error) as error:
            return damaged(path, str(error))
        while stream.read(BLOCK):
            pass
    return FileEntry(path, lines, stream.size, stream.hex)


def inspect_parquet(path: str) -> FileEntry | DamagedFile:
    """The same for a file of Parquet, whose lines are its rows; every page is decompressed once, and held to its
    checksum where it has one."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    with files_at(path).open(path) as file:
        stream = _Hashing(file)
        while stream.read(BLOCK):
            pass
        try:
            rows = sum(batch.num_rows for batch in pq.ParquetFile(file, page_checksum_verification=True).iter_batches())
        except (pa.ArrowException, OSError) as error:
            return damaged(path, str(error))
    return FileEntry(path, rows, stream.size, stream.hex)


def damaged(path: str, said: str) -> DamagedFile:
    """With the SHA-256 of its bytes, which are read once more: where the storage fails, that raises, and the file is
    not blamed."""
    folder, _, name = path.rpartition("/")
    return DamagedFile(path, said, describe_file(folder, name, 0).sha256)


def _count_lines(stream: BinaryIO) -> int:
    lines, last = 0, b"\n"
    while block := stream.read(BLOCK):
        lines += block.count(b"\n")
        last = block[-1:]
    return lines + (last != b"\n")


class _Hashing(io.RawIOBase):
    """A file that hashes what is read from it."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__()
        self._file, self._digest, self.size = file, hashlib.sha256(), 0

    def readable(self) -> bool:
        return True

    def read(self, count: int = -1) -> bytes:
        block = self._file.read(count)
        self._digest.update(block)
        self.size += len(block)
        return block

    @cached_property
    def hex(self) -> str:
        return self._digest.hexdigest()
