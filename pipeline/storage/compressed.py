"""Compressed files by their names: .gz and .zst are read through, any other file as it is."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO, cast

from pipeline.errors import ConfigError

NOT_READ = (".bz2", ".deflate", ".lz4", ".snappy", ".xz", ".zip")
"""Spark would decompress some of these by itself, some not; none can be checked here."""


def decompressed(path: str, file: BinaryIO) -> BinaryIO:
    """What a file holds, as a stream. EOFError, OSError or zlib.error where its container is cut or corrupt."""
    if path.endswith(".gz"):
        return cast(BinaryIO, gzip.GzipFile(fileobj=file))
    if path.endswith(".zst"):
        import pyarrow as pa

        return cast(BinaryIO, io.BufferedReader(pa.CompressedInputStream(pa.PythonFile(file, mode="r"), "zstd")))
    return file


class Drain(io.RawIOBase):
    """A file to write to whose bytes are taken out by `taken` as they come, so that they need not all lie in memory."""

    def __init__(self) -> None:
        super().__init__()
        self._blocks: list[bytes] = []
        self._place = 0

    def writable(self) -> bool:
        return True

    def write(self, block: Any) -> int:
        content = bytes(block)
        self._blocks.append(content)
        self._place += len(content)
        return len(content)

    def tell(self) -> int:
        return self._place

    def taken(self) -> list[bytes]:
        """What was written since the last call."""
        blocks, self._blocks = self._blocks, []
        return blocks


def compressed(path: str, blocks: Iterable[bytes]) -> Iterator[bytes]:
    """The bytes of a file of that name which holds these; the inverse of `decompressed`."""
    if path.endswith(".gz"):
        packer = zlib.compressobj(wbits=31)
        yield from (packer.compress(block) for block in blocks)
        yield packer.flush()
    elif path.endswith(".zst"):
        import pyarrow as pa

        drain = Drain()
        with pa.CompressedOutputStream(pa.PythonFile(drain, mode="w"), "zstd") as stream:
            for block in blocks:
                stream.write(block)
                yield from drain.taken()
        yield from drain.taken()
    else:
        yield from blocks


def refuse_unread(paths: Iterable[str]) -> None:
    """Raise ConfigError naming a file whose name says a compression that is not served."""
    if found := next((path for path in paths if path.endswith(NOT_READ)), None):
        raise ConfigError(f"{found} is compressed in a way that is not read; deliver it as .gz, as .zst or plain")
