"""Compressed files by their names: .gz and .zst are read through, any other file as it is."""

from __future__ import annotations

import gzip
import io
from collections.abc import Iterable
from typing import BinaryIO, cast

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


def refuse_unread(paths: Iterable[str]) -> None:
    """Raise ConfigError naming a file whose name says a compression that is not served."""
    if found := next((path for path in paths if path.endswith(NOT_READ)), None):
        raise ConfigError(f"{found} is compressed in a way that is not read; deliver it as .gz, as .zst or plain")
